//! `Packages.db`, rpm's own format (rpm's rpmpkg.c), which SUSE uses. All numbers are 32 bits,
//! little-endian.
//!
//! ```text
//! 0   "RpmP"  version (0)  generation  pages of slots  next number      32 bytes with zeros
//! 32  slots of 16 bytes, to the end of those pages of 4096 bytes:
//!     "Slot"  header's number  first block  blocks                      free where the first block is 0
//! …   blocks of 16 bytes; what no slot names is zero. A header takes whole blocks:
//!     "BlbS"  its number  time  length  the header  zeros  adler32  length  "BlbE"
//! ```
//!
//! The checksum covers all before it, zeros too. Each change raises the generation. `Index.db` beside it has
//! the generation that it was made for: rpm makes it anew where that differs or it is missing.

mod index;
mod reader;
mod slots;
mod writer;

pub use slots::{Malformed, Slot, SlotTable};

pub(super) use index::write_index;
pub(super) use reader::{Reader, check_blob};
pub(super) use writer::write;

/// The size of a slot and of a block.
const BLOCK: usize = 16;
/// The size of a page of slots.
const PAGE: usize = 4096;
/// The beginning takes the place of so many slots.
const RESERVED_SLOTS: usize = 2;
/// In front of a header, and behind it.
const BLOB_HEAD: usize = 16;
const BLOB_TAIL: usize = 12;

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

/// How many blocks a header of this length takes.
fn blocks_for(length: usize) -> usize {
    (BLOB_HEAD + length + BLOB_TAIL).div_ceil(BLOCK)
}

/// A header in its blocks.
fn framed(number: u32, time: u32, blob: &[u8]) -> Vec<u8> {
    let size = blocks_for(blob.len()) * BLOCK;
    let mut frame = Vec::with_capacity(size);
    frame.extend_from_slice(b"BlbS");
    for word in [number, time, blob.len() as u32] {
        frame.extend_from_slice(&word.to_le_bytes());
    }
    frame.extend_from_slice(blob);
    frame.resize(size - BLOB_TAIL, 0);
    let sum = adler32(&frame);
    frame.extend_from_slice(&sum.to_le_bytes());
    frame.extend_from_slice(&(blob.len() as u32).to_le_bytes());
    frame.extend_from_slice(b"BlbE");
    frame
}

/// The header in some blocks; whether the checksum is right is another question.
fn unframed(number_in_slot: u32, frame: &[u8]) -> Result<&[u8], &'static str> {
    let length = number(frame, 12).ok_or("it is too small")? as usize;
    if !frame.starts_with(b"BlbS") || number(frame, 4) != Some(number_in_slot) {
        return Err("it does not begin as its slot says");
    }
    // `blocks_for` cannot overflow on a length that is less than the frame's.
    if length > frame.len() || blocks_for(length) * BLOCK != frame.len() {
        return Err("its length is not its slot's");
    }
    let tail = frame.len() - BLOB_TAIL;
    if number(frame, tail + 4) != Some(length as u32) || !frame.ends_with(b"BlbE") {
        return Err("it does not end as it begins");
    }
    frame.get(BLOB_HEAD..BLOB_HEAD + length).ok_or("it is too small")
}

fn has_right_sum(frame: &[u8]) -> bool {
    let tail = frame.len().saturating_sub(BLOB_TAIL);
    number(frame, tail) == Some(adler32(&frame[..tail]))
}

/// The checksum of RFC 1950.
fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    // As many as cannot overflow.
    for chunk in bytes.chunks(5552) {
        for byte in chunk {
            low += u32::from(*byte);
            high += low;
        }
        low %= 65521;
        high %= 65521;
    }
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(adler32(b""), 1);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(adler32(&vec![0xff; 100_000]), 0x149a_302c);
    }

    #[test]
    fn a_frame_cut_or_flipped_is_told() {
        for length in 0..40 {
            let blob = vec![7; length];
            let frame = framed(5, 9, &blob);
            assert_eq!(frame.len() % BLOCK, 0);
            assert_eq!(unframed(5, &frame), Ok(&*blob));
            assert!(has_right_sum(&frame) && unframed(6, &frame).is_err());
            for cut in 0..frame.len() {
                assert!(unframed(5, &frame[..cut]).is_err(), "{cut} of {}", frame.len());
            }
            for place in 0..frame.len() {
                let mut flipped = frame.clone();
                flipped[place] ^= 0x40;
                assert!(unframed(5, &flipped).is_err() || !has_right_sum(&flipped), "{place}");
            }
        }
    }
}
