//! What can go wrong with snapshots.

use std::path::PathBuf;

use crate::host::selinux;
use crate::layer::BootFiles;
use crate::sys::{IoError, MountError};
use crate::tool;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What is booted next is not one of them.
    #[error("none of snapper's snapshots is booted next")]
    NoDefault,
    /// Another one is booted next than when the change began.
    #[error(
        "snapshot {found} is booted next now, and was {expected}: somebody else has changed that meanwhile"
    )]
    Moved {
        /// The one that the change began with.
        expected: u64,
        /// The one that it is.
        found: u64,
    },
    /// What is written to it until the reboot would be lost.
    #[error(
        "snapshot {number}, which is booted next, can be written to: install packages there as on any other host"
    )]
    Writable {
        /// Which.
        number: u64,
    },
    /// What is in it would not be in a snapshot.
    #[error("/etc is an overlay over the snapshot, as older versions of transactional-update make it")]
    EtcOverlay,
    /// It would go back in time with the packages.
    #[error("/var is in the snapshots, so what was written there until the reboot would be lost")]
    VarInside,
    /// Another kernel would not be found by what boots.
    #[error("that changes the kernel ({}), and {}", listed(paths), in_words(*boot))]
    Kernel {
        /// Files and directories of another kernel.
        paths: Vec<PathBuf>,
        /// Where what boots is.
        boot: BootFiles,
    },
    /// GRUB's list could not be made anew.
    #[error("'{}' could not be made anew: {words}", list.display())]
    List {
        /// The list.
        list: PathBuf,
        /// Why, in its maker's words.
        words: String,
    },
    /// GRUB's list was made anew, and would not boot the kernel.
    #[error("'/{}' was made anew, and does not have kernel {kernel}", list.display())]
    Unlisted {
        /// The list.
        list: PathBuf,
        /// The kernel's version.
        kernel: String,
    },
    /// A file system could not be shown to it.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// It is not ours to remove.
    #[error("snapshot {number} was not made by onlay")]
    OfOthers {
        /// Which.
        number: String,
    },
    /// transactional-update is at work.
    #[error("transactional-update is at work ('{}' is locked)", path.display())]
    Busy {
        /// What is locked.
        path: PathBuf,
    },
    /// The policy's labels cannot be read.
    #[error(transparent)]
    Labels(#[from] selinux::Error),
    /// A program said no.
    #[error(transparent)]
    Tool(#[from] tool::Error),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] IoError),
}

fn in_words(boot: BootFiles) -> &'static str {
    match boot {
        BootFiles::Elsewhere => "/boot is another file system, which all snapshots share",
        BootFiles::Entries => {
            "this host boots by entries on the EFI system partition, which sdbootutil makes with their initramfs"
        }
        BootFiles::Within | BootFiles::Unknown => {
            "nothing says what boots: /boot has neither a link 'vmlinuz' nor GRUB's list"
        }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
