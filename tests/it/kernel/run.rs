//! Running the program: with a time limit, its output in files, its end known.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Instant;

use super::{LIMIT, STEP, command, wait_until};

/// A run of the program that is being put together.
pub(crate) struct Onlay<'a> {
    pub(super) state: &'a Path,
    pub(super) root: &'a Path,
    pub(super) arguments: Vec<OsString>,
    pub(super) wrapper: Vec<String>,
    pub(super) environment: Vec<(&'a str, &'a OsStr)>,
    pub(super) input: Stdio,
}

impl<'a> Onlay<'a> {
    pub(crate) fn state(mut self, state: &'a Path) -> Self {
        self.state = state;
        self
    }

    pub(crate) fn root(mut self, root: &'a Path) -> Self {
        self.root = root;
        self
    }

    /// Runs it through another program: `strace`, `setpriv`.
    pub(crate) fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    pub(crate) fn environment(mut self, key: &'a str, value: &'a OsStr) -> Self {
        self.environment.push((key, value));
        self
    }

    /// What it reads from stdin.
    pub(crate) fn input(mut self, bytes: &[u8]) -> Self {
        let mut file = tempfile::tempfile().expect("a file for stdin");
        file.write_all(bytes).and_then(|()| file.rewind()).expect("a file for stdin");
        self.input = file.into();
        self
    }

    /// The program and its arguments, for a test that runs it in its own way.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = self.wrapper.iter().map(OsString::from).collect();
        words.push(env!("CARGO_BIN_EXE_onlay").into());
        words.extend([OsStr::new("--state"), self.state.as_os_str()].map(OsStr::to_owned));
        words.extend([OsStr::new("--root"), self.root.as_os_str()].map(OsStr::to_owned));
        words.extend(self.arguments.iter().cloned());
        words
    }

    fn command(&self) -> Command {
        let words = self.words();
        let mut command = command(&words[0]);
        command.args(&words[1..]).envs(self.environment.iter().copied()).env_remove("ONLAY_STATE");
        // Whatever it starts can be ended with it.
        command.process_group(0);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Ran {
        let input = std::mem::replace(&mut self.input, Stdio::null());
        self.spawn(input).finish()
    }

    /// Starts it, with a pipe as its stdin.
    pub(crate) fn start(self) -> Started {
        self.spawn(Stdio::piped())
    }

    fn spawn(self, input: Stdio) -> Started {
        // Files, not pipes: a process that stays behind would keep a pipe open.
        let (stdout, stderr) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        let mut child = self
            .command()
            .stdin(input)
            .stdout(stdout.try_clone().expect("a descriptor"))
            .stderr(stderr.try_clone().expect("a descriptor"))
            .spawn()
            .expect("the program starts");
        Started { stdin: child.stdin.take(), child, stdout, stderr, words: format!("{:?}", self.words()) }
    }
}

/// A run of the program that goes on. It is killed when dropped.
pub(crate) struct Started {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: File,
    stderr: File,
    words: String,
}

impl Started {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    pub(crate) fn signal(&self, signal: i32) {
        let pid = onlay::sys::Pid::from_raw(self.pid()).expect("a process id");
        onlay::sys::send(pid, signal).expect("it runs, or has not been waited for");
    }

    /// Waits until a text is on its stdout; all of stdout up to now.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let mut seen = String::new();
        let what = format!("'{text}' from {}", self.words);
        wait_until(&what, || {
            // Looked at first: what it said last is there when it has ended.
            let has_ended = self.has_ended();
            seen = content(&self.stdout);
            seen.contains(text) || has_ended
        });
        let stderr = content(&self.stderr);
        assert!(seen.contains(text), "{what}, which ended with stdout '{seen}' and stderr '{stderr}'");
        seen
    }

    fn has_ended(&self) -> bool {
        let pid = onlay::sys::Pid::from_raw(self.pid()).expect("a process id");
        onlay::sys::Pidfd::open(pid).map_or(true, |pidfd| pidfd.has_ended())
    }

    /// Writes a line to its stdin.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    }

    /// Closes its stdin and waits for its end.
    pub(crate) fn finish(mut self) -> Ran {
        drop(self.stdin.take());
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            if Instant::now() > end {
                let (stdout, stderr) = (content(&self.stdout), content(&self.stderr));
                panic!("{} runs too long; stdout '{stdout}', stderr '{stderr}'", self.words);
            }
            sleep(STEP);
        };
        let mut stdout = Vec::new();
        self.stdout.rewind().and_then(|()| self.stdout.read_to_end(&mut stdout)).expect("a file of ours");
        Ran { status, stdout, stderr: content(&self.stderr), words: self.words.clone() }
    }

    /// Ends it as a crash would, and waits for it.
    pub(crate) fn kill(mut self) -> Ran {
        self.child.kill().expect("it is our child");
        self.stdin.take();
        self.finish()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            if let Some(group) = rustix::process::Pid::from_raw(self.pid()) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// A run of the program that has ended.
pub(crate) struct Ran {
    status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    words: String,
}

impl Ran {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    pub(crate) fn killed_by(&self) -> Option<i32> {
        self.status.signal()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its stdout; it must have succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> String {
        assert!(self.status.success(), "{}", self.story());
        self.text()
    }

    /// Its stderr; it must have failed with this code, and said all of these words.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, words: &[&str]) -> &str {
        assert_eq!(self.code(), Some(code), "{}", self.story());
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not in: {}", self.story());
        }
        &self.stderr
    }

    /// Its stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }

    pub(crate) fn story(&self) -> String {
        format!("{}: {}, stdout '{}', stderr '{}'", self.words, self.status, self.text(), self.stderr)
    }
}

/// All that a file has by now, without moving where others write it.
fn content(file: &File) -> String {
    let mut bytes = vec![0; file.metadata().map_or(0, |stat| stat.len() as usize)];
    let length = rustix::io::pread(file, &mut bytes, 0).unwrap_or_default();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}
