//! Parts of files: many of them in few requests.

use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use ureq::http::header::CONTENT_TYPE;

use super::address::Web;
use super::answer::{Answer, Part};
use super::source::open_path;
use super::{Address, Error, Problem, Small, Source};
use crate::sys::{Context, IoError};

mod multipart;

/// Takes bytes and the place in the file where they are.
pub type Sink<'a> = dyn FnMut(u64, &[u8]) -> Result<(), IoError> + 'a;

/// Where parts of files can be had.
pub trait RangeSource {
    /// Reads some parts of a file, which are in order and do not overlap, and gives each byte of them to `sink` once, in
    /// whatever pieces; after a failure, it may have some. [`Problem::NoRanges`] where files can be had as a whole only.
    fn read(&mut self, file: &str, ranges: &[Range<u64>], sink: &mut Sink<'_>) -> Result<(), Error>;

    /// Reads a small file whole, of up to `limit` bytes, from wherever files can be had.
    fn whole(&mut self, file: &str, limit: u64) -> Result<Vec<u8>, Error>;
}

/// What lies between two parts is not worth a request of its own where it is shorter than this.
const NEAR: u64 = 8 << 10;
/// So many requests are made at most for a list of parts, if nothing has to be asked for again.
const MOST_REQUESTS: usize = 36;
/// As much is read at once.
const PIECE: usize = 128 << 10;

impl RangeSource for Source {
    fn read(&mut self, file: &str, ranges: &[Range<u64>], sink: &mut Sink<'_>) -> Result<(), Error> {
        self.read_ranges(file, ranges, sink)
    }

    fn whole(&mut self, file: &str, limit: u64) -> Result<Vec<u8>, Error> {
        self.read_whole(file, limit)
    }
}

/// Nothing of a source changes with what is read of it.
impl RangeSource for &Source {
    fn read(&mut self, file: &str, ranges: &[Range<u64>], sink: &mut Sink<'_>) -> Result<(), Error> {
        self.read_ranges(file, ranges, sink)
    }

    fn whole(&mut self, file: &str, limit: u64) -> Result<Vec<u8>, Error> {
        self.read_whole(file, limit)
    }
}

impl Source {
    fn read_ranges(&self, file: &str, ranges: &[Range<u64>], sink: &mut Sink<'_>) -> Result<(), Error> {
        let wanted = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
        let mut sieve = Sieve { wanted, got: Vec::new(), sink };
        self.each(&|| 0, &mut |address| {
            let address = address.join(file);
            sieve.settle();
            match &address {
                Address::Path(path) => read_path(path, &mut sieve)?,
                Address::Web(web) => self.read_parts(web, &mut sieve)?,
            }
            sieve.settle();
            if sieve.wanted.is_empty() {
                return Ok(());
            }
            Err(Error::at(&address, Problem::Range("parts of it are missing".to_owned())))
        })
    }

    fn read_whole(&self, file: &str, limit: u64) -> Result<Vec<u8>, Error> {
        match self.read(file, limit, None)? {
            Small::Read(bytes, _) => Ok(bytes),
            Small::Unchanged => Err(Error::at(&file, Problem::NotThere)),
        }
    }

    fn read_parts(&self, web: &Web, sieve: &mut Sieve<'_, '_>) -> Result<(), Error> {
        let parts = coalesced(&sieve.wanted, MOST_REQUESTS);
        // Whether a server sends several parts at once is known when it has done so.
        if parts.len() < 2 || !self.read_group(web, &parts, sieve)? {
            sieve.settle();
            for part in coalesced(&sieve.wanted, MOST_REQUESTS) {
                if !self.read_group(web, &[part], sieve)? {
                    return Err(Error::at(&Address::Web(web.clone()), Problem::NoRanges));
                }
            }
        }
        Ok(())
    }

    /// Asks for some parts at once; `false` where the server sends something else instead.
    fn read_group(&self, web: &Web, parts: &[Range<u64>], sieve: &mut Sieve<'_, '_>) -> Result<bool, Error> {
        let address = Address::Web(web.clone());
        let failed = |problem| Error::at(&address, problem);
        let words: Vec<String> =
            parts.iter().map(|part| format!("{}-{}", part.start, part.end - 1)).collect();
        let fields = [("Range", format!("bytes={}", words.join(",")))];
        let mut answer = self.http.get(web, &fields).map_err(failed)?;
        match answer.status {
            206 => {}
            // The whole of it, which nobody reads.
            200 => return Ok(false),
            416 => return Err(failed(Problem::Range("the file is shorter".to_owned()))),
            _ => return Err(failed(answer.refusal())),
        }
        if let Some(part) = answer.part() {
            check_within(part, parts).map_err(failed)?;
            read_part(&mut answer, &address, part, sieve)?;
            // A server may give only the first of them.
            return Ok(parts.len() == 1 || part.end >= parts[parts.len() - 1].end);
        }
        let boundary = answer.text(CONTENT_TYPE).and_then(multipart::boundary);
        let boundary = boundary.ok_or_else(|| failed(Problem::Range("it does not say which".to_owned())))?;
        multipart::read(&mut answer, &address, &boundary, parts, sieve)?;
        Ok(true)
    }
}

/// Whether a part has nothing that was not asked for, at its beginning and end.
fn check_within(part: Part, asked: &[Range<u64>]) -> Result<(), Problem> {
    let (Some(first), Some(last)) = (asked.first(), asked.last()) else { return Ok(()) };
    if part.start < first.start || part.end > last.end {
        let words = format!("bytes {} to {}, and not {} to {}", part.start, part.end, first.start, last.end);
        return Err(Problem::Range(words));
    }
    Ok(())
}

/// Reads the bytes of one part.
fn read_part(
    answer: &mut Answer,
    address: &Address,
    part: Part,
    sieve: &mut Sieve<'_, '_>,
) -> Result<(), Error> {
    let mut buffer = vec![0; PIECE];
    let mut at = part.start;
    while at < part.end {
        let most = usize::try_from(part.end - at).unwrap_or(PIECE).min(PIECE);
        let count = answer.read(&mut buffer[..most]).map_err(|problem| Error::at(address, problem))?;
        if count == 0 {
            let (got, expected) = (at - part.start, part.end - part.start);
            return Err(Error::at(address, Problem::CutOff { got, expected }));
        }
        sieve.take(at, &buffer[..count])?;
        at += count as u64;
    }
    Ok(())
}

fn read_path(path: &Path, sieve: &mut Sieve<'_, '_>) -> Result<(), Error> {
    let (file, _) = open_path(path)?;
    let mut buffer = vec![0; PIECE];
    for range in sieve.wanted.clone() {
        let mut at = range.start;
        while at < range.end {
            let most = usize::try_from(range.end - at).unwrap_or(PIECE).min(PIECE);
            file.read_exact_at(&mut buffer[..most], at).context("read", path)?;
            sieve.take(at, &buffer[..most])?;
            at += most as u64;
        }
    }
    Ok(())
}

/// Lets through what was asked for, and notes it.
struct Sieve<'a, 'b> {
    wanted: Vec<Range<u64>>,
    got: Vec<Range<u64>>,
    sink: &'a mut Sink<'b>,
}

impl Sieve<'_, '_> {
    /// What came is not wanted any more.
    fn settle(&mut self) {
        self.wanted = without(&self.wanted, std::mem::take(&mut self.got));
    }

    fn take(&mut self, at: u64, bytes: &[u8]) -> Result<(), IoError> {
        let end = at + bytes.len() as u64;
        let first = self.wanted.partition_point(|range| range.end <= at);
        for range in self.wanted[first..].iter().take_while(|range| range.start < end) {
            let (from, to) = (range.start.max(at), range.end.min(end));
            (self.sink)(from, &bytes[(from - at) as usize..(to - at) as usize])?;
            match self.got.last_mut() {
                Some(last) if last.end == from => last.end = to,
                _ => self.got.push(from..to),
            }
        }
        Ok(())
    }
}

/// What is left of some ranges without others.
fn without(ranges: &[Range<u64>], mut gone: Vec<Range<u64>>) -> Vec<Range<u64>> {
    gone.sort_by_key(|range| range.start);
    let mut left = Vec::new();
    for range in ranges {
        let mut at = range.start;
        for one in gone.iter().filter(|one| one.end > range.start && one.start < range.end) {
            if one.start > at {
                left.push(at..one.start);
            }
            at = at.max(one.end);
        }
        if at < range.end {
            left.push(at..range.end);
        }
    }
    left
}

/// Fewer ranges that hold all of these: what is near is one, and then what has the smallest gaps between, until they are few.
fn coalesced(ranges: &[Range<u64>], most: usize) -> Vec<Range<u64>> {
    let mut gaps: Vec<u64> =
        ranges.windows(2).map(|pair| pair[1].start.saturating_sub(pair[0].end)).collect();
    gaps.sort_unstable_by(|one, other| other.cmp(one));
    // Of the gaps that stay, the smallest one is larger than this.
    let near = gaps.get(most.saturating_sub(1)).copied().unwrap_or_default().max(NEAR);
    let mut found: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match found.last_mut() {
            Some(last) if range.start.saturating_sub(last.end) <= near => last.end = last.end.max(range.end),
            _ => found.push(range.clone()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_parts_are_asked_for_together_and_there_are_few_requests() {
        assert_eq!(coalesced(&[0..10, 20..30, 100_000..100_001], 36), [0..30, 100_000..100_001]);
        let many: Vec<Range<u64>> = (0..500)
            .map(|number| number * 100_000 + number * number..number * 100_000 + number * number + 5)
            .collect();
        let few = coalesced(&many, 36);
        assert!(few.len() <= 36, "{}", few.len());
        assert!(
            many.iter().all(|range| few.iter().any(|one| one.start <= range.start && one.end >= range.end))
        );
        assert!(coalesced(&[], 36).is_empty());
    }

    #[test]
    fn what_came_is_not_asked_for_again() {
        assert_eq!(without(&[0..10, 20..30], vec![25..30, 2..4]), [0..2, 4..10, 20..25]);
        assert!(without(&[0..10, 11..12], vec![0..5, 5..10, 11..12]).is_empty());
    }
}
