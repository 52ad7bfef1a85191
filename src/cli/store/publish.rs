//! `onlay store publish`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use serde::Serialize;

use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::fetch::{Header, Options};
use crate::store::publish::{Changes, How, Item, Settings, open, publish};

/// Publish a store where others fetch it
///
/// Sends what is not there yet: images first, then the lists that name them, and
/// removes last what the lists have no more; so nobody is shown a list of files
/// that are missing. What was interrupted is taken up again.
///
/// TARGET is a directory; http:// or https://, a web server that takes files
/// (WebDAV); s3://BUCKET/PREFIX, an object store, whose place and keys are read
/// from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
/// and which takes files of up to 5 GiB;
/// or oci://REGISTRY/REPOSITORY, a registry of container images, with what
/// podman-login(1) or docker-login(1) have noted.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// Where to
    #[arg(value_name = "TARGET")]
    target: String,
    /// Say what would be sent and removed, and stop
    #[arg(long)]
    dry_run: bool,
    /// Publish also where something newer or another store is
    #[arg(long)]
    force: bool,
    /// Look for each file there, also for those that the lists there have
    #[arg(long)]
    recheck: bool,
    /// A file with one line 'NAME: VALUE' that goes with each request to the
    /// server, such as 'Authorization: Bearer …'
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    header_file: Option<PathBuf>,
    /// The URL of the object store, where it is not Amazon's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The object store's region [default: AWS_REGION, or us-east-1]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Reach the registry without TLS
    #[arg(long)]
    plain_http: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let options = Options { header: header(arguments)?, ..Options::default() };
    let settings = Settings {
        options,
        endpoint: arguments.endpoint.clone(),
        region: arguments.region.clone(),
        plain_http: arguments.plain_http,
    };
    let mut target = open(&arguments.target, &settings)?;
    let how = How { dry_run: arguments.dry_run, force: arguments.force, recheck: arguments.recheck };
    let told = &mut |item: &Item| {
        if !arguments.json {
            output::say(&format!(
                "onlay: sending {} ({})",
                output::visible(&item.file),
                output::size(item.size)
            ));
        }
    };
    let changes = publish(&arguments.store, &mut *target, how, told)?;
    if arguments.json {
        output::print_json(&Told::of(&changes))?;
    } else if arguments.dry_run {
        would(&changes)?;
    } else {
        output::say(&format!("onlay: {}", sum(&changes, &arguments.target)));
    }
    Ok(ExitCode::SUCCESS)
}

fn header(arguments: &Arguments) -> Result<Option<Header>, Error> {
    let Some(path) = &arguments.header_file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| crate::sys::io_error("read", path, error))?;
    let header = Header::parse(&text);
    let bad =
        || Error::Words(format!("'{}' is no header: it has one line, 'NAME: VALUE'", output::path(path)));
    header.ok_or_else(bad).map(Some)
}

fn would(changes: &Changes) -> Result<(), Error> {
    let sent = changes.sent.iter().map(|(file, _)| format!("would send {}\n", output::visible(file)));
    let removed = changes.removed.iter().map(|file| format!("would remove {}\n", output::visible(file)));
    output::print(&sent.chain(removed).collect::<String>())
}

fn sum(changes: &Changes, target: &str) -> String {
    if *changes == Changes::default() {
        return format!("{} has all of it", output::visible(target));
    }
    let bytes = changes.sent.iter().map(|(_, size)| size).sum();
    let removed = match changes.removed.len() {
        0 => String::new(),
        count => format!(", removed {count} there"),
    };
    format!("published {} ({}){removed}", counted(changes.sent.len(), "file"), output::size(bytes))
}

#[derive(Serialize)]
struct Told<'a> {
    sent: Vec<Sent<'a>>,
    removed: &'a [String],
}

#[derive(Serialize)]
struct Sent<'a> {
    file: &'a str,
    size: u64,
}

impl<'a> Told<'a> {
    fn of(changes: &'a Changes) -> Told<'a> {
        let sent = changes.sent.iter().map(|(file, size)| Sent { file, size: *size });
        Told { sent: sent.collect(), removed: &changes.removed }
    }
}
