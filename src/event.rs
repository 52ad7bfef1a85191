//! What happens on the way: rooms tell it, whoever called them decides whether anybody sees it.

use std::path::PathBuf;

/// How many of something there are, in words: "1 entry", "44 entries".
pub fn counted<N: std::fmt::Display>(count: N, noun: &str) -> String {
    let count = count.to_string();
    match (&*count, noun.strip_suffix('y')) {
        ("1", _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ if noun.ends_with('s') => format!("{count} {noun}es"),
        _ => format!("{count} {noun}s"),
    }
}

/// Something worth a person's attention while work goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The base is not what it was when this overlay was last entered.
    BaseChanged {
        /// What it was, in words.
        was: String,
        /// What it is.
        is: String,
    },
    /// Other extensions are merged over the base than when this overlay was last entered.
    ExtensionsChanged {
        /// Those that are merged now.
        names: Vec<String>,
    },
    /// What an earlier version has kept of a directory while extensions were merged there is not seen, since something else is
    /// in its place.
    KeptApart {
        /// The directory.
        path: PathBuf,
        /// Where it is kept.
        aside: PathBuf,
    },
    /// Files of the base were edited that this overlay covers.
    BaseEdited {
        /// Which, by their paths in the overlay.
        paths: Vec<PathBuf>,
    },
    /// An overlay has followed its base.
    Rebased {
        /// What a person should know of it, in words, the sum first.
        lines: Vec<String>,
    },
    /// A file system of the host cannot have a writable layer, and is seen read-only.
    ReadOnlyPart {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file system of the host cannot be shown at all.
    MissingPart {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A state directory was not there, and was made.
    StateMade {
        /// Where.
        path: PathBuf,
    },
    /// A command is about to run in an overlay.
    Entered {
        /// The overlay's name.
        name: String,
        /// Whether it is new, or others are in it.
        way: Way,
        /// Whether it is in RAM only.
        temporary: bool,
        /// How much of the host a command inside can reach.
        reach: Reach,
        /// Directories that are the host's own.
        own: Vec<PathBuf>,
    },
    /// The caller's directory is not there inside, so the command starts in `/`.
    DirectoryMissing {
        /// The caller's directory.
        path: PathBuf,
    },
    /// The command has ended, but processes that it started still run in the overlay.
    StillRunning {
        /// The overlay's name.
        name: String,
    },
    /// Work that an earlier run left half done was cleared away.
    Cleared {
        /// What it was.
        what: PathBuf,
    },
    /// Work that an earlier run left half done cannot be cleared away now.
    NotCleared {
        /// What it is.
        what: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What entering an overlay came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It was not there, and was made.
    Made,
    /// It was kept from an earlier time.
    Reentered,
    /// Others are in it.
    Joined,
}

/// How much of the host a command in an overlay can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It sees the host's processes, and is guarded.
    Guarded,
    /// It sees them, and can change the host.
    Unguarded,
    /// It is in namespaces of its own.
    Isolated,
    /// It is in a container with an init of its own.
    Booted,
}

/// Receives events.
pub trait Events {
    /// Called as they happen.
    fn tell(&mut self, event: Event);
}

/// Nobody listens.
impl Events for () {
    fn tell(&mut self, _: Event) {}
}

impl Events for Vec<Event> {
    fn tell(&mut self, event: Event) {
        self.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_one_and_others_are_many() {
        for (count, noun, words) in [
            (1_u64, "entry", "1 entry"),
            (0, "entry", "0 entries"),
            (2, "process", "2 processes"),
            (1, "process", "1 process"),
            (44, "file", "44 files"),
        ] {
            assert_eq!(counted(count, noun), words);
        }
    }
}
