//! `onlay inspect`.

mod disk;
mod listing;

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, ValueHint};
use serde::Serialize;

use super::arguments::Place;
use super::output;
use super::report::{Error, FAILED};
use crate::event::counted;
use crate::extension::AsBuilt;
use crate::image::file_system::{self, FileSystem, Summary, Verified};
use crate::image::tree::Kind;
use crate::image::{FileSource, Format, Source};
use crate::sys::{Context, Root};
use disk::Disk;

/// More than any extension-release has.
const LARGEST_RELEASE: usize = 64 << 10;
/// The end of the year 9999.
const LAST_TIME: i64 = 253_402_300_799;

/// The directories in which an image says what it extends: systemd-sysext's and systemd-confext's.
const RELEASES: [&str; 2] = ["usr/lib/extension-release.d", "etc/extension-release.d"];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    image: PathBuf,
    /// List its files, as `ls -l` does, with extended attributes
    #[arg(long)]
    files: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is said of an image, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Inspected {
    format: Format,
    /// Of a disk image.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
    compression: String,
    /// Where the image says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<u32>,
    block_size: u32,
    /// Bytes of the file.
    size: u64,
    /// When the image says it was made (RFC 3339).
    time: String,
    verified: Verified,
    /// What it was built as, where Onlay built it.
    #[serde(skip_serializing_if = "Option::is_none")]
    built: Option<AsBuilt>,
    extension_releases: Vec<Release>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<listing::Row>>,
}

/// A file that says what the image extends.
#[derive(Debug, Serialize)]
struct Release {
    path: String,
    text: String,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let path = &arguments.image;
    let file = File::open(path).context("open", path)?;
    let mut source = FileSource::new(&file, path)?;
    let size = source.size();
    let mut disk = None;
    if Format::of(&source)? == Some(Format::Gpt) {
        let found = Disk::read(&source, path, &Root::open(&place.root)?)?;
        source = source.part(found.offset, found.length);
        disk = Some(found);
    }
    let mut is_sound = disk.as_ref().is_none_or(Disk::is_sound);
    let rows = disk.as_ref().filter(|_| !is_sound && !arguments.json).map(Disk::rows).unwrap_or_default();
    let inspected = match read(source, &file, arguments, disk, size) {
        Ok(inspected) => inspected,
        Err(error) => {
            // Why what is in it cannot even be read.
            for (name, words) in rows {
                output::complain(&format!("onlay: {name}: {words}"));
            }
            return Err(error);
        }
    };
    is_sound &= inspected.built.as_ref().is_none_or(AsBuilt::is_sound);
    if arguments.json {
        output::print_json(&inspected)?;
    } else if let Some(rows) = &inspected.files {
        output::print(&listing::text(rows))?;
    } else {
        output::print(&inspected.text())?;
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Reads all of the file system image.
fn read(
    source: FileSource,
    file: &File,
    arguments: &Arguments,
    disk: Option<Disk>,
    size: u64,
) -> Result<Inspected, Error> {
    let path = &arguments.image;
    let image = file_system::open(Box::new(source), path)?;
    let verified = image.verify()?;
    let Summary { format, compression, level, block_size, time: made } = image.summary();
    Ok(Inspected {
        format,
        disk,
        compression,
        level,
        block_size,
        size,
        time: time(made),
        verified,
        built: AsBuilt::compare(&image, file, path)?,
        extension_releases: releases(&image)?,
        files: if arguments.files { Some(listing::rows(&*image, path)?) } else { None },
    })
}

impl Inspected {
    fn text(&self) -> String {
        let level = self.level.map(|level| format!(", level {level}")).unwrap_or_default();
        let Verified { names, files, bytes } = self.verified;
        let name = self.format.name();
        let format = if self.disk.is_some() { format!("disk image with {name}") } else { name.to_owned() };
        let mut rows = vec![("format", format)];
        rows.extend(self.disk.iter().flat_map(Disk::rows));
        rows.extend([
            ("compression", format!("{}{level}, blocks of {} KiB", self.compression, self.block_size >> 10)),
            ("size", output::size(self.size)),
            ("made", self.time.clone()),
            ("holds", counted(names, "entry")),
            ("readable", format!("{}, {}", counted(files, "file"), output::size(bytes))),
        ]);
        rows.extend(self.built.iter().flat_map(rows_of_built));
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        let mut text = output::table(&rows);
        for release in &self.extension_releases {
            text.push_str(&format!("\n{}:\n", output::visible(&release.path)));
            for line in release.text.lines() {
                text.push_str(&format!("    {}\n", output::visible(line)));
            }
        }
        text
    }
}

/// What the image says that it extends.
fn releases(image: &Arc<dyn FileSystem>) -> Result<Vec<Release>, Error> {
    let mut found = Vec::new();
    for directory in RELEASES {
        let Some(place) = file_system::find(&**image, directory.as_bytes())? else { continue };
        for (name, file) in image.list(&place)? {
            if !matches!(file.kind, Kind::File(_)) || !name.starts_with(b"extension-release.") {
                continue;
            }
            if let Some(text) = file_system::read_file(image, &file, LARGEST_RELEASE)? {
                let path = format!("{directory}/{}", String::from_utf8_lossy(&name));
                found.push(Release { path, text: String::from_utf8_lossy(&text).into_owned() });
            }
        }
    }
    Ok(found)
}

/// A time of the image in words.
fn time(seconds: i64) -> String {
    // What is before, or beyond all calendars, cannot be a time of a file that anybody made.
    let seconds = seconds.clamp(0, LAST_TIME);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds as u64)).to_string()
}

/// Rows for people on whether it is as it was built.
fn rows_of_built(built: &AsBuilt) -> Vec<(&'static str, String)> {
    let words = |is: bool| if is { "as" } else { "NOT as" };
    let mut rows = vec![
        ("built as", format!("{} {}", built.name, built.version)),
        ("files", format!("{} the manifest in the image says", words(built.files))),
    ];
    rows.extend(built.image.map(|is| ("image", format!("{} the manifest beside it says", words(is)))));
    rows
}
