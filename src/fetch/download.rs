//! Large files: written as they come, gone on with where they were cut off, and checked in the end.

use super::address::Web;
use super::answer::Answer;
use super::http::Field;
use super::source::{Validator, open_path};
use super::{Address, Error, Partial, Problem, Source};
use crate::package::Identity;
use crate::sys::{Context, copy_content};

/// What is known of a file before it comes.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// How many bytes it has, where that is known.
    pub size: Option<u64>,
    /// How many it has at most.
    pub limit: u64,
}

impl Expected {
    fn most(&self) -> u64 {
        self.size.unwrap_or(self.limit)
    }

    /// Whether a file of this length is a whole one, as far as its length tells.
    fn check(&self, found: u64) -> Result<(), Problem> {
        match self.size {
            Some(expected) if found != expected => Err(Problem::Length { found, expected }),
            None if found > self.limit => Err(Problem::TooLong(self.limit)),
            _ => Ok(()),
        }
    }
}

impl Source {
    /// Has a file come into `partial`, until that has the digest that it is to have. Of what came before, only the rest is
    /// asked for. `progress` is told how many bytes there are.
    pub fn download(
        &self,
        file: &str,
        partial: &mut Partial,
        expected: Expected,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        if let Some(size) = expected.size {
            partial.reserve(size)?;
        }
        let far = std::cell::Cell::new(partial.length());
        self.each(&|| far.get(), &mut |address| {
            let address = address.join(file);
            let done = self.complete(&address, partial, expected, progress);
            far.set(far.get().max(partial.length()));
            done
        })
    }

    /// Has the rest come from one address, and checks the whole.
    fn complete(
        &self,
        address: &Address,
        partial: &mut Partial,
        expected: Expected,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        if partial.length() > expected.most() {
            partial.restart()?;
        }
        let had = partial.length();
        if expected.size.is_none_or(|size| had < size) || had == 0 {
            match address {
                Address::Path(path) => copy(path, partial, expected)?,
                Address::Web(web) => self.pull(web, partial, expected, progress)?,
            }
        }
        let found = Identity::of_file(partial.file(), &partial.path())?;
        if found == partial.digest() {
            return Ok(());
        }
        partial.restart()?;
        if had > 0 {
            // What was there may have been of another version, or was never on disk.
            return self.complete(address, partial, expected, progress);
        }
        Err(Error::at(address, Problem::Digest { found, expected: partial.digest() }))
    }

    fn pull(
        &self,
        web: &Web,
        partial: &mut Partial,
        expected: Expected,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let address = Address::Web(web.clone());
        let failed = |problem| Error::at(&address, problem);
        let mut answer = self.http.get(web, &rest_of(partial, &address)).map_err(failed)?;
        match answer.status {
            200 => partial.restart()?,
            206 if partial.length() > 0 => check_part(&answer, partial.length(), expected).map_err(failed)?,
            416 if partial.length() > 0 => {
                partial.restart()?;
                return self.pull(web, partial, expected, progress);
            }
            206 | 416 => {
                return Err(failed(Problem::Range("a part, and all of it was asked for".to_owned())));
            }
            _ => return Err(failed(answer.refusal())),
        }
        if let Some(encoding) = answer.encoding() {
            return Err(failed(Problem::Encoding(encoding.chars().take(20).collect())));
        }
        let from = partial.length();
        let all = answer.length().map(|length| from.saturating_add(length));
        all.map_or(Ok(()), |all| expected.check(all)).map_err(failed)?;
        let (etag, modified) = answer.tags();
        partial.note(&Validator { address: address.to_string(), etag, modified })?;
        answer.pour(&address, expected.most() - from, &mut |piece| {
            partial.append(piece)?;
            progress(partial.length());
            Ok(())
        })?;
        match expected.size.or(all) {
            Some(expected) if partial.length() < expected => {
                Err(failed(Problem::CutOff { got: partial.length(), expected }))
            }
            _ => Ok(()),
        }
    }
}

/// Asks for what is missing, if the file is still the one that the beginning is of.
fn rest_of(partial: &Partial, address: &Address) -> Vec<Field> {
    if partial.length() == 0 {
        return Vec::new();
    }
    let mut fields = vec![("Range", format!("bytes={}-", partial.length()))];
    let from = partial.from().filter(|from| from.address == address.to_string());
    // A weak mark does not tell bytes apart (RFC 9110, 13.1.5).
    let mark = from.and_then(|from| from.etag.filter(|etag| !etag.starts_with("W/")).or(from.modified));
    fields.extend(mark.map(|mark| ("If-Range", mark)));
    fields
}

/// Whether the rest came that was asked for.
fn check_part(answer: &Answer, from: u64, expected: Expected) -> Result<(), Problem> {
    let Some(part) = answer.part() else { return Err(Problem::Range("it does not say which".to_owned())) };
    if part.start != from {
        return Err(Problem::Range(format!("from byte {} on, and not from {from} on", part.start)));
    }
    if let Some(all) = part.all {
        expected.check(all)?;
        if part.end != all {
            return Err(Problem::Range(format!("up to byte {}, and not to the end, {all}", part.end)));
        }
    }
    Ok(())
}

/// Copies a file of this machine.
fn copy(path: &std::path::Path, partial: &mut Partial, expected: Expected) -> Result<(), Error> {
    let (file, found) = open_path(path)?;
    expected.check(found.len()).map_err(|problem| Error::at(&path.display(), problem))?;
    partial.restart()?;
    copy_content(&file, partial.file()).context("copy to", partial.path())?;
    partial.filled()?;
    // It may have grown meanwhile.
    expected.check(partial.length()).map_err(|problem| Error::at(&path.display(), problem))
}
