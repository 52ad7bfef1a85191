//! The words of the command line. Doc comments here are its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

use super::report::Error;
use super::{
    build, completion, db, diff, ext, hooks, inspect, layer, list, lock, rebase, rm, run, save, shell,
    status, store, unlock,
};
use crate::sys::Context;

/// Adds software to a host whose system is read-only: now, without a reboot.
#[derive(Debug, Parser)]
#[command(name = "onlay", version, about, max_term_width = 80)]
#[command(after_help = "Exit status: 0 done, 1 could not, 2 usage, 3 this host cannot do that. \
                        'onlay shell -- COMMAND' passes the command's own status on.")]
pub struct Cli {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where state is kept, unless said otherwise.
pub(super) const DEFAULT_STATE: &str = "/var/lib/onlay";

/// Where to work.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Keep state below DIR
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_STATE, env = "ONLAY_STATE")]
    #[arg(help_heading = "Where to work", display_order = 100, value_hint = ValueHint::DirPath)]
    pub(super) state: PathBuf,
    /// Work on the system below DIR instead of the running one
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    #[arg(help_heading = "Where to work", display_order = 101, value_hint = ValueHint::DirPath)]
    pub(super) root: PathBuf,
    /// Say nothing but errors, and what is asked for
    #[arg(long, short, global = true, display_order = 99)]
    pub(super) quiet: bool,
}

impl Place {
    /// With absolute paths: what is said of them holds in any directory.
    pub(super) fn resolved(&self) -> Result<Place, Error> {
        let absolute = |path: &PathBuf| std::path::absolute(path).context("find", path);
        Ok(Place { state: absolute(&self.state)?, root: absolute(&self.root)?, quiet: self.quiet })
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Shell(shell::Arguments),
    List(list::Arguments),
    Rm(rm::Arguments),
    Diff(diff::Arguments),
    Save(save::Arguments),
    Rebase(rebase::Arguments),
    #[command(visible_aliases = ["usr-overlay", "usroverlay"])]
    Unlock(unlock::Arguments),
    Run(run::Arguments),
    Lock(lock::Arguments),
    Hooks(hooks::Arguments),
    Status(status::Arguments),
    Build(Box<build::Arguments>),
    Inspect(inspect::Arguments),
    Db(db::Arguments),
    Ext(ext::Arguments),
    Layer(layer::Arguments),
    Store(store::Arguments),
    Completion(completion::Arguments),
}
