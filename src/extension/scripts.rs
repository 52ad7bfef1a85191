//! Scripts: what runs a file that begins with `#!` (execve(2)), and whether that is there.

use std::path::{Path, PathBuf};

use super::{Error, Stack};

/// The kernel reads as much of the first line (BINPRM_BUF_SIZE).
pub(super) const LONGEST_LINE: usize = 256;

/// Where env(1) looks when a service or a person starts a script.
const PATH: &[&str] = &["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin", "usr/games"];

/// What runs a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Runner {
    /// A program by its path.
    Program(PathBuf),
    /// A program that env(1), by its path, finds by its name.
    Named(PathBuf, String),
}

impl Runner {
    /// Reads the first line of a file.
    pub(super) fn of(beginning: &[u8]) -> Option<Runner> {
        let line = beginning.strip_prefix(b"#!")?;
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let mut words = line.split_ascii_whitespace();
        let program = PathBuf::from(words.next()?);
        if program.file_name().is_none_or(|name| name != "env") {
            return Some(Runner::Program(program));
        }
        let named = words.find(|word| !word.starts_with('-') && !word.contains('='));
        Some(match named {
            Some(name) if !name.contains('/') => Runner::Named(program, name.to_owned()),
            Some(path) => Runner::Program(path.into()),
            None => Runner::Program(program),
        })
    }

    /// What of it is not there.
    pub(super) fn missing(&self, stack: &Stack<'_>) -> Result<Option<String>, Error> {
        let is_there = |path: &Path| Ok::<_, Error>(stack.resolve(path)?.is_some());
        let program = match self {
            Runner::Program(path) | Runner::Named(path, _) => path,
        };
        // The kernel takes one that is not absolute from where the caller is: nobody can say.
        if program.is_absolute() && !is_there(program)? {
            return Ok(Some(program.display().to_string()));
        }
        if let Runner::Named(_, name) = self {
            for directory in PATH {
                if is_there(&Path::new(directory).join(name))? {
                    return Ok(None);
                }
            }
            return Ok(Some(name.clone()));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_runs_a_script() {
        let named = |name: &str| Some(Runner::Named("/usr/bin/env".into(), name.to_owned()));
        for (text, runner) in [
            ("#!/bin/sh\nexit", Some(Runner::Program("/bin/sh".into()))),
            ("#! /usr/bin/perl -w\n", Some(Runner::Program("/usr/bin/perl".into()))),
            ("#!/usr/bin/env python3\n", named("python3")),
            ("#!/usr/bin/env -S LANG=C perl -w\n", named("perl")),
            ("#!/usr/bin/env /bin/sh", Some(Runner::Program("/bin/sh".into()))),
            ("#!/usr/bin/env\n", Some(Runner::Program("/usr/bin/env".into()))),
            ("#!\n", None),
            ("", None),
            ("# !/bin/sh", None),
        ] {
            assert_eq!(Runner::of(text.as_bytes()), runner, "{text:?}");
        }
    }
}
