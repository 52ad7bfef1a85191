//! A host of its own that does not boot: what is done to the mount namespace of process 1 is done to that of this one.
//! Checks are shell scripts with many steps, as on a [`crate::machine`] that boots, at a tenth of the time.

use std::path::Path;

use crate::debian::{self, command, script};
use crate::kernel::kernel_or_skip;
use crate::machine::bed::{assert_all_passed, read_steps};

/// Runs a script of checks over a tree, and shows every step that failed. `prepare` may put something beside it.
pub(crate) fn check(tree: &str, checks: &str, prepare: impl FnOnce(&Path, &Path)) {
    let Some(tree) = debian::tree(tree) else { return };
    if !kernel_or_skip() {
        return;
    }
    let place = debian::place();
    let share = place.path().join("share");
    std::fs::create_dir(&share).expect("a directory of ours");
    std::fs::copy(script(checks), share.join("checks.sh")).expect("the script is part of these tests");
    prepare(place.path(), &tree);
    let mut run = command("timeout");
    run.args(["--kill-after=5", "240", "unshare", "--mount", "--pid", "--fork", "--kill-child"]);
    run.args(["--propagation", "private"]).arg(script("alone/alone.sh"));
    run.arg(place.path()).arg(&tree).arg(debian::ONLAY);
    let output = run.output().expect("timeout(1) is everywhere");
    let steps = read_steps(&share);
    assert!(output.status.success(), "{}: {}", output.status, debian::words(&output));
    assert_all_passed(&steps);
}
