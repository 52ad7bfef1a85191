//! What a system demands of the files that it boots (`[composefs]` of ostree-prepare-root(1), `[ex-integrity]` of a repository), as far as files of
//! layers do not have it.
//!
//! With composefs alone, ostree makes the image of a deployment with layers as of any other, when it deploys it. But where the image is to be
//! signed, nobody here has the key; and where its files are to have fs-verity, ours have none, and every read of one would fail.

use std::path::Path;

use super::error::Error;
use super::keyfile::KeyFile;
use super::repo::Repository;
use crate::layer::Lower;
use crate::sys::IoError;

/// Where a base has its settings for booting; the first that is there counts.
const PLACES: [&str; 2] = ["usr/etc/ostree/prepare-root.conf", "usr/lib/ostree/prepare-root.conf"];

/// More than it has.
const LARGEST: u64 = 1 << 20;

/// What is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// That the image of a deployment is signed.
    Signature,
    /// That files have fs-verity, by the base.
    Verity,
    /// The same, by the repository.
    VerityOfObjects,
}

/// Refuses where files of layers would not do.
pub(super) fn check(repository: &Repository, lower: &Lower) -> Result<(), Error> {
    let of_base = settings(lower)?.and_then(|file| of_base(&file));
    let of_repository = repository.settings().verity.then_some(Demand::VerityOfObjects);
    of_base.or(of_repository).map_or(Ok(()), |demand| Err(Error::Demanding { demand }))
}

fn of_base(file: &KeyFile) -> Option<Demand> {
    match file.get("composefs", "enabled").as_deref() {
        Some("signed") => Some(Demand::Signature),
        Some("verity") => Some(Demand::Verity),
        _ => None,
    }
}

fn settings(lower: &Lower) -> Result<Option<KeyFile>, IoError> {
    for place in PLACES.map(Path::new) {
        for root in lower.above.iter().chain([&lower.tree]) {
            match root.read(place, LARGEST) {
                Err(error) if error.is_not_found() => {}
                // What makes no sense ostree refuses itself.
                bytes => return Ok(KeyFile::parse(&String::from_utf8_lossy(&bytes?)).ok()),
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composefs_alone_demands_nothing() {
        let demand = |text: &str| of_base(&KeyFile::parse(text).expect("settings"));
        for fine in
            ["", "[composefs]\nenabled=yes\n", "[composefs]\nenabled=maybe\n", "[sysroot]\nenabled=signed\n"]
        {
            assert_eq!(demand(fine), None, "{fine}");
        }
        assert_eq!(demand("[composefs]\nenabled=signed\n"), Some(Demand::Signature));
        assert_eq!(demand("[composefs]\nenabled = verity\n"), Some(Demand::Verity));
    }
}
