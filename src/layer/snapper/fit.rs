//! Whether layers can be in a snapshot, and how what boots is put together from it.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::{boot_loader, fstab};
use crate::layer::Shape;
use crate::sys::{MountTable, Root};

/// What is mounted there belongs to the kernel, or is gone at a reboot, or is the snapshot's own.
const NOT_ELSEWHERE: &[&str] = &["", "dev", "etc", "proc", "run", "sys", "tmp", "usr"];

/// Looks at a snapshot. `mounts` is what the running system has mounted, where it is about that.
pub(super) fn shape(tree: &Root, mounts: Option<&MountTable>, var: PathBuf) -> Result<Shape, Error> {
    let lines = fstab::read(tree)?;
    if lines.iter().any(|line| line.place == Path::new("etc") && line.kind == "overlay") {
        return Err(Error::EtcOverlay);
    }
    let mounted = mounts.iter().flat_map(|table| table.all());
    let mounted = mounted.filter_map(|mount| mount.point.strip_prefix("/").ok().map(Path::to_owned));
    let mut elsewhere: Vec<PathBuf> = lines.into_iter().map(|line| line.place).chain(mounted).collect();
    elsewhere.retain(|place| !is_own(place));
    elsewhere.sort();
    elsewhere.dedup();
    if !elsewhere.iter().any(|place| place == Path::new("var")) {
        return Err(Error::VarInside);
    }
    // What lies below another of them is in that.
    let all = elsewhere.clone();
    elsewhere.retain(|place| !all.iter().any(|other| other != place && place.starts_with(other)));
    let boot = boot_loader::boot_files(tree, &elsewhere)?;
    Ok(Shape::Snapshot { elsewhere, var, boot })
}

/// /usr/local may be another file system, and what is merged over /usr is none of the snapshot's.
fn is_own(place: &Path) -> bool {
    let holds =
        |top: &str| place == Path::new(top) || !top.is_empty() && top != "usr" && place.starts_with(top);
    NOT_ELSEWHERE.iter().any(|top| holds(top))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_mounted_over_a_snapshot_is_elsewhere() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("etc")).expect("ours");
        let root = Root::open(dir.path()).expect("it opens");
        let look = |text: &str, mounts: Option<&MountTable>| {
            fs::write(dir.path().join("etc/fstab"), text).expect("ours");
            shape(&root, mounts, "/var".into())
        };
        let places = |shape| match shape {
            Ok(Shape::Snapshot { elsewhere, .. }) => elsewhere,
            other => panic!("{other:?}"),
        };
        let text = "x / btrfs\nx /var btrfs\nx /var/lib/x btrfs\nx /opt btrfs\nx /usr/local btrfs\n/etc /etc none bind\nx /tmp tmpfs\n";
        assert_eq!(places(look(text, None)), ["opt", "usr/local", "var"].map(PathBuf::from));
        let mounts = MountTable::parse(
            "1 0 0:1 /@/.snapshots/1/snapshot / ro - btrfs x ro\n2 1 0:1 /@/var /var rw - btrfs x rw\n\
             3 1 0:2 / /proc rw - proc proc rw\n4 1 0:3 / /sys/fs/x rw - x x rw\n",
        );
        assert_eq!(places(look("", Some(&mounts))), [PathBuf::from("var")]);
        assert!(matches!(look("x / btrfs\n", None), Err(Error::VarInside)));
        assert!(matches!(look("x /var btrfs\noverlay /etc overlay\n", None), Err(Error::EtcOverlay)));
    }
}
