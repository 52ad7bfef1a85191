//! snapper(8): snapshots of the root file system (its configuration `root`), and what is noted of each.
//!
//! It is asked through its daemon where the system has a message bus, as transactional-update asks it: a daemon that runs has a list of its
//! own, which does not know what others do beside it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Error;
use super::btrfs::Btrfs;

const PROGRAM: &str = "snapper";

/// Where the message bus listens.
const BUS: &str = "/run/dbus/system_bus_socket";

/// The installed program, for one system.
#[derive(Debug)]
pub struct Snapper {
    path: PathBuf,
    root: PathBuf,
}

/// A snapshot, as snapper knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Snapshot {
    /// Its number; 0 is what is mounted at the moment.
    pub number: u64,
    /// Whether it is the subvolume that is mounted where none is named.
    #[serde(rename = "default")]
    pub is_default: bool,
    /// By which rule snapper deletes it in turn; empty where by none.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub cleanup: String,
    /// What it is, for people.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub description: String,
    /// What was noted of it.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub userdata: BTreeMap<String, String>,
}

/// A snapshot that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// Of which one.
    pub from: u64,
    /// By which rule snapper is to delete it in turn.
    pub cleanup: &'a str,
    /// What it is, for people.
    pub description: &'a str,
    /// What is noted of it.
    pub userdata: &'a [(&'a str, &'a str)],
}

impl Snapper {
    /// Finds it, for the system with this root (`/` for the one that runs).
    pub fn find(root: impl Into<PathBuf>) -> Result<Snapper, Error> {
        Ok(Snapper { path: super::find(PROGRAM)?, root: root.into() })
    }

    /// All snapshots, without what is mounted at the moment.
    pub fn list(&self) -> Result<Vec<Snapshot>, Error> {
        const COLUMNS: &str = "number,default,cleanup,description,userdata";
        let words = ["--jsonout", "list", "--columns", COLUMNS].map(OsString::from);
        let text = self.run(&words)?;
        let mut snapshots = parse(&text).map_err(|problem| {
            let command = super::shown(PROGRAM, &words);
            Error::Nonsense { command, problem: problem.to_string() }
        })?;
        snapshots.retain(|snapshot| snapshot.number != 0);
        Ok(snapshots)
    }

    /// Makes one that can be written to; its number.
    pub fn create(&self, new: &New<'_>) -> Result<u64, Error> {
        let from = new.from.to_string();
        let userdata = pairs(new.userdata);
        let words = [
            "create",
            "--from",
            &from,
            "--read-write",
            "--print-number",
            "--cleanup-algorithm",
            new.cleanup,
            "--description",
            new.description,
            "--userdata",
            &userdata,
        ]
        .map(OsString::from);
        let text = String::from_utf8_lossy(&self.run(&words)?).trim().to_owned();
        let command = || super::shown(PROGRAM, &words);
        text.parse()
            .map_err(|_| Error::Nonsense { command: command(), problem: format!("'{text}' is no number") })
    }

    /// Notes something of a snapshot; an empty value takes a note away.
    pub fn note(&self, number: u64, userdata: &[(&str, &str)]) -> Result<(), Error> {
        self.modify(number, &["--userdata", &pairs(userdata)])
    }

    /// Says what a snapshot is, for people.
    pub fn describe(&self, number: u64, description: &str) -> Result<(), Error> {
        self.modify(number, &["--description", description])
    }

    /// Notes something, with the rule by which snapper is to delete it in turn; empty for none.
    pub fn note_with_cleanup(
        &self,
        number: u64,
        cleanup: &str,
        userdata: &[(&str, &str)],
    ) -> Result<(), Error> {
        self.modify(number, &["--cleanup-algorithm", cleanup, "--userdata", &pairs(userdata)])
    }

    /// Makes a snapshot one that cannot be written to. `place` is its directory.
    pub fn set_read_only(&self, number: u64, place: &Path) -> Result<(), Error> {
        if self.can("--read-only")? {
            return self.modify(number, &["--read-only"]);
        }
        Btrfs::find()?.set_read_only(place, true)
    }

    /// Makes a snapshot the one that is booted next. `place` is its directory. snapper tells its plugins, of which one may look after a boot
    /// loader; before it knew how to, transactional-update went by btrfs(8) itself.
    pub fn set_default(&self, number: u64, place: &Path) -> Result<(), Error> {
        if self.can("--default")? {
            return self.modify(number, &["--default"]);
        }
        Btrfs::find()?.set_default(place)
    }

    /// Deletes a snapshot.
    pub fn delete(&self, number: u64) -> Result<(), Error> {
        self.run(&["delete".into(), number.to_string().into()]).map(drop)
    }

    /// Whether this version can modify a snapshot so: what it says of itself has each command with its options.
    fn can(&self, option: &str) -> Result<bool, Error> {
        let help = super::run_to_its_end(PROGRAM, &self.path, &["--help".into()])?;
        Ok(has_option(&String::from_utf8_lossy(&help), "modify", option))
    }

    fn modify(&self, number: u64, options: &[&str]) -> Result<(), Error> {
        let number = number.to_string();
        let words = [&["modify"], options, &[&number]].concat();
        self.run(&words.into_iter().map(OsString::from).collect::<Vec<_>>()).map(drop)
    }

    fn run(&self, words: &[OsString]) -> Result<Vec<u8>, Error> {
        let mut arguments: Vec<OsString> = Vec::new();
        if self.root != Path::new("/") {
            arguments.extend(["--no-dbus".into(), "--root".into(), self.root.clone().into()]);
        } else if !Path::new(BUS).exists() {
            arguments.push("--no-dbus".into());
        }
        arguments.extend_from_slice(words);
        super::run_to_its_end(PROGRAM, &self.path, &arguments)
    }
}

/// A command is followed by a line without words, and the list of its options by another.
fn has_option(help: &str, command: &str, option: &str) -> bool {
    let options =
        help.split_once(&format!("snapper {command} ")).and_then(|(_, rest)| rest.split("\n\n").nth(1));
    options.is_some_and(|options| options.lines().any(|line| line.trim_start().starts_with(option)))
}

/// `KEY=VALUE,…`, as snapper takes it.
fn pairs(userdata: &[(&str, &str)]) -> String {
    userdata.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// One list for each configuration; there is one.
fn parse(text: &[u8]) -> Result<Vec<Snapshot>, serde_json::Error> {
    let lists: BTreeMap<String, Vec<Snapshot>> = serde_json::from_slice(text)?;
    Ok(lists.into_values().flatten().collect())
}

fn nothing_is_empty<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let text = br#"{ "root": [
            { "number": 0, "default": false, "cleanup": "", "description": "current", "userdata": null },
            { "number": 3, "default": true, "cleanup": "number", "description": "a \"b\"",
              "userdata": { "important": "yes", "onlay": "layers" } } ] }"#;
        let list = parse(text).expect("a list");
        assert_eq!((list[1].number, list[1].is_default), (3, true));
        assert_eq!((&*list[1].cleanup, &*list[1].description), ("number", "a \"b\""));
        assert_eq!(list[1].userdata["important"], "yes");
        assert!(list[0].userdata.is_empty());
        assert!(parse(b"{").is_err());
    }

    #[test]
    fn a_command_has_its_own_options() {
        let help = "  Create snapshot:\n\tsnapper create\n\n    Options for 'create' command:\n\t--read-only\t\tx\n\n\
                    \x20 Modify snapshot:\n\tsnapper modify <number>\n\n    Options for 'modify' command:\n\t--userdata, -u <x>\ty\n\
                    \t--default\t\tz\n\n  Delete snapshot:\n\tsnapper delete <number>\n";
        assert!(has_option(help, "modify", "--default") && has_option(help, "modify", "--userdata"));
        assert!(!has_option(help, "modify", "--read-only") && !has_option(help, "delete", "--default"));
    }
}
