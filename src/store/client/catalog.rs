//! What a store has, as it is believed: asked for once, checked, and kept for the next time.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::record::{Kept, Record};
use super::{Config, Configured, Error, Signature, StoreError, keys, untold};
use crate::fetch::{Small, Source, Validator};
use crate::store::index::{Entry, INDEX, Signed};
use crate::store::name::ImageName;
use crate::store::openpgp::{Certificates, Refusal};
use crate::store::sums::SUMS;
use crate::sys::Root;

/// The index of a hundred thousand images is smaller.
const LARGEST: u64 = 128 << 20;

/// What a store has.
#[derive(Debug)]
pub struct Catalog<'a> {
    /// The store.
    pub store: &'a Configured,
    /// Where its files are had from.
    pub source: Source,
    /// Its images.
    pub entries: Vec<Entry>,
    /// Whether it tells what they need and are for; else that is known once one has come.
    pub is_told: bool,
    /// Whether that is what it has now.
    pub freshness: Freshness,
    /// Who signed it: a fingerprint.
    pub signer: Option<String>,
    /// The last day on which it is believed.
    pub best_before: Option<String>,
}

/// How new a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// It has changed since the last time.
    New,
    /// It has not.
    Unchanged,
    /// The store could not be asked: it is what it had the last time.
    Kept {
        /// Why, in words; nothing where it was not to be asked.
        why: Option<String>,
    },
}

/// What stores have, those that count first; and which of them cannot be used.
pub fn catalogs<'a>(
    config: &'a Config,
    root: &Root,
    state: &Path,
    is_offline: bool,
) -> Result<(Vec<Catalog<'a>>, Vec<Error>), Error> {
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for store in &config.stores {
        match Asking::of(store, root, state).and_then(|asking| asking.catalog(is_offline)) {
            Ok(catalog) => found.push(catalog),
            Err(problem) => match problem.of(&store.name) {
                error @ Error::Store { .. } => failed.push(error),
                error => return Err(error),
            },
        }
    }
    Ok((found, failed))
}

/// A list that was checked.
pub(super) struct Checked {
    pub(super) entries: Vec<Entry>,
    pub(super) signer: Option<String>,
    pub(super) best_before: Option<String>,
    pub(super) serial: u64,
    /// When it was signed, in seconds since 1970, where that tells an older one from a newer one.
    pub(super) signed: Option<u64>,
}

/// One store that is asked.
pub(super) struct Asking<'a> {
    pub(super) store: &'a Configured,
    pub(super) source: Source,
    pub(super) kept: Kept,
    /// Whose signature is needed; nobody's where none is.
    certificates: Option<Certificates>,
    pub(super) now: SystemTime,
}

impl<'a> Asking<'a> {
    fn of(store: &'a Configured, root: &Root, state: &Path) -> Result<Asking<'a>, StoreError> {
        let certificates = match store.signature {
            Signature::Required => Some(keys::certificates(root, store)?),
            Signature::None => None,
        };
        let source = Source::new(store.addresses.clone(), store.options.clone());
        let kept = Kept::open(state, &store.name)?;
        Ok(Asking { store, source, kept, certificates, now: SystemTime::now() })
    }

    fn catalog(self, is_offline: bool) -> Result<Catalog<'a>, StoreError> {
        let address = self.source.addresses()[0].to_string();
        let record = self.kept.record(&address);
        // What was kept is checked again: keys may be other ones today, and the day is.
        let known = self.check_kept(&record);
        if is_offline {
            if record.list.is_empty() {
                return Err(StoreError::Unseen);
            }
            return known.map(|checked| self.made_of(&record.list, checked, Freshness::Kept { why: None }));
        }
        match self.ask(&record, known.is_ok()) {
            Ok(Some((list, checked))) => Ok(self.made_of(&list, checked, Freshness::New)),
            Ok(None) => known.map(|checked| self.made_of(&record.list, checked, Freshness::Unchanged)),
            // Where it is not there for a while, as where the network is away, what was seen is believed as long as it is good.
            Err(error) if (error.may_pass() || error.is_not_there()) && !record.list.is_empty() => {
                let why = Some(error.to_string());
                known.map(|checked| self.made_of(&record.list, checked, Freshness::Kept { why }))
            }
            Err(error) => Err(error),
        }
    }

    fn check_kept(&self, record: &Record) -> Result<Checked, StoreError> {
        let nothing = || StoreError::None(record.address.clone());
        let bytes =
            self.kept.read(&record.list, LARGEST).filter(|_| !record.list.is_empty()).ok_or_else(nothing)?;
        if record.list == SUMS {
            let signature = self.kept.read(untold::KEPT_SIGNATURE, untold::LARGEST_SIGNATURE);
            return untold::check(self, &bytes, signature.as_deref());
        }
        self.check_index(&bytes, record.serial)
    }

    /// Asks for what it has; nothing where that is what was kept, which is only asked for anew where it is not `is_good`.
    fn ask(&self, record: &Record, is_good: bool) -> Result<Option<(String, Checked)>, StoreError> {
        let validator = record.validator.as_ref().filter(|_| is_good);
        if record.list == SUMS
            && let Small::Unchanged = self.source.read(SUMS, LARGEST, validator)?
        {
            return Ok(None);
        }
        let of_index = validator.filter(|_| record.list == INDEX);
        match self.source.read(INDEX, LARGEST, of_index) {
            Ok(Small::Unchanged) => Ok(None),
            Ok(Small::Read(bytes, validator)) => {
                let checked = self.check_index(&bytes, record.serial)?;
                self.keep(INDEX, &bytes, validator, checked.serial, record)?;
                Ok(Some((INDEX.to_owned(), checked)))
            }
            Err(error) if error.is_not_there() && record.serial == 0 => {
                untold::ask(self, record).map(|checked| Some((SUMS.to_owned(), checked)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps what was checked.
    pub(super) fn keep(
        &self,
        list: &str,
        bytes: &[u8],
        validator: Validator,
        serial: u64,
        record: &Record,
    ) -> Result<(), StoreError> {
        self.kept.put(list, bytes)?;
        let serial = serial.max(record.serial);
        let record = Record { list: list.to_owned(), validator: Some(validator), serial, ..record.clone() };
        Ok(self.kept.write(&record)?)
    }

    fn check_index(&self, bytes: &[u8], seen: u64) -> Result<Checked, StoreError> {
        let signed = Signed::parse(bytes).map_err(StoreError::Index)?;
        let signatures = signed.signatures.iter().map(String::as_bytes);
        let signer = self.check_signatures(INDEX, &signed.bytes, signatures)?;
        let index = signed.index;
        if index.serial < seen {
            return Err(StoreError::Older { serial: index.serial, seen });
        }
        if let Some(day) = &index.best_before {
            self.check_day(day)?;
        }
        let is_named = |entry: &Entry| {
            ImageName::parse(&entry.file)
                .is_some_and(|name| name.name.as_str() == entry.name && name.version == entry.version)
        };
        let entries = index.images.into_iter().filter(is_named).collect();
        Ok(Checked { entries, signer, best_before: index.best_before, serial: index.serial, signed: None })
    }

    /// Whether one of some signatures is good; by whose key. Nobody's where none is needed.
    pub(super) fn check_signatures<'b>(
        &self,
        file: &str,
        data: &[u8],
        signatures: impl Iterator<Item = &'b [u8]>,
    ) -> Result<Option<String>, StoreError> {
        let Some(certificates) = &self.certificates else { return Ok(None) };
        let mut refused: Option<Refusal> = None;
        for signature in signatures {
            match certificates.verify(signature, data, self.now) {
                Ok(fingerprint) => return Ok(Some(fingerprint.to_string())),
                Err(refusal) => drop(refused.get_or_insert(refusal)),
            }
        }
        Err(match refused {
            None => StoreError::Unsigned(file.to_owned()),
            Some(refusal) => StoreError::Signature { file: file.to_owned(), refusal },
        })
    }

    /// When somebody who is believed has signed something, in seconds since 1970; nothing where nobody needs to.
    pub(super) fn signed_at(&self, data: &[u8], signature: &[u8]) -> Option<u64> {
        let at = self.certificates.as_ref()?.signed_at(signature, data, self.now)?;
        at.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs())
    }

    /// Whether today is no later than a day.
    pub(super) fn check_day(&self, day: &str) -> Result<(), StoreError> {
        if !is_day(day) {
            return Err(StoreError::NoDay(day.chars().take(20).collect()));
        }
        if today(self.now).as_str() > day { Err(StoreError::Expired(day.to_owned())) } else { Ok(()) }
    }

    fn made_of(self, list: &str, checked: Checked, freshness: Freshness) -> Catalog<'a> {
        let Checked { entries, signer, best_before, .. } = checked;
        Catalog {
            store: self.store,
            source: self.source,
            entries,
            is_told: list == INDEX,
            freshness,
            signer,
            best_before,
        }
    }
}

/// The day in UTC, `YYYY-MM-DD`.
fn today(now: SystemTime) -> String {
    // The crate knows no days before 1970, and none after 9999.
    let now = now.clamp(UNIX_EPOCH, UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799));
    humantime::format_rfc3339_seconds(now).to_string()[..10].to_owned()
}

fn is_day(text: &str) -> bool {
    humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).is_ok() && text.len() == 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_days() {
        for (text, is) in
            [("2026-11-28", true), ("2026-13-01", false), ("2026-1-1", false), ("soon", false), ("", false)]
        {
            assert_eq!(is_day(text), is, "{text}");
        }
        assert_eq!(today(UNIX_EPOCH), "1970-01-01");
    }
}
