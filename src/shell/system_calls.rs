//! What a command in a container may ask of the kernel: which system calls, and which capabilities it
//! keeps.
//!
//! Both are no wider than what systemd-nspawn grants by default, which administrators know and
//! which has been read by many. The filter is an allow list, so that a call that a later kernel
//! brings is closed until somebody has looked at it.
//!
//! In an isolated overlay it is less. There, nspawn's grant would be a way out: root is the host's
//! root (there is no user namespace), so with CAP_SYS_ADMIN it could mount a /proc that can be written,
//! uncover what is covered, or tell the file systems of /home to freeze, and with it in a user namespace
//! of its own, mount the control groups of the host. nspawn stands beside such things with a device
//! cgroup and a file system of the container's own, and calls that no wall against an attacker. So an
//! isolated command has neither the capability nor the calls, as in a container of Docker or Podman,
//! where package managers work as well. Who needs mounts inside boots the overlay.
//!
//! With no mounts to be made, the flags that the view's mounts have are for good: outside /dev, device
//! nodes cannot be opened. That, and a filter that makes no nodes but of harmless devices, is what the
//! device cgroup is to nspawn. A cgroup of our own would need the consent of whoever manages the host's.
//!
//! A call that is not listed fails with EPERM, also one that no kernel of today knows. (Newer
//! nspawn answers ENOSYS for those, which lets a C library fall back to an older call. Should a
//! program come to need that, the call belongs in the list, or gets a rule of its own.) Where
//! nspawn allows the x32 interface of x86-64, we do not.

use std::iter;

use crate::sys::{Condition, Filter, Rule, Verdict};

/// How much of the kernel a container is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// What systemd-nspawn gives: for who joins a booted overlay.
    Nspawn,
    /// Less: for an isolated overlay.
    Isolated,
}

/// Capabilities that no command in a container keeps: those that nspawn does not leave
/// (systemd-nspawn(1), `--capability=`), and one more.
const DROPPED: &[&str] = &[
    "CAP_AUDIT_READ",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_IPC_LOCK",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_PERFMON",
    "CAP_SYSLOG",
    // nspawn leaves this one, because it runs an init that shuts down. Here it could only end the
    // command with a signal in place of its exit code, and load a kernel where the filter fails.
    "CAP_SYS_BOOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_PACCT",
    "CAP_SYS_RAWIO",
    "CAP_SYS_TIME",
    "CAP_WAKE_ALARM",
];

/// What else an isolated command does not keep. Without CAP_SYS_PTRACE it traces what runs as the same
/// user, but neither process 1 nor whoever is about to come in.
const DROPPED_ISOLATED: &[&str] = &["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"];

impl Grant {
    /// The capabilities to take away from a command that shares the host's network, or has one of its
    /// own, which it may then set up as it likes.
    pub fn dropped_capabilities(self, private_network: bool) -> Vec<&'static str> {
        let of_network: &[&str] = if private_network { &[] } else { &["CAP_NET_ADMIN"] };
        let of_isolation = if self == Grant::Isolated { DROPPED_ISOLATED } else { &[] };
        [DROPPED, of_network, of_isolation].concat()
    }

    /// The names of the calls that the filter lets through, some of them with certain arguments only.
    pub fn allowed_calls(self) -> impl Iterator<Item = &'static str> {
        let names = ALLOWED.iter().flat_map(|(_, names)| names.split_ascii_whitespace());
        names.filter(move |name| self == Grant::Nspawn || !DENIED_ISOLATED.contains(name))
    }

    /// The filter for a command with the capabilities that stay. None of its calls depends on the
    /// network, so there is one filter.
    pub fn filter(self) -> Filter {
        let mut rules: Vec<Rule<'_>> = iter::once(NO_AUDIT).chain(NO_TYPING).collect();
        let harmless: Vec<(&str, [Condition; 2])> = harmless_nodes().collect();
        match self {
            Grant::Nspawn => rules.extend(NO_REMOUNT),
            Grant::Isolated => {
                let allow = |(call, when)| Rule { call, when, verdict: Verdict::Allow };
                rules.extend(harmless.iter().map(|(call, when)| (*call, &when[..])).map(allow));
                rules.extend(NO_OTHER_NODES);
                rules.extend(NO_USER_NAMESPACE);
            }
        }
        rules.extend(self.allowed_calls().map(|call| Rule { call, when: &[], verdict: Verdict::Allow }));
        Filter::compile(&rules, Verdict::Fail(libc::EPERM))
    }
}

/// Calls that mount, or enter what is mounted elsewhere: the kernel refuses them without CAP_SYS_ADMIN,
/// and for an isolated command the filter does so as well. And `clone3`, see [`NO_USER_NAMESPACE`].
const DENIED_ISOLATED: &[&str] = &[
    "clone3",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "setns",
    "umount",
    "umount2",
];

/// In a user namespace of its own, root has every capability over the other namespaces that it makes
/// there. What clone3 is to make is in memory, where a filter cannot look, so it seems not to be there:
/// C libraries then call clone.
const NO_USER_NAMESPACE: [Rule<'static>; 3] = [
    Rule { call: "unshare", when: &[NEW_USER_NAMESPACE], verdict: Verdict::Fail(libc::EPERM) },
    Rule { call: "clone", when: &[NEW_USER_NAMESPACE], verdict: Verdict::Fail(libc::EPERM) },
    Rule { call: "clone3", when: &[], verdict: Verdict::Fail(libc::ENOSYS) },
];

const NEW_USER_NAMESPACE: Condition =
    Condition::bits(0, libc::CLONE_NEWUSER as u32, libc::CLONE_NEWUSER as u32);

/// The device nodes that packages bring for services that change their root, by major and minor number
/// (all of 8 bits, which the kernel packs as `major << 8 | minor`): those that nspawn lets its containers
/// have, and overlayfs's whiteout.
const HARMLESS_NODES: &[(u32, u32)] = &[(0, 0), (1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)];

/// Calls that make nodes, and where their arguments for mode and device are.
const MAKING_NODES: &[(&str, u8)] = &[("mknod", 1), ("mknodat", 2)];

fn harmless_nodes() -> impl Iterator<Item = (&'static str, [Condition; 2])> {
    MAKING_NODES.iter().flat_map(|&(call, mode)| {
        HARMLESS_NODES.iter().map(move |&(major, minor)| {
            (call, [node_kind(mode, libc::S_IFCHR), Condition::is(mode + 1, major << 8 | minor)])
        })
    })
}

/// Pipes, sockets and files are made by the same calls.
const NO_OTHER_NODES: [Rule<'static>; 4] = [
    Rule { call: "mknod", when: &[node_kind(1, libc::S_IFCHR)], verdict: Verdict::Fail(libc::EPERM) },
    Rule { call: "mknod", when: &[node_kind(1, libc::S_IFBLK)], verdict: Verdict::Fail(libc::EPERM) },
    Rule { call: "mknodat", when: &[node_kind(2, libc::S_IFCHR)], verdict: Verdict::Fail(libc::EPERM) },
    Rule { call: "mknodat", when: &[node_kind(2, libc::S_IFBLK)], verdict: Verdict::Fail(libc::EPERM) },
];

const fn node_kind(argument: u8, kind: libc::mode_t) -> Condition {
    Condition::bits(argument, libc::S_IFMT, kind)
}

/// Audit serves the host alone. With this error its users (PAM, dbus, package managers) take it
/// for absent and go on, where any other makes them refuse.
const NO_AUDIT: Rule<'static> = Rule {
    call: "socket",
    when: &[Condition::is(0, libc::AF_NETLINK as u32), Condition::is(2, libc::NETLINK_AUDIT as u32)],
    verdict: Verdict::Fail(libc::EAFNOSUPPORT),
};

/// Some mounts inside are the host's own, on the host's file system: to remount such a file system
/// read-only would stop the host. Flags of a mount alone (`MS_BIND` with it) are each view's own.
pub(super) const NO_REMOUNT: [Rule<'static>; 2] = [
    Rule {
        call: "mount",
        when: &[Condition::bits(3, (libc::MS_REMOUNT | libc::MS_BIND) as u32, libc::MS_REMOUNT as u32)],
        verdict: Verdict::Fail(libc::EPERM),
    },
    Rule {
        call: "fsconfig",
        when: &[Condition::is(1, FSCONFIG_CMD_RECONFIGURE)],
        verdict: Verdict::Fail(libc::EPERM),
    },
];

/// Where standard streams are no terminal, the command keeps the caller's session, and with it
/// /dev/tty: what it typed there, the caller's shell would run (ioctl_tty(2)).
const NO_TYPING: [Rule<'static>; 2] = [
    Rule {
        call: "ioctl",
        when: &[Condition::is(1, libc::TIOCSTI as u32)],
        verdict: Verdict::Fail(libc::EPERM),
    },
    Rule { call: "ioctl", when: &[Condition::is(1, TIOCLINUX)], verdict: Verdict::Fail(libc::EPERM) },
];

/// asm-generic/ioctls.h.
const TIOCLINUX: u32 = 0x541c;

/// linux/mount.h.
const FSCONFIG_CMD_RECONFIGURE: u32 = 7;

/// Names of calls by the group in which systemd 257 has them (`systemd-analyze syscall-filter`). A
/// name that is in several groups stands in the first. Names of interfaces that Onlay does not run
/// on are left out.
///
/// The groups and single calls are those of systemd's src/nspawn/nspawn-seccomp.c. It leaves out on
/// purpose, and so do we: @clock, @module, @raw-io and @memlock (without their capability), @swap,
/// @reboot, @keyring (keys know no namespaces), @pkey, @cpu-emulation, @obsolete, and `bpf`,
/// `fanotify_*`, `open_by_handle_at`, `perf_event_open`, `quotactl`.
const ALLOWED: &[(&str, &str)] = &[
    (
        "@aio",
        "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit \
         io_uring_enter io_uring_register io_uring_setup",
    ),
    (
        "@basic-io",
        "close close_range dup dup2 dup3 _llseek lseek pread64 preadv preadv2 pwrite64 pwritev \
         pwritev2 read readv write writev",
    ),
    ("@chown", "chown chown32 fchown fchown32 fchownat lchown lchown32"),
    (
        "@default",
        "arch_prctl brk cacheflush clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
         clock_nanosleep clock_nanosleep_time64 execve exit exit_group futex futex_time64 futex_waitv \
         get_robust_list get_thread_area getegid getegid32 geteuid geteuid32 getgid getgid32 \
         getgroups getgroups32 getpgid getpgrp getpid getppid getrandom getresgid getresgid32 \
         getresuid getresuid32 getrlimit getsid gettid gettimeofday getuid getuid32 landlock_add_rule \
         landlock_create_ruleset landlock_restrict_self lsm_get_self_attr lsm_list_modules membarrier \
         mmap mmap2 mprotect mseal munmap nanosleep pause prlimit64 restart_syscall rseq rt_sigreturn \
         sched_getaffinity sched_yield seccomp set_robust_list set_thread_area set_tid_address \
         set_tls sigreturn time ugetrlimit uretprobe",
    ),
    (
        "@file-system",
        "access chdir chmod creat faccessat faccessat2 fallocate fchdir fchmod fchmodat fchmodat2 \
         fcntl fcntl64 fgetxattr file_getattr file_setattr flistxattr fremovexattr fsetxattr fstat \
         fstat64 fstatat fstatat64 fstatfs fstatfs64 ftruncate ftruncate64 futimesat getcwd getdents \
         getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
         lgetxattr link linkat listmount listxattr listxattrat llistxattr lremovexattr lsetxattr \
         lstat lstat64 mkdir mkdirat mknod mknodat newfstatat oldfstat oldlstat oldstat open openat \
         openat2 readlink readlinkat removexattr removexattrat rename renameat renameat2 rmdir \
         setxattr setxattrat stat stat64 statfs statfs64 statmount statx symlink symlinkat truncate \
         truncate64 unlink unlinkat utime utimensat utimensat_time64 utimes",
    ),
    (
        "@io-event",
        "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait \
         epoll_wait_old eventfd eventfd2 _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 \
         select",
    ),
    (
        "@ipc",
        "ipc memfd_create mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 \
         mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 \
         process_madvise process_vm_readv process_vm_writev semctl semget semop semtimedop \
         semtimedop_time64 shmat shmctl shmdt shmget",
    ),
    (
        "@mount",
        "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root \
         umount umount2",
    ),
    (
        "@network-io",
        "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg \
         recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socket socketcall \
         socketpair",
    ),
    (
        "@process",
        "capget clone clone3 execveat fork getrusage kill pidfd_open pidfd_send_signal prctl \
         rt_sigqueueinfo rt_tgsigqueueinfo setns tgkill times tkill unshare vfork wait4 waitid \
         waitpid",
    ),
    (
        "@resources",
        "ioprio_set mbind migrate_pages move_pages nice sched_setaffinity sched_setattr \
         sched_setparam sched_setscheduler set_mempolicy set_mempolicy_home_node setpriority \
         setrlimit",
    ),
    (
        "@setuid",
        "setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid \
         setresuid32 setreuid setreuid32 setuid setuid32",
    ),
    (
        "@signal",
        "rt_sigaction rt_sigpending rt_sigprocmask rt_sigsuspend rt_sigtimedwait \
         rt_sigtimedwait_time64 sigaction sigaltstack signal signalfd signalfd4 sigpending \
         sigprocmask sigsuspend",
    ),
    ("@sync", "fdatasync fsync msync sync sync_file_range syncfs"),
    (
        "@timer",
        "alarm getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime \
         timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime \
         timerfd_gettime64 timerfd_settime timerfd_settime64",
    ),
    // In no group that is allowed as a whole.
    (
        "single calls",
        "arm_fadvise64_64 capset copy_file_range fadvise64 fadvise64_64 flock get_mempolicy getcpu \
         getpriority ioctl ioprio_get kcmp madvise mincore mremap name_to_handle_at oldolduname \
         olduname personality readahead readdir remap_file_pages sched_get_priority_max \
         sched_get_priority_min sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
         sched_rr_get_interval_time64 sendfile sendfile64 setdomainname setfsgid setfsgid32 setfsuid \
         setfsuid32 sethostname setpgid setsid splice sysinfo tee umask uname userfaultfd vmsplice",
    ),
    // Allowed by nspawn because their capability stays. Who runs as the same user may be traced without.
    ("CAP_SYS_PTRACE", "ptrace"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Abi;

    #[test]
    fn every_name_is_a_call_of_some_interface_and_stands_once() {
        let mut seen = std::collections::HashSet::new();
        let interfaces = [Abi::X86_64, Abi::X86, Abi::Aarch64, Abi::Arm];
        for name in Grant::Nspawn.allowed_calls() {
            assert!(interfaces.iter().any(|abi| abi.number(name).is_some()), "{name} is no call");
            assert!(seen.insert(name), "{name} stands twice");
        }
    }

    #[test]
    fn only_a_network_of_its_own_leaves_net_admin() {
        for grant in [Grant::Nspawn, Grant::Isolated] {
            assert!(grant.dropped_capabilities(false).contains(&"CAP_NET_ADMIN"));
            assert!(!grant.dropped_capabilities(true).contains(&"CAP_NET_ADMIN"));
        }
    }

    #[test]
    fn isolation_grants_less_than_nspawn() {
        let nspawn: Vec<&str> = Grant::Nspawn.allowed_calls().collect();
        let isolated: Vec<&str> = Grant::Isolated.allowed_calls().collect();
        assert!(isolated.iter().all(|call| nspawn.contains(call)));
        assert_eq!(isolated.len() + DENIED_ISOLATED.len(), nspawn.len(), "a name that is not in the list");
        let dropped = Grant::Isolated.dropped_capabilities(false);
        assert!(Grant::Nspawn.dropped_capabilities(false).iter().all(|name| dropped.contains(name)));
    }
}
