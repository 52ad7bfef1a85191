//! CRC-32C (Castagnoli), as the superblock has it: begun with all ones, and not inverted at the end.

/// The polynomial, its bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The checksum of bytes.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_castagnolis() {
        // RFC 3720, B.4, and the usual check value.
        assert_eq!(!super::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(!super::crc32c(b"123456789"), 0xe306_9283);
    }
}
