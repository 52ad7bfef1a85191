//! Extensions that are merged until the reboot, and of which nothing stays: image and link are in RAM.

use std::path::{Path, PathBuf};

use super::links::remove_file;
use super::report::{Options, Report};
use super::{Error, enabled, refresh};
use crate::extension::build::manifest::place_beside;
use crate::host::Host;
use crate::overlay::run_directory;
use crate::sys::Root;

/// Where their images are, below the directory of what runs.
const FOLDER: &str = "images";

/// The directory that such an image goes to.
pub fn folder() -> Result<Root, Error> {
    let run = run_directory()?;
    run.make_dir(FOLDER, 0o700)?;
    Ok(run.open_child(FOLDER.as_ref())?)
}

/// The image that a name has by now.
pub fn image_until_reboot(name: &str) -> Result<Option<PathBuf>, Error> {
    enabled::until_reboot(&Host::open(Path::new("/"))?.root, name)
}

fn remove_image(path: &Path) -> Result<(), Error> {
    let (folder, name) = (folder()?, path.file_name().unwrap_or_default());
    for name in [Path::new(name), &place_beside(name)] {
        remove_file(&folder, name)?;
    }
    Ok(())
}

/// Merges an image until the reboot, in place of another one of its name. Where it cannot be merged, it is said why, and all is as it was.
pub fn merge_until_reboot(state: &Path, name: &str, image: &Path) -> Result<Result<Report, String>, Error> {
    let host = Host::open(Path::new("/"))?;
    let before = enabled::until_reboot(&host.root, name)?.filter(|before| before != image);
    enabled::enable_until_reboot(&host.root, name, image)?;
    let merged = refresh(state, Options::default());
    let why = match &merged {
        Ok(report) => report.held.iter().find(|held| held.name == name).map(|held| held.why.clone()),
        Err(_) => Some(String::new()),
    };
    match (merged, why) {
        (Ok(report), None) => {
            // Nothing leads there any more, and what is in RAM takes room.
            before.map_or(Ok(()), |before| remove_image(&before))?;
            Ok(Ok(report))
        }
        (merged, why) => {
            match &before {
                Some(before) => enabled::enable_until_reboot(&host.root, name, before).map(drop)?,
                None => enabled::disable_until_reboot(&host.root, name)?,
            }
            remove_image(image)?;
            let error = merged.err();
            if error.is_none() {
                refresh(state, Options::default())?;
            }
            error.map_or(Ok(Err(why.unwrap_or_default())), Err)
        }
    }
}
