//! What a person is told on the way, on stderr.

use super::output;
use crate::event::{Event, Events};

/// Prints events, unless asked to be quiet.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) quiet: bool,
}

impl Events for Messages {
    fn tell(&mut self, event: Event) {
        if self.quiet {
            return;
        }
        output::say(&format!("onlay: {}", in_words(&event)));
    }
}

fn in_words(event: &Event) -> String {
    match event {
        Event::BaseChanged { was, is } if was == is => {
            "the base has changed since this overlay was last entered (its packages did)".to_owned()
        }
        Event::BaseChanged { was, is } => {
            format!("the base has changed since this overlay was last entered: it was {was}, now it is {is}")
        }
        Event::ReadOnlyPart { path, reason } => format!("{} is read-only inside: {reason}", path.display()),
        Event::MissingPart { path, reason } => format!("{} is not shown inside: {reason}", path.display()),
        Event::Entered { name, joined, temporary, own } => entered(name, *joined, *temporary, own),
        Event::StillRunning { name } => {
            format!("processes still run in '{name}'; it stays in use until they end")
        }
        Event::NotCleared { what, reason } => {
            format!("cannot clear what an interrupted run left, {}: {reason}", what.display())
        }
        Event::Cleared { what } => format!("cleared what an interrupted run left: {}", what.display()),
    }
}

fn entered(name: &str, joined: bool, temporary: bool, own: &[std::path::PathBuf]) -> String {
    let how = match (joined, temporary) {
        (true, _) => "joined",
        (false, true) => "in RAM, temporary:",
        (false, false) => "in",
    };
    let own: Vec<String> = own.iter().map(|path| path.display().to_string()).collect();
    match own.as_slice() {
        [] => format!("{how} overlay '{name}'; nothing you change reaches the host"),
        own => {
            format!("{how} overlay '{name}'; {} are the host's own, all else is private", own.join(" and "))
        }
    }
}
