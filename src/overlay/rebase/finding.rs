//! What a person should know of a rebase.

use std::fmt;
use std::path::PathBuf;

use super::Of;

/// Something that a person should know of a rebase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Both sides changed it; the overlay's stays, and the base's is not seen.
    KeptOver {
        /// Where.
        path: PathBuf,
    },
    /// The overlay changed it, and the base has it no more; the overlay's stays.
    KeptAlone {
        /// Where.
        path: PathBuf,
    },
    /// The overlay removed it, and the base has changed it since; it stays removed.
    KeptAway {
        /// Where.
        path: PathBuf,
    },
    /// Both sides changed it; the overlay's stays, with the base's beside it.
    Offered {
        /// Where.
        path: PathBuf,
        /// The ending of the base's.
        ending: String,
    },
    /// Both sides changed it; the base's is seen, with the overlay's beside it.
    Saved {
        /// Where.
        path: PathBuf,
        /// The ending of the overlay's.
        ending: String,
    },
    /// The overlay keeps a package, of which this file lay in the old base alone and is gone with it.
    Missing {
        /// Where it was.
        path: PathBuf,
        /// Whose it is.
        package: String,
    },
    /// Something is diverted on one side, and something else is in the way where the file belongs now.
    Misplaced {
        /// The path that is diverted, or is no more.
        path: PathBuf,
        /// Where its file belongs.
        place: PathBuf,
    },
    /// A dpkg that was broken off in the overlay has left a file, and others.
    LeftBehind {
        /// The first.
        path: PathBuf,
        /// How many others.
        others: usize,
    },
    /// Users or groups of both sides do not go together.
    Accounts {
        /// What is wrong, in words.
        words: String,
    },
}

impl Finding {
    pub(super) fn in_words(&self, of: Of) -> String {
        let (here, own, host, inside) = match of {
            Of::Overlay => ("in the overlay", "the overlay's", "the host", " inside"),
            Of::Host => ("while the host was unlocked", "the unlocked one", "the base", ""),
        };
        match self {
            Finding::KeptOver { path } => {
                format!("{}: changed on both sides; {own} is kept", path.display())
            }
            Finding::KeptAlone { path } => {
                format!("{}: changed {here}, gone from {host}; {own} is kept", path.display())
            }
            Finding::KeptAway { path } => {
                format!("{}: removed {here}, changed on {host}; it stays removed", path.display())
            }
            Finding::Offered { path, ending } => {
                let path = path.display();
                format!("{path}: changed on both sides; {own} is kept, {host}'s is {path}{ending}")
            }
            Finding::Saved { path, ending } => {
                let path = path.display();
                format!("{path}: changed on both sides; {host}'s is taken, {own} is {path}{ending}")
            }
            Finding::Missing { path, package } => {
                format!("{}: of {package}, which stays, but went with the base", path.display())
            }
            Finding::Misplaced { path, place } => {
                let (path, place) = (path.display(), place.display());
                format!(
                    "{path}: belongs at {place} now, by what is diverted, but something is in the way; \
                     when that is moved, installing the package again{inside} puts it there"
                )
            }
            Finding::LeftBehind { path, others } => {
                let others = if *others == 0 { String::new() } else { format!(" and {others} more") };
                format!(
                    "{}{others}: left by a dpkg that was broken off; 'dpkg --audit'{inside} says of which packages, which \
                     'dpkg --configure --pending' or installing them again puts right",
                    path.display()
                )
            }
            Finding::Accounts { words } => words.clone(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(Of::Overlay))
    }
}
