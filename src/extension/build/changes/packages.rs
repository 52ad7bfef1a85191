//! The packages of an overlay, as a manifest tells them: by its own database, which has their headers and stanzas.

use std::path::Path;
use std::time::Duration;

use crate::extension::build::error::Error;
use crate::extension::build::manifest::PackageNote;
use crate::extension::build::records::Records;
use crate::overlay::Packages;
use crate::package::Identity;
use crate::package::header::{Header, tag};
use crate::pkgdb::compare::Difference;
use crate::pkgdb::{self, AnyDatabase, Package, Place};
use crate::sys::Root;

/// How long to wait for who changes a database.
const PATIENCE: Duration = Duration::from_secs(2);

/// Notes of what the view has and the base lacks, or has otherwise, by name; and what a database is to have of them where the
/// extension is merged. `there` says which files are there then, by their paths from the root, without a slash before.
pub(super) fn notes(
    view: &Root,
    packages: &Packages,
    there: &dyn Fn(&Path) -> bool,
) -> Result<(Vec<PackageNote>, Records), Error> {
    let compared = packages.changes();
    // Keys of signers are packages in rpm's database, and have no architecture.
    let news: Vec<&Package> = compared
        .iter()
        .filter_map(|compared| compared.new)
        .filter(|package| !package.arch.is_empty())
        .collect();
    if news.is_empty() {
        return Ok(Default::default());
    }
    let Some(place) = Place::in_root(view)? else { return Ok(Default::default()) };
    let database = place.open(PATIENCE)?;
    let mut records = Records::default();
    let mut notes = Vec::new();
    for package in news {
        notes.push(note(&database, package)?);
        record(&database, package, there, &mut records)?;
    }
    notes.sort_by(|a, b| (&a.name, &a.architecture, &a.version).cmp(&(&b.name, &b.architecture, &b.version)));
    Ok((notes, records))
}

fn record(
    database: &AnyDatabase,
    package: &Package,
    there: &dyn Fn(&Path) -> bool,
    records: &mut Records,
) -> Result<(), Error> {
    match database {
        AnyDatabase::Rpm(database) => database.each_named(&package.name, &mut |_, blob| {
            if Identity::of(blob) == package.identity {
                records.add_installed_rpm(blob, there);
            }
            Ok(())
        })?,
        AnyDatabase::Dpkg(database) => {
            if let Some(entry) = database.present().find(|entry| entry.package() == *package) {
                records.add_installed_deb(entry, |kind| database.info_file(entry, kind), there)?;
            }
        }
    }
    Ok(())
}

fn note(database: &AnyDatabase, package: &Package) -> Result<PackageNote, pkgdb::Error> {
    let mut note = PackageNote {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.arch.clone(),
        source: package.name.clone(),
        ..PackageNote::default()
    };
    match database {
        AnyDatabase::Rpm(database) => database.each_named(&package.name, &mut |_, blob| {
            if let (Ok(header), true) = (Header::parse(blob), Identity::of(blob) == package.identity) {
                note.license = header.text(tag::LICENSE).map(std::borrow::Cow::into_owned);
                if let Some(source) = header.text(tag::SOURCE_RPM) {
                    note.source = source.into_owned();
                }
            }
            Ok(())
        })?,
        AnyDatabase::Dpkg(database) => {
            let entry = database.present().find(|entry| entry.package() == *package);
            let source = entry.and_then(|entry| entry.stanza.text("Source"));
            if let Some(source) = source {
                // Where the source has another version, that stands behind it in parentheses.
                source.split(" (").next().unwrap_or_default().clone_into(&mut note.source);
            }
        }
    }
    Ok(note)
}

/// Packages that hide another version of the base's, in words.
pub(super) fn replaced(packages: &Packages) -> Vec<String> {
    let is_other = |difference| matches!(difference, Difference::Upgraded | Difference::Downgraded);
    let words = |old: &Package, new: &Package| format!("{} {} by {}", new.name, old.version, new.version);
    let compared = packages.changes();
    let pairs = compared.iter().filter(|compared| is_other(compared.difference));
    pairs.filter_map(|compared| Some(words(compared.old?, compared.new?))).collect()
}

/// Packages that the base has and the view has not.
pub(super) fn removed(packages: &Packages) -> Vec<String> {
    let compared = packages.changes();
    let removed = compared.iter().filter(|compared| compared.difference == Difference::Removed);
    removed.map(|compared| compared.package().name.clone()).collect()
}
