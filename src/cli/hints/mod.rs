//! What helps where something failed: the line that begins with "hint:".

mod extensions;
mod overlays;

use std::path::Path;

use super::output::program;
use super::report::Error;
use crate::store::publish;
use crate::sys::{IoError, MountError};
use crate::{extension, pkgdb, resolve, shell};
use extensions::{activate_hint, build_hint, client_hint, publish_hint, store_hint};
use overlays::{hooks_hint, layers_hint, live_hint, overlay_hint, shell_hint};

pub(super) fn hint(error: &Error) -> Option<String> {
    let onlay = program();
    match error {
        Error::NotRoot | Error::Shell(shell::Error::NotRoot) => Some("try again with sudo".into()),
        Error::Shell(error) => shell_hint(error),
        Error::Overlay(error) => overlay_hint(error),
        Error::Io(error) | Error::Extension(extension::Error::Io(error)) => io_hint(error),
        Error::Store(error) | Error::Publish(publish::Error::Store(error)) => store_hint(error),
        Error::Publish(error) => publish_hint(error),
        Error::Client(error) => client_hint(error),
        Error::NotInStores(_) | Error::NotThatVersion { .. } => {
            Some(format!("'{onlay} ext search' lists what they have"))
        }
        Error::Pinned { name, newest, .. } => Some(format!(
            "'{onlay} ext unpin {name}' lets it be updated again; '{onlay} ext add {name}={newest}' makes it that, and keeps it so"
        )),
        Error::OtherEnabled { name, wanted, .. } => Some(format!(
            "'{onlay} ext enable {name}={wanted}' enables one that is here, '{onlay} ext add {name}={wanted}' brings one"
        )),
        Error::InRam(name) => Some(format!("'{onlay} shell {name}' joins it while it runs")),
        Error::Packages(error) => packages_hint(error),
        Error::NotEmpty(_) => Some("give a directory that is not there yet".into()),
        Error::NothingToImport(_) => Some(format!("give the directory that '{onlay} db export' filled")),
        Error::DatabaseExists(_) => Some("give a directory without one".into()),
        Error::NotAgreed => Some(format!(
            "'{onlay} diff --live' lists it; '{onlay} lock --save NAME' keeps it as an overlay, '{onlay} lock --discard' discards it"
        )),
        Error::Live(error) => live_hint(error),
        Error::Hooks(error) => hooks_hint(error),
        Error::Replaces { .. } => Some("--replace lets them hide the base's".into()),
        Error::Resolve(error) => resolve_hint(error),
        Error::Build(error) => build_hint(error),
        Error::Layer(error) => layers_hint(error),
        Error::Activate(error) => activate_hint(error),
        Error::Some { .. }
        | Error::NoStore
        | Error::Words(_)
        | Error::HasAll { .. }
        | Error::Key { .. }
        | Error::Image(_)
        | Error::Output(_)
        | Error::OtherSystem { .. }
        | Error::RunningOnly(_)
        | Error::Extension(_) => None,
    }
}

fn resolve_hint(error: &resolve::Error) -> Option<String> {
    match error {
        resolve::Error::NoManager { .. } => Some("give package files, by paths with a '/' in them".into()),
        resolve::Error::Shell(error) => shell_hint(error),
        resolve::Error::Io(error) => io_hint(error),
        _ => None,
    }
}

fn packages_hint(error: &pkgdb::Error) -> Option<String> {
    match error {
        pkgdb::Error::InUse { .. } => Some("try again when the package manager is done".into()),
        pkgdb::Error::Missing { .. } => {
            Some("a database is found by the root of its system, or by its own directory or file".into())
        }
        pkgdb::Error::Io(error) => io_hint(error),
        _ => None,
    }
}

fn mount_hint(error: &MountError) -> Option<String> {
    match error {
        MountError::NotPermitted => {
            Some("in a container, give it CAP_SYS_ADMIN and no seccomp filter on mounts".into())
        }
        MountError::TooDeep { .. } => Some(
            "where extensions are merged over it, 'systemd-sysext unmerge' takes them off for a while".into(),
        ),
        MountError::NoOverlayfs => Some("'modprobe overlay' may load it".into()),
        MountError::Full { .. } => Some("free some space, give --state another place, or use --temp".into()),
        MountError::ReadOnlyUpper { .. } => Some("give --state a writable directory, or use --temp".into()),
        _ => None,
    }
}

/// Where changes of an overlay could be in RAM instead.
fn layer_hint(error: &IoError) -> Option<String> {
    match error.errno() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            Some("free some space, give --state another place, or use --temp".into())
        }
        Some(libc::EROFS) => Some("give --state a writable directory, or use --temp".into()),
        _ => io_hint(error),
    }
}

fn io_hint(error: &IoError) -> Option<String> {
    match error.errno() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            Some("free some space there, or give another place ('--state DIR', '--output DIR')".into())
        }
        Some(libc::EPERM) if ["link", "move", "remove"].contains(&error.operation) => Some(format!(
            "'lsattr' shows whether it is immutable or append-only, and 'chattr -ia {}' ends that",
            error.path.display()
        )),
        Some(libc::EROFS) => Some("give a place that can be written ('--state DIR', '--output DIR')".into()),
        _ => None,
    }
}

/// Whether a file is called as packages are.
fn is_package(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "deb" || end == "rpm")
}
