//! Two databases, package by package: what one has that the other has not.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Package;
use crate::package::{DebianVersion, Evr};

/// Whose rules put versions in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// rpm's.
    Rpm,
    /// dpkg's.
    Debian,
}

/// How a package differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// Only the new database has it.
    Added,
    /// Only the old one has it.
    Removed,
    /// It is newer.
    Upgraded,
    /// It is older.
    Downgraded,
    /// It has the same version and is another: built or installed again.
    Changed,
}

/// A package that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared<'a> {
    /// How.
    pub difference: Difference,
    /// The package that was there.
    pub old: Option<&'a Package>,
    /// The package that is there.
    pub new: Option<&'a Package>,
}

impl Versions {
    /// Which of two versions is newer. One that is none comes before all others.
    pub fn compare(self, one: &str, other: &str) -> Ordering {
        match self {
            Versions::Rpm => Evr::parse(one).cmp(&Evr::parse(other)),
            Versions::Debian => {
                let [one, other] = [one, other].map(|text| DebianVersion::parse(text).ok());
                one.cmp(&other)
            }
        }
    }
}

impl<'a> Compared<'a> {
    /// The package, the new one where there are two.
    pub fn package(&self) -> &'a Package {
        self.new.or(self.old).expect("one of them is there")
    }
}

/// Packages of one name and architecture: the old ones, and the new ones.
type Group<'a> = (Vec<&'a Package>, Vec<&'a Package>);

/// Compares two databases; what is the same in both is left out. By name and architecture.
pub fn compare<'a>(old: &'a [Package], new: &'a [Package], versions: Versions) -> Vec<Compared<'a>> {
    let mut groups: BTreeMap<(&str, &str), Group<'a>> = BTreeMap::new();
    for package in old {
        groups.entry((&package.name, &package.arch)).or_default().0.push(package);
    }
    for package in new {
        groups.entry((&package.name, &package.arch)).or_default().1.push(package);
    }
    groups.into_values().flat_map(|group| compare_group(group, versions)).collect()
}

/// There may be several versions beside each other, of kernels for example.
fn compare_group((mut old, mut new): Group<'_>, versions: Versions) -> Vec<Compared<'_>> {
    take_pairs(&mut old, &mut new, |old, new| old.identity == new.identity);
    let is_same = |old: &Package, new: &Package| versions.compare(&old.version, &new.version).is_eq();
    let pairs = take_pairs(&mut old, &mut new, is_same).into_iter();
    let mut found: Vec<Compared<'_>> = pairs
        .map(|(old, new)| Compared { difference: Difference::Changed, old: Some(old), new: Some(new) })
        .collect();
    if let ([only_old], [only_new]) = (&*old, &*new) {
        let is_newer = versions.compare(&only_old.version, &only_new.version).is_lt();
        let difference = if is_newer { Difference::Upgraded } else { Difference::Downgraded };
        found.push(Compared { difference, old: Some(only_old), new: Some(only_new) });
        return found;
    }
    let removed = |old| Compared { difference: Difference::Removed, old: Some(old), new: None };
    let added = |new| Compared { difference: Difference::Added, old: None, new: Some(new) };
    found.extend(old.into_iter().map(removed));
    found.extend(new.into_iter().map(added));
    found
}

/// Takes out of both what belongs together.
fn take_pairs<'a>(
    old: &mut Vec<&'a Package>,
    new: &mut Vec<&'a Package>,
    is_pair: impl Fn(&Package, &Package) -> bool,
) -> Vec<(&'a Package, &'a Package)> {
    let mut pairs = Vec::new();
    old.retain(|package| match new.iter().position(|other| is_pair(package, other)) {
        Some(position) => {
            pairs.push((*package, new.remove(position)));
            false
        }
        None => true,
    });
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Identity;

    /// `name 1.0 built`: what is behind the version tells packages of one version apart.
    fn packages(texts: &[&str]) -> Vec<Package> {
        let package = |text: &&str| {
            let (name, version) = text.split_once(' ').expect("two words");
            Package {
                name: name.to_owned(),
                arch: "all".to_owned(),
                version: version.split(' ').next().unwrap_or_default().to_owned(),
                identity: Identity::of(text.as_bytes()),
            }
        };
        texts.iter().map(package).collect()
    }

    #[test]
    fn packages_are_compared() {
        type Row = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);
        let table: &[Row] = &[
            (&[], &[], &[]),
            (&["a 1"], &["a 1"], &[]),
            (&[], &["a 1"], &["Added - 1"]),
            (&["a 1"], &[], &["Removed 1 -"]),
            (&["a 1.9"], &["a 1.10"], &["Upgraded 1.9 1.10"]),
            (&["a 1"], &["a 1~rc"], &["Downgraded 1 1~rc"]),
            (&["a 1"], &["a 1 again"], &["Changed 1 1"]),
            (&["a 1", "b 1"], &["b 2", "a 1"], &["Upgraded 1 2"]),
            (&["k 1", "k 2"], &["k 2", "k 3"], &["Upgraded 1 3"]),
            (&["k 1", "k 2"], &["k 1", "k 2", "k 3"], &["Added - 3"]),
            (
                &["k 1", "k 2"],
                &["k 2 again", "k 3", "k 4"],
                &["Changed 2 2", "Removed 1 -", "Added - 3", "Added - 4"],
            ),
            (&["k 1", "k 1"], &["k 1"], &["Removed 1 -"]),
        ];
        for (old, new, expected) in table {
            let (old, new) = (packages(old), packages(new));
            for versions in [Versions::Rpm, Versions::Debian] {
                let version =
                    |package: Option<&Package>| package.map_or("-", |package| &*package.version).to_owned();
                let found: Vec<String> = compare(&old, &new, versions)
                    .iter()
                    .map(|row| format!("{:?} {} {}", row.difference, version(row.old), version(row.new)))
                    .collect();
                assert_eq!(found, *expected, "{old:?} {new:?}");
            }
        }
    }

    #[test]
    fn versions_are_compared_by_their_own_rules() {
        assert_eq!(Versions::Rpm.compare("1.0^1", "1.0"), Ordering::Greater);
        assert_eq!(Versions::Debian.compare("1.0+1", "1.0"), Ordering::Greater);
        assert_eq!(Versions::Debian.compare("1.a", "1.0"), Ordering::Greater);
        assert_eq!(Versions::Rpm.compare("1.a", "1.0"), Ordering::Less);
        assert_eq!(Versions::Debian.compare("", "0"), Ordering::Less);
    }
}
