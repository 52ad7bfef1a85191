//! A machine that boots: Debian with its own systemd as process 1, a /usr that cannot be written, and services that
//! must not notice what is done in overlays.
//!
//! It is a container of systemd-nspawn, which takes two seconds to boot where a virtual machine takes forty. Checks
//! are shell scripts that run inside, as the administrator would type them (`machine/*.sh`); one boot has many
//! steps, and every step that failed is shown.

pub(crate) mod bed;

use bed::{Machine, assert_all_passed};

/// Real `apt-get install` of a package whose scripts try everything, in every way to enter.
#[test]
fn packages_are_installed_without_a_trace_on_the_host() {
    let Some(machine) = Machine::make() else { return };
    assert_all_passed(&machine.boot("machine/packages.sh"));
}

/// Joining, what is left running, tools that look at the host, name services, terminals and exit codes.
#[test]
fn overlays_are_shared_and_tools_in_them_see_the_host() {
    let Some(machine) = Machine::make() else { return };
    assert_all_passed(&machine.boot("machine/together.sh"));
}

/// An overlay booted with its own systemd, by systemd-nspawn in the machine: joined, powered off, terminated.
#[test]
fn an_overlay_boots_and_powers_off() {
    let Some(machine) = Machine::make() else { return };
    assert_all_passed(&machine.boot("machine/booted.sh"));
}

/// /usr is made writable under sandboxed services, for all that run, and is locked again.
#[test]
fn the_host_is_unlocked_and_locked_again() {
    let Some(machine) = Machine::make() else { return };
    assert_all_passed(&machine.boot("machine/unlocked.sh"));
}

/// systemd-sysext and systemd-confext have merged extensions before, or merge them meanwhile.
#[test]
fn the_host_is_unlocked_beside_extensions_of_systemd() {
    let Some(machine) = Machine::make() else { return };
    assert_all_passed(&machine.boot("machine/extensions.sh"));
}

/// Extensions are merged under running services, come back at boot, are held back where they do not fit, and fit another base.
#[test]
fn extensions_come_back_at_boot_where_they_fit() {
    let Some(machine) = Machine::make() else { return };
    if !crate::debian::has("mksquashfs") {
        return;
    }
    machine.put_extensions();
    assert_all_passed(&machine.boot("machine/active.sh"));
    machine.change("truncate --size=300 /var/lib/onlay/images/three_1_any.raw");
    assert_all_passed(&machine.boot("machine/active.sh"));
    machine.change(
        "cd /usr/lib/x86_64-linux-gnu; cp libselinux.so.1 libneedful.so.1; touch /var/lib/dpkg/status",
    );
    assert_all_passed(&machine.boot("machine/active.sh"));
    assert_all_passed(&machine.boot_with("machine/active.sh", &["onlay.extensions=no"]));
}

/// The timer fires on the machine as it runs, and at its next boot: with an update, without one, with what must not be and with what
/// cannot be.
#[test]
fn extensions_are_updated_by_a_timer() {
    let Some(machine) = Machine::make() else { return };
    if !crate::debian::has("mksquashfs") {
        return;
    }
    machine.put_extensions();
    assert_all_passed(&machine.boot("machine/timer.sh"));
    assert_all_passed(&machine.boot("machine/timer.sh"));
}

/// The machine is switched off under an overlay in use, gets a package, and then another image of /usr.
#[test]
fn an_overlay_outlives_boots_and_changes_of_its_base() {
    let Some(machine) = Machine::make() else { return };
    assert_all_passed(&machine.boot("machine/kept.sh"));
    assert_all_passed(&machine.boot("machine/kept.sh"));
    machine.change("dpkg --install /var/local/repository/onlay-base_*.deb");
    assert_all_passed(&machine.boot("machine/kept.sh"));
    machine.change(
        "echo IMAGE_VERSION=7 >>/usr/lib/os-release; rm /usr/bin/strace; echo new >/usr/bin/onlay-new",
    );
    assert_all_passed(&machine.boot("machine/kept.sh"));
}

/// An unlock in passing is lost with the power; a persistent one comes back at boot, follows a base that goes with it,
/// and is held back over one that does not. Soft-reboots end both, and the persistent one begins again. All that is on a host of
/// which nothing can be written but /var, and /etc by an overlay.
#[test]
fn a_persistent_unlock_comes_back_at_boot() {
    let Some(machine) = Machine::make_sealed() else { return };
    for _ in 0..3 {
        assert_all_passed(&machine.boot("machine/persistent.sh"));
    }
    assert_all_passed(&machine.boot_with("machine/persistent.sh", &["onlay.unlock=no"]));
    machine.change("dpkg --install /var/local/repository/onlay-base_*.deb");
    assert_all_passed(&machine.boot("machine/persistent.sh"));
    machine.change("dpkg --purge onlay-base");
    assert_all_passed(&machine.boot("machine/persistent.sh"));
    assert_all_passed(&machine.boot("machine/soft_reboot.sh"));
}
