//! ELF files made by hand, each field of which can be wrong, and this program's own.

use super::*;

/// A library of 64 bits: it needs `libb.so.1` with `B_1` and weakly `B_2`, and has `A_1`.
pub(crate) fn library() -> Vec<u8> {
    let strings = b"\0libb.so.1\0B_1\0B_2\0liba.so.1\0A_1\0$ORIGIN/../x\0";
    let at = |text: &str| {
        strings.windows(text.len()).position(|window| window == text.as_bytes()).expect("there") as u64
    };
    let [dynamic, needed, defined, texts] = [0x200u64, 0x400, 0x500, 0x600];
    let mut file = vec![0; 0x700];
    let put = |file: &mut Vec<u8>, offset: u64, bytes: &[u8]| {
        file[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
    };
    put(&mut file, 0, b"\x7fELF\x02\x01\x01");
    put(&mut file, 16, &3u16.to_le_bytes());
    put(&mut file, 18, &62u16.to_le_bytes());
    put(&mut file, 32, &64u64.to_le_bytes());
    put(&mut file, 54, &56u16.to_le_bytes());
    put(&mut file, 56, &2u16.to_le_bytes());
    // All of it is loaded at 0x10000.
    let load = 0x10000u64;
    for (index, (kind, offset, address, size)) in
        [(1u32, 0, load, 0x700u64), (2, dynamic, load + dynamic, 0x200)].iter().enumerate()
    {
        let entry = 64 + 56 * index as u64;
        put(&mut file, entry, &kind.to_le_bytes());
        put(&mut file, entry + 8, &offset.to_le_bytes());
        put(&mut file, entry + 16, &address.to_le_bytes());
        put(&mut file, entry + 32, &size.to_le_bytes());
    }
    let table = [
        (1, at("libb.so.1")),
        (14, at("liba.so.1")),
        (29, at("$ORIGIN/../x")),
        (5, load + texts),
        (10, strings.len() as u64),
        (0x6fff_fffe, load + needed),
        (0x6fff_ffff, 1),
        (0x6fff_fffc, load + defined),
        (0x6fff_fffd, 2),
        (0, 0),
    ];
    for (index, (tag, value)) in table.iter().enumerate() {
        put(&mut file, dynamic + 16 * index as u64, &(*tag as u64).to_le_bytes());
        put(&mut file, dynamic + 16 * index as u64 + 8, &value.to_le_bytes());
    }
    let halves = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let words =
        |values: &[u64]| values.iter().flat_map(|value| (*value as u32).to_le_bytes()).collect::<Vec<u8>>();
    put(&mut file, needed, &halves(&[1, 2]));
    put(&mut file, needed + 4, &words(&[at("libb.so.1"), 16, 0]));
    for (index, (name, flags, next)) in [("B_1", 0, 16), ("B_2", 2, 0)].iter().enumerate() {
        let entry = needed + 16 + 16 * index as u64;
        put(&mut file, entry + 4, &halves(&[*flags, 2]));
        put(&mut file, entry + 8, &words(&[at(name), *next]));
    }
    for (index, (name, flags, next)) in [("liba.so.1", 1, 28), ("A_1", 0, 0)].iter().enumerate() {
        let entry = defined + 28 * index as u64;
        put(&mut file, entry, &halves(&[1, *flags, 1, 1]));
        put(&mut file, entry + 12, &words(&[20, *next]));
        put(&mut file, entry + 20, &words(&[at(name), 0]));
    }
    put(&mut file, texts, strings);
    file
}

fn read(bytes: &[u8]) -> Result<Elf, Defect> {
    Elf::read(&bytes)
}

#[test]
fn what_a_library_says_is_read() {
    let elf = read(&library()).expect("it is one");
    assert_eq!(elf.kind, Kind::Shared);
    assert_eq!(elf.machine.architecture(), Some("x86-64"));
    assert_eq!((elf.soname.as_deref(), elf.runpath.as_deref()), (Some("liba.so.1"), Some("$ORIGIN/../x")));
    assert_eq!(elf.needed, ["libb.so.1"]);
    let version = |name: &str, weak| NeededVersion { name: name.to_owned(), weak };
    let versions = vec![version("B_1", false), version("B_2", true)];
    assert_eq!(elf.needed_versions, [NeededVersions { library: "libb.so.1".to_owned(), versions }]);
    assert_eq!(elf.versions, ["A_1"]);
    assert_eq!(elf.interpreter, None);
}

#[test]
fn a_truncated_file_is_told() {
    let whole = library();
    for length in 0..whole.len() {
        let result = read(&whole[..length]);
        // The strings are the last thing in it; the rest of that page is zeros.
        assert!(result.is_err() || length > 0x600, "{length} bytes");
    }
}

/// Whatever byte is anything else: no panic, and no waiting.
#[test]
fn any_byte_may_be_wrong() {
    let whole = library();
    for position in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[position] = value;
            let _ = read(&damaged);
        }
    }
}

#[test]
fn no_count_is_believed() {
    // Versions that come back to themselves, as many as there can be.
    let mut circle = library();
    circle[0x400 + 2..0x400 + 4].copy_from_slice(&u16::MAX.to_le_bytes());
    circle[0x410 + 12..0x410 + 16].copy_from_slice(&0u32.to_le_bytes());
    assert_eq!(read(&circle).expect("it ends").needed_versions[0].versions.len(), 1);
    let mut many = library();
    many[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(matches!(read(&many), Err(Defect::TooMuch("program headers"))));
    let mut large = library();
    large[64 + 56 + 32..64 + 56 + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(read(&large), Err(Defect::TooMuch("dynamic section"))));
}

#[test]
fn a_program_of_this_machine_is_read() {
    let bytes = std::fs::read("/proc/self/exe").expect("it is readable");
    let elf = read(&bytes).expect("it is one");
    assert_eq!(elf.machine.architecture(), Some(crate::host::Host::architecture()));
    assert!(Elf::is_one(&bytes));
    assert!(!Elf::is_one(b"#!/bin/sh"));
}
