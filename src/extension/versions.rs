//! Which of the versions in a `.v` directory systemd takes (systemd.v(7), since 256).
//!
//! An entry is `NAME_VERSION[_ARCHITECTURE][+LEFT[-DONE]]` with the directory's ending. Of those for another architecture, none is
//! taken. One that has been tried as often as it may (LEFT is 0) comes after all others; then the newest version counts, then the
//! host's own architecture, more tries left, fewer done, and at last the name.

use std::cmp::{Ordering, Reverse};

use super::{SystemdVersion, order};
use crate::image::ddi::Architecture;

/// One entry, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    file: &'a str,
    version: &'a str,
    /// Where its architecture is among those that the host runs, the host's own first.
    rank: usize,
    /// As often it may still be tried; without an end where nothing is said.
    left: u32,
    done: u32,
}

/// The entry that is taken of a directory for `name`, whose entries end in `suffix`, on a host of an architecture in systemd's
/// words.
pub(super) fn newest<'a>(
    files: impl IntoIterator<Item = &'a str>,
    name: &str,
    suffix: &str,
    architecture: &str,
    systemd: SystemdVersion,
) -> Option<&'a str> {
    let entries = files.into_iter().filter_map(|file| Entry::of(file, name, suffix, architecture, systemd));
    entries.max_by(Entry::compare).map(|entry| entry.file)
}

impl<'a> Entry<'a> {
    fn of(
        file: &'a str,
        name: &str,
        suffix: &str,
        architecture: &str,
        systemd: SystemdVersion,
    ) -> Option<Entry<'a>> {
        let rest = file.strip_prefix(name)?.strip_prefix('_')?.strip_suffix(suffix)?;
        let (rest, left, done) = without_tries(rest);
        let (version, word) = match rest.rsplit_once('_') {
            Some((version, word)) => (version, Some(word)),
            None => (rest, None),
        };
        // What is no word for one is for any.
        let rank = match word.and_then(Architecture::named) {
            None => 2,
            Some(found) if found.name() == architecture => 0,
            Some(found) if Some(found.name()) == second(architecture) => 1,
            Some(_) => return None,
        };
        let is_good = |letter: char| letter.is_ascii_alphanumeric() || "._-+".contains(letter);
        let is_known = |letter: char| if systemd.major < 258 { letter == ',' } else { "~^".contains(letter) };
        let is_version =
            !version.is_empty() && version.chars().all(|letter| is_good(letter) || is_known(letter));
        is_version.then_some(Entry { file, version, rank, left, done })
    }

    fn compare(&self, other: &Entry<'_>) -> Ordering {
        let order = (self.left != 0).cmp(&(other.left != 0));
        let order = order.then_with(|| order::compare(self.version, other.version));
        let rest = |entry: &Entry<'_>| (Reverse(entry.rank), entry.left, Reverse(entry.done));
        order.then_with(|| rest(self).cmp(&rest(other))).then_with(|| self.file.cmp(other.file))
    }
}

/// Of a name, what comes before `+LEFT-DONE` or `+LEFT`, and both.
fn without_tries(rest: &str) -> (&str, u32, u32) {
    let none = (rest, u32::MAX, u32::MAX);
    let Some((before, tries)) = rest.rsplit_once('+') else { return none };
    let (left, done) = tries.split_once('-').map_or((tries, None), |(left, done)| (left, Some(done)));
    let number = |word: &str| {
        let is_one = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        is_one.then(|| word.parse().ok()).flatten()
    };
    match (number(left), done.map(number)) {
        (Some(left), None) => (before, left, 0),
        (Some(left), Some(Some(done))) => (before, left, done),
        _ => none,
    }
}

/// The other architecture whose programs a host runs.
fn second(architecture: &str) -> Option<&'static str> {
    match architecture {
        "x86-64" => Some("x86"),
        "arm64" => Some("arm"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_taken_that_may_be() {
        let modern = SystemdVersion { major: 257, minor: 0 };
        let newer = SystemdVersion { major: 260, minor: 0 };
        // Each as systemd-vpick of 257 has it.
        for (files, found) in [
            (&["n_1.raw", "n_10.raw", "n_9.raw"][..], Some("n_10.raw")),
            (&["n_1_x86-64.raw", "n_2_arm64.raw"], Some("n_1_x86-64.raw")),
            (&["n_2_x86.raw", "n_2_x86-64.raw", "n_2.raw"], Some("n_2_x86-64.raw")),
            (&["n_3+0-1.raw", "n_2.raw"], Some("n_2.raw")),
            (&["n_3+0-1.raw"], Some("n_3+0-1.raw")),
            (&["n_2+3-0.raw", "n_2+1-2.raw"], Some("n_2+3-0.raw")),
            (&["n_2+1-1.raw", "n_2+1.raw"], Some("n_2+1.raw")),
            (&["n_2.raw", "n_2+3-0.raw"], Some("n_2.raw")),
            (&["n_9_foo.raw", "n_8.raw"], Some("n_9_foo.raw")),
            (&["n_2+git.raw", "n_1.raw"], Some("n_2+git.raw")),
            (&["n.raw", "n-9.raw", "nx_8.raw", "n_.raw", "n_1~rc1.raw", "n_7"], None),
            (&["n_1.5_x86-64+2-1.raw", "n_1.4.raw"], Some("n_1.5_x86-64+2-1.raw")),
        ] {
            let newest = newest(files.iter().copied(), "n", ".raw", "x86-64", modern);
            assert_eq!(newest, found, "{files:?}");
        }
        assert_eq!(newest(["n_1~rc1"], "n", "", "arm64", newer), Some("n_1~rc1"));
    }
}
