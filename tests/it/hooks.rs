//! Hooks of package managers, with the real ones: on a host that is locked, unlocked, in an overlay of it, with the
//! program gone, with another root; and what is said and left when they are installed and removed.

use crate::alone;
use crate::debian;

#[test]
fn of_apt() {
    alone::check("trixie", "hooks/apt.sh", |place, tree| {
        debian::make_repository(&place.join("repository"), tree);
    });
}

#[test]
fn of_zypper_and_dnf() {
    alone::check("rpm-sqlite", "hooks/rpm.sh", |_, _| {});
}

#[test]
fn of_dnf_5() {
    alone::check("rpm-unstable", "hooks/dnf5.sh", |_, _| {});
}

/// What cannot be tried with the real one: a libdnf5 whose plugin knows no option to stop, and one without the plugin.
#[test]
fn of_a_dnf_5_that_cannot_be_stopped_and_of_one_without_hooks() {
    let tree = tempfile::tempdir().expect("a directory");
    let put = |path: &str, text: &str| {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().expect("below")).expect("ours");
        std::fs::write(path, text).expect("ours");
    };
    let onlay = |words: &[&str]| {
        let mut onlay = debian::command(debian::ONLAY);
        let output = onlay.arg("--root").arg(tree.path()).args(words).output().expect("the program starts");
        (output.status.code(), debian::words(&output))
    };
    let install = ["hooks", "install", "--program", "/usr/bin/onlay"];
    let (code, said) = onlay(&install);
    assert!(code == Some(3) && said.contains("there is no package manager here"), "{code:?} {said}");

    put("usr/bin/dnf5", "");
    let (code, said) = onlay(&["hooks", "install", "--program", "/usr/bin/onlay", "dnf5"]);
    assert!(code == Some(3) && said.contains("its plugin 'actions' is not installed"), "{code:?} {said}");
    assert!(onlay(&["hooks", "status"]).1.contains("unable"));

    let actions = tree.path().join("etc/dnf/libdnf5-plugins/actions.d/onlay.actions");
    for (plugin, expected) in [
        ("enabled mode", "pre_transaction:::enabled=host-only:/bin/sh"),
        ("enabled raise_error mode", "pre_transaction:::enabled=host-only raise_error=1:/bin/sh"),
    ] {
        put("usr/lib64/libdnf5/plugins/actions.so", plugin);
        let (code, said) = onlay(&install);
        assert!(code == Some(0) && said.contains("installed the hook of dnf5"), "{code:?} {said}");
        let text = std::fs::read_to_string(&actions).expect("it was installed");
        assert!(text.contains(expected), "{text}");
    }
    // With all that was made for it.
    let (code, said) = onlay(&["hooks", "remove"]);
    assert!(code == Some(0) && said.contains("removed the hook of dnf5"), "{code:?} {said}");
    assert!(!tree.path().join("etc").exists());
}
