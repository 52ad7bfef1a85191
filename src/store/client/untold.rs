//! Stores of others, who list only digests (`SHA256SUMS`): names tell the extension, its version and its architecture, all
//! else is known when an image has come.

use std::time::{Duration, UNIX_EPOCH};

use super::StoreError;
use super::catalog::{Asking, Checked};
use super::record::Record;
use crate::fetch::Small;
use crate::package::Identity;
use crate::store::index::Entry;
use crate::store::name::ImageName;
use crate::store::sums::{SUMS, Sums};

/// Where a signature is that others make, in the order in which it is looked for: systemd 257 and later, and before.
const SIGNATURES: [&str; 4] =
    ["SHA256SUMS.gpg", "SHA256SUMS.asc", "SHA256SUMS.sha256.asc", "SHA256SUMS.sha256.gpg"];
/// Where the signature is kept that was good.
pub(super) const KEPT_SIGNATURE: &str = "SHA256SUMS.signature";
/// Signatures by a few keys.
pub(super) const LARGEST_SIGNATURE: u64 = 256 << 10;
/// A list of a hundred thousand files is smaller.
const LARGEST: u64 = 32 << 20;
/// What an entry is called by which a list expires (systemd 260).
const BEST_BEFORE: &str = "BEST-BEFORE-";

/// Asks for the list, and its signature.
pub(super) fn ask(asking: &Asking<'_>, record: &Record) -> Result<Checked, StoreError> {
    let (bytes, validator) = match asking.source.read(SUMS, LARGEST, None) {
        Ok(Small::Read(bytes, validator)) => (bytes, validator),
        Ok(Small::Unchanged) => unreachable!("nothing was known of it"),
        Err(error) if error.is_not_there() => return Err(StoreError::None(record.address.clone())),
        Err(error) => return Err(error.into()),
    };
    let signature = signature(asking)?;
    let checked = check(asking, &bytes, signature.as_deref())?;
    if let (Some(signed), Some(seen)) = (checked.signed, record.signed)
        && signed < seen
    {
        return Err(StoreError::OlderList { signed: moment(signed), seen: moment(seen) });
    }
    if let Some(signature) = &signature {
        asking.kept.put(KEPT_SIGNATURE, signature)?;
    }
    let record = Record { signed: checked.signed.max(record.signed), ..record.clone() };
    asking.keep(SUMS, &bytes, validator, 0, &record)?;
    Ok(checked)
}

/// The signature under one of its names; nothing where none is needed, or there.
fn signature(asking: &Asking<'_>) -> Result<Option<Vec<u8>>, StoreError> {
    if asking.store.signature == super::Signature::None {
        return Ok(None);
    }
    for name in SIGNATURES {
        match asking.source.read(name, LARGEST_SIGNATURE, None) {
            Ok(Small::Read(bytes, _)) => return Ok(Some(bytes)),
            Ok(Small::Unchanged) => {}
            Err(error) if error.is_not_there() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Checks a list.
pub(super) fn check(
    asking: &Asking<'_>,
    bytes: &[u8],
    signature: Option<&[u8]>,
) -> Result<Checked, StoreError> {
    let signer = asking.check_signatures(SUMS, bytes, signature.into_iter())?;
    let sums = Sums::parse(bytes)?;
    // Of several days, the first one counts.
    let best_before =
        sums.0.keys().filter_map(|name| name.strip_prefix(BEST_BEFORE)).min().map(str::to_owned);
    if let Some(day) = &best_before {
        asking.check_day(day)?;
    }
    let entries = sums.0.iter().filter_map(|(file, digest)| entry(file, *digest)).collect();
    let signed = signature.and_then(|signature| asking.signed_at(bytes, signature));
    Ok(Checked { entries, signer, best_before, serial: 0, signed })
}

/// A moment in seconds since 1970, as people read it.
fn moment(seconds: u64) -> String {
    // The crate knows no days after 9999.
    let moment = UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799));
    humantime::format_rfc3339_seconds(moment).to_string().replace('T', " ").replace('Z', " UTC")
}

/// What the name of an image tells; nothing of other files.
fn entry(file: &str, digest: Identity) -> Option<Entry> {
    let (ImageName { name, version, architecture }, _) = ImageName::parse_packed(file.rsplit('/').next()?)?;
    let sha256 = digest.to_string();
    Some(Entry {
        file: file.to_owned(),
        sha256,
        name: name.to_string(),
        version,
        architecture,
        ..Entry::default()
    })
}
