//! Objects of OSTree's. Invariants: `invariants/ostree.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../invariants/ostree.rs"]
mod invariants;

fuzz_target!(|bytes: &[u8]| {
    invariants::object(bytes);
});
