//! `onlay hooks run`: what hooks call. Each package manager is answered as it understands.

use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::cli::output;
use crate::hooks::{Frame, STOP, Situation, is_for_this_root, read_frame};
use crate::sys::{Pid, Pidfd};

/// Say what an installation comes to (for hooks)
#[derive(Debug, Args)]
pub(super) struct Arguments {
    caller: Caller,
}

/// Who calls, and at which moment.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Caller {
    Apt,
    /// Before dnf knows what there is to do.
    DnfEarly,
    DnfBefore,
    DnfAfter,
    Dnf5Before,
    /// A libdnf5 whose hooks cannot stop anything.
    Dnf5BeforeOld,
    Dnf5After,
    Zypper,
}

/// What is to be said before an installation.
enum Before {
    /// Nothing.
    Nothing,
    /// Something worth to know.
    Tell(String),
    /// Why it cannot be.
    Stop(String),
}

/// Exits with [`STOP`] only where apt is to stop: whatever else goes wrong is no reason to keep a package manager from
/// its work, and no news for whoever uses it.
pub(super) fn run(state: &Path, arguments: &Arguments) -> ExitCode {
    match arguments.caller {
        Caller::Apt => apt(state),
        Caller::DnfEarly => early_dnf(state),
        Caller::DnfBefore => before_dnf(state, ""),
        Caller::Dnf5Before => before_dnf(state, "error="),
        Caller::Dnf5BeforeOld => before_old_dnf(state),
        Caller::DnfAfter | Caller::Dnf5After => {
            say(after(state));
            ExitCode::SUCCESS
        }
        Caller::Zypper => {
            // libzypp has gone: nobody is there to be told.
            let _ = zypper(state);
            ExitCode::SUCCESS
        }
    }
}

fn before(state: &Path) -> Before {
    match Situation::of_this_process(state) {
        Ok(Situation::Inside(name)) => {
            Before::Tell(format!("onlay: this goes into overlay '{name}' alone; the host stays as it is"))
        }
        Ok(Situation::Locked) => Before::Stop(locked(WAYS)),
        Ok(Situation::HeldBack) => Before::Stop(locked(WAYS_WHERE_HELD_BACK)),
        Ok(Situation::UnlockedForOthers) => Before::Stop(
            "onlay: the host is unlocked, but /usr is read-only for this process: 'onlay run' runs it where it can \
             be written, 'onlay shell --live' opens a shell there"
                .to_owned(),
        ),
        Ok(Situation::Kept | Situation::Temporary) | Err(_) => Before::Nothing,
    }
}

fn after(state: &Path) -> Option<String> {
    let is_temporary = matches!(Situation::of_this_process(state), Ok(Situation::Temporary));
    is_temporary.then(|| {
        "onlay: this is temporary, until the host is locked or rebooted; 'onlay lock --save NAME' keeps it as an overlay"
            .to_owned()
    })
}

/// The ways to install something on a host that is read-only: a command, and what it does. Those that this program has are named.
const WAYS: &[(&str, &str)] = &[
    ("shell", "opens a view of it that can be written, for you alone"),
    ("unlock", "makes it writable for all until it is locked or rebooted"),
    ("ext", "adds an extension to it"),
    ("layer", "puts packages into what it boots next"),
];

/// The same where what was unlocked persistently is held back: it has the place of another unlock.
const WAYS_WHERE_HELD_BACK: &[(&str, &str)] = &[
    WAYS[0],
    ("unlock --resume", "unlocks it again with what is held back ('onlay status' says why)"),
    WAYS[2],
    WAYS[3],
];

fn locked(ways: &[(&str, &str)]) -> String {
    let definition = crate::cli::definition();
    let has = |way: &str| {
        let command = way.split(' ').next().unwrap_or_default();
        definition.find_subcommand(command).is_some()
    };
    let ways = ways.iter().filter(|(command, _)| has(command));
    let ways: Vec<String> = ways.map(|(command, what)| format!("'onlay {command}' {what}")).collect();
    format!("onlay: /usr of this host is read-only, so nothing was installed: {}", ways.join("; "))
}

fn say(words: Option<String>) {
    if let Some(words) = words {
        output::say(&words);
    }
}

/// More than apt's settings and the names of all packages of a distribution.
const LARGEST: u64 = 64 << 20;

/// apt has one hook, before: all is said there.
fn apt(state: &Path) -> ExitCode {
    let mut told = Vec::new();
    // Without them, it is about this root.
    let _ = std::io::stdin().take(LARGEST).read_to_end(&mut told);
    if !is_for_this_root(&String::from_utf8_lossy(&told)) {
        return ExitCode::SUCCESS;
    }
    match before(state) {
        Before::Stop(words) => {
            output::say(&words);
            return ExitCode::from(STOP);
        }
        Before::Tell(words) => output::say(&words),
        Before::Nothing => say(after(state)),
    }
    ExitCode::SUCCESS
}

/// dnf takes what is on stdout for an error.
fn before_dnf(state: &Path, beginning: &str) -> ExitCode {
    match before(state) {
        Before::Stop(words) => {
            // Who does not read it, does not stop.
            let _ = output::print(&format!("{beginning}{words}\n"));
        }
        Before::Tell(words) => output::say(&words),
        Before::Nothing => {}
    }
    ExitCode::SUCCESS
}

/// What is no reason to stop is told when it is known that there is something to do.
fn early_dnf(state: &Path) -> ExitCode {
    if let Before::Stop(words) = before(state) {
        let _ = output::print(&format!("{words}\n"));
    }
    ExitCode::SUCCESS
}

fn before_old_dnf(state: &Path) -> ExitCode {
    match before(state) {
        Before::Stop(words) | Before::Tell(words) => output::say(&words),
        Before::Nothing => {}
    }
    ExitCode::SUCCESS
}

/// Answers libzypp until it is done. It takes what a plugin says for its log, so the person is told where zypper itself
/// writes.
fn zypper(state: &Path) -> std::io::Result<()> {
    let mut input = BufReader::new(std::io::stdin());
    while let Some(frame) = read_frame(&mut input)? {
        match frame {
            Frame::CommitBegin => match before(state) {
                Before::Stop(words) | Before::Tell(words) => say_for_parent(&words),
                Before::Nothing => {}
            },
            Frame::CommitEnd => {
                if let Some(words) = after(state) {
                    say_for_parent(&words);
                }
            }
            Frame::Disconnect | Frame::Other => {}
        }
        std::io::stdout().write_all(Frame::ACKNOWLEDGED)?;
        std::io::stdout().flush()?;
        if frame == Frame::Disconnect {
            break;
        }
    }
    Ok(())
}

/// Writes a line to the stderr of the process that started this one. Where that cannot be had, nobody is told.
fn say_for_parent(words: &str) {
    let parent = rustix::process::getppid().and_then(|parent| Pid::from_raw(parent.as_raw_nonzero().get()));
    let stderr = parent.and_then(|parent| Pidfd::open(parent).ok()?.copy_of(2).ok());
    if let Some(stderr) = stderr {
        let _ = writeln!(std::fs::File::from(stderr), "{}", output::visible(words));
    }
}
