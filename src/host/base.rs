//! The base: the read-only (or plain) root that overlays lie on, and its identity.
//!
//! An overlay that outlives an update of its base must notice. An ostree deployment is named by its
//! commit, a snapper snapshot by its number and subvolume, an image by its version. A plain root has
//! no name, so the state of its package database stands for it. Extensions that are merged over it belong to what is seen, and
//! so to the identity.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Host;

/// Kinds of bases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BaseKind {
    /// A deployment of OSTree (also under rpm-ostree and bootc).
    Ostree,
    /// A composefs image without OSTree (bootc's own backend).
    Composefs,
    /// A btrfs snapshot of snapper (MicroOS, SLE Micro).
    Snapshot,
    /// An image that carries its version (mkosi, particleOS, Flatcar).
    Image,
    /// Anything else.
    Plain,
}

/// A base and what tells it from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// What kind it is.
    pub kind: BaseKind,
    /// Its name within the kind: a deployment, a snapshot, a version. Empty for a plain root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Distribution and version, for people.
    #[serde(default)]
    pub os: String,
    /// State of the package database ([`super::PackageSystem::stamp`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<String>,
    /// The extensions that are merged over it: their names, and what tells them from others of these names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<String>,
}

impl Base {
    pub(super) fn of(host: &Host) -> Base {
        let release = host.os_release();
        let (kind, id) = ostree(host)
            .or_else(|| composefs(host))
            .or_else(|| snapshot(host))
            .or_else(|| image(&release))
            .unwrap_or((BaseKind::Plain, String::new()));
        let packages = host.package_system().and_then(|system| system.stamp(&host.root));
        let extensions = super::extensions::identity(host);
        Base { kind, id, os: release.pretty_name(), packages, extensions }
    }

    /// Whether it is another one, as far as is known, only by what is merged over it, which may bring a package database.
    pub fn differs_by_extensions(&self, other: &Base) -> bool {
        let name = |base: &Base| (base.kind, base.id.clone(), base.os.clone());
        name(self) == name(other) && self.extensions != other.extensions
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            BaseKind::Ostree => write!(f, "{} (ostree deployment {})", self.os, self.id),
            BaseKind::Composefs => write!(f, "{} (composefs image {})", self.os, self.id),
            BaseKind::Snapshot => write!(f, "{} (snapshot {})", self.os, self.id),
            BaseKind::Image => write!(f, "{} (image {})", self.os, self.id),
            BaseKind::Plain => write!(f, "{}", self.os),
        }
    }
}

/// A booted deployment: its root is mounted from `deploy/OS/deploy/COMMIT.SERIAL`. Where the root is an image of one (composefs), the kernel command
/// line's `ostree=` is a link to that (ostree-prepare-root(1)), as long as no other deployment has been made meanwhile.
fn ostree(host: &Host) -> Option<(BaseKind, String)> {
    if !host.is_running || !host.root.exists("run/ostree-booted") {
        return None;
    }
    let by_mount = host.mounts.at(Path::new("/")).and_then(|mount| deployment(&mount.root));
    let name = by_mount.or_else(|| {
        let link = kernel_argument("ostree")?;
        let target = ["sysroot", ""]
            .into_iter()
            .find_map(|above| host.root.resolve(Path::new(above).join(link.trim_start_matches('/'))).ok());
        Some(target.and_then(|target| deployment(&target)).unwrap_or(link))
    });
    Some((BaseKind::Ostree, name?))
}

/// The name of the deployment whose directory has this path.
fn deployment(path: &Path) -> Option<String> {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    match &parts[..] {
        [.., deploy, _, below, name] if deploy == "deploy" && below == "deploy" => {
            Some(name.clone().into_owned())
        }
        _ => None,
    }
}

fn composefs(host: &Host) -> Option<(BaseKind, String)> {
    if !host.is_running {
        return None;
    }
    // A leading `?` allows a missing signature.
    kernel_argument("composefs")
        .map(|digest| (BaseKind::Composefs, digest.trim_start_matches('?').to_owned()))
}

fn kernel_argument(key: &str) -> Option<String> {
    let line = std::fs::read_to_string("/proc/cmdline").ok()?;
    argument_in(&line, key)
}

fn argument_in(line: &str, key: &str) -> Option<String> {
    line.split_whitespace()
        .find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='))
        .map(|value| value.trim_matches('"').to_owned())
}

/// The root is mounted from a subvolume `…/.snapshots/NUMBER/snapshot`.
fn snapshot(host: &Host) -> Option<(BaseKind, String)> {
    let mount = host.mounts.at(host.root.path()).filter(|mount| mount.kind == "btrfs")?;
    snapshot_number(&mount.root.join(host.root.path().strip_prefix(&mount.point).ok()?))
        .map(|number| (BaseKind::Snapshot, number))
}

fn snapshot_number(subvolume: &Path) -> Option<String> {
    let parts: Vec<_> = subvolume.iter().map(|part| part.to_string_lossy()).collect();
    parts
        .windows(3)
        .find(|window| window[0] == ".snapshots" && window[2] == "snapshot")
        .map(|window| window[1].clone().into_owned())
}

fn image(release: &super::OsRelease) -> Option<(BaseKind, String)> {
    let version = release.get("IMAGE_VERSION").or_else(|| release.get("BUILD_ID"))?;
    let name = release.get("IMAGE_ID").unwrap_or(release.id());
    Some((BaseKind::Image, format!("{name} {version}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::OsRelease;

    #[test]
    fn a_snapshot_is_known_by_its_subvolume() {
        assert_eq!(snapshot_number(Path::new("/@/.snapshots/42/snapshot")).as_deref(), Some("42"));
        assert_eq!(snapshot_number(Path::new("/.snapshots/7/snapshot/x")).as_deref(), Some("7"));
        assert_eq!(snapshot_number(Path::new("/@/home")), None);
        assert_eq!(snapshot_number(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_deployment_is_known_by_its_directory() {
        let name = |path: &str| deployment(Path::new(path));
        assert_eq!(name("/ostree/deploy/debian/deploy/abc.0").as_deref(), Some("abc.0"));
        assert_eq!(name("/ostree/deploy/debian/var"), None);
        assert_eq!(name("/ostree/boot.1/debian/abc/0"), None);
        assert_eq!(name("/"), None);
    }

    #[test]
    fn kernel_arguments_are_found_by_their_whole_key() {
        let line = "root=LABEL=x noostree=1 ostree=/ostree/boot.1/debian/abc/0 composefs=?12ab\n";
        assert_eq!(argument_in(line, "ostree").as_deref(), Some("/ostree/boot.1/debian/abc/0"));
        assert_eq!(argument_in(line, "composefs").as_deref(), Some("?12ab"));
        assert_eq!(argument_in(line, "ostre"), None);
    }

    #[test]
    fn an_image_names_its_version() {
        let release = OsRelease::parse("ID=flatcar\nBUILD_ID=2026-01-01\n");
        assert_eq!(image(&release), Some((BaseKind::Image, "flatcar 2026-01-01".into())));
        assert_eq!(image(&OsRelease::parse("ID=debian\n")), None);
    }
}
