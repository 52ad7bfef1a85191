//! Each change, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::rules::{ALTERNATIVES, Rule, Untaken, removed, rule};
use super::units;
use crate::extension::build::error::Error;
use crate::extension::build::placing::{FACTORY, Placed};
use crate::overlay::changes::{Change, ChangeKind};
use crate::sys::{FileKind, Root};

/// What becomes of all changes; paths are from the root, without a slash before.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// What is in the extension, by where it is seen now.
    pub(super) taken: BTreeMap<PathBuf, Taken>,
    /// What is not.
    pub(super) untaken: BTreeMap<Untaken, Vec<PathBuf>>,
}

/// Something that is in the extension.
#[derive(Debug)]
pub(super) struct Taken {
    /// Where.
    pub(super) to: Placed,
    /// What a link says there, where that is something else.
    pub(super) target: Option<OsString>,
    /// Whether it led elsewhere by an alternative.
    pub(super) is_straightened: bool,
    kind: FileKind,
}

impl Taken {
    fn at(to: Placed, kind: FileKind) -> Taken {
        Taken { to, target: None, is_straightened: false, kind }
    }

    /// Where it is in the image.
    pub(super) fn place(&self) -> PathBuf {
        match &self.to {
            Placed::At(path) => path.clone(),
            Placed::Default(path) => Path::new(FACTORY).join(path),
            Placed::Out(_) => unreachable!("what is taken has a place"),
        }
    }

    /// Whether it is seen as it is when the extension is merged, and not a default.
    pub(super) fn is_merged(&self) -> bool {
        matches!(self.to, Placed::At(_))
    }
}

impl Sorted {
    /// Adds what is not in the extension.
    pub(super) fn tell(&mut self, more: impl IntoIterator<Item = (Untaken, PathBuf)>) {
        for (why, path) in more {
            self.untaken.entry(why).or_default().push(path);
        }
    }
}

/// Sorts all changes.
pub(super) fn sort(view: &Root, base: &Root, changes: &[Change]) -> Result<Sorted, Error> {
    let mut sorting = Sorting { view, base, sorted: Sorted::default(), removed: BTreeSet::new() };
    for change in changes {
        let path = below(&change.path);
        match change.kind {
            ChangeKind::Removed => drop(sorting.removed.insert(path.to_owned())),
            ChangeKind::Renamed => {
                sorting.removed.extend(change.from.as_deref().map(|from| below(from).to_owned()));
                sorting.arrive(path, change.file)?;
            }
            ChangeKind::Added => sorting.take(path, change.file, true)?,
            ChangeKind::Changed | ChangeKind::Metadata => sorting.take(path, change.file, false)?,
        }
    }
    sorting.straighten()?;
    sorting.move_links()?;
    sorting.tell_removed();
    Ok(sorting.sorted)
}

struct Sorting<'a> {
    view: &'a Root,
    base: &'a Root,
    sorted: Sorted,
    /// What the base has, and the view has not.
    removed: BTreeSet<PathBuf>,
}

impl Sorting<'_> {
    /// Something is here that the base has elsewhere: all that is below it is new here as well.
    fn arrive(&mut self, path: &Path, kind: FileKind) -> Result<(), Error> {
        self.take(path, kind, true)?;
        if kind != FileKind::Directory {
            return Ok(());
        }
        let dir = self.directory(path)?;
        for entry in dir.entries()? {
            if let Some(stat) = dir.lstat(&entry.name)? {
                self.arrive(&path.join(&entry.name), FileKind::of(&stat))?;
            }
        }
        Ok(())
    }

    fn directory(&self, path: &Path) -> Result<Root, Error> {
        Ok(Root::from_fd(self.view.open_exact(path)?, self.view.join(path)))
    }

    fn take(&mut self, path: &Path, kind: FileKind, is_new: bool) -> Result<(), Error> {
        // What is below something that was renamed is told again where it is changed, too.
        if self.sorted.taken.contains_key(path) || path == Path::new("") {
            return Ok(());
        }
        let to = match rule(path, kind, is_new) {
            Rule::In => Placed::At(path.to_owned()),
            Rule::Default => Placed::Default(path.to_owned()),
            Rule::Unit => match self.unit(path, kind)? {
                Some(to) => to,
                None => return Ok(()),
            },
            Rule::Quiet => return Ok(()),
            Rule::Out(why) => {
                if !self.is_only_touched(path, kind, why)? {
                    self.sorted.tell([(why, path.to_owned())]);
                }
                return Ok(());
            }
        };
        self.sorted.taken.insert(path.to_owned(), Taken::at(to, kind));
        Ok(())
    }

    /// Where a unit goes: a default where /usr has one of its name, which it is to come before.
    fn unit(&self, path: &Path, kind: FileKind) -> Result<Option<Placed>, Error> {
        let Some(place) = units::place(path) else { return Ok(None) };
        // Those are made with what is in them.
        if kind == FileKind::Directory {
            return Ok(None);
        }
        let has_one = self.view.lstat_exact(&place)?.is_some();
        Ok(Some(if has_one { Placed::Default(path.to_owned()) } else { Placed::At(place) }))
    }

    /// Whether a setting or data of the host's is as it was but for its time.
    fn is_only_touched(&self, path: &Path, kind: FileKind, why: Untaken) -> Result<bool, Error> {
        const LARGEST: u64 = 1 << 20;
        if kind != FileKind::File || !matches!(why, Untaken::Edited | Untaken::Data) {
            return Ok(false);
        }
        let (Some(ours), Some(theirs)) = (self.view.lstat_exact(path)?, self.base.lstat_exact(path)?) else {
            return Ok(false);
        };
        let status = |stat: &rustix::fs::Stat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size);
        if status(&ours) != status(&theirs) || ours.st_size as u64 > LARGEST {
            return Ok(false);
        }
        Ok(self.view.read(path, LARGEST)? == self.base.read(path, LARGEST)?)
    }

    /// Has links in /usr that lead on by an alternative which is the overlay's lead straight there. An alternative that is no
    /// link's is a default like others.
    fn straighten(&mut self) -> Result<(), Error> {
        let chosen = |(path, taken): (&PathBuf, &Taken)| {
            let is_one = taken.kind == FileKind::Symlink && path.parent() == Some(Path::new(ALTERNATIVES));
            is_one.then(|| path.clone())
        };
        let alternatives: BTreeSet<PathBuf> = self.sorted.taken.iter().filter_map(chosen).collect();
        if alternatives.is_empty() {
            return Ok(());
        }
        let mut used = BTreeSet::new();
        for (path, taken) in &mut self.sorted.taken {
            if taken.kind != FileKind::Symlink || !taken.is_merged() {
                continue;
            }
            let says = PathBuf::from(self.view.read_link_exact(path)?);
            let alternative = alternatives.get(says.strip_prefix("/").unwrap_or(OsStr::new("").as_ref()));
            let Some(alternative) = alternative else { continue };
            let target = self.view.read_link_exact(alternative)?;
            if Path::new(&target).is_absolute() {
                taken.target = Some(target);
                taken.is_straightened = true;
                used.insert(alternative.clone());
            }
        }
        for alternative in used {
            self.sorted.taken.remove(&alternative);
            self.sorted.tell([(Untaken::Alternative, alternative)]);
        }
        Ok(())
    }

    /// Has links that are moved say what they said where they were.
    fn move_links(&mut self) -> Result<(), Error> {
        let is_moved = |path: &Path, taken: &Taken| taken.is_merged() && taken.place() != path;
        let moved: BTreeMap<PathBuf, FileKind> = self
            .sorted
            .taken
            .iter()
            .filter(|(path, taken)| is_moved(path, taken))
            .map(|(path, taken)| (path.clone(), taken.kind))
            .collect();
        let links = moved.iter().filter(|(_, kind)| **kind == FileKind::Symlink);
        for (path, _) in links {
            let says = self.view.read_link_exact(path)?;
            let target = units::target(path, &says, |other| moved.contains_key(other));
            if let Some(taken) = self.sorted.taken.get_mut(path) {
                taken.target = Some(target);
            }
        }
        Ok(())
    }

    /// Tells what is removed: the topmost of it, and not what the extension hides by a file of its own.
    fn tell_removed(&mut self) {
        let removed_paths = std::mem::take(&mut self.removed);
        let taken = &self.sorted.taken;
        let is_hidden = |path: &Path| {
            taken.contains_key(path)
                || path.ancestors().skip(1).any(|above| {
                    taken
                        .get(above)
                        .is_some_and(|taken| taken.is_merged() && taken.kind != FileKind::Directory)
                })
        };
        let is_below = |path: &Path| path.ancestors().skip(1).any(|above| removed_paths.contains(above));
        let told: Vec<(Untaken, PathBuf)> = removed_paths
            .iter()
            .filter(|path| !is_below(path) && !is_hidden(path))
            .map(|path| (removed(path), path.clone()))
            .collect();
        self.sorted.tell(told);
    }
}

/// A path from the root, without its slash.
fn below(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
