//! What is merged besides the images, and is made of them: the base's database of packages with theirs added.

use std::path::Path;

use super::record::{Active, Generated};
use super::{Error, Stranger};
use crate::extension::database::{self, Remark};
use crate::extension::fit::Extension;
use crate::extension::{Class, Contents, Directory, ImageFiles, order};
use crate::host::Host;
use crate::sys::Root;

/// Makes what belongs to a set of extensions that fit, before they are merged, and says what there is to say of it. `base` is seen
/// without any extension; `None` where nothing is needed. It is merged by its own name, and comes and goes with the set.
pub(super) fn make(
    base: &Host,
    fit: &[Active],
    strangers: &[Stranger],
    state: &Path,
) -> Result<(Option<Generated>, Vec<Remark>), Error> {
    let mut laid: Vec<(&str, Box<dyn Contents>)> = Vec::new();
    for active in fit {
        laid.push((&active.merged_as, Box::new(ImageFiles::open(&active.path)?)));
    }
    for stranger in strangers.iter().filter(|stranger| stranger.is_certain) {
        // They are merged whatever we make of them.
        laid.extend(contents_of(base, &stranger.path).map(|contents| (&*stranger.name, contents)));
    }
    laid.sort_by(|(one, _), (other, _)| order::compare(one, other));
    let extensions: Vec<Extension<'_>> = laid
        .iter()
        .map(|(name, contents)| Extension { name, class: Class::Sysext, contents: &**contents })
        .collect();
    let made = database::generate(base, &extensions, &Root::open(state)?);
    let generated = made.extension.map(|target| Generated {
        merged_as: database::NAME.to_owned(),
        // The directory above is named after what it was made of.
        stamp: target.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned(),
        target,
    });
    Ok((generated, made.remarks))
}

fn contents_of(base: &Host, path: &Path) -> Option<Box<dyn Contents>> {
    let place = base.root.join(base.root.resolve(path).ok()?);
    if place.is_dir() {
        return Some(Box::new(Directory::new(Root::open(place).ok()?)));
    }
    Some(Box::new(ImageFiles::open(&place).ok()?))
}
