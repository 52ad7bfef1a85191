//! Undoing the compression of one cluster. What comes out may be the beginning of what is in it: clusters can be shared.

use flate2::{Decompress, FlushDecompress};
use liblzma::stream::{Action, Stream};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_frame_content_size};

use super::format::Algorithm;
use super::lz4;

/// More than LZMA needs for the largest extent; what wants more lies.
const LZMA_MEMORY: u64 = 24 << 20;
/// A window of the largest extent, as a power of two.
const ZSTD_WINDOW: u32 = 24;
/// The smallest dictionary that LZMA takes.
const SMALLEST_DICTIONARY: usize = 4096;

/// Decompresses clusters, one after the other.
pub(super) struct Decompressor {
    deflate: Decompress,
    zstd: DCtx<'static>,
}

impl Decompressor {
    pub(super) fn new() -> Decompressor {
        let mut zstd = DCtx::create();
        // Without it, the usual limit holds, which is larger.
        let _ = zstd.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW));
        Decompressor { deflate: Decompress::new(false), zstd }
    }

    /// Fills `target`; `None` where less comes out, or nonsense.
    pub(super) fn decompress(
        &mut self,
        algorithm: Algorithm,
        stored: &[u8],
        target: &mut [u8],
    ) -> Option<()> {
        match algorithm {
            Algorithm::Lz4 => lz4::decompress(stored, target),
            Algorithm::Lzma => micro_lzma(stored, target),
            Algorithm::Deflate => {
                self.deflate.reset(false);
                self.deflate.decompress(stored, target, FlushDecompress::None).ok()?;
                (self.deflate.total_out() == target.len() as u64).then_some(())
            }
            Algorithm::Zstd => self.zstd(stored, target),
        }
    }

    fn zstd(&mut self, stored: &[u8], target: &mut [u8]) -> Option<()> {
        // At once, where that is all.
        if get_frame_content_size(stored).ok()? == Some(target.len() as u64) {
            return (self.zstd.decompress(target, stored).ok()? == target.len()).then_some(());
        }
        self.zstd.init().ok()?;
        let (mut input, mut output) = (InBuffer::around(stored), OutBuffer::around(target));
        while output.pos() < output.capacity() {
            let (read, written) = (input.pos(), output.pos());
            self.zstd.decompress_stream(&mut output, &mut input).ok()?;
            if (read, written) == (input.pos(), output.pos()) {
                return None;
            }
        }
        Some(())
    }
}

/// LZMA whose first byte, which would be 0, is the inverse of that with its properties. With those in a header, it is a `.lzma`
/// file (lzma-file-format.txt) of unknown length.
fn micro_lzma(stored: &[u8], target: &mut [u8]) -> Option<()> {
    let (first, rest) = stored.split_first()?;
    let dictionary = target.len().max(SMALLEST_DICTIONARY) as u32;
    let file = [&[!first][..], &dictionary.to_le_bytes(), &u64::MAX.to_le_bytes(), &[0], rest].concat();
    let mut stream = Stream::new_lzma_decoder(LZMA_MEMORY).ok()?;
    stream.process(&file, target, Action::Run).ok()?;
    (stream.total_out() == target.len() as u64).then_some(())
}
