//! Merging the files that list users and groups: passwd(5), group(5), shadow(5), gshadow(5), subuid(5).
//!
//! An overlay in which a package made a user has the whole file in its upper, and so hides every user
//! that the host gets later. Each line has a name, so three of these files can be merged line by line:
//! what one side changed is taken, what both changed is the overlay's, and said.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Finding;
use super::content::Content;
use super::edit::Edit;
use super::files::{Layer, LayerPlan};
use super::seen::{self, Had, SeenFiles};
use crate::overlay::changes::place::Place;
use crate::sys::{FileKind, IoError, Root, replace_file};

/// Files that are merged so, in the order in which people read about them.
const FILES: &[&str] = &["passwd", "group", "shadow", "gshadow", "subuid", "subgid"];

/// More than this is no list of users.
const LARGEST: u64 = 64 << 20;

/// Whether a path of the view is one of these files.
pub(super) fn is_account_file(path: &Path) -> bool {
    let name = path.strip_prefix("/etc").ok().and_then(Path::to_str);
    name.is_some_and(|name| FILES.contains(&name))
}

/// Plans the merge of those that an upper has.
pub(super) fn plan(
    layer: &Layer<'_>,
    layers: &Root,
    seen: &SeenFiles,
    plan: &mut LayerPlan,
) -> Result<(), IoError> {
    for file in FILES {
        let Some((ours, path)) = read_in(layer, layer.upper, file)? else { continue };
        let Some((theirs, _)) = read_in(layer, layer.lower, file)? else { continue };
        let base = read_noted(layers, seen, file)?;
        let merged = merge(file, base.as_deref(), &ours, &theirs);
        plan.findings.extend(merged.conflicts.into_iter().map(|words| Finding::Accounts { words }));
        if merged.text != ours {
            plan.edits.push((path, Edit::Write(merged.text)));
        }
    }
    Ok(())
}

/// Keeps a copy of what lies below those that an upper has, while that is what was noted.
pub(super) fn note(layer: &Layer<'_>, layers: &Root, seen: &SeenFiles) -> Result<(), IoError> {
    for file in FILES {
        if read_in(layer, layer.upper, file)?.is_none() {
            continue;
        }
        if let Some((theirs, _)) = read_in(layer, layer.lower, file)?
            && is_noted(seen, file, &theirs)
        {
            layers.make_dir(seen::DIRECTORY, 0o700)?;
            replace_file(&layers.open_child(OsStr::new(seen::DIRECTORY))?, file, &theirs)?;
        }
    }
    Ok(())
}

/// A file of /etc below one side of a layer, and its path from there; no link is followed.
fn read_in(layer: &Layer<'_>, side: &Root, file: &str) -> Result<Option<(Vec<u8>, PathBuf)>, IoError> {
    let Some(path) = layer.inside(&Path::new("/etc").join(file)) else { return Ok(None) };
    let mut place = Place::at(side, path.parent().unwrap_or(Path::new("")));
    if !place.exists()? {
        return Ok(None);
    }
    let dir = place.dir()?;
    let is_file = dir.lstat(file)?.is_some_and(|stat| FileKind::of(&stat) == FileKind::File);
    Ok(if is_file { Some((dir.read(file, LARGEST)?, path)) } else { None })
}

/// The copy, if it is of the file that was noted.
fn read_noted(layers: &Root, seen: &SeenFiles, file: &str) -> Result<Option<Vec<u8>>, IoError> {
    let copy = match layers.open_child(OsStr::new(seen::DIRECTORY)).and_then(|dir| dir.read(file, LARGEST)) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    Ok(Some(copy).filter(|copy| is_noted(seen, file, copy)))
}

fn is_noted(seen: &SeenFiles, file: &str, text: &[u8]) -> bool {
    let noted = seen.get(&Path::new("/etc").join(file));
    noted.and_then(Had::content) == Some(&Content::of_bytes(text))
}

/// A merged file.
#[derive(Debug, PartialEq, Eq)]
struct Merged {
    /// All its lines.
    text: Vec<u8>,
    /// What could not be merged without a choice, in words.
    conflicts: Vec<String>,
}

/// Merges one of [`FILES`]. Where what the base had is not known, nothing is taken for removed.
fn merge(file: &str, base: Option<&[u8]>, ours: &[u8], theirs: &[u8]) -> Merged {
    let (was, host) = (Lines::of(file, base.unwrap_or_default()), Lines::of(file, theirs));
    let own = Lines::of(file, ours);
    let mut merged = Merged { text: Vec::new(), conflicts: Vec::new() };
    let mut put = |line: &[u8]| {
        merged.text.extend(line);
        merged.text.push(b'\n');
    };
    for &(name, line) in &own.all {
        let (was, is) = (was.get(name), host.get(name));
        match is {
            _ if name.is_empty() => put(line),
            Some(is) => match choose(file, was, line, is) {
                Choice::Line(line) => put(&line),
                Choice::Conflict(line) => {
                    merged.conflicts.push(format!(
                        "'{}' in /etc/{file} was changed here and on the host; the one here stands",
                        String::from_utf8_lossy(name)
                    ));
                    put(&line);
                }
            },
            // The host removed what the overlay had left alone.
            None if base.is_some() && was == Some(line) => {}
            None => put(line),
        }
    }
    for &(name, line) in &host.all {
        let is_removed_here = base.is_some() && was.get(name).is_some();
        if !name.is_empty() && own.get(name).is_none() && !is_removed_here {
            put(line);
        }
    }
    merged.conflicts.extend(shared_numbers(file, &own, &host, &merged.text));
    merged
}

/// The lines of such a file, with the name that each begins with.
struct Lines<'a> {
    all: Vec<(&'a [u8], &'a [u8])>,
    by_name: HashMap<&'a [u8], &'a [u8]>,
}

impl<'a> Lines<'a> {
    fn of(file: &str, text: &'a [u8]) -> Lines<'a> {
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let all: Vec<_> = lines.map(|line| (name_of(file, line), line)).collect();
        // Of two lines with one name the first counts, as for getpwnam(3).
        let by_name = all.iter().rev().copied().collect();
        Lines { all, by_name }
    }

    fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.by_name.get(name).copied()
    }
}

/// The name that a line is about; none for a comment. Of ranges of numbers a user may have several, so
/// each is about itself.
fn name_of<'a>(file: &str, line: &'a [u8]) -> &'a [u8] {
    let name = if file.starts_with("sub") { line } else { first_field(line) };
    if name.starts_with(b"#") { &[] } else { name }
}

fn first_field(line: &[u8]) -> &[u8] {
    line.split(|&byte| byte == b':').next().unwrap_or_default()
}

enum Choice {
    Line(Vec<u8>),
    Conflict(Vec<u8>),
}

fn choose(file: &str, was: Option<&[u8]>, ours: &[u8], theirs: &[u8]) -> Choice {
    if ours == theirs || was == Some(theirs) {
        return Choice::Line(ours.to_vec());
    }
    if was == Some(ours) {
        return Choice::Line(theirs.to_vec());
    }
    match merge_members(file, was, ours, theirs) {
        Some(line) => Choice::Line(line),
        None => Choice::Conflict(ours.to_vec()),
    }
}

/// Lines of a group differ mostly in their members, which can be merged as a set.
fn merge_members(file: &str, was: Option<&[u8]>, ours: &[u8], theirs: &[u8]) -> Option<Vec<u8>> {
    if !file.ends_with("group") && file != "gshadow" {
        return None;
    }
    let split = |line: &'_ [u8]| -> Option<(Vec<u8>, BTreeSet<Vec<u8>>)> {
        let at = line.iter().rposition(|&byte| byte == b':')?;
        let members = line[at + 1..].split(|&byte| byte == b',').filter(|name| !name.is_empty());
        Some((line[..at].to_vec(), members.map(<[u8]>::to_vec).collect()))
    };
    let ((front, own), (other, host)) = (split(ours)?, split(theirs)?);
    let was = was.and_then(split).map(|(_, members)| members).unwrap_or_default();
    if front != other {
        return None;
    }
    // Who is on both sides, or was added on one of them.
    let is_member = |name: &Vec<u8>| (own.contains(name) && host.contains(name)) || !was.contains(name);
    let members: Vec<Vec<u8>> = own.union(&host).filter(|name| is_member(name)).cloned().collect();
    Some([&front[..], b":", &members.join(&b","[..])].concat())
}

/// Names that were added on both sides and got one number, or ranges of numbers that overlap: files of the one belong to
/// the other. It is told what gives the overlay's another; whose a file is that both may have made nobody can say.
fn shared_numbers(file: &str, own: &Lines<'_>, host: &Lines<'_>, merged: &[u8]) -> Vec<String> {
    let lines = Lines::of(file, merged);
    let held: Vec<Held<'_>> =
        lines.all.iter().filter_map(|(name, line)| Held::of(file, name, line)).collect();
    let (here, there): (Vec<&Held<'_>>, Vec<&Held<'_>>) = held
        .iter()
        .filter(|held| own.get(held.key).is_none() || host.get(held.key).is_none())
        .partition(|held| host.get(held.key).is_none());
    let pairs = here.iter().flat_map(|mine| there.iter().map(move |other| (*mine, *other)));
    pairs
        .filter(|(mine, other)| mine.name != other.name && mine.overlaps(other))
        .map(|(mine, other)| mine.told_beside(file, other, free(file, &held, mine)))
        .collect()
}

/// Numbers that a line gives to a name.
struct Held<'a> {
    key: &'a [u8],
    name: &'a [u8],
    first: u64,
    count: u64,
}

impl<'a> Held<'a> {
    fn of(file: &str, key: &'a [u8], line: &'a [u8]) -> Option<Held<'a>> {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().filter(|_| !key.is_empty())?;
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<u32>().ok().map(u64::from);
        let (first, count) = match file {
            "passwd" | "group" => {
                number();
                (number()?, 1)
            }
            "subuid" | "subgid" => (number()?, number()?),
            _ => return None,
        };
        Some(Held { key, name, first, count })
    }

    fn end(&self) -> u64 {
        self.first + self.count
    }

    fn overlaps(&self, other: &Held<'_>) -> bool {
        self.first < other.end() && other.first < self.end()
    }

    fn told_beside(&self, file: &str, other: &Held<'_>, free: u64) -> String {
        let [name, others] = [self, other].map(|held| String::from_utf8_lossy(held.name));
        let (first, last) = (self.first, self.end().saturating_sub(1));
        let free_last = free + self.count.saturating_sub(1);
        match file {
            "passwd" | "group" => {
                let command = if file == "passwd" { "usermod --uid" } else { "groupmod --gid" };
                format!(
                    "'{name}' and '{others}' in /etc/{file} have one number, {first}; '{command} {free} {name}' gives the \
                     former another, and chown its files"
                )
            }
            _ => format!(
                "'{name}' and '{others}' in /etc/{file} have the same numbers, of {first} to {last}; 'usermod --del-{file}s \
                 {first}-{last} --add-{file}s {free}-{free_last} {name}' gives the former others"
            ),
        }
    }
}

/// Where numbers begin that nobody has: for system users below, as they are given; for others above.
fn free(file: &str, all: &[Held<'_>], wanted: &Held<'_>) -> u64 {
    let is_free = |first: &u64| {
        let numbers = Held { first: *first, ..*wanted };
        !all.iter().any(|held| held.overlaps(&numbers))
    };
    let is_system = matches!(file, "passwd" | "group") && wanted.first < FIRST_PERSON;
    let below = (FIRST_SYSTEM..wanted.first).rev().find(is_free).filter(|_| is_system);
    let ends = all.iter().map(Held::end).filter(|end| *end > wanted.first);
    below.unwrap_or_else(|| ends.filter(is_free).min().unwrap_or(wanted.end()))
}

/// Numbers of system users and groups, as useradd(8) gives them where login.defs(5) says nothing else.
const FIRST_SYSTEM: u64 = 101;
const FIRST_PERSON: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, base: Option<&str>, ours: &str, theirs: &str, expected: &str, conflicts: &[&str]) {
        let merged = merge(file, base.map(str::as_bytes), ours.as_bytes(), theirs.as_bytes());
        assert_eq!(String::from_utf8_lossy(&merged.text), expected);
        assert_eq!(merged.conflicts, conflicts);
    }

    const ROOT: &str = "root:x:0:0::/root:/bin/sh\n";

    #[test]
    fn new_users_of_both_sides_are_there() {
        let ours = format!("{ROOT}mine:x:990:990:::\n");
        let theirs = format!("{ROOT}host:x:991:991:::\n");
        let both = format!("{ROOT}mine:x:990:990:::\nhost:x:991:991:::\n");
        for base in [Some(ROOT), None] {
            check("passwd", base, &ours, &theirs, &both, &[]);
        }
    }

    #[test]
    fn what_one_side_changed_or_removed_is_taken() {
        let bash = "root:x:0:0::/root:/bin/bash\n";
        check("passwd", Some(ROOT), bash, ROOT, bash, &[]);
        check("passwd", Some(ROOT), ROOT, bash, bash, &[]);
        check("passwd", Some(bash), bash, bash, bash, &[]);
        let games = format!("{ROOT}games:x:5:5:::\n");
        check("passwd", Some(&games), &games, ROOT, ROOT, &[]);
        check("passwd", Some(&games), ROOT, &games, ROOT, &[]);
        check("passwd", None, &games, ROOT, &games, &[]);
        check("passwd", Some(&games), &games.replace("5:5", "6:6"), ROOT, &games.replace("5:5", "6:6"), &[]);
    }

    #[test]
    fn what_both_changed_is_ours_and_told() {
        let [a, b] = ["/a", "/b"].map(|shell| format!("root:x:0:0::/root:{shell}\n"));
        check(
            "passwd",
            Some(ROOT),
            &a,
            &b,
            &a,
            &["'root' in /etc/passwd was changed here and on the host; the one here stands"],
        );
    }

    #[test]
    fn members_of_groups_are_merged_one_by_one() {
        check("group", Some("adm:x:4:a,b\n"), "adm:x:4:a,b,c\n", "adm:x:4:b,d\n", "adm:x:4:b,c,d\n", &[]);
        check("group", None, "adm:x:4:a\n", "adm:x:4:b\n", "adm:x:4:a,b\n", &[]);
        check("gshadow", Some("adm:*::\n"), "adm:*::a\n", "adm:*::b\n", "adm:*::a,b\n", &[]);
        let told = "'adm' in /etc/group was changed here and on the host; the one here stands";
        check("group", Some("adm:x:4:\n"), "adm:x:5:\n", "adm:x:6:\n", "adm:x:5:\n", &[told]);
    }

    #[test]
    fn one_number_for_two_new_names_is_told() {
        let ours = format!("{ROOT}mine:x:990:990:::\n");
        let theirs = format!("{ROOT}host:x:990:990:::\n");
        let told = "'mine' and 'host' in /etc/passwd have one number, 990; 'usermod --uid 989 mine' gives the former \
                    another, and chown its files";
        check("passwd", Some(ROOT), &ours, &theirs, &format!("{ours}host:x:990:990:::\n"), &[told]);
        // Two names for one user that the host itself has are its own affair.
        let toor = format!("{ROOT}toor:x:0:0:::\n");
        check("passwd", Some(ROOT), ROOT, &toor, &toor, &[]);
    }

    #[test]
    fn another_number_is_one_that_nobody_has() {
        let ours = "a:x:101:\nmine:x:102:\npeople:x:1000:\n";
        let theirs = "a:x:101:\nhost:x:102:\nothers:x:1000:\nmore:x:1001:\n";
        let base = "a:x:101:\n";
        let told = [
            "'mine' and 'host' in /etc/group have one number, 102; 'groupmod --gid 103 mine' gives the former another, \
             and chown its files",
            "'people' and 'others' in /etc/group have one number, 1000; 'groupmod --gid 1002 people' gives the former \
             another, and chown its files",
        ];
        let merged = format!("{ours}host:x:102:\nothers:x:1000:\nmore:x:1001:\n");
        check("group", Some(base), ours, theirs, &merged, &told);
    }

    #[test]
    fn ranges_that_overlap_are_told() {
        let told = "'mine' and 'host' in /etc/subuid have the same numbers, of 100000 to 165535; 'usermod --del-subuids \
                    100000-165535 --add-subuids 165536-231071 mine' gives the former others";
        let (ours, theirs) = ("mine:100000:65536\n", "host:100000:65536\n");
        check("subuid", Some(""), ours, theirs, &format!("{ours}{theirs}"), &[told]);
        let apart = "host:165536:65536\n";
        check("subuid", Some(""), ours, apart, &format!("{ours}{apart}"), &[]);
        // What the host has had all along is its own affair.
        let both = format!("{ours}{theirs}");
        check("subuid", Some(&both), &both, &both, &both, &[]);
        check(
            "subuid",
            Some(""),
            "a:4294967295:4294967295\n",
            "b:0:x\n",
            "a:4294967295:4294967295\nb:0:x\n",
            &[],
        );
    }

    #[test]
    fn comments_and_odd_lines_stay() {
        check("subuid", Some(""), "# mine\na:1:2\n", "b:3:4", "# mine\na:1:2\nb:3:4\n", &[]);
        check("subgid", Some("a:1:2\na:3:4\n"), "a:1:2\na:3:4\na:5:6\n", "a:1:2\n", "a:1:2\na:5:6\n", &[]);
        check("shadow", Some("\n"), "nonsense\n", "\n\n", "nonsense\n", &[]);
    }
}
