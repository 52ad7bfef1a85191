//! What an extension asks for when it comes, changes or goes, by its release file and the files in it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::record::Active;
use crate::extension::{Class, Contents, Error, ImageFiles, Layer, Release, Stack, SystemdVersion};
use crate::host::{Host, OsRelease};
use crate::sys::with_causes;
use crate::tool::systemctl::Systemctl;
use crate::tool::{self, systemd_sysusers, systemd_tmpfiles};

const SYSUSERS: &str = "usr/lib/sysusers.d";
const TMPFILES: &str = "usr/lib/tmpfiles.d";
/// More than any file there has.
const LARGEST: usize = 1 << 20;

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Actions {
    /// systemd reads its units again (`EXTENSION_RELOAD_MANAGER`).
    pub reload: bool,
    /// Units that are restarted (`EXTENSION_RESTART_UNITS`).
    pub restart: Vec<String>,
    /// Units that are reloaded, or restarted where they cannot be (`EXTENSION_RELOAD_OR_RESTART_UNITS`).
    pub reload_or_restart: Vec<String>,
    /// Files in sysusers.d that it brings.
    pub sysusers: Vec<String>,
    /// Files in tmpfiles.d that it brings.
    pub tmpfiles: Vec<String>,
}

impl Actions {
    /// What an extension asks for.
    pub(super) fn of(contents: &dyn Contents, merged_as: &str) -> Result<Actions, Error> {
        let fields = match Release::find(contents, Class::Sysext, merged_as, SystemdVersion::LAST)? {
            Release::Found { fields, .. } => fields,
            _ => OsRelease::default(),
        };
        Ok(Actions {
            reload: fields.get("EXTENSION_RELOAD_MANAGER").is_some_and(is_yes),
            restart: words(&fields, "EXTENSION_RESTART_UNITS"),
            reload_or_restart: words(&fields, "EXTENSION_RELOAD_OR_RESTART_UNITS"),
            sysusers: snippets(contents, SYSUSERS)?,
            tmpfiles: snippets(contents, TMPFILES)?,
        })
    }

    /// Adds what another one asks for.
    pub(super) fn extend(&mut self, other: &Actions) {
        self.reload |= other.reload;
        for (ours, theirs) in [
            (&mut self.restart, &other.restart),
            (&mut self.reload_or_restart, &other.reload_or_restart),
            (&mut self.sysusers, &other.sysusers),
            (&mut self.tmpfiles, &other.tmpfiles),
        ] {
            let new: Vec<String> = theirs.iter().filter(|word| !ours.contains(word)).cloned().collect();
            ours.extend(new);
        }
    }
}

impl Actions {
    /// Whether systemd is to read its units again.
    pub(super) fn has_units(&self) -> bool {
        self.reload || !self.restart.is_empty() || !self.reload_or_restart.is_empty()
    }

    /// Does that on the running host. What was done, and what went wrong with it, is told in words; neither undoes a merge.
    pub(super) fn perform(&self, host: &Host, done: &mut Vec<String>, failed: &mut Vec<String>) {
        let mut note = |what: String, result: Result<bool, tool::Error>| match result {
            Ok(true) => done.push(what),
            Ok(false) => failed.push(format!("{what}: the journal says why it could not")),
            Err(error) => failed.push(format!("{what}: {}", with_causes(&error))),
        };
        if !self.sysusers.is_empty() {
            let made = systemd_sysusers::run(&self.sysusers).map(|()| true);
            note(format!("made the users of {}", self.sysusers.join(", ")), made);
        }
        if !self.tmpfiles.is_empty() {
            let made = systemd_tmpfiles::run(&self.tmpfiles).map(|()| true);
            note(format!("made the files of {}", self.tmpfiles.join(", ")), made);
        }
        if !host.runs_systemd() || !self.has_units() {
            return;
        }
        let systemctl = match Systemctl::find() {
            Ok(systemctl) => systemctl,
            Err(error) => return note("systemd reads its units again".to_owned(), Err(error)),
        };
        note("systemd has read its units again".to_owned(), systemctl.reload().map(|()| true));
        for unit in &self.restart {
            let (what, result) = renew(&systemctl, unit, true);
            note(format!("{what} {unit}"), result);
        }
        for unit in self.reload_or_restart.iter().filter(|unit| !self.restart.contains(unit)) {
            let (what, result) = renew(&systemctl, unit, false);
            note(format!("{what} {unit}"), result);
        }
    }
}

/// Makes at boot, before anything is merged, the users of extensions that were enabled while another root ran: systemd makes
/// users earlier in the boot than it merges. Gives what went wrong, in words.
pub(super) fn make_users(active: &[Active]) -> Option<String> {
    let mut text = Vec::new();
    for Active { path, actions, .. } in active.iter().filter(|active| !active.actions.sysusers.is_empty()) {
        let Ok(contents) = ImageFiles::open(path) else { continue };
        let stack = Stack::new(vec![Layer { contents: &contents, hierarchies: None }]);
        for file in &actions.sysusers {
            let snippet = stack.read(&Path::new(SYSUSERS).join(file), LARGEST).ok().flatten();
            text.extend(snippet.unwrap_or_default());
            text.push(b'\n');
        }
    }
    if text.is_empty() {
        return None;
    }
    systemd_sysusers::run_text(&text).err().map(|error| format!("made users: {}", with_causes(&error)))
}

/// Restarts or reloads a unit, as systemd 262 does by itself: one whose file went with an extension is stopped.
fn renew(systemctl: &Systemctl, unit: &str, restart: bool) -> (&'static str, Result<bool, tool::Error>) {
    match systemctl.has(unit) {
        Ok(false) => ("stopped", systemctl.stop_wholly(&[unit]).map(|()| true)),
        Ok(true) if restart => ("restarted", systemctl.restart(&[unit])),
        Ok(true) => ("reloaded", systemctl.reload_or_restart(&[unit])),
        Err(error) => ("restarted", Err(error)),
    }
}

/// As systemd reads a boolean.
fn is_yes(word: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].iter().any(|yes| word.eq_ignore_ascii_case(yes))
}

/// Names of units: what looks like an option, or is none, is passed over.
fn words(fields: &OsRelease, field: &str) -> Vec<String> {
    let is_unit = |word: &&str| {
        let is_good = |letter: char| letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter);
        !word.starts_with('-') && word.contains('.') && word.chars().all(is_good)
    };
    fields
        .get(field)
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter(is_unit)
        .map(str::to_owned)
        .collect()
}

/// The names of `*.conf` in a directory.
fn snippets(contents: &dyn Contents, directory: &str) -> Result<Vec<String>, Error> {
    let stack = Stack::new(vec![Layer { contents, hierarchies: None }]);
    let names = stack.list(Path::new(directory))?;
    let text = names.into_iter().filter_map(|name| name.into_string().ok());
    let is_snippet =
        |name: &String| name.strip_suffix(".conf").is_some_and(|stem| !stem.starts_with(['-', '.']));
    Ok(text.filter(is_snippet).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Directory;
    use crate::sys::Root;

    #[test]
    fn what_an_extension_asks_for_is_read_from_it() {
        let place = tempfile::tempdir().expect("a directory");
        let put = |name: &str, text: &str| {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        };
        put(
            "usr/lib/extension-release.d/extension-release.x",
            "ID=_any\nEXTENSION_RELOAD_MANAGER=Yes\nEXTENSION_RESTART_UNITS=\"a.service --now b@1.socket words\"\n\
             EXTENSION_RELOAD_OR_RESTART_UNITS=a.service\n",
        );
        put("usr/lib/sysusers.d/x.conf", "u x\n");
        put("usr/lib/tmpfiles.d/x.conf", "d /var/x\n");
        put("usr/lib/tmpfiles.d/README", "");
        let contents = Directory::new(Root::open(place.path()).expect("it opens"));
        let mut found = Actions::of(&contents, "x").expect("readable");
        let again = found.clone();
        found.extend(&again);
        assert_eq!(
            found,
            Actions {
                reload: true,
                restart: vec!["a.service".into(), "b@1.socket".into()],
                reload_or_restart: vec!["a.service".into()],
                sysusers: vec!["x.conf".into()],
                tmpfiles: vec!["x.conf".into()],
            }
        );
        assert!(!Actions::of(&contents, "y").expect("readable").reload);
    }
}
