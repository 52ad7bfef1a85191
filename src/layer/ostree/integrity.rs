//! What a system demands of the files that it boots (`[composefs]` of ostree-prepare-root(1), `[ex-integrity]` of a repository), and what is done about it.
//!
//! With composefs, ostree makes the image of a deployment with layers as of any other, when it deploys it. Where its files are to have
//! fs-verity, those that are written here get it as ostree gives it (`_ostree_tmpf_fsverity`); what the base has itself is ostree's business. But
//! where the image is to be signed, nobody here has the key.

use std::path::Path;

use super::error::Error;
use super::keyfile::KeyFile;
use super::repo::Repository;
use crate::layer::Lower;
use crate::sys::{Context, IoError, Root, Verity, verity_of};

/// Where a base has its settings for booting; the first that is there counts.
const PLACES: [&str; 2] = ["usr/etc/ostree/prepare-root.conf", "usr/lib/ostree/prepare-root.conf"];

/// What the kernel is told instead.
const OPTION: &str = "ostree.prepare-root.composefs=";

/// More than it has.
const LARGEST: u64 = 1 << 20;

/// What is demanded, and cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// That the image of a deployment is signed.
    Signature,
    /// That files have fs-verity, by the base, on a file system without it.
    Verity,
    /// The same, by the repository.
    VerityOfObjects,
    /// The same, by a base whose own files have none.
    VerityOfBase,
}

/// Whether files that are written are to have fs-verity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sealing {
    #[default]
    No,
    /// Where the file system can do it.
    Maybe,
    Yes,
}

/// What a base demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfBase {
    Nothing,
    Verity,
    Signature,
}

impl Sealing {
    /// As a repository's settings have it. What makes no sense ostree refuses itself.
    pub(super) fn of(file: &KeyFile) -> Sealing {
        let sealing = |key| file.get("ex-integrity", key).as_deref().and_then(tristate);
        let by_default = match sealing("composefs") {
            None | Some(Sealing::No) => Sealing::No,
            Some(_) => Sealing::Maybe,
        };
        match sealing("fsverity").unwrap_or(by_default) {
            // What these settings were called before.
            Sealing::No if file.flag("ex-fsverity", "required") == Some(true) => Sealing::Yes,
            Sealing::No if file.flag("ex-fsverity", "opportunistic") == Some(true) => Sealing::Maybe,
            sealing => sealing,
        }
    }
}

/// What is done with files of layers on a base. Refuses where they would not do, whatever is done. `options` are what the kernel of deployments is told.
pub(super) fn sealing(repository: &Repository, lower: &Lower, options: &str) -> Result<Sealing, Error> {
    let refused = |demand| Err(Error::Demanding { demand });
    let wanted = repository.settings().sealing;
    let found = settings(lower)?;
    let of_base = found
        .as_ref()
        .map_or_else(|| of_base(&KeyFile::default(), options), |found| of_base(&found.file, options));
    match of_base {
        OfBase::Signature => return refused(Demand::Signature),
        OfBase::Nothing if wanted != Sealing::Yes => return Ok(wanted),
        _ => {}
    }
    let is_possible = repository.verity()? != Verity::Impossible;
    match (of_base, &found) {
        (OfBase::Verity, _) if !is_possible => refused(Demand::Verity),
        (OfBase::Verity, Some(found)) if found.verity != Verity::On => refused(Demand::VerityOfBase),
        (_, _) if !is_possible => refused(Demand::VerityOfObjects),
        _ => Ok(Sealing::Yes),
    }
}

/// Yes, no, or maybe (`_ostree_parse_tristate`).
fn tristate(text: &str) -> Option<Sealing> {
    match text {
        "yes" | "true" | "1" => Some(Sealing::Yes),
        "no" | "false" | "0" => Some(Sealing::No),
        "maybe" => Some(Sealing::Maybe),
        _ => None,
    }
}

fn of_base(file: &KeyFile, options: &str) -> OfBase {
    let of_file = match file.get("composefs", "enabled").as_deref() {
        Some("signed") => OfBase::Signature,
        Some("verity") => OfBase::Verity,
        _ => OfBase::Nothing,
    };
    match options.split_ascii_whitespace().find_map(|option| option.strip_prefix(OPTION)) {
        Some("signed") => OfBase::Signature,
        Some(other) if tristate(other) == Some(Sealing::No) => OfBase::Nothing,
        // It takes back that there must be a signature, and no more.
        Some(_) if of_file == OfBase::Signature => OfBase::Verity,
        _ => of_file,
    }
}

/// A base's settings for booting.
struct Settings {
    file: KeyFile,
    /// That of the file itself, which is an object as any other of the base.
    verity: Verity,
}

fn settings(lower: &Lower) -> Result<Option<Settings>, IoError> {
    for place in PLACES.map(Path::new) {
        for root in lower.above.iter().chain([&lower.tree]) {
            match root.read(place, LARGEST) {
                Err(error) if error.is_not_found() => {}
                bytes => {
                    let text = String::from_utf8_lossy(&bytes?).into_owned();
                    // What makes no sense ostree refuses itself.
                    let file = KeyFile::parse(&text).unwrap_or_default();
                    return Ok(Some(Settings { file, verity: verity(root, place)? }));
                }
            }
        }
    }
    Ok(None)
}

/// How it stands with a file below.
pub(super) fn verity(root: &Root, path: &Path) -> Result<Verity, IoError> {
    verity_of(&root.open_file(path)?).context("look for fs-verity of", root.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> KeyFile {
        KeyFile::parse(text).expect("settings")
    }

    #[test]
    fn composefs_alone_demands_nothing() {
        let demand = |text: &str| of_base(&file(text), "rw quiet");
        for fine in
            ["", "[composefs]\nenabled=yes\n", "[composefs]\nenabled=maybe\n", "[sysroot]\nenabled=signed\n"]
        {
            assert_eq!(demand(fine), OfBase::Nothing, "{fine}");
        }
        assert_eq!(demand("[composefs]\nenabled=signed\n"), OfBase::Signature);
        assert_eq!(demand("[composefs]\nenabled = verity\n"), OfBase::Verity);
    }

    #[test]
    fn what_the_kernel_is_told_comes_before_that() {
        let demand = |enabled: &str, option: &str| {
            of_base(&file(&format!("[composefs]\nenabled={enabled}\n")), &format!("rw {OPTION}{option}"))
        };
        assert_eq!(demand("verity", "0"), OfBase::Nothing);
        assert_eq!(demand("verity", "1"), OfBase::Verity);
        assert_eq!(demand("signed", "maybe"), OfBase::Verity);
        assert_eq!(demand("no", "signed"), OfBase::Signature);
    }

    #[test]
    fn a_repository_says_whether_files_get_it() {
        let sealing = |text: &str| Sealing::of(&file(text));
        for (text, expected) in [
            ("[core]\n", Sealing::No),
            ("[ex-integrity]\nfsverity=yes\n", Sealing::Yes),
            ("[ex-integrity]\nfsverity=maybe\n", Sealing::Maybe),
            ("[ex-integrity]\ncomposefs=true\n", Sealing::Maybe),
            ("[ex-integrity]\ncomposefs=yes\nfsverity=no\n", Sealing::No),
            ("[ex-integrity]\nfsverity=no\n[ex-fsverity]\nrequired=true\n", Sealing::Yes),
            ("[ex-fsverity]\nopportunistic=true\n", Sealing::Maybe),
        ] {
            assert_eq!(sealing(text), expected, "{text}");
        }
    }
}
