//! `onlay rebase`.

use std::process::ExitCode;

use clap::Args;

use super::arguments::Place;
use super::messages::Messages;
use super::output;
use super::report::Error;
use crate::overlay::{Mode, OverlayName, When, Wishes};
use crate::pkgdb::merge::Side;
use crate::shell::{self, Followed, Request};

/// Let an overlay follow a base that has changed
///
/// 'onlay shell' does this by itself. Files that the overlay had only copied are the
/// base's again, files that both changed are told. It is done wholly or not at all.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The overlay [default: default]
    name: Option<OverlayName>,
    /// Where both changed a package, have the overlay's: of all, or of these (--ours=gdb,strace)
    #[arg(long, value_name = "PACKAGE", num_args = 0.., require_equals = true, value_delimiter = ',')]
    ours: Option<Vec<String>>,
    /// Where both changed a package, have the base's: of all, or of these (--theirs=gdb,strace)
    #[arg(long, value_name = "PACKAGE", num_args = 0.., require_equals = true, value_delimiter = ',')]
    theirs: Option<Vec<String>>,
    /// Say what would be changed, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let name = arguments.name.clone().unwrap_or_else(|| "default".parse().expect("a good name"));
    let request = Request {
        name: Some(name.clone()),
        temporary: false,
        size: None,
        private_home: false,
        mode: Mode::Host,
        private_network: false,
        no_rebase: false,
        unguarded: false,
        command: Vec::new(),
        state: place.state.clone(),
        root: place.root.clone(),
    };
    let mut messages = Messages { quiet: false };
    match shell::rebase(request, &wishes(arguments)?, arguments.dry_run, &mut messages)? {
        Followed::Unchanged => {
            output::say(&format!("onlay: the base is the one that '{name}' knows; nothing to do"));
        }
        Followed::Rebased(rebase) => {
            let when = if arguments.dry_run { When::Planned } else { When::Done };
            let lines = rebase.lines(when).into_iter().map(|line| output::visible(&line) + "\n");
            output::print(&lines.collect::<String>())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Both options may be given: for all packages at most one, for each single one the other.
fn wishes(arguments: &Arguments) -> Result<Wishes, Error> {
    let mut wishes = Wishes::default();
    for (asked, side) in [(&arguments.ours, Side::Ours), (&arguments.theirs, Side::Theirs)] {
        let Some(names) = asked else { continue };
        let chosen = |name: &String| wishes.packages.iter().any(|(known, _)| known == name);
        if let Some(name) = names.iter().find(|name| name.is_empty() || chosen(name)) {
            let (one, other) = if name.is_empty() {
                ("--ours and --theirs", "take names of packages, or nothing: --ours=NAME")
            } else {
                ("--ours", "names a package that --theirs names, too")
            };
            return Err(shell::Error::Conflict { one, other }.into());
        }
        if !names.is_empty() {
            wishes.packages.extend(names.iter().map(|name| (name.clone(), side)));
        } else if wishes.all.replace(side).is_some() {
            let (one, other) = ("--ours", "does not go with --theirs, unless one of them names packages");
            return Err(shell::Error::Conflict { one, other }.into());
        }
    }
    Ok(wishes)
}
