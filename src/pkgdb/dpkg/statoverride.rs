//! `statoverride`: owners and modes that the administrator set (dpkg-statoverride(1)). A line for each:
//! `USER GROUP MODE PATH`, where users and groups may be numbers after `#`.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::lines::{Lines, path};
use crate::package::Error;

/// All by their path.
pub type StatOverrides = BTreeMap<PathBuf, StatOverride>;

/// What a path's file gets instead of what its package says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatOverride {
    /// The owner, by name or `#number`.
    pub user: String,
    /// The group, by name or `#number`.
    pub group: String,
    /// Permissions, with set-user-ID, set-group-ID and the sticky bit.
    pub mode: u32,
}

/// Reads the file.
pub fn parse(text: &[u8]) -> Result<StatOverrides, Error> {
    let mut lines = Lines::of(text);
    let mut found = StatOverrides::new();
    while let Some(line) = lines.take()? {
        let mut words = line.splitn(4, |byte| *byte == b' ');
        let mut word = || words.next().filter(|word| !word.is_empty());
        let (Some(user), Some(group), Some(mode), Some(name)) = (word(), word(), word(), word()) else {
            return Err(lines.wrong("is not user, group, mode and path"));
        };
        let mode = lines.text(mode)?;
        let is_octal = mode.bytes().all(|digit| (b'0'..b'8').contains(&digit));
        let mode = u32::from_str_radix(&mode, 8).ok().filter(|mode| is_octal && *mode <= 0o7777);
        let mode = mode.ok_or_else(|| lines.wrong("has a mode that is none"))?;
        let entry = StatOverride { user: lines.text(user)?, group: lines.text(group)?, mode };
        if !name.starts_with(b"/") {
            return Err(lines.wrong("has a path that does not begin with '/'"));
        }
        if found.insert(path(name), entry).is_some() {
            return Err(lines.wrong("overrides a path a second time"));
        }
    }
    Ok(found)
}

/// Writes the file, in the order of paths.
pub fn write(overrides: &StatOverrides) -> Vec<u8> {
    let mut text = Vec::new();
    for (path, entry) in overrides {
        text.extend_from_slice(format!("{} {} {:o} ", entry.user, entry.group, entry.mode).as_bytes());
        text.extend_from_slice(path.as_os_str().as_bytes());
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_read_and_written() {
        let text = b"#7 games 755 /usr/games/a b\nroot crontab 2755 /usr/bin/crontab\n";
        let found = parse(text).expect("it is right");
        assert_eq!(found[&path(b"/usr/bin/crontab")].mode, 0o2755);
        let written = write(&found);
        assert_eq!(parse(&written), Ok(found));
        assert!(written.ends_with(b"#7 games 755 /usr/games/a b\n"), "in the order of paths");
    }

    #[test]
    fn wrong_overrides_are_told_with_their_line() {
        for bad in
            ["a b 755", "a b +755 /x", "a b 755 x", "a  755 /x", "a b 8 /x", "a b 17777 /x", "", "a b 1 /y"]
        {
            let error = parse(format!("a b 755 /y\n{bad}\n").as_bytes()).expect_err(bad);
            assert!(error.to_string().starts_with("line 2 "), "{bad}: {error}");
        }
        assert!(parse(b"a b 755 /y").is_err(), "without its newline");
    }
}
