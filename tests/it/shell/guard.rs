//! With the host's processes in view: what is inside cannot change the host by accident.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::kernel::{Lab, Ran, Victim, skip, tool_or_skip};

/// Runs a script in an overlay of the host, with the number of a process of the host as `$1`.
fn aimed(lab: &Lab, options: &[&str], script: &str, victim: &Victim) -> Ran {
    let number = victim.pid().to_string();
    let words =
        [&["shell", "-q", "--temp"], options, &["--", "bash", "-c", script, "bash", &number]].concat();
    lab.on_host(&words).run()
}

#[test]
fn processes_of_the_host_cannot_be_signalled() {
    let Some(lab) = Lab::open() else { return };
    let mut victim = Victim::start();
    // Everybody, the group and the process, with signals that would do no harm were they let through.
    for script in [
        "kill -TERM $1",
        "kill -KILL $1",
        "/bin/kill -TERM $1",
        "kill -TERM -- -$1",
        "kill -CONT -- -1",
        "kill -WINCH -1",
    ] {
        let ran = aimed(&lab, &[], &format!("{script}; echo $?"), &victim);
        assert!(
            ran.text().trim() != "0" && ran.stderr.contains("not permitted"),
            "{script}: {}",
            ran.story()
        );
    }
    assert!(victim.lives());
    // It can still be asked whether it is there.
    aimed(&lab, &[], "kill -0 $1 && kill -URG $1", &victim).ok();
}

#[test]
fn programs_that_find_processes_by_name_are_refused_too() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip("/usr/bin/pkill") || !tool_or_skip("/usr/bin/killall") {
        return;
    }
    // A name that no other process of this machine has.
    let name = format!("aim{}", std::process::id());
    let program = lab.path(&name);
    fs::copy("/bin/sleep", &program).expect("a program of that name");
    let mut child = crate::kernel::command(&program).arg("1000").spawn().expect("it starts");
    for script in [format!("pkill -x {name}"), format!("pkill -f {name}.1000"), format!("killall {name}")] {
        let ran = lab.on_host(&["shell", "-q", "--temp", "--", "sh", "-c", &script]).run();
        assert!(ran.stderr.contains("not permitted"), "{}", ran.story());
        assert!(matches!(child.try_wait(), Ok(None)), "{script}");
    }
    child.kill().and_then(|()| child.wait()).expect("ours to end");
    // It finds those of the overlay all the same.
    let script = format!(
        "cp /bin/sleep /usr/bin/{name}; {name} 1000 & until pidof {name} >/dev/null; do :; done; killall {name}; wait $!; echo $?"
    );
    assert_eq!(lab.on_host(&["shell", "-q", "--temp", "--", "bash", "-c", &script]).run().ok(), "143\n");
}

#[test]
fn processes_of_the_overlay_can() {
    let Some(lab) = Lab::open() else { return };
    let victim = Victim::start();
    for (script, shown) in [
        ("sleep 1000 & kill -TERM $!; wait $!; echo $?", "143"),
        ("sleep 1000 & kill -KILL $!; wait $!; echo $?", "137"),
        ("set -m; sleep 1000 & kill -TERM -- -$!; wait $!; echo $?", "143"),
        (
            "setsid sleep 1000 & p=$!; until [ -n \"$(ps -o comm= -p $p | grep sleep)\" ]; do :; done; kill $p; wait $p; echo $?",
            "143",
        ),
        ("trap 'echo me' USR1; kill -USR1 $$; echo end", "me\nend"),
        // In a group of its own: the program, in the same group otherwise, hands on what it gets.
        ("setsid -w bash -c \"trap 'echo group' USR1; kill -USR1 0; echo end\"", "group\nend"),
        ("unshare -pf --mount-proc sh -c 'sleep 1000 & kill -TERM $!; wait $!; echo $?'", "143"),
        ("timeout -s KILL 0.1 sleep 1000; echo $?", "137"),
    ] {
        let ran = aimed(&lab, &[], script, &victim);
        assert_eq!(ran.text().trim(), shown, "{}", ran.story());
    }
}

#[test]
fn another_sessions_processes_are_of_the_same_overlay() {
    let Some(lab) = Lab::open() else { return };
    let script = "echo pid $$; exec sleep 1000";
    let first = lab.on_host(&["shell", "-q", "a", "--", "sh", "-c", script]).start();
    let shown = first.wait_for("\n");
    let number = shown.trim().strip_prefix("pid ").expect("its number");
    lab.host_shell("a", &format!("kill -TERM {number}")).ok();
    assert_eq!(first.finish().killed_by(), Some(libc::SIGTERM));
}

#[test]
fn every_call_that_signals_is_guarded() {
    let Some(lab) = Lab::open() else { return };
    let mut victim = Victim::start();
    let script = r"
import ctypes, errno, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    return 'done' if libc.syscall(*arguments) == 0 else errno.errorcode[ctypes.get_errno()]
def try_all(pid):
    info = ctypes.create_string_buffer(128)
    ctypes.memmove(info, (ctypes.c_int * 3)(signal.SIGTERM, 0, -1), 12)
    pidfd = os.pidfd_open(pid)
    return [call(62, pid, 15), call(200, pid, 15), call(234, pid, pid, 15), call(129, pid, 15, info),
            call(297, pid, pid, 15, info), call(424, pidfd, 15, None, 0)]
print(*try_all(int(sys.argv[1])))
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pause()
import time
print(*try_all(child))
os.kill(child, 9)
";
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let number = victim.pid().to_string();
    let words = ["shell", "-q", "--temp", "--", "/usr/bin/python3", "-c", script, &number];
    let shown = lab.on_host(&words).run().ok();
    assert_eq!(shown, "EPERM EPERM EPERM EPERM EPERM EPERM\ndone done done done done done\n");
    assert!(victim.lives());
}

#[test]
fn tracers_work_on_processes_of_the_host() {
    let Some(lab) = Lab::open() else { return };
    if !tool_or_skip("/usr/bin/strace") {
        return;
    }
    let mut victim = Victim::start();
    // strace stops and lets go; whoever traces a process may also signal it.
    let script = "strace -p $1 >/tmp/trace 2>&1 & until grep attached /tmp/trace; do sleep 0.01; done; \
        kill -TERM $!; wait $!; test -e /proc/$1/fd/0 && echo seen";
    let ran = aimed(&lab, &[], script, &victim);
    let shown = ran.ok();
    assert!(shown.contains("attached") && shown.contains("seen"), "{}", ran.story());
    assert!(victim.lives());
    let script = "import ctypes, os, sys\nlibc = ctypes.CDLL(None)\npid = int(sys.argv[1])\n\
        assert libc.ptrace(0x4206, pid, None, None) == 0\nos.kill(pid, 15)\nprint('sent')\nos._exit(0)";
    let number = victim.pid().to_string();
    let words = ["shell", "-q", "--temp", "--", "/usr/bin/python3", "-c", script, &number];
    assert_eq!(lab.on_host(&words).run().ok(), "sent\n");
}

#[test]
fn the_kernels_settings_are_read_only() {
    let Some(lab) = Lab::open() else { return };
    let victim = Victim::start();
    for script in [
        "echo x >/proc/sys/kernel/hostname",
        "echo 1 >/proc/sys/vm/drop_caches",
        "echo h >/proc/sysrq-trigger",
        "echo 4096 >/sys/block/loop0/queue/nr_requests",
        "mkdir /sys/fs/cgroup/onlay-test",
        "hostname onlay-test",
        "mount -o remount,rw /sys && false",
    ] {
        let ran = aimed(&lab, &[], &format!("({script}) 2>&1 && echo DONE; true"), &victim);
        assert!(!ran.ok().contains("DONE"), "{}", ran.story());
    }
    let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    assert_eq!(lab.host_shell("a", "hostname; cat /proc/sys/kernel/hostname").ok(), format!("{name}{name}"));
}

#[test]
fn disks_are_not_there() {
    let Some(lab) = Lab::open() else { return };
    let disks: Vec<String> = crate::kernel::names_in("/sys/class/block".as_ref())
        .into_iter()
        .filter(|name| !name.starts_with("loop") && fs::exists(format!("/dev/{name}")).is_ok_and(|is| is))
        .collect();
    if disks.is_empty() {
        return skip("this machine has no disk");
    }
    let script = format!("cd /dev; ls -d {}; true;", disks.join(" "));
    let ran = lab.host_shell("a", &format!("{script} test -w /dev/null && echo ok >/dev/null"));
    assert_eq!(ran.text(), "", "of {disks:?}");
    for disk in &disks {
        assert!(fs::exists(format!("/dev/{disk}")).expect("a look"), "still there on the host");
    }
    assert_eq!(
        lab.on_host(&["shell", "-q", "--temp", "--unguarded", "--", "sh", "-c", &script])
            .run()
            .ok()
            .lines()
            .count(),
        disks.len()
    );
}

#[test]
fn services_of_the_host_cannot_be_reached_unless_asked_for() {
    let Some(lab) = Lab::open() else { return };
    let directory = tempfile::Builder::new().prefix("onlay-test.").tempdir_in("/run").expect("/run");
    let path = directory.path().join("socket");
    let _listener = UnixListener::bind(&path).expect("a socket");
    let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n\
        try:\n    s.connect(sys.argv[1])\n    print('connected')\nexcept OSError as error:\n    print(error.strerror)";
    let place = path.to_str().expect("our name");
    let run = |options: &[&str]| {
        let words =
            [&["shell", "-q", "--temp"], options, &["--", "/usr/bin/python3", "-c", script, place]].concat();
        lab.on_host(&words).run().ok()
    };
    assert_eq!(run(&[]), "Connection refused\n");
    assert_eq!(run(&["--isolate"]), "No such file or directory\n");
    assert_eq!(run(&["--unguarded"]), "connected\n");
}

#[test]
fn the_hosts_run_can_be_read_and_is_not_written() {
    let Some(lab) = Lab::open() else { return };
    let directory = tempfile::Builder::new().prefix("onlay-test.").tempdir_in("/run").expect("/run");
    fs::write(directory.path().join("file"), "host\n").expect("a file");
    let script = "cat $PLACE/file; echo inside >$PLACE/file; cat $PLACE/file; ls -A /run/onlay";
    let ran = lab.on_host(&["shell", "-q", "a", "--", "sh", "-c", script]);
    let shown = ran.environment("PLACE", directory.path().as_os_str()).run().ok();
    assert_eq!(shown, "host\ninside\ninside\n");
    assert_eq!(fs::read_to_string(directory.path().join("file")).expect("there"), "host\n");
}

#[test]
fn the_guard_is_off_when_asked_for() {
    let Some(lab) = Lab::open() else { return };
    let mut victim = Victim::start();
    aimed(&lab, &["--unguarded"], "test -w /proc/sys/kernel/hostname && kill -TERM $1", &victim).ok();
    crate::kernel::wait_until("the victim ends", || !victim.lives());
    let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let same = format!("hostname {name}");
    lab.on_host(&["shell", "-q", "--temp", "--unguarded", "--", "sh", "-c", same.trim()]).run().ok();
}

#[test]
fn capabilities_that_change_the_machine_are_gone() {
    let Some(lab) = Lab::open() else { return };
    let bits = |options: &[&str]| {
        let words = [
            &["shell", "-q", "--temp"],
            options,
            &["--", "sed", "-n", "s/^CapBnd:.//p", "/proc/self/status"],
        ];
        u64::from_str_radix(lab.on_host(&words.concat()).run().ok().trim(), 16).expect("a number")
    };
    let (module, boot, time) = (1 << 16, 1 << 22, 1 << 25);
    assert_eq!(bits(&["--unguarded"]) & !bits(&[]), module | boot | time);
}

#[test]
fn a_shared_file_system_cannot_be_remounted() {
    let Some(lab) = Lab::open() else { return };
    // /root and /home may lie on the host's root file system: read-only here, read-only there.
    let script = "mount -o remount,ro /root; echo $?; mount -t tmpfs none /mnt && mount -o remount,bind,ro /mnt && echo own";
    let ran = lab.on_host(&["shell", "-q", "--temp", "--", "sh", "-c", script]).run();
    let text = ran.text();
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|code| code != "0"), "{}", ran.story());
    assert_eq!(lines.next(), Some("own"), "{}", ran.story());
    let probe = lab.path("still-writable");
    fs::write(&probe, "").expect("the host's file system can be written");
}

#[test]
fn an_unguarded_overlay_knows_that_it_is_one() {
    let Some(lab) = Lab::open() else { return };
    // What a nested run looks for, to refuse.
    let words = ["shell", "-q", "--temp", "--unguarded", "--", "cat", "/run/onlay/inside"];
    let name = lab.on_host(&words).run().ok();
    assert!(name.starts_with("temp-"), "{name}");
}

#[test]
fn nobody_waits_at_inits_pipe() {
    let Some(lab) = Lab::open() else { return };
    lab.on_host(&["shell", "-q", "--temp", "--", "sh", "-c", "echo > /run/initctl"]).run().ok();
}
