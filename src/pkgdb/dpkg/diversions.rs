//! `diversions`: files that give way to another package's (dpkg-divert(1)). Three lines for each: the path, where
//! its file goes instead, and the package whose own file is not diverted; `:` is none, so all are.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::lines::{Lines, is_package_name};
use crate::package::Error;

/// All diversions by the path that is diverted, of which there is one each.
pub type Diversions = BTreeMap<PathBuf, Diversion>;

/// Where a path's file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// The path that it has instead.
    pub target: PathBuf,
    /// The package whose own file stays; `None` is the administrator.
    pub package: Option<String>,
}

impl Diversion {
    /// Whether it holds for files of a package.
    pub fn is_for(&self, package: &str) -> bool {
        self.package.as_deref() != Some(package)
    }
}

/// Reads the file.
pub fn parse(text: &[u8]) -> Result<Diversions, Error> {
    let mut lines = Lines::of(text);
    let mut found = Diversions::new();
    while let Some(line) = lines.take()? {
        if !line.starts_with(b"/") {
            return Err(lines.wrong("is no path that could be diverted"));
        }
        let from = super::lines::path(line);
        let target = lines.expect_path("is no path to divert to")?;
        let package = match lines.expect_text("names no package that diverts")? {
            word if word == ":" => None,
            word if is_package_name(&word) => Some(word),
            _ => return Err(lines.wrong("names no package that diverts")),
        };
        if found.insert(from, Diversion { target, package }).is_some() {
            return Err(lines.wrong("diverts a path a second time"));
        }
    }
    Ok(found)
}

/// Writes the file, in the order of paths.
pub fn write(diversions: &Diversions) -> Vec<u8> {
    let mut text = Vec::new();
    for (from, diversion) in diversions {
        let package = diversion.package.as_deref().unwrap_or(":");
        for line in [bytes(from), bytes(&diversion.target), package.as_bytes()] {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
    }
    text
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diversions_are_read_and_written() {
        let text = b"/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/x y\n/usr/bin/x\n:\n";
        let found = parse(text).expect("it is right");
        assert_eq!(write(&found), text);
        let [sh, x] = ["/bin/sh", "/usr/bin/x y"].map(|path| &found[Path::new(path)]);
        assert_eq!((sh.is_for("dash"), sh.is_for("bash"), x.is_for("dash")), (false, true, true));
    }

    #[test]
    fn wrong_diversions_are_told_with_their_line() {
        for (text, line) in [
            ("a\n", 1),
            ("/a\n", 2),
            ("/a\nb\n", 2),
            ("/a\n/b\n", 3),
            ("/a\n/b\n\n", 3),
            ("/a\n/b\nc d\n", 3),
            ("/a\n/b\nc", 3),
            ("/a\n/b\n:\n/a\n/c\n:\n", 6),
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.to_string().starts_with(&format!("line {line} ")), "{text:?}: {error}");
        }
    }
}
