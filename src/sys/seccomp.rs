//! System call filters (seccomp(2)): small programs that the kernel runs at each call, and a
//! listener that answers the calls they hand up.
//!
//! A filter is a table per system call interface of the machine (a 64-bit kernel also runs 32-bit
//! programs), searched by halving, so that its cost grows with the logarithm of the table.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::call_names;
use super::{Context, IoError, Pid, events_now};

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is carried out.
    Allow,
    /// It fails with this errno.
    Fail(i32),
    /// The listener decides.
    Ask,
}

impl Verdict {
    fn bits(self) -> u32 {
        match self {
            Verdict::Allow => libc::SECCOMP_RET_ALLOW,
            Verdict::Fail(errno) => libc::SECCOMP_RET_ERRNO | (errno as u32 & libc::SECCOMP_RET_DATA),
            Verdict::Ask => libc::SECCOMP_RET_USER_NOTIF,
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64", target_arch = "arm")))]
compile_error!("filters need the system call interfaces of this architecture: add them to `Abi`");

/// A system call interface, as audit and seccomp tell them apart (linux/audit.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM.
    Arm,
}

impl Abi {
    /// Those that programs on this machine may use.
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    pub const LOCAL: &'static [Abi] = &[Abi::X86_64, Abi::X86];
    /// Those that programs on this machine may use.
    #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
    pub const LOCAL: &'static [Abi] = &[Abi::Aarch64, Abi::Arm];

    /// The number of a system call, if this interface has it.
    pub fn number(self, name: &str) -> Option<u32> {
        match self {
            Abi::X86_64 => call_names::x86_64(name),
            Abi::X86 => call_names::x86(name),
            Abi::Aarch64 => call_names::aarch64(name),
            Abi::Arm => call_names::arm(name).or_else(|| arm_private(name)),
        }
    }

    fn audit_value(self) -> u32 {
        match self {
            Abi::X86_64 => 0xc000_003e,
            Abi::X86 => 0x4000_0003,
            Abi::Aarch64 => 0xc000_00b7,
            Abi::Arm => 0x4000_0028,
        }
    }
}

/// The calls of 32-bit ARM outside its table (arch/arm/include/uapi/asm/unistd.h). No program there
/// gets far without `set_tls`, and filters see them like all others.
fn arm_private(name: &str) -> Option<u32> {
    match name {
        "breakpoint" => Some(0x000f_0001),
        "cacheflush" => Some(0x000f_0002),
        "usr26" => Some(0x000f_0003),
        "usr32" => Some(0x000f_0004),
        "set_tls" => Some(0x000f_0005),
        "get_tls" => Some(0x000f_0006),
        _ => None,
    }
}

/// What an argument must be, in its low 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, by position.
    argument: u8,
    /// The bits that count.
    mask: u32,
    /// What they must be.
    value: u32,
}

impl Condition {
    /// The argument has this value.
    pub const fn is(argument: u8, value: u32) -> Condition {
        Condition { argument, mask: u32::MAX, value }
    }

    /// Of the bits in `mask`, the argument has just those in `value`.
    pub const fn bits(argument: u8, mask: u32, value: u32) -> Condition {
        Condition { argument, mask, value }
    }
}

/// A rule for one system call.
#[derive(Debug, Clone)]
pub struct Rule<'a> {
    /// Its name; interfaces that lack it pass over the rule.
    pub call: &'a str,
    /// Only where all of these hold.
    pub when: &'a [Condition],
    /// What then happens.
    pub verdict: Verdict,
}

/// The x32 interface shares the audit value of x86-64; its calls have this bit. Hardly anything
/// uses it, and a filter that forgot it could be walked around.
const X32_BIT: u32 = 0x4000_0000;

/// A compiled filter.
#[derive(Debug, Clone)]
pub struct Filter {
    program: Vec<libc::sock_filter>,
}

impl Filter {
    /// Compiles rules; calls without one get `otherwise`. Rules with conditions come before those
    /// without. Foreign interfaces fail with ENOSYS.
    pub fn compile(rules: &[Rule<'_>], otherwise: Verdict) -> Filter {
        let mut program = vec![load(offset_of_arch())];
        for &abi in Abi::LOCAL {
            let body = compile_abi(abi, rules, otherwise);
            append_guarded(&mut program, libc::BPF_JEQ, abi.audit_value(), body);
        }
        program.push(answer(Verdict::Fail(libc::ENOSYS)));
        Filter { program }
    }

    /// Applies it to this process and its children, for good.
    pub fn install(&self) -> Result<(), IoError> {
        self.apply(0).map(|_| ())
    }

    /// Applies it, and gives the listener for what it hands up.
    pub fn install_with_listener(&self) -> Result<Listener, IoError> {
        let fd = self.apply(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
        // SAFETY: with this flag the call returned a new descriptor of ours.
        Ok(Listener { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    fn apply(&self, flags: libc::c_ulong) -> Result<i32, IoError> {
        let program = libc::sock_fprog {
            len: u16::try_from(self.program.len()).expect("a filter is far shorter than 4096"),
            filter: self.program.as_ptr().cast_mut(),
        };
        // A root shell gains nothing from speculation being off, and would lose speed.
        let flags = flags | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        // SAFETY: the program outlives the call, which copies it.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        };
        if result < 0 {
            return Err(io::Error::last_os_error()).context("install a filter on", "system calls");
        }
        Ok(result as i32)
    }
}

fn compile_abi(abi: Abi, rules: &[Rule<'_>], otherwise: Verdict) -> Vec<libc::sock_filter> {
    let mut program = vec![load(OFFSET_OF_NUMBER)];
    for (number, group) in conditional(abi, rules) {
        let body = group.into_iter().flat_map(compile_conditions).collect();
        append_guarded(&mut program, libc::BPF_JEQ, number, body);
    }
    let table = table(abi, rules);
    let mut segments = segments(&table, otherwise);
    if abi == Abi::X86_64 {
        segments.retain(|&(start, _)| start < X32_BIT);
        segments.push((X32_BIT, Verdict::Fail(libc::ENOSYS)));
    }
    append_search(&mut program, &segments);
    program
}

/// The rules with conditions, in their order, by the number that they are for: to tell each number once
/// is felt when the filter is installed, as the kernel tries every call (seccomp_cache_prepare).
fn conditional<'a, 'b>(abi: Abi, rules: &'a [Rule<'b>]) -> Vec<(u32, Vec<&'a Rule<'b>>)> {
    let mut groups: Vec<(u32, Vec<&Rule<'_>>)> = Vec::new();
    for rule in rules.iter().filter(|rule| !rule.when.is_empty()) {
        let Some(number) = abi.number(rule.call) else { continue };
        match groups.iter_mut().find(|(known, _)| *known == number) {
            Some((_, group)) => group.push(rule),
            None => groups.push((number, vec![rule])),
        }
    }
    groups
}

/// The numbers that rules without conditions name, sorted; of two rules for one call the first holds.
fn table(abi: Abi, rules: &[Rule<'_>]) -> Vec<(u32, Verdict)> {
    // A number and the position of its rule in one word sort several times faster than a pair.
    let mut order = Vec::with_capacity(rules.len());
    for (position, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.when.is_empty()) {
        order.extend(abi.number(rule.call).map(|number| u64::from(number) << 32 | position as u64));
    }
    order.sort_unstable();
    order.dedup_by_key(|word| *word >> 32);
    order.into_iter().map(|word| ((word >> 32) as u32, rules[word as u32 as usize].verdict)).collect()
}

/// Tests each condition; where one does not hold, the number is loaded again and the search goes
/// on behind this piece.
fn compile_conditions(rule: &Rule<'_>) -> Vec<libc::sock_filter> {
    let tests: Vec<Vec<libc::sock_filter>> = rule.when.iter().map(load_condition).collect();
    let length: usize = tests.iter().map(|test| test.len() + 1).sum();
    let mut body = Vec::with_capacity(length + 2);
    for (test, condition) in tests.into_iter().zip(rule.when) {
        body.extend(test);
        // Past the rest of the tests and the answer.
        let to_reload = length - (body.len() + 1) + 1;
        body.push(jump(libc::BPF_JEQ, condition.value, 0, to_reload as u8));
    }
    body.push(answer(rule.verdict));
    body.push(load(OFFSET_OF_NUMBER));
    body
}

fn load_condition(condition: &Condition) -> Vec<libc::sock_filter> {
    let mut program = vec![load(offset_of_argument(condition.argument))];
    if condition.mask != u32::MAX {
        program.push(instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, condition.mask, 0, 0));
    }
    program
}

/// Turns a sorted table into the starts of runs that have one verdict.
fn segments(table: &[(u32, Verdict)], otherwise: Verdict) -> Vec<(u32, Verdict)> {
    let mut found: Vec<(u32, Verdict)> = vec![(0, otherwise)];
    let mut add = |start: u32, verdict: Verdict| {
        if found.last().is_some_and(|&(last, _)| last == start) {
            found.pop();
        }
        if found.last().is_none_or(|&(_, last)| last != verdict) {
            found.push((start, verdict));
        }
    };
    for &(number, verdict) in table {
        add(number, verdict);
        add(number + 1, otherwise);
    }
    found
}

/// Appends a binary search over segments, each of which answers.
fn append_search(program: &mut Vec<libc::sock_filter>, segments: &[(u32, Verdict)]) {
    if let [(_, verdict)] = segments {
        program.push(answer(*verdict));
        return;
    }
    let (lower, upper) = segments.split_at(segments.len() / 2);
    let start = program.len();
    append_search(program, lower);
    guard_from(program, start, upper[0].0);
    append_search(program, upper);
}

/// Appends `body`, run only where the accumulator compares as said.
fn append_guarded(program: &mut Vec<libc::sock_filter>, test: u32, value: u32, body: Vec<libc::sock_filter>) {
    // A conditional jump reaches 255 instructions, an unconditional one any distance.
    if let Ok(length) = u8::try_from(body.len()) {
        program.push(jump(test, value, 0, length));
    } else {
        program.push(jump(test, value, 1, 0));
        program.push(instruction(libc::BPF_JMP | libc::BPF_JA, body.len() as u32, 0, 0));
    }
    program.extend(body);
}

/// Lets the instructions from `start` on run only where the accumulator is below `bound`. Jumps
/// are relative, so that those among them stay right.
fn guard_from(program: &mut Vec<libc::sock_filter>, start: usize, bound: u32) {
    let length = program.len() - start;
    if let Ok(distance) = u8::try_from(length) {
        program.insert(start, jump(libc::BPF_JGE, bound, distance, 0));
    } else {
        program.insert(start, instruction(libc::BPF_JMP | libc::BPF_JA, length as u32, 0, 0));
        program.insert(start, jump(libc::BPF_JGE, bound, 0, 1));
    }
}

/// `nr` is the first field of `struct seccomp_data`.
const OFFSET_OF_NUMBER: u32 = 0;

fn offset_of_arch() -> u32 {
    std::mem::offset_of!(libc::seccomp_data, arch) as u32
}

/// The low half of a 64-bit argument.
fn offset_of_argument(position: u8) -> u32 {
    let low_half = if cfg!(target_endian = "little") { 0 } else { 4 };
    std::mem::offset_of!(libc::seccomp_data, args) as u32 + u32::from(position) * 8 + low_half
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn jump(test: u32, value: u32, if_true: u8, if_false: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | test | libc::BPF_K, value, if_true, if_false)
}

fn answer(verdict: Verdict) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, verdict.bits(), 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

/// Answers the calls that a filter hands up (seccomp_unotify(2)). It hangs up when no process
/// with the filter is left.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Notification {
    id: u64,
    /// The thread that calls.
    pub caller: Pid,
    /// The number of the call in `abi`.
    pub number: u32,
    /// Its interface; `None` for one that a filter of ours never hands up.
    pub abi: Option<Abi>,
    /// Its arguments.
    pub arguments: [u64; 6],
}

impl Listener {
    /// Wraps a descriptor that came from the process with the filter.
    pub fn from_fd(fd: OwnedFd) -> Listener {
        Listener { fd }
    }

    /// Whether no process with the filter is left.
    pub fn has_hung_up(&self) -> bool {
        events_now(&self.fd, PollFlags::empty()).contains(PollFlags::HUP)
    }

    /// Whether a call waits for an answer.
    pub fn has_call(&self) -> bool {
        events_now(&self.fd, PollFlags::IN).contains(PollFlags::IN)
    }

    /// Waits until it has hung up or, where asked for, until a call waits; no longer than the time that is given.
    pub fn wait(&self, for_calls: bool, at_most: Option<Duration>) -> Result<(), IoError> {
        let flags = if for_calls { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [PollFd::new(&self.fd, flags)];
        let at_most = at_most.and_then(|time| Timespec::try_from(time).ok());
        match poll(&mut fds, at_most.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("wait for", "the system call filter"),
        }
    }

    /// Takes the next waiting call; `None` where the caller has gone meanwhile.
    pub fn receive(&self) -> Result<Option<Notification>, IoError> {
        // SAFETY: all zeroes is a valid value, and what the kernel asks to be passed.
        let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the structure is the one that this request fills.
        let result =
            unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut raw) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINTR) => Ok(None),
                _ => Err(error).context("read from", "the system call filter"),
            };
        }
        let Some(caller) = Pid::from_raw(raw.pid as i32) else {
            // The caller lives in a PID namespace that we cannot see into.
            self.answer_raw(raw.id, -libc::EPERM, 0)?;
            return Ok(None);
        };
        let abi = Abi::LOCAL.iter().copied().find(|abi| abi.audit_value() == raw.data.arch);
        Ok(Some(Notification {
            id: raw.id,
            caller,
            number: raw.data.nr as u32,
            abi,
            arguments: raw.data.args,
        }))
    }

    /// Whether the caller still waits, so that what was read about it belongs to it.
    pub fn still_waits(&self, notification: &Notification) -> bool {
        // SAFETY: the request reads one u64.
        let result = unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const notification.id)
        };
        result == 0
    }

    /// Lets the call be carried out, or makes it fail.
    pub fn answer(&self, notification: &Notification, verdict: Verdict) -> Result<(), IoError> {
        match verdict {
            Verdict::Fail(errno) => self.answer_raw(notification.id, -errno, 0),
            Verdict::Allow | Verdict::Ask => {
                self.answer_raw(notification.id, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32)
            }
        }
    }

    fn answer_raw(&self, id: u64, error: i32, flags: u32) -> Result<(), IoError> {
        let response = libc::seccomp_notif_resp { id, val: 0, error, flags };
        // SAFETY: the structure is the one that this request reads.
        let result =
            unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) };
        match io::Error::last_os_error() {
            _ if result == 0 => Ok(()),
            // The caller was killed while it waited.
            error if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            error => Err(error).context("answer", "the system call filter"),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter the way the kernel does, for the few instructions that we emit.
    fn run(filter: &Filter, abi: Abi, number: u32, arguments: [u32; 3]) -> u32 {
        let mut accumulator = 0;
        let mut at = 0;
        loop {
            let step = filter.program[at];
            at += 1;
            let code = u32::from(step.code);
            match code & 0x07 {
                libc::BPF_LD => {
                    accumulator = match step.k {
                        OFFSET_OF_NUMBER => number,
                        offset if offset == offset_of_arch() => abi.audit_value(),
                        offset => {
                            arguments
                                [(0..3).position(|n| offset_of_argument(n) == offset).expect("an argument")]
                        }
                    };
                }
                libc::BPF_ALU => accumulator &= step.k,
                libc::BPF_RET => return step.k,
                _ => {
                    let taken = match code & 0xf0 {
                        libc::BPF_JA => {
                            at += step.k as usize;
                            continue;
                        }
                        libc::BPF_JEQ => accumulator == step.k,
                        libc::BPF_JGE => accumulator >= step.k,
                        other => panic!("unexpected jump {other:#x}"),
                    };
                    at += usize::from(if taken { step.jt } else { step.jf });
                }
            }
        }
    }

    #[test]
    fn every_number_gets_the_verdict_of_its_rule() {
        let rules = [
            Rule { call: "kill", when: &[Condition::is(1, 0)], verdict: Verdict::Allow },
            Rule { call: "kill", when: &[], verdict: Verdict::Ask },
            Rule { call: "sethostname", when: &[], verdict: Verdict::Fail(libc::EPERM) },
            Rule { call: "no_such_call", when: &[], verdict: Verdict::Fail(libc::EPERM) },
        ];
        let filter = Filter::compile(&rules, Verdict::Allow);
        for &abi in Abi::LOCAL {
            for number in 0..600 {
                let expected = if Some(number) == abi.number("kill") {
                    Verdict::Ask
                } else if Some(number) == abi.number("sethostname") {
                    Verdict::Fail(libc::EPERM)
                } else {
                    Verdict::Allow
                };
                assert_eq!(run(&filter, abi, number, [1, 9, 0]), expected.bits(), "{abi:?} {number}");
            }
            let kill = abi.number("kill").expect("every interface has kill");
            assert_eq!(run(&filter, abi, kill, [1, 0, 0]), Verdict::Allow.bits());
        }
    }

    #[test]
    fn an_allow_list_denies_the_rest_and_foreign_interfaces() {
        let names = ["read", "write", "openat", "close", "exit_group"];
        let rules: Vec<Rule<'_>> =
            names.iter().map(|call| Rule { call, when: &[], verdict: Verdict::Allow }).collect();
        let filter = Filter::compile(&rules, Verdict::Fail(libc::EPERM));
        for &abi in Abi::LOCAL {
            for number in 0..600 {
                let listed = names.iter().any(|name| abi.number(name) == Some(number));
                let expected = if listed { Verdict::Allow } else { Verdict::Fail(libc::EPERM) };
                assert_eq!(run(&filter, abi, number, [0; 3]), expected.bits(), "{abi:?} {number}");
            }
        }
        let foreign = if Abi::LOCAL.contains(&Abi::X86) { Abi::Arm } else { Abi::X86 };
        assert_eq!(run(&filter, foreign, 0, [0; 3]), Verdict::Fail(libc::ENOSYS).bits());
    }

    #[test]
    fn of_two_rules_for_one_call_the_first_holds() {
        let rule = |verdict| Rule { call: "sethostname", when: &[], verdict };
        let rules = [rule(Verdict::Ask), rule(Verdict::Allow)];
        let filter = Filter::compile(&rules, Verdict::Fail(libc::EPERM));
        let number = Abi::LOCAL[0].number("sethostname").expect("every interface has it");
        assert_eq!(run(&filter, Abi::LOCAL[0], number, [0; 3]), Verdict::Ask.bits());
    }

    #[test]
    fn pieces_longer_than_a_conditional_jump_reaches_are_passed_over() {
        // Every other number: as many segments as a table can give.
        let table: Vec<(u32, Verdict)> = (1..600).step_by(2).map(|number| (number, Verdict::Allow)).collect();
        let mut program = vec![load(OFFSET_OF_NUMBER)];
        append_search(&mut program, &segments(&table, Verdict::Ask));
        assert!(program.len() > 1000, "{} instructions have no long jump", program.len());
        let filter = Filter { program };
        for number in 0..600 {
            let expected = if number % 2 == 1 { Verdict::Allow } else { Verdict::Ask };
            assert_eq!(run(&filter, Abi::LOCAL[0], number, [0; 3]), expected.bits(), "{number}");
        }
    }

    #[test]
    fn arm_has_calls_outside_its_table() {
        assert_eq!(Abi::Arm.number("set_tls"), Some(0x000f_0005));
        assert_eq!(Abi::Aarch64.number("set_tls"), None);
    }

    #[test]
    fn conditions_look_at_the_bits_that_count() {
        let when = [Condition::bits(1, 0b1100, 0b0100), Condition::is(0, 7)];
        let rules = [Rule { call: "mount", when: &when, verdict: Verdict::Fail(libc::EPERM) }];
        let filter = Filter::compile(&rules, Verdict::Allow);
        for &abi in Abi::LOCAL {
            let mount = abi.number("mount").expect("every interface has mount");
            for flags in 0..16 {
                for first in [7, 8] {
                    let refused = flags & 0b1100 == 0b0100 && first == 7;
                    let expected = if refused { Verdict::Fail(libc::EPERM) } else { Verdict::Allow };
                    assert_eq!(
                        run(&filter, abi, mount, [first, flags, 0]),
                        expected.bits(),
                        "{first} {flags:#b}"
                    );
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn x32_is_closed() {
        let filter = Filter::compile(&[], Verdict::Allow);
        assert_eq!(run(&filter, Abi::X86_64, X32_BIT | 0x3e, [0; 3]), Verdict::Fail(libc::ENOSYS).bits());
    }
}
