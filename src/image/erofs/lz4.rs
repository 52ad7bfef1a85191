//! LZ4 blocks that may hold more than is wanted of them (LZ4's block format, lz4_Block_format.md). The crate `lz4_flex` decodes
//! only whole ones; here a cluster may be shared by files of which each has a part, and old images have zeros behind the block.

/// Fills `target`; `None` where the block ends before, or makes no sense.
pub(super) fn decompress(block: &[u8], target: &mut [u8]) -> Option<()> {
    let mut input = block;
    let mut done = 0;
    while done < target.len() {
        let (token, rest) = input.split_first()?;
        input = rest;
        let literals = length(&mut input, token >> 4)?;
        let wanted = literals.min(target.len() - done);
        target[done..done + wanted].copy_from_slice(input.get(..wanted)?);
        done += wanted;
        if done == target.len() {
            break;
        }
        let (offset, rest) = input.get(literals..)?.split_first_chunk::<2>()?;
        input = rest;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let wanted = length(&mut input, token & 15)?.checked_add(SHORTEST)?.min(target.len() - done);
        copy_match(target, done, offset, wanted)?;
        done += wanted;
    }
    Some(())
}

/// The shortest match.
const SHORTEST: usize = 4;

/// A length that goes on in further bytes where its four bits are full.
fn length(input: &mut &[u8], bits: u8) -> Option<usize> {
    let mut length = usize::from(bits);
    if bits < 15 {
        return Some(length);
    }
    loop {
        let (more, rest) = input.split_first()?;
        *input = rest;
        length = length.checked_add(usize::from(*more))?;
        if *more != u8::MAX {
            return Some(length);
        }
    }
}

/// Repeats what is `offset` bytes before; a match may overlap what it makes.
fn copy_match(target: &mut [u8], done: usize, offset: usize, length: usize) -> Option<()> {
    let start = done.checked_sub(offset).filter(|_| offset > 0)?;
    let mut copied = 0;
    while copied < length {
        // What was just made repeats with the same distance, twice as long each time.
        let now = (done + copied - start).min(length - copied);
        target.copy_within(start..start + now, done + copied);
        copied += now;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_and_beginnings_come_out() {
        let mut random = fastrand::Rng::with_seed(3);
        for letters in [2, 20, 256] {
            for size in [1, 5, 100, 5000, 70_000] {
                let text: Vec<u8> =
                    std::iter::repeat_with(|| random.u32(..letters) as u8).take(size).collect();
                let block = lz4_flex::block::compress(&text);
                for wanted in [size, size / 2, 1] {
                    let mut target = vec![0; wanted];
                    assert_eq!(decompress(&block, &mut target), Some(()));
                    assert!(target == text[..wanted]);
                }
                assert_eq!(decompress(&block, &mut vec![0; size + 1]), None);
                assert_eq!(decompress(&block[..block.len() / 2], &mut vec![0; size]), None);
            }
        }
        let zeros = lz4_flex::block::compress(&vec![0; 100_000]);
        let mut target = vec![1; 100_000];
        assert_eq!(decompress(&zeros, &mut target), Some(()));
        assert!(target.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn nonsense_is_refused() {
        for block in [&b""[..], b"\x00", b"\x00\x00\x00", b"\x10a\x02\x00", b"\xf0\xff\xff", b"\x0f\x01\x00"]
        {
            assert_eq!(decompress(block, &mut [0; 64]), None, "{block:?}");
        }
    }
}
