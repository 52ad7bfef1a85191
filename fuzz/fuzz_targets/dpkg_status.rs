//! Any bytes as a `status`: no panic; what can be read gives the same packages when written and read again, each of them
//! with the same identity and marks, and none twice.
#![no_main]

#[path = "../invariants/dpkg.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::status(data));
