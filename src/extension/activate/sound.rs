//! Whether systemd and the kernel can open an image: whether all of it can be read, and whether what protects it agrees. One
//! that cannot be opened keeps systemd from merging any.

use std::fs::File;
use std::path::Path;

use crate::extension::{AsBuilt, Error, of_disk};
use crate::image::ddi::{
    Ddi, Designator, SignatureProblem, SignatureReport, TreeReport, Trusted, Verification,
};
use crate::image::{FileSource, Format, file_system};
use crate::sys::{Root, with_causes};

/// What of a disk image's protection is in the way, where it has any. Of other images, nothing is read.
pub(super) fn protection_flaw(file: &File, path: &Path, host: &Root) -> Option<String> {
    match protected(file, path, host) {
        Ok((_, flaw)) => flaw,
        Err(error) => Some(with_causes(&error)),
    }
}

/// Reads all of an image; gives why it cannot be used, in words. `host` has the certificates that are trusted.
pub(super) fn flaw(file: &File, path: &Path, host: &Root) -> Option<String> {
    match check(file, path, host) {
        Ok(flaw) => flaw,
        Err(error) => Some(with_causes(&error)),
    }
}

fn check(file: &File, path: &Path, host: &Root) -> Result<Option<String>, Error> {
    let (part, flaw) = protected(file, path, host)?;
    if flaw.is_some() {
        return Ok(flaw);
    }
    let image = file_system::open(Box::new(part), path)?;
    image.verify()?;
    // squashfs and erofs have no checksums, but what Onlay built has a manifest.
    let is_sound = AsBuilt::compare(&image, file, path)?.is_none_or(|built| built.is_sound());
    Ok((!is_sound).then(|| "it is not as it was built: its manifest says other digests".to_owned()))
}

/// Where in a file its file system is; and what is wrong with what protects that.
fn protected(file: &File, path: &Path, host: &Root) -> Result<(FileSource, Option<String>), Error> {
    let source = FileSource::new(file, path)?;
    if Format::of(&source)? != Some(Format::Gpt) {
        return Ok((source, None));
    }
    let ddi = Ddi::read(&source).map_err(of_disk(path))?;
    let root = ddi.parts.iter().find(|part| part.designator == Designator::Root);
    let root = root.ok_or_else(|| Error::NoRoot(path.to_owned()))?;
    let certificates = Trusted::read(host)?.certificates;
    let verification = root.verify(&source, &certificates, None).map_err(of_disk(path))?;
    let flaw = unprotected(&verification);
    Ok((source.part(root.data.offset, root.data.length), flaw))
}

/// What of a disk image's protection systemd does not accept.
fn unprotected(verification: &Verification) -> Option<String> {
    if verification.tree.as_ref().is_some_and(|tree: &TreeReport| !tree.is_sound()) {
        return Some("it is not as it was made: blocks of it are not those of its hash tree".to_owned());
    }
    match &verification.signature {
        SignatureReport::Absent | SignatureReport::Good { .. } => None,
        SignatureReport::Bad { problem: SignatureProblem::UnknownSigner, .. } => {
            Some("it is signed, and no certificate in /etc/verity.d is that of who did".to_owned())
        }
        SignatureReport::Bad { problem, .. } => Some(format!("its signature is not good: {problem}")),
        _ => Some("its signature cannot be read, or is of something else".to_owned()),
    }
}
