//! Users and groups that packages have made: lines for sysusers.d(5), with the numbers that files in the deployment belong to.
//!
//! A host whose /etc/passwd was edited keeps its own as a whole when a new deployment comes, and so lacks them; these lines make
//! them there, at the first boot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The lists of a system: passwd(5) and group(5).
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// Text of /etc/passwd.
    pub(super) passwd: String,
    /// Text of /etc/group.
    pub(super) group: String,
}

/// Fields of a line by its name.
type Table<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// Lines that make those who are in `new` and not in `old`.
pub(super) fn lines(old: &Accounts, new: &Accounts) -> String {
    let (old_users, new_users) = (table(&old.passwd, 7), table(&new.passwd, 7));
    let (old_groups, new_groups) = (table(&old.group, 4), table(&new.group, 4));
    let mut lines = String::new();
    for (name, group) in new_groups.iter().filter(|(name, _)| !old_groups.contains_key(*name)) {
        let _ = writeln!(lines, "g {name} {}", group[2]);
    }
    for (name, user) in new_users.iter().filter(|(name, _)| !old_users.contains_key(*name)) {
        let [uid, gid, comment, home, shell] = [user[2], user[3], user[4], user[5], user[6]];
        let comment = comment.trim_end_matches(',').replace(['"', '\\', '%'], "_");
        let comment = if comment.is_empty() { "-".to_owned() } else { format!("\"{comment}\"") };
        let path = |path: &str| if path.starts_with('/') { path.to_owned() } else { "-".to_owned() };
        let _ = writeln!(lines, "u {name} {uid}:{gid} {comment} {} {}", path(home), path(shell));
    }
    for (name, group) in &new_groups {
        let known = old_groups.get(name).map(|group| members(group)).unwrap_or_default();
        for user in members(group).difference(&known).filter(|user| new_users.contains_key(**user)) {
            let _ = writeln!(lines, "m {user} {name}");
        }
    }
    lines
}

fn table(text: &str, fields: usize) -> Table<'_> {
    let lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let good = lines.filter(|line| line.len() == fields && is_name(line[0]) && is_number(line[2]));
    good.map(|line| (line[0], line)).collect()
}

/// By systemd's strict rule (<https://systemd.io/USER_NAMES>); others cannot be in lines of sysusers.d(5).
fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.len() <= 31 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

fn members<'a>(group: &[&'a str]) -> BTreeSet<&'a str> {
    group[3].split(',').filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_new_is_made_with_the_same_numbers() {
        let accounts =
            |passwd: &str, group: &str| Accounts { passwd: passwd.to_owned(), group: group.to_owned() };
        let old = accounts("root:x:0:0:root:/root:/bin/bash\n", "root:x:0:\nssl-cert:x:105:\n");
        let new = accounts(
            "root:x:0:0:root:/root:/bin/bash\n_chrony:x:102:106:Chrony \"daemon\",,,:/var/lib/chrony:/usr/sbin/nologin\n+bad\n",
            "root:x:0:\nssl-cert:x:105:_chrony,nobody\n_chrony:x:106:\n",
        );
        assert_eq!(
            lines(&old, &new),
            "g _chrony 106\n\
             u _chrony 102:106 \"Chrony _daemon_\" /var/lib/chrony /usr/sbin/nologin\n\
             m _chrony ssl-cert\n"
        );
        assert_eq!(lines(&new, &new), "");
    }
}
