//! `onlay inspect`.

mod disk;
mod listing;

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, ValueHint};
use serde::Serialize;

use super::arguments::Place;
use super::output;
use super::report::{Error, FAILED};
use crate::event::counted;
use crate::image::Format;
use crate::image::squashfs::{InodeKind, Part, Reader, Verified};
use crate::sys::{Context, Root};
use disk::Disk;

/// More than any extension-release has.
const LARGEST_RELEASE: u64 = 64 << 10;

/// The directories in which an image says what it extends: systemd-sysext's and systemd-confext's.
const RELEASES: [&str; 2] = ["usr/lib/extension-release.d", "etc/extension-release.d"];

/// Show what an image is and holds, and whether all of it can be read
///
/// Every name, inode, attribute and block is read. Images are squashfs, of Onlay or of
/// others, also in a disk image (DDI): its hash tree is checked then, and its signature
/// against the certificates in verity.d. No privilege is needed but to read the file.
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
    format: &'static str,
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
    let size = file.metadata().context("examine", path)?.len();
    let mut part = Part { file: file.try_clone().context("open", path)?, offset: 0, length: size };
    let mut disk = None;
    if Format::of(&part).context("read", path)? == Some(Format::Gpt) {
        let found = Disk::read(&file, path, &Root::open(&place.root)?)?;
        (part.offset, part.length) = (found.offset, found.length);
        disk = Some(found);
    }
    let is_sound = disk.as_ref().is_none_or(Disk::is_sound);
    if let Some(disk) = disk.as_ref().filter(|_| !is_sound && !arguments.json) {
        // What is in it may not even be readable.
        disk.rows().iter().for_each(|(name, words)| output::complain(&format!("onlay: {name}: {words}")));
    }
    let reader = Reader::new(Box::new(part), path)?;
    let verified = reader.verify()?;
    let superblock = reader.superblock();
    let inspected = Inspected {
        format: "squashfs",
        disk,
        compression: superblock.algorithm.to_string(),
        level: reader.level(),
        block_size: superblock.block_size,
        size,
        time: time(superblock.time),
        verified,
        extension_releases: releases(&reader)?,
        files: if arguments.files { Some(listing::rows(&reader)?) } else { None },
    };
    if arguments.json {
        output::print_json(&inspected)?;
    } else if let Some(rows) = &inspected.files {
        output::print(&listing::text(rows))?;
    } else {
        output::print(&inspected.text())?;
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

impl Inspected {
    fn text(&self) -> String {
        let level = self.level.map(|level| format!(", level {level}")).unwrap_or_default();
        let Verified { names, files, bytes } = self.verified;
        let format = if self.disk.is_some() { "disk image with squashfs" } else { self.format };
        let mut rows = vec![("format", format.to_owned())];
        rows.extend(self.disk.iter().flat_map(Disk::rows));
        rows.extend([
            ("compression", format!("{}{level}, blocks of {} KiB", self.compression, self.block_size >> 10)),
            ("size", output::size(self.size)),
            ("made", self.time.clone()),
            ("holds", counted(names, "entry")),
            ("readable", format!("{}, {}", counted(files, "file"), output::size(bytes))),
        ]);
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
fn releases(reader: &Reader) -> Result<Vec<Release>, Error> {
    let mut found = Vec::new();
    for directory in RELEASES {
        let Some(inode) = reader.find(directory.as_bytes())? else { continue };
        for entry in reader.entries(&inode)? {
            let entry = entry?;
            let inode = reader.inode(entry.inode)?;
            let (InodeKind::File(file), true) = (&inode.kind, entry.name.starts_with(b"extension-release."))
            else {
                continue;
            };
            if let Some(text) = reader.read_file(file, LARGEST_RELEASE)? {
                let path = format!("{directory}/{}", String::from_utf8_lossy(&entry.name));
                found.push(Release { path, text: String::from_utf8_lossy(&text).into_owned() });
            }
        }
    }
    Ok(found)
}

/// A time of the image in words.
fn time(seconds: u32) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(u64::from(seconds))).to_string()
}
