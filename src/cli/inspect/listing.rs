//! The files of an image, one line each.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Serialize, Serializer};

use super::time;
use crate::cli::output::{self, JsonPath};
use crate::cli::report::Error;
use crate::image::file_system::{FileSystem, Found, walk};
use crate::image::tree::{Device, Kind};
use crate::sys::{FileKind, Xattrs, capability_names};

/// One name, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    path: Bytes,
    kind: FileKind,
    /// Permissions, in octal.
    mode: String,
    uid: u32,
    gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    mtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
}

/// A path or target; no text where it is no UTF-8.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        JsonPath::from(self.path()).serialize(serializer)
    }
}

/// All names but that of the top directory.
pub(super) fn rows(image: &dyn FileSystem, path: &Path) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    walk(image, path, |path, found| -> Result<(), Error> {
        if !path.is_empty() {
            rows.push(row(path, found, &image.xattrs(found)?));
        }
        Ok(())
    })?;
    Ok(rows)
}

fn row(path: &[u8], found: &Found, xattrs: &Xattrs) -> Row {
    let Found { mode, uid, gid, mtime, .. } = *found;
    let mut row = Row {
        path: Bytes(path.to_vec()),
        kind: FileKind::Fifo,
        mode: format!("{mode:04o}"),
        uid,
        gid,
        size: None,
        mtime: time(mtime),
        target: None,
        device: None,
        xattrs: xattrs.0.iter().map(|(name, value)| shown(name, value)).collect(),
    };
    let number = |device: Device| Some(format!("{},{}", device.major, device.minor));
    match &found.kind {
        Kind::Directory(_) => row.kind = FileKind::Directory,
        Kind::File(size) => (row.kind, row.size) = (FileKind::File, Some(*size)),
        Kind::Symlink(target) => {
            (row.kind, row.target) = (FileKind::Symlink, Some(Bytes(target.clone())));
        }
        Kind::CharacterDevice(device) => {
            (row.kind, row.device) = (FileKind::CharDevice, number(*device));
        }
        Kind::BlockDevice(device) => (row.kind, row.device) = (FileKind::BlockDevice, number(*device)),
        Kind::Fifo => {}
        Kind::Socket => row.kind = FileKind::Socket,
    }
    row
}

/// An attribute as people read it: text, or bytes in hexadecimal; capabilities as getcap(8) has them.
fn shown(name: &[u8], value: &[u8]) -> (String, String) {
    let capabilities = if name == b"security.capability" { capabilities(value) } else { None };
    let text = std::str::from_utf8(value).ok().map(|text| text.strip_suffix('\0').unwrap_or(text));
    let plain = text.filter(|text| !text.contains(char::is_control)).map(str::to_owned);
    let hex = || value.iter().fold("0x".to_owned(), |hex, byte| hex + &format!("{byte:02x}"));
    (String::from_utf8_lossy(name).into_owned(), capabilities.or(plain).unwrap_or_else(hex))
}

/// File capabilities of revision 2 and 3 (linux/capability.h, struct vfs_cap_data), as cap_to_text(3) writes them where all
/// that are permitted are treated alike.
fn capabilities(value: &[u8]) -> Option<String> {
    let words: Vec<u32> = value.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let (&[magic, low, low_inherited, high, high_inherited, ..], 20 | 24) = (&words[..], value.len()) else {
        return None;
    };
    let set = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let (permitted, inherited) = (set(low, high), set(low_inherited, high_inherited));
    let effective = if magic & 1 == 1 { "e" } else { "" };
    let parts = [
        (permitted & !inherited, format!("{effective}p")),
        (permitted & inherited, format!("{effective}ip")),
        (inherited & !permitted, "i".to_owned()),
    ];
    let parts = parts.iter().filter(|(set, _)| *set != 0);
    let text: Vec<String> =
        parts.map(|(set, flags)| format!("{}={flags}", capability_names(*set).join(","))).collect();
    Some(text.join(" "))
}

/// The listing as `ls -l` has it.
pub(super) fn text(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    output::table(&cells)
}

fn cells(row: &Row) -> Vec<String> {
    let size = row.device.clone().or_else(|| row.size.map(|size| size.to_string())).unwrap_or_default();
    let mut name = output::path(row.path.path());
    if row.kind == FileKind::Directory {
        name.push('/');
    }
    if let Some(target) = &row.target {
        name.push_str(&format!(" -> {}", output::path(target.path())));
    }
    for (attribute, value) in &row.xattrs {
        name.push_str(&format!("  {}={}", output::visible(attribute), output::visible(value)));
    }
    let time = row.mtime.trim_end_matches('Z').replace('T', " ");
    vec![permissions(row), format!("{}:{}", row.uid, row.gid), format!("{size:>9}"), time, name]
}

/// `-rwsr-xr-x` and the like.
fn permissions(row: &Row) -> String {
    let mode = u32::from_str_radix(&row.mode, 8).expect("we wrote it in octal");
    let kind = match row.kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        FileKind::CharDevice => 'c',
        FileKind::BlockDevice => 'b',
        FileKind::Fifo => 'p',
        FileKind::Socket => 's',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_told_as_libcap_does() {
        let value = |magic: u32, words: [u32; 4]| {
            let numbers = [magic, words[0], words[1], words[2], words[3]];
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()
        };
        for (value, expected) in [
            (value(0x0200_0001, [0x2000, 0, 0, 0]), Some("cap_net_raw=ep")),
            (
                value(0x0200_0000, [0x3000, 0x1000, 0x100, 0]),
                Some("cap_net_raw,cap_checkpoint_restore=p cap_net_admin=ip"),
            ),
            (value(0x0200_0000, [0, 1, 0, 1 << 31]), Some("cap_chown,63=i")),
            (b"short".to_vec(), None),
        ] {
            assert_eq!(capabilities(&value).as_deref(), expected);
        }
    }

    #[test]
    fn values_are_shown_on_their_line() {
        for (value, expected) in
            [(&b"bin_t:s0\0"[..], "bin_t:s0"), (b"a\nb", "0x610a62"), (b"\xff", "0xff"), (b"", "")]
        {
            assert_eq!(shown(b"user.x", value).1, expected);
        }
    }
}
