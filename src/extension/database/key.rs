//! What a merged database was made from, in short: with the same, it need not be made again.

use super::records::Records;
use super::site::Site;
use crate::host::Host;
use crate::package::Identity;

/// Goes up when the same is made into something else.
const FORMAT: &str = "1";

/// The name under which what is made of these is kept.
///
/// The base's database is told by its base, and by size, time and number of its file: files of OSTree's deployments have no
/// times, but different ones have different numbers.
pub(super) fn key(host: &Host, site: &Site, images: &[(&str, Records)]) -> String {
    let base = host.base();
    let number = host.root.stat(&site.system.database).map(|stat| stat.st_ino).unwrap_or_default();
    let mut text = format!(
        "{FORMAT} {}\n{}\n{} {number}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        base.id,
        base.packages.unwrap_or_default(),
        site.directory.display()
    );
    for (name, records) in images {
        let identity = records.identity.map(|identity| identity.to_string()).unwrap_or_default();
        text.push_str(&format!("{name} {identity}\n"));
    }
    Identity::of(text.as_bytes()).to_string()[..LENGTH].to_owned()
}

/// Digits enough that no two are ever the same.
const LENGTH: usize = 32;
