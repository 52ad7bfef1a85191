//! Any bytes as a file of an alternative: no panic; what can be read gives the same when written and read again, and
//! its best choice has the highest priority.
#![no_main]

#[path = "../invariants/dpkg.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::alternative(data));
