//! Where scripts change a disk by `onlay layer`, whatever keeps its deployments: a directory, and what every script in it begins with.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::debian::{self, command, expect_success, words};

/// A directory, with a disk and a state in it.
pub(super) struct Stage {
    place: tempfile::TempDir,
    preamble: String,
}

impl Stage {
    /// An empty one. `preamble` has a function `layer`, which runs the program for the disk.
    pub(super) fn new(preamble: String) -> Stage {
        Stage { place: debian::place(), preamble }
    }

    /// Has a script prepare the disk, with the directory and these paths as its arguments.
    pub(super) fn prepare(&self, script: &str, arguments: &[&Path]) {
        let mut prepare = command("unshare");
        prepare.args(["--mount", "--propagation", "private"]).arg(debian::script(script));
        expect_success(prepare.arg(self.place.path()).args(arguments));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Runs a script, with mounts of its own.
    pub(super) fn run(&self, script: &str) -> Output {
        let mut command = command("unshare");
        command
            .args(["--mount", "--propagation", "private", "bash", "-c"])
            .arg(format!("{}\n{script}", self.preamble));
        command.env("ONLAY", debian::ONLAY).current_dir(self.place.path());
        command.output().expect("unshare(1) is everywhere")
    }

    /// What a script says that must succeed.
    pub(super) fn expect(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(output.status.success(), "{script}: {}\n{}", output.status, words(&output));
        words(&output)
    }

    /// What a script says that must fail with this code.
    pub(super) fn expect_code(&self, code: i32, script: &str) -> String {
        let output = self.run(script);
        assert_eq!(output.status.code(), Some(code), "{script}: {}", words(&output));
        words(&output)
    }

    /// What a script says that must fail.
    pub(super) fn refuse(&self, script: &str) -> String {
        self.expect_code(1, script)
    }

    /// RPMs of the laboratory that cannot be had, or whose scripts fail or do not end, are refused with their reasons.
    pub(super) fn refuses_bad_rpms(&self) {
        let said = self.refuse("layer add nothere layer-unsigned lab-broken");
        for word in ["nothere (", "layer-unsigned (", "not", "signed", "lab-broken (", "nobody-has-this"] {
            assert!(said.contains(word), "no '{word}': {said}");
        }
        let said = self.refuse("layer add lab-fails");
        assert!(said.contains("%prein(lab-fails-3.0-1.noarch) scriptlet failed"), "{said}");
        let said = self.refuse("layer add layer-endless --timeout 6");
        assert!(said.contains("have not ended after 6 s"), "{said}");
    }

    /// All deployments or snapshots, the next first.
    pub(super) fn status(&self) -> Value {
        let output = self.run("layer status --json");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", words(&output)))
    }

    /// What the next one has of layers, by name.
    pub(super) fn layered(&self) -> Vec<String> {
        let status = self.status();
        let packages = status[0]["layers"]["packages"].as_array().cloned().unwrap_or_default();
        packages.iter().map(|package| package["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// The scenes of one package manager: each is a function of its name.
macro_rules! scenes_of {
    ($manager:ident => $($scene:ident),*) => {
        mod $manager {
            $(
                #[test]
                fn $scene() {
                    super::$scene(stringify!($manager));
                }
            )*
        }
    };
}
pub(super) use scenes_of;
