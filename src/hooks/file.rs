//! What stands in the files of hooks.
//!
//! Every file says that it is ours, and which directories were made for it. Every one of them first looks whether the
//! program is there, and does nothing where it is not.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Error, Manager};

/// What tells a file of ours.
const MARK: &str = "Written by 'onlay hooks install'; 'onlay hooks remove' takes it away.";

/// Begins a line that names a directory made for the file.
const MADE: &str = "Made for it: ";

/// The exit code by which a hook stops apt. Another is of a program that failed, or does not know hooks, and stops nobody.
pub const STOP: u8 = 10;

/// What a hook's file is made of.
pub(super) struct Content<'a> {
    pub(super) manager: Manager,
    /// The program as hooks call it: an absolute path of plain letters.
    pub(super) program: &'a str,
    /// Directories that were made for the file.
    pub(super) made: &'a [PathBuf],
    /// Of libdnf5's plugin: whether a hook can stop a transaction (version 1.4).
    pub(super) stops: bool,
}

/// The program's path, where every shell and every format of settings takes it as it is.
pub(super) fn plain(program: &Path) -> Result<&str, Error> {
    let refused = |reason| Error::Program { path: program.to_owned(), reason };
    let text = program.to_str().filter(|text| {
        text.starts_with('/')
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._+-".contains(letter))
    });
    text.ok_or_else(|| refused("its path must be absolute, of plain letters, digits and '/._+-'"))
}

impl Content<'_> {
    /// All of the file.
    pub(super) fn text(&self) -> String {
        let program = self.program;
        let shebang = if self.manager == Manager::Zypper { "#!/bin/sh\n" } else { "" };
        let mut text = shebang.to_owned();
        let comment = if self.manager == Manager::Apt { "//" } else { "#" };
        let mut say = |words: &str| writeln!(text, "{comment} {words}").expect("memory to write to");
        say(MARK);
        for directory in self.made {
            say(&format!("{MADE}{}", directory.display()));
        }
        text + &match self.manager {
            Manager::Apt => apt(program),
            Manager::Dnf => DNF.replace("PROGRAM", program),
            Manager::Dnf5 => dnf5(program, self.stops),
            Manager::Zypper => format!("test -x {program} || exit 0\nexec {program} hooks run zypper\n"),
        }
    }
}

/// Whether a file is one of ours.
pub(super) fn is_ours(text: &str) -> bool {
    text.lines().take(2).any(|line| line.ends_with(MARK))
}

/// The directories that were made for a file of ours at `path`; whatever somebody wrote there, none that is not above it.
pub(super) fn made_for(text: &str, path: &Path) -> Vec<PathBuf> {
    let named = text.lines().filter_map(|line| line.split_once(MADE)).map(|(_, name)| PathBuf::from(name));
    named
        .filter(|directory| directory.is_absolute() && path.starts_with(directory) && directory != path)
        .collect()
}

/// With the settings on stdin (version 2), so that an installation in another root is known. They are asked for by the
/// first word of the command, which no other hook should have.
fn apt(program: &str) -> String {
    format!(
        "DPkg::Pre-Install-Pkgs {{ \"/usr/bin/test ! -x {program} || {program} hooks run apt || test $? != {STOP}\"; }};\n\
         DPkg::Tools::Options::/usr/bin/test::Version \"2\";\n"
    )
}

/// `raise_error` is needed to stop a transaction, and an error in all settings where the plugin does not know it. A
/// program that is missing, or fails, would stop it, too: so a shell is between, and what is printed is what counts.
fn dnf5(program: &str, stops: bool) -> String {
    let (raising, before) = if stops { (" raise_error=1", "dnf5-before") } else { ("", "dnf5-before-old") };
    let action = |moment: &str, options: &str, run: &str| {
        format!(
            "{moment}:::enabled=host-only{options}:/bin/sh -c test\\ !\\ -x\\ {program}\\ ||\\ {program}\\ hooks\\ run\\ {run}\\ ||\\ true\n"
        )
    };
    action("pre_transaction", raising, before) + &action("post_transaction", "", "dnf5-after")
}

/// What stops is told by dnf as an error: where its command is there for nothing but installing or removing, before it asks
/// its repositories anything; else before it downloads packages.
const DNF: &str = r#"import os
import subprocess

import dnf


class Onlay(dnf.Plugin):
    name = "onlay"

    commands = {
        "install", "reinstall", "upgrade", "upgrade-minimal", "downgrade", "remove", "autoremove",
        "distro-sync", "swap",
    }

    def _ask(self, moment):
        is_for_host = self.base.conf.installroot == "/" and not self.base.conf.downloadonly
        if not is_for_host or not os.access("PROGRAM", os.X_OK):
            return None
        try:
            return subprocess.run(
                ["PROGRAM", "hooks", "run", moment], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            )
        except OSError:
            return None

    def _stop(self, moment):
        answer = self._ask(moment)
        if answer is not None and answer.returncode == 0 and answer.stdout:
            raise dnf.exceptions.Error(answer.stdout.decode().strip())

    def config(self):
        command = getattr(self.cli, "command", None)
        options = getattr(command, "opts", None)
        is_download = getattr(options, "downloadonly", False)
        if not is_download and not self.commands.isdisjoint(getattr(command, "aliases", ())):
            self._stop("dnf-early")

    def resolved(self):
        if self.base.transaction:
            self._stop("dnf-before")

    def transaction(self):
        if self.base.transaction:
            self._ask("dnf-after")
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn content(manager: Manager, made: &[PathBuf]) -> String {
        Content { manager, program: "/usr/bin/onlay", made, stops: true }.text()
    }

    #[test]
    fn files_say_whose_they_are_and_what_was_made_for_them() {
        let made = [PathBuf::from("/etc/x/made")];
        for manager in Manager::ALL {
            let text = content(manager, &made);
            assert!(is_ours(&text), "{text}");
            assert_eq!(made_for(&text, Path::new("/etc/x/made/file")), made);
            assert_eq!(made_for(&text, Path::new("/etc/other/file")), Vec::<PathBuf>::new());
            assert!(text.contains("/usr/bin/onlay"), "{text}");
        }
        assert!(!is_ours("# Something\n# else\n# Written by 'onlay hooks install'\n"));
    }

    #[test]
    fn programs_with_odd_names_are_refused() {
        assert_eq!(plain(Path::new("/opt/on-lay_1.2/bin")).ok(), Some("/opt/on-lay_1.2/bin"));
        for odd in ["onlay", "/a b", "/a;b", "/a'b", "/a\nb", "/ä", "/a:b"] {
            assert!(matches!(plain(Path::new(odd)), Err(Error::Program { .. })), "{odd}");
        }
    }
}
