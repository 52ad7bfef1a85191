//! A snapshot that is being made: marked as such until it is the one that is booted next.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW};

use super::boot_loader;
use super::error::Error as SnapperError;
use super::lock::Locked;
use super::snapshots::Snapshots;
use super::transaction::Transaction;
use crate::host::selinux::{self, FileContexts, LABEL};
use crate::layer::{BootFiles, Composed, Draft, Error, Layers, Lower, Made, Shape};
use crate::overlay::apply;
use crate::sys::{Context as _, FileKind, Root, Xattrs, sync_file_system};
use crate::tool::snapper::Snapshot;

/// Where a kernel has its modules, and usually itself.
const MODULES: &str = "usr/lib/modules";

/// What a kernel is called there.
const IMAGES: &[&str] = &["Image", "vmlinuz", "zImage"];

/// Names in /boot that begin so are of a kernel, or of what it begins with.
const KERNELS: &[&str] = &["Image", "bzImage", "image-", "initramfs", "initrd", "vmlinu", "zImage"];

/// A snapshot of the one that is booted next. Given up, it is deleted.
#[derive(Debug)]
pub(super) struct Drafted<'a> {
    from: u64,
    transaction: Transaction<'a>,
    lower: Lower,
}

impl Drafted<'_> {
    pub(super) fn begin<'a>(
        snapshots: &'a Snapshots,
        from: &Snapshot,
        locked: Option<Locked>,
    ) -> Result<Drafted<'a>, Error> {
        let transaction = Transaction::open(snapshots, from.number, locked)?;
        let lower = snapshots.seen(&Snapshot { number: transaction.number(), ..from.clone() })?;
        Ok(Drafted { from: from.number, transaction, lower })
    }

    /// Puts layers into the snapshot, with the labels of its policy, and has a boot loader know of another kernel in it.
    fn put(&self, Composed { layers, boot, .. }: &Composed) -> Result<(), SnapperError> {
        let tree = &self.lower.tree;
        self.refuse_kernels(layers)?;
        let policy = selinux::policy(tree)?;
        let labels = policy.map(|path| selinux::read(tree, &path)).transpose()?;
        for (layer, place) in [(&layers.root, ""), (&layers.etc, "etc")] {
            if let Some(layer) = layer {
                put_one(layer, &tree.open_dir(place)?, place, labels.as_ref())?;
            }
        }
        // By this, what is to be done at a boot after an update is done (systemd-update-done.service(8)).
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let now = Timestamps { last_access: now, last_modification: now };
        rustix::fs::utimensat(tree, "usr", &now, AtFlags::empty())
            .context("set times of", tree.join("usr"))?;
        boot_loader::renew(tree, boot.kernel.as_deref(), self.from)?;
        Ok(sync_file_system(tree)?)
    }

    /// Refuses another kernel where what boots would not find it.
    fn refuse_kernels(&self, layers: &Layers) -> Result<(), SnapperError> {
        let Shape::Snapshot { boot, .. } = &self.lower.shape else { return Ok(()) };
        if *boot == BootFiles::Within {
            return Ok(());
        }
        let paths = of_kernels(layers, &self.lower.tree)?;
        if paths.is_empty() { Ok(()) } else { Err(SnapperError::Kernel { paths, boot: *boot }) }
    }
}

impl Draft for Drafted<'_> {
    fn lower(&self) -> &Lower {
        &self.lower
    }

    fn deploy(self: Box<Self>, composed: &Composed) -> Result<Made, Error> {
        let begun = Instant::now();
        self.put(composed)?;
        let writing = begun.elapsed();
        let requests = composed.manifest.requests.in_words();
        let what = if requests.is_empty() { "no layers".to_owned() } else { requests };
        let id = self.transaction.number().to_string();
        let remarks = self.transaction.close(&format!("onlay: {what} (upon #{})", self.from))?;
        let deploying = begun.elapsed().saturating_sub(writing);
        Ok(Made { id, writing, deploying, remarks })
    }
}

fn put_one(
    layer: &Root,
    tree: &Root,
    place: &str,
    labels: Option<&FileContexts>,
) -> Result<(), SnapperError> {
    let mut bad = None;
    apply(layer, tree, |dir, name, path, kind| {
        let whole = Path::new("/").join(place).join(path);
        match labels.map(|labels| labels.attribute(whole.as_os_str().as_encoded_bytes(), kind)) {
            Some(Ok(Some(label))) => Xattrs::set(dir, Path::new(name), LABEL.as_bytes(), &label),
            Some(Err(error)) => {
                bad = Some(error);
                Ok(())
            }
            _ => Ok(()),
        }
    })?;
    bad.map_or(Ok(()), |error| Err(SnapperError::Labels(error.into())))
}

/// What of layers is another kernel, or would go of one.
fn of_kernels(layers: &Layers, tree: &Root) -> Result<Vec<PathBuf>, SnapperError> {
    let Some(root) = &layers.root else { return Ok(Vec::new()) };
    let entries = |place: &str| match root.open_dir(place) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => other?.entries(),
    };
    let mut found = Vec::new();
    for entry in entries(MODULES)? {
        let path = Path::new(MODULES).join(&entry.name);
        if !tree.exists(&path) || !root.is_dir(&path)? {
            found.push(path);
            continue;
        }
        let images = IMAGES.iter().map(|name| path.join(name));
        found.extend(images.filter(|image| matches!(root.lstat_exact(image), Ok(Some(_)))));
    }
    let is_kernel =
        |name: &OsStr| KERNELS.iter().any(|begin| name.as_encoded_bytes().starts_with(begin.as_bytes()));
    for entry in entries("boot")?.into_iter().filter(|entry| is_kernel(&entry.name)) {
        let path = Path::new("boot").join(&entry.name);
        if root.lstat(&path)?.is_some_and(|stat| FileKind::of(&stat) != FileKind::Directory) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
