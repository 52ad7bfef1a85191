//! Real `apt-get` in an overlay of a tree that does not run: what is installed, removed and upgraded inside is whole,
//! and the tree is left as it was, to the last time stamp.

use std::process::Output;

use crate::debian::{self, command, expect_success, words};
use crate::tree::{self, expect_words};

/// The Debian tree, and a repository for it.
struct Bed {
    bed: tree::Bed,
}

impl Bed {
    fn make() -> Option<Bed> {
        let bed = tree::Bed::of("trixie")?;
        // The tree's /srv and /home are the overlay's, too; what lies outside is not to be seen. So the packages
        // come in through the state of an overlay: with the first command.
        debian::make_repository(&bed.place().join("repository"), bed.tree());
        Some(Bed { bed })
    }

    fn inside(&self, options: &[&str], script: &str) -> Output {
        let script = format!("export DEBIAN_FRONTEND=noninteractive; {script}");
        self.bed.inside(options, &script, self.repository_as_input())
    }

    /// The packages as an archive on standard input, which every overlay has.
    fn repository_as_input(&self) -> std::fs::File {
        let place = self.bed.place();
        let archive = place.join("repository.tar");
        if !archive.exists() {
            expect_success(command("tar").arg("-cf").arg(&archive).arg("-C").arg(place).arg("repository"));
        }
        std::fs::File::open(archive).expect("tar has just made it")
    }

    fn expect(&self, options: &[&str], script: &str) -> String {
        expect_words(&self.inside(options, script))
    }

    fn assert_tree_unchanged(&self) {
        self.bed.assert_tree_unchanged();
    }
}

/// Unpacks the repository below /var/tmp and makes it apt's only source.
const REPOSITORY: &str = "tar -xf - -C /var/tmp; rm -f /etc/apt/sources.list.d/*; \
    echo 'deb [trusted=yes] file:/var/tmp/repository ./' >/etc/apt/sources.list; apt-get -q update;";

/// Says of a system whether its packages are whole: `verify` passes configuration that was changed on purpose.
const WHOLE: &str = "test -z \"$(dpkg --audit)\"; apt-get -q -s check; \
    dpkg --verify | grep -v ' c /etc/apt/sources.list' | tee /tmp/verify; test ! -s /tmp/verify;";

#[test]
fn a_package_is_installed_in_an_overlay_of_a_tree() {
    let Some(bed) = Bed::make() else { return };
    let install = format!("{REPOSITORY} apt-get -q -y install onlay-probe; onlay-probe; {WHOLE}");
    bed.expect(&[], &install);
    bed.assert_tree_unchanged();
    // Coming back, all is there; and a service was not started, for nobody runs the tree.
    bed.expect(&[], &format!("onlay-probe; dpkg --status onlay-probe; getent passwd onlay-probe; {WHOLE}"));
    bed.expect(&[], &format!("apt-get -q -y purge onlay-probe; test ! -e /usr/bin/onlay-probe; {WHOLE}"));
    let log = bed.expect(&[], "cat /var/log/onlay-probe.log");
    assert!(log.contains("invoke-rc.d: policy-rc.d denied execution of start."), "{log}");
    bed.assert_tree_unchanged();
}

#[test]
fn a_package_is_installed_in_an_isolated_overlay_of_a_tree() {
    let Some(bed) = Bed::make() else { return };
    let options = ["--isolate", "--no-net", "apart"];
    bed.expect(&options, &format!("{REPOSITORY} apt-get -q -y install onlay-probe; {WHOLE}"));
    bed.expect(&options, &format!("onlay-probe; {WHOLE}"));
    bed.assert_tree_unchanged();
}

#[test]
fn a_package_of_the_base_is_removed() {
    let Some(bed) = Bed::make() else { return };
    bed.expect(&[], &format!("apt-get -q -y remove strace; test ! -e /usr/bin/strace; {WHOLE}"));
    // A service, with all that it configured: its scripts ask systemd, which is not here.
    bed.expect(
        &[],
        &format!("apt-get -q -y purge cron; test ! -e /etc/init.d/cron -a ! -e /usr/sbin/cron; {WHOLE}"),
    );
    let again = bed.inside(&[], "dpkg --status strace || dpkg --status cron");
    assert!(!again.status.success(), "{}", words(&again));
    bed.assert_tree_unchanged();
}

#[test]
fn a_package_of_the_base_is_upgraded() {
    let Some(bed) = Bed::make() else { return };
    let upgrade = format!("{REPOSITORY} apt-get -q -y install --only-upgrade cron; {WHOLE}");
    bed.expect(&[], &upgrade);
    let version =
        bed.expect(&[], &format!("dpkg-query --show cron; cat /usr/share/doc/cron/onlay-test; {WHOLE}"));
    assert!(version.contains("+onlay1"), "{version}");
    bed.expect(&[], &format!("apt-get -q -y install --reinstall cron; {WHOLE}"));
    bed.assert_tree_unchanged();
}

/// An installation that is broken off in the middle is found so, and can be finished.
#[test]
fn an_installation_that_was_killed_is_finished_later() {
    let Some(bed) = Bed::make() else { return };
    let broken = bed.inside(
        &[],
        &format!("{REPOSITORY} dpkg --unpack /var/tmp/repository/onlay-probe_*.deb; kill -KILL $$"),
    );
    assert!(!broken.status.success(), "{}", words(&broken));
    let audit = bed.expect(&[], "dpkg --audit; dpkg --configure --pending; onlay-probe");
    assert!(audit.contains("onlay-probe"), "{audit}");
    bed.expect(&[], WHOLE);
    bed.assert_tree_unchanged();
}
