//! Extensions added, merged, held back and removed, on a host that the test made for itself: [`crate::alone`], with its real
//! systemd-sysext. What services and a boot make of them is tested on a machine that boots.

use std::path::Path;

use crate::alone;
use crate::debian::{self, command, expect_success, script};

/// Makes images with `mksquashfs`, in `images` of a directory.
pub(crate) fn make_images(directory: &Path, tree: &Path) {
    let images = directory.join("images");
    std::fs::create_dir_all(&images).expect("a directory of ours");
    expect_success(command(script("extension/images.sh")).arg(images).arg(tree));
}

#[test]
fn extensions_are_merged_where_they_fit_and_nothing_is_missing_meanwhile() {
    if debian::has("mksquashfs") {
        alone::check("trixie", "extension/activate.sh", |place, tree| {
            make_images(&place.join("share"), tree);
        });
    }
}
