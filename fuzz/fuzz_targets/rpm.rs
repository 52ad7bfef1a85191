//! Any bytes as an RPM package: all of it, or a payload of cpio, uncompressed, for a header of some files. Invariants: see the
//! function; besides, bounded memory.
#![no_main]

#[path = "../invariants/payload.rs"]
mod invariants;

use onlay::package::header::{Builder, MAGIC, Value, tag};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let package = if data.starts_with(b"\xed\xab\xee\xdb") { data.to_vec() } else { around(data) };
    invariants::package(&package, tempfile::tempfile().expect("a place for files"));
});

fn strings(words: &[&str]) -> Value {
    Value::Strings(words.iter().map(|word| word.as_bytes().to_vec()).collect())
}

/// A package whose payload this is, of two hard links, a symbolic link, a directory and a file.
fn around(payload: &[u8]) -> Vec<u8> {
    let header = Builder::new()
        .add(tag::NAME, Value::String(b"a".to_vec()))
        .add(tag::VERSION, Value::String(b"1".to_vec()))
        .add(tag::RELEASE, Value::String(b"1".to_vec()))
        .add(tag::ARCH, Value::String(b"noarch".to_vec()))
        .add(tag::SOURCE_RPM, Value::String(b"a.src.rpm".to_vec()))
        .add(tag::BASENAMES, strings(&["a", "b", "l", "d", "f"]))
        .add(tag::DIRNAMES, strings(&["/"]))
        .add(tag::DIR_INDEXES, Value::Int32(vec![0; 5]))
        .add(tag::FILE_MODES, Value::Int16(vec![0o100_644, 0o100_644, 0o120_777, 0o040_755, 0o100_644]))
        .add(tag::FILE_SIZES, Value::Int32(vec![3, 3, 1, 4096, 5]))
        .add(tag::FILE_INODES, Value::Int32(vec![1, 1, 2, 3, 4]))
        .add(tag::FILE_LINK_TOS, strings(&["", "", "a", "", ""]))
        .build();
    let mut package = b"\xed\xab\xee\xdb\x03\0\0\0".to_vec();
    package.resize(96, 0);
    package.extend_from_slice(&MAGIC);
    package.extend_from_slice(&Builder::new().build());
    package.resize(package.len().next_multiple_of(8), 0);
    [&package[..], &MAGIC, &header, payload].concat()
}
