//! The host unlocked and locked, where it is one that the test made for itself: [`crate::alone`]. What real services see of it is
//! tested on a machine that boots.

use crate::alone;

#[test]
fn what_is_unlocked_read_only_is_written_in_a_private_namespace() {
    alone::check("trixie", "live/shell.sh", |_, _| {});
}

#[test]
fn killed_at_any_call_it_is_taken_off_and_told() {
    alone::check("trixie", "live/killed.sh", |_, _| {});
}

#[test]
fn every_refusal_of_the_kernel_leaves_all_or_nothing() {
    alone::check("trixie", "live/refused.sh", |_, _| {});
}

#[test]
fn full_file_systems_and_others_at_the_same_time_lose_nothing() {
    alone::check("trixie", "live/full.sh", |_, _| {});
}

#[test]
fn what_packages_have_left_is_listed() {
    alone::check("trixie", "live/left.sh", |_, _| {});
}

#[test]
fn what_packages_of_rpm_have_left_is_listed() {
    alone::check("rpm-sqlite", "live/left.sh", |_, _| {});
}
