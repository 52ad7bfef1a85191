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
