//! Databases that somebody is changing.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use onlay::pkgdb::Error;
use onlay::pkgdb::rpm::{Access, Backend, Database, Delta, Opening, prepare};
use rusqlite::Connection;

use super::lab::{Lab, listed};
use crate::debian::{command, expect_success};
use crate::kernel::wait_until;

/// rpm's own lock, held by another process until it is ended.
struct Holder(Child);

impl Holder {
    fn start(lab: &Lab, kind: &str) -> Holder {
        let script = format!(
            "import fcntl, sys, time\nf = open(sys.argv[1], 'r+')\nfcntl.lockf(f, fcntl.{kind})\n\
             print('held', flush=True)\ntime.sleep(100)"
        );
        let mut child = command("python3")
            .args(["-c", &script])
            .arg(lab.path("db/.rpm.lock"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "held\n");
        Holder(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait().map(drop));
    }
}

fn open(lab: &Lab, access: Access, patience: Duration) -> Result<Database, Error> {
    let opening = Opening { patience, ..lab.opening(access) };
    Database::open_in(lab.root("db"), Backend::Sqlite, &opening)
}

#[test]
fn who_writes_keeps_us_out_and_who_reads_only_from_replacing() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1"]);
    let none = Duration::ZERO;
    let writer = Holder::start(&lab, "LOCK_EX");
    assert!(matches!(open(&lab, Access::Read, none), Err(Error::InUse { .. })));
    assert!(matches!(open(&lab, Access::Replace, none), Err(Error::InUse { .. })));
    drop(writer);
    let reader = Holder::start(&lab, "LOCK_SH");
    assert!(matches!(open(&lab, Access::Replace, none), Err(Error::InUse { .. })));
    let database = open(&lab, Access::Read, none).expect("reading is shared");
    let root = lab.root("db");
    let refused = prepare(&database, &Delta::default(), &root, &lab.opening(Access::Replace));
    assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    drop(reader);
    prepare(&database, &Delta::default(), &root, &lab.opening(Access::Replace)).expect("nobody is left");
}

#[test]
fn patience_is_rewarded() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1"]);
    let writer = Holder::start(&lab, "LOCK_EX");
    let ended = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(writer);
    });
    assert_eq!(listed(&open(&lab, Access::Read, Duration::from_secs(20)).expect("it waits")).len(), 1);
    ended.join().expect("no panic");
}

#[test]
fn rpm_waits_for_us_and_we_for_rpm() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1"]);
    let none = Duration::ZERO;
    let database = open(&lab, Access::Replace, none).expect("it is free");
    // rpm does not wait where nobody sits at a terminal.
    let mut erase = lab.rpm("rpm", "db");
    let output = erase.args(["-e", "--justdb", "--nodeps", "p0"]).output().expect("rpm starts");
    assert!(!output.status.success(), "rpm changed what we hold");
    assert_eq!(listed(&database), ["p0-1-1.noarch"]);
    drop(database);
    // The other way round: rpm is in a script of a package.
    let spec = lab.path("slow.spec");
    let (started, go) = (lab.path("started"), lab.path("go"));
    let lua = format!(
        "io.open('{}', 'w'):close()\nfor i = 1, 100 do if posix.access('{}') then break end posix.sleep(1) end",
        started.display(),
        go.display()
    );
    let text = format!(
        "Name: slow\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n\
         %files\n%pretrans -p <lua>\n{lua}\n"
    );
    std::fs::write(&spec, text).expect("our directory");
    let mut build = super::lab::rpm("rpmbuild", &lab.path(""));
    build.args(["-bb", "--quiet", "--define", "_rpmfilename slow.rpm", "--define"]);
    expect_success(build.arg(format!("_topdir {}", lab.path("").display())).arg(&spec));
    let mut install = lab.rpm("rpm", "db");
    let mut rpm =
        install.args(["-i", "--nodeps"]).arg(lab.path("RPMS/slow.rpm")).spawn().expect("rpm starts");
    // Whoever only tries the lock has it for a moment, and rpm does not wait.
    wait_until("rpm has its lock", || started.exists());
    assert!(matches!(open(&lab, Access::Read, none), Err(Error::InUse { .. })));
    std::fs::write(&go, "").expect("our file");
    assert!(rpm.wait().expect("our child").success());
    let database = open(&lab, Access::Read, none).expect("rpm has ended");
    assert_eq!(listed(&database), ["p0-1-1.noarch", "slow-1-1.noarch"]);
}

#[test]
fn who_writes_without_rpms_lock_is_seen_too() {
    let Some(lab) = Lab::open() else { return };
    lab.installed("db", &["p0-1"]);
    for mode in ["WAL", "DELETE"] {
        let writer = Connection::open(lab.path("db/rpmdb.sqlite")).expect("it opens");
        writer.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(())).expect("a pragma");
        writer.execute_batch("BEGIN EXCLUSIVE").expect("a transaction");
        assert!(matches!(open(&lab, Access::Read, Duration::ZERO), Err(Error::InUse { .. })), "{mode}");
        writer.execute_batch("ROLLBACK").expect("a transaction");
        open(&lab, Access::Read, Duration::ZERO).expect("it is free");
    }
}
