//! Extensions that are merged until the reboot, and of which nothing stays: image and link are in RAM.

use std::path::Path;

use super::report::{Options, Report};
use super::{Error, enabled, refresh};
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

/// Merges an image until the reboot, in place of another one of its name. Where it cannot be merged, it is said why, and all is as it was.
pub fn merge_until_reboot(state: &Path, name: &str, image: &Path) -> Result<Result<Report, String>, Error> {
    let host = Host::open(Path::new("/"))?;
    enabled::enable_until_reboot(&host.root, name, image)?;
    let merged = refresh(state, Options::default());
    let why = match &merged {
        Ok(report) => report.held.iter().find(|held| held.name == name).map(|held| held.why.clone()),
        Err(_) => Some(String::new()),
    };
    match (merged, why) {
        (Ok(report), None) => Ok(Ok(report)),
        (merged, why) => {
            enabled::disable(&host.root, name)?;
            let error = merged.err();
            if error.is_none() {
                refresh(state, Options::default())?;
            }
            error.map_or(Ok(Err(why.unwrap_or_default())), Err)
        }
    }
}
