//! `onlay store export`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueHint};

use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::store::export::{self, Foreign, Pages, Site};
use crate::store::read;
use crate::sys::{Context, Root};

/// Make something of a store for others: settings, or pages
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Sysupdate(SysupdateArguments),
    Html(HtmlArguments),
}

/// Settings by which systemd-sysupdate keeps extensions up to date
///
/// For each extension, DIR/sysupdate.NAME.d is made, to be put into /etc or
/// /usr/lib: a component of its own, since systemd-sysupdate gives all that is
/// in one directory one version. Then 'systemd-sysupdate --component=NAME update'
/// gets the newest version into /var/lib/extensions.d/NAME, where systemd-sysext
/// does not see it, and links it as /var/lib/extensions/NAME.raw, where it does
/// (CurrentSymlink=; the directory has to be there): of several files there, it
/// would merge all. The two newest
/// versions stay (InstancesMax=2); to go back, link the older one. Nothing is
/// protected (ProtectVersion=), since no version is that of the booted system,
/// and nothing is too old (MinVersion=): a drop-in may say otherwise. Signatures
/// are demanded (Verify=yes) of a store that is signed. A feature of the
/// extension's name, which is enabled, lets a drop-in switch it off (systemd 257).
#[derive(Debug, Args)]
struct SysupdateArguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// Where to make the directories; it is made where it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: PathBuf,
    /// Where clients find the store
    #[arg(long, value_name = "URL", value_parser = url)]
    url: String,
}

/// Pages that show a store to people, and a feed
///
/// index.html, feed.atom and a page for each extension in extensions/, without
/// scripts, and with nothing from elsewhere. The directory may be the store:
/// then each change of the store makes them anew, and 'store publish' sends
/// them, too. Elsewhere, links lead to the store where it lies from there, or to
/// its --url. Files that this program did not make are not written over.
#[derive(Debug, Args)]
struct HtmlArguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// Where to make the pages; it is made where it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: PathBuf,
    /// Where the store is found [default: as the pages there have it]
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Option<String>,
    /// What the store is called [default: as the pages there have it, or System
    /// extensions]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Write also over files that this program did not make
    #[arg(long)]
    force: bool,
}

/// What a store is called that nobody named.
const TITLE: &str = "System extensions";

fn url(word: &str) -> Result<String, String> {
    let is_url =
        ["http://", "https://"].iter().any(|scheme| word.len() > scheme.len() && word.starts_with(scheme));
    let is_plain = word.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte));
    if is_url && is_plain { Ok(word.to_owned()) } else { Err("it is no address of http or https".to_owned()) }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.verb {
        Verb::Sysupdate(arguments) => sysupdate(arguments)?,
        Verb::Html(arguments) => html(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn sysupdate(arguments: &SysupdateArguments) -> Result<(), Error> {
    let index = read(&arguments.store)?.index;
    make(&arguments.directory)?;
    let names = export::sysupdate(&index, &arguments.directory, &arguments.url)?;
    output::say(&format!(
        "onlay: made {} in {}",
        counted(names.len(), "component"),
        output::path(&arguments.directory)
    ));
    if index.keys.is_empty() {
        output::say("onlay: the store is not signed, so systemd is told not to verify it (Verify=no)");
    }
    Ok(())
}

fn html(arguments: &HtmlArguments) -> Result<(), Error> {
    let index = read(&arguments.store)?.index;
    make(&arguments.directory)?;
    let dir = Root::open(&arguments.directory)?;
    // Who makes them again need not say again what they were made with.
    let before = Pages::read(&dir).unwrap_or_default();
    let title = arguments.title.clone().unwrap_or(before.title);
    let site = Site {
        title: if title.is_empty() { TITLE } else { &title },
        url: arguments.url.as_deref().or(before.url.as_deref()),
        way: export::way(&arguments.directory, &arguments.store)?,
        times: export::times(&Root::open(&arguments.store)?, &index),
    };
    let foreign = if arguments.force { Foreign::Replace } else { Foreign::Refuse };
    let pages = export::html(&index, &site, &dir, foreign)?;
    output::say(&format!("onlay: made {} in {}", counted(pages, "page"), output::path(&arguments.directory)));
    Ok(())
}

fn make(directory: &Path) -> Result<(), Error> {
    Ok(std::fs::create_dir_all(directory).context("create", directory)?)
}
