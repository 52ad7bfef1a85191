//! The mounts of a namespace, as proc_pid_mountinfo(5) lists them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{Context, IoError, MountFlags, Pid};

/// One line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Unique while it lasts.
    pub id: u64,
    /// The mount it lies on; of the root, one that is not listed.
    pub parent: u64,
    /// Device number of the file system, "major:minor".
    pub device: String,
    /// The directory (or file) of the file system that is mounted.
    pub root: PathBuf,
    /// Where it is mounted, seen from the process's root.
    pub point: PathBuf,
    /// Flags of the mount.
    pub options: String,
    /// Whether what is mounted on it in another namespace arrives here, and not the other way (mount_namespaces(7)).
    pub is_slave: bool,
    /// Kind of file system, such as `ext4` or `fuse.sshfs`.
    pub kind: String,
    /// What was mounted: a device, a share, or a word.
    pub source: OsString,
    /// Options of the file system itself.
    pub super_options: String,
}

impl Mount {
    /// The flags that a mount over this one should copy.
    pub fn flags(&self) -> MountFlags {
        MountFlags::parse(&self.options)
    }

    /// Whether neither the mount nor its file system is read-only.
    pub fn is_writable(&self) -> bool {
        let read_only = |options: &str| options.split(',').any(|option| option == "ro");
        !read_only(&self.options) && !read_only(&self.super_options)
    }

    /// The value of a `key=value` option of the file system, with the kernel's escapes undone.
    pub fn super_option(&self, key: &str) -> Option<OsString> {
        self.super_options
            .split(',')
            .find_map(|option| option.strip_prefix(key)?.strip_prefix('='))
            .map(|value| unescape(value.as_bytes()))
    }

    fn parse(line: &str) -> Option<Mount> {
        let (first, second) = line.split_once(" - ")?;
        let mut fields = first.split(' ');
        let id = fields.next()?.parse().ok()?;
        let parent = fields.next()?.parse().ok()?;
        let device = fields.next()?.to_owned();
        let root = unescape(fields.next()?.as_bytes()).into();
        let point = unescape(fields.next()?.as_bytes()).into();
        let options = fields.next()?.to_owned();
        let is_slave = fields.any(|field| field.starts_with("master:"));
        let mut fields = second.split(' ');
        let kind = fields.next()?.to_owned();
        let source = unescape(fields.next()?.as_bytes());
        let super_options = fields.next().unwrap_or_default().to_owned();
        Some(Mount { id, parent, device, root, point, options, is_slave, kind, source, super_options })
    }
}

/// All mounts of a namespace, with the way a path lookup goes through them.
#[derive(Debug, Clone)]
pub struct MountTable {
    mounts: Vec<Mount>,
    /// (mount below, path) to the mount that lies on it there.
    upon: HashMap<(u64, PathBuf), usize>,
    root: Option<usize>,
    /// For each mount, whether a lookup of its mount point ends on it.
    visible: Vec<bool>,
}

impl MountTable {
    /// The mounts that this thread sees: one that has left for a namespace of its own sees others than its process.
    pub fn read() -> Result<MountTable, IoError> {
        Self::read_from("/proc/thread-self/mountinfo")
    }

    /// The mounts that another process sees.
    pub fn seen_by(pid: Pid) -> Result<MountTable, IoError> {
        Self::read_from(&format!("/proc/{pid}/mountinfo"))
    }

    fn read_from(path: &str) -> Result<MountTable, IoError> {
        let mut text = Vec::with_capacity(16 * 1024);
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text)).context("read", path)?;
        Ok(MountTable::parse(&escape(&text)))
    }

    /// Parses mountinfo text; lines that do not fit the format are passed over.
    pub fn parse(text: &str) -> MountTable {
        Self::of(text.lines().filter_map(Mount::parse).collect())
    }

    fn of(mounts: Vec<Mount>) -> MountTable {
        let upon = mounts
            .iter()
            .enumerate()
            .map(|(index, mount)| ((mount.parent, mount.point.clone()), index))
            .collect();
        let ids: std::collections::HashSet<u64> = mounts.iter().map(|mount| mount.id).collect();
        let root = mounts.iter().position(|mount| {
            mount.point == Path::new("/") && (!ids.contains(&mount.parent) || mount.parent == mount.id)
        });
        let mut table = MountTable { mounts, upon, root, visible: Vec::new() };
        let is_visible = |mount: &Mount| table.at(&mount.point).is_some_and(|top| top.id == mount.id);
        table.visible = table.mounts.iter().map(is_visible).collect();
        table
    }

    /// Every mount, also those that others hide.
    pub fn all(&self) -> &[Mount] {
        &self.mounts
    }

    /// The mount that a lookup of a canonical path ends on.
    pub fn at(&self, path: &Path) -> Option<&Mount> {
        let mut current = self.topmost(self.root?, Path::new("/"));
        let mut prefix = PathBuf::from("/");
        for part in path.components().skip(1) {
            prefix.push(part);
            if let Some(&above) = self.upon.get(&(self.mounts[current].id, prefix.clone())) {
                current = self.topmost(above, &prefix);
            }
        }
        Some(&self.mounts[current])
    }

    /// Like [`MountTable::at`], as if no other mounts were there than these: what lies under those.
    pub fn at_among(&self, path: &Path, is_there: impl Fn(&Mount) -> bool) -> Option<&Mount> {
        let mounts = self.mounts.iter().filter(|mount| is_there(mount)).cloned().collect();
        let id = MountTable::of(mounts).at(path)?.id;
        self.mounts.iter().find(|mount| mount.id == id)
    }

    /// The mounts at or below a directory that a lookup reaches, parents before children.
    pub fn visible_below(&self, directory: &Path) -> Vec<&Mount> {
        let mut found: Vec<&Mount> = self
            .mounts
            .iter()
            .zip(&self.visible)
            .filter(|(mount, visible)| **visible && mount.point.starts_with(directory))
            .map(|(mount, _)| mount)
            .collect();
        found.sort_by(|a, b| a.point.cmp(&b.point));
        found
    }

    fn topmost(&self, mut index: usize, point: &Path) -> usize {
        // Each step goes to a mount that lies on the one before; the bound only stops a table that
        // is not a tree.
        for _ in 0..self.mounts.len() {
            match self.upon.get(&(self.mounts[index].id, point.to_owned())) {
                Some(&above) if above != index => index = above,
                _ => break,
            }
        }
        index
    }
}

/// Makes text of any bytes, by the kernel's own escapes for those that are none.
fn escape(bytes: &[u8]) -> String {
    let octal = |bits: u8| char::from(b'0' + (bits & 7));
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.extend(['\\', octal(byte >> 6), octal(byte >> 3), octal(*byte)]);
        }
    }
    text
}

/// Undoes the octal escapes that the kernel writes for space, tab, newline, `#` and backslash.
fn unescape(text: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let code =
            tail.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        if let Some(digits) = code {
            let value = digits.iter().fold(0u32, |sum, digit| sum * 8 + u32::from(digit - b'0'));
            bytes.push((value & 0xff) as u8);
            rest = &tail[3..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
22 27 0:21 / /proc rw,nosuid - proc proc rw
30 27 8:1 /@/var /var ro,nodev shared:1 master:2 - btrfs /dev/sda1 rw,subvol=/@/var
31 30 8:2 / /var/lib/my\\040disk rw - xfs /dev/sdb rw
32 27 0:50 / /var rw - tmpfs tmpfs ro
33 32 0:51 / /var rw - overlay over rw,lowerdir=/a\\072b:/c,upperdir=/u
";

    #[test]
    fn a_line_is_read_field_by_field() {
        let table = MountTable::parse(TABLE);
        let var = &table.all()[2];
        assert_eq!((var.id, var.parent, var.kind.as_str()), (30, 27, "btrfs"));
        assert_eq!(var.root, Path::new("/@/var"));
        assert!(var.flags().read_only && var.flags().no_dev && !var.flags().no_suid);
        assert!(!var.is_writable());
        assert_eq!(table.all()[3].point, Path::new("/var/lib/my disk"));
    }

    #[test]
    fn escapes_in_options_are_undone() {
        let table = MountTable::parse(TABLE);
        assert_eq!(table.all()[5].super_option("lowerdir").expect("there"), "/a:b:/c");
        assert_eq!(table.all()[5].super_option("workdir"), None);
    }

    #[test]
    fn a_lookup_ends_on_the_topmost_mount() {
        // 32 lies on the root at /var only if 30 was covered: here both claim the place, and the
        // later line is what the kernel would reach.
        let table = MountTable::parse(TABLE);
        assert_eq!(table.at(Path::new("/var/lib/x")).expect("there").id, 33);
        assert_eq!(table.at(Path::new("/usr/bin")).expect("there").id, 27);
        assert_eq!(table.at(Path::new("/proc/1")).expect("there").id, 22);
    }

    #[test]
    fn hidden_mounts_are_left_out() {
        let table = MountTable::parse(TABLE);
        let points: Vec<u64> = table.visible_below(Path::new("/")).iter().map(|mount| mount.id).collect();
        assert_eq!(points, [27, 22, 33]);
    }

    #[test]
    fn a_name_may_be_any_bytes() {
        let table = MountTable::parse(&escape(b"1 0 0:1 / /a\xff\\040\xc3\xa4 rw - tmpfs x rw\n"));
        assert_eq!(table.all()[0].point.as_os_str().as_encoded_bytes(), b"/a\xff \xc3\xa4");
    }

    #[test]
    fn nonsense_is_passed_over() {
        let table = MountTable::parse("x\n1 2 3\n - - -\n");
        assert!(table.all().is_empty());
        assert!(table.at(Path::new("/")).is_none());
    }
}
