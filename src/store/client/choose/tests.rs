//! What is chosen, of stores that say what tests want.

use std::fs;

use super::*;
use crate::fetch::{Address, Options, Source};
use crate::store::client::{Configured, Freshness, Signature};

/// A root of Debian 13 without a shell: libraries are not judged.
fn host(place: &Path) -> Host {
    fs::create_dir_all(place.join("usr/lib")).expect("ours");
    fs::write(place.join("usr/lib/os-release"), "ID=debian\nVERSION_ID=13\n").expect("ours");
    Host::open(place).expect("a root")
}

fn store(name: &str, priority: u32) -> Configured {
    Configured {
        name: name.to_owned(),
        addresses: vec![Address::Path("/x".into())],
        keys: Vec::new(),
        signature: Signature::None,
        priority,
        only: Vec::new(),
        options: Options::default(),
    }
}

fn entry(name: &str, version: &str, architecture: &str, release: &[(&str, &str)]) -> Entry {
    let release = release.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
    Entry {
        file: format!("{name}_{version}_{architecture}.raw"),
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: Some(architecture.to_owned()),
        release,
        ..Entry::default()
    }
}

fn catalog(store: &Configured, entries: Vec<Entry>) -> Catalog<'_> {
    Catalog {
        source: Source::new(store.addresses.clone(), store.options.clone()),
        store,
        entries,
        is_told: true,
        freshness: Freshness::New,
        signer: None,
        best_before: None,
    }
}

#[test]
fn the_newest_that_fits_is_chosen_of_the_store_that_counts_first() {
    let place = tempfile::tempdir().expect("a directory");
    let host = host(place.path());
    let own = Host::architecture();
    let of =
        |version: &str, host: &str| entry("gdb", version, own, &[("ID", "debian"), ("VERSION_ID", host)]);
    let (first, second) = (store("first", 10), store("second", 99));
    let other = entry("gdb", "30", "s390x", &[("ID", "_any")]);
    let catalogs = [
        catalog(&first, vec![of("9", "13"), of("10", "13"), of("11", "14"), other]),
        catalog(&second, vec![of("20", "13"), of("10~rc1", "12")]),
    ];
    let chosen = |name: &str, version: Option<&str>, unfit| {
        Chooser::with(&host, Vec::new(), |chooser| {
            Ok(match chooser.choose(&catalogs, name, version, unfit)? {
                Ok(found) => format!("{} {}", found.catalog.store.name, found.entry.version),
                Err(nothing) => nothing.to_string(),
            })
        })
        .expect("it can be judged")
    };
    for (name, version, unfit, words) in [
        ("gdb", None, false, "first 10"),
        ("gdb", Some("20"), false, "second 20"),
        ("gdb", Some("11"), true, "first 11"),
        ("gdb", None, true, "first 30"),
        (
            "gdb",
            Some("11"),
            false,
            "11 of store 'first' does not fit: systemd does not merge it: it says VERSION_ID=14, and the host has 13",
        ),
        ("gdb", Some("7"), false, "no store has 7 of it; there is 30, 11, 10, 9, 20 and more"),
        ("strace", None, false, "no store has it"),
    ] {
        assert_eq!(chosen(name, version, unfit), words, "{name} {version:?} {unfit}");
    }
}

#[test]
fn what_is_nearest_is_told_where_nothing_fits() {
    let place = tempfile::tempdir().expect("a directory");
    let host = host(place.path());
    let only = Configured { only: vec![glob::Pattern::new("g*").expect("a pattern")], ..store("x", 99) };
    let own = Host::architecture();
    let catalogs = [catalog(
        &only,
        vec![
            entry("gdb", "3", "s390x", &[("ID", "_any")]),
            entry("gdb", "2", own, &[("ID", "fedora")]),
            entry("gdb", "1", own, &[("ID", "debian"), ("VERSION_ID", "12")]),
            entry("strace", "1", own, &[("ID", "_any")]),
        ],
    )];
    let said = |name: &str| {
        Chooser::with(&host, Vec::new(), |chooser| Ok(chooser.choose(&catalogs, name, None, false)?.err()))
            .expect("it can be judged")
            .expect("nothing")
            .to_string()
    };
    assert_eq!(
        said("gdb"),
        "none of 3 images fits; the nearest is 1 of store 'x': systemd does not merge it: it says VERSION_ID=12, and the host has 13"
    );
    assert_eq!(said("strace"), "no store has it", "it is not taken of this store");
}

#[test]
fn a_loader_must_be_there_for_programs_that_the_host_runs() {
    let place = tempfile::tempdir().expect("a directory");
    let host = host(place.path());
    let (loader, own) = ("/lib64/ld-alien.so.1", Host::architecture());
    let needs = |architecture: &str| {
        let loaders = [(loader.to_owned(), [architecture.to_owned()].into())].into();
        Entry { loaders: Some(loaders), ..entry("gdb", "1", own, &[("ID", "_any")]) }
    };
    let confext = Entry { confext: true, ..entry("gdb", "1", own, &[("ID", "_any")]) };
    let says = |entry: &Entry| {
        let misfit = Chooser::with(&host, Vec::new(), |chooser| chooser.misfit(entry));
        misfit.expect("it can be judged").map(|misfit| misfit.to_string())
    };
    assert_eq!(
        says(&needs(own)).as_deref(),
        Some("it needs the loader /lib64/ld-alien.so.1, which is not there")
    );
    assert_eq!(says(&needs("s390x")), None, "it is of no use here, and in nobody's way");
    assert!(says(&confext).is_some_and(|said| said.contains("it extends /etc")));
    // Also for who wants what does not fit: it could not be added.
    let of = store("x", 99);
    let catalogs = [catalog(&of, vec![confext])];
    let chosen = Chooser::with(&host, Vec::new(), |chooser| {
        Ok(chooser.choose(&catalogs, "gdb", None, true)?.err().map(|nothing| nothing.to_string()))
    });
    assert!(chosen.expect("it can be judged").is_some_and(|said| said.contains("it extends /etc")));
    fs::create_dir_all(place.path().join("lib64")).expect("ours");
    fs::copy("/proc/self/exe", place.path().join("lib64/ld-alien.so.1")).expect("a program");
    assert_eq!(says(&needs(own)), None);
}

#[test]
fn fields_of_others_stay_fields() {
    let fields = [
        ("ID", "debian\"\nVERSION_ID=13"),
        ("A=B", "x"),
        ("VERSION_ID", "12"),
        ("SYSEXT_SCOPE", "system portable"),
    ];
    let fields = fields.into_iter().map(|(field, value)| (field.to_owned(), value.to_owned())).collect();
    assert_eq!(release_text(&fields), "SYSEXT_SCOPE=\"system portable\"\nVERSION_ID=\"12\"\n");
}
