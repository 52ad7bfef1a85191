//! `onlay layer` on a host with snapshots that has tukit: on a disk of a real Debian, as the system that runs. What is asked of tukit goes to one that stands in
//! for it (layer/tukit), or to the real one where `ONLAY_TEST_TUKIT` names a directory that has it and its libraries.

use std::fs;

use super::snapshot_disk::Disk;
use crate::debian;

const HOST: &str = include_str!("snapper_host.sh");

/// What a plugin of tukit's is told of a transaction that comes to its end.
const DONE: [&str; 8] = [
    "init-pre",
    "init-post",
    "keep-pre",
    "keep-post",
    "resume-pre",
    "resume-post",
    "finalize-pre",
    "finalize-post",
];

/// A plugin that writes down what it is told, fails where a test says, and waits where it says that.
const PLUGIN: &str = "#!/bin/sh\necho $1 >>/run/stages\nwhile test -e /run/wait-$1; do sleep 0.1; done\ntest ! -e /run/fail-$1\n";

/// A disk whose host has tukit, with a plugin.
fn disk() -> Option<Disk> {
    let disk = Disk::debian()?;
    let programs = disk.path("programs");
    fs::create_dir(&programs).expect("it is ours");
    let given = std::env::var_os("ONLAY_TEST_TUKIT");
    let from = match &given {
        Some(directory) => directory.into(),
        None => debian::script("layer"),
    };
    let names = fs::read_dir(&from).expect("it is there").map(|entry| entry.expect("it is read").file_name());
    for name in names.filter(|name| given.is_some() || name == "tukit") {
        fs::copy(from.join(&name), programs.join(&name)).expect("it is copied");
    }
    fs::write(disk.path("plugin"), PLUGIN).expect("it is ours");
    disk.expect(
        "in_default install -D --mode=755 ../../../../plugin etc/tukit/plugins/stages\n\
                 mkdir -p root/var/lib/ca-certificates",
    );
    Some(disk)
}

/// What a script says that must end with this code on the host.
fn on_host(disk: &Disk, code: i32, script: &str) -> String {
    disk.expect_code(code, &format!("{HOST}\nbooted \"$(cat <<'END'\n{script}\nEND\n)\""))
}

fn stages(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("stage ")).collect()
}

const STAGES: &str = "sed 's/^/stage /' /run/stages; rm /run/stages";

#[test]
fn snapshots_are_opened_and_closed_by_tukit() {
    let Some(disk) = disk() else { return };
    let said = on_host(
        &disk,
        0,
        &format!(
            "onlay layer add onlay-tool; onlay layer add onlay-needy; {STAGES}; onlay layer status; test ! -e /run/tukit.lock"
        ),
    );
    assert_eq!(stages(&said), [DONE, DONE].concat());
    assert!(said.contains("3  13  next") && said.contains("1  13  runs"), "{said}");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-tool"]);
    disk.assert_sound();
    disk.expect(
        "snapper --csvout list --columns number,cleanup,description,userdata | grep '^3,number,onlay: onlay-needy onlay-tool (upon #2),.*onlay=layers, onlay-from=2'",
    );
    // What fails is given up by it. The next boot goes on from there.
    let said = on_host(
        &disk,
        0,
        &format!(
            "cd /run; mkdir -p failing/DEBIAN; printf 'Package: failing\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@y>\\nDescription: x\\n' >failing/DEBIAN/control\n\
             printf '#!/bin/sh\\nexit 3\\n' >failing/DEBIAN/postinst; chmod 755 failing/DEBIAN/postinst; dpkg-deb --root-owner-group --build failing >/dev/null\n\
             code=0; onlay layer add ./failing.deb || code=$?; test $code = 1; {STAGES}; onlay layer remove onlay-needy; onlay layer status"
        ),
    );
    assert_eq!(stages(&said), [&DONE[..6], &["abort-post"]].concat());
    assert!(said.contains("4  13  next") && said.contains("3  13  runs"), "{said}");
    assert_eq!(disk.layered(), ["onlay-tool"]);
    // In a chroot, it ends where it has begun.
    let said =
        disk.expect(&format!("{HOST}\nbooted 'onlay layer add onlay-base; onlay layer history' chroot"));
    assert!(said.contains("add onlay-base  added onlay-base 1.0"), "{said}");
    disk.assert_sound();
}

#[test]
fn tukit_and_its_plugins_are_heard() {
    let Some(disk) = disk() else { return };
    // A plugin that fails keeps a snapshot from being made, or complains when it was.
    for stage in ["keep-post", "finalize-pre"] {
        let said = on_host(&disk, 1, &format!("touch /run/fail-{stage}; onlay layer add onlay-tool"));
        assert!(said.contains(stage) && said.contains("exit status: 1"), "{said}");
        assert!(disk.layered().is_empty());
    }
    let said = on_host(&disk, 0, "touch /run/fail-finalize-post; onlay layer add onlay-tool");
    assert!(said.contains("it was done, but 'tukit") && said.contains("finalize-post"), "{said}");
    assert_eq!(disk.numbers(), ["2", "1", "2"]);
    disk.assert_sound();
    // While it is at work, we are not, and the other way round; what it has open is told.
    let said = on_host(
        &disk,
        0,
        "touch /run/wait-init-pre; tukit --quiet --continue open & until grep -q init-pre /run/stages; do sleep 0.1; done\n\
         code=0; onlay layer add onlay-base || code=$?; test $code = 1; rm /run/wait-init-pre; wait\n\
         onlay layer add onlay-base; tukit --quiet abort 3",
    );
    assert!(said.contains("transactional-update is at work ('/run/tukit.lock' is locked)"), "{said}");
    assert!(said.contains("snapshot 3 is a transaction that somebody has open"), "{said}");
    let said = on_host(
        &disk,
        0,
        "onlay layer add onlay-needy & until grep -q begun /.snapshots/5/info.xml; do sleep 0.01; done\n\
         code=0; tukit --quiet --continue open || code=$?; wait; test $code = 1",
    );
    assert!(said.contains("Another instance of tukit is already running"), "{said}");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-tool"]);
    // Who is killed leaves what the next one clears, also where tukit has just made it.
    // So is one that has only our mark left, as tukit leaves it where the power is cut while it closes.
    let closing = "snapper --no-dbus modify --userdata transactional-update-in-progress= 6";
    for (begun, then) in [("test -e", "true"), ("grep -q begun", closing)] {
        let said = on_host(
            &disk,
            0,
            &format!(
                "onlay layer add onlay-probe & until {begun} /.snapshots/6/info.xml 2>/dev/null; do sleep 0.01; done; kill -KILL $!\n\
                 wait $! || true; {then}; onlay layer status; for _ in {{1..20}}; do onlay layer cleanup && exit; sleep 0.3; done; exit 1"
            ),
        );
        assert!(!said.contains("\n6  "), "{said}");
        assert_eq!(disk.numbers(), ["5", "1", "2", "4", "5"], "{begun}");
    }
    disk.assert_sound();
}
