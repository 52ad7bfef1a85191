//! Any bytes as diversions, overrides, triggers and extended states: no panic; what can be read gives the same when
//! written and read again.
#![no_main]

#[path = "../invariants/dpkg.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::tables(data));
