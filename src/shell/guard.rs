//! Keeping what runs inside from changing the host by accident, while it sees the host's processes.
//!
//! A maintainer script that says `kill -HUP $(cat /run/x.pid)` means the service that it installs,
//! not the host's. So signals to processes outside the overlay are refused: a system call filter
//! hands every signal up, and the process that waits for the command decides. What traces a process
//! may also signal it, for debuggers stop threads by signals.
//!
//! This stops accidents. Root with the host's processes in view can get out on purpose, through
//! /proc/1/root for one; `--isolate` is for what is not trusted.

use std::sync::LazyLock;

use super::system_calls::NO_REMOUNT;
use crate::sys::{Abi, Condition, Filter, Listener, Notification, Pid, Rule, Verdict, processes};

/// What no maintainer script may do to the kernel that it shares with the host: load modules, set
/// the clock, stop the machine.
pub(super) const DROPPED: &[&str] = &["CAP_SYS_BOOT", "CAP_SYS_MODULE", "CAP_SYS_TIME"];

/// Calls that signal, and where their arguments are.
struct SignalCall {
    name: &'static str,
    target: Target,
    /// Position of the signal number.
    signal: u8,
}

#[derive(Clone, Copy)]
enum Target {
    /// A process, a group (negative) or everybody (-1), at this position.
    ProcessOrGroup(usize),
    /// A process or thread at this position.
    Process(usize),
    /// A process by a descriptor at this position.
    Descriptor(usize),
}

const SIGNAL_CALLS: &[SignalCall] = &[
    SignalCall { name: "kill", target: Target::ProcessOrGroup(0), signal: 1 },
    SignalCall { name: "tkill", target: Target::Process(0), signal: 1 },
    SignalCall { name: "tgkill", target: Target::Process(0), signal: 2 },
    SignalCall { name: "rt_sigqueueinfo", target: Target::Process(0), signal: 1 },
    SignalCall { name: "rt_tgsigqueueinfo", target: Target::Process(0), signal: 2 },
    SignalCall { name: "pidfd_send_signal", target: Target::Descriptor(0), signal: 1 },
];

/// Settings of the kernel that belong to the host and that no capability alone protects.
const HOST_SETTINGS: &[&str] = &["acct", "setdomainname", "sethostname", "swapoff", "swapon"];

/// Signal 0 only asks whether a process is there; SIGURG does nothing by default, and Go programs
/// send it to their own threads thousands of times a second.
const HARMLESS: &[u32] = &[0, libc::SIGURG as u32];

/// The filter for commands in a guarded overlay.
pub(super) fn filter() -> Filter {
    let harmless: Vec<(&str, [Condition; 1])> = SIGNAL_CALLS
        .iter()
        .flat_map(|call| HARMLESS.iter().map(|&signal| (call.name, [Condition::is(call.signal, signal)])))
        .collect();
    let allow = |(call, when)| Rule { call, when, verdict: Verdict::Allow };
    let mut rules: Vec<Rule<'_>> =
        harmless.iter().map(|(call, when)| (*call, &when[..])).map(allow).collect();
    rules.extend(NO_REMOUNT);
    rules.extend(SIGNAL_CALLS.iter().map(|call| Rule { call: call.name, when: &[], verdict: Verdict::Ask }));
    let refused = Verdict::Fail(libc::EPERM);
    rules.extend(HOST_SETTINGS.iter().map(|call| Rule { call, when: &[], verdict: refused }));
    Filter::compile(&rules, Verdict::Allow)
}

/// A filter that allows everything: its listener still tells when the last command has gone.
pub(super) fn empty_filter() -> Filter {
    Filter::compile(&[], Verdict::Allow)
}

/// Decides about signals from inside one overlay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    /// Device of the overlay's root: processes whose root is on it are inside.
    device: u64,
    pid_namespace: Option<u64>,
}

impl Guard {
    /// For the overlay whose root is this process's root.
    pub(super) fn of_own_root() -> Option<Guard> {
        let device = rustix::fs::stat("/").ok()?.st_dev;
        Some(Guard { device, pid_namespace: pid_namespace("self") })
    }

    /// Takes one waiting call from the listener and answers it.
    pub(super) fn serve(&self, listener: &Listener) -> Result<(), crate::sys::IoError> {
        let Some(notification) = listener.receive()? else { return Ok(()) };
        let verdict = self.judge(&notification);
        // What was read about the caller holds only if it is still the caller.
        if listener.still_waits(&notification) { listener.answer(&notification, verdict) } else { Ok(()) }
    }

    fn judge(&self, notification: &Notification) -> Verdict {
        let Some(target) = target_of(notification) else { return Verdict::Fail(libc::EPERM) };
        let caller = notification.caller;
        if pid_namespace(&caller.to_string()) != self.pid_namespace {
            // It counts processes of a namespace that was made inside; all of them are inside.
            return Verdict::Allow;
        }
        let number = notification.arguments[target.position()] as i32;
        let allowed = match target {
            Target::Descriptor(_) => {
                pid_behind(caller, number).is_none_or(|pid| self.may_signal(caller, pid))
            }
            Target::ProcessOrGroup(_) if number == 0 => true,
            Target::ProcessOrGroup(_) if number == -1 => false,
            Target::ProcessOrGroup(_) if number < 0 => {
                number.checked_neg().is_none_or(|group| self.may_signal_group(caller, group))
            }
            Target::Process(_) | Target::ProcessOrGroup(_) => {
                Pid::from_raw(number).is_none_or(|pid| self.may_signal(caller, pid))
            }
        };
        if allowed { Verdict::Allow } else { Verdict::Fail(libc::EPERM) }
    }

    fn may_signal(&self, caller: Pid, target: Pid) -> bool {
        let Some(status) = Status::read(target) else { return true };
        let caller_process = Status::read(caller).map(|caller| caller.process);
        status.process == caller.as_raw()
            || Some(status.process) == caller_process
            || (status.tracer != 0 && is_process(status.tracer, caller_process))
            || self.is_inside(target)
    }

    /// A group lies in one session; one member inside shows where it belongs.
    fn may_signal_group(&self, caller: Pid, group: i32) -> bool {
        let is_in_group = |pid: &Pid| group_of(*pid) == Some(group);
        let member = Pid::from_raw(group).filter(is_in_group).or_else(|| processes().find(is_in_group));
        member.is_none_or(|pid| self.may_signal(caller, pid) || group_of(caller) == Some(group))
    }

    /// Whether a process, or one that it descends from, has its root in the overlay. A container
    /// that was started inside has another root, but its ancestors have not.
    pub(super) fn is_inside(&self, pid: Pid) -> bool {
        let mut current = Some(pid);
        // The bound stops a walk over processes that come and go.
        for _ in 0..64 {
            let Some(pid) = current else { return false };
            if rustix::fs::stat(format!("/proc/{pid}/root/")).is_ok_and(|stat| stat.st_dev == self.device) {
                return true;
            }
            current = Status::read(pid).and_then(|status| Pid::from_raw(status.parent));
        }
        false
    }
}

/// Whether a thread belongs to a process.
fn is_process(thread: i32, process: Option<i32>) -> bool {
    Pid::from_raw(thread).and_then(Status::read).map(|status| status.process) == process
}

impl Target {
    fn position(self) -> usize {
        match self {
            Target::ProcessOrGroup(position) | Target::Process(position) | Target::Descriptor(position) => {
                position
            }
        }
    }
}

/// Numbers of the calls in every interface of this machine.
static NUMBERS: LazyLock<Vec<(Abi, u32, Target)>> = LazyLock::new(|| {
    let of_abi = |abi: &Abi| {
        let abi = *abi;
        SIGNAL_CALLS.iter().filter_map(move |call| Some((abi, abi.number(call.name)?, call.target)))
    };
    Abi::LOCAL.iter().flat_map(of_abi).collect()
});

fn target_of(notification: &Notification) -> Option<Target> {
    let abi = notification.abi?;
    NUMBERS
        .iter()
        .find(|&&(a, number, _)| a == abi && number == notification.number)
        .map(|&(_, _, target)| target)
}

/// What /proc/PID/status says of a process or thread.
struct Status {
    process: i32,
    parent: i32,
    tracer: i32,
}

impl Status {
    fn read(pid: Pid) -> Option<Status> {
        let text = text_of(&format!("/proc/{pid}/status"))?;
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
        };
        Some(Status { process: field("Tgid")?, parent: field("PPid")?, tracer: field("TracerPid")? })
    }
}

/// A file of /proc as text; the name of a process may be any bytes.
fn text_of(path: &str) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The process group, field 5 of proc_pid_stat(5).
fn group_of(pid: Pid) -> Option<i32> {
    let stat = text_of(&format!("/proc/{pid}/stat"))?;
    stat[stat.rfind(')')? + 1..].split_whitespace().nth(2)?.parse().ok()
}

/// The process that a descriptor of another process stands for: a pidfd, or a directory of /proc,
/// which the kernel takes as well (killall(1) uses those).
fn pid_behind(owner: Pid, fd: i32) -> Option<Pid> {
    let number = |path: String, field: &str| -> Option<i32> {
        let text = std::fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok())
    };
    let pid = number(format!("/proc/{owner}/fdinfo/{fd}"), "Pid:")
        .or_else(|| number(format!("/proc/{owner}/fd/{fd}/status"), "Tgid:"))?;
    Pid::from_raw(pid)
}

fn pid_namespace(process: &str) -> Option<u64> {
    rustix::fs::stat(format!("/proc/{process}/ns/pid")).ok().map(|stat| stat.st_ino)
}
