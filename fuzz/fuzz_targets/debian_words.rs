//! Any text as a version and as relations: no panic; what can be read gives the same when written and read again; the
//! order of versions has no contradictions.
#![no_main]

#[path = "../invariants/dpkg.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::words(data));
