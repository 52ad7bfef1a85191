//! `onlay shell`.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::arguments::Place;
use super::messages::Messages;
use super::output;
use super::report::Error;
use crate::overlay::{self, Mode, OverlayName, Part, Standing, measure};
use crate::shell::{self, Entrance, Outcome, Plan, Remains, Request, Size};
use crate::sys::{Ended, raise_as_self, with_causes};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The overlay to enter; it is made when missing [default: default]
    name: Option<OverlayName>,
    /// Instead of an overlay, enter the live host where it is unlocked: what is unlocked can be written here, also where it
    /// is read-only for all others
    #[arg(long, conflicts_with_all = ["name", "temp", "size", "no_home", "isolate", "boot", "no_net", "no_rebase", "unguarded"])]
    live: bool,
    /// Keep it in RAM, and nothing of it afterwards
    #[arg(long)]
    temp: bool,
    /// With --temp: how much RAM it may take, such as 512m or 20%
    #[arg(long, value_name = "SIZE")]
    size: Option<Size>,
    /// Make /root and /home private, too
    #[arg(long)]
    no_home: bool,
    /// Hide the host's processes, IPC and devices, and take privileges away
    #[arg(long, conflicts_with = "boot")]
    isolate: bool,
    /// Boot it as a container with its own systemd (by systemd-nspawn)
    #[arg(long)]
    boot: bool,
    /// With --isolate or --boot: no network of the host
    #[arg(long)]
    no_net: bool,
    /// Where the base has changed, do not let the overlay follow it
    #[arg(long)]
    no_rebase: bool,
    /// Let commands inside change the host: signal its processes, reach its
    /// services, write its disks and kernel settings
    #[arg(long)]
    unguarded: bool,
    /// Say what would be mounted, and how it would follow the base, or with --live what could be written, and stop
    #[arg(long)]
    dry_run: bool,
    /// What to run inside [default: your shell]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn run(place: &Place, arguments: Arguments) -> Result<ExitCode, Error> {
    let dry_run = arguments.dry_run;
    if arguments.live {
        return super::run::on_live_host(place, "shell --live", arguments.command, dry_run, place.quiet);
    }
    let plan = shell::plan(request(place, arguments))?;
    if plan.without_extensions {
        output::say(
            "onlay: extensions are merged over an overlay, and the kernel lays no third one on two: they are not shown inside",
        );
    }
    if dry_run {
        return output::print(&describe(&plan, &mut Messages)?).map(|()| ExitCode::SUCCESS);
    }
    let mut messages = Messages;
    let outcome = shell::enter(plan, &mut messages)?;
    if !place.quiet {
        // It costs a look at all that the overlay holds.
        output::say(&format!("onlay: {}", farewell(&outcome)));
    }
    Ok(as_own_end(outcome.ended))
}

/// Ends as the command did: with its exit code, or by the signal that ended it.
pub(super) fn as_own_end(ended: Ended) -> ExitCode {
    if let Ended::Killed(signal) = ended {
        raise_as_self(signal);
    }
    ExitCode::from(ended.shell_code())
}

fn request(place: &Place, arguments: Arguments) -> Request {
    let mode = match (arguments.isolate, arguments.boot) {
        (_, true) => Mode::Booted,
        (true, false) => Mode::Isolated,
        (false, false) => Mode::Host,
    };
    Request {
        name: arguments.name,
        temporary: arguments.temp,
        size: arguments.size,
        private_home: arguments.no_home,
        mode,
        private_network: arguments.no_net,
        no_rebase: arguments.no_rebase,
        unguarded: arguments.unguarded,
        shared: None,
        command: arguments.command,
        state: place.state.clone(),
        root: place.root.clone(),
    }
}

fn farewell(outcome: &Outcome) -> String {
    let name = &outcome.name;
    let onlay = output::program();
    let again =
        if name.as_str() == "default" { format!("{onlay} shell") } else { format!("{onlay} shell {name}") };
    match &outcome.remains {
        Remains::Nothing => format!("left '{name}'; it was in RAM and is gone"),
        Remains::InUse => format!("left '{name}', which is still in use; back: {again}"),
        Remains::Kept(dir) => {
            let holds = match measure(dir) {
                Ok(measure) if measure.entries == 0 => "holds nothing yet".to_owned(),
                Ok(measure) => format!("holds {} on disk", output::size(measure.bytes)),
                Err(error) => format!("cannot be measured: {}", with_causes(&error)),
            };
            format!("left '{name}', which {holds}; back: {again}; remove: {onlay} rm {name}")
        }
    }
}

fn describe(plan: &Plan, messages: &mut Messages) -> Result<String, Error> {
    let name = &plan.name;
    let mut lines = Vec::new();
    let first = match plan.entrance()? {
        Entrance::Join(running) => {
            let user = output::visible(&running.user().to_string());
            return Ok(format!("would join '{name}' through process {user}\n"));
        }
        Entrance::Reenter(overlay) if !plan.keeps_base() => {
            let state = match overlay::standing(&overlay, &plan.host, plan.base())? {
                Standing::Behind => ", which has changed",
                Standing::Edited(_) => ", which was edited",
                Standing::Level | Standing::Touched => "",
            };
            if !state.is_empty() {
                lines = shell::preview(plan, messages)?;
            }
            format!("would enter '{name}' over {}{state}\n", plan.base())
        }
        Entrance::Reenter(_) => format!("would enter '{name}' over {}\n", plan.base()),
        Entrance::Create => format!("would make '{name}' over {}\n", plan.base()),
        Entrance::Temporary => format!("would make '{name}' in RAM over {}\n", plan.base()),
    };
    let how = |part: &Part| match part {
        Part::Kept(_) if plan.is_temporary() => "writable, in RAM",
        Part::Kept(_) => "writable, kept with the overlay",
        Part::Ram(_) => "writable, in RAM",
        Part::Own { .. } => "the host's own",
        Part::ReadOnly { .. } => "the host's own, read-only",
    };
    let parts = plan.parts.iter().map(|part| (part.point(), how(part)));
    let mut rows: Vec<(&Path, &str)> = parts.chain([(Path::new("/tmp"), "empty, in RAM")]).collect();
    if plan.mode() != Mode::Host {
        rows.extend(["/dev", "/proc", "/run", "/sys"].map(|point| (Path::new(point), "its own")));
    }
    rows.sort_unstable();
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(point, how)| vec![format!("  {}", output::path(point)), how.to_owned()])
        .collect();
    let lines = lines.into_iter().map(|line| format!("  {}\n", output::visible(&line)));
    Ok(lines.fold(first, |all, line| all + &line) + &output::table(&rows))
}
