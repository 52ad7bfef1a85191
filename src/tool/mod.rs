//! Other people's programs, one file each. The only room that starts any.

#![allow(clippy::disallowed_methods)]

pub mod cache_makers;
pub mod getent;
pub mod ostree;
pub mod systemctl;
pub mod systemd_nspawn;
pub mod systemd_sysext;
pub mod systemd_sysusers;
pub mod systemd_tmpfiles;

use std::path::{Path, PathBuf};

/// What can go wrong with a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not installed.
    #[error("'{program}' is not installed")]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// It could not be started.
    #[error("cannot start '{program}'")]
    NotStarted {
        /// Its name.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It ended with a failure.
    #[error("'{command}' ended with {status}: {words}")]
    Failed {
        /// Its name and arguments.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last that it said.
        words: String,
    },
}

/// The last lines of what a program said, as one.
fn last_words(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST)..].join("; ")
}

/// How many lines are the last ones.
const LAST: usize = 3;

fn find(program: &'static str) -> Result<PathBuf, Error> {
    find_any(program).ok_or(Error::Missing { program })
}

/// Finds a program through PATH and where system programs are.
fn find_any(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_absolute() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
}
