//! Users and groups that an overlay has and the base lacks: lines for sysusers.d(5), which makes them where the extension is.
//!
//! A number is fixed only where a file in the image belongs to it; a host may have given others away. Users of people (1000 and
//! above, login.defs(5)) are made on the host, and what a package's own sysusers.d makes is left to that.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::rules::Untaken;
use super::sort::Sorted;
use crate::extension::build::accounts::{is_account_name, is_of_people, made_by_lines};
use crate::extension::build::error::Error;
use crate::sys::{IoError, Root};

/// Larger ones are no lists of users, and no lines of a package.
const LARGEST: u64 = 16 << 20;

/// What is to be made, and what is to be told.
#[derive(Debug, Default)]
pub(super) struct NewUsers {
    users: BTreeMap<u32, OsString>,
    groups: BTreeMap<u32, OsString>,
    names: BTreeSet<OsString>,
    lines: Vec<u8>,
    untaken: Vec<(Untaken, PathBuf)>,
}

/// A line of passwd(5) or group(5).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    fields: Vec<Vec<u8>>,
    number: u32,
}

type Table = BTreeMap<OsString, Line>;

/// Whose files in the image are.
#[derive(Debug, Default)]
struct Owners {
    users: BTreeSet<u32>,
    groups: BTreeSet<u32>,
}

impl NewUsers {
    /// Compares the lists of a base and of a view over it.
    pub(super) fn between(base: &Root, view: &Root, sorted: &Sorted) -> Result<NewUsers, Error> {
        let [old_users, new_users] = [base, view].map(|root| table(root, "passwd"));
        let [old_groups, new_groups] = [base, view].map(|root| table(root, "group"));
        let (old_users, new_users, old_groups, new_groups) =
            (old_users?, new_users?, old_groups?, new_groups?);
        if old_users == new_users && old_groups == new_groups {
            return Ok(NewUsers::default());
        }
        let comparing = Comparing {
            owners: owners(view, sorted)?,
            provided: provided(view, sorted)?,
            old_users,
            new_users,
            old_groups,
            new_groups,
        };
        Ok(comparing.run())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &OsString> {
        self.names.iter()
    }

    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    pub(super) fn untaken(&self) -> impl Iterator<Item = (Untaken, PathBuf)> + use<> {
        self.untaken.clone().into_iter()
    }

    pub(super) fn owners(&self, uid: u32, gid: u32) -> (Option<&OsString>, Option<&OsString>) {
        (self.users.get(&uid), self.groups.get(&gid))
    }
}

struct Comparing {
    owners: Owners,
    /// Names that files in the image have made.
    provided: BTreeSet<OsString>,
    old_users: Table,
    new_users: Table,
    old_groups: Table,
    new_groups: Table,
}

impl Comparing {
    fn run(self) -> NewUsers {
        let mut found = NewUsers::default();
        for (name, group) in &self.new_groups {
            if is_new(&self.old_groups, name, group, &mut found) {
                found.groups.insert(group.number, name.clone());
                found.names.insert(name.clone());
            }
        }
        for (name, user) in &self.new_users {
            if is_new(&self.old_users, name, user, &mut found) {
                found.users.insert(user.number, name.clone());
                found.names.insert(name.clone());
            }
        }
        for (old, new) in [(&self.old_users, &self.new_users), (&self.old_groups, &self.new_groups)] {
            let gone = old.keys().filter(|name| !new.contains_key(*name));
            found.untaken.extend(gone.map(|name| (Untaken::Account, PathBuf::from(name))));
        }
        found.untaken.sort();
        found.untaken.dedup();
        found.lines = self.lines(&found);
        found
    }

    fn lines(&self, found: &NewUsers) -> Vec<u8> {
        let mut lines = String::new();
        let needs = |owners: &BTreeSet<u32>, number: u32, name: &OsStr| {
            owners.contains(&number) || !self.provided.contains(name)
        };
        let number = |owners: &BTreeSet<u32>, number: u32| {
            if owners.contains(&number) { number.to_string() } else { "-".to_owned() }
        };
        for (gid, name) in &found.groups {
            if needs(&self.owners.groups, *gid, name) {
                let _ = writeln!(lines, "g {} {}", text(name), number(&self.owners.groups, *gid));
            }
        }
        for (uid, name) in &found.users {
            if !needs(&self.owners.users, *uid, name) {
                continue;
            }
            let Some(user) = self.new_users.get(name) else { continue };
            let group = self.group_of(user).map(|group| format!(":{group}")).unwrap_or_default();
            let _ = writeln!(
                lines,
                "u {} {}{group} {} {} {}",
                text(name),
                number(&self.owners.users, *uid),
                quoted(user.field(4)),
                path(user.field(5)),
                path(user.field(6)),
            );
        }
        for (name, group) in &self.new_groups {
            let known = self.old_groups.get(name).map(Line::members).unwrap_or_default();
            let joined = group.members().difference(&known).cloned().collect::<Vec<_>>();
            for user in joined {
                let is_known = self.new_users.get(&user).is_some_and(|line| !is_of_people(line.number));
                let is_there = self.old_groups.contains_key(name) || found.names.contains(name);
                if is_known && is_there && is_account_name(&user) && is_account_name(name) {
                    let _ = writeln!(lines, "m {} {}", text(&user), text(name));
                }
            }
        }
        lines.into_bytes()
    }

    /// The name of a user's own group, where one of that number is known.
    fn group_of(&self, user: &Line) -> Option<String> {
        let number: u32 = std::str::from_utf8(user.field(3)).ok()?.parse().ok()?;
        let (name, _) = self.new_groups.iter().find(|(_, group)| group.number == number)?;
        is_account_name(name).then(|| text(name))
    }
}

/// Whether somebody is to be made; what cannot be is told.
fn is_new(old: &Table, name: &OsStr, line: &Line, found: &mut NewUsers) -> bool {
    let why = match old.get(name) {
        Some(known) if known.without_members() == line.without_members() => return false,
        Some(_) => Untaken::Account,
        None if is_of_people(line.number) => Untaken::Person,
        None if !is_account_name(name) => Untaken::Account,
        None => return true,
    };
    found.untaken.push((why, PathBuf::from(name)));
    false
}

impl Line {
    fn field(&self, index: usize) -> &[u8] {
        self.fields.get(index).map(Vec::as_slice).unwrap_or_default()
    }

    /// All but the members of a group, which can be told by themselves, and a password.
    fn without_members(&self) -> Vec<&[u8]> {
        let is_group = self.fields.len() == 4;
        let wanted = |index: &usize| *index != 1 && !(is_group && *index == 3);
        (0..self.fields.len()).filter(wanted).map(|index| self.field(index)).collect()
    }

    fn members(&self) -> BTreeSet<OsString> {
        let names = self.field(3).split(|&byte| byte == b',').filter(|name| !name.is_empty());
        names.map(|name| OsStr::from_bytes(name).to_owned()).collect()
    }
}

/// Those of a root: what image-based systems have in /usr/lib (nss-altfiles), and over it what /etc has.
fn table(root: &Root, file: &str) -> Result<Table, IoError> {
    let mut table = Table::new();
    for place in ["usr/lib", "etc"] {
        let text = match root.read(format!("{place}/{file}"), LARGEST) {
            Err(error) if error.is_not_found() => continue,
            other => other?,
        };
        table.extend(text.split(|&byte| byte == b'\n').filter_map(line));
    }
    Ok(table)
}

fn line(text: &[u8]) -> Option<(OsString, Line)> {
    let fields: Vec<Vec<u8>> = text.split(|&byte| byte == b':').map(<[u8]>::to_vec).collect();
    let number = std::str::from_utf8(fields.get(2)?).ok()?.parse().ok()?;
    let name = OsStr::from_bytes(fields.first()?).to_owned();
    Some((name, Line { fields, number }))
}

/// Whose the files are that are seen as they are.
fn owners(view: &Root, sorted: &Sorted) -> Result<Owners, Error> {
    let mut owners = Owners::default();
    for (path, _) in sorted.taken.iter().filter(|(_, taken)| taken.is_merged()) {
        if let Some(stat) = view.lstat_exact(path)? {
            owners.users.insert(stat.st_uid);
            owners.groups.insert(stat.st_gid);
        }
    }
    Ok(owners)
}

/// Whom files in the image make (sysusers.d(5)).
fn provided(view: &Root, sorted: &Sorted) -> Result<BTreeSet<OsString>, Error> {
    let mut names = BTreeSet::new();
    for (path, taken) in &sorted.taken {
        if taken.is_merged() && path.parent() == Some(Path::new("usr/lib/sysusers.d")) {
            match view.read(path, LARGEST) {
                Ok(text) => names.extend(made_by_lines(&text)),
                // A link that leads nowhere makes nobody.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(names)
}

fn text(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

/// A description in quotes; what would end them, or begin a specifier, is something else.
fn quoted(field: &[u8]) -> String {
    let field = String::from_utf8_lossy(field);
    let field = field.trim_end_matches(',');
    if field.is_empty() {
        return "-".to_owned();
    }
    let safe = |c: char| if c.is_control() || matches!(c, '"' | '\\' | '%' | ':') { '_' } else { c };
    format!("\"{}\"", field.chars().map(safe).collect::<String>())
}

/// A directory or program that a user has.
fn path(field: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@".contains(byte);
    match std::str::from_utf8(field) {
        Ok(path) if path.starts_with('/') && field.iter().all(is_plain) => path.to_owned(),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.lines().filter_map(|text| line(text.as_bytes())).collect()
    }

    fn comparing() -> Comparing {
        Comparing {
            owners: Owners { users: BTreeSet::from([997]), groups: BTreeSet::from([996]) },
            provided: BTreeSet::from(["unit".into(), "fixed".into()]),
            old_users: table("root:x:0:0::/root:/bin/sh\ngone:x:5:5::/:/bin/sh\nsame:x:6:6::/:/bin/sh\n"),
            new_users: table(
                "root:x:0:0::/root:/bin/zsh\nsame:*:6:6::/:/bin/sh\nlab:x:998:998:A \"lab\",,,:/var/lib/lab:/bin/sh\n\
                 fixed:x:997:996::/nowhere:/usr/sbin/nologin\nunit:x:995:995::/:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
            ),
            old_groups: table("adm:x:4:root\n"),
            new_groups: table(
                "adm:x:4:root,lab,ann\nlab:x:998:\nstaffed:x:996:same\nunit:x:995:\nann:x:1000:\nbad name:x:42:\n",
            ),
        }
    }

    #[test]
    fn who_is_new_is_made_and_who_was_changed_is_told() {
        let found = comparing().run();
        let lines = String::from_utf8(found.lines().to_vec()).expect("text");
        assert_eq!(
            lines,
            "g staffed 996\ng lab -\nu fixed 997:staffed - /nowhere /usr/sbin/nologin\n\
             u lab -:lab \"A _lab_\" /var/lib/lab /bin/sh\nm lab adm\nm same staffed\n"
        );
        let told = |why| {
            let of = found.untaken.iter().filter(move |(found, _)| *found == why);
            of.map(|(_, name)| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(told(Untaken::Account), ["bad name", "gone", "root"]);
        assert_eq!(told(Untaken::Person), ["ann"]);
        let expected = (Some(OsString::from("lab")), Some(OsString::from("staffed")));
        let (user, group) = found.owners(998, 996);
        assert_eq!((user.cloned(), group.cloned()), expected);
        assert_eq!(found.owners(0, 0), (None, None));
    }
}
