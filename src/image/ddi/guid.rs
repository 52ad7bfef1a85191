//! Identifiers of 128 bits, as a partition table holds them.

use std::fmt;

/// A GUID. On disk its first three fields have their least significant byte first (UEFI specification 2.10, appendix A);
/// in text, and where the partition specification derives one from a root hash, all bytes are in one order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(u128);

impl Guid {
    /// What stands where there is none.
    pub const NIL: Guid = Guid(0);

    /// One from the number that its text is, without the hyphens.
    pub const fn new(number: u128) -> Guid {
        Guid(number)
    }

    /// One from its bytes in the order of its text.
    pub const fn from_bytes(bytes: [u8; 16]) -> Guid {
        Guid(u128::from_be_bytes(bytes))
    }

    /// Its bytes in the order of its text.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// One from a partition table.
    pub fn from_disk(bytes: [u8; 16]) -> Guid {
        Guid::from_bytes(swapped(bytes))
    }

    /// Its bytes in a partition table.
    pub fn to_disk(self) -> [u8; 16] {
        swapped(self.to_bytes())
    }

    /// One from a digest, marked as if it were random (RFC 9562, version 4): of nothing else may one be made.
    pub fn from_digest(digest: &[u8; 32]) -> Guid {
        let (mut bytes, _) = halves(digest);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Guid::from_bytes(bytes)
    }
}

/// The first and the last 16 bytes of a digest.
pub(super) fn halves(digest: &[u8; 32]) -> ([u8; 16], [u8; 16]) {
    let mut halves = ([0; 16], [0; 16]);
    halves.0.copy_from_slice(&digest[..16]);
    halves.1.copy_from_slice(&digest[16..]);
    halves
}

/// From one order to the other, either way.
fn swapped(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Guid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The type of EFI system partitions, as its specification and any disk have it.
    const ESP: Guid = Guid::new(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);

    #[test]
    fn text_and_disk_have_their_orders() {
        assert_eq!(ESP.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        let disk = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
        assert_eq!(ESP.to_disk(), disk);
        assert_eq!(Guid::from_disk(disk), ESP);
        assert_eq!(Guid::from_bytes(ESP.to_bytes()), ESP);
    }

    #[test]
    fn one_from_a_digest_says_that_it_is_random() {
        assert_eq!(Guid::from_digest(&[0xff; 32]).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(Guid::from_digest(&[0; 32]).to_string(), "00000000-0000-4000-8000-000000000000");
    }
}
