//! Running a step in the overlay.

use std::ffi::OsString;
use std::time::{Duration, Instant, SystemTime};

use super::install::{self, FILES, Plan, Step, Steps};
use super::ram::NO_ROOM;
use super::workshop::OVERLAY;
use super::{Lower, Workshop, base};
use crate::layer::Error;
use crate::overlay::{Mode, remove_folder};
use crate::resolve::Manager;
use crate::shell;
use crate::sys::{
    Context, Ended, Forked, IoError, MountFlags, Pidfd, Root, attach, clone_tree, die_with_parent, exit_now,
    fork, replace_volatile, set_flags, with_causes,
};

/// What a step came to.
#[derive(Debug)]
pub(super) struct Ran {
    /// What was planned; the same in both steps.
    pub(super) plan: Plan,
    /// All that was said.
    pub(super) words: String,
    /// How long it ran itself, without what it takes to show it the base.
    pub(super) took: Duration,
}

/// The files in the cache in which a step leaves its words, its plan, and why it could not be run.
const WORDS: &str = "words";
const PLAN: &str = "plan";
const FAILURE: &str = "failure";

/// What of /var was there before packages came, each with a zero after it.
pub(super) const PRIMED: &str = "primed";

/// How much of a package manager's words is read, in bytes.
const LIMIT: u64 = 64 << 20;

/// What is left of a disk that is full, at most, in bytes.
const LITTLE: u64 = 64 << 10;

/// A file there that it writes as the first thing.
pub(super) const BEGUN: &str = "begun";

/// Runs a step over a base, for so long at most.
pub(super) fn run(
    workshop: &Workshop,
    lower: &Lower,
    manager: Manager,
    steps: &Steps,
    step: Step,
    patience: Duration,
) -> Result<Ran, Error> {
    let script = ["/bin/sh", "-c", &steps.script(manager, step), "sh"].map(OsString::from);
    let command = script.into_iter().chain(steps.words(manager).into_iter().map(OsString::from)).collect();
    let cache = workshop.cache()?;
    for name in [WORDS, FAILURE, BEGUN] {
        replace_volatile(&cache, name, b"")?;
    }
    let ended = in_child(workshop, lower, command, (step, steps.offline), patience);
    // Each step is alone in the overlay, and the next one is told anew.
    remove_folder(&workshop.state())?;
    let ended = ended?;
    let took = since_begun(&cache)?;
    let text = |name: &str| match cache.read(name, LIMIT) {
        Err(error) if error.is_not_found() => Ok(String::new()),
        bytes => bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    let failure = text(FAILURE)?;
    if !failure.is_empty() {
        return Err(Error::NotEntered { words: failure });
    }
    let (words, plan_text) = (text(WORDS)?, text(PLAN)?);
    let failed = if step == Step::Install { install::failed_script(manager, &words) } else { None };
    let is_done = ended.shell_code() == 0 && failed.is_none();
    // Package managers and shells do not all look whether what they say could be written; half a plan is another plan.
    let is_lost = has_no_room(&cache)?;
    if is_done && !is_lost {
        let satisfied = install::satisfied(manager, &text(install::SATISFIED)?);
        return Ok(Ran { plan: Plan { satisfied, ..install::plan(manager, &plan_text) }, words, took });
    }
    let said = if is_done { String::new() } else { install::reason(manager, step, &words, &plan_text) };
    let reason = match (said.trim().is_empty(), is_lost) {
        (false, _) => said,
        (true, true) => format!("{NO_ROOM}, nor is there any for its words in '{}'", cache.path().display()),
        (true, false) => format!("it ended with {}", ended.shell_code()),
    };
    Err(Error::Refused { manager, is_install: step != Step::Download, reason, words })
}

/// Whether a package manager's words may have been lost for want of room.
fn has_no_room(cache: &Root) -> Result<bool, IoError> {
    let stat = rustix::fs::fstatvfs(cache).context("examine the file system of", cache.path())?;
    Ok(stat.f_bfree.saturating_mul(stat.f_frsize) < LITTLE)
}

/// How long it is since a step has begun.
fn since_begun(cache: &Root) -> Result<Duration, Error> {
    let Some(stat) = cache.lstat_exact(BEGUN)? else { return Ok(Duration::ZERO) };
    let since_epoch = Duration::new(stat.st_mtime as u64, stat.st_mtime_nsec as u32);
    // Somebody may have set the clock meanwhile.
    Ok((SystemTime::UNIX_EPOCH + since_epoch).elapsed().unwrap_or_default())
}

/// In a process of its own, which has the base in a mount namespace of its own, and with which all ends.
fn in_child(
    workshop: &Workshop,
    lower: &Lower,
    command: Vec<OsString>,
    (step, is_offline): (Step, bool),
    patience: Duration,
) -> Result<Ended, Error> {
    match fork()? {
        Forked::Child => {
            let code = match enter(workshop, lower, command, step, is_offline) {
                Ok(code) => code,
                Err(error) => {
                    let words = with_causes(&error);
                    // Told by what it was to find there.
                    let _ = workshop.cache().map(|cache| replace_volatile(&cache, FAILURE, words.as_bytes()));
                    1
                }
            };
            exit_now(code)
        }
        Forked::Parent(child) => Ok(wait_for(&Pidfd::of_child(child)?, patience)?),
    }
}

fn wait_for(child: &Pidfd, patience: Duration) -> Result<Ended, Error> {
    let end = Instant::now() + patience;
    while !child.has_ended_within(end.saturating_duration_since(Instant::now())) {
        if Instant::now() >= end {
            child.signal(libc::SIGKILL)?;
            child.wait()?;
            return Err(Error::TooSlow { seconds: patience.as_secs() });
        }
    }
    Ok(child.wait()?)
}

/// Package files that were given are kept here alone, and no script is to change them or take them away.
fn keep_given(workshop: &Workshop) -> Result<(), Error> {
    let place = workshop.cache()?.join(FILES);
    let files = match Root::open(&place) {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    let tree = clone_tree(&files, &place, false)?;
    set_flags(&tree, MountFlags::READ_ONLY, MountFlags::default(), false, &place)?;
    Ok(attach(&tree, &files, &place)?)
}

fn enter(
    workshop: &Workshop,
    lower: &Lower,
    command: Vec<OsString>,
    step: Step,
    is_offline: bool,
) -> Result<u8, Error> {
    die_with_parent(libc::SIGKILL)?;
    base::show(workshop, lower)?;
    keep_given(workshop)?;
    let is_kept = step != Step::Download;
    let request = shell::Request {
        name: if is_kept { Some(OVERLAY.parse().expect("a good name")) } else { None },
        temporary: !is_kept,
        size: None,
        private_home: true,
        mode: Mode::Isolated,
        private_network: is_kept || is_offline,
        no_rebase: true,
        unguarded: false,
        shared: Some(workshop.cache()?.path().to_owned()),
        command,
        state: workshop.state(),
        root: workshop.base(),
    };
    let outcome = shell::enter(shell::plan(request)?, &mut ())?;
    Ok(outcome.ended.shell_code())
}
