//! Triggers (deb-triggers(5)): who wants to know of what, and what has been activated but not yet told.
//!
//! `triggers/File` has a line `PATH PACKAGE[/noawait]` for each interest in a path; `triggers/NAME` a line
//! `PACKAGE[/noawait]` for each in a trigger by name; `triggers/Unincorp` a line `TRIGGER PACKAGE…` for each trigger
//! that was activated, with the packages that wait for it, `-` being nobody. Packages of which several
//! architectures can be installed have theirs after a colon.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::Lines;
use crate::package::Error;

/// Who wants to know, as `triggers/` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Triggers {
    /// `File`: interests in paths, in their order.
    pub files: Vec<Interest>,
    /// The files of triggers by name.
    pub named: BTreeMap<String, Vec<Interest>>,
}

/// `Unincorp`: activated triggers with who waits for them.
pub type Activated = BTreeMap<String, BTreeSet<String>>;

/// That a package wants to know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interest {
    /// A path, or a trigger's name.
    pub trigger: String,
    /// The package, with its architecture where several can be installed.
    pub package: String,
    /// Who activates the trigger does not wait for it.
    pub is_noawait: bool,
}

/// What a package says of triggers in `info/PKG.triggers`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// Triggers that it wants to know of, and whether nobody has to wait.
    pub interests: Vec<(String, bool)>,
    /// Triggers that it activates whenever its state changes.
    pub activates: Vec<String>,
}

impl Interest {
    /// Reads `triggers/File`.
    pub fn parse_files(text: &[u8]) -> Result<Vec<Interest>, Error> {
        let mut lines = Lines::of(text);
        let mut found = Vec::new();
        while let Some(line) = lines.take()? {
            let line = lines.text(line)?;
            match line.split_once(' ') {
                Some((path, package)) if path.starts_with('/') && !package.is_empty() => {
                    found.push(Interest::of(path, package));
                }
                _ => return Err(lines.wrong("is not a path and a package")),
            }
        }
        Ok(found)
    }

    /// Reads the file of a trigger with a name.
    pub fn parse_named(trigger: &str, text: &[u8]) -> Result<Vec<Interest>, Error> {
        let mut lines = Lines::of(text);
        let mut found = Vec::new();
        while let Some(line) = lines.take()? {
            let line = lines.text(line)?;
            if line.is_empty() || line.contains(' ') {
                return Err(lines.wrong("is no package"));
            }
            found.push(Interest::of(trigger, &line));
        }
        Ok(found)
    }

    fn of(trigger: &str, package: &str) -> Interest {
        let (package, is_noawait) = match package.strip_suffix("/noawait") {
            Some(package) => (package, true),
            None => (package, false),
        };
        Interest { trigger: trigger.to_owned(), package: package.to_owned(), is_noawait }
    }

    fn who(&self) -> String {
        format!("{}{}", self.package, if self.is_noawait { "/noawait" } else { "" })
    }

    /// Writes `triggers/File`.
    pub fn write_files(interests: &[Interest]) -> Vec<u8> {
        interests.iter().flat_map(|one| format!("{} {}\n", one.trigger, one.who()).into_bytes()).collect()
    }

    /// Writes the file of a trigger with a name.
    pub fn write_named(interests: &[Interest]) -> Vec<u8> {
        interests.iter().flat_map(|one| format!("{}\n", one.who()).into_bytes()).collect()
    }
}

/// Reads `triggers/Unincorp`.
pub fn parse_activated(text: &[u8]) -> Result<Activated, Error> {
    let mut lines = Lines::of(text);
    let mut found = Activated::new();
    while let Some(line) = lines.take()? {
        let line = lines.text(line)?;
        let mut words = line.split_ascii_whitespace();
        let Some(trigger) = words.next().filter(|word| !word.starts_with('#')) else { continue };
        let waiting = found.entry(trigger.to_owned()).or_default();
        waiting.extend(words.map(str::to_owned));
        if waiting.is_empty() {
            return Err(lines.wrong("names nobody who activated the trigger"));
        }
    }
    Ok(found)
}

/// Writes `triggers/Unincorp`.
pub fn write_activated(activated: &Activated) -> Vec<u8> {
    let mut text = String::new();
    for (trigger, waiting) in activated {
        text.push_str(trigger);
        for package in waiting {
            text.push(' ');
            text.push_str(package);
        }
        text.push('\n');
    }
    text.into_bytes()
}

/// Reads `info/PKG.triggers`.
pub fn parse_declared(text: &[u8]) -> Result<Declared, Error> {
    let mut found = Declared::default();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |problem| Error::Line { line: index + 1, problem };
        let line = std::str::from_utf8(line).map_err(|_| wrong("is no text"))?;
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(directive) = words.next() else { continue };
        let trigger = words.next().ok_or_else(|| wrong("names no trigger"))?.to_owned();
        if words.next().is_some() {
            return Err(wrong("has words after the trigger's name"));
        }
        match directive {
            "interest" | "interest-await" => found.interests.push((trigger, false)),
            "interest-noawait" => found.interests.push((trigger, true)),
            "activate" | "activate-await" | "activate-noawait" => found.activates.push(trigger),
            _ => return Err(wrong("is no directive for triggers")),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interests_are_read_and_written() {
        let text = b"/usr/lib man-db/noawait\n/etc/x libc6:amd64\n";
        let files = Interest::parse_files(text).expect("it is right");
        assert_eq!((files[0].is_noawait, files[1].is_noawait), (true, false));
        assert_eq!(Interest::write_files(&files), text);
        let named = Interest::parse_named("ldconfig", b"libc-bin\nx/noawait\n").expect("it is right");
        assert_eq!(Interest::write_named(&named), b"libc-bin\nx/noawait\n");
        for bad in ["usr x\n", "/usr\n", "/usr \n", "/usr x"] {
            assert!(Interest::parse_files(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Interest::parse_named("a", b"\n").is_err());
    }

    #[test]
    fn what_was_activated_is_read_and_written() {
        let found = parse_activated(b"/usr/lib - a\nldconfig b\n/usr/lib c\n").expect("it is right");
        assert_eq!(write_activated(&found), b"/usr/lib - a c\nldconfig b\n");
        let error = parse_activated(b"a b\nldconfig\n").expect_err("nobody");
        assert_eq!(error.to_string(), "line 2 names nobody who activated the trigger");
    }

    #[test]
    fn what_a_package_declares_is_read() {
        let text = b"# why\ninterest-noawait /usr/lib\ninterest x # y\n\nactivate-noawait ldconfig\n";
        let found = parse_declared(text).expect("it is right");
        assert_eq!(found.interests, [("/usr/lib".to_owned(), true), ("x".to_owned(), false)]);
        assert_eq!(found.activates, ["ldconfig"]);
        for bad in ["interest", "interest a b", "intrest a"] {
            let error = parse_declared(format!("\n{bad}\n").as_bytes()).expect_err(bad);
            assert!(error.to_string().starts_with("line 2 "), "{error}");
        }
    }
}
