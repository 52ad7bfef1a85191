//! /etc/ld.so.cache, as glibc 2.2 and later write it (`sysdeps/generic/dl-cache.h` in glibc): after an old table, which
//! newer ones do not have, a header, entries of a name and a path, and the texts. Numbers are in the byte order of the
//! machine that it is for, and places count from the header.
//!
//! ```text
//!  0  "glibc-ld.so.cache" "1.1"
//! 20  number of entries (4), size of the texts (4), flags (1): 2 little, 3 big endian, 0 not said
//! 48  entries of 24: flags (4), name (4), path (4), unused (4), hardware (8)
//! ```

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// A cache that was read.
#[derive(Debug)]
pub(super) struct Cache {
    bytes: Vec<u8>,
    /// Where the header is.
    start: usize,
    count: usize,
    is_big_endian: bool,
}

impl Cache {
    /// Takes the bytes of a cache; `None` where they are none.
    pub(super) fn new(bytes: Vec<u8>) -> Option<Cache> {
        let start = (0..bytes.len()).step_by(4).find(|at| bytes[*at..].starts_with(MAGIC))?;
        let header = bytes.get(start..start + HEADER)?;
        let is_big_endian = match header[28] & 3 {
            3 => true,
            2 => false,
            _ => cfg!(target_endian = "big"),
        };
        let mut cache = Cache { bytes, start, count: 0, is_big_endian };
        let most = (cache.bytes.len() - start - HEADER) / ENTRY;
        cache.count = (cache.u32(start + 20)? as usize).min(most);
        Some(cache)
    }

    /// The paths that a name has, of whatever machine, the best first.
    pub(super) fn paths(&self, name: &str) -> Vec<&str> {
        let entries = (0..self.count).map(|index| self.start + HEADER + index * ENTRY);
        // What is for some processors alone comes after what is for all: both have the same symbol versions.
        let mut found: Vec<(bool, &str)> = entries
            .filter(|entry| self.text_at(entry + 4).is_some_and(|text| text == name))
            .filter_map(|entry| {
                Some((self.u32(entry + 16)? != 0 || self.u32(entry + 20)? != 0, self.text_at(entry + 8)?))
            })
            .collect();
        found.sort_by_key(|(is_special, _)| *is_special);
        found.into_iter().map(|(_, path)| path).collect()
    }

    fn text_at(&self, place: usize) -> Option<&str> {
        let rest = self.bytes.get(self.start.checked_add(self.u32(place)? as usize)?..)?;
        let length = rest.iter().take(4096).position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..length]).ok()
    }

    fn u32(&self, place: usize) -> Option<u32> {
        let bytes: [u8; 4] = self.bytes.get(place..place + 4)?.try_into().ok()?;
        Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(entries: &[(&str, &str, u64)]) -> Vec<u8> {
        let mut bytes = b"ld.so-1.7.0\0\0\0\0\0".to_vec();
        let texts_at = HEADER + ENTRY * entries.len();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&[2; 1]);
        bytes.extend_from_slice(&[0; 19]);
        let mut texts = Vec::new();
        let mut put = |text: &str| {
            let place = (texts_at + texts.len()) as u32;
            texts.extend_from_slice(text.as_bytes());
            texts.push(0);
            place
        };
        for (name, path, hardware) in entries {
            bytes.extend_from_slice(&0x0303u32.to_le_bytes());
            bytes.extend_from_slice(&put(name).to_le_bytes());
            bytes.extend_from_slice(&put(path).to_le_bytes());
            bytes.extend_from_slice(&0u32.to_le_bytes());
            bytes.extend_from_slice(&hardware.to_le_bytes());
        }
        bytes.extend_from_slice(&texts);
        bytes
    }

    #[test]
    fn names_have_paths() {
        let bytes = made(&[
            ("liba.so.1", "/lib/hwcaps/liba.so.1", 1 << 62),
            ("liba.so.1", "/lib/liba.so.1", 0),
            ("libb.so.1", "/lib/libb.so.1", 0),
        ]);
        let cache = Cache::new(bytes).expect("it is one");
        assert_eq!(cache.paths("liba.so.1"), ["/lib/liba.so.1", "/lib/hwcaps/liba.so.1"]);
        assert_eq!(cache.paths("libb.so.1"), ["/lib/libb.so.1"]);
        assert!(cache.paths("libc.so.6").is_empty());
    }

    #[test]
    fn any_bytes_may_be_wrong() {
        let bytes = made(&[("liba.so.1", "/lib/liba.so.1", 0)]);
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] = 0xff;
            if let Some(cache) = Cache::new(damaged) {
                cache.paths("liba.so.1");
            }
            if let Some(cache) = Cache::new(bytes[..position].to_vec()) {
                assert!(cache.paths("liba.so.1").is_empty());
            }
        }
        assert!(Cache::new(Vec::new()).is_none());
    }
}
