//! A disk with snapshots of a real distribution, for `onlay layer` to change by its real package manager. snapper, btrfs and the package system
//! itself are the judges.

use std::ops::Deref;

use super::stage::Stage;
use crate::debian::{self, words};

/// A disk, with a state beside it.
pub(super) struct Disk {
    stage: Stage,
    /// The lines of a script that find nothing where the packages of the next snapshot are whole.
    judge: &'static str,
}

/// What every script begins with. The file systems are off again when it ends, whoever of those that it started is still there.
const PREAMBLE: &str = include_str!("snapper_preamble.sh");

impl Disk {
    /// A Debian with dpkg's database in /usr, and with packages of machine/repository.sh beside it and in itself.
    pub(super) fn debian() -> Option<Disk> {
        let (tree, trixie) = (debian::tree("snapper")?, debian::tree("trixie")?);
        let disk = Disk::empty("dpkg_in --audit")?;
        let packages = disk.path("packages");
        debian::make_repository(&packages, &trixie);
        disk.prepare("layer/prepare_snapper.sh", &[&tree.join("disk.btrfs"), &packages]);
        Some(disk)
    }

    /// A host whose packages are RPMs, with this package manager (`dnf`, `zypper`) and the database that goes with it. What
    /// scripts/trees/ostree-rpm/layer.spec has lies beside it.
    pub(super) fn rpm(manager: &str) -> Option<Disk> {
        let tree = debian::tree("snapper-rpm")?;
        let disk = Disk::empty(match manager {
            "dnf" => "in_next dnf check; rpm_verified",
            _ => {
                "in_next zypper --non-interactive --no-refresh verify --dry-run | grep -q 'are satisfied'; rpm_verified"
            }
        })?;
        disk.prepare("layer/prepare_snapper_rpm.sh", &[&tree, manager.as_ref()]);
        Some(disk)
    }

    fn empty(judge: &'static str) -> Option<Disk> {
        (debian::has("snapper") && debian::has("btrfs"))
            .then(|| Disk { stage: Stage::new(PREAMBLE.to_owned()), judge })
    }

    /// The numbers of all snapshots, the next first, whether they are whole or not.
    pub(super) fn numbers(&self) -> Vec<String> {
        let output = self.run("number; snapper --csvout list --columns number | grep -vx 'number\\|0'");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// The next snapshot is whole, where somebody may have been killed just after it was.
    pub(super) fn assert_sound_after(&self, what: &str) {
        let output =
            self.run(&format!("{}; test \"$(btrfs property get -ts \"$(next)\" ro)\" = ro=true", self.judge));
        assert!(output.status.success() && words(&output).trim().is_empty(), "{what}: {}", words(&output));
    }

    /// The package system finds nothing wrong in the next snapshot, which cannot be written to, and nobody is at work on any.
    pub(super) fn assert_sound(&self) {
        let text = self.expect(&format!(
            "{}; test \"$(btrfs property get -ts \"$(next)\" ro)\" = ro=true\n\
             ! snapper --csvout list --columns userdata | grep in-progress",
            self.judge
        ));
        assert!(text.trim().is_empty(), "{text}");
    }
}

impl Deref for Disk {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}
