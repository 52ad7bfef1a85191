//! What packages have put below /var, which is the machine's own: directories and links become lines of tmpfiles.d(5), which
//! make them at boot where they are missing; what they have in /var/opt moves below /usr. Files stay out.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::layer::Error;
use crate::sys::{FileKind, Root};

/// What is to be made of a /var.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Var {
    /// Lines for tmpfiles.d(5).
    pub(super) lines: String,
    /// Names in /var/opt that move to [`OPT`].
    pub(super) opt: Vec<OsString>,
    /// Files that are not in the deployment, by their paths from the root, without those of logs and caches.
    pub(super) left_out: Vec<PathBuf>,
}

/// Where what packages have in /opt is kept in a deployment (file-hierarchy(7) has no place for it; rpm-ostree takes this one).
pub(super) const OPT: &str = "/usr/lib/opt";

/// What package managers have there for themselves.
const THEIRS: &[&str] = &[
    "backups",
    "cache/apt",
    "cache/debconf",
    "cache/dnf",
    "cache/ldconfig",
    "cache/libdnf5",
    "cache/zypp",
    "lib/apt",
    "lib/dnf",
    "lib/dpkg",
    "lib/rpm",
    "lib/systemd/deb-systemd-helper-enabled",
    "lib/systemd/deb-systemd-helper-masked",
    "lib/systemd/deb-systemd-user-helper-enabled",
    "lib/ucf",
    "lib/zypp",
    "log/apt",
    "log/zypp",
    "tmp",
];

/// Where files are worth nothing to others.
const WORTHLESS: &[&str] = &["cache", "log", "spool", "tmp"];

/// Reads the layer of /var. What is in `primed` (paths from /var) was there before.
pub(super) fn read(layer: &Root, primed: &BTreeSet<PathBuf>) -> Result<Var, Error> {
    let mut var = Var::default();
    let mut ahead = vec![PathBuf::new()];
    while let Some(directory) = ahead.pop() {
        let mut entries = layer.open_dir(&directory)?.entries()?;
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        for entry in entries {
            let path = directory.join(&entry.name);
            if THEIRS.iter().any(|place| path == Path::new(place)) {
                continue;
            }
            if path.parent() == Some(Path::new("opt")) && !primed.contains(&path) {
                var.opt.push(entry.name);
                continue;
            }
            if let Some(below) = take(layer, &path, primed, &mut var)? {
                ahead.push(below);
            }
        }
    }
    var.opt.sort();
    for name in &var.opt {
        let _ = writeln!(var.lines, "L /var/opt/{0} - - - - {OPT}/{0}", escaped(Path::new(name)));
    }
    var.left_out.sort();
    Ok(var)
}

/// Takes one entry; a directory is returned, to be looked into.
fn take(
    layer: &Root,
    path: &Path,
    primed: &BTreeSet<PathBuf>,
    var: &mut Var,
) -> Result<Option<PathBuf>, Error> {
    let Some(stat) = layer.lstat_exact(path)? else { return Ok(None) };
    let is_new = !primed.contains(path);
    let place = escaped(&Path::new("/var").join(path));
    match FileKind::of(&stat) {
        FileKind::Directory => {
            if is_new {
                let mode = stat.st_mode & 0o7777;
                let _ = writeln!(var.lines, "d {place} {mode:04o} {} {} - -", stat.st_uid, stat.st_gid);
            }
            return Ok(Some(path.to_owned()));
        }
        FileKind::Symlink if is_new => {
            let target = layer.read_link_exact(path)?;
            let _ = writeln!(var.lines, "L {place} - - - - {}", escaped(Path::new(&target)));
        }
        FileKind::File if !WORTHLESS.iter().any(|place| path.starts_with(place)) => {
            var.left_out.push(Path::new("/var").join(path));
        }
        _ => {}
    }
    Ok(None)
}

/// Paths that a step has printed, each with a zero after it, below `./`.
pub(super) fn primed(bytes: &[u8]) -> BTreeSet<PathBuf> {
    let paths = bytes.split(|&byte| byte == 0).filter_map(|path| path.strip_prefix(b"./"));
    paths.map(|path| PathBuf::from(OsString::from_vec(path.to_vec()))).collect()
}

/// A path as tmpfiles.d(5) reads it: words end with a space, `%` begins a specifier, and escapes are those of C.
pub(super) fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for &byte in OsStr::as_bytes(path.as_os_str()) {
        match byte {
            b'%' => text.push_str("%%"),
            b'!'..=b'~' if byte != b'\\' && byte != b'"' && byte != b'\'' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn directories_and_links_are_made_at_boot_and_files_are_left_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |path: &str| dir.path().join(path);
        for path in ["lib/apt/lists", "lib/app/a b", "lib/misc", "log/app", "opt/vendor/bin", "cache"] {
            fs::create_dir_all(at(path)).expect("ours");
        }
        fs::set_permissions(at("lib/app"), fs::Permissions::from_mode(0o2750)).expect("ours");
        for path in ["lib/app/state", "log/app/log", "cache/x", "lib/apt/lists/x", "opt/vendor/bin/x"] {
            fs::write(at(path), "x").expect("ours");
        }
        symlink("/etc/app", at("lib/app/link")).expect("ours");
        let primed = primed(b".\0./lib\0./lib/misc\0./log\0./opt\0./cache\0");
        let var = read(&Root::open(dir.path()).expect("it opens"), &primed).expect("it can be read");
        let stat = rustix::fs::stat(dir.path()).expect("ours");
        let (uid, gid) = (stat.st_uid, stat.st_gid);
        let lines: Vec<&str> = var.lines.lines().collect();
        assert!(lines.contains(&&*format!("d /var/lib/app 2750 {uid} {gid} - -")), "{lines:?}");
        assert!(lines.contains(&&*format!("d /var/lib/app/a\\x20b 0755 {uid} {gid} - -")), "{lines:?}");
        assert!(lines.contains(&&*format!("d /var/log/app 0755 {uid} {gid} - -")), "{lines:?}");
        assert!(lines.contains(&"L /var/lib/app/link - - - - /etc/app"), "{lines:?}");
        assert!(lines.contains(&"L /var/opt/vendor - - - - /usr/lib/opt/vendor"), "{lines:?}");
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert_eq!(var.opt, ["vendor"]);
        assert_eq!(var.left_out, [Path::new("/var/lib/app/state")]);
    }
}
