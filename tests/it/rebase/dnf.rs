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
