//! Files that base and overlay have at different places, because something is diverted on one side alone
//! (dpkg-divert(1)).

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::claims::Claims;
use super::files::Ownership;

/// All of them.
pub(super) struct Diverted {
    /// Those whose places have to do with each other.
    pub(super) groups: Vec<Vec<DivertedFile>>,
    /// Whose the files are that are diverted, by their paths as if nothing was.
    pub(super) shared: Box<dyn Ownership>,
    /// Whose the files are that are there instead, by their paths.
    pub(super) instead: Box<dyn Ownership>,
    places: BTreeSet<PathBuf>,
}

/// A file that is elsewhere where it is diverted. Places are paths of the view; `None` is where a side has no such file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DivertedFile {
    /// Where it is if nothing is diverted.
    pub(super) path: PathBuf,
    /// It is what is at the path while others' are diverted from there.
    pub(super) is_instead: bool,
    /// Its place in the overlay.
    pub(super) own: Option<PathBuf>,
    /// Its place in the base that the overlay knew.
    pub(super) had: Option<PathBuf>,
    /// Its place in the base of now.
    pub(super) has: Option<PathBuf>,
    /// Its place when all is merged.
    pub(super) then: Option<PathBuf>,
}

impl DivertedFile {
    /// All its places.
    pub(super) fn places(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.own, &self.had, &self.has, &self.then].into_iter().flatten()
    }
}

impl Diverted {
    pub(super) fn new(
        groups: Vec<Vec<DivertedFile>>,
        shared: Box<dyn Ownership>,
        instead: Box<dyn Ownership>,
    ) -> Diverted {
        let places = groups.iter().flatten().flat_map(DivertedFile::places).cloned().collect();
        Diverted { groups, shared, instead, places }
    }

    /// Whether something that is diverted is at a path of the view, on whichever side.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.places.contains(path)
    }

    /// Whose a file is.
    pub(super) fn claims(&self, file: &DivertedFile) -> &dyn Ownership {
        if file.is_instead { self.instead.as_ref() } else { self.shared.as_ref() }
    }
}

impl Default for Diverted {
    fn default() -> Diverted {
        Diverted::new(Vec::new(), Box::new(Claims::none()), Box::new(Claims::none()))
    }
}

impl fmt::Debug for Diverted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diverted").field("groups", &self.groups).finish_non_exhaustive()
    }
}
