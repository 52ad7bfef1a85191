//! Signatures of disk images, and keys and certificates for them.
//!
//! Invariants, whatever the bytes:
//! * reading ends, without a panic and without more memory than a small multiple of the input;
//! * nothing is taken for a signature that nobody made.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../invariants/ddi.rs"]
mod invariants;

fuzz_target!(|bytes: &[u8]| invariants::signature(bytes));
