//! Any text as an os-release or extension-release file: no panic; names of fields have no '=' and no blanks around them; a
//! field in double quotes is read as it was.
#![no_main]

use onlay::host::OsRelease;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let release = OsRelease::parse(&text);
    if let Some(value) = release.assigned("ID") {
        let mut quoted = String::new();
        for letter in value.chars() {
            if "\"\\`$".contains(letter) {
                quoted.push('\\');
            }
            quoted.push(letter);
        }
        let again = OsRelease::parse(&format!("ID=\"{quoted}\"\n"));
        assert_eq!(again.assigned("ID"), Some(value));
    }
});
