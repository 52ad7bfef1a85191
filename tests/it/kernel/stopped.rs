//! A run of the program that is stopped at a system call, so that others can act in that moment.

use std::fs;

use onlay::sys::{Pid, send};

use super::{Lab, Ran, Started, wait_until};

/// A run that was stopped, until it is told to go on or killed.
pub(crate) struct Stopped {
    run: Started,
    pid: Pid,
}

impl Stopped {
    /// Runs the program by strace(1) until it has made a call so many times.
    pub(crate) fn at(lab: &Lab, words: &[&str], call: &str, times: usize) -> Stopped {
        let log = lab.path("log-of-stopped");
        let log_name = log.to_str().expect("our name");
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:signal=SIGSTOP:when={times}");
        let strace = ["/usr/bin/strace", "-f", "-o", log_name, "-e", &trace, "-e", &inject];
        let run = lab.onlay(words).through(&strace).start();
        let mut stopped = None;
        wait_until("it stops", || {
            let trace = fs::read_to_string(&log).unwrap_or_default();
            let line = trace.lines().find(|line| line.ends_with("--- stopped by SIGSTOP ---"));
            stopped = line.and_then(|line| Pid::from_raw(line.split(' ').next()?.parse().ok()?));
            stopped.is_some()
        });
        fs::remove_file(&log).expect("a log");
        Stopped { run, pid: stopped.expect("it stopped") }
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(self) {
        send(self.pid, libc::SIGKILL).expect("it is stopped");
        assert_eq!(self.run.finish().killed_by(), Some(libc::SIGKILL));
    }

    /// Lets it run to its end.
    pub(crate) fn go_on(self) -> Ran {
        send(self.pid, libc::SIGCONT).expect("it is stopped");
        self.run.finish()
    }

    /// Lets it run to its end, which must be a good one.
    pub(crate) fn go_on_to_its_end(self) {
        self.go_on().ok();
    }
}
