//! tukit(8) of transactional-update: snapshots of the system that runs as transactions, with what belongs to these there. It asks its plugins, has a
//! lock of its own, and marks what is not closed yet; whoever has opened a transaction puts into its snapshot what they like, and closes it.
//!
//! What it does to a snapshot it does by snapper(8).

use std::ffi::OsString;
use std::path::PathBuf;

use super::Error;

const PROGRAM: &str = "tukit";

/// What it says before the number of a snapshot that it has opened.
const NUMBER: &str = "ID: ";

/// The installed program.
#[derive(Debug)]
pub struct Tukit {
    path: PathBuf,
}

impl Tukit {
    /// Finds it, where the system has it.
    pub fn find() -> Option<Tukit> {
        super::find_any(PROGRAM).map(|path| Tukit { path })
    }

    /// Opens a transaction: a snapshot of this one, whichever runs, that can be written to. Its number. It hands the description on by a shell,
    /// between single quotes.
    pub fn open(&self, from: u64, description: &str) -> Result<u64, Error> {
        let mut words = vec![format!("--continue={from}")];
        // What keeps the snapshots is snapper, whatever its settings say: others would bring a system of their own. Older versions know of none.
        let options = [("--description=", description), ("--manager=", "snapper")];
        let help = super::run_to_its_end(PROGRAM, &self.path, &["--help".into()])?;
        let help = String::from_utf8_lossy(&help);
        let known = options.iter().filter(|(option, _)| help.contains(option));
        words.extend(known.map(|(option, value)| format!("{option}{value}")));
        words.push("open".to_owned());
        let text = self.run(&words)?;
        let problem = || "there is no number of a snapshot in it".to_owned();
        let command = || format!("{PROGRAM} {}", words.join(" "));
        number(&text).ok_or_else(|| Error::Nonsense { command: command(), problem: problem() })
    }

    /// Closes a transaction: its snapshot cannot be written to where the one that was booted next cannot, and is booted next. Plugins are asked before
    /// and after that, so one that fails does not say whether it was done.
    pub fn close(&self, number: u64) -> Result<(), Error> {
        self.run(&["close".to_owned(), number.to_string()]).map(drop)
    }

    /// Gives a transaction up: its snapshot is deleted.
    pub fn abort(&self, number: u64) -> Result<(), Error> {
        self.run(&["abort".to_owned(), number.to_string()]).map(drop)
    }

    /// Only what was asked for and errors are said; all else is in the journal.
    fn run(&self, words: &[String]) -> Result<Vec<u8>, Error> {
        let words: Vec<OsString> =
            std::iter::once("--quiet".into()).chain(words.iter().map(OsString::from)).collect();
        super::run_to_its_end(PROGRAM, &self.path, &words)
    }
}

/// Plugins may have said something as well.
fn number(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(text);
    text.lines().find_map(|line| line.strip_prefix(NUMBER)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_among_other_words() {
        assert_eq!(number(b"tukit 5.0 started\nOptions: open \nID: 12\nTransaction completed.\n"), Some(12));
        assert_eq!(number(b"ID: \nID: x\n"), None);
    }
}
