//! Whose files are, in an image: numbers for the names that packages give.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::extension::{Error, Stack};

/// The users and groups of a base, by name (passwd(5), group(5)).
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: HashMap<OsString, u32>,
    groups: HashMap<OsString, u32>,
}

/// Larger ones are no lists of users.
const LARGEST: usize = 16 << 20;

impl Accounts {
    /// Of a base; what /etc has comes before what image-based systems have in /usr/lib (nss-altfiles).
    pub(super) fn of(base: &Stack<'_>) -> Result<Accounts, Error> {
        let mut accounts = Accounts::default();
        for place in ["usr/lib", "etc"] {
            accounts.users.extend(read(base, &format!("{place}/passwd"))?);
            accounts.groups.extend(read(base, &format!("{place}/group"))?);
        }
        Ok(accounts)
    }

    /// The number of a user: the base's for the name, else the package's own; `None` where neither is known.
    pub(super) fn user(&self, name: Option<&OsStr>, number: Option<u32>) -> Option<u32> {
        find(&self.users, name, number)
    }

    /// Whether the base has a user of this name, or a group.
    pub(super) fn know(&self, name: &OsStr) -> [bool; 2] {
        let is_root = name == "root";
        [is_root || self.users.contains_key(name), is_root || self.groups.contains_key(name)]
    }

    /// The number of a group, likewise.
    pub(super) fn group(&self, name: Option<&OsStr>, number: Option<u32>) -> Option<u32> {
        find(&self.groups, name, number)
    }
}

/// Whether a number is that of a person's account (login.defs(5)): neither the system's, nor the one of nobody.
pub(super) fn is_of_people(number: u32) -> bool {
    (1000..65534).contains(&number)
}

/// Whether systemd takes it for a name of a user or group, by its strict rule
/// (<https://systemd.io/USER_NAMES>).
pub(super) fn is_account_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let begins = bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    begins && bytes.len() <= 31 && bytes.iter().all(is_good)
}

/// Names of users and groups that lines of sysusers.d(5) make.
pub(super) fn made_by_lines(text: &[u8]) -> impl Iterator<Item = OsString> {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(|line| {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let makes = matches!(words.next()?, b"u" | b"u!" | b"g");
        let name = words.next().filter(|_| makes)?;
        Some(OsString::from_vec(name.to_vec())).filter(|name| is_account_name(name))
    })
}

/// dpkg's rule: the name says it where it is known, else the number. Root is 0 everywhere.
fn find(known: &HashMap<OsString, u32>, name: Option<&OsStr>, number: Option<u32>) -> Option<u32> {
    match name {
        Some(name) if name == "root" => Some(0),
        Some(name) => known.get(name).copied().or(number),
        None => number,
    }
}

/// Names and numbers: the first and the third field of each line.
fn read(base: &Stack<'_>, file: &str) -> Result<HashMap<OsString, u32>, Error> {
    let text = base.read(Path::new(file), LARGEST)?.unwrap_or_default();
    let entry = |line: &[u8]| {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next()?;
        let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        Some((OsString::from_vec(name.to_vec()), number))
    };
    Ok(text.split(|&byte| byte == b'\n').filter_map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::build::base::stack;
    use crate::sys::Root;

    #[test]
    fn names_come_before_numbers() {
        let dir = tempfile::tempdir().expect("a directory");
        for place in ["etc", "usr/lib"] {
            std::fs::create_dir_all(dir.path().join(place)).expect("ours");
        }
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("ours");
        put("etc/passwd", "root:x:0:0::/root:/bin/sh\nbroken\nman:x:6:12::/:/bin/sh\nbad:x:many:1\n");
        put("usr/lib/passwd", "man:x:7:12::/:/bin/sh\nmail:x:8:8::/:/bin/sh\n");
        put("etc/group", "tty:x:5:\n");
        let base = crate::extension::Directory::new(Root::open(dir.path()).expect("it opens"));
        let accounts = Accounts::of(&stack(&base)).expect("they are read");
        let user = |name: &str, number| accounts.user(Some(OsStr::new(name)), number);
        assert_eq!(user("root", Some(5)), Some(0));
        assert_eq!(user("man", Some(33)), Some(6), "what /etc has");
        assert_eq!(user("mail", None), Some(8));
        assert_eq!(user("nobody-knows", Some(33)), Some(33));
        assert_eq!(user("bad", None), None);
        assert_eq!(accounts.know(OsStr::new("mail")), [true, false]);
        assert_eq!(accounts.know(OsStr::new("root")), [true, true]);
        assert_eq!(accounts.user(None, Some(42)), Some(42));
        assert_eq!(accounts.group(Some(OsStr::new("tty")), None), Some(5));
    }

    #[test]
    fn lines_make_users_and_groups() {
        let text = b"# u nobody\nu  lab - \"x y\"\ng\tstaff 42\nm lab staff\nu! locked\nr - 1-2\nu\nu %b -\n";
        assert_eq!(made_by_lines(text).collect::<Vec<_>>(), ["lab", "staff", "locked"]);
        assert!(is_of_people(1000) && !is_of_people(999) && !is_of_people(65534));
    }
}
