//! Layers on a deployment that runs: what ostree does while some wait for the next boot, and what can be there at once. A boot of it is in vm.rs.

use std::fs;

use super::disk::Disk;
use crate::debian::{self, command, script};
use crate::machine::bed::{assert_all_passed, read_steps};

#[test]
fn what_comes_with_the_next_boot_waits_and_is_seen() {
    let Some(disk) = Disk::debian() else { return };
    let share = disk.path("share");
    fs::create_dir(&share).expect("a directory of ours");
    fs::copy(script("layer/running_checks.sh"), share.join("checks.sh"))
        .expect("the script is part of these tests");
    let mut run = command("timeout");
    run.args(["--kill-after=5", "240", "unshare", "--mount", "--pid", "--fork", "--kill-child"]);
    run.args(["--propagation", "private"]).arg(script("layer/running.sh"));
    run.arg(disk.path("")).arg(debian::ONLAY).arg(script("machine/steps.sh"));
    let output = run.output().expect("timeout(1) is everywhere");
    let steps = read_steps(&share);
    assert!(output.status.success(), "{}: {}", output.status, debian::words(&output));
    assert_all_passed(&steps);
}
