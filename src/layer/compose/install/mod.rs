//! What the base's package manager is told to do: first to download, then, without a network, to install.
//!
//! Both steps go by the same lists of packages, so the second one does what the first one planned.

mod apt;
mod dnf;
mod rpm;
mod zypper;

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::run::{BEGUN, PRIMED};
use super::seal::{BEFORE, MOVED, PARKED, SEAL};
use super::var::OPT;
use super::{boot_files, kernel};
use crate::layer::PLACE;
use crate::resolve::Manager;
use crate::shell::SHARED;

/// What is to be installed and removed.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    /// Packages to be there, by name.
    pub packages: Vec<String>,
    /// Package files to be there, by their names in the cache's directory [`FILES`].
    pub files: Vec<PathBuf>,
    /// Packages of the base to be removed.
    pub removed: Vec<String>,
    /// Get new lists of packages first.
    pub refresh: bool,
    /// Get nothing from a network.
    pub offline: bool,
    /// How what is there already is changed. Nothing where it is a base by itself.
    pub upon: Option<Upon>,
}

/// What is there already stays, layers and all, and is changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Upon {
    /// Packages of layers that are there only as long as others need them, each with its version.
    pub automatic: Vec<(String, String)>,
    /// Whether some of these have just come to be so, and may go.
    pub drops: bool,
    /// Whether packages come back in whose place others are.
    pub restores: bool,
    /// Take the newest versions of all packages.
    pub upgrade: bool,
    /// The words for packages that are asked for.
    pub asked: Vec<String>,
    /// Packages that are there in a version that was asked for, or from files that were given, and keep it.
    pub kept: Vec<String>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Plan and download.
    Download,
    /// Install what was downloaded.
    Install,
    /// Make an initramfs anew, where packages have changed what it is made of.
    Kernel {
        /// Whether it is known that they have.
        is_sure: bool,
    },
    /// Put in what Onlay itself has to say, and move what cannot stay in /var.
    Seal,
}

/// Below the cache: package files that were given.
pub(in crate::layer) const FILES: &str = "files";

/// In the cache: words for packages that the base has by itself.
pub(super) use rpm::SATISFIED;
/// What packages keep in /var of themselves, by paths from there: which of their services were enabled or masked once, which versions of
/// their settings people were asked about, and (with RPMs) of which programs there are several. Where /var is the machine's own, it is kept in each snapshot, so that it is what the packages there know.
pub(super) const CARRIED: &[&str] = &[
    "lib/alternatives",
    "lib/systemd/deb-systemd-helper-enabled",
    "lib/systemd/deb-systemd-helper-masked",
    "lib/systemd/deb-systemd-user-helper-enabled",
    "lib/systemd/deb-systemd-user-helper-masked",
    "lib/ucf",
];

/// Where it is kept, from the root of a snapshot.
pub(super) const KEPT: &str = "usr/lib/onlay/var";

/// What a package manager plans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In its order.
    pub packages: Vec<Planned>,
    /// Words for packages that the base has by itself; nothing where a package manager does not say it, and they are those that are
    /// not in the plan.
    pub satisfied: Option<BTreeSet<String>>,
}

/// One package of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Its architecture, in its package manager's words; empty where it is not told.
    pub architecture: String,
    /// The version that is there.
    pub old: Option<String>,
    /// The version that will be there.
    pub new: Option<String>,
}

impl Plan {
    /// Packages that it takes away.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        self.packages.iter().filter(|planned| planned.new.is_none()).map(|planned| &*planned.name)
    }

    /// Packages that it puts in.
    pub fn installed(&self) -> impl Iterator<Item = &Planned> {
        self.packages.iter().filter(|planned| planned.new.is_some())
    }
}

impl Planned {
    /// What changes, in words; nothing where neither version is known.
    pub fn in_words(&self) -> Option<String> {
        Some(match (&self.old, &self.new) {
            (Some(old), Some(new)) => format!("changed {} {old} to {new}", self.name),
            (None, Some(new)) => format!("added {} {new}", self.name),
            (Some(old), None) => format!("removed {} {old}", self.name),
            (None, None) => return None,
        })
    }
}

impl Steps {
    /// The paths of the package files, as they are inside.
    fn file_words(&self) -> impl Iterator<Item = String> + '_ {
        self.files.iter().map(|file| format!("{SHARED}/{FILES}/{}", file.display()))
    }

    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        let is_changed = self.upon.as_ref().is_some_and(|upon| upon.drops || upon.upgrade);
        self.packages.is_empty() && self.files.is_empty() && self.removed.is_empty() && !is_changed
    }

    /// The script of a step, to be run by sh(1) with [`Steps::words`] as arguments.
    pub(super) fn script(&self, manager: Manager, step: Step) -> String {
        let is_install = match step {
            Step::Download => false,
            Step::Install => true,
            Step::Kernel { .. } if self.upon.is_some() => return boot_files::script(),
            Step::Kernel { is_sure } => return kernel::script(is_sure),
            Step::Seal => return seal_script(self),
        };
        match manager {
            Manager::Apt => apt::script(self, is_install),
            Manager::Zypper => zypper::script(self, is_install),
            Manager::Dnf | Manager::Dnf5 => dnf::script(manager, self, is_install),
        }
    }

    /// The package manager's words for what is wanted.
    pub(super) fn words(&self, manager: Manager) -> Vec<String> {
        match manager {
            Manager::Apt => apt::words(self),
            Manager::Zypper => zypper::words(self),
            Manager::Dnf | Manager::Dnf5 => dnf::words(self),
        }
    }
}

/// Lines of a script that put aside what is there before packages come: what of /var, and who. What was moved out of /opt is where
/// packages know it.
fn primed(steps: &Steps) -> String {
    format!(
        "for place in {OPT}/*; do\n\
         [ ! -d \"$place\" ] || [ -e \"/opt/${{place##*/}}\" ] || ln -s \"$place\" /opt/ || exit\n\
         done\n\
         systemd-tmpfiles --create --prefix=/var --boot >/dev/null 2>&1\n\
         (cd /var && find . -print0) >{PRIMED} || exit\n\
         mkdir -p {BEFORE} && cp /etc/passwd /etc/group {BEFORE}/ || exit\n\
         {kernels}",
        kernels = if steps.upon.is_some() { boot_files::noted() } else { kernel::noted() },
    )
}

/// The first lines of a script: where it works, and that all its words go to one file, in the language that is read here.
pub(super) fn preamble() -> String {
    format!("cd {SHARED} || exit\n: >{BEGUN}\nexec </dev/null >words 2>&1\nexport LC_ALL=C\n")
}

impl Upon {
    /// Names of packages that are there only as long as others need them.
    fn automatic_names(&self) -> impl Iterator<Item = &String> {
        self.automatic.iter().map(|(name, _)| name)
    }
}

/// What transactional-update sets for whoever works in a snapshot: packages' scripts go by it, and leave entries of a boot loader to those who make the
/// snapshot the one that is booted. zypp's plugin for snapper would make snapshots of what is only a sandbox.
fn in_snapshot(steps: &Steps) -> &'static str {
    match steps.upon {
        Some(_) => {
            "export TRANSACTIONAL_UPDATE=true DISABLE_RESTART_ON_UPDATE=yes DISABLE_SNAPPER_ZYPP_PLUGIN=1\n"
        }
        None => "",
    }
}

/// What SQLite has beside a database that was made one file is in the way of who can only read.
///
/// The kernel copies up the directories that are written to, with their owners and labels. What is moved takes the place of what an
/// earlier version has left there.
fn seal_script(steps: &Steps) -> String {
    format!(
        "{preamble}\
         umask 022\n\
         {keep}\
         [ -e {SEAL}/{PLACE} ] || rm -f /{PLACE} || exit\n\
         [ ! -e {SEAL}/usr ] || cp -R --no-preserve=all {SEAL}/usr/. /usr/ || exit\n\
         xargs -0 -r sh -c 'for path; do rm -f \"$path-wal\" \"$path-shm\"; done' sh <{SEAL}/{PARKED} || exit\n\
         [ -s {SEAL}/{MOVED} ] || exit 0\n\
         mkdir -p {OPT} || exit\n\
         (cd {OPT} && xargs -0 -n 1 basename -z -- <{SHARED}/{SEAL}/{MOVED} | xargs -0 rm -rf --) || exit\n\
         cd / && xargs -0 mv -t {OPT} -- <{SHARED}/{SEAL}/{MOVED}\n",
        preamble = preamble(),
        keep = if steps.upon.is_some() { keep() } else { String::new() },
    )
}

/// Lines of a script for the end of an installation in what was there before: what is left of packages that were moved out of /opt.
fn tidied(steps: &Steps) -> String {
    let lines = format!("[ ! -d {OPT} ] || find {OPT} -mindepth 1 -depth -type d -empty -delete\n");
    if steps.upon.is_some() { lines } else { String::new() }
}

/// Keeps what packages have in /var of themselves.
fn keep() -> String {
    format!(
        "rm -rf /{KEPT} && mkdir -p /{KEPT} || exit\n\
         for place in {places}; do\n\
         [ ! -e \"/var/$place\" ] || (cd /var && cp -a --parents \"$place\" /{KEPT}/) || exit\n\
         done\n",
        places = CARRIED.join(" "),
    )
}

/// What it says that it will do.
pub(super) fn plan(manager: Manager, text: &str) -> Plan {
    match manager {
        Manager::Apt => apt::plan(text),
        Manager::Zypper => zypper::plan(text),
        Manager::Dnf | Manager::Dnf5 => dnf::plan(text),
    }
}

/// What a run said that a person should read, which has failed.
pub(super) fn reason(manager: Manager, step: Step, words: &str, plan: &str) -> String {
    match step {
        Step::Download => manager.reason(words, plan),
        Step::Install => failed_script(manager, words).unwrap_or_else(|| match manager {
            Manager::Zypper => rpm::last_words(words),
            _ => manager.reason(words, plan),
        }),
        Step::Kernel { .. } | Step::Seal => rpm::last_words(words),
    }
}

/// What the script of a package said that failed while packages were installed, whether or not their manager has taken it for a failure.
pub(super) fn failed_script(manager: Manager, words: &str) -> Option<String> {
    match manager {
        Manager::Apt => apt::failed_script(words),
        _ => rpm::failed_script(words),
    }
}

/// Words for packages that the base has by itself, where a step has left them.
pub(super) fn satisfied(manager: Manager, text: &str) -> Option<BTreeSet<String>> {
    (manager != Manager::Apt).then(|| text.lines().map(str::to_owned).collect())
}
