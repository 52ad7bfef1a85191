//! One layer of an overlay, and what it covers.

use std::path::{Path, PathBuf};

use super::files;
use crate::host::Host;
use crate::overlay::Error;
use crate::overlay::changes::marks::Prefix;
use crate::overlay::changes::place::Place;
use crate::overlay::changes::upper::Upper;
use crate::overlay::parts::Laid;
use crate::sys::{IoError, Root};

/// An upper and what it covers.
pub(super) struct Side {
    pub(super) point: PathBuf,
    pub(super) upper: Root,
    pub(super) lower: Root,
    others: Vec<PathBuf>,
    elsewhere: Vec<PathBuf>,
}

impl Side {
    pub(super) fn all(laid: Vec<Laid>, host: &Host) -> Result<Vec<Side>, Error> {
        let points: Vec<PathBuf> = laid.iter().map(|laid| laid.point.clone()).collect();
        let side = |laid: Laid| {
            let is_below = |other: &&PathBuf| other.starts_with(&laid.point) && **other != laid.point;
            let others = points.iter().filter(is_below).cloned().collect();
            let lower = laid.lower(host)?;
            let Laid { point, upper, elsewhere, .. } = laid;
            Ok(Side { point, upper, lower, others, elsewhere })
        };
        laid.into_iter().map(side).collect()
    }

    /// Reads what was written there.
    pub(super) fn read(&self) -> Result<Upper, IoError> {
        Upper::read_but(&self.upper, Prefix::Trusted, &self.elsewhere)
    }

    /// Whether the upper has a file under a path of the view.
    pub(super) fn has(&self, path: &Path) -> bool {
        let Some(inside) = self.layer().inside(path) else { return false };
        let mut place = Place::at(&self.upper, inside.parent().unwrap_or(Path::new("")));
        let name = inside.file_name().unwrap_or_default();
        place.exists().is_ok_and(|there| there)
            && place.dir().is_ok_and(|dir| dir.lstat(name).is_ok_and(|stat| stat.is_some()))
    }

    pub(super) fn layer(&self) -> files::Layer<'_> {
        let Side { point, upper, lower, others, .. } = self;
        files::Layer { point, upper, lower, others, bare: None }
    }
}
