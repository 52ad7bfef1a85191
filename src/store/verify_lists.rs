//! Whether the lists of a store are signed, by whom, and still to be believed.

use std::time::SystemTime;

use super::Error;
use super::best_before::{PREFIX, is_over};
use super::index::{INDEX, Signed};
use super::openpgp::{Certificates, Fingerprint, Refusal};
use super::signing::{KEYRING, KEYS, SIGNATURES};
use super::sums::{SUMS, Sums};
use super::verify::{Flaw, Report};
use crate::sys::Root;

/// No signature is larger.
const LARGEST: u64 = 1 << 20;

/// A signature, and what came of it.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The file that has it.
    pub file: String,
    /// Whose it is, or why it does not count.
    pub verdict: Result<Fingerprint, Refusal>,
}

/// Who is believed.
pub(super) struct Trust<'a> {
    pub(super) certificates: Certificates,
    /// Whether somebody named them; else they are what the store has itself, which says nothing of who it is.
    pub(super) is_given: bool,
    pub(super) dir: &'a Root,
    pub(super) now: SystemTime,
}

impl<'a> Trust<'a> {
    /// Those who are named, or else whom the store names itself.
    pub(super) fn of(dir: &'a Root, given: Option<&Certificates>, now: SystemTime) -> Trust<'a> {
        let own = || dir.read(KEYS, LARGEST).ok().and_then(|text| Certificates::parse(&text).ok());
        let certificates = given.cloned().or_else(own).unwrap_or_default();
        Trust { certificates, is_given: given.is_some(), dir, now }
    }

    /// Looks at the signatures in an index, and at its day.
    pub(super) fn look_at_index(&self, signed: &Signed, report: &mut Report) {
        for signature in &signed.signatures {
            self.check(INDEX, signature.as_bytes(), &signed.bytes, report);
        }
        let index = &signed.index;
        let is_by = |key: &str| {
            let by = |checked: &Checked| checked.verdict.as_ref().is_ok_and(|by| by.to_string() == key);
            report.signatures.iter().any(by)
        };
        let known: Vec<String> = self.certificates.fingerprints().iter().map(ToString::to_string).collect();
        let missing = index.keys.iter().filter(|key| known.contains(key) && !is_by(key));
        let mut flaws: Vec<Flaw> =
            missing.map(|key| Flaw::NotSignedBy { file: INDEX, key: key.clone() }).collect();
        if self.is_given && !index.keys.iter().any(|key| known.contains(key)) {
            flaws.push(self.unsigned(INDEX, &report.signatures));
        }
        report.flaws.extend(flaws);
        self.look_at_day(index.best_before.as_deref(), report);
        if !index.keys.is_empty() {
            let names = SIGNATURES.iter().map(|(name, _)| *name).chain([KEYS, KEYRING]);
            let missing =
                names.filter(|name| !self.dir.exists(name)).map(|name| Flaw::Missing(name.to_owned()));
            report.flaws.extend(missing);
        }
    }

    /// Looks at the signatures of a list of digests, and at its day.
    pub(super) fn look_at_sums(&self, text: &[u8], sums: &Sums, report: &mut Report) -> Result<(), Error> {
        let before = report.signatures.len();
        for (name, _) in SIGNATURES {
            match self.dir.read(name, LARGEST) {
                Ok(signature) => self.check(name, &signature, text, report),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let checked = &report.signatures[before..];
        let is_stranger = |checked: &Checked| matches!(checked.verdict, Err(Refusal::Stranger { .. }));
        if self.is_given && checked.iter().all(is_stranger) {
            report.flaws.push(self.unsigned(SUMS, checked));
        } else if self.is_given {
            report
                .flaws
                .extend(checked.iter().filter(|checked| is_stranger(checked)).filter_map(Flaw::refused));
        }
        for day in sums.0.keys().filter_map(|name| name.strip_prefix(PREFIX)) {
            self.look_at_day(Some(day), report);
        }
        Ok(())
    }

    fn look_at_day(&self, day: Option<&str>, report: &mut Report) {
        let Some(day) = day else { return };
        report.best_before.get_or_insert_with(|| day.to_owned());
        let over = Flaw::Over(day.to_owned());
        if is_over(day, self.now) && !report.flaws.contains(&over) {
            report.flaws.push(over);
        }
    }

    fn check(&self, file: &str, signature: &[u8], data: &[u8], report: &mut Report) {
        let verdict = self.certificates.verify(signature, data, self.now);
        let checked = Checked { file: file.to_owned(), verdict };
        // Whom nobody knows, nobody can check.
        if !matches!(checked.verdict, Err(Refusal::Stranger { .. })) {
            report.flaws.extend(Flaw::refused(&checked));
        }
        report.signatures.push(checked);
    }

    /// That nobody has signed a list who was named; `checked` are its signatures.
    fn unsigned(&self, file: &'static str, checked: &[Checked]) -> Flaw {
        let mut by: Vec<String> = checked.iter().flat_map(Checked::by).collect();
        by.sort_unstable();
        by.dedup();
        let trusted = self.certificates.fingerprints().iter().map(ToString::to_string).collect();
        Flaw::Unsigned { file, by, trusted }
    }
}

impl Checked {
    /// Whose signature it is, by its own word where nobody can check it.
    fn by(&self) -> Vec<String> {
        match &self.verdict {
            Ok(by) => vec![by.to_string()],
            Err(Refusal::Stranger { by }) => by.clone(),
            Err(_) => Vec::new(),
        }
    }
}

impl Flaw {
    fn refused(checked: &Checked) -> Option<Flaw> {
        let refusal = checked.verdict.as_ref().err()?.clone();
        Some(Flaw::Refused { file: checked.file.clone(), refusal })
    }
}
