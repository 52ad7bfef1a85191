//! What must hold for any bytes that come as files of dpkg. Each function panics where it does not.

use std::cmp::Ordering;

use onlay::package::deb822::{Document, Stanza};
use onlay::package::debian_relation::Relation;
use onlay::package::{DebianVersion, Error};
use onlay::pkgdb::dpkg::triggers::{self, Interest};
use onlay::pkgdb::dpkg::{Alternative, AutoInstalled, Entry, diversions, parse_status, statoverride};

/// Stanzas are written as they were read.
#[allow(dead_code, reason = "each fuzz target needs one of these functions")]
pub(crate) fn stanzas(data: &[u8]) {
    let document = match Document::parse(data) {
        Ok(document) => document,
        Err(error) => return assert_names_a_line(&error, data),
    };
    assert_eq!(document.to_bytes(), data);
    for stanza in &document.stanzas {
        let fields: Vec<(Vec<u8>, Vec<u8>)> = fields(stanza);
        let mut copy = stanza.clone();
        for (name, value) in &fields {
            let name = std::str::from_utf8(name).expect("names are of ASCII");
            assert_eq!(stanza.get(name), Some(&value[..]));
            copy.set(name, value);
        }
        assert_eq!(self::fields(&copy), fields);
        for (name, _) in &fields {
            copy.remove(std::str::from_utf8(name).expect("names are of ASCII"));
        }
        assert_eq!(copy.as_bytes(), b"");
    }
}

fn fields(stanza: &Stanza) -> Vec<(Vec<u8>, Vec<u8>)> {
    stanza.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn assert_names_a_line(error: &Error, data: &[u8]) {
    let Error::Line { line, .. } = error else { panic!("{error}") };
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!((1..=lines).contains(line), "{error} of {lines}");
}

/// Packages survive being written.
#[allow(dead_code, reason = "each fuzz target needs one of these functions")]
pub(crate) fn status(data: &[u8]) {
    let entries = match parse_status(data) {
        Ok(entries) => entries,
        Err(error) => return assert_names_a_line(&error, data),
    };
    let text = Document::of(entries.values().map(|entry| entry.stanza.clone())).to_bytes();
    let again = parse_status(&text).expect("what was written can be read");
    assert_eq!(again, entries);
    for (entry, other) in entries.values().zip(again.values()) {
        assert_eq!(entry.marks(), other.marks());
        for field in ["Depends", "Provides", "Conflicts", "Breaks"] {
            let _ = entry.relations(field);
        }
        let mut held = entry.stanza.clone();
        held.set("Status", b"hold ok half-configured");
        if let Ok(held) = Entry::parse(held) {
            assert_eq!(held.identity, entry.identity, "a hold makes no other package");
        }
    }
}

/// An alternative survives being written.
#[allow(dead_code, reason = "each fuzz target needs one of these functions")]
pub(crate) fn alternative(data: &[u8]) {
    let found = match Alternative::parse(data) {
        Ok(found) => found,
        Err(error) => return assert_names_a_line(&error, data),
    };
    let text = found.to_bytes();
    assert_eq!(Alternative::parse(&text).as_ref(), Ok(&found));
    let highest = found.choices.values().map(|choice| choice.priority).max();
    assert_eq!(found.best().map(|(_, choice)| choice.priority), highest);
}

/// The other tables survive being written.
#[allow(dead_code, reason = "each fuzz target needs one of these functions")]
pub(crate) fn tables(data: &[u8]) {
    if let Ok(found) = diversions::parse(data) {
        assert_eq!(diversions::parse(&diversions::write(&found)), Ok(found));
    }
    if let Ok(found) = statoverride::parse(data) {
        assert_eq!(statoverride::parse(&statoverride::write(&found)), Ok(found));
    }
    if let Ok(found) = triggers::parse_activated(data) {
        assert_eq!(triggers::parse_activated(&triggers::write_activated(&found)), Ok(found));
    }
    if let Ok(found) = Interest::parse_files(data) {
        assert_eq!(Interest::write_files(&found), data);
    }
    if let Ok(found) = Interest::parse_named("x", data) {
        assert_eq!(Interest::write_named(&found), data);
    }
    if let Ok(found) = AutoInstalled::parse(data) {
        assert_eq!(AutoInstalled::parse(&found.to_bytes()), Ok(found));
    }
    let _ = triggers::parse_declared(data);
}

/// Versions have an order, and relations survive being written.
#[allow(dead_code, reason = "each fuzz target needs one of these functions")]
pub(crate) fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let versions: Vec<DebianVersion> =
        text.split('\n').take(8).filter_map(|line| DebianVersion::parse(line).ok()).collect();
    for one in &versions {
        assert_eq!(DebianVersion::parse(one.as_str()).as_ref(), Ok(one));
        for other in &versions {
            assert_eq!(one.cmp(other), other.cmp(one).reverse());
            for third in &versions {
                if one.cmp(other) != Ordering::Greater && other.cmp(third) != Ordering::Greater {
                    assert_ne!(one.cmp(third), Ordering::Greater, "{one} {other} {third}");
                }
            }
        }
    }
    if let Ok(groups) = Relation::parse_all(text) {
        let shown: Vec<String> = groups
            .iter()
            .map(|group| group.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | "))
            .collect();
        assert_eq!(Relation::parse_all(&shown.join(", ")), Ok(groups));
    }
}
