//! Certificates, signatures and secret keys. Invariants: `invariants/openpgp.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../invariants/openpgp.rs"]
mod invariants;

fuzz_target!(|bytes: &[u8]| invariants::any(bytes));
