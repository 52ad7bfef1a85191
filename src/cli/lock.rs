//! `onlay lock`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Args;

use super::arguments::Place;
use super::output;
use super::report::Error;
use super::unlock::{refuse_other_root, words};
use crate::live::{self, Holder, Live, Record};
use crate::overlay::Packages;

/// Take off what 'onlay unlock' laid over the host, also while processes use it
///
/// All that was changed is discarded. Processes that use files of it keep them until
/// they end or are restarted, and are listed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Discard what was changed without being asked
    #[arg(long)]
    discard: bool,
    /// Restart the services whose processes use files of it; not the message bus, users' managers and the service that
    /// this runs in
    #[arg(long)]
    restart: bool,
    /// Say what would be done, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    refuse_other_root(place, "lock")?;
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let Some(record) = Record::read()? else { return Err(live::Error::NotUnlocked.into()) };
    let is_changed = live::measure(&record).is_ok_and(|measured| measured.entries > 0);
    if arguments.dry_run {
        return dry_run(&record, is_changed);
    }
    if is_changed && !arguments.discard && !is_agreed(&record)? {
        return Err(Error::NotAgreed);
    }
    let live = Live::open()?;
    let Some(record) = live.record()? else { return Err(live::Error::NotUnlocked.into()) };
    let locked = live::lock(&live, record, arguments.restart)?;
    let what = if is_changed { "; what was changed is gone" } else { "; nothing was changed" };
    output::say(&format!("onlay: locked {}{what}", words(&locked.record.places)));
    tell_holders(&locked.holders);
    Ok(ExitCode::SUCCESS)
}

fn dry_run(record: &Record, is_changed: bool) -> Result<ExitCode, Error> {
    let mut text = format!("would lock {}\n", words(&record.places));
    if is_changed {
        text.push_str(&format!("would discard {}\n", summary(record)?));
    }
    output::print(&(text + &table(&live::holders(record)?))).map(|()| ExitCode::SUCCESS)
}

/// Asks, with what would be lost; nobody can be asked without a terminal.
fn is_agreed(record: &Record) -> Result<bool, Error> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    output::say(&format!("onlay: changed since {}: {}", record.since, summary(record)?));
    output::ask("Discard that? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Error::Output)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn summary(record: &Record) -> Result<String, Error> {
    let changes = live::changes(record)?;
    let packages = changes.packages.as_ref().map(Packages::changes).unwrap_or_default();
    let names: Vec<&str> = packages.iter().map(|compared| &*compared.package().name).collect();
    let packages = match names.len() {
        0 => String::new(),
        count => format!(", {count} packages ({})", output::visible(&names.join(", "))),
    };
    Ok(format!("{} files and directories{packages}", changes.files.len()))
}

fn tell_holders(holders: &[Holder]) {
    if holders.is_empty() {
        return;
    }
    output::say("onlay: these still use files of it, until they end or are restarted:");
    output::say_lines(&table(holders));
}

pub(super) fn table(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let head = ["PID", "UNIT", "USES", "COMMAND"].map(str::to_owned).to_vec();
    let row = |holder: &Holder| {
        vec![
            holder.pid.to_string(),
            holder.unit.as_deref().map_or("-".to_owned(), output::visible),
            holder.uses.join(","),
            output::visible(&holder.command),
        ]
    };
    output::table(&std::iter::once(head).chain(holders.iter().map(row)).collect::<Vec<_>>())
}
