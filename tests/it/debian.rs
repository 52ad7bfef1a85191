//! What tests on a Debian system share: the trees that scripts/test-trees made, packages to install in it, and the
//! program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program that is tested: static, so it runs in any tree.
pub(crate) const ONLAY: &str = env!("CARGO_BIN_EXE_onlay");

/// A tree of this name; `None` after saying loudly why there is none.
pub(crate) fn tree(name: &str) -> Option<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        skip("only root can use a tree");
        return None;
    }
    let cache = std::env::var_os("ONLAY_TEST_CACHE").unwrap_or_else(|| "/var/cache/onlay-tests".into());
    let cache = Path::new(&cache);
    // The stamp comes last, when the tree is whole.
    if cache.join(format!("{name}.stamp")).exists() {
        return Some(cache.join(name));
    }
    let reason = format!("no tree '{name}' in {}; 'scripts/test-trees {name}' makes it", cache.display());
    // What Debian has there changes from day to day, and not always for the better: made when asked for.
    if name == "rpm-unstable" {
        say_skipped(&reason);
    } else {
        skip(&reason);
    }
    None
}

/// Whether a program that starts machines is there; says loudly where it is not.
pub(crate) fn has(program: &str) -> bool {
    let found = command(program).arg("--version").output().is_ok();
    if !found {
        skip(&format!("no {program} to boot a machine with; scripts/install-test-tools installs it"));
    }
    found
}

/// A file of these tests that a shell reads.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(name)
}

/// Makes a repository of packages.
pub(crate) fn make_repository(directory: &Path, tree: &Path) {
    expect_success(command(script("machine/repository.sh")).arg(directory).arg(tree));
}

/// A place for what is large: on disk, and gone at the end.
pub(crate) fn place() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo made the directory above")
}

#[allow(clippy::disallowed_methods, reason = "the room `tool` is not what is tested")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").env_remove("ONLAY_STATE").stdin(std::process::Stdio::null());
    command
}

/// Runs a command that must succeed.
pub(crate) fn expect_success(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, words(&output));
    output
}

/// All that a command said.
pub(crate) fn words(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}\n{err}")
}

/// Says loudly that something was not tested; where everything is to be tested, that is a failure.
pub(crate) fn skip(reason: &str) {
    let is_set = |name: &str, wanted: &str| std::env::var_os(name).is_some_and(|value| value == wanted);
    assert!(!is_set("ONLAY_TEST_STRICT", "1") && !is_set("CI", "true"), "{reason}");
    say_skipped(reason);
}

#[allow(clippy::disallowed_macros, clippy::print_stderr, reason = "a test talks to whoever runs it")]
fn say_skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}
