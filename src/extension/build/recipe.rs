//! A recipe: what an extension is built from and how, in a file that people keep under version control.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use glob::{MatchOptions, Pattern};
use serde::Deserialize;

use super::labels::Labelling;
use super::naming::ExtensionName;
use crate::image::Format;
use crate::sys::{Context, IoError};

/// A recipe, as `NAME.toml` says it and the command line too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// The extension's name; that of the file, unless said otherwise.
    pub name: Option<String>,
    /// Packages by name, for the base's package manager, and package files by path (one with a `/` in it).
    pub packages: Vec<String>,
    /// Directories whose content goes into the extension as it is, from its root.
    pub trees: Vec<PathBuf>,
    /// The extension's version; that of the first package, unless said otherwise.
    pub version: Option<String>,
    /// Packages that are only recommended are taken, too.
    pub recommends: bool,
    /// Files that are left out: patterns (`*`, `**`, `?`, `[…]`) of paths without a slash before.
    pub drop: Vec<String>,
    /// Files that stay in all the same.
    pub keep: Vec<String>,
    /// Roots of the bases that it is built for, or files that stand for them, one image for each.
    pub bases: Vec<PathBuf>,
    /// Which hosts systemd takes it for.
    #[serde(rename = "match")]
    pub matching: Matching,
    /// Whether it is for the system, portable services or initrds (SYSEXT_SCOPE).
    pub scope: Vec<String>,
    /// Have systemd read its units again when the extension comes or goes (EXTENSION_RELOAD_MANAGER).
    pub reload: bool,
    /// Units to restart when the extension comes or goes (EXTENSION_RESTART_UNITS, from 262 on).
    pub restart: Vec<String>,
    /// Units to reload, or to restart where they cannot be reloaded (EXTENSION_RELOAD_OR_RESTART_UNITS).
    pub reload_or_restart: Vec<String>,
    /// What the image is: a file system alone, or a disk image.
    pub format: Option<ImageFormat>,
    /// How files are labelled: `auto` by the base's policy, `no`, or the path of a list (file_contexts(5)), with a `/` in it.
    pub selinux: Option<String>,
    /// How it is compressed: an algorithm, and a level after a colon.
    pub compression: Option<String>,
}

/// Which hosts systemd takes an extension for (os-release(5), systemd-sysext(8)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Matching {
    /// The same distribution and level where the base has one (SYSEXT_LEVEL), else the same version (VERSION_ID).
    #[default]
    Base,
    /// The same distribution and version.
    Version,
    /// Any distribution (`ID=_any`): for what is linked statically, or brings all that it needs.
    Any,
}

/// What an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// A squashfs file system.
    Squashfs,
    /// An erofs file system.
    Erofs,
    /// A disk image with a squashfs file system, and its hash tree (a DDI).
    Ddi,
    /// A disk image with an erofs file system, and its hash tree.
    DdiErofs,
}

impl ImageFormat {
    /// The file system that is in it.
    pub fn file_system(self) -> Format {
        match self {
            ImageFormat::Squashfs | ImageFormat::Ddi => Format::Squashfs,
            ImageFormat::Erofs | ImageFormat::DdiErofs => Format::Erofs,
        }
    }

    /// Whether it is a disk image.
    pub fn is_disk(self) -> bool {
        matches!(self, ImageFormat::Ddi | ImageFormat::DdiErofs)
    }
}

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file makes no sense.
    #[error("cannot use the recipe '{}': {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// A directory has no recipes.
    #[error("there are no recipes (*.toml) in '{}'", path.display())]
    None {
        /// The directory.
        path: PathBuf,
    },
    /// The system said no.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// What an extension can be for (os-release(5), SYSEXT_SCOPE).
const SCOPES: &[&str] = &["system", "initrd", "portable"];

/// Recipes are short.
const LARGEST: u64 = 1 << 20;

impl Recipe {
    /// Reads a recipe. What it names by paths is beside it.
    pub fn read(path: &Path) -> Result<(ExtensionName, Recipe), RecipeError> {
        let unusable = |why: String| RecipeError::Unusable { path: path.to_owned(), why };
        let size = std::fs::metadata(path).context("read", path)?.len();
        if size > LARGEST {
            return Err(unusable(format!("it has {size} bytes")));
        }
        let text = std::fs::read_to_string(path).context("read", path)?;
        let mut recipe: Recipe = toml::from_str(&text).map_err(|error| unusable(in_a_line(&error, &text)))?;
        recipe.check().map_err(&unusable)?;
        let beside = path.parent().unwrap_or(Path::new(""));
        recipe.trees.iter_mut().chain(&mut recipe.bases).for_each(|path| *path = beside.join(&*path));
        for package in recipe.packages.iter_mut().filter(|package| is_path(package)) {
            *package = beside.join(&*package).to_string_lossy().into_owned();
        }
        if let Some(list) = recipe.selinux.as_mut().filter(|word| is_path(word)) {
            *list = beside.join(&*list).to_string_lossy().into_owned();
        }
        let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = recipe.name.clone().unwrap_or_else(stem);
        Ok((name.parse().map_err(|error: super::naming::InvalidName| unusable(error.to_string()))?, recipe))
    }

    /// The recipes of a directory (`*.toml`, not hidden), by name; or the one that a file is.
    pub fn find(path: &Path) -> Result<Vec<PathBuf>, RecipeError> {
        if !path.is_dir() {
            return Ok(vec![path.to_owned()]);
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).context("read", path)? {
            let file = entry.context("read", path)?.path();
            let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !is_hidden && file.extension().is_some_and(|extension| extension == "toml") && file.is_file() {
                found.push(file);
            }
        }
        if found.is_empty() {
            return Err(RecipeError::None { path: path.to_owned() });
        }
        found.sort();
        Ok(found)
    }

    /// What is wrong with it, apart from where it is.
    pub fn check(&self) -> Result<(), String> {
        for pattern in self.drop.iter().chain(&self.keep) {
            Pattern::new(pattern).map_err(|error| format!("'{pattern}' is no pattern: {error}"))?;
        }
        if let Some(scope) = self.scope.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
            return Err(format!("'{scope}' is no scope; they are {}", SCOPES.join(", ")));
        }
        let units = self.restart.iter().chain(&self.reload_or_restart);
        let is_unit = |unit: &str| {
            let is_good = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@*?[]".contains(c);
            !unit.is_empty() && unit.chars().all(is_good)
        };
        if let Some(word) = &self.selinux {
            word.parse::<Labelling>()?;
        }
        match units.into_iter().find(|unit| !is_unit(unit)) {
            Some(unit) => Err(format!("'{unit}' is no name of a unit")),
            None => Ok(()),
        }
    }

    /// How files are labelled.
    pub(super) fn labelling(&self) -> Labelling {
        self.selinux.as_ref().and_then(|word| word.parse().ok()).unwrap_or_default()
    }

    /// Which files are left out.
    pub(super) fn filter(&self) -> Filter {
        let pattern = |word: &String| {
            let pattern = Pattern::new(word.trim_start_matches('/')).ok()?;
            Some((pattern, AtomicBool::new(false)))
        };
        let patterns = |words: &[String]| words.iter().filter_map(pattern).collect();
        Filter { drop: patterns(&self.drop), keep: patterns(&self.keep) }
    }
}

/// An error of TOML's in one line, with the number of its own.
fn in_a_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("{message} (line {})", before.matches('\n').count() + 1),
        None => message,
    }
}

/// Whether a word for a package is a path of a file.
pub fn is_path(word: &str) -> bool {
    word.contains('/')
}

/// What a recipe leaves out.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Patterns, and whether anything was called so.
    drop: Vec<(Pattern, AtomicBool)>,
    keep: Vec<(Pattern, AtomicBool)>,
}

impl Filter {
    /// Whether a file is left out: one that a pattern names, or that is below what one names.
    pub(super) fn drops(&self, path: &Path) -> bool {
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        let matches = |patterns: &[(Pattern, AtomicBool)]| {
            let mut matches = false;
            for path in path.ancestors().take_while(|path| !path.as_os_str().is_empty()) {
                for (pattern, was_used) in patterns {
                    if pattern.matches_path_with(path, options) {
                        was_used.store(true, Ordering::Relaxed);
                        matches = true;
                    }
                }
            }
            matches
        };
        matches(&self.drop) && !matches(&self.keep)
    }

    /// What was to be left out, and is nowhere.
    pub(super) fn unused(&self) -> Vec<String> {
        let unused = self.drop.iter().filter(|(_, was_used)| !was_used.load(Ordering::Relaxed));
        unused.map(|(pattern, _)| pattern.as_str().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(ExtensionName, Recipe), RecipeError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("debug.toml");
        std::fs::write(&path, text).expect("ours");
        Recipe::read(&path)
    }

    #[test]
    fn a_recipe_says_what_and_how() {
        let text =
            "packages = ['strace', './x.deb']\ndrop = ['usr/share/doc/**']\nmatch = 'any'\nreload = true\n";
        let (name, recipe) = read(text).expect("it makes sense");
        assert_eq!(name.as_str(), "debug");
        assert_eq!(recipe.packages[0], "strace");
        assert!(recipe.packages[1].starts_with('/') && recipe.packages[1].ends_with("/./x.deb"));
        assert!(recipe.matching == Matching::Any && recipe.reload);
        assert_eq!(read("name = 'other'").expect("it makes sense").0.as_str(), "other");
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, said) in [
            ("package = ['x']", "package"),
            ("name = 'a_b'", "is no name for an extension"),
            ("drop = ['usr/***']", "is no pattern"),
            ("scope = ['world']", "is no scope"),
            ("restart = ['a b.service']", "is no name of a unit"),
            ("packages = 3", "expected a sequence (line 1)"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(said) && error.contains("debug.toml"), "{error}");
        }
    }

    #[test]
    fn what_is_dropped_takes_what_is_below_with_it() {
        let recipe = Recipe {
            drop: vec!["usr/share/doc".into(), "usr/**/*.a".into(), "opt/*".into()],
            keep: vec!["usr/share/doc/*/copyright".into()],
            ..Recipe::default()
        };
        let filter = recipe.filter();
        for (path, drops) in [
            ("usr/share/doc", true),
            ("usr/share/doc/x/changelog.gz", true),
            ("usr/share/doc/x/copyright", false),
            ("usr/lib/deep/libx.a", true),
            ("usr/libx.a", true),
            ("usr/lib/libx.so", false),
            ("opt/x/y", true),
            ("usr", false),
        ] {
            assert_eq!(filter.drops(Path::new(path)), drops, "{path}");
        }
    }
}
