//! What a person should know of what was built, besides whether it fits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::assemble::Assembly;
use super::changes::is_index;
use super::gather::Gathered;
use super::recipe::Recipe;
use super::source::Source;
use crate::event::counted;

/// Something about a file that is not meant to be given to others, or cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Oddity {
    /// It belongs to a number that people have.
    OfPeople,
    /// It has an access list (acl(5)), which images have no room for.
    AccessList,
    /// Others may not read it, but the image.
    Secret,
}

/// The first file of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    first: PathBuf,
    pub(super) count: u64,
}

impl Told {
    pub(super) fn first(path: &Path) -> Told {
        Told { first: path.to_owned(), count: 0 }
    }
}

impl Oddity {
    /// Whether an extended attribute is an access list.
    pub(super) fn is_access_list(attribute: &[u8]) -> bool {
        attribute.starts_with(b"system.")
    }

    fn words(self) -> &'static str {
        match self {
            Oddity::OfPeople => {
                "of users or groups of people (1000 and above), whose numbers are others elsewhere"
            }
            Oddity::AccessList => "with an access list, which no image has room for",
            Oddity::Secret => "that only its owner may read: whoever has the image can",
        }
    }
}

/// All remarks, in a line each.
pub(super) fn all(
    sources: &[Source],
    gathered: &[Gathered],
    assembly: &Assembly<'_>,
    recipe: &Recipe,
) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut odd: BTreeMap<Oddity, Told> = BTreeMap::new();
    for (oddity, told) in gathered.iter().flat_map(|gathered| &gathered.odd) {
        odd.entry(*oddity).or_insert_with(|| Told::first(&told.first)).count += told.count;
    }
    remarks.extend(odd.iter().map(|(oddity, told)| {
        let (count, first) = (counted(told.count, "file"), told.first.display());
        format!("{count} {}: {first}", oddity.words())
    }));
    remarks.extend(units(assembly, recipe));
    remarks.extend(library_directories(assembly));
    remarks.extend(indexes(assembly));
    remarks.extend(alternatives(sources));
    remarks
}

/// Units that systemd does not know of before somebody has it read them.
fn units(assembly: &Assembly<'_>, recipe: &Recipe) -> Option<String> {
    const KINDS: &[&str] = &["service", "socket", "timer", "path", "mount", "automount", "target", "slice"];
    let is_unit = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| KINDS.contains(&ending))
    };
    let below = |path: &Path| {
        let name = path.strip_prefix("usr/lib/systemd/system").ok()?;
        is_unit(path).then(|| name.file_name().unwrap_or_default().to_string_lossy().into_owned())
    };
    let mut names: Vec<String> = assembly.paths().filter_map(|(path, _)| below(path)).collect();
    names.sort();
    names.dedup();
    if recipe.reload || names.is_empty() {
        return None;
    }
    Some(format!("it brings units, which systemd reads when it is told to or with --reload: {}", few(&names)))
}

/// Libraries that are found by the host's ld.so.cache alone, in which they are not.
fn library_directories(assembly: &Assembly<'_>) -> Option<String> {
    let is_list = |path: &&PathBuf| path.parent() == Some(Path::new("etc/ld.so.conf.d"));
    let defaults = assembly.paths().filter_map(|(_, brought)| brought.default_of.clone());
    let lists: Vec<String> = defaults
        .filter(|path| is_list(&path))
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    let about = "libraries in directories that no program names itself are found when ldconfig(8) has run on the host";
    (!lists.is_empty()).then(|| format!("{about}: {} in /etc/ld.so.conf.d", few(&lists)))
}

/// What was made from the files of many packages.
fn indexes(assembly: &Assembly<'_>) -> Option<String> {
    let found: Vec<String> = assembly
        .paths()
        .filter(|(path, _)| is_index(path))
        .map(|(path, _)| path.display().to_string())
        .collect();
    let about = "it hides indexes of the base's; build it anew when the base was updated";
    (!found.is_empty()).then(|| format!("{about}: {}", few(&found)))
}

/// Packages whose scripts would have made links.
fn alternatives(sources: &[Source]) -> Option<String> {
    let sets = |source: &Source| match source {
        Source::Package(package) if package.sets_alternatives() => Some(package.name().into_owned()),
        _ => None,
    };
    let names: Vec<String> = sources.iter().filter_map(sets).collect();
    let about = "links that scripts make by update-alternatives are missing; installed in an overlay ('onlay shell') and saved \
                 ('onlay save --ext') they are there";
    (!names.is_empty()).then(|| format!("{about}: {}", few(&names)))
}

/// So many names that people read them.
fn few(names: &[String]) -> String {
    const FEW: usize = 5;
    let mut text = names.iter().take(FEW).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > FEW {
        text.push_str(&format!(" and {} more", names.len() - FEW));
    }
    text
}
