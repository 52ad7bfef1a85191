//! How far downloads are, on a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::cli::output;
use crate::store::client::Progress;

/// What is soon done needs no progress.
const SILENCE: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(100);

/// Says what is waited for while something is at work for longer.
pub(super) fn waiting<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() || output::is_quiet() {
        return work();
    }
    std::thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        scope.spawn(move || {
            // Nobody sends anything: it ends with the other end.
            if wait.recv_timeout(SILENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = write!(std::io::stderr(), "\r{}\x1b[K", output::visible(what));
                let _ = wait.recv();
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// One line that is written anew as bytes come.
#[derive(Debug)]
pub(super) struct Bar {
    is_shown: bool,
    begun: Instant,
    last: Option<Instant>,
}

impl Bar {
    pub(super) fn new() -> Bar {
        Bar {
            is_shown: std::io::stderr().is_terminal() && !output::is_quiet(),
            begun: Instant::now(),
            last: None,
        }
    }

    pub(super) fn show(&mut self, progress: Progress<'_>) {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= PAUSE);
        if !self.is_shown || self.begun.elapsed() < SILENCE || !is_due {
            return;
        }
        self.last = Some(Instant::now());
        let entry = progress.candidate.entry;
        let all = if entry.size == 0 { String::new() } else { format!(" of {}", output::size(entry.size)) };
        let done = output::size(progress.done);
        let line = output::visible(&format!("onlay: '{}' {}: {done}{all}", entry.name, entry.version));
        let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
    }
}

/// The line goes with what it was about.
impl Drop for Bar {
    fn drop(&mut self) {
        if self.last.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
