//! Any bytes as an ELF file: no panic; what is read of one is bounded, however large it says that it is; a name or version
//! that is read has no NUL.
#![no_main]

use onlay::extension::elf::Elf;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(elf) = Elf::read(&data) else { return };
    let own = [&elf.interpreter, &elf.soname, &elf.rpath, &elf.runpath];
    let of_versions = elf.needed_versions.iter().flat_map(|needed| needed.versions.iter().map(|version| &version.name));
    let names = own.into_iter().flatten().chain(&elf.needed).chain(&elf.versions).chain(of_versions);
    for name in names {
        assert!(!name.contains('\0'));
        // A byte that is no UTF-8 becomes three.
        assert!(name.len() <= 3 * 2 * 4096);
    }
});
