//! Images that are compressed as a whole, as systemd-pull takes them (importctl(1)): what they are without that.

use std::fs::File;
use std::io::Read as _;

use crate::package::archive::decompressed;

/// No image that anybody ships has so many bytes.
pub(super) const LARGEST: u64 = 64 << 30;

/// Hands out what a file is without its compression, piece by piece: `packing` is the ending of its name (`.xz`), and `limit` the
/// most bytes that may come out. What is wrong with the file is told by `bad`.
pub(super) fn unpack<E>(
    file: &File,
    packing: &str,
    limit: u64,
    bad: impl Fn(String) -> E,
    mut append: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut from = decompressed(file, packing, limit).map_err(|fault| bad(fault.to_string()))?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match from.read(&mut buffer).map_err(|error| bad(error.to_string()))? {
            0 => return Ok(()),
            read => append(&buffer[..read])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// What comes out of a megabyte of zeros in a few bytes, and how it ends.
    fn unpacked(packing: &str, limit: u64) -> (u64, Result<(), String>) {
        let mut file = tempfile::tempfile().expect("a file");
        let zeros = vec![0; 1 << 20];
        let packed = match packing {
            ".zst" => zstd::encode_all(&*zeros, 3).expect("in memory"),
            _ => zeros,
        };
        file.write_all(&packed).expect("there is room");
        let mut length = 0;
        let end = unpack(
            &file,
            packing,
            limit,
            |problem| problem,
            |bytes| {
                length += bytes.len() as u64;
                Ok(())
            },
        );
        (length, end)
    }

    #[test]
    fn no_more_comes_out_than_is_allowed() {
        assert_eq!(unpacked(".zst", 1 << 20), (1 << 20, Ok(())));
        let (length, end) = unpacked(".zst", (1 << 20) - 1);
        assert!(length < 1 << 20, "{length}");
        assert_eq!(end, Err("has more than 1048575 bytes unpacked".to_owned()));
    }

    #[test]
    fn what_is_not_compressed_is_told() {
        let (length, end) = unpacked(".xz", LARGEST);
        assert!(length == 0 && end.as_ref().is_err_and(|why| why.starts_with("bad xz data")), "{end:?}");
        let (_, end) = unpacked(".rar", LARGEST);
        assert_eq!(end, Err("has compression '.rar', which is not known".to_owned()));
    }
}
