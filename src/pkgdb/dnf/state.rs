//! The state of libdnf5 in `/usr/lib/sysimage/libdnf5`: TOML files with a version and one table each.
//!
//! | file | a row for each | says |
//! |---|---|---|
//! | `packages.toml` | `NAME.ARCH` | why it is there (`reason`) |
//! | `nevras.toml` | `NAME-VERSION-RELEASE.ARCH` | from which repository it came |
//! | `groups.toml`, `environments.toml`, `modules.toml` | identifier | what was installed of it |
//!
//! A package without a row was installed by another program, and counts as wanted for its own sake.

use toml::{Table, Value};

use super::{Decisions, Word};

/// Where the files are.
pub const DIRECTORY: &str = "/usr/lib/sysimage/libdnf5";

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `packages.toml`.
    Packages,
    /// `nevras.toml`.
    Nevras,
    /// `groups.toml`.
    Groups,
    /// `environments.toml`.
    Environments,
    /// `modules.toml`.
    Modules,
}

impl File {
    /// All of them.
    pub const ALL: [File; 5] =
        [File::Packages, File::Nevras, File::Groups, File::Environments, File::Modules];

    /// The name of its table.
    fn table(self) -> &'static str {
        match self {
            File::Packages => "packages",
            File::Nevras => "nevras",
            File::Groups => "groups",
            File::Environments => "environments",
            File::Modules => "modules",
        }
    }

    /// Where it is.
    pub fn path(self) -> String {
        format!("{DIRECTORY}/{}.toml", self.table())
    }

    /// Whether it says what packages do not: then what it said before tells who removed something.
    pub fn is_of_its_own(self) -> bool {
        matches!(self, File::Groups | File::Environments | File::Modules)
    }

    /// Merges it; `base` is what it said on the host before, where that is known. `None` where one of the two is not what
    /// libdnf5 writes: then nothing is known of it.
    pub fn merge(
        self,
        base: Option<&str>,
        ours: &str,
        theirs: &str,
        decisions: &Decisions,
    ) -> Option<String> {
        let (our, mut merged) = (ours.parse::<Table>().ok()?, theirs.parse::<Table>().ok()?);
        let base = base.and_then(|base| base.parse::<Table>().ok());
        let rows = |table: &Table| table.get(self.table()).and_then(Value::as_table).cloned();
        let (our_rows, their_rows) = (rows(&our).unwrap_or_default(), rows(&merged).unwrap_or_default());
        let base_rows = base.map(|base| rows(&base).unwrap_or_default());
        let names = our_rows.keys().chain(their_rows.keys()).cloned();
        let row = |name: String| {
            let (our, their) = (our_rows.get(&name), their_rows.get(&name));
            let row = match &base_rows {
                Some(base) if self.is_of_its_own() => three_way(base.get(&name), our, their),
                _ => self.row(&name, our, their, decisions),
            };
            Some((name, row?.clone()))
        };
        let rows: Table = names.filter_map(row).collect();
        for (key, value) in our {
            merged.entry(key).or_insert(value);
        }
        merged.insert(self.table().to_owned(), Value::Table(rows));
        toml::to_string(&merged).ok()
    }

    fn row<'a>(
        self,
        name: &str,
        ours: Option<&'a Value>,
        theirs: Option<&'a Value>,
        decisions: &Decisions,
    ) -> Option<&'a Value> {
        match self {
            File::Packages => match decisions.word(name) {
                Word::Ours => ours,
                Word::Theirs => theirs,
                Word::Both => {
                    if rank(ours) >= rank(theirs) {
                        ours
                    } else {
                        theirs
                    }
                }
                Word::Nobodys => None,
            },
            File::Nevras => match name_and_arch(name).map(|package| decisions.word(&package)) {
                Some(Word::Nobodys) => None,
                Some(Word::Ours) => ours.or(theirs),
                _ => theirs.or(ours),
            },
            // What one side has removed of these is not known here.
            File::Groups | File::Environments | File::Modules => theirs.or(ours),
        }
    }
}

/// What one side changed is taken; where both did, the host's, unless one of them removed it: that is decided as it is for
/// packages.
fn three_way<'a>(
    base: Option<&'a Value>,
    ours: Option<&'a Value>,
    theirs: Option<&'a Value>,
) -> Option<&'a Value> {
    match (ours, theirs) {
        _ if ours == base => theirs,
        _ if theirs == base => ours,
        (None, _) => None,
        (Some(ours), theirs) => theirs.or(Some(ours)),
    }
}

/// How much a package is wanted for its own sake.
fn rank(row: Option<&Value>) -> u8 {
    match row.and_then(|row| row.get("reason")).and_then(Value::as_str) {
        Some("User") => 4,
        Some("Group") => 3,
        Some("Weak Dependency") => 1,
        Some("Dependency") => 0,
        // Somebody else installed it.
        _ => 2,
    }
}

/// The packages that are there for others' sake alone, by what `packages.toml` says: `NAME.ARCH`. Of what libdnf5 does not write, none is
/// known.
pub fn needed(packages: &str) -> Vec<String> {
    let Ok(table) = packages.parse::<Table>() else { return Vec::new() };
    let rows = table.get(File::Packages.table()).and_then(Value::as_table);
    let is_needed = |row: &Value| rank(Some(row)) < rank(None);
    rows.into_iter().flatten().filter(|(_, row)| is_needed(row)).map(|(name, _)| name.clone()).collect()
}

/// The package of `NAME-VERSION-RELEASE.ARCH`.
fn name_and_arch(nevra: &str) -> Option<String> {
    let (rest, arch) = nevra.rsplit_once('.')?;
    let (rest, _) = rest.rsplit_once('-')?;
    let (name, _) = rest.rsplit_once('-')?;
    Some(format!("{name}.{arch}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkgdb::merge::Decision;

    fn decisions() -> Decisions {
        let mut decisions = Decisions::default();
        for (name, decision) in [
            ("kept", Decision::KeepOurs),
            ("taken", Decision::TakeTheirs),
            ("same", Decision::Unchanged),
            ("gone", Decision::Remove),
        ] {
            decisions.add(name, "noarch", decision);
        }
        decisions
    }

    fn file(table: &str, rows: &[(&str, &str)]) -> String {
        let rows = rows.iter().map(|(name, row)| format!("\"{name}\" = {{{row}}}\n"));
        format!("version = \"1.0\"\n\n[{table}]\n{}", rows.collect::<String>())
    }

    fn merged(which: File, ours: &str, theirs: &str) -> Table {
        let text = which.merge(None, ours, theirs, &decisions()).expect("both are right");
        text.parse().expect("it is TOML")
    }

    #[test]
    fn reasons_go_with_their_packages() {
        let (user, dependency, group) =
            ("reason = \"User\"", "reason = \"Dependency\"", "reason = \"Group\"");
        for (name, ours, theirs, expected) in [
            ("kept.noarch", Some(dependency), Some(user), Some(dependency)),
            ("kept.noarch", None, Some(user), None),
            ("taken.noarch", Some(user), Some(dependency), Some(dependency)),
            ("same.noarch", Some(user), Some(dependency), Some(user)),
            ("same.noarch", Some(dependency), Some(user), Some(user)),
            ("same.noarch", Some(dependency), Some(dependency), Some(dependency)),
            ("same.noarch", Some(dependency), None, None),
            ("same.noarch", Some(dependency), Some(group), Some(group)),
            ("gone.noarch", Some(user), Some(user), None),
            ("strange.noarch", Some(user), Some(user), None),
        ] {
            let [ours, theirs] = [ours, theirs]
                .map(|row| file("packages", &row.map(|row| (name, row)).into_iter().collect::<Vec<_>>()));
            let found = merged(File::Packages, &ours, &theirs);
            let expected = file("packages", &expected.map(|row| (name, row)).into_iter().collect::<Vec<_>>());
            assert_eq!(found, expected.parse::<Table>().expect("it is TOML"), "{name}: {ours} | {theirs}");
        }
    }

    #[test]
    fn versions_and_groups_are_those_that_are_there() {
        let (ours, theirs) = ("from_repo = \"a\"", "from_repo = \"b\"");
        let (kept, taken, gone) = ("kept-1-1.noarch", "taken-2:1-1.noarch", "gone-1-1.noarch");
        let found = merged(
            File::Nevras,
            &file("nevras", &[(kept, ours), (gone, ours)]),
            &file("nevras", &[(taken, theirs), (gone, theirs)]),
        );
        let expected = file("nevras", &[(kept, ours), (taken, theirs)]);
        assert_eq!(found, expected.parse::<Table>().expect("it is TOML"));
        let found = merged(
            File::Groups,
            &file("groups", &[("x", ours), ("y", ours)]),
            &file("groups", &[("y", theirs)]),
        );
        let expected = file("groups", &[("x", ours), ("y", theirs)]);
        assert_eq!(found, expected.parse::<Table>().expect("it is TOML"));
        assert_eq!(File::Packages.merge(None, "[", "", &decisions()), None);
    }

    #[test]
    fn groups_that_one_side_removed_are_gone() {
        let [a, b, c] = ["packages = [\"a\"]", "packages = [\"b\"]", "packages = [\"c\"]"].map(Some);
        for (base, ours, theirs, expected) in [
            (a, a, None, None),
            (a, None, a, None),
            (a, None, b, None),
            (a, b, None, b),
            (a, a, b, b),
            (a, b, a, b),
            (a, b, c, c),
            (None, a, None, a),
            (None, None, a, a),
            (None, a, b, b),
        ] {
            for which in [File::Groups, File::Environments, File::Modules] {
                let of = |row: Option<&str>| {
                    file(which.table(), &row.map(|row| ("x", row)).into_iter().collect::<Vec<_>>())
                };
                let found = which.merge(Some(&of(base)), &of(ours), &of(theirs), &decisions());
                let found = found.expect("all are right").parse::<Table>().expect("it is TOML");
                assert_eq!(
                    found,
                    of(expected).parse::<Table>().expect("it is TOML"),
                    "{base:?} {ours:?} {theirs:?}"
                );
            }
        }
    }
}
