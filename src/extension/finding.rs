//! What is found wrong with an extension, or worth to be known, in exact words.

use std::fmt;
use std::path::{Path, PathBuf};

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Something in the extension, or of what it lies on, does not work.
    Problem,
    /// It may be meant so.
    Remark,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// The file that it is about, below the root.
    pub path: PathBuf,
    /// What it is.
    pub fault: Fault,
}

/// What can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A library that is not found.
    MissingLibrary {
        /// Its name.
        library: String,
        /// Where one of that name is, though the loader does not look there.
        elsewhere: Option<PathBuf>,
        /// Other versions of it that are there.
        similar: Vec<String>,
    },
    /// Symbol versions that a library does not have.
    MissingVersions {
        /// The versions.
        versions: Vec<String>,
        /// The library.
        library: String,
        /// Whose library it is: "the base".
        owner: String,
        /// The newest version of the same kind that it has.
        newest: Option<String>,
    },
    /// A program's loader is not there.
    MissingInterpreter(String),
    /// What runs a script is not there.
    MissingRunner(String),
    /// It is for another processor.
    OtherMachine {
        /// Which one.
        machine: String,
        /// The host's.
        host: String,
    },
    /// It begins as ELF, and cannot be read as that.
    UnreadableElf(String),
    /// A directory at the top that is not laid over the host.
    NotMerged {
        /// What is to be done with it.
        advice: &'static str,
    },
    /// A package database, which would hide the host's.
    PackageDatabase,
    /// It is there already, with another content.
    Replaces {
        /// Whose it is: "the base".
        owner: String,
    },
    /// What is there already is of another kind, and goes from sight.
    Hides {
        /// What the extension has there.
        ours: &'static str,
        /// What is there.
        theirs: &'static str,
        /// Whose it is.
        owner: String,
    },
    /// It runs with more rights than who starts it.
    Privileged(&'static str),
    /// A device, pipe or socket.
    Special(&'static str),
}

impl Finding {
    pub(super) fn problem(path: &Path, fault: Fault) -> Finding {
        Finding { weight: Weight::Problem, path: path.to_owned(), fault }
    }

    pub(super) fn remark(path: &Path, fault: Fault) -> Finding {
        Finding { weight: Weight::Remark, path: path.to_owned(), fault }
    }

    /// A word for its kind, for programs.
    pub fn kind(&self) -> &'static str {
        match self.fault {
            Fault::MissingLibrary { .. } => "missing-library",
            Fault::MissingVersions { .. } => "missing-versions",
            Fault::MissingInterpreter(_) => "missing-interpreter",
            Fault::MissingRunner(_) => "missing-runner",
            Fault::OtherMachine { .. } => "other-machine",
            Fault::UnreadableElf(_) => "unreadable-elf",
            Fault::NotMerged { .. } => "not-merged",
            Fault::PackageDatabase => "package-database",
            Fault::Replaces { .. } => "replaces",
            Fault::Hides { .. } => "hides",
            Fault::Privileged(_) => "privileged",
            Fault::Special(_) => "special",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::MissingLibrary { library, elsewhere, similar } => {
                write!(f, "needs {library}, which is not found")?;
                match (elsewhere, similar.as_slice()) {
                    (Some(path), _) => {
                        write!(f, "; it is {}, where the loader does not look", path.display())
                    }
                    (None, []) => Ok(()),
                    (None, similar) => write!(f, "; there is {}", similar.join(", ")),
                }
            }
            Fault::MissingVersions { versions, library, owner, newest } => {
                write!(f, "needs {} of {library}; ", versions.join(", "))?;
                match newest {
                    Some(newest) => write!(f, "{owner} has up to {newest}"),
                    None => write!(f, "that of {owner} has no such version"),
                }
            }
            Fault::MissingInterpreter(path) => write!(f, "needs the loader {path}, which is not there"),
            Fault::MissingRunner(path) => write!(f, "is a script for {path}, which is not there"),
            Fault::OtherMachine { machine, host } => {
                write!(f, "is a program for {machine}, and the host is {host}")
            }
            Fault::UnreadableElf(why) => write!(f, "is a damaged ELF file: it {why}"),
            Fault::NotMerged { advice } => write!(f, "is not seen when the extension is merged: {advice}"),
            Fault::PackageDatabase => write!(f, "is a package database, and would hide the host's"),
            Fault::Replaces { owner } => write!(f, "is in {owner}, too, with another content"),
            Fault::Hides { ours, theirs, owner } => write!(f, "is {ours}, and {theirs} in {owner}"),
            Fault::Privileged(how) => write!(f, "is {how}"),
            Fault::Special(what) => write!(f, "is {what}"),
        }
    }
}
