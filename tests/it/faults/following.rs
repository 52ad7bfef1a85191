//! An overlay that follows its base while calls fail, disks are full, and others are at it: it is as it was or merged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::kernel::{Lab, Ran, Stopped, make_dir, names_in, sh, tool_or_skip};

const STRACE: &str = "/usr/bin/strace";

/// A base with a database of dpkg's, in one of two versions.
fn base(lab: &Lab, version: u32) {
    let tree = &lab.tree;
    make_dir(&tree.join("var/lib/dpkg/info"), 0o755);
    let package = |name: &str, version| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: all\nMaintainer: a <a@b>\n\
             Version: {version}\nDescription: a\n\n"
        )
    };
    let text = format!("{version}\n");
    for (name, text) in [
        ("var/lib/dpkg/status", package("one", version) + &package("two", 1)),
        ("var/lib/dpkg/info/one.list", "/.\n/srv\n/srv/one\n".to_owned()),
        ("var/lib/dpkg/info/format", "1\n".to_owned()),
        ("var/lib/dpkg/info/two.list", "/.\n/srv\n".to_owned()),
        ("srv/one", text.clone()),
        ("srv/copied", text.clone()),
        ("srv/mode", text.clone()),
        ("srv/gone", text.clone()),
        ("srv/both", text),
        ("srv/large", format!("{version}").repeat(300_000)),
        ("etc/passwd", format!("root:x:0:0::/:/bin/sh\nu{version}:x:{}:99:::\n", 100 + version)),
        ("etc/os-release", format!("ID=tiny\nIMAGE_VERSION={version}\n")),
    ] {
        fs::write(tree.join(name), text).expect("our tree");
    }
}

/// What is done in the overlay: its own package, files that are its own or changed there, and some of each other kind.
const OWN: &str = "cd /srv; : >>copied; chmod 700 mode large; rm gone; echo own >both; mkdir -p new/dir; ln both new/hard
    ln -s nowhere new/link; echo mine:x:900:900::: >>/etc/passwd
    printf 'Package: mine\\nStatus: install ok installed\\nArchitecture: all\\nMaintainer: a <a@b>\\nVersion: 1\\nDescription: a\\n\\n' >>/var/lib/dpkg/status
    printf '/.\\n/srv\\n/srv/new\\n' >/var/lib/dpkg/info/mine.list";

/// What is seen when it has followed.
const SEEN: &str =
    "cd /srv; cat one copied mode both new/hard; stat -c %a mode large; head -c 3 large; readlink new/link
    ls; sed -n 's/^Package: //p; s/^Version: //p' /var/lib/dpkg/status; cut -d : -f 1 /etc/passwd";
const MERGED: &str = "2\n2\n2\nown\nown\n700\n700\n222nowhere\nboth\ncopied\nlarge\nmode\nnew\none\n\
                      mine\n1\none\n2\ntwo\n1\nroot\nmine\nu2\n";

/// An overlay whose base has changed, which can be had again and again.
struct Changed {
    lab: Lab,
    state: PathBuf,
    before: String,
}

impl Changed {
    /// In this state directory; its files are kept aside.
    fn new(lab: Lab, state: &Path) -> Changed {
        base(&lab, 1);
        lab.onlay(&["shell", "-q", "a", "--", "sh", "-ec", OWN]).state(state).run().ok();
        base(&lab, 2);
        let before = listing(&state.join("overlays/a"));
        sh("cp -a \"$1\" \"$2\"", &[&state.join("overlays/a"), &lab.path("kept")]);
        Changed { lab, state: state.to_owned(), before }
    }

    fn again(&self) {
        let script = "rm -rf \"$2\"; cp -a \"$1\" \"$2\"";
        sh(script, &[&self.lab.path("kept"), &self.state.join("overlays/a")]);
    }

    fn rebase(&self) -> Ran {
        self.lab.onlay(&["rebase", "a"]).state(&self.state).run()
    }

    /// What tells whether anything in it was touched, and is soon found.
    fn names(&self) -> String {
        let script = "find \"$1\" -mindepth 1 -name work -prune -o -printf '%P %y %m %i %T@ %s %l\n' | sort";
        sh(script, &[&self.state.join("overlays/a")])
    }

    fn assert_as_it_was(&self, ran: &Ran) {
        assert_eq!(listing(&self.state.join("overlays/a")), self.before, "{}", ran.story());
    }

    fn assert_merges(&self, ran: &Ran) {
        let seen = self.lab.onlay(&["shell", "-q", "a", "--", "sh", "-ec", SEEN]).state(&self.state).run();
        assert_eq!(seen.ok(), MERGED, "after {}", ran.story());
        let names = names_in(&self.state.join("overlays/a"));
        assert_eq!(names, ["layers", "overlay.toml"], "after {}", ran.story());
    }
}

/// Everything below a directory, with content and attributes, but when it was read. Its names may have any bytes, and
/// its paths any length.
fn listing(directory: &Path) -> String {
    const SCRIPT: &str = r#"
import hashlib, os, stat, sys
for path, dirs, files, fd in os.fwalk(sys.argv[1]):
    if path.endswith("layers/@root"):
        dirs.remove("work")  # the kernel's own
    for name in sorted(dirs + files):
        s = os.lstat(name, dir_fd=fd)
        at = f"/proc/self/fd/{fd}/".encode() + os.fsencode(name)
        kind, content = stat.S_IFMT(s.st_mode), b""
        if kind == stat.S_IFREG and s.st_size < 1 << 30:
            content = hashlib.sha256(open(at, "rb").read()).digest()
        elif kind == stat.S_IFLNK:
            content = os.readlink(at)
        attributes = [(a, os.getxattr(at, a, follow_symlinks=False)) for a in sorted(os.listxattr(at, follow_symlinks=False))]
        inside = os.path.relpath(path, sys.argv[1]) if len(path) < 4000 else hashlib.sha256(os.fsencode(path)).hexdigest()
        links = s.st_nlink if kind == stat.S_IFREG else 0
        size = 0 if kind == stat.S_IFDIR else s.st_size
        print(repr((inside, name, oct(s.st_mode), s.st_uid, s.st_gid, s.st_rdev, links, size, s.st_mtime_ns, content, attributes)))
"#;
    let directory = directory.to_str().expect("our name");
    let mut lines: Vec<String> =
        crate::kernel::output("python3", &["-c", SCRIPT, directory]).lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn each_call_that_fails_leaves_it_as_it_was_or_merged() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip(STRACE) {
        return;
    }
    let state = lab.state.clone();
    let changed = Changed::new(lab, &state);
    let mut names = changed.names();
    let mut failures = 0;
    for (call, error, step) in [
        ("mkdirat", "ENOSPC", 2),
        ("linkat", "ENOSPC", 2),
        ("linkat", "EMLINK", 7),
        ("mknodat", "ENOSPC", 1),
        ("write", "ENOSPC", 2),
        ("copy_file_range", "ENOSPC", 1),
        ("copy_file_range", "EIO", 1),
        ("renameat", "ENOSPC", 1),
        ("renameat2", "EIO", 1),
        ("lsetxattr", "ENOSPC", 3),
        ("fchownat", "EDQUOT", 7),
        ("fchmodat", "EIO", 7),
        ("utimensat", "EIO", 7),
        ("fsync", "EIO", 1),
        ("fsync", "ENOSPC", 1),
        ("syncfs", "EIO", 1),
        ("syncfs", "ENOSPC", 1),
        ("unlinkat", "EIO", 5),
        ("read", "EIO", 37),
        ("openat", "EIO", 59),
        ("openat", "ENOSPC", 71),
        ("getdents64", "EIO", 17),
    ] {
        for number in (1..600).step_by(step) {
            let inject = format!("inject={call}:error={error}:when={number}");
            let trace = format!("trace={call}");
            let strace = [STRACE, "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let ran = changed.lab.onlay(&["rebase", "a"]).through(&strace).run();
            assert!(matches!(ran.code(), Some(0 | 1 | 3)), "{call} {number}: {}", ran.story());
            assert!(!ran.stderr.contains("panicked"), "{call} {number}: {}", ran.story());
            failures += usize::from(ran.code() != Some(0));
            assert!(ran.code() == Some(0) || ran.stderr.starts_with("onlay: "), "{}", ran.story());
            let is_full = |words: &&str| ran.stderr.contains(*words);
            if ["No space left on device", "Disk quota exceeded"].iter().any(is_full) {
                let is_told = ran.stderr.contains("hint: ") || ran.stderr.contains("cannot write the output");
                assert!(is_told, "{call} {number}: {}", ran.story());
            }
            if ran.code() != Some(0) && changed.names() == names {
                continue;
            }
            // Or else all of it was done.
            changed.assert_merges(&ran);
            changed.again();
            names = changed.names();
            if ran.code() == Some(0) {
                break;
            }
        }
    }
    changed.assert_as_it_was(&changed.lab.onlay(&["list"]).run());
    assert!(failures > 40, "only {failures} failures");
}

#[test]
fn a_full_disk_is_told_with_what_it_takes_and_room_helps() {
    let Some(mut lab) = Lab::with_private_mounts() else { return };
    let state = lab.path("ram");
    lab.mount_tmpfs("size=16m,nr_inodes=1000,mode=0700", &state);
    lab.uses(&state);
    let changed = Changed::new(lab, &state);
    let used = |format: &str| -> u64 {
        let text = sh("stat -f -c \"$2\" \"$1\"", &[&state, Path::new(format)]);
        let (all, free) = text.trim().split_once(' ').expect("two numbers");
        all.parse::<u64>().expect("a number") - free.parse::<u64>().expect("a number")
    };
    let mut rounds = 0;
    for (limit, from, step, unit) in [("nr_inodes", used("%c %d"), 3, 1), ("size", used("%b %f"), 11, 4096)] {
        changed.again();
        let names = changed.names();
        for number in 0..200 {
            let option = format!("remount,{limit}={}", (from + number * step) * unit);
            sh("mount -o \"$2\" \"$1\"", &[&state, Path::new(&option)]);
            let ran = changed.rebase();
            if ran.code() == Some(0) {
                changed.assert_merges(&ran);
                break;
            }
            if ran.stderr.contains("no space left on the file system of '") {
                // It could not even be looked at, which takes a mount.
                ran.failed(1, &["hint: free some space"]);
            } else {
                let words =
                    ["no room to let overlay 'a' follow its base", "hint: it takes about ", " free; "];
                ran.failed(1, &words);
                rounds += 1;
            }
            assert_eq!(changed.names(), names, "{}", ran.story());
        }
        sh("mount -o remount,size=16m,nr_inodes=1000 \"$1\"", &[&state]);
    }
    assert!(rounds > 15, "only {rounds} times full");
}

#[test]
fn two_at_once_are_one_and_who_is_inside_is_not_disturbed() {
    let Some(lab) = Lab::open() else { return };
    let state = lab.state.clone();
    let changed = Changed::new(lab, &state);
    let lab = &changed.lab;
    if !tool_or_skip(STRACE) {
        return;
    }
    // Over the base as it is, with somebody inside.
    let inside = lab.stay(&["--no-rebase", "a"]);
    for words in [&["rebase", "a"][..], &["rebase", "--dry-run", "a"]] {
        lab.onlay(words).run().failed(1, &["overlay 'a' is in use by process", "hint: it is free when"]);
    }
    inside.finish().ok();
    // One is stopped in the midst of its draft; others wait for it, whatever they want.
    for end in [Stopped::go_on_to_its_end as fn(Stopped), Stopped::kill] {
        let one = Stopped::at(lab, &["rebase", "a"], "linkat", 4);
        let others = [&["rebase", "a"][..], &["rebase", "--dry-run", "a"], &["rebase", "a"]];
        let others: Vec<_> = others.iter().map(|words| lab.onlay(words).start()).collect();
        end(one);
        for other in others {
            other.finish().ok();
        }
        changed.assert_merges(&lab.onlay(&["list"]).run());
        changed.again();
    }
}

#[test]
fn a_choice_that_was_made_is_not_asked_again_after_a_crash() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip(STRACE) {
        return;
    }
    let state = lab.state.clone();
    let changed = Changed::new(lab, &state);
    let lab = &changed.lab;
    // The overlay has a version of its own, older than the base's.
    changed.again();
    let status = state.join("overlays/a/layers/@root/upper/var/lib/dpkg/status");
    let text = fs::read_to_string(&status).expect("it was copied up");
    fs::write(&status, text.replacen("Version: 1", "Version: 1.5", 1)).expect("ours");
    let version = || lab.shell("a", "sed -n '/^Package: one/,/^$/s/^Version: //p' /var/lib/dpkg/status").ok();
    // Behind the exchange, before the record knows of it.
    Stopped::at(lab, &["rebase", "a", "--ours=one"], "renameat2", 1).kill();
    let record = fs::read_to_string(state.join("overlays/a/overlay.toml")).expect("a record");
    assert!(record.contains("tiny 1"), "it was killed too late: {record}");
    assert_eq!(version(), "1.5\n");
    let record = fs::read_to_string(state.join("overlays/a/overlay.toml")).expect("a record");
    assert!(record.contains("tiny 2"), "{record}");
}

/// Files of all kinds that a person can make, and names of all kinds.
const ALL_KINDS: &str = r#"
import os, socket, sys
top = os.fsencode(sys.argv[1])
os.chdir(top)
os.mkdir("kinds"); os.chdir("kinds")
open("file", "w").write("text")
for n in range(10): os.link("file", f"hard{n}")
os.mknod("null", 0o20666, os.makedev(1, 3)); os.mknod("block", 0o60600, os.makedev(7, 0))
os.mkfifo("fifo"); socket.socket(socket.AF_UNIX).bind("socket")
f = open("sparse", "w"); f.truncate(1 << 40); f.seek(1 << 39); f.write("x"); f.close()
open(b"\xff\xfe", "w"); open("new\nline", "w"); open("-rf *", "w"); os.symlink(b"\xff\n", "link")
os.chown("hard1", 12345, 54321); os.chmod("hard1", 0o6751)
os.setxattr("file", "user.a", b"\0\xff" * 200)
os.setxattr("hard1", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
acl = bytes.fromhex("02000000 01000700ffffffff 0200070039300000 04000500ffffffff 10000700ffffffff 20000000ffffffff")
for name in ["file", "."]:
    os.setxattr(name, "system.posix_acl_access", acl)
os.setxattr(".", "system.posix_acl_default", acl)
os.mkdir("opaque"); os.setxattr("opaque", "trusted.overlay.opaque", b"y")
os.setxattr("new\nline", "trusted.overlay.protattr", b"i")  # chattr +i from inside
os.utime("fifo", ns=(1, 2)); os.utime("opaque", ns=(3, 4))
fd = os.open(".", os.O_RDONLY)
for n in range(60):
    name = "d" * 200
    os.mkdir(name, dir_fd=fd); fd = os.open(name, os.O_RDONLY, dir_fd=fd)
open(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=fd), "w").write("deep")
os.mkdir("many")
for n in range(5000): os.close(os.open(f"many/{n}", os.O_CREAT | os.O_WRONLY))
"#;

#[test]
fn files_of_all_kinds_are_kept_bit_for_bit() {
    let Some(mut lab) = Lab::with_private_mounts() else { return };
    let state = lab.path("disk");
    lab.mount_image("ext4", 256, &state);
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("our directory");
    lab.uses(&state);
    base(&lab, 1);
    let shell = |script: &str| lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).state(&state).run();
    shell("echo x >/srv/own").ok();
    let srv = state.join("overlays/a/layers/@root/upper/srv");
    crate::kernel::output("python3", &["-c", ALL_KINDS, srv.to_str().expect("our name")]);
    shell("true").ok();
    let before = listing(&srv);
    assert!(before.lines().count() > 5_000, "{} lines", before.lines().count());
    base(&lab, 2);
    lab.onlay(&["rebase", "a"]).state(&state).run().ok();
    let after = listing(&srv);
    let (known, now): (std::collections::HashSet<&str>, _) = (before.lines().collect(), after.lines());
    let changed: Vec<&str> = now.filter(|line| !known.contains(line)).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
    lab.onlay(&["rm", "a"]).state(&state).run().ok();
}

#[test]
fn a_file_that_resists_is_named_before_anything_is_changed() {
    let Some(mut lab) = Lab::with_private_mounts() else { return };
    let state = lab.path("disk");
    lab.mount_image("ext4", 64, &state);
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("our directory");
    lab.uses(&state);
    let changed = Changed::new(lab, &state);
    let upper = state.join("overlays/a/layers/@root/upper");
    for (flag, name) in [("i", "srv/mode"), ("a", "srv/copied"), ("i", "srv/new")] {
        let path = upper.join(name);
        let chattr = |way: &str| sh("chattr \"$2\" \"$1\"", &[&path, Path::new(&format!("{way}{flag}"))]);
        chattr("+");
        let names = changed.names();
        let ran = changed.rebase();
        if path.is_dir() {
            // It is made anew. What remains is in the way of the next time alone.
            ran.ok();
            let enter = changed.lab.onlay(&["shell", "a", "--", "true"]).state(&state).run();
            enter.ok();
            assert!(enter.stderr.contains("cannot clear what an interrupted run left"), "{}", enter.stderr);
            sh("find \"$1\" -type d -exec chattr -i {} +", &[&state.join("overlays/a")]);
        } else {
            let words = [name, "Operation not permitted", "hint: 'lsattr' shows whether it is immutable"];
            ran.failed(1, &words);
            assert_eq!(changed.names(), names, "{}", ran.story());
            chattr("-");
        }
        changed.assert_merges(&changed.rebase());
        changed.again();
    }
}
