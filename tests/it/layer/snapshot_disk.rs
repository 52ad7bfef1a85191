//! A disk with snapshots of a real distribution, for `onlay layer` to change by its real package manager. snapper, btrfs and the package system
//! itself are the judges.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::debian::{self, command, expect_success, words};

/// A disk, with a state beside it.
pub(super) struct Disk {
    place: tempfile::TempDir,
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
        (debian::has("snapper") && debian::has("btrfs")).then(|| Disk { place: debian::place(), judge })
    }

    fn prepare(&self, script: &str, arguments: &[&Path]) {
        let mut prepare = command("unshare");
        prepare.args(["--mount", "--propagation", "private"]).arg(debian::script(script));
        expect_success(prepare.arg(self.place.path()).args(arguments));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(super) fn run(&self, script: &str) -> Output {
        let mut command = command("unshare");
        command
            .args(["--mount", "--propagation", "private", "bash", "-c"])
            .arg(format!("{PREAMBLE}\n{script}"));
        command.env("ONLAY", debian::ONLAY).current_dir(self.place.path());
        command.output().expect("unshare(1) is everywhere")
    }

    /// What a script says that must succeed.
    pub(super) fn expect(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(output.status.success(), "{script}: {}\n{}", output.status, words(&output));
        words(&output)
    }

    /// What a script says that must fail.
    pub(super) fn refuse(&self, code: i32, script: &str) -> String {
        let output = self.run(script);
        assert_eq!(output.status.code(), Some(code), "{script}: {}", words(&output));
        words(&output)
    }

    /// All snapshots, the next first.
    pub(super) fn status(&self) -> Value {
        let output = self.run("layer status --json");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", words(&output)))
    }

    /// The numbers of all snapshots, the next first, whether they are whole or not.
    pub(super) fn numbers(&self) -> Vec<String> {
        let output = self.run("number; snapper --csvout list --columns number | grep -vx 'number\\|0'");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// What the next snapshot has of layers, by name.
    pub(super) fn layered(&self) -> Vec<String> {
        let status = self.status();
        let packages = status[0]["layers"]["packages"].as_array().cloned().unwrap_or_default();
        packages.iter().map(|package| package["name"].as_str().unwrap_or_default().to_owned()).collect()
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
