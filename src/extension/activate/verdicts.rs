//! Verdicts that are kept, `STATE/images/verdicts.json`: nothing is judged again where neither the base nor an image nor the set
//! of them is another one, and where all of the base that was looked at is still what it was. What cannot be read is judged again.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::others::Stranger;
use super::record::{Active, Stamp};
use super::witness::Seen;
use super::{Error, Images};
use crate::extension::matching::HostFacts;
use crate::host::Host;
use crate::image::ddi::Trusted;
use crate::package::digest::Algorithm;
use crate::sys::{Root, replace_file};

const FILE: &str = "verdicts.json";
const LARGEST: u64 = 16 << 20;
/// Verdicts on so many sets are kept: snapshots with sets of their own are booted by turns.
const MOST: usize = 16;

/// So many images are remembered before it is looked which of them are there.
const MOST_SOUND: usize = 64;

/// Why images do not fit, by their paths.
pub(super) type Unfit = BTreeMap<PathBuf, String>;

/// What is known from before.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Verdicts {
    /// What the host trusts: whether signed images are sound depends on that.
    trusted: String,
    /// Images that were read to their end.
    sound: BTreeMap<PathBuf, Stamp>,
    /// What was judged, the last one first.
    known: Vec<Judged>,
    #[serde(skip)]
    is_changed: bool,
}

/// One verdict.
#[derive(Debug, Serialize, Deserialize)]
struct Judged {
    /// A digest of all that matters and has a name: [`Verdicts::key`].
    key: String,
    /// What does not fit.
    unfit: Unfit,
    /// What of the base it depends on.
    seen: Seen,
}

impl Verdicts {
    /// Those of a folder, as far as they hold where other certificates are trusted than before.
    pub(super) fn read(images: &Images, host: &Root) -> Result<Verdicts, Error> {
        let text = images.dir.read(FILE, LARGEST).ok();
        let mut verdicts: Verdicts =
            text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let certificates = Trusted::read(host)?.certificates;
        let trusted: Vec<String> = certificates.iter().map(|one| one.fingerprint().to_string()).collect();
        let trusted = trusted.join(" ");
        if verdicts.trusted != trusted {
            verdicts = Verdicts { trusted, ..Verdicts::default() };
        }
        Ok(verdicts)
    }

    /// Keeps what is new. Where it cannot be kept, it is judged again the next time.
    pub(super) fn write(&mut self, images: &Images) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        if self.sound.len() > MOST_SOUND {
            self.sound.retain(|path, _| path.exists());
        }
        let text = serde_json::to_vec_pretty(self).expect("it has only strings and numbers");
        let _ = replace_file(&images.dir, FILE, &text);
    }

    pub(super) fn is_sound(&self, path: &Path, stamp: &Stamp) -> bool {
        self.sound.get(path) == Some(stamp)
    }

    pub(super) fn note_sound(&mut self, path: &Path, stamp: Stamp) {
        self.sound.insert(path.to_owned(), stamp);
        self.is_changed = true;
    }

    /// What was found of the same images beside the same others on the same base, if that has all that was looked at.
    pub(super) fn unfit(&self, key: &str, base: &Root) -> Option<Unfit> {
        let known = self.known.iter().find(|known| known.key == key)?;
        known.seen.holds(base).then(|| known.unfit.clone())
    }

    /// Keeps a verdict, in place of an older one on the same; none where nobody could tell how long it holds.
    pub(super) fn note_unfit(&mut self, key: String, unfit: &Unfit, seen: Option<Seen>) {
        self.known.retain(|known| known.key != key);
        if let Some(seen) = seen {
            self.known.insert(0, Judged { key, unfit: unfit.clone(), seen });
        }
        self.known.truncate(MOST);
        self.is_changed = true;
    }

    /// A digest of all that a verdict depends on.
    pub(super) fn key(host: &Host, facts: &HostFacts, found: &[&Active], others: &[&Stranger]) -> String {
        let mut text =
            serde_json::to_string(&(env!("CARGO_PKG_VERSION"), host.base(), found)).unwrap_or_default();
        text.push_str(&format!("{:?} {} {}", facts.release, facts.architecture, facts.systemd));
        for stranger in others {
            let place = host.root.join(&stranger.path);
            let stamp = std::fs::metadata(&place).ok().map(|found| (Stamp::of(&found), found.ctime_nsec()));
            text.push_str(&format!("{stranger:?} {stamp:?}"));
        }
        Algorithm::Sha256.digest(text.as_bytes()).expect("memory can be read").to_string()
    }
}
