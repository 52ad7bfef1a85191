//! A disk with a deployment of a real Debian, whose base has a repository of packages in itself: what `onlay layer` is tried on.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::debian::{self, command, expect_success, words};

/// A disk, with a state beside it.
pub(crate) struct Disk {
    place: tempfile::TempDir,
}

/// What every script begins with. Mounts go with the mount namespace.
const PREAMBLE: &str = r#"
set -eu
mount -o loop,noatime disk.ext4 sysroot
layer() { "$ONLAY" --root "$PWD/sysroot" --state "$PWD/state" layer "$@"; }
ostree_admin() { local verb=$1; shift; ostree admin "$verb" --sysroot=sysroot "$@"; }
repo=sysroot/ostree/repo
next() { echo sysroot/ostree/deploy/debian/deploy/"$(layer status --json | sed -n 's/^    "id": "\(.*\)",$/\1/p' | head -n 1)"; }
dpkg_in() { local root; root=$(next); chroot "$root" dpkg --admindir=/usr/lib/sysimage/dpkg "$@"; }
# rebase NAME=CONTENT…: a newer base with these files more; those without a content go.
newer_base() {
    local version=$1; shift
    rm -rf extra; mkdir extra; "$@"
    ostree commit --repo=$repo --bootable --branch=debian --add-metadata-string=version="$version" \
        --owner-uid=0 --owner-gid=0 --tree=ref=debian --tree=dir=extra >/dev/null
}
"#;

impl Disk {
    pub(crate) fn make() -> Option<Disk> {
        let (tree, trixie) = (debian::tree("ostree")?, debian::tree("trixie")?);
        if !debian::has("ostree") {
            return None;
        }
        let disk = Disk { place: debian::place() };
        let packages = disk.path("packages");
        debian::make_repository(&packages, &trixie);
        let mut prepare = command("unshare");
        prepare.args(["--mount", "--propagation", "private"]).arg(debian::script("layer/prepare.sh"));
        expect_success(prepare.arg(disk.place.path()).arg(tree.join("disk.ext4")).arg(&packages));
        Some(disk)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn run(&self, script: &str) -> Output {
        let mut command = command("unshare");
        command
            .args(["--mount", "--propagation", "private", "bash", "-c"])
            .arg(format!("{PREAMBLE}\n{script}"));
        command.env("ONLAY", debian::ONLAY).current_dir(self.place.path());
        command.output().expect("unshare(1) is everywhere")
    }

    /// What a script says that must succeed.
    pub(crate) fn expect(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(output.status.success(), "{script}: {}\n{}", output.status, words(&output));
        words(&output)
    }

    /// What a script says that must fail.
    pub(crate) fn refuse(&self, script: &str) -> String {
        let output = self.run(script);
        assert_eq!(output.status.code(), Some(1), "{script}: {}", words(&output));
        words(&output)
    }

    /// All deployments, the next first.
    pub(crate) fn status(&self) -> Value {
        let output = self.run("layer status --json");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", words(&output)))
    }

    /// What the next deployment has of layers, by name.
    pub(crate) fn layered(&self) -> Vec<String> {
        let status = self.status();
        let packages = status[0]["layers"]["packages"].as_array().cloned().unwrap_or_default();
        packages.iter().map(|package| package["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) fn assert_sound(&self) {
        self.expect("ostree fsck --repo=$repo --quiet");
        let text = self.expect("dpkg_in --audit");
        assert!(text.trim().is_empty(), "{text}");
    }
}
