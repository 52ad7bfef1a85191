//! A disk with deployments of a real distribution, for `onlay layer` to change by its real package manager. ostree and the package
//! system itself are the judges.

use std::fs;
use std::ops::Deref;
use std::path::Path;

use super::stage::Stage;
use crate::debian::{self, words};

/// A disk, with a state beside it.
pub(super) struct Disk {
    stage: Stage,
}

/// What every script begins with. Mounts go with the mount namespace.
const PREAMBLE: &str = include_str!("preamble.sh");

/// A script that fails where the root that boots next is not as a root is: others than its owner must get into it.
pub(super) const OPEN: &str = r#"test "$(stat --format %a:%u:%g "$(next)")" = 755:0:0"#;

impl Disk {
    /// A Debian with dpkg's database in /usr, and with packages of machine/repository.sh beside it and in itself.
    pub(super) fn debian() -> Option<Disk> {
        let (tree, trixie) = (debian::tree("ostree")?, debian::tree("trixie")?);
        if !debian::has("ostree") {
            return None;
        }
        let disk = Disk::of("debian");
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
        let disk = Disk::of("lab");
        disk.prepare("layer/prepare_rpm.sh", &[&tree, manager.as_ref()]);
        Some(disk)
    }

    /// An empty one. Its stateroot is also the name of the branch that it follows.
    fn of(os: &str) -> Disk {
        Disk { stage: Stage::new(format!("export OS={os}\n{PREAMBLE}")) }
    }

    /// Kills the program at these moments, in seconds, while it adds a package, which comes at last. What is booted next is as it was until it has the package.
    pub(super) fn kill_while_adding(&self, package: &str, moments: &[&str]) {
        let before = self.status();
        let mut killed = 0;
        for seconds in moments {
            // The program itself, which a function of the shell would hide behind a process of its own.
            let output = self.run(&format!(
                "\"$ONLAY\" --root \"$PWD/sysroot\" --state \"$PWD/state\" layer add {package} >said 2>&1 & sleep {seconds}\n\
                 if kill -KILL $!; then echo killed; fi; wait; ! fsfreeze --unfreeze sysroot 2>/dev/null || true"
            ));
            killed += usize::from(words(&output).contains("killed"));
            let said = fs::read_to_string(self.path("said")).unwrap_or_default();
            assert!(!said.contains("another onlay"), "{seconds}: {said}");
            if self.status() != before {
                assert_eq!(self.layered(), [package], "{seconds}");
                break;
            }
            self.expect("ostree fsck --repo=$repo --quiet");
        }
        assert!(killed > 2, "{killed} were killed at work");
        self.expect(&format!("layer add {package}"));
        assert_eq!(self.layered(), [package]);
        self.assert_cleared();
    }

    /// Nothing of what was begun lies about.
    fn assert_cleared(&self) {
        assert!(!self.path("state/layers/overlay").exists() && !self.path("state/layers/var").exists());
        let left: Vec<_> = fs::read_dir(self.path("state/layers"))
            .expect("ours")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert!(left.iter().all(|name| !Path::new(name).starts_with("base-")), "{left:?}");
    }

    /// The repository is whole, and so is what dpkg knows; and all users see what is booted next.
    pub(super) fn assert_sound(&self) {
        self.expect(&format!("ostree fsck --repo=$repo --quiet; {OPEN}"));
        let text = self.expect("dpkg_in --audit");
        assert!(text.trim().is_empty(), "{text}");
    }
}

impl Deref for Disk {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}
