//! How others do it: rpm itself, and toy, which has rpm write all headers of a database to files of their own, and
//! read them into a new one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use onlay::package::header::{MAGIC, announced_length};
use onlay::sys::{MountFlags, Root, attach, clone_tree, detach_path, set_flags};

/// An rpm, and how it sees the directory in which we work.
pub(crate) struct Rpm {
    /// The tree it lives in; otherwise it is the machine's.
    tree: Option<PathBuf>,
    place: PathBuf,
    pub(crate) version: String,
}

impl Rpm {
    /// The machine's own.
    pub(crate) fn of_machine(place: &Path) -> Option<Rpm> {
        Rpm { tree: None, place: place.to_owned(), version: String::new() }.asked()
    }

    /// The one of a tree that scripts/test-trees makes. The tree is mounted in `place`, which it sees as /mnt.
    pub(crate) fn of_tree(name: &str, place: &Path) -> Option<Rpm> {
        let cache = std::env::var_os("ONLAY_TEST_CACHE").unwrap_or_else(|| "/var/cache/onlay-tests".into());
        let source = Root::open(Path::new(&cache).join(name)).ok()?;
        let at = place.join(format!(".tree-{name}"));
        fs::create_dir_all(&at).expect("our directory");
        // Read-only: whoever clears our directory must not clear the tree that is seen in it.
        bind(&source, &at, MountFlags::READ_ONLY);
        bind(&Root::open(place).expect("our directory"), &at.join("mnt"), MountFlags::default());
        Rpm { tree: Some(at), place: place.to_owned(), version: String::new() }.asked()
    }

    fn asked(mut self) -> Option<Rpm> {
        let output = self.command("rpm", None).arg("--version").stdout(Stdio::piped()).output().ok()?;
        let words = String::from_utf8(output.stdout).ok()?;
        words.rsplit(' ').next()?.trim().clone_into(&mut self.version);
        output.status.success().then_some(self)
    }

    fn command(&self, program: &str, database: Option<&Path>) -> Command {
        let mut command = match &self.tree {
            None => Command::new(program),
            Some(tree) => {
                let mut command = Command::new("chroot");
                command.arg(tree).arg(program);
                // Its own places for that are read-only.
                command.env("SQLITE_TMPDIR", "/mnt").env("TMPDIR", "/mnt");
                command
            }
        };
        if let Some(database) = database {
            let inside = database.strip_prefix(&self.place).expect("all of it is there");
            let seen = if self.tree.is_some() { Path::new("/mnt").join(inside) } else { database.to_owned() };
            command.arg("--dbpath").arg(seen);
        }
        command.env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// What rpm says is installed.
    pub(crate) fn list(&self, database: &Path) -> Vec<String> {
        let mut command = self.command("rpm", Some(database));
        let output = command.arg("-qa").stdout(Stdio::piped()).output().expect("rpm runs");
        let mut lines: Vec<String> =
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Makes a new database of the same headers, in the place of the old one.
    pub(crate) fn rebuild(&self, database: &Path) {
        succeed(self.command("rpmdb", Some(database)).arg("--rebuilddb"));
    }

    /// Changes some packages by rpm's own means: removes those with these names, and adds headers.
    pub(crate) fn change(&self, database: &Path, remove: &[String], add: &[Vec<u8>]) {
        let mut erase = self.command("rpm", Some(database));
        succeed(erase.args(["-e", "--justdb", "--nodeps", "--noscripts", "--notriggers"]).args(remove));
        self.import(database, add);
    }

    /// toy's way: all headers of a database into files, and all files into a new database, with some instead of
    /// others.
    pub(crate) fn dump_and_import(&self, from: &Path, files: &Path, target: &Path, add: &[Vec<u8>]) {
        let mut export = self.command("rpmdb", Some(from));
        let output = export.arg("--exportdb").stdout(Stdio::piped()).output().expect("rpmdb runs");
        let mut rest = &output.stdout[..];
        let mut names = Vec::new();
        while let Some(behind) = rest.strip_prefix(&MAGIC) {
            let length = announced_length(behind).expect("rpm writes headers");
            let name = files.join(format!("{}.header", names.len()));
            fs::write(&name, &rest[..MAGIC.len() + length]).expect("there is room");
            names.push(name);
            rest = &behind[length..];
        }
        for (blob, name) in add.iter().zip(&names) {
            fs::write(name, [&MAGIC[..], blob].concat()).expect("there is room");
        }
        succeed(self.command("rpmdb", Some(target)).arg("--initdb"));
        let headers = names.iter().map(|name| fs::read(name).expect("it was just written"));
        self.import_stream(target, headers);
    }

    fn import(&self, database: &Path, blobs: &[Vec<u8>]) {
        self.import_stream(database, blobs.iter().map(|blob| [&MAGIC[..], blob].concat()));
    }

    fn import_stream(&self, database: &Path, headers: impl Iterator<Item = Vec<u8>>) {
        let mut import = self.command("rpmdb", Some(database));
        let import = import.arg("--importdb").stdin(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = import.spawn().expect("rpmdb runs");
        let mut input = child.stdin.take().expect("a pipe");
        headers.for_each(|header| input.write_all(&header).expect("rpmdb reads it"));
        drop(input);
        assert!(child.wait().expect("it is our child").success(), "rpmdb --importdb");
    }
}

/// Runs a command, which must do what it is to.
pub(crate) fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.expect("it can be run");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{words}", output.status);
}

impl Drop for Rpm {
    fn drop(&mut self) {
        for mount in self.tree.iter().flat_map(|tree| [tree.join("mnt"), tree.clone()]) {
            // What is still there is read-only, and goes with the namespace.
            let _ = detach_path(&mount);
        }
    }
}

/// Shows a directory at another place as well, in our own mount namespace.
fn bind(source: &Root, at: &Path, flags: MountFlags) {
    let name = source.path();
    let tree = clone_tree(source, name, false).expect("it can be shown elsewhere");
    set_flags(&tree, flags, MountFlags::default(), false, name).expect("it can be read-only");
    attach(&tree, File::open(at).expect("a mount point"), at).expect("it can be mounted");
}
