//! What a person is told on the way, on stderr.

use std::path::{Path, PathBuf};

use super::arguments::DEFAULT_STATE;
use super::output;
use crate::event::{Event, Events, Reach, Way};

/// Prints events.
#[derive(Debug)]
pub(super) struct Messages;

impl Events for Messages {
    fn tell(&mut self, event: Event) {
        // Where state always is, nobody needs to hear of it.
        let is_usual = matches!(&event, Event::StateMade { path } if path == Path::new(DEFAULT_STATE));
        if is_usual {
            return;
        }
        if let Event::Rebased { lines } = &event {
            for line in lines {
                output::say(&format!("onlay: {line}"));
            }
            return;
        }
        output::say(&format!("onlay: {}", in_words(&event)));
    }
}

fn extensions_changed(names: &[String]) -> String {
    let names: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| *name != crate::extension::database::NAME).collect();
    if names.is_empty() {
        return "extensions were merged when this overlay was last entered, and none are now".to_owned();
    }
    let names = names.join(", ");
    format!("other extensions are merged than when this overlay was last entered: now they are {names}")
}

fn in_words(event: &Event) -> String {
    match event {
        Event::BaseChanged { was, is } if was == is => {
            "the base has changed since this overlay was last entered (its packages did)".to_owned()
        }
        Event::BaseChanged { was, is } => {
            format!("the base has changed since this overlay was last entered: it was {was}, now it is {is}")
        }
        Event::ExtensionsChanged { names } => extensions_changed(names),
        Event::KeptApart { path, aside } => format!(
            "what this overlay had in {} while extensions were merged was kept by itself, and has names that are there \
             otherwise, too: it is not seen, and stays in {}",
            path.display(),
            aside.display()
        ),
        Event::BaseEdited { paths } => edited(paths),
        Event::Rebased { lines } => lines.join("; "),
        Event::ReadOnlyPart { path, reason } => format!("{} is read-only inside: {reason}", path.display()),
        Event::MissingPart { path, reason } => format!("{} is not shown inside: {reason}", path.display()),
        Event::StateMade { path } => format!("made the state directory {}", path.display()),
        Event::Entered { name, way, temporary, reach, own } => entered(name, *way, *temporary, *reach, own),
        Event::DirectoryMissing { path } => {
            format!("'{}' is not there inside; starting in /", path.display())
        }
        Event::StillRunning { name } => {
            format!("processes still run in '{name}'; it stays in use until they end")
        }
        Event::NotCleared { what, reason } => {
            format!("cannot clear what an interrupted run left, {}: {reason}", what.display())
        }
        Event::Cleared { what } => format!("cleared what an interrupted run left: {}", what.display()),
    }
}

/// Names a few: there may be hundreds.
fn edited(paths: &[PathBuf]) -> String {
    let few: Vec<String> = paths.iter().take(3).map(|path| path.display().to_string()).collect();
    let more = match paths.len().saturating_sub(few.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("edited on the host since this overlay was last entered: {}{more}", few.join(", "))
}

fn entered(name: &str, way: Way, temporary: bool, reach: Reach, own: &[PathBuf]) -> String {
    let how = match way {
        Way::Made => "made",
        Way::Reentered => "entered",
        Way::Joined => "joined",
    };
    let lives = if temporary { " in RAM" } else { "" };
    let own: Vec<String> = own.iter().map(|path| path.display().to_string()).collect();
    let files = match own.as_slice() {
        [] => "all files are private".to_owned(),
        own => format!("{} are the host's own, other files are private", own.join(" and ")),
    };
    let reach = match reach {
        Reach::Guarded => "the host's processes can be seen, not signalled",
        Reach::Unguarded => "UNGUARDED: commands can change the host",
        Reach::Isolated => "isolated",
        Reach::Booted if way == Way::Joined => "booted",
        Reach::Booted => "booting: 'poweroff' inside ends it, three times Ctrl-] kills it",
    };
    format!("{how} overlay '{name}'{lives}; {files}; {reach}")
}
