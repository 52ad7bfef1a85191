//! Whether extensions fit, with the loader of a Debian as the judge of what its programs find.

pub(crate) mod activate;
mod check;
mod database;
mod loader;

use std::fs;
use std::path::{Path, PathBuf};

use crate::debian::{command, expect_success};

/// Copies files of installed packages from a tree, those in /usr, with the links to them.
fn copy_packages(tree: &Path, packages: &[&str], to: &Path) {
    let mut names = Vec::new();
    for entry in fs::read_dir(tree.join("var/lib/dpkg/info")).expect("dpkg's lists") {
        let path = entry.expect("a list").path();
        let file = path.file_name().and_then(|name| name.to_str()).expect("text");
        let package = file.strip_suffix(".list").map(|name| name.split(':').next().expect("a name"));
        if package.is_some_and(|package| packages.contains(&package)) {
            let list = fs::read_to_string(&path).expect("a list");
            let is_file = |name: &&str| {
                let found = fs::symlink_metadata(tree.join(name.trim_start_matches('/')));
                name.starts_with("/usr/") && found.is_ok_and(|found| !found.is_dir())
            };
            names.extend(list.lines().filter(is_file).map(|name| name.trim_start_matches('/').to_owned()));
        }
    }
    assert!(names.len() >= packages.len(), "{packages:?}: only {} files", names.len());
    copy(tree, &names, to);
}

/// Copies some names, with their directories.
fn copy(from: &Path, names: &[impl AsRef<Path>], to: &Path) {
    fs::create_dir_all(to).expect("our directory");
    let mut cp = command("cp");
    cp.current_dir(from).args(["--archive", "--parents", "--target-directory"]).arg(to);
    expect_success(cp.args(names.iter().map(AsRef::as_ref)));
}

/// Gives an extension its release file.
fn release(extension: &Path, text: &str) {
    let directory = extension.join("usr/lib/extension-release.d");
    fs::create_dir_all(&directory).expect("our directory");
    let name = extension.file_name().and_then(|name| name.to_str()).expect("text");
    fs::write(directory.join(format!("extension-release.{name}")), text).expect("our file");
}

/// Changes every text of this kind in a file to another one that is as long.
fn replace(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(path).expect("a file");
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "no '{from}' in {}", path.display());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    fs::write(path, bytes).expect("our file");
}

/// Every file of some types below, in the letters of find(1).
fn files(top: &Path, types: &str) -> Vec<PathBuf> {
    let output = expect_success(command("find").arg(top).args(["-type", types, "-printf", "%P\\n"]));
    let text = String::from_utf8(output.stdout).expect("names in a Debian are UTF-8");
    let mut names: Vec<PathBuf> = text.lines().map(PathBuf::from).collect();
    names.sort();
    names
}
