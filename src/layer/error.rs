//! What can go wrong with layers.

use std::path::PathBuf;

use crate::extension::{activate, build};
use crate::host::selinux;
use crate::resolve::Manager;
use crate::sys::{IoError, MountError};
use crate::{overlay, pkgdb, shell};

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else is composing.
    #[error("another onlay is working on layers ('{}' is locked)", path.display())]
    Busy {
        /// What is locked.
        path: PathBuf,
    },
    /// A deployment's list of requests makes no sense, or was written by a later version.
    #[error("'{}' cannot be read: {problem}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody knows what is layered in a deployment.
    #[error("what is layered in deployment {id} is not known: {problem}")]
    NotKnown {
        /// Its name.
        id: String,
        /// Why.
        problem: String,
    },
    /// What boots next has not the layers of what runs, and nobody has asked for that here.
    #[error("others have made the next boot, without the layers of what runs ({requests})")]
    LeftBehind {
        /// What was asked for, in words.
        requests: String,
    },
    /// The package database is the machine's own, and so would be wrong in one of two deployments.
    #[error("the base has its package database in '{}', which deployments share: layers need it below /usr", path.display())]
    DatabaseInVar {
        /// The database.
        path: PathBuf,
    },
    /// A word is no name of a package.
    #[error("'{name}' is no name of a package")]
    BadName {
        /// The word.
        name: String,
    },
    /// There is no package manager in the base.
    #[error("there is no apt, dnf or zypper in the base that could install packages")]
    NoManager,
    /// The overlay could not be entered.
    #[error("cannot work in the base: {words}")]
    NotEntered {
        /// Why.
        words: String,
    },
    /// The package manager finds no way, or one of its scripts failed.
    #[error("{manager} {what}: {reason}", what = if *is_install { "could not install" } else { "cannot do that" })]
    Refused {
        /// Who.
        manager: Manager,
        /// Whether it had begun to install.
        is_install: bool,
        /// Why, in its words.
        reason: String,
        /// All that it said.
        words: String,
    },
    /// A script of a package does not end.
    #[error("the packages' scripts have not ended after {seconds} s")]
    TooSlow {
        /// How long was waited.
        seconds: u64,
    },
    /// It could only be done by removing what the base has.
    #[error("{} would have to go from the base", packages.join(", "))]
    Removes {
        /// What would go.
        packages: Vec<String>,
    },
    /// It could only be done by going back to an older version of what the base has.
    #[error("{} of the base would have to go back", packages.join(", "))]
    Downgrades {
        /// What would go back, each in words.
        packages: Vec<String>,
    },
    /// Requests stand in the way, each by itself.
    #[error("{}", blocked_in_words(blocked, *is_upgrade))]
    Blocked {
        /// Their names, and why.
        blocked: Vec<(String, String)>,
        /// Whether it is the base that has changed, and not what is asked for.
        is_upgrade: bool,
    },
    /// OSTree boots the one kernel of a deployment.
    #[error("{}", kernels_in_words(kernels))]
    Kernels {
        /// Their versions.
        kernels: Vec<String>,
    },
    /// A kernel would boot without what finds its disks.
    #[error(
        "kernel {kernel} needs an initramfs, and there is no dracut or mkinitramfs in the base that makes one"
    )]
    NoInitramfs {
        /// Its version.
        kernel: String,
    },
    /// A kernel would boot with what cannot open the host's disks.
    #[error(
        "kernel {kernel} needs an initramfs that opens encrypted disks as /etc/crypttab says, which takes the host that has them"
    )]
    EncryptedBoot {
        /// Its version.
        kernel: String,
    },
    /// An initramfs could not be made anew.
    #[error("the initramfs could not be made: {reason}")]
    Initramfs {
        /// Why, in its maker's words.
        reason: String,
        /// All that it said.
        words: String,
    },
    /// Package files that were given are there no more.
    #[error("the files that these packages were given as are not kept any more: {}", names.join(", "))]
    FilesGone {
        /// The packages.
        names: Vec<String>,
    },
    /// What was not asked for cannot be taken back.
    #[error("{}", not_requested(needed, of_base, unknown))]
    NotRequested {
        /// Packages that others need.
        needed: Vec<String>,
        /// Packages of the base.
        of_base: Vec<String>,
        /// What is not there at all.
        unknown: Vec<String>,
    },
    /// What was tried cannot be had again from repositories.
    #[error("no repository is asked for what takes the place of the base's: {}", in_brackets(packages))]
    Barred {
        /// The packages, and why.
        packages: Vec<(String, String)>,
    },
    /// An overlay has the packages of what it lies over.
    #[error("the packages of overlay '{name}' are those of the host")]
    NothingTried {
        /// Its name.
        name: String,
    },
    /// Packages were named that are not among what was tried.
    #[error("not among what is to be asked for: {}", names.join(", "))]
    NotTried {
        /// Their names.
        names: Vec<String>,
    },
    /// The deployment has what another program was asked for, and would lose it.
    #[error("the deployment that is booted next has layers of rpm-ostree's or atomic-pkglayer's")]
    LayersOfOthers,
    /// The host boots a container image.
    #[error(
        "this host boots the container image '{image}': packages come into its next boot by an image that is derived from that"
    )]
    OfImage {
        /// Its name.
        image: String,
    },
    /// What is new cannot be there at once.
    #[error("that cannot be there at once: {}", why.join("; "))]
    NotNow {
        /// All reasons.
        why: Vec<String>,
    },
    /// The extension with what is new cannot be made.
    #[error(transparent)]
    Build(#[from] Box<build::Error>),
    /// The extension with what is new cannot be merged.
    #[error(transparent)]
    Activate(#[from] activate::Error),
    /// There is no such deployment.
    #[error("there is no deployment '{id}'")]
    NoDeployment {
        /// How it was named.
        id: String,
    },
    /// Several deployments begin alike.
    #[error("several deployments begin with '{id}'")]
    Ambiguous {
        /// How it was named.
        id: String,
    },
    /// Nothing of the host can be booted with other packages.
    #[error("this host has no deployments that layers could be in: {why}")]
    NoBackend {
        /// Why.
        why: String,
    },
    /// Where the base comes from, there is an older one.
    #[error("'{refspec}' leads to an older base than the one that is deployed")]
    OlderBase {
        /// Where it comes from.
        refspec: String,
    },
    /// A program of the host's said no.
    #[error(transparent)]
    Tool(#[from] crate::tool::Error),
    /// A package file cannot be read.
    #[error(transparent)]
    Archive(#[from] crate::package::archive::Error),
    /// A package file was written to while it was read.
    #[error("'{}' has changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A policy of SELinux cannot be read.
    #[error("no labels of SELinux can be given: {0}")]
    Labels(#[from] selinux::Error),
    /// A repository or deployment of OSTree's.
    #[error(transparent)]
    Ostree(#[from] super::ostree::Error),
    /// A snapshot of snapper's.
    #[error(transparent)]
    Snapper(#[from] super::snapper::Error),
    /// It makes no sense to enter it.
    #[error(transparent)]
    Shell(#[from] shell::Error),
    /// The overlay.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// A package database.
    #[error(transparent)]
    Database(#[from] pkgdb::Error),
    /// The base could not be shown.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] IoError),
}

fn kernels_in_words(kernels: &[String]) -> String {
    match kernels.len() {
        0 => "the next boot would have no kernel".to_owned(),
        count => format!("the next boot would have {count} kernels ({}), and takes one", kernels.join(", ")),
    }
}

fn blocked_in_words(blocked: &[(String, String)], is_upgrade: bool) -> String {
    let begin = match blocked.len() {
        _ if !is_upgrade => "that cannot be had",
        1 => "this request stands in the way",
        _ => "these requests stand in the way",
    };
    format!("{begin}: {}", in_brackets(blocked))
}

fn in_brackets(each: &[(String, String)]) -> String {
    let each: Vec<String> = each.iter().map(|(name, why)| format!("{name} ({why})")).collect();
    each.join("; ")
}

fn not_requested(needed: &[String], of_base: &[String], unknown: &[String]) -> String {
    let parts = [
        (needed, "was not asked for: other layers need it", "were not asked for: other layers need them"),
        (of_base, "is a package of the base, not of a layer", "are packages of the base, not of layers"),
        (unknown, "is not layered", "are not layered"),
    ];
    let words = parts.iter().filter(|(names, ..)| !names.is_empty());
    let words: Vec<String> = words
        .map(|(names, one, several)| {
            format!("{} {}", names.join(", "), if names.len() == 1 { one } else { several })
        })
        .collect();
    words.join("; ")
}
