//! What became of files (rpm's FILESTATES) where packages of both sides have one path.
//!
//! The merged database is to say what rpm would have written, had the overlay's packages been installed over the host
//! of now (`handleInstInstalledFile` in rpm's transaction.cc): a file that is the same in both packages belongs to
//! both; else the later package's has the place and the earlier one's is *replaced*, or, where both are programs of
//! different colours, the preferred colour has the place and the other is of the *wrong colour*. Settings
//! (`%config`) are kept beside each other, and stay as they are.
//!
//! A package that both sides have may have had files replaced in the overlay: that counts while the package that did so
//! is kept, or while nobody has the path any more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::catalog::{Catalog, Entry};
use super::merge::Decided;
use super::{Database, Hnum};
use crate::package::Header;
use crate::package::header::{File, FileFlags, FileState, Glance, Tags, Value, tag};
use crate::pkgdb::Error;
use crate::pkgdb::dpkg::Aliases;
use crate::pkgdb::merge::{Decision, Side};

/// The colour that rpm prefers where it has the choice (`%_prefer_color`): 64-bit programs.
const PREFERRED: u32 = 2;

/// A header in one of the two databases.
type Id = (Side, Hnum);

/// The states of files that are others in the merged database than in the header as it is stored.
#[derive(Debug, Clone, Default)]
pub struct States {
    changed: BTreeMap<Id, Vec<u8>>,
}

/// The two databases, and what is merged of them.
struct Merging<'a> {
    ours: &'a Database,
    theirs: &'a Database,
    aliases: &'a Aliases,
    kept: HashSet<Hnum>,
    /// Packages that both have: the overlay's, and the host's.
    same: Vec<(&'a Entry, &'a Entry)>,
    /// Headers that came with the host.
    came: Vec<Hnum>,
}

/// A package that both have, whose headers say different things of these files.
struct Differing<'a> {
    own: &'a Entry,
    host: &'a Entry,
    files: Vec<(usize, PathBuf)>,
}

impl States {
    /// Finds them. `their` is all of the host's packages.
    pub(super) fn of(
        packages: &[Decided],
        (ours, theirs): (&Database, &Database),
        their: &Catalog,
        aliases: &Aliases,
    ) -> Result<States, Error> {
        let (mut kept, mut settled, mut same) = (HashSet::new(), HashSet::new(), Vec::new());
        for decided in packages {
            match (decided.outcome.decision, &decided.ours, &decided.theirs) {
                (Decision::KeepOurs | Decision::StayRemoved, own, host) => {
                    kept.extend(own.as_ref().map(|entry| entry.number));
                    settled.extend(host.as_ref().map(|entry| entry.number));
                }
                (Decision::Unchanged | Decision::BothSame, Some(own), Some(host)) => {
                    settled.insert(host.number);
                    same.push((own, host));
                }
                _ => {}
            }
        }
        let came = their.entries().iter().map(|entry| entry.number);
        let came = came.filter(|number| !settled.contains(number)).collect();
        let merging = Merging { ours, theirs, aliases, kept, same, came };
        let mut states = States::default();
        merging.judge_same(&mut states)?;
        merging.judge_kept(&mut states)?;
        Ok(states)
    }

    /// A header with the states that it has in the merged database; `None` where those are what it says.
    pub(super) fn apply(&self, id: Id, blob: &[u8]) -> Option<Vec<u8>> {
        let states = self.changed.get(&id)?;
        Header::parse(blob).ok()?.with(tag::FILE_STATES, &Value::Char(states.clone()))
    }

    /// Whether a package's file is there in the merged database.
    pub fn is_installed(&self, side: Side, number: Hnum, file: &File<'_>) -> bool {
        let own = self.changed.get(&(side, number)).and_then(|states| states.get(file.index));
        let state = own.map(|state| FileState::from_number(*state)).or(file.state);
        File { state, ..file.clone() }.is_installed()
    }

    /// Whether it changes anything of a header.
    pub(super) fn changes(&self, id: Id) -> bool {
        self.changed.contains_key(&id)
    }

    fn set(&mut self, id: Id, header: &Header<'_>, index: usize, state: FileState) {
        if state_of(header, index).is_none_or(|own| own == state) && !self.changed.contains_key(&id) {
            return;
        }
        let own = || header.numbers(tag::FILE_STATES).map(|state| state as u8).collect();
        if let Some(place) = self.changed.entry(id).or_insert_with(own).get_mut(index) {
            *place = state.number();
        }
    }
}

impl Merging<'_> {
    /// Packages that both have, where the two headers say different things of their files.
    fn judge_same(&self, states: &mut States) -> Result<(), Error> {
        let mut differing = Vec::new();
        for (own, host) in self.same.iter().filter(|(own, host)| own.states != host.states) {
            let (our, their) = (blob(self.ours, own.number)?, blob(self.theirs, host.number)?);
            let (Ok(our), Ok(their)) = (Header::parse(&our), Header::parse(&their)) else { continue };
            let files = our.files().zip(their.files()).filter(|(own, host)| own.state != host.state);
            let files = files.map(|(file, _)| (file.index, file.path())).collect();
            differing.push(Differing { own, host, files });
        }
        let mut others = self.others(&differing)?.into_iter();
        let same: HashSet<Hnum> = self.same.iter().map(|(own, _)| own.number).collect();
        for Differing { own, host, files } in &differing {
            let (our, their) = (blob(self.ours, own.number)?, blob(self.theirs, host.number)?);
            let (Ok(our), Ok(their)) = (Header::parse(&our), Header::parse(&their)) else { continue };
            let is_later = own.installed > host.installed;
            for ((index, _), others) in files.iter().zip(&mut others) {
                let both = (state_of(&our, *index), state_of(&their, *index));
                if let Some(state) = self.of_same(both, &others, &same, is_later) {
                    states.set((Side::Ours, own.number), &our, *index, state);
                    states.set((Side::Theirs, host.number), &their, *index, state);
                }
            }
        }
        Ok(())
    }

    /// The state of a file whose package both have, with other headers of the overlay that have its path; `same` are
    /// all headers of the overlay whose packages both have.
    fn of_same(
        &self,
        (our, their): (Option<FileState>, Option<FileState>),
        others: &HashSet<Hnum>,
        same: &HashSet<Hnum>,
        is_later: bool,
    ) -> Option<FileState> {
        let is_lost = |state| matches!(state, Some(FileState::Replaced | FileState::WrongColor));
        let stays = |number: &Hnum| self.kept.contains(number) || same.contains(number);
        let is_ours = others.iter().any(|number| self.kept.contains(number))
            || if is_lost(our) {
                others.is_empty() || others.iter().any(stays)
            } else {
                !is_lost(their) && is_later
            };
        if is_ours { our } else { their }
    }

    /// For each file of each, the other headers of the overlay that have its path.
    fn others(&self, differing: &[Differing<'_>]) -> Result<Vec<HashSet<Hnum>>, Error> {
        let files = differing.iter().flat_map(|one| one.files.iter().map(|(_, path)| (one.own.number, path)));
        let names: Vec<(Hnum, Vec<PathBuf>)> =
            files.map(|(own, path)| (own, self.aliases.names(path))).collect();
        let wanted: Vec<(usize, &Path)> = names
            .iter()
            .enumerate()
            .flat_map(|(index, (_, names))| names.iter().map(move |name| (index, name.as_path())))
            .collect();
        let paths: Vec<&Path> = wanted.iter().map(|(_, path)| *path).collect();
        let mut found = vec![HashSet::new(); names.len()];
        if !paths.is_empty() {
            self.ours.each_owner(&paths, &mut |index, number, _, _| {
                let (index, _) = wanted[index];
                if number != names[index].0 {
                    found[index].insert(number);
                }
            })?;
        }
        Ok(found)
    }

    /// Packages that are kept of the overlay, beside those that came with the host. Beside those that were in the
    /// overlay before, rpm has judged.
    fn judge_kept(&self, states: &mut States) -> Result<(), Error> {
        if self.came.is_empty() {
            return Ok(());
        }
        let mut blobs = Vec::new();
        for number in &self.kept {
            blobs.push((*number, blob(self.ours, *number)?));
        }
        let headers: Vec<(Hnum, Header<'_>)> =
            blobs.iter().filter_map(|(number, blob)| Some((*number, Header::parse(blob).ok()?))).collect();
        let basenames = headers.iter().flat_map(|(_, header)| header.strings(tag::BASENAMES)).collect();
        let (rivals, shared) = self.rivals(&basenames)?;
        if rivals.is_empty() {
            return Ok(());
        }
        let is_shared = |file: &File<'_>| shared.contains(file.basename.as_bytes());
        let mut files: HashMap<PathBuf, Vec<(usize, File<'_>)>> = HashMap::new();
        for (place, (_, header)) in headers.iter().enumerate() {
            // Another's or nobody's file takes no place, nor does what is on a shared file system.
            let is_there = |file: &File<'_>| file.state == Some(FileState::Normal);
            for file in header.files().filter(is_shared).filter(is_there) {
                for name in self.aliases.names(&file.path()) {
                    files.entry(name).or_default().push((place, file.clone()));
                }
            }
        }
        for number in &rivals {
            let blob = blob(self.theirs, *number)?;
            let Ok(header) = Header::parse(&blob) else { continue };
            let is_gone =
                |file: &File<'_>| matches!(file.state, Some(FileState::Replaced | FileState::NotInstalled));
            for file in header.files().filter(is_shared).filter(|file| !is_gone(file)) {
                for (place, own) in files.get(&file.path()).into_iter().flatten() {
                    let (kept, own_header) = &headers[*place];
                    match judge(own_header, own, &file) {
                        Some(Loser::Earlier(state)) => {
                            states.set((Side::Theirs, *number), &header, file.index, state);
                        }
                        Some(Loser::Later) => {
                            let state = FileState::WrongColor;
                            states.set((Side::Ours, *kept), own_header, own.index, state);
                        }
                        None => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Which of the headers that came with the host have files of these names, in whatever directory, and which names those are. Paths are
    /// only put together for them: all names that a path has end alike.
    fn rivals<'n>(&self, basenames: &HashSet<&'n [u8]>) -> Result<(Vec<Hnum>, HashSet<&'n [u8]>), Error> {
        let (mut rivals, mut shared) = (Vec::new(), HashSet::new());
        for number in &self.came {
            let blob = blob(self.theirs, *number)?;
            let Ok(header) = Glance::of(&blob) else { continue };
            let mut found = header.strings(tag::BASENAMES).filter_map(|name| basenames.get(name)).peekable();
            rivals.extend(found.peek().is_some().then_some(*number));
            shared.extend(found);
        }
        Ok((rivals, shared))
    }
}

fn blob(database: &Database, number: Hnum) -> Result<Vec<u8>, Error> {
    Ok(database.blob(number)?.unwrap_or_default())
}

fn state_of(header: &Header<'_>, index: usize) -> Option<FileState> {
    header.numbers(tag::FILE_STATES).get(index).map(|state| FileState::from_number(state as u8))
}

/// Whose file of two has not its place.
#[derive(Debug, PartialEq, Eq)]
enum Loser {
    Earlier(FileState),
    Later,
}

/// What becomes of a file that is installed over one of another package.
fn judge(header: &Header<'_>, later: &File<'_>, earlier: &File<'_>) -> Option<Loser> {
    let is_config = |file: &File<'_>| file.flags.contains(FileFlags::CONFIG);
    if is_same(later, earlier) || is_config(later) || is_config(earlier) {
        return None;
    }
    let colors = header.number(tag::INSTALL_COLOR).unwrap_or_default() as u32;
    let (color, other) = (later.color & colors, earlier.color & colors);
    if color != 0 && other != 0 && color != other {
        if color & PREFERRED != 0 {
            return Some(Loser::Earlier(FileState::WrongColor));
        }
        if other & PREFERRED != 0 {
            return Some(Loser::Later);
        }
    }
    Some(Loser::Earlier(FileState::Replaced))
}

/// Whether two packages bring the same under a name (`rpmfilesCompare`).
fn is_same(one: &File<'_>, other: &File<'_>) -> bool {
    let is_link = |file: &File<'_>| file.mode & 0o170_000 == 0o120_000;
    let is_ghost = |file: &File<'_>| file.flags.contains(FileFlags::GHOST);
    if is_ghost(one) || is_ghost(other) {
        return true;
    }
    let are_links = is_link(one) && is_link(other);
    if (!are_links && one.mode != other.mode) || (one.user, one.group) != (other.user, other.group) {
        return false;
    }
    if are_links {
        return one.link_target == other.link_target;
    }
    if one.is_regular() {
        return one.size == other.size && one.digest == other.digest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::header::Builder;

    /// A package with one file: its mode, its link's target, its flags and its colour.
    fn package(mode: u16, target: &str, flags: u32, color: u32) -> Vec<u8> {
        let string = |text: &str| Value::Strings(vec![text.as_bytes().to_vec()]);
        Builder::new()
            .add(tag::BASENAMES, string("file"))
            .add(tag::DIRNAMES, string("/"))
            .add(tag::DIR_INDEXES, Value::Int32(vec![0]))
            .add(tag::FILE_MODES, Value::Int16(vec![mode]))
            .add(tag::FILE_LINK_TOS, string(target))
            .add(tag::FILE_FLAGS, Value::Int32(vec![flags]))
            .add(tag::FILE_COLORS, Value::Int32(vec![color]))
            .dribble(tag::INSTALL_COLOR, Value::Int32(vec![3]))
            .build()
    }

    #[test]
    fn files_have_the_place_that_rpm_gives_them() {
        let (file, program, link, dir) = (0o100_644, 0o100_755, 0o120_777, 0o040_755);
        let replaced = Some(Loser::Earlier(FileState::Replaced));
        let wrong = Some(Loser::Earlier(FileState::WrongColor));
        for (later, earlier, expected) in [
            (package(file, "", 0, 0), package(file, "", 0, 0), None),
            (package(file, "", 0, 0), package(program, "", 0, 0), replaced),
            (package(link, "a", 0, 0), package(link, "a", 0, 0), None),
            (package(link, "a", 0, 0), package(link, "b", 0, 0), Some(Loser::Earlier(FileState::Replaced))),
            (package(dir, "", 0, 0), package(dir, "", 0, 0), None),
            (package(file, "", 1, 0), package(program, "", 0, 0), None),
            (package(file, "", 0, 0), package(program, "", 64, 0), None),
            (package(file, "", 0, 2), package(program, "", 0, 1), wrong),
            (package(file, "", 0, 1), package(program, "", 0, 2), Some(Loser::Later)),
            (package(file, "", 0, 1), package(program, "", 0, 0), Some(Loser::Earlier(FileState::Replaced))),
        ] {
            let [later, earlier] = [&later, &earlier].map(|blob| Header::parse(blob).expect("a good one"));
            let [first, second] = [&later, &earlier].map(|header| header.files().next().expect("one file"));
            assert_eq!(judge(&later, &first, &second), expected, "{first:?} over {second:?}");
        }
    }
}
