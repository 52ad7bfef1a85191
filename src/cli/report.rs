//! How an error is told: what failed, why, what helps, and the exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use super::hints::hint;
use super::output;
use crate::extension::{activate, build};
use crate::store::client;
use crate::sys::{IoError, MountError, with_causes};
use crate::{
    extension, hooks, image, layer, live, overlay, pkgdb, resolve, shell,
    store::{self, publish},
    tool,
};

/// Could not.
pub(super) const FAILED: u8 = 1;
/// The words on the command line make no sense.
pub(super) const USAGE: u8 = 2;
/// This host cannot do that.
pub(super) const UNABLE: u8 = 3;

/// Any error of a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Shell(#[from] shell::Error),
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    #[error(transparent)]
    Io(#[from] IoError),
    #[error(transparent)]
    Packages(#[from] pkgdb::Error),
    #[error("'{}' and '{}' are of different package systems", one.display(), other.display())]
    OtherSystem { one: PathBuf, other: PathBuf },
    #[error("the directory '{}' is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("there is no header of rpm's in '{}'", .0.display())]
    NothingToImport(PathBuf),
    #[error("there is a package database already: '{}'", .0.display())]
    DatabaseExists(PathBuf),
    #[error("only root may do that")]
    NotRoot,
    #[error("'{0}' is about the running host, not about another root")]
    RunningOnly(&'static str),
    #[error("something was changed, and it was not said that it may go")]
    NotAgreed,
    #[error(transparent)]
    Live(#[from] live::Error),
    #[error(transparent)]
    Hooks(#[from] hooks::Error),
    #[error(transparent)]
    Extension(#[from] extension::Error),
    #[error(transparent)]
    Activate(#[from] activate::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error(transparent)]
    Layer(#[from] layer::Error),
    #[error("no store can be used")]
    NoStore,
    #[error("'{name}' is pinned to {version}, and would become {newest}")]
    Pinned { name: String, version: String, newest: String },
    #[error("'{name}' {wanted} is not enabled: {enabled} is")]
    OtherEnabled { name: String, wanted: String, enabled: String },
    #[error("no store has '{0}'")]
    NotInStores(String),
    #[error("'{name}': {nothing}")]
    NotThatVersion { name: String, nothing: Box<client::Nothing> },
    #[error(transparent)]
    Publish(#[from] publish::Error),
    #[error("overlay '{0}' lives in RAM and cannot be looked into from outside")]
    InRam(overlay::OverlayName),
    #[error("{failed} of {all} overlays could not be removed")]
    Some { failed: usize, all: usize },
    #[error("{0}")]
    Words(String),
    #[error("the base has other versions of what would go into '{name}': {packages}", packages = packages.join(", "))]
    Replaces { name: String, packages: Vec<String> },
    #[error("the base has all of it already: {packages}", packages = packages.join(", "))]
    HasAll { packages: Vec<String> },
    #[error(transparent)]
    Build(#[from] build::Error),
    #[error("cannot sign with '{}': {problem}", key.display())]
    Key { key: PathBuf, problem: image::ddi::KeyProblem },
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
}

/// Prints an error with its causes and a hint, and gives its exit code.
pub(super) fn show(error: &Error) -> ExitCode {
    let reader_has_gone =
        matches!(error, Error::Output(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe);
    if reader_has_gone {
        return ExitCode::SUCCESS;
    }
    output::complain(&format!("onlay: {}", with_causes(error)));
    if let Some(hint) = hint(error) {
        output::complain(&format!("hint: {hint}"));
    }
    ExitCode::from(code(error))
}

fn code(error: &Error) -> u8 {
    match error {
        Error::Words(_)
        | Error::Publish(publish::Error::Address { .. } | publish::Error::Credentials(_))
        | Error::Shell(shell::Error::Conflict { .. } | shell::Error::TooLarge { .. }) => USAGE,
        Error::Shell(shell::Error::Command { source, .. }) => {
            shell::exec_failure_code(source.raw_os_error().unwrap_or_default())
        }
        Error::Resolve(resolve::Error::NoManager { .. })
        | Error::Layer(
            layer::Error::NoBackend { .. }
            | layer::Error::OfImage { .. }
            | layer::Error::NoManager
            | layer::Error::DatabaseInVar { .. }
            | layer::Error::Tool(tool::Error::Missing { .. })
            | layer::Error::Ostree(
                layer::ostree::Error::Demanding { .. }
                | layer::ostree::Error::Tool(tool::Error::Missing { .. }),
            )
            | layer::Error::Snapper(
                layer::snapper::Error::NoDefault
                | layer::snapper::Error::Writable { .. }
                | layer::snapper::Error::EtcOverlay
                | layer::snapper::Error::VarInside
                | layer::snapper::Error::Tool(tool::Error::Missing { .. }),
            ),
        )
        | Error::Shell(
            shell::Error::NoCapability
            | shell::Error::NoInit { .. }
            | shell::Error::Tool(tool::Error::Missing { .. }),
        )
        | Error::Live(live::Error::NoSystemd)
        | Error::Activate(
            activate::Error::NoSystemd
            | activate::Error::TooOld(_)
            | activate::Error::Tool(tool::Error::Missing { .. }),
        )
        | Error::Hooks(hooks::Error::NoManager | hooks::Error::Unable { .. })
        | Error::Packages(pkgdb::Error::Unsupported { .. }) => UNABLE,
        Error::Shell(shell::Error::Overlay(inner)) | Error::Overlay(inner) => overlay_code(inner),
        _ => FAILED,
    }
}

fn overlay_code(error: &overlay::Error) -> u8 {
    match error {
        overlay::Error::NoSuchPackage { .. } => USAGE,
        overlay::Error::UnsuitableState { .. }
        | overlay::Error::Mount(
            MountError::NotPermitted
            | MountError::NoOverlayfs
            | MountError::UnsuitableUpper { .. }
            | MountError::TooDeep { .. },
        )
        | overlay::Error::Packages(pkgdb::Error::Unsupported { .. }) => UNABLE,
        _ => FAILED,
    }
}
