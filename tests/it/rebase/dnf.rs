//! What dnf installed for others' sake, in an overlay and on the host, and what dnf makes of it when the overlay has
//! followed.

use super::bed::{Bed, Kind, NDB, RPM, UNSTABLE};

fn follows(kind: &'static Kind, dnf: &str) {
    let Some(bed) = Bed::new(kind, &[]) else { return };
    // Two pairs of packages, of which one needs the other.
    bed.on_host("rpm --erase lab-leaf lab-stem lab-pair lab-pair-libs");
    bed.inside(&format!("{dnf} -y install lab-leaf >/dev/null 2>&1"));
    bed.on_host(&format!("{dnf} -y install lab-pair 2>&1"));
    for _ in 0..2 {
        bed.follow();
        let listed = bed.inside(&format!(
            "{dnf} -q repoquery --userinstalled --queryformat '%{{name}}\n' 2>/dev/null | grep -e lab-leaf -e lab-stem -e lab-pair"
        ));
        assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["lab-leaf", "lab-pair"]);
        bed.touch();
    }
    // Whom nobody needs any more, goes; whether the overlay or the host has brought it.
    let offered = bed.inside(&format!(
        "rpm --erase lab-leaf lab-pair; set +e; {dnf} autoremove --assumeno 2>&1; rpm --query lab-stem lab-pair-libs"
    ));
    let is_offered = |name: &str| offered.lines().any(|line| line.split_whitespace().next() == Some(name));
    assert!(is_offered("lab-stem") && is_offered("lab-pair-libs") && !is_offered("bash"), "{offered}");
}

#[test]
fn dnf_knows_what_it_installed_for_others() {
    follows(&RPM, "dnf");
}

#[test]
fn dnf_knows_what_it_installed_for_others_with_ndb() {
    follows(&NDB, "dnf");
}

#[test]
fn dnf_5_knows_what_it_installed_for_others() {
    follows(&UNSTABLE, "dnf5");
}

/// What libdnf5 notes of groups is no package's.
#[test]
fn groups_that_one_side_removed_are_gone() {
    let Some(bed) = Bed::new(&RPM, &["foo_1", "baz_1"]) else { return };
    let table = "/usr/lib/sysimage/libdnf5/groups.toml";
    let write = |groups: &[&str]| {
        let rows: Vec<String> = groups.iter().map(|group| format!("{group} = {{packages = []}}\n")).collect();
        format!("mkdir -p ${{t%/*}}; printf 'version = \"1.0\"\n\n[groups]\n{}' >$t", rows.concat())
    };
    bed.on_host(&format!("t={table}; {}", write(&["left", "host", "overlay"])));
    bed.inside(&format!("t={table}; {}; {}", write(&["left", "host", "own"]), bed.install(&["foo_2"])));
    bed.on_host(&format!("t={table}; {}; {} baz", write(&["left", "overlay", "new"]), bed.kind.remove));
    bed.follow();
    let groups = bed.inside(&format!("cat {table}"));
    for (name, is_there) in
        [("left", true), ("own", true), ("new", true), ("host", false), ("overlay", false)]
    {
        assert_eq!(groups.contains(name), is_there, "{name}: {groups}");
    }
}
