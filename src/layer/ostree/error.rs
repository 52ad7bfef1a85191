//! What can go wrong with repositories and deployments of OSTree.

use std::path::PathBuf;

use super::checksum::ObjectName;
use super::integrity::Demand;
use crate::host::selinux;
use crate::sys::{FileKind, IoError};
use crate::tool;

/// A refusal or failure that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no repository.
    #[error("'{}' is no OSTree repository", path.display())]
    NoRepository {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It keeps its objects in another way than a system does.
    #[error("repository '{}' has mode '{mode}', expected 'bare'", path.display())]
    Mode {
        /// The repository.
        path: PathBuf,
        /// What its settings say.
        mode: String,
    },
    /// It has some of its objects in another one.
    #[error("repository '{}' has a parent, '{parent}': only one that has all of its objects can be written to", path.display())]
    Parent {
        /// The repository.
        path: PathBuf,
        /// What its settings say.
        parent: String,
    },
    /// Somebody else has it.
    #[error("'{}' is in use", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// There is no such ref.
    #[error("repository '{}' has no ref '{name}'", path.display())]
    NoRef {
        /// The repository.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A name cannot be one of a ref.
    #[error("'{name}' cannot be the name of a ref")]
    RefName {
        /// The name.
        name: String,
    },
    /// A ref does not name a commit.
    #[error("ref '{name}' names '{content}', expected a checksum")]
    RefContent {
        /// The name.
        name: String,
        /// What is in it.
        content: String,
    },
    /// There is no such object.
    #[error("object {object} is missing")]
    Missing {
        /// Which.
        object: ObjectName,
    },
    /// An object is not what it should be.
    #[error("object {object} is damaged: {what}")]
    Damaged {
        /// Which.
        object: ObjectName,
        /// What is wrong.
        what: String,
    },
    /// Not all of a commit was downloaded.
    #[error("commit {0} is not complete in the repository", object.checksum)]
    Partial {
        /// Which.
        object: ObjectName,
    },
    /// A layer has what no commit can have.
    #[error("{} of what was written cannot be in a commit: {}", .0.len(), listed(.0))]
    Unfit(
        /// All of it.
        Vec<Unfit>,
    ),
    /// Files of layers cannot have what the system demands of what it boots.
    #[error("this system cannot have layers: {}", demanded(*demand))]
    Demanding {
        /// What that is.
        demand: Demand,
    },
    /// Less would stay free than is to.
    #[error("there is not enough room for that on the disk of repository '{}'", path.display())]
    NoRoom {
        /// The repository.
        path: PathBuf,
        /// What files take that are not there yet, in bytes.
        needed: u64,
        /// What is free for them.
        free: u64,
        /// What is to stay free besides, as the repository's settings have it.
        reserved: u64,
    },
    /// A file of settings, or a description of deployments, makes no sense.
    #[error("'{}' makes no sense: {what}", path.display())]
    Nonsense {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is no such deployment.
    #[error("there is no deployment {name}")]
    NoDeployment {
        /// How it was named.
        name: String,
    },
    /// Another one is booted next than when the change began.
    #[error(
        "deployment {found} is booted next now, and was {expected}: somebody else has changed that meanwhile"
    )]
    Moved {
        /// The one that the change began with.
        expected: String,
        /// The one that it is.
        found: String,
    },
    /// The policy's labels cannot be read.
    #[error("no labels of SELinux can be given: {0}")]
    Labels(#[from] selinux::Error),
    /// ostree said no.
    #[error(transparent)]
    Tool(#[from] tool::Error),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// Something that no commit can have, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Where, from the root of the layer.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

/// Why something cannot be in a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Only files, links and directories can.
    Kind(FileKind),
    /// Names are UTF-8.
    Name,
    /// What links say is UTF-8.
    Target,
    /// It was renamed by overlayfs without being copied (`redirect_dir`), or only its metadata was (`metacopy`).
    Elsewhere,
    /// It is in more directories than ostree follows.
    Depth,
}

fn demanded(demand: Demand) -> &'static str {
    match demand {
        Demand::Signature => {
            "its base boots only what is signed by its maker (prepare-root.conf: composefs 'enabled=signed')"
        }
        Demand::Verity => {
            "its base boots only files with fs-verity (prepare-root.conf: composefs 'enabled=verity'), which the file system of its repository, or the kernel, has not"
        }
        Demand::VerityOfObjects => {
            "its repository is to have only files with fs-verity (config: ex-integrity 'fsverity=yes'), which its file system, or the kernel, has not"
        }
        Demand::VerityOfBase => {
            "its base boots only files with fs-verity (prepare-root.conf: composefs 'enabled=verity'), which its own files have not; with ex-integrity 'fsverity=yes' in the repository's config, 'ostree admin post-copy' gives it to them"
        }
    }
}

fn listed(unfit: &[Unfit]) -> String {
    /// As many as a person reads.
    const SHOWN: usize = 5;
    let one = |Unfit { path, why }: &Unfit| {
        let path = path.display();
        match why {
            Why::Kind(kind) => format!("'{path}' is a {}", kind_name(*kind)),
            Why::Name => format!("the name of '{path}' is not UTF-8"),
            Why::Target => format!("what the link '{path}' says is not UTF-8"),
            Why::Elsewhere => format!("'{path}' is kept elsewhere by overlayfs (redirect_dir or metacopy)"),
            Why::Depth => format!("'{path}' is too deep"),
        }
    };
    let mut texts: Vec<String> = unfit.iter().take(SHOWN).map(one).collect();
    if unfit.len() > SHOWN {
        texts.push(format!("and {} more", unfit.len() - SHOWN));
    }
    texts.join(", ")
}

fn kind_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink => "link",
        FileKind::CharDevice | FileKind::BlockDevice => "device",
        FileKind::Fifo => "pipe",
        FileKind::Socket => "socket",
    }
}
