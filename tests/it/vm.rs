//! Onlay in emulated machines: on a host that boots by OSTree, and on kernels older than ours, which name an overlay's layers in ways of their own: Debian's 6.1 and 6.12, in
//! an emulated machine. There they are real, where the tests of faults only inject what they answer. So is dm-verity, for images that are signed.
//!
//! An emulator without help of the processor is some ten times slower than the machine below, so one boot has many
//! steps, and the machine boots three times: the power is cut under it while an overlay is in use, and while one
//! follows its base.

use crate::machine::bed::{Machine, assert_all_passed};

#[test]
fn linux_6_1() {
    check("linux-6.1");
}

#[test]
fn linux_6_12() {
    check("linux-6.12");
}

/// A host of OSTree's, beside the real `ostree admin unlock`.
#[test]
fn ostree() {
    let Some(machine) = Machine::make_with_ostree() else { return };
    assert_all_passed(&machine.boot("vm/ostree.sh"));
}

fn check(kernel: &str) {
    let Some(machine) = Machine::make_with_kernel(kernel) else { return };
    let images = crate::debian::place();
    crate::ddi::images_for_a_machine(images.path());
    machine.put_images(images.path());
    for _ in 0..3 {
        assert_all_passed(&machine.boot("vm/checks.sh"));
    }
}
