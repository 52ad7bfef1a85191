//! What pax says of a member in records before it: `length key=value\n` (POSIX, pax Interchange Format).

use std::ffi::OsString;

use super::PART;
use super::sparse::Map;
use crate::package::archive::error::{Fault, os_string};

/// XATTR_NAME_MAX and XATTR_SIZE_MAX of the kernel.
const LONGEST_XATTR_NAME: usize = 255;
const LONGEST_XATTR: usize = 65536;
/// More than any file has; looking for one stays cheap.
const MOST_XATTRS: usize = 256;

/// What records say; the last one counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
    pub(super) sparse: Sparse,
}

/// What GNU's records say of a sparse file.
#[derive(Debug, Clone, Default)]
pub(super) struct Sparse {
    /// Its size with all holes. Format 1.0 says `realsize`, the others `size`.
    pub(super) size: Option<u64>,
    /// The pieces that are stored, in formats 0.0 and 0.1.
    pub(super) map: Option<Map>,
    /// In format 1.0, they are at the beginning of the content.
    pub(super) major: Option<u64>,
    /// The name, where that of the header says that it is sparse.
    pub(super) name: Option<Vec<u8>>,
    /// Format 0.0: where the next piece begins.
    offset: Option<u64>,
}

impl Extensions {
    /// Adds records.
    pub(super) fn take(&mut self, mut records: &[u8]) -> Result<(), Fault> {
        let wrong = || Fault::malformed(PART, "a pax record is none");
        while !records.is_empty() {
            let blank = records.iter().take(20).position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length = usize::try_from(decimal(&records[..blank])?).map_err(|_| wrong())?;
            let (record, rest) = records.split_at_checked(length).ok_or_else(wrong)?;
            let record =
                record.get(blank + 1..).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            self.record(&record[..equals], &record[equals + 1..])?;
            records = rest;
        }
        Ok(())
    }

    /// Whether what counts for all members has grown without bound.
    pub(super) fn bounded(&self, most: u64) -> Result<(), Fault> {
        let texts = [&self.path, &self.link, &self.user, &self.group, &self.sparse.name];
        let texts: usize = texts.into_iter().flatten().map(Vec::len).sum();
        let xattrs: usize = self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let map = self.sparse.map.as_ref().map_or(0, |map| map.len() * 16);
        if (texts + xattrs + map) as u64 > most {
            return Err(Fault::malformed(PART, "its global pax records are too large"));
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        // An empty value takes back what was said before.
        let text = || (!value.is_empty()).then(|| value.to_vec());
        let number = || (!value.is_empty()).then(|| decimal(value)).transpose();
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"uname" => self.user = text(),
            b"gname" => self.group = text(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => self.mtime = (!value.is_empty()).then(|| seconds(value)).transpose()?,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattr(name, value)?;
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.record(key, value)?;
                }
            }
        }
        Ok(())
    }

    fn xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        if name.is_empty()
            || name.len() > LONGEST_XATTR_NAME
            || name.contains(&0)
            || value.len() > LONGEST_XATTR
        {
            return Err(Fault::malformed(PART, "an extended attribute is none that the kernel could keep"));
        }
        let name = os_string(name);
        if self.xattrs.len() == MOST_XATTRS {
            return Err(Fault::malformed(PART, "more than 256 extended attributes"));
        }
        self.xattrs.retain(|(known, _)| *known != name);
        self.xattrs.push((name, value.to_vec()));
        Ok(())
    }
}

impl Sparse {
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        match key {
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = Some(decimal(value)?),
            b"numblocks" => self.map = Some(Map::new()),
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => {
                let offset = self.offset.take();
                let offset = offset.ok_or(Fault::malformed(PART, "a piece of a sparse file has no place"))?;
                self.map.get_or_insert_default().push((offset, decimal(value)?));
            }
            b"map" => self.map = Some(map(value)?),
            _ => {}
        }
        Ok(())
    }
}

/// Offsets and lengths by turns, with commas between them.
fn map(value: &[u8]) -> Result<Map, Fault> {
    let mut map = Map::new();
    let mut numbers = value.split(|byte| *byte == b',').filter(|number| !number.is_empty());
    while let Some(offset) = numbers.next() {
        let length =
            numbers.next().ok_or(Fault::malformed(PART, "a piece of a sparse file has no length"))?;
        map.push((decimal(offset)?, decimal(length)?));
    }
    Ok(map)
}

/// Seconds, with or without a fraction and a sign. The fraction is dropped, towards the past.
fn seconds(value: &[u8]) -> Result<i64, Fault> {
    let wrong = || Fault::malformed(PART, "a time in pax records is none");
    let (sign, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, value),
    };
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let whole = parts.next().map(decimal).ok_or_else(wrong)??;
    let has_fraction = parts.next().is_some_and(|fraction| fraction.iter().any(|digit| *digit != b'0'));
    let whole = i64::try_from(whole).map_err(|_| wrong())?;
    Ok(sign * whole - i64::from(sign < 0 && has_fraction))
}

pub(super) fn decimal(digits: &[u8]) -> Result<u64, Fault> {
    let number =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|text| text.parse().ok());
    number.ok_or(Fault::malformed(PART, "a number in pax records is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str) -> Vec<u8> {
        let rest = format!(" {key}={value}\n");
        let length = (1..100_000).find(|length: &usize| length.to_string().len() + rest.len() == *length);
        format!("{}{rest}", length.expect("there is one")).into_bytes()
    }

    #[test]
    fn records_are_read() {
        let mut extensions = Extensions::default();
        let all = [
            record("path", "a=b\nc"),
            record("size", "8589934592"),
            record("mtime", "-1.5"),
            record("SCHILY.xattr.user.a", "1"),
            record("SCHILY.xattr.user.a", "2"),
            record("GNU.sparse.map", "0,1,1024,2"),
            record("comment", "none"),
            record("uname", "x"),
            record("uname", ""),
        ];
        extensions.take(&all.concat()).expect("records");
        assert_eq!(extensions.path.as_deref(), Some(&b"a=b\nc"[..]));
        assert_eq!((extensions.size, extensions.mtime), (Some(8 << 30), Some(-2)));
        assert_eq!(extensions.xattrs, [("user.a".into(), b"2".to_vec())]);
        assert_eq!(extensions.sparse.map.as_deref(), Some(&[(0, 1), (1024, 2)][..]));
        assert_eq!(extensions.user, None);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bad in [
            &b"7 a=b"[..],
            b"6 a=b\n7",
            b"x a=b\n",
            b"99 a=b\n",
            b"0 a=b\n",
            b"2 a=b\n",
            b" 6 a=b\n",
            b"6 abc\n",
            b"18446744073709551616 a=b\n",
        ] {
            assert!(Extensions::default().take(bad).is_err(), "{}", bad.escape_ascii());
        }
        for (key, value) in [
            ("size", "-1"),
            ("uid", "x"),
            ("mtime", "1e3"),
            ("GNU.sparse.map", "1"),
            ("GNU.sparse.numbytes", "1"),
        ] {
            assert!(Extensions::default().take(&record(key, value)).is_err(), "{key}");
        }
    }
}
