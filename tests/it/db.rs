//! `onlay db`, with rpm and dpkg as the judges of what it says of their databases.

mod debian;
mod dumps;
mod refusals;
mod rpm;

use std::fs::File;
use std::path::Path;

use onlay::sys::RecordLock;

use crate::debian::{ONLAY, command};

/// What the program said.
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `onlay db`.
fn db(words: &[&dyn AsRef<std::ffi::OsStr>]) -> Answer {
    let mut program = command(ONLAY);
    program.arg("db").args(words.iter().map(AsRef::as_ref));
    answer(program)
}

/// The same where nothing can be written to a directory, which is made for that. Nothing is there afterwards.
fn db_cannot_write(directory: &Path, words: &[&dyn AsRef<std::ffi::OsStr>]) {
    if !crate::kernel::kernel_or_skip() {
        return;
    }
    std::fs::create_dir(directory).expect("our directory");
    let mut program = command("unshare");
    let script = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"; shift; exec \"$@\"";
    program.args(["--mount", "sh", "-ec", script, "-"]).arg(directory).args([ONLAY, "db"]);
    program.args(words.iter().map(AsRef::as_ref));
    let answer = answer(program);
    assert!(answer.failed(1).contains("Read-only file system"), "{}", answer.stderr);
    std::fs::remove_dir(directory).expect("it is empty");
}

fn answer(mut program: std::process::Command) -> Answer {
    let output = program.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is UTF-8");
    Answer { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Answer {
    /// What was asked for, of a run that succeeded and said nothing else.
    fn ok(self) -> String {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    /// The array that `--json` showed.
    fn rows(&self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }

    /// Some fields of each row, as words on one line; what is missing is a dash.
    fn fields(&self, names: &[&str]) -> Vec<String> {
        let field = |row: &serde_json::Value, name: &str| match row.pointer(name) {
            None => "-".to_owned(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let line = |row| names.iter().map(|name| field(row, name)).collect::<Vec<_>>().join(" ");
        self.rows().iter().map(line).collect()
    }

    /// That it failed with a code, and what it said then.
    fn failed(&self, code: i32) -> &str {
        assert_eq!((self.code, &*self.stdout), (Some(code), ""), "{}", self.stderr);
        &self.stderr
    }
}

/// A lock like those of package managers, on a file that is made when missing.
fn locked(path: &Path) -> RecordLock {
    let file = File::options().create(true).truncate(false).write(true).open(path).expect("our file");
    RecordLock::try_exclusive(file.into()).expect("a lock").expect("nobody has it")
}

/// Lines without runs of blanks.
fn squeezed(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn copy(from: &Path, to: &Path) {
    crate::debian::expect_success(command("cp").arg("-a").arg(from).arg(to));
}
