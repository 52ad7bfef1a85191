//! Onlay in emulated machines: on a host that boots by OSTree, on one whose root is a snapshot, and on kernels older than ours, which name an overlay's layers in ways of their own: Debian's 6.1 and 6.12, in
//! an emulated machine. There they are real, where the tests of faults only inject what they answer. So is dm-verity, for images that are signed.
//!
//! An emulator without help of the processor is some ten times slower than the machine below, so one boot has many steps, and
//! what is proven on our own kernel is not proven again. The older of the two boots twice: the power is cut under it while an overlay
//! is in use, and the host is unlocked. Its root cannot be written, as on the hosts that all this is for.
//!
//! A cut in the middle of a command leaves what is on the disk at that moment. For that the emulator stops, the disk is copied,
//! and it goes on, as if nothing had been; what was copied is booted by a container.

use crate::machine::bed::{Machine, assert_all_passed};

#[test]
fn linux_6_1() {
    check("linux-6.1", 2, &["unlocking", "locking"]);
}

#[test]
fn linux_6_12() {
    check("linux-6.12", 1, &["rebasing", "unlocking-on-disk", "saving"]);
}

/// A host of OSTree's, beside the real `ostree admin unlock`.
#[test]
fn ostree() {
    let Some(machine) = Machine::make_with_ostree() else { return };
    // With packages that were layered in it, and without them again.
    for checks in ["vm/ostree.sh", "vm/ostree_next.sh", "vm/ostree_back.sh"] {
        assert_all_passed(&machine.boot(checks));
    }
    // What is only finished at shutdown is not there before: what ran is.
    let found = machine.examine_kept("vm/ostree_kept.sh");
    assert!(found.len() > 2 && found.iter().all(|(_, next)| next == "-"), "{found:?}");
}

/// The same, whose packages are RPMs: from a kernel and an initramfs of a layer to other layers, over a newer base, and back.
#[test]
fn ostree_rpm() {
    let Some(machine) = Machine::make_with_ostree_rpm() else { return };
    for checks in ["vm/ostree_rpm.sh", "vm/ostree_rpm_next.sh", "vm/ostree_rpm_back.sh"] {
        assert_all_passed(&machine.boot(checks));
    }
    // What was said to be booted next is, though the power was cut.
    let next = machine.examine("vm/ostree_kept.sh");
    assert_eq!(next, "1.1 lab-daemon lab-new lab-tilde lab-tool layer-needs layer-places");
}

/// A host whose root is a snapshot of snapper's: with packages that were layered in it, and what cuts have left while they came.
#[test]
fn snapper() {
    let Some(machine) = Machine::make_with_snapper() else { return };
    for checks in ["vm/snapper.sh", "vm/snapper_next.sh"] {
        assert_all_passed(&machine.boot(checks));
    }
    let found = machine.examine_kept("vm/snapper_kept.sh");
    let is_done = |name: &str| name == "done";
    assert!(found.iter().any(|(_, word)| word == "begun"), "{found:?}");
    // What was said to be done, with nothing that took time in between.
    assert!(found.iter().any(|(name, word)| is_done(name) && is_done(word)), "{found:?}");
}

/// The same, whose packages are RPMs: from a kernel and an initramfs of a layer to other layers, and what a power cut in the middle of another change has left.
#[test]
fn snapper_rpm() {
    let Some(machine) = Machine::make_with_snapper_rpm() else { return };
    assert_all_passed(&machine.boot("vm/snapper_rpm.sh"));
    assert_eq!(machine.examine("vm/snapper_rpm_upgrade.sh"), "4");
    assert_all_passed(&machine.boot("vm/snapper_rpm_next.sh"));
    // What was said to be booted next is, though the power was cut, and what was begun is not.
    let left = machine.examine("vm/snapper_rpm_kept.sh");
    assert_eq!(left, "4 lab-daemon lab-new lab-tool layer-needs layer-places 1");
}

/// Boots so often, and then what cuts of these names have left.
fn check(kernel: &str, boots: usize, cuts: &[&str]) {
    let Some(machine) = Machine::make_with_kernel(kernel) else { return };
    let images = crate::debian::place();
    crate::ddi::images_for_a_machine(images.path());
    machine.put_images(images.path());
    for _ in 0..boots {
        assert_all_passed(&machine.boot("vm/checks.sh"));
    }
    for cut in cuts {
        assert_all_passed(&machine.boot_kept(cut, "vm/after.sh"));
    }
}
