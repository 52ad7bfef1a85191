//! `alternatives/NAME`: who offers a name (update-alternatives(1)).
//!
//! ```text
//! auto                            or manual
//! /usr/bin/awk                    the link
//! nawk                            a slave: its name, and its link
//! /usr/bin/nawk
//!                                 an empty line
//! /usr/bin/mawk                   a choice: its path, its priority,
//! 5
//! /usr/bin/mawk                   and what each slave points to; an empty line is nothing
//!                                 an empty line
//! ```

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::lines::{Lines, path};
use crate::package::Error;

/// A name, and who offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The administrator has chosen; otherwise the highest priority does.
    pub is_manual: bool,
    /// The link, which points to `/etc/alternatives/NAME`.
    pub link: PathBuf,
    /// Links that follow it, by their names.
    pub slaves: BTreeMap<String, PathBuf>,
    /// What can be chosen, by its path.
    pub choices: BTreeMap<PathBuf, Choice>,
}

/// One that offers the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The higher, the better.
    pub priority: i32,
    /// Where slaves point to, by their names; a slave that is not here gets no link.
    pub slaves: BTreeMap<String, PathBuf>,
}

impl Alternative {
    /// Reads a file.
    pub fn parse(text: &[u8]) -> Result<Alternative, Error> {
        let mut lines = Lines::of(text);
        let is_manual = match lines.expect("says neither auto nor manual")? {
            b"auto" => false,
            b"manual" => true,
            _ => return Err(lines.wrong("says neither auto nor manual")),
        };
        let link = lines.expect_path("is no link's path")?;
        let mut order = Vec::new();
        let mut slaves = BTreeMap::new();
        loop {
            let line = lines.expect("is missing after the slaves")?;
            if line.is_empty() {
                break;
            }
            let name = lines.text(line)?;
            if name.contains('/') {
                return Err(lines.wrong("is no slave's name"));
            }
            order.push(name.clone());
            if slaves.insert(name, lines.expect_path("is no slave's link")?).is_some() {
                return Err(lines.wrong("is of a slave that is there already"));
            }
        }
        let mut choices = BTreeMap::new();
        while let Some(line) = lines.take()? {
            if line.is_empty() {
                // The end, as update-alternatives sees it.
                break;
            }
            if !line.starts_with(b"/") {
                return Err(lines.wrong("is no choice's path"));
            }
            if choices.insert(path(line), Choice::parse(&mut lines, &order)?).is_some() {
                return Err(lines.wrong("ends a choice that is there already"));
            }
        }
        Ok(Alternative { is_manual, link, slaves, choices })
    }

    /// Writes a file, as update-alternatives does: sorted.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut line = |part: &[u8]| {
            text.extend_from_slice(part);
            text.push(b'\n');
        };
        line(if self.is_manual { b"manual" } else { b"auto" });
        line(self.link.as_os_str().as_bytes());
        for (name, link) in &self.slaves {
            line(name.as_bytes());
            line(link.as_os_str().as_bytes());
        }
        line(b"");
        for (path, choice) in &self.choices {
            line(path.as_os_str().as_bytes());
            line(choice.priority.to_string().as_bytes());
            for name in self.slaves.keys() {
                line(choice.slaves.get(name).map_or(b"", |target| target.as_os_str().as_bytes()));
            }
        }
        line(b"");
        text
    }

    /// The links that a choice has, each with where it points to: from the name's place by way of
    /// `/etc/alternatives`, for itself and for its slaves. Nothing if it is no choice.
    pub fn links(&self, name: &str, chosen: &Path) -> Vec<(PathBuf, PathBuf)> {
        let Some(choice) = self.choices.get(chosen) else { return Vec::new() };
        let slaves = self
            .slaves
            .iter()
            .filter_map(|(slave, link)| Some((&**slave, link, choice.slaves.get(slave)?.as_path())));
        [(name, &self.link, chosen)]
            .into_iter()
            .chain(slaves)
            .flat_map(|(name, link, target)| {
                let middle = Path::new("/etc/alternatives").join(name);
                [(link.clone(), middle.clone()), (middle, target.to_owned())]
            })
            .collect()
    }

    /// The choice of the highest priority; of several, the first that update-alternatives would find.
    pub fn best(&self) -> Option<(&PathBuf, &Choice)> {
        self.choices
            .iter()
            .reduce(|best, other| if other.1.priority > best.1.priority { other } else { best })
    }
}

impl Choice {
    /// Reads what follows a choice's path: its priority, and a line for each slave in their order.
    fn parse(lines: &mut Lines, order: &[String]) -> Result<Choice, Error> {
        let priority = lines.expect_text("is no priority")?;
        let priority = priority.parse().map_err(|_| lines.wrong("is no priority"))?;
        let mut slaves = BTreeMap::new();
        for name in order {
            let line = lines.expect("is missing: where a slave points to")?;
            if line.starts_with(b"/") {
                slaves.insert(name.clone(), path(line));
            } else if !line.is_empty() {
                return Err(lines.wrong("is no path of a slave"));
            }
        }
        Ok(Choice { priority, slaves })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWK: &[u8] = b"auto\n/usr/bin/awk\nawk.1\n/man/awk.1\nnawk\n/usr/bin/nawk\n\n\
        /usr/bin/gawk\n10\n\n/usr/bin/gawk\n/usr/bin/mawk\n-5\n/man/mawk.1\n/usr/bin/mawk\n\n";

    #[test]
    fn an_alternative_is_read_and_written() {
        let awk = Alternative::parse(AWK).expect("it is right");
        assert!(!awk.is_manual);
        assert_eq!(awk.slaves.len(), 2);
        assert_eq!(awk.best().expect("two choices").0, &path(b"/usr/bin/gawk"));
        let mawk = &awk.choices[&path(b"/usr/bin/mawk")];
        assert_eq!((mawk.priority, mawk.slaves.len()), (-5, 2));
        assert_eq!(awk.to_bytes(), AWK);
    }

    #[test]
    fn without_slaves_or_choices_it_is_right() {
        for text in [&b"manual\n/usr/bin/x\n\n\n"[..], b"auto\n/usr/bin/x\n\n/usr/bin/y\n1\n\n"] {
            assert_eq!(Alternative::parse(text).expect("it is right").to_bytes(), text);
        }
    }

    #[test]
    fn wrong_alternatives_are_told_with_their_line() {
        for (text, line) in [
            ("", 1),
            ("automatic\n", 1),
            ("auto\n", 2),
            ("auto\nx\n", 2),
            ("auto\n/x\n", 3),
            ("auto\n/x\na/b\n/y\n\n", 3),
            ("auto\n/x\ns\ny\n\n", 4),
            ("auto\n/x\ns\n/s\ns\n/t\n\n", 6),
            ("auto\n/x\n\ny\n1\n\n", 4),
            ("auto\n/x\n\n/y\n\n", 5),
            ("auto\n/x\n\n/y\nmany\n\n", 5),
            ("auto\n/x\n\n/y\n99999999999\n\n", 5),
            ("auto\n/x\ns\n/s\n\n/y\n1\n", 8),
            ("auto\n/x\ns\n/s\n\n/y\n1\nz\n", 8),
            ("auto\n/x\n\n/y\n1\n/y\n2\n\n", 7),
        ] {
            let error = Alternative::parse(text.as_bytes()).expect_err(text);
            assert!(error.to_string().starts_with(&format!("line {line} ")), "{text:?}: {error}");
        }
    }
}
