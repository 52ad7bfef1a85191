//! What root in an isolated overlay tries in order to get at the host: its devices, its kernel's settings,
//! its mounts. Each try fails, and the same try succeeds for root outside where that does no harm.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::kernel::{Lab, Ran, sh};

fn isolated(lab: &Lab, options: &[&str], script: &str) -> Ran {
    let words = [&["shell", "-q", "--isolate"], options, &["--", "bash", "-c", script]].concat();
    lab.on_host(&words).run()
}

/// A disk that root can read: a loop device with something on it. It is detached when dropped.
struct Disk {
    device: String,
    _image: tempfile::NamedTempFile,
}

impl Disk {
    fn attach(lab: &Lab) -> Disk {
        let mut image = tempfile::Builder::new().tempfile_in(lab.path("")).expect("an image");
        image.write_all(&[b'x'; 4096]).expect("an image");
        let device = sh("losetup --find --show \"$1\"", &[image.path()]);
        Disk { device: device.trim().to_owned(), _image: image }
    }

    /// What mknod(1) takes.
    fn number(&self) -> String {
        let device = fs::metadata(&self.device).expect("losetup has named it").rdev();
        format!("b {} {}", rustix::fs::major(device), rustix::fs::minor(device))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        sh("losetup --detach \"$1\"", &[Path::new(&self.device)]);
    }
}

#[test]
fn no_node_of_a_disk_is_made() {
    let Some(lab) = Lab::open() else { return };
    let script = "for place in /dev /dev/shm /tmp /run /etc /root; do
            mknod $place/onlay-disk b 7 0
            mknod $place/onlay-memory c 1 1
            mknod $place/onlay-messages c 1 11
            ls $place/onlay-* 2>/dev/null
        done";
    let ran = isolated(&lab, &["--temp", "--no-home"], script);
    assert_eq!(ran.text(), "", "{}", ran.story());
    assert_eq!(ran.stderr.matches("Operation not permitted").count(), 18, "{}", ran.story());
}

#[test]
fn harmless_nodes_pipes_and_sockets_are_made() {
    let Some(lab) = Lab::open() else { return };
    // What packages bring for services that change their root.
    let script = "mkdir /var/own; cd /var/own; mknod null c 1 3; mknod random c 1 8; mknod pipe p; mknod /tmp/white c 0 0; \
        python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'; stat -c '%n %F %t:%T' * /tmp/white; \
        cp -a null again; tar -c null | tar -x -C /tmp; stat -c %t:%T again /tmp/null";
    let expected = "null character special file 1:3\npipe fifo 0:0\nrandom character special file 1:8\n\
        socket socket 0:0\n/tmp/white character special file 0:0\n1:3\n1:3\n";
    assert_eq!(isolated(&lab, &["--temp"], script).ok(), expected);
}

/// Nodes that were there before: in the base, in the homes of the host, in the overlay.
#[test]
fn no_node_of_a_disk_is_opened() {
    let Some(lab) = Lab::open() else { return };
    let disk = Disk::attach(&lab);
    let make = format!("mknod -m 666 \"$1\" {}; head -c 1 \"$1\" | wc -c", disk.number());
    let node = |path: PathBuf| assert_eq!(sh(&make, &[&path]), "1\n", "the disk can be read outside");
    node(lab.tree.join("etc/disk"));
    node(lab.tree.join("home/user/disk"));
    let place = format!("mknod /srv/disk {}; cat /srv/disk | head -c 1 | wc -c", disk.number());
    let made = lab.onlay(&["shell", "-q", "--unguarded", "a", "--", "busybox", "sh", "-c", &place]).run();
    assert_eq!(made.ok(), "1\n", "without isolation");
    let script = "ls /etc/disk /home/user/disk /srv/disk && cat /etc/disk; cat /home/user/disk; cat /srv/disk; \
        cp -a /srv/disk /dev/disk; cat /dev/disk; mv /srv/disk /dev/moved; cat /dev/moved; ln /etc/disk /root/disk; cat /root/disk";
    let ran = lab.onlay(&["shell", "-q", "--isolate", "a", "--", "busybox", "sh", "-c", script]).run();
    assert_eq!(ran.text(), "/etc/disk\n/home/user/disk\n/srv/disk\n", "{}", ran.story());
    assert_eq!(ran.stderr.matches("ermission denied").count(), 3, "{}", ran.story());
}

/// Each is a way to a file system of the kernel that can be written, or past what covers one.
const MOUNTING: &[&str] = &[
    "mount -t devtmpfs none /mnt",
    "mount -t proc none /mnt",
    "mount -t sysfs none /mnt",
    "mount -t tmpfs none /mnt",
    "mount -t cgroup2 none /mnt",
    "mount -t cgroup -o devices none /mnt",
    "mount -t debugfs none /mnt",
    "mount -t devpts none /mnt",
    "mount -t overlay -o lowerdir=/,upperdir=/tmp,workdir=/run none /mnt",
    "umount /proc/sys",
    "umount -l /proc/sys",
    "umount -l /proc",
    "umount -R /proc",
    "umount -l /sys",
    "umount -l /dev",
    "umount -l /proc/kallsyms",
    "mount -o remount,rw /proc/sys",
    "mount -o remount,bind,rw /proc/sys",
    "mount -o remount,bind,rw /sys",
    "mount -o remount,bind,dev /",
    "mount -o remount,bind,dev /tmp",
    "mount --bind /proc /mnt",
    "mount --rbind /proc /mnt",
    "mount --bind / /mnt",
    "mount --move /proc/sys /mnt",
    "mount --make-rshared /",
    "mkdir /tmp/new /tmp/new/old && pivot_root /tmp/new /tmp/new/old",
    "unshare --mount true",
    "unshare --pid --fork true",
    "unshare --net true",
    "unshare --cgroup true",
    "unshare --user true",
    "unshare --user --map-root-user true",
    "unshare --user --map-root-user --mount --pid --fork --mount-proc true",
    "setpriv --reuid=65534 --regid=65534 --clear-groups unshare --user --mount true",
    "nsenter --target 1 --mount true",
    "nsenter --mount=/proc/self/ns/mnt true",
    "nsenter --target $$ --pid true",
    "chroot /proc/1/root true",
    "chroot /proc/1/cwd true",
];

#[test]
fn nothing_is_mounted_or_uncovered() {
    let Some(lab) = Lab::open() else { return };
    let mut tries = String::new();
    for attempt in MOUNTING {
        writeln!(tries, "({attempt}) >/dev/null 2>&1 && echo '{attempt}'").expect("memory to write to");
    }
    let script = format!(
        "before=$(cat /proc/self/mountinfo); {tries}\n[ \"$(cat /proc/self/mountinfo)\" = \"$before\" ] && echo same"
    );
    let ran = isolated(&lab, &["--temp", "--no-net"], &script);
    assert_eq!(ran.text(), "same\n", "succeeded: {}", ran.story());
}

/// Calls that no program makes so, by number: they are the same everywhere (asm-generic/unistd.h).
const CALLS: &str = "
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *arguments):
    result = libc.syscall(number, *arguments)
    print(name, result, errno.errorcode.get(ctypes.get_errno()) if result < 0 else '')
EMPTY_PATH = 0x1000
proc = os.open('/proc', os.O_PATH)
attributes = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
class Clone(ctypes.Structure):
    _fields_ = [('flags', ctypes.c_uint64), ('rest', ctypes.c_uint64 * 10)]
NEWUSER = 0x10000000
new = Clone(flags=NEWUSER)
handle = ctypes.create_string_buffer(b'\\x80\\0\\0\\0', 136)
call('open_tree', 428, proc, b'', EMPTY_PATH | 1)
call('move_mount', 429, proc, b'', -100, b'/mnt', 4)
call('fsopen', 430, b'proc', 0)
call('fspick', 433, proc, b'', 8)
call('clone3', 435, ctypes.byref(new), 88)
call('mount_setattr', 442, proc, b'', EMPTY_PATH, ctypes.byref(attributes), 32)
call('keyctl', 219 if platform.machine() == 'aarch64' else 250, 0, -3, 1)
call('open_by_handle_at', 265 if platform.machine() == 'aarch64' else 304, proc, handle, 0)
call('unshare', 97 if platform.machine() == 'aarch64' else 272, NEWUSER)
call('bpf', 280 if platform.machine() == 'aarch64' else 321, 0, 0, 0)
call('pidfd_getfd', 438, os.pidfd_open(1), 0, 0)
";

#[test]
fn the_newer_calls_are_no_way_either() {
    let Some(lab) = Lab::open() else { return };
    let words = ["shell", "-q", "--temp", "--isolate", "--", "/usr/bin/python3", "-c", CALLS];
    let shown = lab.on_host(&words).run().ok();
    let names: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names.len(), 11, "{shown}");
    for line in shown.lines() {
        let expected = if line.starts_with("clone3") { "-1 ENOSYS" } else { "-1 EPERM" };
        assert!(line.ends_with(expected), "{line}");
    }
}

#[test]
fn the_hosts_settings_are_not_written() {
    let Some(lab) = Lab::open() else { return };
    let core = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a setting");
    let script = "for file in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/swappiness \
            /proc/sys/net/ipv4/ip_forward /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/power/state \
            /sys/kernel/mm/transparent_hugepage/enabled /sys/fs/cgroup/cgroup.procs; do
            [ -e $file ] || continue
            (: >>$file) 2>/dev/null && echo opened $file
            chmod u+w $file 2>/dev/null && echo changed $file
        done
        echo '|/tmp/x' 2>/dev/null >/proc/sys/kernel/core_pattern; echo done";
    let ran = isolated(&lab, &["--temp", "--no-net"], script);
    assert_eq!(ran.ok(), "done\n", "{}", ran.story());
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a setting"), core);
}

#[test]
fn the_kernel_is_not_seen_through_what_the_host_mounted() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    // As people do who build a system in their home, and elsewhere; one hides another.
    for name in ["home/user/tree", "srv/tree"] {
        let tree = lab.tree.join(name);
        let script = "mkdir -p \"$1/proc\" \"$1/dev\" \"$1/sys\" \"$1/data\"; mount -t proc none \"$1/proc\"; mount -t proc none \"$1/proc\"; \
            mount --rbind /dev \"$1/dev\"; mount -t sysfs none \"$1/sys\"; mount -t tmpfs none \"$1/data\"; echo kept >\"$1/data/file\"";
        sh(script, &[&tree]);
    }
    let script = "for tree in /home/user/tree /srv/tree; do ls $tree/proc $tree/dev $tree/sys; cat $tree/data/file; done";
    let ran = lab.onlay(&["shell", "-q", "--temp", "--isolate", "--", "busybox", "sh", "-c", script]).run();
    let empty = |tree: &str| format!("{tree}/dev:\n\n{tree}/proc:\n\n{tree}/sys:\n");
    let text = ran.ok();
    assert!(text.contains("kept\n"), "{}", ran.story());
    assert!(
        text.starts_with(&empty("/home/user/tree")) && text.contains(&empty("/srv/tree")),
        "{}",
        ran.story()
    );
    // With the host in view, they are the host's.
    let seen = lab
        .onlay(&["shell", "-q", "--temp", "--", "busybox", "sh", "-c", "ls /home/user/tree/proc/1/status"])
        .run();
    assert!(seen.text().contains("status") || seen.stderr.contains("applet"), "{}", seen.story());
}

#[test]
fn what_the_host_mounts_later_stays_outside() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    let home = lab.tree.join("home");
    sh("mount --bind \"$1\" \"$1\"; mount --make-shared \"$1\"", &[&home]);
    let mut first = lab.onlay(&["shell", "-q", "--temp", "--isolate", "t", "--", "sh"]).start();
    first.say("ls -A /home/user; echo ready");
    first.wait_for("ready");
    sh("mount -t proc none \"$1\"", &[&home.join("user")]);
    assert!(home.join("user/1").exists(), "it is mounted");
    first.say("ls -A /home/user; echo done");
    let seen = first.wait_for("done");
    assert_eq!(seen, "ready\ndone\n");
    sh("umount \"$1\"", &[&home.join("user")]);
    first.finish().ok();
}

#[test]
fn the_callers_descriptors_stay_outside() {
    let Some(lab) = Lab::open() else { return };
    let through = ["/bin/bash", "-c", "exec \"$@\" 5</ 6<>/etc/passwd", "bash"];
    let script = "ls -l /proc/self/fd; ls /proc/self/fd/5/ /proc/self/fd/6";
    let stays = lab.stay(&["--isolate", "a"]);
    for words in [&["shell", "-q", "--isolate", "b"][..], &["shell", "-q", "a"]] {
        let words = [words, &["--", "busybox", "sh", "-c", script]].concat();
        let ran = lab.onlay(&words).through(&through).run();
        let is_missing = |name: &str| ran.stderr.contains(&format!("ls: {name}: No such file"));
        assert!(is_missing("/proc/self/fd/5/") && is_missing("/proc/self/fd/6"), "{}", ran.story());
        assert!(!ran.text().contains("passwd"), "{}", ran.story());
    }
    stays.finish().ok();
    let seen = lab.onlay(&["shell", "-q", "c", "--", "busybox", "sh", "-c", script]).through(&through).run();
    assert!(
        seen.text().contains("/etc/passwd"),
        "with the host in view, they are handed on: {}",
        seen.story()
    );
}
