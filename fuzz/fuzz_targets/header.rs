//! Bare headers of rpm, as databases hold them.
//!
//! Invariants, whatever the bytes:
//! * reading ends, without a panic and without more memory than a small multiple of the input;
//! * a glance at a tag finds what reading all of the header finds, and where that fails at most less;
//! * what was read lies in the input: no tag has more values than the header has bytes;
//! * a header that was read can be given another value for a tag, and that is read again, with the region
//!   as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use onlay::package::Header;
use onlay::package::header::{DependencyKind, Glance, Tags, Value, tag};
use onlay::package::relation::Rich;
use onlay::pkgdb::rpm::index_rows::TABLES;

fuzz_target!(|bytes: &[u8]| {
    let glance = Glance::of(bytes);
    if let Ok(glance) = &glance {
        let _ = (
            glance.evr().to_string(),
            glance.package_identity(),
            glance.strings(tag::PROVIDE_NAME).count(),
            glance.bytes(tag::SIG_MD5),
        );
    }
    let Ok(header) = Header::parse(bytes) else { return };
    let glance = glance.expect("less has to be right for it");
    for entry in header.entries() {
        let count = header.strings(entry.tag).count() + header.numbers(entry.tag).count();
        assert!(count <= bytes.len());
        assert_eq!(glance.entry(entry.tag).map(|seen| seen.data), Some(entry.data));
    }
    let _ = (header.evr().to_string(), header.sha1(), header.sha256());
    header.files().for_each(|file| drop(file.path()));
    for kind in DependencyKind::ALL {
        for relation in header.dependencies(kind) {
            assert!(relation.overlaps(&relation) || relation.evr.is_some());
            if let Ok(rich) = Rich::parse(&relation.name) {
                rich.index_names();
            }
        }
    }
    TABLES.iter().for_each(|table| drop(table.rows(&header)));
    if let Some(changed) = header.with(tag::INSTALL_TIME, &Value::Int32(vec![7])) {
        let again = Header::parse(&changed).expect("what we write can be read");
        assert_eq!(again.number(tag::INSTALL_TIME), Some(7));
        assert_eq!(again.region(), header.region());
    }
});
