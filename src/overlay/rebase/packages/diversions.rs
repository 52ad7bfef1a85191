//! Where base and overlay have files that are diverted on one side and not on the other, and whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::dpkg::Md5Of;
use crate::overlay::rebase::claims::Claims;
use crate::overlay::rebase::diverted::{Diverted, DivertedFile};
use crate::pkgdb;
use crate::pkgdb::dpkg::{Aliases, Database, Diversions, InstalledFile, Key};

/// One of those whose tables are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The overlay's.
    Own,
    /// The old base's.
    Had,
    /// The new base's.
    Has,
    /// What is merged.
    Then,
}

const ALL: [Whose; 4] = [Whose::Own, Whose::Had, Whose::Has, Whose::Then];

/// Where a path's files go instead, and the package whose own file stays.
type To = (PathBuf, Option<String>);

/// The diversions that are not the same for all, by places: paths without links in their directories.
#[derive(Debug, Default)]
pub(super) struct Moving {
    tables: [BTreeMap<PathBuf, To>; 4],
    aliases: Aliases,
    /// Every path that is diverted, and every target.
    places: BTreeSet<PathBuf>,
    /// Paths that a package which diverts them elsewhere has as its own here, without a diversion.
    undiverted: [BTreeSet<PathBuf>; 4],
}

impl Moving {
    /// Compares tables, in the order of [`Whose`].
    pub(super) fn of(tables: [&Diversions; 4], aliases: &Aliases) -> Moving {
        let by_place = |table: &Diversions| -> BTreeMap<PathBuf, To> {
            let real = |path: &Path| aliases.resolve(path);
            table.iter().map(|(from, to)| (real(from), (real(&to.target), to.package.clone()))).collect()
        };
        let mut moving =
            Moving { tables: tables.map(by_place), aliases: aliases.clone(), ..Moving::default() };
        moving.places = moving.differing();
        moving
    }

    /// The places of diversions that are not the same for all, and of those that these meet.
    fn differing(&self) -> BTreeSet<PathBuf> {
        let mut places = BTreeSet::new();
        let all: BTreeMap<&PathBuf, BTreeSet<&To>> =
            self.tables.iter().flatten().fold(BTreeMap::new(), |mut all, (from, to)| {
                all.entry(from).or_default().insert(to);
                all
            });
        for (from, targets) in &all {
            if targets.len() > 1 || self.tables.iter().any(|table| !table.contains_key(*from)) {
                places.insert((*from).clone());
                places.extend(targets.iter().map(|(target, _)| target.clone()));
            }
        }
        loop {
            let known = places.len();
            for (from, to) in self.tables.iter().flatten() {
                if places.contains(from) || places.contains(&to.0) {
                    places.extend([from.clone(), to.0.clone()]);
                }
            }
            if places.len() == known {
                return places;
            }
        }
    }

    /// Finds out where packages that divert a path have a file of their own there without a diversion; `taken` says
    /// from which side a package is when all is merged. An overlay may have no packages of its own.
    pub(super) fn look_at(
        &mut self,
        taken: impl Fn(&Key) -> Option<Whose>,
        ours: Option<&Database>,
        theirs: &Database,
    ) -> Result<(), pkgdb::Error> {
        let diverting = |(_, (_, package)): (&PathBuf, &To)| package.clone();
        let differing = self.tables.iter().flatten().filter(|(from, _)| self.places.contains(*from));
        let names: BTreeSet<String> = differing.filter_map(diverting).collect();
        let own = ours.map(|ours| (Whose::Own, ours));
        for (whose, database) in own.into_iter().chain([(Whose::Has, theirs)]) {
            let entries = database.present().filter(|entry| names.contains(&entry.key.name));
            for entry in entries {
                let listed = database.files(entry)?.into_iter().map(|file| self.aliases.resolve(&file.path));
                let listed: BTreeSet<PathBuf> =
                    listed.filter(|path| self.diverts(&entry.key.name, path)).collect();
                if taken(&entry.key) == Some(whose) {
                    self.undiverted[Whose::Then as usize].extend(listed.iter().cloned());
                }
                self.undiverted[whose as usize].extend(listed);
            }
        }
        // Of the old base there are no lists: as that side that has the same table.
        self.undiverted[Whose::Had as usize] = self.undiverted_like(Whose::Had, Whose::Own);
        if ours.is_none() {
            self.undiverted[Whose::Own as usize] = self.undiverted_like(Whose::Own, Whose::Had);
        }
        Ok(())
    }

    /// Those that one has which is as the new base is, or as another is.
    fn undiverted_like(&self, whose: Whose, other: Whose) -> BTreeSet<PathBuf> {
        let is_like = |path: &PathBuf, like: Whose| {
            let [one, other] = [whose, like].map(|whose| self.tables[whose as usize].get(path));
            one == other && self.undiverted[like as usize].contains(path)
        };
        let is_one = |path: &&PathBuf| is_like(path, Whose::Has) || is_like(path, other);
        self.places.iter().filter(is_one).cloned().collect()
    }

    /// Whether a package diverts a path, on whichever side.
    fn diverts(&self, package: &str, path: &Path) -> bool {
        let mut found = self.tables.iter().filter_map(|table| table.get(path));
        self.places.contains(path) && found.any(|(_, by)| by.as_deref() == Some(package))
    }

    /// Which of the files at its path one is: `None` for what has its place like everywhere; whether it is the one that
    /// is there instead of what is diverted, where it is not.
    pub(super) fn find(&self, package: &str, file: &InstalledFile, whose: Whose) -> Option<(PathBuf, bool)> {
        let path = self.aliases.resolve(&file.path);
        if !self.places.contains(&path) {
            return None;
        }
        let order = [Whose::Then, whose].into_iter().chain(ALL);
        let to = order.into_iter().find_map(|whose| self.tables[whose as usize].get(&path));
        let is_instead = to.is_some_and(|(_, by)| by.as_deref() == Some(package));
        Some((path, is_instead))
    }

    /// Where a package's file is when all is merged.
    pub(super) fn place_then(&self, package: &str, file: &InstalledFile) -> Option<PathBuf> {
        let (path, is_instead) = self.find(package, file, Whose::Own)?;
        self.place(Whose::Then, &path, is_instead)
    }

    fn place(&self, whose: Whose, path: &PathBuf, is_instead: bool) -> Option<PathBuf> {
        let table = &self.tables[whose as usize];
        let is_own = self.undiverted[whose as usize].contains(path);
        match (table.get(path), is_instead) {
            (Some((target, _)), false) => Some(target.clone()),
            (Some(_), true) => Some(path.clone()),
            (None, true) => is_own.then(|| path.clone()),
            (None, false) => {
                let is_target = table.values().any(|(target, _)| target == path);
                (!is_own && !is_target).then(|| path.clone())
            }
        }
    }

    /// Puts together what is moved.
    pub(super) fn finish(&self, claims: [Claims<Md5Of>; 2]) -> Diverted {
        let mut groups: Vec<Vec<DivertedFile>> = Vec::new();
        for path in &self.places {
            for is_instead in [false, true] {
                let [own, had, has, then] = ALL.map(|whose| self.place(whose, path, is_instead));
                let file = DivertedFile { path: path.clone(), is_instead, own, had, has, then };
                let places: BTreeSet<&PathBuf> = file.places().collect();
                if places.is_empty() {
                    continue;
                }
                let meets = |group: &Vec<DivertedFile>| {
                    group.iter().any(|other| {
                        other.path == *path || other.places().any(|place| places.contains(place))
                    })
                };
                let (met, mut others): (Vec<_>, Vec<_>) = groups.into_iter().partition(meets);
                let mut group: Vec<DivertedFile> = met.into_iter().flatten().collect();
                group.push(file);
                others.push(group);
                groups = others;
            }
        }
        let [shared, instead] = claims;
        Diverted::new(groups, Box::new(shared), Box::new(instead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkgdb::dpkg::diversions;

    fn moving(tables: [&str; 4]) -> Diverted {
        let tables = tables.map(|text| diversions::parse(text.as_bytes()).expect("it is right"));
        let moving = Moving::of(tables.each_ref(), &Aliases::default());
        let none = || Claims::new(None, Vec::new(), ("", ""));
        moving.finish([none(), none()])
    }

    fn shown(diverted: &Diverted) -> Vec<String> {
        let place = |place: &Option<PathBuf>| {
            place.as_ref().map_or("-".to_owned(), |place| place.display().to_string())
        };
        let one = |file: &DivertedFile| {
            let [own, had, has, then] = [&file.own, &file.had, &file.has, &file.then].map(place);
            let kind = if file.is_instead { "instead" } else { "shared" };
            format!("{kind} {}: {own} {had} {has} {then}", file.path.display())
        };
        let mut lines: Vec<String> = diverted.groups.iter().flatten().map(one).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_is_alike_for_all_is_not_moved() {
        let same = "/a\n/b\np\n";
        assert_eq!(shown(&moving([same; 4])), [""; 0]);
    }

    #[test]
    fn each_side_has_a_place_for_each_file() {
        let (none, by) = ("", "/a\n/b\np\n");
        let overlay = moving([by, none, none, by]);
        assert_eq!(
            shown(&overlay),
            ["instead /a: /a - - /a", "shared /a: /b /a /a /b", "shared /b: - /b /b -"]
        );
        assert_eq!(overlay.groups.len(), 1, "{overlay:?}");
        let host = moving([by, by, none, none]);
        assert_eq!(shown(&host), ["instead /a: /a /a - -", "shared /a: /b /b /a /a", "shared /b: - - /b /b"]);
        let two = moving(["/a\n/b\np\n/c\n/d\n:\n", none, none, "/a\n/b\np\n/c\n/d\n:\n"]);
        assert_eq!(two.groups.len(), 2);
    }

    #[test]
    fn another_target_is_another_place() {
        let found = moving(["/a\n/b\n:\n", "", "/a\n/c\n:\n", "/a\n/b\n:\n"]);
        let expected = [
            "instead /a: /a - /a /a",
            "shared /a: /b /a /c /b",
            "shared /b: - /b /b -",
            "shared /c: /c /c - /c",
        ];
        assert_eq!(shown(&found), expected);
        assert_eq!(found.groups.len(), 1);
    }
}
