//! fstab(5): what is mounted over directories of a snapshot when it is booted.

use std::path::{Path, PathBuf};

use crate::sys::{IoError, Root};

/// Where it is.
const PLACE: &str = "etc/fstab";

/// More than any machine has.
const LARGEST: u64 = 1 << 20;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it is mounted, from the root.
    pub(super) place: PathBuf,
    /// The kind of file system.
    pub(super) kind: String,
}

/// All lines about directories; none where there is no such file.
pub(super) fn read(root: &Root) -> Result<Vec<Line>, IoError> {
    match root.read(PLACE, LARGEST) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        bytes => Ok(parse(&String::from_utf8_lossy(&bytes?))),
    }
}

fn parse(text: &str) -> Vec<Line> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.filter_map(line).collect()
}

fn line(text: &str) -> Option<Line> {
    let mut fields = text.split_whitespace().skip(1);
    let place = unescaped(fields.next()?);
    let kind = fields.next()?.to_owned();
    let place = Path::new(&place).strip_prefix("/").ok()?.to_owned();
    Some(Line { place, kind })
}

/// Blanks in names are written as octal numbers.
fn unescaped(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_is_mounted_where() {
        let text = "# a comment\nUUID=1 / btrfs ro 0 0\n\nUUID=1\t/var  btrfs subvol=/@/var,x-initrd.mount 0 0\n\
                    overlay /etc overlay defaults,lowerdir=/sysroot/etc 0 0\nUUID=2 none swap sw 0 0\nx /a\\040b ext4\n";
        let found = parse(text);
        let rows: Vec<(&str, &str)> =
            found.iter().map(|line| (line.place.to_str().unwrap_or_default(), &*line.kind)).collect();
        assert_eq!(rows, [("", "btrfs"), ("var", "btrfs"), ("etc", "overlay"), ("a b", "ext4")]);
    }
}
