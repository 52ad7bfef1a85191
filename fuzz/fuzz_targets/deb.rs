//! Any bytes as a Debian package: the members of its outer archive are what the bytes say, or all of the bytes are the tar of
//! its data. Invariants: see the function; besides, bounded memory.
#![no_main]

#[path = "../invariants/payload.rs"]
mod invariants;

use std::io::Write;

const CONTROL: &str = "Package: a\nVersion: 1\nArchitecture: all\n";

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let package = if data.starts_with(b"!<arch>\n") { data.to_vec() } else { around(data) };
    invariants::package(&package, tempfile::tempfile().expect("a place for files"));
});

/// A package whose data archive this is, with headers that have right checksums: nothing behind one would be tried.
fn around(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + 512) {
        let is_header = header[156] != 0 && header[..156].iter().any(|byte| *byte != 0);
        if is_header {
            sum(header);
        }
        at += 512;
    }
    let mut control = vec![0; 2048];
    control[..7].copy_from_slice(b"control");
    control[124..136].copy_from_slice(format!("{:011o}\0", CONTROL.len()).as_bytes());
    control[156] = b'0';
    control[512..512 + CONTROL.len()].copy_from_slice(CONTROL.as_bytes());
    sum(&mut control[..512]);
    let mut package = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control), ("data.tar", &tar)] {
        write!(package, "{name:<48}{:<10}`\n", content.len()).expect("memory");
        package.extend_from_slice(content);
        package.resize(package.len().next_multiple_of(2), b'\n');
    }
    package
}

fn sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
