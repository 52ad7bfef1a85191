//! Whether an image of a store is one, and what its store says of it; also one that is compressed as a whole.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::describe::{describe, lie};
use super::index::Entry;
use super::name::{ImageName, without_packing};
use super::unpack::{LARGEST, unpack};
use super::verify::Flaw;
use crate::extension::ImageFiles;
use crate::sys::{Context, IoError, Root, io_error, unnamed_file, with_causes};

/// Whether a file is an image by its name, compressed or not.
pub(super) fn is_any_image(file: &str) -> bool {
    without_packing(file).is_some()
}

/// What is wrong with an image that is the one that is listed.
pub(super) fn flaw_of(opened: &File, file: &str, path: &Path, entry: Option<&Entry>) -> Option<Flaw> {
    let file = file.to_owned();
    match look_into(opened, &file, path, entry) {
        Ok(None) => None,
        Ok(Some(what)) => Some(Flaw::Lie { file, what }),
        Err(problem) => Some(Flaw::Unfit { file, problem }),
    }
}

/// What of its entry is not so; or why no host would merge it, in words.
fn look_into(
    opened: &File,
    file: &str,
    path: &Path,
    entry: Option<&Entry>,
) -> Result<Option<&'static str>, String> {
    let last = file.rsplit('/').next().unwrap_or(file);
    let (image, packing) = without_packing(last).unwrap_or((last, ""));
    let form = || format!("its name is none of NAME_VERSION_ARCHITECTURE.raw{packing}");
    let name = ImageName::parse(image).ok_or_else(form)?;
    let unpacked = match packing {
        "" => None,
        _ => Some(unpacked(opened, packing).map_err(|why| format!("it cannot be unpacked: {why}"))?),
    };
    let opened = unpacked.as_ref().unwrap_or(opened);
    let contents = ImageFiles::of(opened, path).map_err(|error| with_causes(&error))?;
    let described = describe(&contents, &name, image, path).map_err(|error| with_causes(&error))?.entry;
    let size = opened.metadata().context("examine", path).map_err(|error| with_causes(&error))?.len();
    Ok(entry.and_then(|entry| lie(entry, &described, size)))
}

/// The image of a compressed one, in a file without a name, which is gone with its descriptor. It may be as large as one that a
/// client takes. Why it is not, in words: where there is no room for it, other images of the store are looked at all the same.
fn unpacked(packed: &File, packing: &str) -> Result<File, String> {
    let in_words = |error: IoError| with_causes(&error);
    let place = work();
    let mut image = Root::open(&place).and_then(|dir| unnamed_file(&dir)).map_err(in_words)?;
    let append = |bytes: &[u8]| {
        let written = image.write_all(bytes);
        written.map_err(|error| in_words(io_error("write a file in", &place, error)))
    };
    unpack(packed, packing, LARGEST, |problem| problem, append)?;
    Ok(image)
}

/// Where large files lie for a while: as `TMPDIR` says, else in /var/tmp, since /tmp may be in RAM (file-hierarchy(7)).
fn work() -> PathBuf {
    let said = std::env::var_os("TMPDIR").filter(|place| !place.is_empty());
    said.map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}
