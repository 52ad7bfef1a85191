//! What a command in an isolated overlay may ask of the kernel: which system calls, and which
//! capabilities it keeps.
//!
//! Both are no wider than what systemd-nspawn grants by default, which administrators know and
//! which has been read by many. The filter is an allow list, so that a call that a later kernel
//! brings is closed until somebody has looked at it.
//!
//! A call that is not listed fails with EPERM, also one that no kernel of today knows. (Newer
//! nspawn answers ENOSYS for those, which lets a C library fall back to an older call. Should a
//! program come to need that, the call belongs in the list, or gets a rule of its own.) Where
//! nspawn allows the x32 interface of x86-64, we do not.

use std::iter;

use crate::sys::{Condition, Filter, Rule, Verdict};

/// Capabilities that no isolated command keeps: those that nspawn does not leave to a container
/// (systemd-nspawn(1), `--capability=`), and one more.
pub const DROPPED_CAPABILITIES: &[&str] = &[
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

/// Those to take away from a command that shares the host's network, or has one of its own, which
/// it may then set up as it likes.
pub fn dropped_capabilities(private_network: bool) -> Vec<&'static str> {
    let of_network = (!private_network).then_some("CAP_NET_ADMIN");
    DROPPED_CAPABILITIES.iter().copied().chain(of_network).collect()
}

/// The filter for a command with the capabilities that stay. None of its calls depends on the
/// network, so there is one filter.
pub fn isolation_filter() -> Filter {
    let allowed = allowed_calls().map(|call| Rule { call, when: &[], verdict: Verdict::Allow });
    let rules: Vec<Rule<'_>> =
        iter::once(NO_AUDIT).chain(NO_REMOUNT).chain(NO_TYPING).chain(allowed).collect();
    Filter::compile(&rules, Verdict::Fail(libc::EPERM))
}

/// The names of the calls that the filter lets through.
pub fn allowed_calls() -> impl Iterator<Item = &'static str> {
    ALLOWED.iter().flat_map(|(_, names)| names.split_ascii_whitespace())
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
    // Allowed because their capability stays.
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
        for name in allowed_calls() {
            assert!(interfaces.iter().any(|abi| abi.number(name).is_some()), "{name} is no call");
            assert!(seen.insert(name), "{name} stands twice");
        }
    }

    #[test]
    fn only_a_network_of_its_own_leaves_net_admin() {
        assert!(dropped_capabilities(false).contains(&"CAP_NET_ADMIN"));
        assert!(!dropped_capabilities(true).contains(&"CAP_NET_ADMIN"));
    }
}
