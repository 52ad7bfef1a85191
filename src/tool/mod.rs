//! Other people's programs, one file each. The only room that starts any.

#![allow(clippy::disallowed_methods)]

pub mod btrfs;
pub mod cache_makers;
pub mod getent;
pub mod grub;
pub mod ostree;
pub mod snapper;
pub mod systemctl;
pub mod systemd_nspawn;
pub mod systemd_sysext;
pub mod systemd_sysusers;
pub mod systemd_tmpfiles;
pub mod tukit;

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    /// It said something else than it is known to.
    #[error("'{command}' said what makes no sense: {problem}")]
    Nonsense {
        /// Its name and arguments.
        command: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Runs a program that is not to end with us: it does not get the signals of our terminal, and what it says goes to files in memory, so that
/// it can go on when we are gone, which pipes would not allow it. What it has printed is returned.
fn run_to_its_end(program: &'static str, path: &Path, arguments: &[OsString]) -> Result<Vec<u8>, Error> {
    let not_started = |source| Error::NotStarted { program, source };
    let [mut said, mut complained] =
        [memory_file().map_err(not_started)?, memory_file().map_err(not_started)?];
    let mut command = Command::new(path);
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).process_group(0);
    command.stdout(said.try_clone().map_err(not_started)?);
    command.stderr(complained.try_clone().map_err(not_started)?);
    let status = command.status().map_err(not_started)?;
    let mut text = Vec::new();
    said.rewind().and_then(|()| said.read_to_end(&mut text)).map_err(not_started)?;
    if status.success() {
        return Ok(text);
    }
    complained.rewind().and_then(|()| complained.read_to_end(&mut text)).map_err(not_started)?;
    Err(Error::Failed { command: shown(program, arguments), status, words: last_words(&text) })
}

/// A command, for people.
fn shown(program: &str, arguments: &[OsString]) -> String {
    let words = arguments.iter().map(|argument| argument.to_string_lossy());
    std::iter::once(program.into()).chain(words).collect::<Vec<_>>().join(" ")
}

fn memory_file() -> Result<File, std::io::Error> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(rustix::fs::memfd_create("onlay-tool", flags).map(File::from)?)
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
