//! Full disks.

use std::fs;
use std::path::PathBuf;

use crate::kernel::{Lab, names_in};

/// A state directory on an ext4 of its own that is filled to the last byte.
fn full(lab: &mut Lab) -> PathBuf {
    let state = lab.path("disk");
    lab.mount_image("ext4", 4, &state);
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("our directory");
    lab.uses(&state);
    state
}

fn fill(state: &std::path::Path) {
    use std::io::Write;
    let mut file = fs::File::create(state.join("filler")).expect("a file");
    for size in [65536, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    // Directories take blocks of their own.
    for number in 0.. {
        if fs::create_dir(state.join(format!("filler.{number}"))).is_err() {
            break;
        }
    }
}

fn empty(state: &std::path::Path) {
    fs::remove_file(state.join("filler")).expect("it was made");
    for name in names_in(state).iter().filter(|name| name.starts_with("filler.")) {
        fs::remove_dir(state.join(name)).expect("it was made");
    }
}

#[test]
fn making_an_overlay_on_a_full_disk_is_clean() {
    let Some(mut lab) = Lab::with_private_mounts() else { return };
    let state = full(&mut lab);
    fill(&state);
    let enter = || lab.onlay(&["shell", "-q", "a", "--", "true"]).state(&state).run();
    enter().failed(1, &["No space left on device", "hint: free some space, give --state another place"]);
    assert_eq!(lab.onlay(&["list", "--json"]).state(&state).run().ok(), "[]\n");
    empty(&state);
    enter().ok();
    lab.onlay(&["rm", "a"]).state(&state).run().ok();
}

#[test]
fn an_overlay_whose_disk_is_full_can_be_left_and_removed() {
    let Some(mut lab) = Lab::with_private_mounts() else { return };
    let state = full(&mut lab);
    let run = |script| lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).state(&state).run();
    run("echo x >/etc/x").ok();
    let ran = run("while cat /bin/busybox >>/srv/big; do :; done; ls /srv");
    assert_eq!(ran.ok(), "big\n");
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    fill(&state);
    // What is kept can be seen, whether or not there is room to mount it.
    let again = run("cat /etc/x");
    if again.code() != Some(0) {
        again.failed(1, &["o space left"]);
    }
    lab.onlay(&["list"]).state(&state).run().ok();
    lab.onlay(&["rm", "a"]).state(&state).run().ok();
    empty(&state);
    run("test ! -e /etc/x").ok();
}

#[test]
fn every_lack_of_space_on_the_way_is_clean() {
    let Some(mut lab) = Lab::with_private_mounts() else { return };
    let state = full(&mut lab);
    // One directory or file less each time, until there is room for all.
    fill(&state);
    let mut fillers: Vec<String> =
        names_in(&state).into_iter().filter(|name| name.starts_with("filler.")).collect();
    let size = fs::metadata(state.join("filler")).expect("it was made").len();
    for refused in 0..40_u64 {
        let ran = lab.onlay(&["shell", "-q", "a", "--", "true"]).state(&state).run();
        if ran.code() == Some(0) {
            assert!(refused > 1, "the disk was not full");
            lab.onlay(&["rm", "a"]).state(&state).run().ok();
            return;
        }
        ran.failed(1, &["o space left", "hint: free some space"]);
        assert_eq!(lab.onlay(&["list", "--json"]).state(&state).run().ok(), "[]\n", "{}", ran.story());
        match fillers.pop() {
            Some(name) => fs::remove_dir(state.join(name)).expect("it was made"),
            None => fs::OpenOptions::new()
                .write(true)
                .open(state.join("filler"))
                .and_then(|file| file.set_len(size.saturating_sub(refused * 4096)))
                .expect("a shorter file"),
        }
    }
    panic!("room for all did not help");
}
