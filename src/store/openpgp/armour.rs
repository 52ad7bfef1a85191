//! ASCII armour (RFC 9580, 6.2): OpenPGP's bytes as text.
//!
//! Its checksum is neither required nor looked at, as that standard has it: what is in it is signed anyway.

use crate::image::ddi::base64;

/// The kinds of armour that are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Signature,
    PublicKey,
    PrivateKey,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Kind::Signature => "PGP SIGNATURE",
            Kind::PublicKey => "PGP PUBLIC KEY BLOCK",
            Kind::PrivateKey => "PGP PRIVATE KEY BLOCK",
        }
    }
}

/// Bytes as they are, or those of all armour of a kind in a text, one after another. `None` where there is none, or one
/// that is damaged.
pub(super) fn open(bytes: &[u8], kind: Kind) -> Option<Vec<u8>> {
    // A packet's first byte has the highest bit, which no text has that begins with armour.
    if bytes.first()? & 0x80 != 0 {
        return Some(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let (begin, end) =
        (format!("-----BEGIN {}-----", kind.label()), format!("-----END {}-----", kind.label()));
    let mut lines = text.lines().map(str::trim_end);
    let mut content = Vec::new();
    while lines.any(|line| line == begin) {
        // Headers (`Comment: …`), up to the first empty line.
        lines.by_ref().find(|line| line.is_empty())?;
        let mut body = String::new();
        loop {
            let line = lines.next()?;
            if line == end {
                break;
            }
            // The checksum: an equals sign and four letters.
            if !(line.starts_with('=') && line.len() == 5) {
                body.push_str(line);
            }
        }
        content.extend_from_slice(&base64::decode(body.as_bytes())?);
    }
    (!content.is_empty()).then_some(content)
}

/// Armour around bytes, with the checksum, which GnuPG before 2.4 wants to see.
pub(super) fn close(bytes: &[u8], kind: Kind) -> String {
    let label = kind.label();
    let mut text = format!("-----BEGIN {label}-----\n\n");
    let body = base64::encode(bytes);
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    let checksum = base64::encode(&crc24(bytes).to_be_bytes()[1..]);
    text.push_str(&format!("={checksum}\n-----END {label}-----\n"));
    text
}

/// RFC 9580, 6.1.1.
fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x00B7_04CE, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 16, |crc, _| {
            let shifted = crc << 1;
            if shifted & 0x0100_0000 == 0 { shifted } else { shifted ^ 0x0186_4CFB }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_is_opened() {
        for length in [1, 2, 3, 48, 49, 1000] {
            let bytes: Vec<u8> = (0..length).map(|number| number as u8).collect();
            let text = close(&bytes, Kind::PublicKey);
            assert_eq!(open(text.as_bytes(), Kind::PublicKey), Some(bytes.clone()));
            let twice = format!("a comment\n{text}and\r\n{}", text.replace('\n', " \r\n"));
            assert_eq!(open(twice.as_bytes(), Kind::PublicKey), Some([&bytes[..], &bytes[..]].concat()));
            assert_eq!(open(text.as_bytes(), Kind::Signature), None);
        }
        assert_eq!(open(b"\x88\x01", Kind::Signature), Some(b"\x88\x01".to_vec()));
        // The checksum of the standard's own test vector (RFC 9580, A.1).
        assert_eq!(crc24(b""), 0x00B7_04CE);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let text = close(b"some bytes", Kind::Signature);
        for damaged in [
            "",
            "x",
            "-----BEGIN PGP SIGNATURE-----",
            "-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n",
            &text.replace("-----END", "----END"),
            &text.replace("\n\n", "\n\n!"),
            &text.replace("\n\n", "\n"),
        ] {
            assert_eq!(open(damaged.as_bytes(), Kind::Signature), None, "{damaged}");
        }
    }
}
