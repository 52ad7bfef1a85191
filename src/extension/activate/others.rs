//! Extensions that others have put where systemd looks: what is merged beside ours, and what keeps systemd from merging any.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Error;
use super::{images::open_to_read, sound};
use crate::extension::matching::{HostFacts, judge};
use crate::extension::places::{Candidate, Form, candidates};
use crate::extension::{Class, Contents, Directory, ImageFiles, Release};
use crate::host::Host;
use crate::image::{FileSource, Format, Source as _};
use crate::sys::{Context, Root, with_causes};

/// An extension of somebody else's that systemd merges, as far as can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// The name by which it is merged.
    pub name: String,
    /// The name of its release file; where that cannot be told, its own name.
    pub extension: String,
    /// Where it is, below the root.
    pub path: PathBuf,
    /// Whether it was looked into; else systemd may merge it by a longer name, or not at all.
    pub is_certain: bool,
}

/// An extension of somebody else's that keeps systemd from merging any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its name.
    pub name: String,
    /// Where it is, below the root.
    pub path: PathBuf,
    /// Why, in words.
    pub why: String,
    /// Whether it can be masked: what is in /etc/extensions comes before all masks.
    pub can_be_masked: bool,
}

impl Stranger {
    /// One of which nothing is known but its name.
    fn unknown(candidate: &Candidate) -> Stranger {
        let (name, path) = (candidate.name.clone(), candidate.path.clone());
        Stranger { extension: cut(&name), name, path, is_certain: false }
    }
}

/// What is there of others.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// What is merged, with its files where they can be looked into.
    pub(super) strangers: Vec<(Stranger, Option<Box<dyn Contents>>)>,
    pub(super) troubles: Vec<Trouble>,
}

/// What of others a host has. `is_ours` says of which entries below the root we know.
pub(super) fn others(
    host: &Host,
    facts: &HostFacts,
    is_ours: &dyn Fn(&Path) -> bool,
) -> Result<Others, Error> {
    let mut found = Others::default();
    for candidate in candidates(&host.root, Class::Sysext, facts.systemd)? {
        let counts = candidate.hidden_by.as_ref().is_none_or(|by| is_ours(by));
        let is_there = matches!(candidate.form, Form::Directory | Form::Image);
        if counts && is_there && !is_ours(&candidate.path) {
            let unknown = Stranger::unknown(&candidate);
            // What cannot be told here may be no trouble for systemd.
            if found.take(host, facts, candidate).is_err() {
                found.strangers.push((unknown, None));
            }
        }
    }
    Ok(found)
}

impl Others {
    fn take(&mut self, host: &Host, facts: &HostFacts, candidate: Candidate) -> Result<(), Error> {
        let unknown = Stranger::unknown(&candidate);
        let Candidate { name, path, form, .. } = candidate;
        let can_be_masked = path.starts_with("var") || path.starts_with("usr");
        let trouble = |why: String| Trouble { name: name.clone(), path: path.clone(), why, can_be_masked };
        let place = host.root.join(host.root.resolve(&path)?);
        let contents = match open(&place, form, &host.root)? {
            Opened::Contents(contents) => contents,
            Opened::Unread => {
                self.strangers.push((unknown, None));
                return Ok(());
            }
            Opened::Flawed(why) => {
                self.troubles.push(trouble(why));
                return Ok(());
            }
        };
        let release = Release::find(&*contents, Class::Sysext, &name, facts.systemd)?;
        let has_os_release = contents.look(Path::new("usr/lib/os-release"))?.is_some();
        let verdict = judge(facts, Class::Sysext, &release, has_os_release);
        if has_os_release {
            let why = verdict.err().map(|mismatch| mismatch.to_string()).unwrap_or_default();
            self.troubles.push(trouble(why));
        } else if let Release::Found { path: file, .. } = &release {
            if verdict.is_ok() {
                let file = file.file_name().unwrap_or_default().to_string_lossy();
                let extension = file.strip_prefix("extension-release.").unwrap_or(&name).to_owned();
                let stranger = Stranger { extension, is_certain: true, ..unknown };
                self.strangers.push((stranger, Some(contents)));
            }
        } else if form == Form::Image {
            // Of a directory, systemd passes that over.
            let why = verdict.err().map(|mismatch| mismatch.to_string()).unwrap_or_default();
            self.troubles.push(trouble(why));
        }
        Ok(())
    }
}

/// A name without a version.
fn cut(name: &str) -> String {
    name.split(['_', '+']).next().unwrap_or_default().to_owned()
}

enum Opened {
    Contents(Box<dyn Contents>),
    /// Of a kind that only systemd reads.
    Unread,
    /// It cannot be opened, and why.
    Flawed(String),
}

fn open(path: &Path, form: Form, host: &Root) -> Result<Opened, Error> {
    if form == Form::Directory {
        return Ok(Opened::Contents(Box::new(Directory::new(Root::open(path)?))));
    }
    let file = open_to_read(path)?;
    if !file.metadata().context("examine", path)?.is_file() {
        // A block device.
        return Ok(Opened::Unread);
    }
    match ImageFiles::of(&file, path) {
        Ok(contents) => match sound::protection_flaw(&file, path, host) {
            Some(why) => Ok(Opened::Flawed(why)),
            None => Ok(Opened::Contents(Box::new(contents))),
        },
        Err(_) if is_other_file_system(&file, path)? => Ok(Opened::Unread),
        Err(error) => Ok(Opened::Flawed(with_causes(&error))),
    }
}

/// Where file systems that systemd also takes have their magic numbers.
const OTHERS: [(u64, &[u8]); 3] = [(0x438, b"\x53\xef"), (0x1_0040, b"_BHRfS_M"), (0, b"XFSB")];

/// Whether an image is of a kind that is not read here.
fn is_other_file_system(file: &File, path: &Path) -> Result<bool, Error> {
    let source = FileSource::new(file, path)?;
    if Format::of(&source)?.is_some() {
        return Ok(false);
    }
    Ok(OTHERS.iter().any(|(offset, magic)| {
        let mut found = vec![0; magic.len()];
        source.read_at(*offset, &mut found).is_ok() && found == *magic
    }))
}
