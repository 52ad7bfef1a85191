//! Real zypper, dnf and rpm in an overlay of a tree whose packages are RPMs: what is installed, removed and updated
//! inside is whole, and the tree is left as it was, to the last time stamp.

use std::process::{Output, Stdio};

use crate::debian::{command, expect_success, words};
use crate::tree::{self, expect_words};

/// A tree, and the program that installs in it.
struct Host {
    bed: tree::Bed,
    installer: &'static Installer,
}

/// How a program is told what to do, without asking.
struct Installer {
    install: &'static str,
    remove: &'static str,
    update: &'static str,
    /// Says whether the dependencies of all packages are satisfied.
    check: &'static str,
}

const ZYPPER: Installer = Installer {
    install: "zypper -n install",
    remove: "zypper -n remove",
    update: "zypper -n update",
    check: "zypper -n verify --dry-run | tee /tmp/check; grep -q 'are satisfied' /tmp/check",
};

/// Debian's libzypp does not read the words in which rpm 6 says that a signature is good, and takes all packages for
/// unsigned.
const ZYPPER_WITH_RPM_6: Installer = Installer {
    install: "zypper -n --no-gpg-checks install",
    remove: "zypper -n remove",
    update: "zypper -n --no-gpg-checks update",
    ..ZYPPER
};

const DNF: Installer = Installer {
    install: "dnf -y install",
    remove: "dnf -y remove",
    update: "dnf -y upgrade",
    check: "dnf check",
};

const DNF_5: Installer = Installer {
    install: "dnf5 -y install",
    remove: "dnf5 -y remove",
    update: "dnf5 -y upgrade",
    check: "dnf5 check",
};

impl Host {
    fn make(tree: &str, installer: &'static Installer) -> Option<Host> {
        Some(Host { bed: tree::Bed::of(tree)?, installer })
    }

    fn inside(&self, options: &[&str], script: &str) -> Output {
        self.bed.inside(options, script, Stdio::null())
    }

    fn expect(&self, options: &[&str], script: &str) -> String {
        expect_words(&self.inside(options, script))
    }

    /// Commands that fail unless every package has its files and what it needs, and the database can be read by all
    /// its indexes.
    fn whole(&self) -> String {
        format!("rpm --verify --all; rpmdb --verifydb; {}", self.installer.check)
    }
}

/// A command that fails if one of the packages is installed.
fn absent(packages: &str) -> String {
    format!("for name in {packages}; do if rpm --query $name; then exit 9; fi; done;")
}

fn installs(host: &Host) {
    let Installer { install, .. } = host.installer;
    let whole = host.whole();
    let made = host
        .expect(&[], &format!("{install} lab-tool lab-daemon; lab-strace -V; cat /var/log/lab.log; {whole}"));
    assert!(made.contains("strace -- version"), "{made}");
    // Scriptlets and triggers ran, and what they were to make is there.
    for line in [
        "lab-daemon post 1",
        "lab-triggers triggerin 1 1",
        "lab-triggers transfiletriggerin /usr/bin/lab-strace",
    ] {
        assert!(made.contains(line), "no '{line}': {made}");
    }
    host.bed.assert_tree_unchanged();
    // Coming back, all is there.
    let user = host.expect(
        &[],
        &format!(
            "lab-strace -V; rpm --query lab-tool lab-daemon; stat -c %U:%G /var/lib/lab-daemon; {whole}"
        ),
    );
    assert!(user.contains("lab-daemon:lab-daemon"), "{user}");
    // And can be taken away again.
    let Installer { remove, .. } = host.installer;
    host.expect(&[], &format!("{remove} lab-tool; test ! -e /usr/bin/lab-strace; {whole}"));
    host.expect(&[], &absent("lab-tool"));
    host.bed.assert_tree_unchanged();
}

fn installs_isolated(host: &Host) {
    let options = ["--isolate", "--no-net", "apart"];
    let whole = host.whole();
    host.expect(&options, &format!("{} lab-tool lab-daemon; lab-strace -V; {whole}", host.installer.install));
    host.expect(&options, &format!("lab-strace -V; rpm --verify lab-tool lab-daemon; {whole}"));
    host.bed.assert_tree_unchanged();
}

fn removes_what_the_base_has(host: &Host) {
    let remove = host.installer.remove;
    let whole = host.whole();
    let gone = format!(
        "{} test ! -e /usr/share/lab-stem -a ! -e /usr/share/lab-leaf -a ! -e /usr/bin/strace;",
        absent("lab-stem lab-leaf strace")
    );
    // Who needs it, goes with it.
    let log = host.expect(&[], &format!("{remove} lab-stem strace; cat /var/log/lab.log; {gone} {whole}"));
    assert!(log.contains("lab-stem preun 0\nlab-stem postun 0"), "{log}");
    host.expect(&[], &format!("{gone} {whole}"));
    // The base has the repository, too.
    host.expect(&[], &format!("{} lab-leaf; rpm --query lab-stem; {whole}", host.installer.install));
    host.bed.assert_tree_unchanged();
}

/// Settings that were changed, by how the next version of their package treats them.
const SETTINGS: &str =
    "cd /etc/lab-config; for name in replaced kept steady dropped; do echo mine >>$name.conf; done; cd /;";

fn updates_everything(host: &Host) {
    let update = host.installer.update;
    host.expect(&[], &format!("{SETTINGS} {update}"));
    let report = host.expect(
        &[],
        "lab-pair; cat /var/log/lab.log; rpm --query --all 'lab-*' --queryformat '%{nevra}.\\n'; \
         cd /etc/lab-config; ls; grep -l mine *; cat /usr/share/doc/strace/next; ls /usr/lib/modules",
    );
    let expected = [
        // The program finds the new library.
        "pair 3",
        // Epoch, architecture, a replaced package, a divided one, one that can be there twice.
        "lab-epoch-1:0.3-1.noarch.",
        "lab-arch-3.0-1.x86_64.",
        "lab-new-3.0-1.noarch.",
        "lab-split-data-3.0-1.noarch.",
        "lab-kernel-1.0-1.noarch.",
        "lab-kernel-3.0-1.noarch.",
        "1.0-lab\n3.0-lab",
        // Settings: the person's own, and the package's beside them, or the other way round.
        "dropped.conf.rpmsave\nkept.conf\nkept.conf.rpmnew\nmissing.conf\nreplaced.conf\nreplaced.conf.rpmsave\nsteady.conf",
        "dropped.conf.rpmsave\nkept.conf\nreplaced.conf.rpmsave\nsteady.conf",
        "lab-scripts 3 pre 2\nlab-scripts 3 post 2\n",
        "lab-scripts 1 postun 1",
        "\nnext\n",
    ];
    for words in expected {
        assert!(report.contains(&words.replace("x86_64", std::env::consts::ARCH)), "no '{words}': {report}");
    }
    assert!(!report.contains("lab-old"), "{report}");
    // Nothing differs but what was changed on purpose.
    let verified = host.inside(&[], "rpm --verify --all");
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    let differing: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(
        differing,
        ["/etc/lab-config/kept.conf", "/etc/lab-config/steady.conf"],
        "{}",
        words(&verified)
    );
    host.expect(&[], &format!("rpmdb --verifydb; {}", host.installer.check));
    host.bed.assert_tree_unchanged();
}

/// What cannot be installed leaves everything as it was; and what was killed half way is finished later.
fn fails_and_recovers(host: &Host) {
    let install = host.installer.install;
    let whole = host.whole();
    for package in ["lab-broken", "lab-conflict", "lab-fails"] {
        let gone = absent(package);
        let script = format!("{install} {package} || true; {gone} test ! -e /usr/share/{package}; {whole}");
        host.expect(&[], &script);
    }
    // The exit code says nothing: one zypper is content with an rpm that was killed.
    let killed = host.inside(&[], &format!("{install} lab-killer"));
    assert!(words(&killed).contains("lab-killer"), "{}", words(&killed));
    let found = host.expect(&[], "rpm --query bash; rpmdb --verifydb; ls -d /var/lib/lab-killer-was-here");
    assert!(found.contains("/var/lib/lab-killer-was-here"), "{found}");
    host.expect(&[], &format!("{install} lab-killer lab-tool; rpm --query lab-killer lab-tool; {whole}"));
    host.bed.assert_tree_unchanged();
}

/// rpm replaces a directory of the base, which not every overlay lets it; then it must still have its database.
fn rebuilds_the_database(host: &Host) {
    let count = "rpm --query --all | sort >/var/tmp";
    host.expect(
        &[],
        &format!(
            "{count}/before; rpmdb --rebuilddb || true; {count}/after; cmp /var/tmp/before /var/tmp/after"
        ),
    );
    host.expect(&[], &format!("{} lab-tool; {}", host.installer.install, host.whole()));
    host.bed.assert_tree_unchanged();
}

/// What Onlay says of the tree.
fn is_seen_as_an_rpm_host(tree: &str, format: &str) {
    let Some(bed) = tree::Bed::of(tree) else { return };
    let mut status = command(crate::debian::ONLAY);
    status.arg("--root").arg(bed.tree()).arg("--state").arg(bed.place()).args(["status", "--json"]);
    let text = words(&expect_success(&mut status));
    for word in ["\"rpm\"", &format!("\"{format}\"")] {
        assert!(text.contains(word), "no {word}: {text}");
    }
    bed.assert_tree_unchanged();
}

/// The tests of one tree with one program.
macro_rules! tests_of {
    ($name:ident, $tree:literal, $installer:expr) => {
        mod $name {
            use super::*;
            tests_of!(@each $tree, $installer => installs, installs_isolated, removes_what_the_base_has,
                updates_everything, fails_and_recovers, rebuilds_the_database);
        }
    };
    (@each $tree:literal, $installer:expr => $($check:ident),*) => {
        $(
            #[test]
            fn $check() {
                if let Some(host) = Host::make($tree, &$installer) {
                    super::$check(&host);
                }
            }
        )*
    };
}

tests_of!(zypper_with_sqlite, "rpm-sqlite", ZYPPER);
tests_of!(dnf_with_sqlite, "rpm-sqlite", DNF);
tests_of!(zypper_with_ndb, "rpm-ndb", ZYPPER);
tests_of!(dnf_with_ndb, "rpm-ndb", DNF);
tests_of!(zypper_of_unstable, "rpm-unstable", ZYPPER_WITH_RPM_6);
tests_of!(dnf_of_unstable, "rpm-unstable", DNF_5);

#[test]
fn a_host_with_sqlite_is_seen() {
    is_seen_as_an_rpm_host("rpm-sqlite", "sqlite");
}

#[test]
fn a_host_with_ndb_is_seen() {
    is_seen_as_an_rpm_host("rpm-ndb", "ndb");
}

#[test]
fn a_host_of_unstable_is_seen() {
    is_seen_as_an_rpm_host("rpm-unstable", "sqlite");
}
