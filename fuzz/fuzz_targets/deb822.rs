//! Any bytes as stanzas: no panic; what can be read is written again byte for byte; every field is found by its name;
//! setting a field to what it is changes no value; an error names a line that is there.
#![no_main]

#[path = "../invariants/dpkg.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::stanzas(data));
