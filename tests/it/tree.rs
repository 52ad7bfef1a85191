//! A tree that is shared with other tests and must not change, and overlays of it to work in.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use crate::debian::{self, command, expect_success, words};
use crate::kernel::folder_of;

/// A tree, and a state directory for overlays of it.
pub(crate) struct Bed {
    tree: PathBuf,
    place: tempfile::TempDir,
    before: String,
}

impl Bed {
    /// Over one of the trees that scripts/test-trees makes; `None` after saying loudly why it is not there.
    pub(crate) fn of(name: &str) -> Option<Bed> {
        let tree = debian::tree(name)?;
        let before = listing(&tree);
        Some(Bed { tree, place: debian::place(), before })
    }

    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }

    /// A directory that is gone at the end.
    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    /// Runs a script in an overlay, of which `options` may say which. Nothing of the outer machine's package system
    /// takes part.
    pub(crate) fn inside(&self, options: &[&str], script: &str, input: impl Into<Stdio>) -> Output {
        let mut onlay = command("timeout");
        onlay.args(["--kill-after=5", "120", debian::ONLAY, "--root"]).arg(&self.tree);
        onlay.arg("--state").arg(self.place().join("state")).arg("shell").args(options);
        onlay.args(["--", "bash", "-exc", script]);
        // PATH of the outer machine may lack what the tree has.
        onlay.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        onlay.stdin(input);
        onlay.output().expect("timeout(1) is everywhere")
    }

    pub(crate) fn assert_tree_unchanged(&self) {
        let after = listing(&self.tree);
        if after != self.before {
            let known: std::collections::HashSet<&str> = self.before.lines().collect();
            let changed: Vec<&str> = after.lines().filter(|line| !known.contains(line)).collect();
            panic!("the tree has changed: {changed:?}");
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let state = self.place().join("state");
        if state.exists() {
            // The folder of a state directory that is gone is nobody's.
            let _ = std::fs::remove_dir_all(folder_of(&state));
        }
    }
}

/// All that a script said that must have succeeded.
pub(crate) fn expect_words(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, words(output));
    words(output)
}

/// Every file with kind, mode, owner, size, links, inode and both times (a change of content or attributes cannot
/// hide its ctime).
fn listing(tree: &Path) -> String {
    let format = "%P %y %m %U:%G %s %n %i %T@ %C@ %l\\n";
    let output = expect_success(command("find").arg(tree).args(["-xdev", "-printf", format]));
    let text = String::from_utf8(output.stdout).expect("names in a Debian are UTF-8");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert!(lines.len() > 5000, "only {} files: was the tree found?", lines.len());
    lines.join("\n")
}
