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

// What a command takes is defined once it is asked for: for all of them, that is a tenth of what opening a shell takes.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Open a shell in which everything looks like the host and can be written
    ///
    /// What is changed inside is kept in the overlay NAME and seen by nobody else; the
    /// host stays as it is. Leave and come back: it is as you left it, but /tmp and /run,
    /// which are in RAM. A second 'onlay shell NAME' joins the first.
    Shell(shell::Arguments),
    /// List overlays
    List(list::Arguments),
    /// Remove overlays and all that was changed in them
    Rm(rm::Arguments),
    /// List what an overlay changes: packages, and files
    ///
    /// Packages come first; files that no package has are marked so. Files that were only
    /// opened or copied up unchanged do not count. Paths are printed with control
    /// characters, backslashes and other than UTF-8 bytes escaped.
    Diff(diff::Arguments),
    /// Keep what an overlay changes, or what was changed on the unlocked host, as an extension, or its packages as layers
    ///
    /// What is below /usr and /opt goes into an image for systemd-sysext as it is. New
    /// settings and data go to /etc and /var where nothing is there yet (tmpfiles.d), new
    /// users of the system are made (sysusers.d), and what enables units is put where
    /// systemd reads it below /usr. What an extension cannot have is listed: removed files,
    /// changed settings, keys and passwords. With --layer, the packages are put into the
    /// host's next boot instead, anew, as 'onlay layer add' does. The overlay stays as it is.
    Save(save::Arguments),
    /// Let an overlay follow a base that has changed
    ///
    /// 'onlay shell' does this by itself. Files that the overlay had only copied are the
    /// base's again, files that both changed are told. It is done wholly or not at all.
    Rebase(rebase::Arguments),
    /// Make /usr of the running host writable, for all its processes, until it is locked or rebooted
    ///
    /// Changes go to a layer that 'onlay lock' takes off again. What belongs together is
    /// unlocked together, so that the package database stays true: /usr, /etc, /opt, the
    /// database, and what package managers know. Services that systemd keeps from
    /// writing there (ProtectSystem=, ReadOnlyPaths=) are still kept from it.
    #[command(visible_aliases = ["usr-overlay", "usroverlay"])]
    Unlock(unlock::Arguments),
    /// Run a command on the live host that can write what is unlocked
    ///
    /// The same as 'onlay shell --live -q -- COMMAND': also where 'onlay unlock --read-only'
    /// keeps all others from writing.
    Run(run::Arguments),
    /// Take off what 'onlay unlock' laid over the host, also while processes use it
    ///
    /// What was changed is discarded, or made an overlay. Processes that use files of it
    /// keep them until they end or are restarted, and are listed.
    Lock(lock::Arguments),
    /// Have apt, dnf and zypper say what an installation on this host comes to
    ///
    /// A hook says, as packages are installed: on an unlocked host, that this is
    /// temporary, and how it is kept; on a locked one, that nothing can be installed and
    /// what can be done instead, and stops it where the package manager lets it.
    Hooks(hooks::Arguments),
    /// Show what this host is, what can be written, and the extensions and overlays
    /// over it
    Status(status::Arguments),
    /// Build an extension: packages as an image for systemd-sysext
    ///
    /// The base's own package manager says which packages are missing on the base, and
    /// downloads them; their files go straight into NAME_VERSION_ARCHITECTURE.raw, and
    /// what it holds, needs and was built for into a manifest beside it. No script of a
    /// package runs, and neither the host nor its package database changes. What the
    /// extension's programs need is looked for on the base: an image that does not fit is
    /// not made.
    Build(Box<build::Arguments>),
    /// Show what an image is and holds, and whether all of it can be read
    ///
    /// Every name, inode, attribute and block is read. Images are squashfs or erofs, of
    /// Onlay or of others, also in a disk image (DDI): its hash tree is checked then, and its
    /// signature against the certificates in verity.d. What Onlay built is
    /// compared with its manifest, in the image and beside it. No privilege is needed but to
    /// read the file.
    Inspect(inspect::Arguments),
    /// Look into databases of installed packages, compare and copy them
    ///
    /// A DB is the root directory of a system, or a database itself: rpm's by its
    /// directory or file, dpkg's by its directory var/lib/dpkg in a root. They are read
    /// without rpm or dpkg, and nothing is written beside them.
    Db(db::Arguments),
    /// Add extensions to the host, enable, list and remove them, and look whether
    /// they fit
    ///
    /// An extension is what systemd-sysext merges over /usr and /opt, and
    /// systemd-confext over /etc: programs that a host has without being changed.
    Ext(ext::Arguments),
    /// Bake packages into the host's next boot, and take them out again
    ///
    /// For hosts that boot deployments of OSTree's, and for those whose root is a snapshot of
    /// snapper's that cannot be written to. What is asked for is remembered in each
    /// deployment or snapshot, and stays there over 'onlay layer upgrade'.
    Layer(layer::Arguments),
    /// Make and keep a store of extensions, a directory for a web server
    ///
    /// A store has images as NAME_VERSION_ARCHITECTURE.raw, their digests in
    /// SHA256SUMS, and an index by which a client chooses. systemd-sysupdate and
    /// importctl read it, too. Both lists are signed (OpenPGP), if the store has a
    /// key. No root is needed.
    Store(store::Arguments),
    /// Print a shell's completion script
    ///
    /// For bash, for example: onlay completion bash > /etc/bash_completion.d/onlay
    Completion(completion::Arguments),
}
