//! Whole `Packages.db` files.
//!
//! Invariants, whatever the bytes:
//! * reading ends, without a panic and without more memory than a small multiple of the input;
//! * all slots lie in the file, behind the pages of slots, and none overlaps another;
//! * a header that was read lies in its slot.

#![no_main]

use libfuzzer_sys::fuzz_target;
use onlay::pkgdb::rpm::ndb::SlotTable;

fuzz_target!(|bytes: &[u8]| {
    let size = bytes.len() as u64;
    let Ok(length) = SlotTable::length(bytes, size) else { return };
    let Ok(table) = SlotTable::parse(&bytes[..length], size) else { return };
    let mut end = length;
    for slot in &table.used {
        let blocks = slot.bytes();
        assert!(blocks.start >= end as u64 && blocks.end <= size);
        end = blocks.end as usize;
        let frame = &bytes[blocks.start as usize..end];
        if let Ok(header) = slot.header(frame) {
            assert!(header.len() < frame.len());
        }
    }
});
