//! Whole erofs images. Invariants: `invariants/erofs.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../invariants/erofs.rs"]
mod invariants;

fuzz_target!(|bytes: &[u8]| invariants::image(bytes));
