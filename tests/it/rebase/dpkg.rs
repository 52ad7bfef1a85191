//! What dpkg keeps beside packages, where both sides have changed that.

use super::bed::{Bed, DPKG};
use crate::kernel::sh;

#[test]
fn links_of_alternatives_are_those_of_the_merged_choice() {
    let Some(bed) = Bed::new(&DPKG, &["foo_1"]) else { return };
    let offer = "update-alternatives --quiet --install /usr/bin/talt talt";
    bed.inside(&format!("{}; {offer} /usr/lib/baz/file 10", bed.install(&["baz_1"])));
    bed.on_host(&format!("{}; {offer} /usr/lib/foo/file 20", bed.install(&["foo_2"])));
    let said = bed.follow();
    assert!(!said.contains("alternatives"), "{said}");
    let query = bed.inside("update-alternatives --query talt; readlink /etc/alternatives/talt");
    for word in [
        "Status: auto",
        "Best: /usr/lib/foo/file",
        "Value: /usr/lib/foo/file",
        "Alternative: /usr/lib/baz/file",
    ] {
        assert!(query.contains(word), "{word}: {query}");
    }
    assert!(query.ends_with("\n/usr/lib/foo/file\n"), "{query}");
}

#[test]
fn configuration_that_lay_in_the_base_alone_is_told() {
    let Some(bed) = Bed::new(&DPKG, &[]) else { return };
    for version in ["1", "2"] {
        let script = "mkdir -p \"$1/DEBIAN\" \"$1/etc\"; echo same >\"$1/etc/same.conf\"
            echo /etc/same.conf >\"$1/DEBIAN/conffiles\"
            printf 'Package: same\\nVersion: %s\\nArchitecture: all\\nMaintainer: a <a@b>\\nDescription: a\\n' \"$3\" >\"$1/DEBIAN/control\"
            dpkg-deb --root-owner-group --build \"$1\" \"$2\" >/dev/null";
        let target = bed.host().join(format!("srv/made/same_{version}.deb"));
        sh(script, &[&bed.lab.path(format!("same-{version}")), &target, version.as_ref()]);
    }
    bed.on_host(&bed.install(&["same_1"]));
    bed.inside(&bed.install(&["same_2"]));
    bed.on_host("dpkg --purge same");
    let said = bed.follow();
    assert!(said.contains("same:all 2 stays, though the base has it no more"), "{said}");
    assert!(said.contains("/etc/same.conf: of same, which stays, but went with the base"), "{said}");
}

#[test]
fn a_hold_that_cannot_be_kept_is_told() {
    let Some(bed) = Bed::new(&DPKG, &["foo_1"]) else { return };
    bed.inside("apt-mark hold foo >/dev/null");
    bed.on_host("dpkg --purge foo");
    let said = bed.follow();
    assert!(said.contains("foo:all 1 went with the base, though it was on hold here"), "{said}");
}

#[test]
fn directories_and_links_of_a_package_that_stays_are_there() {
    let Some(bed) = Bed::new(&DPKG, &["foo_1"]) else { return };
    for version in ["1", "2"] {
        let script = "mkdir -p \"$1/DEBIAN\" \"$1/usr/lib/dirs/empty/below\" \"$1/var/lib/dirs\"; cd \"$1\"
            ln -s /usr/lib/foo usr/lib/dirs/link; ln -s dirs usr/lib/dirs-link; echo \"$3\" >usr/lib/dirs/file; chmod 750 var/lib/dirs
            printf 'Package: dirs\\nVersion: %s\\nArchitecture: all\\nMaintainer: a <a@b>\\nDescription: a\\n' \"$3\" >DEBIAN/control
            dpkg-deb --root-owner-group --build . \"$2\" >/dev/null";
        let target = bed.host().join(format!("srv/made/dirs_{version}.deb"));
        sh(script, &[&bed.lab.path(format!("dirs-{version}")), &target, version.as_ref()]);
    }
    let look = "cd /usr/lib; find dirs dirs-link /var/lib/dirs -printf '%p %m %u %l\\n' | sort";
    bed.on_host(&bed.install(&["dirs_1"]));
    let before = bed.inside(&format!("{}; {look}", bed.install(&["dirs_2"])));
    bed.on_host("dpkg --purge dirs");
    let said = bed.follow();
    assert_eq!(bed.inside(look), before, "{said}");
    // What a person removed is not made.
    bed.on_host(&bed.install(&["dirs_1"]));
    bed.touch();
    bed.inside("rm /usr/lib/dirs-link; rmdir /usr/lib/dirs/empty/below");
    bed.on_host("dpkg --purge dirs");
    bed.follow();
    assert_eq!(
        bed.inside("cd /usr/lib; ls -d dirs-link dirs/empty/below dirs/link 2>/dev/null || true"),
        "dirs/link\n"
    );
}

#[test]
fn an_alternative_whose_choice_is_gone_is_automatic_again() {
    let Some(bed) = Bed::new(&DPKG, &["foo_1", "baz_1"]) else { return };
    let offer = "update-alternatives --quiet --install /usr/bin/talt talt";
    bed.on_host(&format!("{offer} /usr/lib/foo/only-1 10; {offer} /usr/lib/baz/file 20"));
    bed.inside("update-alternatives --quiet --set talt /usr/lib/foo/only-1");
    bed.on_host(&format!(
        "update-alternatives --remove talt /usr/lib/foo/only-1; {}",
        bed.install(&["foo_2"])
    ));
    let said = bed.follow();
    let told = "alternative 'talt' was set to /usr/lib/foo/only-1, which is gone; it is automatic again";
    assert!(said.contains(told), "{said}");
    let query = bed.inside("update-alternatives --query talt; readlink /etc/alternatives/talt");
    assert!(query.contains("Status: auto") && query.ends_with("\n/usr/lib/baz/file\n"), "{query}");
    // One that is still there stays chosen.
    bed.on_host(&format!("{offer} /usr/lib/foo/file 30"));
    bed.inside("update-alternatives --quiet --set talt /usr/lib/baz/file");
    bed.on_host(&bed.install(&["foo_3"]));
    let said = bed.follow();
    assert!(!said.contains("automatic"), "{said}");
    assert_eq!(bed.inside("readlink -f /usr/bin/talt"), "/usr/lib/baz/file\n");
}

#[test]
fn what_an_interrupted_dpkg_has_left_is_told() {
    let Some(bed) = Bed::new(&DPKG, &["foo_1"]) else { return };
    let broken_off = "dpkg --unpack /srv/made/large_1.deb >/dev/null 2>&1 & \
        until [ -e /usr/lib/large/b.dpkg-new ]; do :; done; kill -KILL $!; wait";
    let script = "mkdir -p \"$1/DEBIAN\" \"$1/usr/lib/large\"; echo 1 >\"$1/usr/lib/large/a\"; head -c 60000000 /dev/zero >\"$1/usr/lib/large/b\"
        printf 'Package: large\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\nDescription: a\\n' >\"$1/DEBIAN/control\"
        dpkg-deb -Znone --root-owner-group --build \"$1\" \"$2\" >/dev/null";
    sh(script, &[&bed.lab.path("large"), &bed.host().join("srv/made/large_1.deb")]);
    bed.inside(broken_off);
    bed.on_host(&bed.install(&["foo_2"]));
    let said = bed.follow();
    assert!(said.contains(".dpkg-new") && said.contains("left by a dpkg that was broken off"), "{said}");
    bed.inside(&bed.install(&["large_1"]));
    bed.on_host(&bed.install(&["foo_3"]));
    let said = bed.follow();
    assert!(!said.contains("left by a dpkg"), "{said}");
    bed.assert_sound();
}
