//! A disk with deployments of a real distribution, for `onlay layer` to change by its real package manager. ostree and the package
//! system itself are the judges.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::debian::{self, command, expect_success, words};

/// A disk, with a state beside it.
pub(super) struct Disk {
    place: tempfile::TempDir,
    /// Its stateroot, which is also the name of the branch that it follows.
    os: &'static str,
}

/// What every script begins with. Mounts go with the mount namespace.
const PREAMBLE: &str = include_str!("preamble.sh");

impl Disk {
    /// A Debian with dpkg's database in /usr, and with packages of machine/repository.sh beside it and in itself.
    pub(super) fn debian() -> Option<Disk> {
        let (tree, trixie) = (debian::tree("ostree")?, debian::tree("trixie")?);
        if !debian::has("ostree") {
            return None;
        }
        let disk = Disk { place: debian::place(), os: "debian" };
        let packages = disk.path("packages");
        debian::make_repository(&packages, &trixie);
        disk.prepare("layer/prepare.sh", &[&tree.join("disk.ext4"), &packages]);
        Some(disk)
    }

    /// A host whose packages are RPMs, with this package manager (`dnf`, `zypper`) and the database that goes with it. What
    /// scripts/trees/ostree-rpm/layer.spec has lies beside it.
    pub(super) fn rpm(manager: &str) -> Option<Disk> {
        let tree = debian::tree("ostree-rpm")?;
        if !debian::has("ostree") {
            return None;
        }
        let disk = Disk { place: debian::place(), os: "lab" };
        disk.prepare("layer/prepare_rpm.sh", &[&tree, manager.as_ref()]);
        Some(disk)
    }

    /// The repository is whole, and so is what dpkg knows.
    pub(super) fn assert_sound(&self) {
        self.expect("ostree fsck --repo=$repo --quiet");
        let text = self.expect("dpkg_in --audit");
        assert!(text.trim().is_empty(), "{text}");
    }

    fn prepare(&self, script: &str, arguments: &[&std::path::Path]) {
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
        command.env("ONLAY", debian::ONLAY).env("OS", self.os).current_dir(self.place.path());
        command.output().expect("unshare(1) is everywhere")
    }

    /// What a script says that must succeed.
    pub(super) fn expect(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(output.status.success(), "{script}: {}\n{}", output.status, words(&output));
        words(&output)
    }

    /// What a script says that must fail.
    pub(super) fn refuse(&self, script: &str) -> String {
        let output = self.run(script);
        assert_eq!(output.status.code(), Some(1), "{script}: {}", words(&output));
        words(&output)
    }

    /// All deployments, the next first.
    pub(super) fn status(&self) -> Value {
        let output = self.run("layer status --json");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", words(&output)))
    }

    /// What the next deployment has of layers, by name.
    pub(super) fn layered(&self) -> Vec<String> {
        let status = self.status();
        let packages = status[0]["layers"]["packages"].as_array().cloned().unwrap_or_default();
        packages.iter().map(|package| package["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
