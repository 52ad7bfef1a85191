//! What tests on the real kernel stand on: a state directory on a disk, a small tree to lay
//! overlays over, and the program, which never runs longer than it may.
//!
//! Where the kernel cannot be had, tests say so loudly and pass; with `ONLAY_TEST_STRICT=1` they fail.
//! At its end each [`Lab`] looks that nothing is left: no mount in the test's namespace, no trace in
//! `/run/onlay`.

mod run;
mod screen;
mod stopped;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, UNIX_EPOCH};

use onlay::sys::{MountTable, Namespaces, Pid, Propagation, has_capability, leave_for_new, set_propagation};

pub(crate) use run::{Onlay, Ran, Started};
pub(crate) use screen::Screen;
pub(crate) use stopped::Stopped;

/// After this, what has not ended or happened never will: far longer than a busy machine with a slow
/// disk takes for anything here.
const LIMIT: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(3);

/// Whether the real kernel can be asked to mount.
pub(crate) fn kernel_or_skip() -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "only root can mount"
    } else if !has_capability("CAP_SYS_ADMIN") {
        "root may not mount here"
    } else if !fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains("\toverlay\n")) {
        "the kernel has no overlayfs"
    } else {
        return true;
    };
    skip(reason);
    false
}

/// Whether a program is there that a test needs.
pub(crate) fn tool_or_skip(path: &str) -> bool {
    let is_there = Path::new(path).exists();
    if !is_there {
        skip(&format!("{path} is missing; scripts/install-test-tools installs it"));
    }
    is_there
}

/// Says loudly that something was not tested; where everything is to be tested, that is a failure.
#[allow(clippy::disallowed_macros, clippy::print_stderr, reason = "a test talks to whoever runs it")]
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("ONLAY_TEST_STRICT").is_none_or(|value| value != "1"), "{reason}");
    eprintln!("SKIPPED: {reason}");
}

#[allow(clippy::disallowed_methods, reason = "the room `tool` is not what is tested")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C");
    command
}

/// Runs a program that must succeed; its stdout.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    succeed(command(program).args(arguments))
}

/// Runs a shell script that must succeed, with paths as its `$1`, `$2` and so on.
pub(crate) fn sh(script: &str, paths: &[&Path]) -> String {
    succeed(command("/bin/sh").args(["-ec", script, "sh"]).args(paths))
}

fn succeed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Looks until a condition holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within {} s", LIMIT.as_secs());
        sleep(STEP);
    }
}

/// A place to try the program in.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
    /// The state directory; it is there.
    pub(crate) state: PathBuf,
    /// A small root: busybox, and the directories that every root has.
    pub(crate) tree: PathBuf,
    is_private: bool,
    /// The folders in /run/onlay that its state directories may have had.
    folders: Vec<PathBuf>,
}

impl Lab {
    /// Makes one; `None` where the kernel cannot be had.
    pub(crate) fn open() -> Option<Lab> {
        if !kernel_or_skip() || !tool_or_skip("/bin/busybox") {
            return None;
        }
        let dir = tempfile::Builder::new().prefix("onlay-lab.").tempdir_in("/var/tmp").expect("/var/tmp");
        let (state, tree) = (dir.path().join("state"), dir.path().join("tree"));
        make_dir(&state, 0o700);
        make_tree(&tree);
        let mut lab = Lab { dir, state, tree, is_private: false, folders: Vec::new() };
        lab.uses(&lab.state.clone());
        Some(lab)
    }

    /// One whose thread has a mount namespace of its own: what a test mounts, nobody else sees.
    pub(crate) fn with_private_mounts() -> Option<Lab> {
        let mut lab = Lab::open()?;
        leave_for_new(Namespaces::MOUNT).expect("root may leave its mount namespace");
        set_propagation(Path::new("/"), Propagation::Private).expect("the namespace is ours");
        lab.is_private = true;
        Some(lab)
    }

    /// Notes a state directory, so that what is kept in /run/onlay for it is looked at in the end.
    pub(crate) fn uses(&mut self, state: &Path) {
        self.folders.push(folder_of(state));
    }

    /// What is written in /run/onlay for the state directory.
    pub(crate) fn folder(&self) -> &Path {
        &self.folders[0]
    }

    /// A path in the lab's own directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program, where it is seen in an overlay of the host: not in /tmp.
    pub(crate) fn program_inside(&self) -> PathBuf {
        let place = self.path("program");
        let program = env!("CARGO_BIN_EXE_onlay");
        fs::hard_link(program, &place).or_else(|_| fs::copy(program, &place).map(drop)).expect("the program");
        place
    }

    /// The directory of an overlay on disk.
    pub(crate) fn overlay(&self, name: &str) -> PathBuf {
        self.state.join("overlays").join(name)
    }

    /// Waits until nobody is in the overlays of a root: the gpg-agent that zypper starts notices only now and then that it is needed no more.
    pub(crate) fn wait_until_free(&self, root: &Path) {
        wait_until("the overlays are free", || {
            let rows = self.onlay(&["list", "--json"]).root(root).run().json();
            rows.as_array().is_none_or(|rows| rows.iter().all(|row| row["state"] == "idle"))
        });
    }

    /// The program, over the lab's tree.
    pub(crate) fn onlay<'a>(&'a self, arguments: &[&'a str]) -> Onlay<'a> {
        Onlay {
            state: &self.state,
            root: &self.tree,
            arguments: arguments.iter().map(OsString::from).collect(),
            wrapper: Vec::new(),
            environment: Vec::new(),
            input: Stdio::null(),
        }
    }

    /// The program, over the running host.
    pub(crate) fn on_host<'a>(&'a self, arguments: &[&'a str]) -> Onlay<'a> {
        Onlay { root: Path::new("/"), ..self.onlay(arguments) }
    }

    /// Runs a script in an overlay of the lab's tree, quietly.
    pub(crate) fn shell(&self, name: &str, script: &str) -> Ran {
        self.onlay(&["shell", "-q", name, "--", "sh", "-c", script]).run()
    }

    /// Runs a script in an overlay of the running host, quietly.
    pub(crate) fn host_shell(&self, name: &str, script: &str) -> Ran {
        self.on_host(&["shell", "-q", name, "--", "sh", "-c", script]).run()
    }

    /// Starts a script that stays in an overlay until it is told to end; waits until it is inside.
    pub(crate) fn stay(&self, arguments: &[&str]) -> Started {
        let words =
            [&["shell", "-q"], arguments, &["--", "sh", "-c", "echo inside; read -r line || true"]].concat();
        let started = self.onlay(&words).start();
        started.wait_for("inside");
        started
    }

    /// A file system of its own on a loop device, mounted at a directory of the lab's.
    pub(crate) fn mount_image(&self, kind: &str, megabytes: u64, at: &Path) {
        assert!(self.is_private, "mounts belong into a namespace of their own");
        let image = tempfile::Builder::new().prefix("image.").tempfile_in(self.dir.path()).expect("an image");
        image.as_file().set_len(megabytes << 20).expect("a sparse file");
        fs::create_dir_all(at).expect("a mount point");
        let force = if kind == "ext4" { "-qF" } else { "-f" };
        let force = if kind == "vfat" { "-F32" } else { force };
        output(&format!("/usr/sbin/mkfs.{kind}"), &[force, image.path().to_str().expect("our name")]);
        sh(&format!("mount -t {kind} -o loop \"$1\" \"$2\""), &[image.path(), at]);
    }

    /// A file system in RAM, mounted at a directory of the lab's.
    pub(crate) fn mount_tmpfs(&self, options: &str, at: &Path) {
        assert!(self.is_private, "mounts belong into a namespace of their own");
        fs::create_dir_all(at).expect("a mount point");
        sh(&format!("mount -t tmpfs -o {options} lab \"$1\""), &[at]);
    }

    /// The names in the collection of overlays, also those that begin with a dot.
    pub(crate) fn kept(&self) -> Vec<String> {
        names_in(&self.state.join("overlays"))
    }

    fn mounts(&self) -> Vec<PathBuf> {
        // Of this thread, which may have a namespace of its own.
        let thread = Pid::from_raw(rustix::thread::gettid().as_raw_nonzero().get()).expect("a thread id");
        let table = MountTable::seen_by(thread).expect("proc is mounted");
        let is_ours = |path: &Path| path.starts_with(self.dir.path()) || path.starts_with("/run/onlay");
        table.all().iter().map(|mount| mount.point.clone()).filter(|point| is_ours(point)).collect()
    }

    fn unmount(&self) {
        for point in self.mounts().iter().rev() {
            let name = std::ffi::CString::new(point.as_os_str().as_encoded_bytes()).expect("a path");
            let _ = rustix::mount::unmount(&*name, rustix::mount::UnmountFlags::DETACH);
        }
    }

    /// What an overlay that nobody is in any more has left in /run/onlay.
    fn traces(&self) -> Vec<String> {
        let names = self.folders.iter().flat_map(|folder| names_in(folder));
        names.filter(|name| name != ".entry.lock").collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Whoever stays for background processes leaves a moment after they do.
            wait_until("no trace in /run/onlay", || self.traces().is_empty());
            assert!(self.is_private || self.mounts().is_empty(), "left mounted: {:?}", self.mounts());
        }
        self.unmount();
        for folder in &self.folders {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Where it is kept in /run/onlay who is in the overlays of a state directory.
pub(crate) fn folder_of(state: &Path) -> PathBuf {
    let stat = fs::metadata(state).expect("the state directory is there");
    let birth = stat.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let birth = birth.unwrap_or_default().as_nanos();
    PathBuf::from(format!("/run/onlay/{:x}-{}-{birth}", stat.dev(), stat.ino()))
}

/// The names in a directory, sorted; none where it is missing.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable directory").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub(crate) fn make_dir(path: &Path, mode: u32) {
    fs::create_dir_all(path).expect("a directory of ours");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a directory of ours");
}

/// A root as small as it gets.
pub(crate) fn make_tree(tree: &Path) {
    for name in
        ["bin", "dev/pts", "etc", "home/user", "proc", "root", "run", "srv", "sys", "usr/bin", "var/lib"]
    {
        make_dir(&tree.join(name), 0o755);
    }
    make_dir(&tree.join("tmp"), 0o1777);
    fs::copy("/bin/busybox", tree.join("bin/busybox")).expect("busybox");
    for name in
        ["cat", "chmod", "cp", "echo", "hostname", "kill", "ln", "ls", "mkdir", "mount", "mv", "nohup"]
    {
        symlink("busybox", tree.join("bin").join(name)).expect("a link");
    }
    for name in ["ps", "readlink", "rm", "rmdir", "sed", "sh", "sleep", "stat", "test", "touch", "true", "wc"]
    {
        symlink("busybox", tree.join("bin").join(name)).expect("a link");
    }
    for (name, text) in [("etc/os-release", "ID=tiny\n"), ("etc/file", "old\n"), ("root/own", "home\n")] {
        fs::write(tree.join(name), text).expect("a file");
    }
}

/// A process of the host that does nothing, to be aimed at. It is ended when dropped.
pub(crate) struct Victim(Child);

impl Victim {
    pub(crate) fn start() -> Victim {
        let mut sleep = command("/bin/sleep");
        Victim(sleep.arg("1000").stdin(Stdio::null()).process_group(0).spawn().expect("sleep starts"))
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a process id")
    }

    pub(crate) fn lives(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
