//! A place with packages and databases, and rpm to use on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use onlay::package::header::tag;
use onlay::package::{Header, Identity};
use onlay::pkgdb::rpm::index_rows::TABLES;
use onlay::pkgdb::rpm::{Access, Backend, Database, Finding, Opening, check};
use onlay::sys::Root;
use rusqlite::Connection;

use super::packages;
use crate::debian::{command, expect_success, skip, words};

/// A temporary place, and an rpm to use in it.
pub(crate) struct Lab {
    place: tempfile::TempDir,
    pub(crate) packages: PathBuf,
    /// A tree that scripts/test-trees made, whose rpm is used; otherwise the machine's.
    tree: Option<PathBuf>,
}

impl Lab {
    /// `None` after saying loudly that rpm is missing.
    pub(crate) fn open() -> Option<Lab> {
        if !Path::new("/usr/bin/rpmbuild").exists() {
            skip("no rpmbuild; scripts/install-test-tools installs it");
            return None;
        }
        Some(Lab { place: crate::debian::place(), packages: packages::built(), tree: None })
    }

    /// One with another rpm. `None` after saying loudly that its tree is missing.
    pub(crate) fn with_tree(name: &str) -> Option<Lab> {
        let cache = std::env::var_os("ONLAY_TEST_CACHE").unwrap_or_else(|| "/var/cache/onlay-tests".into());
        let tree = Path::new(&cache).join(name);
        if !tree.join("usr/bin/rpm").exists() {
            skip(&format!("no {}; scripts/test-trees makes it", tree.display()));
            return None;
        }
        Lab::open().map(|lab| Lab { tree: Some(tree), ..lab })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// rpm or one of its siblings, on a database of ours.
    pub(crate) fn rpm(&self, program: &str, database: &str) -> Command {
        let Some(tree) = &self.tree else {
            let mut command = rpm(program, self.place.path());
            command.arg("--dbpath").arg(self.path(database));
            return command;
        };
        self.in_tree(tree, "--bind", program, database)
    }

    /// The same where nothing can be written.
    pub(super) fn read_only(&self, program: &str, database: &str) -> Command {
        let tree = self.tree.as_ref().expect("only trees can be had without writing");
        self.in_tree(tree, "--ro-bind", program, database)
    }

    fn in_tree(&self, tree: &Path, bind: &str, program: &str, database: &str) -> Command {
        let mut command = command("bwrap");
        command.args(["--die-with-parent", "--unshare-pid", "--ro-bind"]).arg(tree).arg("/");
        command.args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/opt", bind]);
        command.arg(self.place.path()).args(["/mnt", "--ro-bind"]).arg(&self.packages).arg("/srv");
        command.args(["--", program, "--dbpath"]).arg(Path::new("/mnt").join(database));
        command
    }

    /// A new database with packages, made by rpm: names of package files without what rpm adds.
    pub(crate) fn installed(&self, database: &str, packages: &[&str]) {
        fs::create_dir_all(self.path(database)).expect("our directory");
        self.change(database, "-i", packages);
    }

    /// `rpm -i`, `-U` or `-e` with some packages, in the database only.
    pub(crate) fn change(&self, database: &str, how: &str, packages: &[&str]) {
        self.change_with(database, &[how], packages);
    }

    /// The same with more options behind the first. Packages of our own are unpacked, since rpm notes only then which
    /// of their files it left out: in a directory that is gone with the command.
    pub(crate) fn change_with(&self, database: &str, how: &[&str], packages: &[&str]) {
        let mut command = self.rpm("rpm", database);
        command.args(how).arg("--nodeps");
        if !packages.iter().any(|package| self.path(&format!("{package}.rpm")).exists()) {
            command.arg("--justdb");
        }
        if how[0] == "-e" {
            command.args(packages);
        } else {
            command.args(["--force", "--nosignature", "--ignoresize", "--ignorearch", "--ignoreos"]);
            command.args(packages.iter().map(|package| self.package(&format!("{package}.rpm"))));
        }
        expect_success(&mut command);
    }

    /// The path of a package file for rpm: one of our own, or one of those that all tests have.
    pub(crate) fn package(&self, file: &str) -> PathBuf {
        match (self.path(file).exists(), &self.tree) {
            (true, None) => self.path(file),
            (true, Some(_)) => Path::new("/mnt").join(file),
            (false, None) => self.packages.join(file),
            (false, Some(_)) => Path::new("/srv").join(file),
        }
    }

    /// Makes packages of our own, each as `NAME-VERSION.rpm`, from the tags and sections of a spec.
    pub(crate) fn build(&self, name: &str, version: &str, spec: &str) {
        let file = self.path(&format!("{name}.spec"));
        let (tags, sections) = spec.split_once("%install").unwrap_or((spec, ""));
        let text = format!(
            "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: A package\nLicense: MIT\nAutoReqProv: no\n\
             {tags}\n%description\nOne.\n%install\nmkdir -p %{{buildroot}}/opt/s; cd %{{buildroot}}/opt/s\n{sections}\n"
        );
        let text = if text.contains("%files") { text } else { format!("{text}%files\n") };
        fs::write(&file, text).expect("our directory");
        let mut build = rpm("rpmbuild", self.place.path());
        build.args(["-bb", "--quiet", "--define", "_rpmfilename %%{NAME}-%%{VERSION}.rpm"]);
        build.args(["--define", "_build_id_links none", "--define", "debug_package %{nil}"]);
        build.args(["--define", "__os_install_post %{nil}", "--define", "_binary_payload w0.ufdio"]);
        let place = self.place.path().display();
        build.args(["--define", &format!("_topdir {place}/build"), "--define", &format!("_rpmdir {place}")]);
        expect_success(build.arg(&file));
    }

    pub(crate) fn says(&self, database: &str, arguments: &[&str]) -> String {
        // Where rpm finds nothing it fails, which is an answer, too.
        words(&self.rpm("rpm", database).args(arguments).output().expect("rpm starts"))
    }

    /// rpm's own verification.
    pub(crate) fn verify(&self, database: &str) {
        let output: Output = expect_success(self.rpm("rpmdb", database).arg("--verifydb"));
        assert_eq!(words(&output).trim(), "", "rpmdb --verifydb of {database}");
    }

    pub(crate) fn root(&self, name: &str) -> Root {
        fs::create_dir_all(self.path(name)).expect("our directory");
        Root::open(self.path(name)).expect("our directory")
    }

    pub(crate) fn opening(&self, access: Access) -> Opening<'_> {
        Opening { scratch: self.place.path(), patience: Duration::ZERO, access }
    }

    pub(crate) fn database(&self, name: &str) -> Database {
        self.database_for(name, Access::Read)
    }

    pub(crate) fn database_for(&self, name: &str, access: Access) -> Database {
        let root = self.root(name);
        let backend = Backend::in_directory(&root).expect("there is one");
        Database::open_in(root, backend, &self.opening(access)).expect("it opens")
    }

    /// All that is in the tables of a SQLite database, but for numbers: names of packages stand for
    /// headers, rows are sorted. Headers without what differs between two installations of a package.
    pub(crate) fn tables(&self, name: &str) -> BTreeMap<String, Vec<String>> {
        if Backend::in_directory(&self.root(name)) == Some(Backend::Ndb) {
            return BTreeMap::from([("Packages".to_owned(), self.labels(name))]);
        }
        let connection = Connection::open(self.path(name).join("rpmdb.sqlite")).expect("it opens");
        let mut tables = BTreeMap::new();
        let mut headers = Vec::new();
        let mut names = BTreeMap::new();
        let mut statement = connection.prepare("SELECT hnum, blob FROM Packages").expect("a table");
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let blob: Vec<u8> = row.get(1).expect("a blob");
            let label = label(&blob);
            names.insert(row.get::<_, i64>(0).expect("a number"), label.clone());
            headers.push(label);
        }
        headers.sort();
        tables.insert("Packages".to_owned(), headers);
        for table in TABLES.iter().filter(|table| table.tag != tag::INSTALL_TID) {
            let sql = format!("SELECT key, hnum, idx FROM \"{}\"", table.name);
            let mut statement = connection.prepare(&sql).expect("a table");
            let rows = statement.query_map([], |row| {
                let key = String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned();
                let header = names.get(&row.get::<_, i64>(1)?).cloned();
                Ok(format!("{key} {header:?} {}", row.get::<_, i64>(2)?))
            });
            let mut rows: Vec<String> = rows.expect("rows").map(|row| row.expect("a row")).collect();
            rows.sort();
            tables.insert(table.name.to_owned(), rows);
        }
        tables
    }

    fn labels(&self, name: &str) -> Vec<String> {
        let mut labels = Vec::new();
        let mut collect = |_, blob: &[u8]| {
            labels.push(label(blob));
            Ok(())
        };
        self.database(name).each(&mut collect).expect("it can be read");
        labels.sort();
        labels
    }

    pub(crate) fn files(&self, name: &str) -> Vec<String> {
        crate::kernel::names_in(&self.path(name))
    }
}

/// A package's name and version, and what identifies its region.
fn label(blob: &[u8]) -> String {
    let header = Header::parse(blob).expect("rpm wrote it");
    let region = Identity::of(&header.region().unwrap_or_default()).to_string();
    format!("{}-{} {}", header.name(), header.evr(), &region[..8])
}

/// A program of rpm's that sees nobody's settings.
pub(crate) fn rpm(program: &str, home: &Path) -> Command {
    let mut command = command(Path::new("/usr/bin").join(program));
    command.env("HOME", home);
    if program == "rpmbuild" {
        // Its scripts stay where they were made.
        command.arg("--define").arg(format!("_tmppath {}", home.display()));
    }
    command
}

/// Nothing is wrong with a database, as we see it.
pub(crate) fn assert_sound(database: &Database) {
    let findings: Vec<String> =
        check(database).expect("it can be read").iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "{}: {findings:#?}", database.path().display());
}

/// All names with versions.
pub(crate) fn listed(database: &Database) -> Vec<String> {
    let packages = database.packages().expect("it can be read");
    let mut names: Vec<String> = packages
        .into_iter()
        .map(|installed| installed.package.expect("all can be read"))
        .map(|package| format!("{}-{}.{}", package.name, package.version, package.arch))
        .collect();
    names.sort();
    names
}
