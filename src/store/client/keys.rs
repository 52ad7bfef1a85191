//! Whose signatures a store is believed by: certificates in files, named by fingerprint or file.

use std::path::{Path, PathBuf};

use super::{Configured, StoreError};
use crate::store::openpgp::{Certificates, Fingerprint};
use crate::sys::{IoError, Root};

/// Where keys are; the administrator's count first.
const PLACES: [&str; 2] = ["etc/onlay/keys", "usr/lib/onlay/keys"];
/// Names of files with certificates, armoured or not.
const SUFFIXES: [&str; 3] = [".asc", ".gpg", ".pgp"];
/// A keyring of a distribution is smaller.
const LARGEST: u64 = 8 << 20;

/// The certificates of a store.
pub(super) fn certificates(root: &Root, store: &Configured) -> Result<Certificates, StoreError> {
    let mut found = Certificates::default();
    let mut wanted = Vec::new();
    for key in &store.keys {
        match key.parse::<Fingerprint>() {
            Ok(fingerprint) => wanted.push(fingerprint),
            Err(_) => found.extend(of_file(root, key)?),
        }
    }
    if !wanted.is_empty() {
        let ring = ring(root)?;
        let known = ring.fingerprints();
        if let Some(missing) = wanted.iter().find(|one| !known.contains(one)) {
            let why = format!("is in no file of {}", PLACES.map(|place| format!("/{place}")).join(" or "));
            return Err(StoreError::Key { key: missing.to_string(), why });
        }
        found.extend(ring.only(&wanted));
    }
    Ok(found)
}

/// Those of a file: an absolute path, or a name in one of the places.
fn of_file(root: &Root, key: &str) -> Result<Certificates, StoreError> {
    let places: Vec<PathBuf> = match Path::new(key) {
        path if path.is_absolute() => vec![path.to_owned()],
        name if key.contains('/') => {
            return Err(wrong(key, format!("is neither a name nor an absolute path: {}", name.display())));
        }
        name => PLACES.iter().map(|place| Path::new(place).join(name)).collect(),
    };
    for place in places {
        match root.read(&place, LARGEST) {
            Ok(bytes) => {
                return Certificates::parse(&bytes)
                    .map_err(|error| wrong(key, format!("cannot be used: {error}")));
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(wrong(key, "is not there".to_owned()))
}

fn wrong(key: &str, why: String) -> StoreError {
    StoreError::Key { key: key.to_owned(), why }
}

/// All that are in the places. A file that is none has none.
fn ring(root: &Root) -> Result<Certificates, IoError> {
    let mut all = Certificates::default();
    for place in PLACES {
        let dir = match root.open_dir(place) {
            Err(error) if error.is_not_found() => continue,
            other => other?,
        };
        for entry in dir.entries()? {
            let is_key =
                entry.name.to_str().is_some_and(|name| SUFFIXES.iter().any(|suffix| name.ends_with(suffix)));
            if is_key && let Ok(found) = Certificates::parse(&dir.read(&entry.name, LARGEST)?) {
                all.extend(found);
            }
        }
    }
    Ok(all)
}
