//! What an isolated command may ask of the kernel: compared with what the systemd of this machine
//! says, and tried on the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use onlay::shell::system_calls::Grant;
use onlay::sys::{Abi, Filter, drop_capabilities, has_capability};

/// What systemd-nspawn lets a container call: groups and single calls, each where the capability
/// beside it stays (src/nspawn/nspawn-seccomp.c of systemd 257; hardly changed since 2017).
const NSPAWN: &[(Option<&str>, &str)] = &[
    (
        None,
        "@aio @basic-io @chown @default @file-system @io-event @ipc @mount @network-io @process \
         @resources @setuid @signal @sync @timer",
    ),
    (Some("CAP_SYS_TIME"), "@clock"),
    (Some("CAP_SYS_MODULE"), "@module"),
    (Some("CAP_SYS_RAWIO"), "@raw-io"),
    (Some("CAP_IPC_LOCK"), "@memlock"),
    (
        None,
        "arm_fadvise64_64 brk capget capset copy_file_range fadvise64 fadvise64_64 flock \
         get_mempolicy getcpu getpriority getrandom ioctl ioprio_get kcmp madvise mincore mprotect \
         mremap name_to_handle_at oldolduname olduname personality readahead readdir \
         remap_file_pages sched_get_priority_max sched_get_priority_min sched_getaffinity \
         sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
         sched_rr_get_interval_time64 sched_yield sendfile sendfile64 setdomainname setfsgid \
         setfsgid32 setfsuid setfsuid32 sethostname setpgid setsid splice sysinfo tee umask uname \
         userfaultfd vmsplice",
    ),
    (Some("CAP_SYS_PACCT"), "acct"),
    (Some("CAP_SYS_PTRACE"), "process_vm_readv process_vm_writev ptrace"),
    (Some("CAP_SYS_BOOT"), "reboot"),
    (Some("CAP_SYSLOG"), "syslog"),
    (Some("CAP_SYS_TTY_CONFIG"), "vhangup"),
];

/// Calls of @default and @file-system that came into them after systemd 252: newer kernels' calls,
/// and landlock and seccomp, which only take rights away.
const NEWER: &str = "fchmodat2 file_getattr file_setattr fstatat getxattrat landlock_add_rule \
    landlock_create_ruleset landlock_restrict_self listmount listxattrat lsm_get_self_attr \
    lsm_list_modules mseal removexattrat seccomp set_tls setxattrat statmount uretprobe";

const GRANTS: [Grant; 2] = [Grant::Nspawn, Grant::Isolated];

/// The oldest systemd that the list is compared with.
const OLDEST: u32 = 252;

/// The systemd whose groups the list was made from.
const SYSTEMD: u32 = 257;

#[test]
fn nothing_is_allowed_that_nspawn_denies() {
    let Some(systemd) = Systemd::ask() else { return };
    let nspawn = systemd.allowed_by_nspawn();
    // A point release may lack what a later one of the same version got.
    let newer: BTreeSet<&str> =
        if systemd.version <= SYSTEMD { NEWER.split_ascii_whitespace().collect() } else { BTreeSet::new() };
    for grant in GRANTS {
        let wider: Vec<&str> =
            grant.allowed_calls().filter(|call| !nspawn.contains(*call) && !newer.contains(call)).collect();
        assert!(wider.is_empty(), "systemd {} would deny: {wider:?}", systemd.version);
    }
}

#[test]
fn what_nspawn_allows_is_allowed() {
    let Some(systemd) = Systemd::ask() else { return };
    let allowed: BTreeSet<&str> = Grant::Nspawn.allowed_calls().collect();
    let nspawn = systemd.allowed_by_nspawn();
    let missing: BTreeSet<&str> = nspawn
        .iter()
        .map(String::as_str)
        .filter(|call| Abi::LOCAL.iter().any(|abi| abi.number(call).is_some()))
        .filter(|call| !allowed.contains(call))
        .collect();
    // A newer systemd may know newer calls; that nobody has looked at them here is no mistake.
    if systemd.version <= SYSTEMD {
        assert_eq!(missing, BTreeSet::new(), "systemd {} allows these", systemd.version);
    }
}

/// What systemd-analyze says on this machine.
struct Systemd {
    version: u32,
    groups: BTreeMap<String, Vec<String>>,
}

impl Systemd {
    fn ask() -> Option<Systemd> {
        let Ok(output) = command("systemd-analyze").args(["--no-pager", "syscall-filter"]).output() else {
            skip("systemd-analyze is not here to compare the list of system calls with");
            return None;
        };
        assert!(output.status.success(), "systemd-analyze: {}", String::from_utf8_lossy(&output.stderr));
        let version = command("systemd-analyze").arg("--version").output().expect("it has just run");
        let version = String::from_utf8_lossy(&version.stdout)
            .split_ascii_whitespace()
            .nth(1)
            .and_then(|word| word.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
            .expect("the first line is \"systemd NUMBER (...)\"");
        if version < OLDEST {
            skip("this systemd-analyze is too old to compare the list of system calls with");
            return None;
        }
        Some(Systemd { version, groups: groups(&String::from_utf8_lossy(&output.stdout)) })
    }

    fn allowed_by_nspawn(&self) -> BTreeSet<String> {
        let dropped = Grant::Nspawn.dropped_capabilities(true);
        let mut calls = BTreeSet::new();
        for (capability, names) in NSPAWN {
            if capability.is_none_or(|name| !dropped.contains(&name)) {
                names.split_ascii_whitespace().for_each(|name| self.expand(name, &mut calls));
            }
        }
        assert!(calls.len() > 300, "only {} calls: was the output understood?", calls.len());
        calls
    }

    /// Groups hold calls and other groups.
    fn expand(&self, name: &str, calls: &mut BTreeSet<String>) {
        if name.starts_with('@') {
            let members = self.groups.get(name).unwrap_or_else(|| panic!("systemd has no group {name}"));
            for member in members {
                self.expand(member, calls);
            }
        } else {
            calls.insert(name.to_owned());
        }
    }
}

/// A group's name stands at the start of a line, its members indented below; then come comments on
/// calls without a group, the names among them behind a '#'.
fn groups(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        let word = line.trim();
        if line.starts_with('@') {
            word.clone_into(&mut current);
        } else if !word.is_empty() && !word.starts_with('#') {
            groups.entry(current.clone()).or_default().push(word.to_owned());
        }
    }
    groups
}

/// A call that changes nothing, and whether a kernel that is asked by root, with any configuration
/// of a usual distribution, answers otherwise than with EPERM.
struct Call {
    name: &'static str,
    arguments: [i64; 5],
    certain: bool,
}

const fn call(name: &'static str, arguments: [i64; 5], certain: bool) -> Call {
    Call { name, arguments, certain }
}

/// Each has arguments that the kernel refuses: a bad flag, descriptor or address.
const DENIED: &[Call] = &[
    call("acct", [1, 0, 0, 0, 0], false),
    call("add_key", [0, 0, 0, 0, 0], true),
    call("bpf", [-1, 0, 0, 0, 0], false),
    call("clock_settime", [-1, 0, 0, 0, 0], true),
    call("delete_module", [1, 0, 0, 0, 0], false),
    call("fanotify_init", [-1, -1, 0, 0, 0], true),
    call("fanotify_mark", [-1, 0, 0, -1, 0], true),
    call("finit_module", [-1, 0, -1, 0, 0], false),
    call("init_module", [0, 0, 0, 0, 0], false),
    call("kexec_file_load", [-1, -1, 0, 0, -1], false),
    call("kexec_load", [0, 0, 0, 0xffff, 0], false),
    call("keyctl", [-1, 0, 0, 0, 0], true),
    call("mlock", [0, 0, 0, 0, 0], true),
    call("open_by_handle_at", [-1, 0, 0, 0, 0], true),
    call("perf_event_open", [0, 0, 0, -1, 0], false),
    call("pidfd_getfd", [-1, -1, 0, 0, 0], true),
    call("pkey_alloc", [-1, -1, 0, 0, 0], true),
    call("quotactl", [-1, 0, 0, 0, 0], true),
    call("reboot", [0, 0, 0, 0, 0], false),
    call("request_key", [0, 0, 0, 0, 0], true),
    call("settimeofday", [1, 0, 0, 0, 0], true),
    call("swapoff", [1, 0, 0, 0, 0], true),
    call("swapon", [1, 0, 0, 0, 0], true),
    call("syslog", [99, 0, 0, 0, 0], false),
];

const ALLOWED: &[Call] = &[
    call("getpid", [0; 5], true),
    call("landlock_create_ruleset", [0, 0, 1, 0, 0], true),
    call("memfd_create", [1, 0, 0, 0, 0], true),
    call("mknodat", [-1, 0, FIFO, 0, 0], true),
    call("mknodat", [-1, 0, REGULAR, DISK, 0], true),
    call("mknodat", [-1, 0, SOCKET, 0, 0], true),
    call("mknodat", [-1, 0, CHARACTER, NULL, 0], true),
    call("mknodat", [-1, 0, CHARACTER, WHITEOUT, 0], true),
    call("name_to_handle_at", [-1, 1, 0, 0, 0], true),
    call("process_vm_readv", [-1, 0, 0, 0, 0], true),
    call("ptrace", [-1, -1, 0, 0, 0], true),
    call("sethostname", [0, -1, 0, 0, 0], true),
    call("statmount", [0, 0, 0, -1, 0], true),
    call("unshare", [0; 5], true),
    call("unshare", [libc::CLONE_FS as i64, 0, 0, 0, 0], true),
];

/// What root may do in a container of nspawn, but not when isolated.
const DENIED_ISOLATED: &[Call] = &[
    // Together with CLONE_FS, the kernel knows no new user namespace.
    call("clone", [NEW_USER | libc::CLONE_FS as i64, 0, 0, 0, 0], true),
    call("clone", [NEW_USER | libc::CLONE_FS as i64 | 1 << 32, 0, 0, 0, 0], true),
    call("fsconfig", [-1, 0, 0, 0, 0], true),
    call("fsmount", [-1, 0, 0, 0, 0], true),
    call("fsopen", [0, 0, 0, 0, 0], true),
    call("fspick", [-1, 0, 0, 0, 0], true),
    call("mknodat", [-1, 0, BLOCK, DISK, 0], true),
    call("mknodat", [-1, 0, BLOCK, NULL, 0], true),
    // The kernel looks at the low half of these arguments only.
    call("mknodat", [-1, 0, BLOCK | 1 << 32, DISK, 0], true),
    call("mknodat", [-1, 0, CHARACTER, MEMORY, 0], true),
    // Bits of the minor number are above those of the major one, too.
    call("mknodat", [-1, 0, CHARACTER, NULL | 1 << 20, 0], true),
    call("mount", [0; 5], true),
    call("mount_setattr", [-1, 1, 0, 0, 0], true),
    call("move_mount", [-1, 0, -1, 0, 0], true),
    call("open_tree", [-1, 0, -1, 0, 0], true),
    call("pivot_root", [0, 0, 0, 0, 0], true),
    call("setns", [-1, 0, 0, 0, 0], true),
    call("umount2", [0, 0, 0, 0, 0], true),
    call("unshare", [NEW_USER | libc::CLONE_VM as i64 | 1 << 30, 0, 0, 0, 0], true),
];

const NEW_USER: i64 = libc::CLONE_NEWUSER as i64;
const BLOCK: i64 = libc::S_IFBLK as i64 | 0o600;
const CHARACTER: i64 = libc::S_IFCHR as i64 | 0o600;
const FIFO: i64 = libc::S_IFIFO as i64 | 0o600;
const REGULAR: i64 = libc::S_IFREG as i64 | 0o600;
const SOCKET: i64 = libc::S_IFSOCK as i64 | 0o600;
const DISK: i64 = 8 << 8;
const MEMORY: i64 = 1 << 8 | 1;
const NULL: i64 = 1 << 8 | 3;
const WHITEOUT: i64 = 0;

#[test]
fn the_kernel_denies_what_is_not_listed() {
    for grant in GRANTS {
        for (call, errno) in DENIED.iter().zip(errnos(Some(&grant.filter()), &numbered(DENIED))) {
            assert_eq!(errno, libc::EPERM, "{}", call.name);
        }
    }
}

#[test]
fn an_isolated_command_is_denied_more() {
    if !unconfined_root() {
        skip("whether a filter lets calls pass can be seen by an unconfined root only");
        return;
    }
    let calls = numbered(DENIED_ISOLATED);
    let isolated = errnos(Some(&Grant::Isolated.filter()), &calls);
    let nspawn = errnos(Some(&Grant::Nspawn.filter()), &calls);
    for (call, (isolated, nspawn)) in DENIED_ISOLATED.iter().zip(isolated.into_iter().zip(nspawn)) {
        assert_eq!(isolated, libc::EPERM, "{} {:?}", call.name, call.arguments);
        assert_ne!(nspawn, libc::EPERM, "{} {:?}", call.name, call.arguments);
    }
}

/// Of the newer interfaces only mknodat is left.
#[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "arm"))]
#[test]
fn the_older_call_for_nodes_makes_the_same() {
    let nodes = [
        ([0, FIFO, 0, 0, 0], libc::EFAULT),
        ([0, CHARACTER, NULL, 0, 0], libc::EFAULT),
        ([0, CHARACTER, MEMORY, 0, 0], libc::EPERM),
        ([0, BLOCK, DISK, 0, 0], libc::EPERM),
        ([0, BLOCK | 1 << 32, NULL, 0, 0], libc::EPERM),
    ];
    for (arguments, errno) in nodes {
        let calls = numbered(&[call("mknod", arguments, true)]);
        assert_eq!(errnos(Some(&Grant::Isolated.filter()), &calls), [errno], "{arguments:?}");
    }
}

#[test]
fn a_call_whose_flags_cannot_be_seen_seems_not_to_be_there() {
    let calls = numbered(&[call("clone3", [0, 0, 0, 0, 0], true)]);
    assert_eq!(errnos(Some(&Grant::Isolated.filter()), &calls), [libc::ENOSYS]);
    assert_eq!(errnos(Some(&Grant::Nspawn.filter()), &calls), [libc::EINVAL]);
}

/// Were it the kernel that denies, the test above would show nothing.
#[test]
fn without_the_filter_they_fail_otherwise() {
    if !unconfined_root() {
        skip("the calls can be tried without the filter by an unconfined root only");
        return;
    }
    let certain: Vec<&Call> = DENIED.iter().filter(|call| call.certain).collect();
    for (call, errno) in certain.iter().zip(errnos(None, &numbered(certain.iter().copied()))) {
        assert_ne!(errno, libc::EPERM, "{}", call.name);
    }
}

#[test]
fn the_kernel_carries_out_what_is_listed() {
    if !unconfined_root() {
        skip("whether the filter lets calls pass can be seen by an unconfined root only");
        return;
    }
    for grant in GRANTS {
        for (call, errno) in ALLOWED.iter().zip(errnos(Some(&grant.filter()), &numbered(ALLOWED))) {
            assert_ne!(errno, libc::EPERM, "{} {:?}", call.name, call.arguments);
        }
    }
}

#[test]
fn a_call_that_nobody_knows_is_denied() {
    let calls = [(5000, [0; 5])];
    for grant in GRANTS {
        assert_eq!(errnos(Some(&grant.filter()), &calls), [libc::EPERM]);
    }
    assert_eq!(errnos(None, &calls), [libc::ENOSYS]);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_x32_interface_is_no_way_around() {
    let getpid = 0x4000_0000 | libc::SYS_getpid;
    for grant in GRANTS {
        assert_eq!(errnos(Some(&grant.filter()), &[(getpid, [0; 5])]), [libc::ENOSYS]);
    }
}

#[test]
fn audit_looks_absent_and_other_sockets_work() {
    let socket = |domain: i32, protocol: i32| {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        (libc::SYS_socket, [domain.into(), kind.into(), protocol.into(), 0, 0])
    };
    // The kernel looks at the low half of these arguments only, so the filter has to as well.
    let (number, mut disguised) = socket(libc::AF_NETLINK, libc::NETLINK_AUDIT);
    disguised[0] |= 1 << 32;
    let calls = [
        socket(libc::AF_NETLINK, libc::NETLINK_AUDIT),
        (number, disguised),
        socket(libc::AF_NETLINK, libc::NETLINK_ROUTE),
        socket(libc::AF_UNIX, 0),
    ];
    let expected = [libc::EAFNOSUPPORT, libc::EAFNOSUPPORT, 0, 0];
    for grant in GRANTS {
        assert_eq!(errnos(Some(&grant.filter()), &calls), expected);
    }
}

#[test]
fn ordinary_programs_run() {
    let script = "set -e; cd \"$1\"; umask 022; echo one | cat > a; cp -p a b; mv b c; ln -s c d; \
        (sleep 0 & wait); test \"$(cat d)\" = one; ls -l / > list; rm a c d list";
    let place = tempfile::tempdir().expect("a directory for a test");
    for grant in GRANTS {
        let output = confined("sh", &grant.filter()).args(["-c", script, "sh"]).arg(place.path()).output();
        assert_success(&output.expect("a shell starts"));
    }
}

#[test]
fn who_joins_a_booted_overlay_may_mount() {
    if !unconfined_root() {
        skip("only an unconfined root can mount");
        return;
    }
    let script = "mount -t tmpfs onlay-test \"$1\" && echo one > \"$1/file\" && umount \"$1\"";
    let place = tempfile::tempdir().expect("a directory for a test");
    let output = confined("unshare", &Grant::Nspawn.filter())
        .args(["--mount", "--uts", "--ipc", "sh", "-c", script, "sh"])
        .arg(place.path())
        .output();
    assert_success(&output.expect("unshare(1) starts"));
}

/// CapBnd in a container of systemd-nspawn, without and with --private-network.
const NSPAWN_BOUNDS: [(bool, u64); 2] = [(false, 0xfdec_afff), (true, 0xfdec_bfff)];

/// What nspawn leaves and we do not: CAP_SYS_BOOT; and when isolated, CAP_SYS_PTRACE and CAP_SYS_ADMIN.
const NOT_OURS: [(Grant, u64); 2] =
    [(Grant::Nspawn, 1 << 22), (Grant::Isolated, 1 << 22 | 1 << 21 | 1 << 19)];

#[test]
fn what_stays_is_what_nspawn_leaves_or_less() {
    if !unconfined_root() {
        skip("only an unconfined root has capabilities to drop");
        return;
    }
    let own = capability_sets("self")[3];
    for (grant, taken) in NOT_OURS {
        for (private_network, bounds) in NSPAWN_BOUNDS {
            let names = grant.dropped_capabilities(private_network);
            let mut cat = command("cat");
            before_exec(&mut cat, move || drop_capabilities(&names).map_err(io::Error::other));
            let output = cat.arg("/proc/self/status").output().expect("cat starts");
            let sets = sets_of(&String::from_utf8_lossy(&output.stdout));
            let expected = own & bounds & !taken;
            // Permitted, effective and bounding; inheritable and ambient ones can only be fewer.
            assert_eq!([sets[1], sets[2], sets[3]], [expected; 3], "{grant:?} {private_network}");
            assert_eq!((sets[0] | sets[4]) & !expected, 0);
        }
    }
}

/// CapInh, CapPrm, CapEff, CapBnd and CapAmb (proc_pid_status(5)).
fn capability_sets(process: &str) -> [u64; 5] {
    sets_of(&std::fs::read_to_string(format!("/proc/{process}/status")).expect("proc is mounted"))
}

fn sets_of(status: &str) -> [u64; 5] {
    ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"].map(|key| {
        let value = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux 4.3 has all five");
        u64::from_str_radix(value.trim(), 16).expect("a hexadecimal number")
    })
}

/// Root with all that the calls of these tests need, and in no container that filters them itself.
fn unconfined_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let needed = ["CAP_DAC_READ_SEARCH", "CAP_SETPCAP", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_TIME"];
    status.lines().any(|line| line == "Seccomp:\t0") && needed.iter().all(|name| has_capability(name))
}

/// Calls with their numbers on this machine; one that it lacks would make a test empty.
fn numbered<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Vec<(i64, [i64; 5])> {
    let native = Abi::LOCAL[0];
    let number = |call: &Call| native.number(call.name).unwrap_or_else(|| panic!("no {}", call.name));
    calls.into_iter().map(|call| (number(call).into(), call.arguments)).collect()
}

/// Makes calls in a child, under a filter if there is one; 0 stands for success.
fn errnos(filter: Option<&Filter>, calls: &[(i64, [i64; 5])]) -> Vec<i32> {
    let mut child = match filter {
        Some(filter) => confined("true", filter),
        None => command("true"),
    };
    let made = calls.to_vec();
    before_exec(&mut child, move || {
        made.iter().try_for_each(|&(number, arguments)| report(number, arguments))
    });
    let output = child.output().expect("true(1) starts");
    assert_success(&output);
    let errnos: Vec<i32> = output
        .stdout
        .chunks_exact(4)
        .map(|bytes| i32::from_ne_bytes(bytes.try_into().expect("chunks of four bytes")))
        .collect();
    assert_eq!(errnos.len(), calls.len());
    errnos
}

/// Makes one call and writes its errno to stdout.
#[allow(unsafe_code, reason = "the kernel is to be asked for calls that nothing wraps")]
fn report(number: i64, arguments: [i64; 5]) -> io::Result<()> {
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: the calls that tests name here have no valid address among their arguments.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth) };
    let errno = if result < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(-1) } else { 0 };
    let bytes = errno.to_ne_bytes();
    // SAFETY: the buffer is valid for its length.
    let written = unsafe { libc::write(libc::STDOUT_FILENO, bytes.as_ptr().cast(), bytes.len()) };
    if written == 4 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A program that runs under a filter.
fn confined(program: &str, filter: &Filter) -> Command {
    let mut command = command(program);
    let filter = filter.clone();
    before_exec(&mut command, move || {
        allow_filters_without_root()?;
        filter.install().map_err(io::Error::other)
    });
    command
}

#[allow(unsafe_code, reason = "prctl has no safe wrapper here")]
fn allow_filters_without_root() -> io::Result<()> {
    // SAFETY: this sets a flag of the process.
    match unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[allow(unsafe_code, reason = "a filter can be tried only in a process that then ends")]
fn before_exec(command: &mut Command, action: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the actions of these tests make system calls, and allocate only to report an error.
    unsafe { command.pre_exec(action) };
}

#[allow(clippy::disallowed_methods, reason = "the room `tool` is not what is tested")]
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").env("SYSTEMD_COLORS", "0");
    command
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// Says loudly that something was not tested; where everything is to be tested, that is a failure.
#[allow(clippy::disallowed_macros, clippy::print_stderr, reason = "a test talks to whoever runs it")]
fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{reason}");
    eprintln!("SKIPPED: {reason}");
}
