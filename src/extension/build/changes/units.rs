//! Units in /etc: what enables a unit, replaces or completes one, or is one, has a place in /usr that systemd reads likewise
//! (systemd.unit(5)), so it is active without anything being copied.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::sys::without_dots;

/// Where administrators have units, and where packages have them.
const PLACES: &[(&str, &str)] =
    &[("etc/systemd/system", "usr/lib/systemd/system"), ("etc/systemd/user", "usr/lib/systemd/user")];

/// The place in /usr of a file in /etc that is a unit, or belongs to one.
pub(super) fn place(path: &Path) -> Option<PathBuf> {
    let moved = |(from, to): &(&str, &str)| Some(Path::new(to).join(path.strip_prefix(from).ok()?));
    PLACES.iter().find_map(moved).filter(|place| PLACES.iter().all(|(_, to)| place != Path::new(to)))
}

/// What a link says when it is moved: the whole path, and what was moved with it in its new place.
pub(super) fn target(path: &Path, target: &OsStr, is_moved: impl Fn(&Path) -> bool) -> OsString {
    let whole = without_dots(&Path::new("/").join(path.parent().unwrap_or(path)).join(target));
    let below = whole.strip_prefix("/").unwrap_or(&whole);
    match place(below).filter(|_| is_moved(below)) {
        Some(place) => Path::new("/").join(place).into(),
        None => whole.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_move_with_their_links() {
        let wants = "etc/systemd/system/multi-user.target.wants/x.service";
        let moved = Path::new("usr/lib/systemd/system/multi-user.target.wants/x.service");
        assert_eq!(place(Path::new(wants)).as_deref(), Some(moved));
        assert_eq!(place(Path::new("etc/systemd/system")), None);
        assert_eq!(place(Path::new("etc/systemd/journald.conf")), None);
        for (says, expected) in [
            ("/usr/lib/systemd/system/x.service", "/usr/lib/systemd/system/x.service"),
            ("../x.service", "/usr/lib/systemd/system/x.service"),
            ("../y.service", "/etc/systemd/system/y.service"),
            ("/dev/null", "/dev/null"),
            ("../../../../../../../usr/x", "/usr/x"),
        ] {
            let is_moved = |path: &Path| path == Path::new("etc/systemd/system/x.service");
            assert_eq!(target(Path::new(wants), OsStr::new(says), is_moved), expected, "{says}");
        }
    }
}
