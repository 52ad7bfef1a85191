//! Numbers in few bytes, and blocks of them that are compressed: what is read is checked before anything is made of it.

use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, get_frame_content_size};

use super::Error;

/// Appends a number: seven bits in each byte, the lowest first, and the eighth bit set but in the last one (LEB128).
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends the distance between two places, either of which may be the first: twice as much, and one less where it is backwards.
pub(super) fn put_distance(bytes: &mut Vec<u8>, from: u64, to: u64) {
    let distance = to.wrapping_sub(from) as i64;
    put(bytes, ((distance << 1) ^ (distance >> 63)) as u64);
}

/// Bytes that are taken apart.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(CUT_OFF)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            number |= bits.checked_shl(shift).filter(|placed| placed >> shift == bits).ok_or(TOO_LARGE)?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(TOO_LARGE)
    }

    pub(super) fn small(&mut self) -> Result<u32, Error> {
        u32::try_from(self.number()?).map_err(|_| TOO_LARGE)
    }

    /// A place by its distance from another.
    pub(super) fn place(&mut self, from: u64) -> Result<u64, Error> {
        let coded = self.number()?;
        let distance = (coded >> 1) as i64 ^ -((coded & 1) as i64);
        from.checked_add_signed(distance).ok_or(Error::Nonsense("a place is outside of all files"))
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Error> {
        let taken = self.take(SIZE)?;
        Ok(taken.try_into().expect("as many bytes were taken"))
    }

    pub(super) fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Nonsense("there is something behind its end")) }
    }
}

const CUT_OFF: Error = Error::Nonsense("it is cut off");
const TOO_LARGE: Error = Error::Nonsense("a number is too large");

/// A power of two that is the window of a frame, from the smallest that zstd takes to what is in both.
fn window(length: usize) -> u32 {
    length.next_power_of_two().trailing_zeros().clamp(10, LARGEST_WINDOW)
}

/// The largest window that is asked for: what is before and the bytes themselves have to fit.
const LARGEST_WINDOW: u32 = 27;

/// Compresses bytes, which can refer to what is before them.
pub(super) fn compress(bytes: &[u8], before: &[u8], level: i32) -> Result<Vec<u8>, Error> {
    let mut context = CCtx::create();
    let mut target = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    let window = CParameter::WindowLog(window(before.len() + bytes.len()));
    let set = |context: &mut CCtx<'_>, parameter| context.set_parameter(parameter).map(drop);
    let done = set(&mut context, CParameter::CompressionLevel(level))
        .and_then(|()| set(&mut context, window))
        .and_then(|()| set(&mut context, CParameter::EnableLongDistanceMatching(!before.is_empty())))
        .and_then(|()| context.ref_prefix(before).map(drop))
        .and_then(|()| context.compress2(&mut target, bytes));
    done.map_err(|_| Error::Nonsense("it cannot be compressed"))?;
    Ok(target)
}

/// Decompresses a frame, which has to have exactly so many bytes.
pub(super) fn decompress(frame: &[u8], before: &[u8], length: usize) -> Result<Vec<u8>, Error> {
    const BAD: Error = Error::Nonsense("what is compressed in it cannot be decompressed");
    if get_frame_content_size(frame).ok().flatten() != Some(length as u64) {
        return Err(BAD);
    }
    let mut context = DCtx::create();
    let mut target = Vec::with_capacity(length);
    context.ref_prefix(before).map_err(|_| BAD)?;
    context.decompress(&mut target, frame).map_err(|_| BAD)?;
    if target.len() == length { Ok(target) } else { Err(BAD) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_places_come_back() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 56, u64::MAX >> 1, u64::MAX];
        let mut bytes = Vec::new();
        for number in numbers {
            put(&mut bytes, number);
            put_distance(&mut bytes, 1000, number >> 1);
        }
        let mut reader = Reader(&bytes);
        for number in numbers {
            assert_eq!(reader.number().expect("it was put"), number);
            assert_eq!(reader.place(1000).expect("it was put"), number >> 1);
        }
        reader.end().expect("nothing more was put");
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for bytes in [
            &b""[..],
            &[0x80],
            &[0xff; 9],
            &[0xff; 10],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        ] {
            assert!(Reader(bytes).number().is_err(), "{bytes:?}");
        }
        assert!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x7f]).small().is_err());
        assert!(Reader(&[9]).place(4).is_err());
        assert!(Reader(&[1]).end().is_err());
    }

    #[test]
    fn what_is_before_makes_it_smaller() {
        let mut random = fastrand::Rng::with_seed(1);
        let before: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(100_000).collect();
        let bytes = [&before[50_000..], &before[..50_000]].concat();
        let frame = compress(&bytes, &before, 3).expect("it can be compressed");
        assert!(frame.len() < 1000, "{}", frame.len());
        assert_eq!(decompress(&frame, &before, bytes.len()).expect("it was compressed"), bytes);
        for (frame, before, length) in [
            (&frame[..], &before[..99_999], bytes.len()),
            (&frame, &before, bytes.len() - 1),
            (&frame, &before, bytes.len() + 1),
            (&frame[..frame.len() - 1], &before, bytes.len()),
            (&[], &[], 0),
        ] {
            // With other bytes before it, something else comes out, or nothing.
            assert!(decompress(frame, before, length).map_or(true, |found| found != bytes));
        }
        let empty = compress(b"", b"", 3).expect("it can be compressed");
        assert_eq!(decompress(&empty, b"", 0).expect("it was compressed"), b"");
    }
}
