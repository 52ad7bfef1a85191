//! Who may not, and where not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::kernel::{Lab, make_dir, names_in, sh};

const NOBODY: &[&str] = &["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

#[test]
fn who_is_not_root_is_told_so() {
    let Some(lab) = Lab::open() else { return };
    fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o755)).expect("our directory");
    let program = lab.path("program");
    fs::copy(env!("CARGO_BIN_EXE_onlay"), &program).expect("a copy that everybody may read");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our file");
    let run = |words: &[&str]| {
        let mut command = crate::kernel::command(NOBODY[0]);
        command.args(&NOBODY[1..]).arg(&program).args(words).output().expect("setpriv starts")
    };
    for words in [&["shell"][..], &["shell", "--temp"], &["list"], &["rm", "a"], &["diff"]] {
        let output = run(words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {stderr}");
        assert!(stderr.contains("only root may") && stderr.contains("hint: try again with sudo"), "{stderr}");
    }
    // What all may see of the host is shown, and that there may be more.
    let output = run(&["status"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("are shown to root alone"), "{stdout}");
}

#[test]
fn root_without_the_right_to_mount_is_told_so() {
    let Some(lab) = Lab::open() else { return };
    for drop in [
        &["/usr/bin/setpriv", "--bounding-set=-sys_admin"][..],
        &["/sbin/capsh", "--drop=cap_sys_admin", "--", "-c", "exec \"$@\"", "sh"],
    ] {
        let ran = lab.onlay(&["shell", "a", "--", "true"]).through(drop).run();
        ran.failed(3, &["root may not mount here: CAP_SYS_ADMIN is missing", "hint: in a container"]);
    }
    assert!(names_in(&lab.state).is_empty());
}

#[test]
fn a_state_on_a_file_system_that_cannot_hold_it_is_refused() {
    let Some(mut lab) = Lab::with_private_mounts() else { return };
    let over = lab.path("over");
    for name in ["low", "up", "work", "over"] {
        make_dir(&lab.path(name), 0o700);
    }
    let script = "mount -t overlay lab -o \"lowerdir=$1,upperdir=$2,workdir=$3\" \"$4\"";
    sh(script, &[&lab.path("low"), &lab.path("up"), &lab.path("work"), &over]);
    let state = over.join("state");
    let ran = lab.onlay(&["shell", "a", "--", "true"]).state(&state).run();
    ran.failed(
        3,
        &["cannot hold overlays: it lies on an overlay itself", "hint: give --state a directory on ext4"],
    );
    lab.uses(&state);
    assert!(names_in(&state).is_empty());
    lab.onlay(&["shell", "-q", "--temp", "--", "true"]).state(&state).run().ok();
}

#[test]
fn a_state_in_ram_works() {
    let Some(mut lab) = Lab::with_private_mounts() else { return };
    let state = lab.path("ram");
    lab.mount_tmpfs("size=16m,mode=0700", &state);
    lab.uses(&state);
    let run = |script| lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).state(&state).run().ok();
    run("echo x >/etc/x");
    assert_eq!(run("cat /etc/x"), "x\n");
    lab.onlay(&["rm", "a"]).state(&state).run().ok();
}

#[test]
fn a_state_on_fat_is_refused() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    if !fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains("\tvfat\n")) {
        // Not a failure anywhere: few kernels of test machines have it.
        return;
    }
    let state = lab.path("fat");
    lab.mount_image("vfat", 64, &state);
    let ran = lab.onlay(&["shell", "a", "--", "true"]).state(&state).run();
    ran.failed(3, &["cannot hold overlays: FAT and exFAT have no extended attributes"]);
}

#[test]
fn a_read_only_state_is_refused_with_a_way_out() {
    let Some(mut lab) = Lab::with_private_mounts() else { return };
    let state = lab.path("sealed");
    lab.mount_tmpfs("size=1m,mode=0700,ro", &state);
    lab.uses(&state);
    for place in [state.clone(), state.join("below")] {
        let ran = lab.onlay(&["shell", "a", "--", "true"]).state(&place).run();
        ran.failed(1, &["Read-only file system", "hint: give --state a writable directory, or use --temp"]);
    }
    lab.onlay(&["shell", "-q", "--temp", "--", "true"]).state(&state).run().ok();
}

#[test]
fn a_state_that_others_may_write_is_refused() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "true").ok();
    let commands: [&[&str]; 4] = [&["shell", "a", "--", "true"], &["list"], &["rm", "a"], &["diff", "a"]];
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(&lab.state, fs::Permissions::from_mode(mode)).expect("our directory");
        for words in commands {
            let ran = lab.onlay(words).run();
            ran.failed(
                1,
                &[
                    "is not safe: others than its owner may write it",
                    "hint: give --state a directory that only root may write",
                ],
            );
        }
    }
    fs::set_permissions(&lab.state, fs::Permissions::from_mode(0o700)).expect("our directory");
    chown(&lab.state, Some(65534), Some(65534)).expect("our directory");
    for words in commands {
        lab.onlay(words).run().failed(1, &["is not safe: it belongs to another user"]);
    }
    chown(&lab.state, Some(0), Some(0)).expect("our directory");
    lab.onlay(&["rm", "a"]).run().ok();
}

#[test]
fn a_state_or_a_root_that_is_no_directory_is_refused() {
    let Some(mut lab) = Lab::open() else { return };
    let file = lab.path("file");
    fs::write(&file, "").expect("a file");
    lab.uses(&file);
    for place in [file.clone(), file.join("below")] {
        lab.onlay(&["shell", "a", "--", "true"]).state(&place).run().failed(1, &["Not a directory"]);
    }
    lab.onlay(&["shell", "a", "--", "true"]).root(&file).run().failed(1, &["Not a directory"]);
    let missing = lab.onlay(&["shell", "a", "--", "true"]).root(Path::new("/no/such/root")).run();
    missing.failed(1, &["/no/such/root", "No such file or directory"]);
    assert!(names_in(&lab.state).is_empty());
}
