//! Whole squashfs images.
//!
//! Invariants, whatever the bytes:
//! * reading ends, without a panic and without more memory than a few blocks and the directories that there are;
//! * every name that is walked can be looked up, and leads to the same inode;
//! * a file gives as many bytes as it says, or an error.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use onlay::image::squashfs::{InodeKind, Piece, Reader};

/// Holes cost nothing in an image; what is read here is bounded.
const MOST: u64 = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::new(Box::new(bytes.to_vec()), Path::new("image")) else { return };
    let mut total = 0;
    for walked in reader.walk().take(500) {
        let Ok(walked) = walked else { break };
        assert_eq!(reader.find(&walked.path).ok().flatten().as_ref(), Some(&walked.inode));
        let _ = reader.xattrs(&walked.inode);
        let InodeKind::File(file) = &walked.inode.kind else { continue };
        let mut contents = reader.contents(file);
        let mut size = 0;
        let is_whole = loop {
            match contents.next_piece() {
                Ok(None) => break true,
                Ok(Some(Piece::Hole(length))) => size += length,
                Ok(Some(Piece::Data(data))) => size += data.len() as u64,
                Err(_) => break false,
            }
            total += 4096;
            if total > MOST {
                return;
            }
        };
        assert!(!is_whole || size == file.size);
    }
});
