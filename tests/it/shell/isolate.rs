//! Isolated: nothing of the host is seen or reached but its files.

use std::fs;

use crate::kernel::{Lab, Ran, Victim};

fn isolated(lab: &Lab, options: &[&str], script: &str) -> Ran {
    let words = [&["shell", "-q", "--temp", "--isolate"], options, &["--", "bash", "-c", script]].concat();
    lab.on_host(&words).run()
}

#[test]
fn only_its_own_processes_are_seen() {
    let Some(lab) = Lab::open() else { return };
    let victim = Victim::start();
    let shown = isolated(&lab, &[], "for p in /proc/[0-9]*; do echo ${p#/proc/}; done; echo self $$").ok();
    let numbers: Vec<&str> = shown.lines().collect();
    assert_eq!(numbers, ["1", "2", "self 2"]);
    let script = format!("kill -TERM {}; echo $?; ls -d /proc/{0}", victim.pid());
    let ran = isolated(&lab, &[], &script);
    assert!(
        ran.stderr.contains("No such process") && ran.stderr.contains("cannot access"),
        "{}",
        ran.story()
    );
}

#[test]
fn everybody_may_be_signalled_inside() {
    let Some(lab) = Lab::open() else { return };
    let mut victim = Victim::start();
    let ran = isolated(&lab, &[], "sleep 1000 & kill -TERM -1; wait $!; echo $?");
    assert_eq!(ran.ok(), "143\n");
    assert!(victim.lives());
}

#[test]
fn each_namespace_is_another() {
    let Some(lab) = Lab::open() else { return };
    let namespaces = |options: &[&str]| -> Vec<String> {
        let kinds = "for kind in cgroup ipc mnt pid uts net user; do readlink /proc/self/ns/$kind; done";
        isolated(&lab, options, kinds).ok().lines().map(str::to_owned).collect()
    };
    let host: Vec<String> = ["cgroup", "ipc", "mnt", "pid", "uts", "net", "user"]
        .iter()
        .map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).expect("a link").display().to_string())
        .collect();
    let own = |found: &[String]| -> Vec<bool> { found.iter().zip(&host).map(|(a, b)| a != b).collect() };
    assert_eq!(own(&namespaces(&[])), [true, true, true, true, true, false, false]);
    assert_eq!(own(&namespaces(&["--no-net"])), [true, true, true, true, true, true, false]);
}

#[test]
fn the_host_keeps_its_name() {
    let Some(lab) = Lab::open() else { return };
    let before = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    assert_eq!(isolated(&lab, &[], "hostname onlay-test 2>/dev/null || hostname").ok(), before);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").expect("a name"), before);
}

#[test]
fn shared_memory_and_queues_are_its_own() {
    let Some(lab) = Lab::open() else { return };
    let made = crate::kernel::output("/usr/bin/ipcmk", &["-Q"]);
    let number = made.trim().rsplit(' ').next().expect("a number").to_owned();
    let shown = isolated(&lab, &[], "ipcs -q; ls -A /dev/shm /dev/mqueue");
    crate::kernel::output("/usr/bin/ipcrm", &["-q", &number]);
    let rows = shown.ok().lines().filter(|line| line.starts_with("0x")).count();
    assert_eq!(rows, 0, "{}", shown.text());
}

#[test]
fn rights_are_those_of_a_container() {
    let Some(lab) = Lab::open() else { return };
    let shown = |options: &[&str]| {
        isolated(&lab, options, "grep -E '^(CapBnd|CapEff|Seccomp):' /proc/self/status").ok()
    };
    let own = |field: &str| {
        let status = fs::read_to_string("/proc/self/status").expect("proc is mounted");
        let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("it is there").trim();
        u64::from_str_radix(value, 16).expect("a number")
    };
    // What systemd-nspawn leaves without and with a network of its own, but for CAP_SYS_BOOT,
    // CAP_SYS_ADMIN and CAP_SYS_PTRACE.
    for (options, bounds) in [(&[][..], 0xfdec_afff_u64), (&["--no-net"], 0xfdec_bfff)] {
        let expected = own("CapBnd:") & bounds & !(1 << 22 | 1 << 21 | 1 << 19);
        let text = format!("CapEff:\t{expected:016x}\nCapBnd:\t{expected:016x}\nSeccomp:\t2\n");
        assert_eq!(shown(options), text, "{options:?}");
    }
    let first = isolated(&lab, &[], "grep -E '^(CapBnd|Seccomp):' /proc/1/status").ok();
    assert!(first.contains("Seccomp:\t2"), "process 1 as well: {first}");
}

#[test]
fn devices_of_the_host_are_not_there() {
    let Some(lab) = Lab::open() else { return };
    let shown = isolated(&lab, &[], "ls -A /dev").ok();
    let expected = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(shown.split_whitespace().collect::<Vec<_>>().join(" "), expected);
    let script = "echo x >/dev/null && echo x | tee /dev/full; head -c 2 /dev/zero | wc -c; tty </dev/ptmx";
    let ran = isolated(&lab, &[], script);
    assert!(
        ran.text().contains("2\n/dev/ptmx") || ran.text().contains("2\n/dev/pts/ptmx"),
        "{}",
        ran.story()
    );
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.story());
}

#[test]
fn no_way_leads_out_through_process_1() {
    let Some(lab) = Lab::open() else { return };
    let place = lab.path("only-on-the-host");
    fs::create_dir(&place).expect("a directory");
    // Put it where the view does not have it: its own state is hidden.
    let hidden = lab.state.join("only-on-the-host");
    fs::create_dir(&hidden).expect("a directory");
    let script = format!(
        "for fd in /proc/1/fd/* /proc/self/fd/*; do ls -d $fd{0} $fd/..{0} $fd/../../../../../..{0}; done; \
         ls -d /proc/1/root{0} /proc/1/cwd{0} /proc/1/cwd/../../..{0}",
        hidden.display()
    );
    let ran = isolated(&lab, &[], &format!("({script}) 2>/dev/null; true"));
    assert_eq!(ran.ok(), "");
    // It has descriptors, but nobody learns what they are.
    let kinds = "ls /proc/1/fd | wc -l; for name in fd/0 fd/1 exe cwd root ns/mnt; do readlink /proc/1/$name; done; \
        head -c 1 /proc/1/mem /proc/1/environ /proc/1/maps; strace -p 1; true";
    let ran = isolated(&lab, &[], kinds);
    assert!(ran.ok().trim().parse::<u32>().is_ok_and(|count| count > 3), "{}", ran.story());
    assert!(ran.stderr.contains("Operation not permitted"), "{}", ran.story());
}

#[test]
fn the_kernels_settings_are_read_only_or_hidden() {
    let Some(lab) = Lab::open() else { return };
    for script in [
        "echo 1 >/proc/sys/vm/drop_caches",
        "echo h >/proc/sysrq-trigger; false",
        "echo x >/sys/kernel/uevent_helper",
        "mkdir /sys/fs/cgroup/onlay-test",
        "swapoff -a; false",
        "dmesg",
        "test -s /proc/kcore",
        "test -s /proc/kallsyms",
    ] {
        let ran = isolated(&lab, &[], &format!("({script}) >/dev/null 2>&1 && echo DONE; true"));
        assert_eq!(ran.ok(), "", "{script}");
    }
}

#[test]
fn without_a_network_only_the_loop_is_there() {
    let Some(lab) = Lab::open() else { return };
    let shown =
        isolated(&lab, &["--no-net"], "ls /sys/class/net; cat /proc/net/dev | tail -n +3 | wc -l").ok();
    assert_eq!(shown, "lo\n1\n");
    let script = "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n\
        client = socket.create_connection(server.getsockname())\nclient.sendall(b'hello')\n\
        print(server.accept()[0].recv(5).decode())";
    let words = ["shell", "-q", "--temp", "--isolate", "--no-net", "--", "/usr/bin/python3", "-c", script];
    assert_eq!(lab.on_host(&words).run().ok(), "hello\n");
}

#[test]
fn what_runs_inside_can_be_traced() {
    let Some(lab) = Lab::open() else { return };
    let script = "strace -f -o /tmp/trace sh -c 'true; (exit 3)'; echo $?; grep -c 'exited with 3' /tmp/trace; \
        sleep 50 & strace -o /tmp/other -p $! & sleep 0.3; kill %1; wait; grep -c SIGTERM /tmp/other";
    let ran = isolated(&lab, &[], script);
    assert_eq!(ran.text().lines().take(2).collect::<Vec<_>>(), ["3", "2"], "{}", ran.story());
    assert!(ran.ok().lines().last().is_some_and(|count| count != "0"), "{}", ran.story());
}

#[test]
fn the_first_process_collects_who_ends() {
    let Some(lab) = Lab::open() else { return };
    // Whose parents have gone become children of process 1; none may stay as a zombie.
    let script = "for i in 1 2 3 4 5 6 7 8; do (sh -c 'exec true' &); done; \
        while grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; echo none";
    assert_eq!(isolated(&lab, &[], script).ok(), "none\n");
}

#[test]
fn nothing_is_typed_into_the_callers_terminal() {
    let Some(lab) = Lab::open() else { return };
    let script = "python3 -c 'import fcntl, termios\ntry: fcntl.ioctl(0, termios.TIOCSTI, b\"x\")\nexcept OSError as error: print(error.errno)'";
    // EPERM of the filter comes before any look at the descriptor, which is no terminal here.
    let words = ["shell", "-q", "--temp", "--isolate", "--", "sh", "-c", script];
    assert_eq!(lab.on_host(&words).run().ok().trim(), libc::EPERM.to_string());
}
