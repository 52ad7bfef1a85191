//! Lists of blocks, and patches. Invariants: `invariants/delta.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../invariants/delta.rs"]
mod invariants;

fuzz_target!(|bytes: &[u8]| {
    invariants::list(bytes);
    invariants::patch(bytes);
});
