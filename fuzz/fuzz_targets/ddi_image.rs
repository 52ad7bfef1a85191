//! Whole disk images.
//!
//! Invariants, whatever the bytes:
//! * reading ends, without a panic and without more memory than a small multiple of the input;
//! * partitions lie inside of the image, and none on another;
//! * a hash tree is for no more data than there is, and nothing is whole by a root hash that is not its own.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../invariants/ddi.rs"]
mod invariants;

fuzz_target!(|bytes: &[u8]| invariants::image(bytes));
