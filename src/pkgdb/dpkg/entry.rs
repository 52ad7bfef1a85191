//! A package in `status`.
//!
//! What counts for its [`Identity`]: every field that comes from the package itself, by name in lower case and in
//! alphabetical order, for versions of dpkg write them in orders of their own. Not what the system adds: `Status`,
//! `Config-Version`, `Conffiles`, `Triggers-Pending` and `Triggers-Awaited`. These differ where the same package was
//! put on hold, or waits for a trigger, and are told apart by its [`Marks`]. Nor `Section` and `Priority`, which dpkg
//! takes over from archives (`dpkg --update-avail`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::lines::{is_architecture, is_package_name, path};
use crate::package::deb822::{Document, Stanza};
use crate::package::debian_relation::Relation;
use crate::package::{DebianVersion, Error, Identity};
use crate::pkgdb::Package;

/// What names a package: of some there is one for each architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The package's name.
    pub name: String,
    /// Its architecture; empty where a remainder of former times has none.
    pub arch: String,
}

/// A stanza of `status`, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name and architecture.
    pub key: Key,
    /// The version, which only a package that is not really there may lack.
    pub version: Option<DebianVersion>,
    /// The Status field.
    pub status: Status,
    /// Whether and how it lives with its namesakes of other architectures.
    pub multi_arch: MultiArch,
    /// Files of configuration, with the digest of what the package brought.
    pub conffiles: Vec<Conffile>,
    /// Triggers that it must still run.
    pub triggers_pending: Vec<String>,
    /// Packages whose triggers it waits for.
    pub triggers_awaited: Vec<String>,
    /// What tells it from any other.
    pub identity: Identity,
    /// The stanza as it is written.
    pub stanza: Stanza,
}

/// Want, error flag and state: `install ok installed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What the administrator wants.
    pub want: Want,
    /// Whether it is so broken that it must be installed again (`reinstreq`).
    pub needs_reinstallation: bool,
    /// How far it got.
    pub state: State,
}

/// What is to become of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Nothing was said.
    Unknown,
    /// It is to be installed.
    Install,
    /// It is to stay as it is.
    Hold,
    /// It is to be removed, without its configuration.
    Deinstall,
    /// It is to be removed with its configuration.
    Purge,
}

/// How far a package got, from nothing to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing of it is there.
    NotInstalled,
    /// Its configuration is left over.
    ConfigFiles,
    /// Unpacking or removing it was broken off.
    HalfInstalled,
    /// It is unpacked, but not configured.
    Unpacked,
    /// Configuring it was broken off.
    HalfConfigured,
    /// It waits for others' triggers.
    TriggersAwaited,
    /// Its own triggers must run.
    TriggersPending,
    /// All of it is there.
    Installed,
}

/// The Multi-Arch field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultiArch {
    /// One architecture only, which serves itself.
    No,
    /// Several architectures of the same version beside each other.
    Same,
    /// One architecture, which serves all.
    Foreign,
    /// One architecture, which serves those that ask for any.
    Allowed,
}

/// A file of configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conffile {
    /// Where it is.
    pub path: PathBuf,
    /// The MD5 of what the package brought, in hexadecimal; or another word (`newconffile`) before that is known.
    pub digest: String,
    /// The package has it no more.
    pub is_obsolete: bool,
    /// The package wants it removed when upgraded.
    pub is_removed_on_upgrade: bool,
}

/// What the system adds to a package, in short: where one of these differs, that is a difference of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// What is to become of it; a hold is here.
    pub want: Want,
    /// How far dpkg got: state, error flag, triggers, and the version that was configured last.
    pub progress: Identity,
    /// Files of configuration with their digests.
    pub conffiles: Identity,
}

const WANTS: &[(&str, Want)] = &[
    ("unknown", Want::Unknown),
    ("install", Want::Install),
    ("hold", Want::Hold),
    ("deinstall", Want::Deinstall),
    ("purge", Want::Purge),
];

const STATES: &[(&str, State)] = &[
    ("not-installed", State::NotInstalled),
    ("config-files", State::ConfigFiles),
    ("half-installed", State::HalfInstalled),
    ("unpacked", State::Unpacked),
    ("half-configured", State::HalfConfigured),
    ("triggers-awaited", State::TriggersAwaited),
    ("triggers-pending", State::TriggersPending),
    ("installed", State::Installed),
];

/// What the system adds to a package's own fields, or puts in their place.
const SYSTEMS_OWN: &[&str] =
    &["Status", "Config-Version", "Conffiles", "Triggers-Pending", "Triggers-Awaited", "Section", "Priority"];

/// Reads `status`.
pub fn parse_status(text: &[u8]) -> Result<BTreeMap<Key, Entry>, Error> {
    let mut entries = BTreeMap::new();
    for stanza in Document::parse(text)?.stanzas {
        let line = stanza.line();
        let entry = Entry::parse(stanza)?;
        if entries.insert(entry.key.clone(), entry).is_some() {
            return Err(Error::Line { line, problem: "describes a package a second time" });
        }
    }
    Ok(entries)
}

impl Entry {
    /// Reads what a stanza says.
    pub fn parse(stanza: Stanza) -> Result<Entry, Error> {
        let wrong = |problem| Error::Line { line: stanza.line(), problem };
        let name = stanza.text("Package").filter(|name| is_package_name(name));
        let name = name.ok_or_else(|| wrong("begins a stanza without a package's name"))?.to_owned();
        let arch = stanza.text("Architecture").unwrap_or_default().to_owned();
        if !arch.is_empty() && !is_architecture(&arch) {
            return Err(wrong("begins a stanza whose architecture has no name"));
        }
        let status = stanza.text("Status").and_then(Status::parse);
        let status = status.ok_or_else(|| wrong("begins a stanza without a right Status"))?;
        let version = match stanza.text("Version") {
            Some(text) => {
                Some(DebianVersion::parse(text).map_err(|_| wrong("begins a stanza with a wrong Version"))?)
            }
            None if status.state.needs_version() => return Err(wrong("begins a stanza without a Version")),
            None => None,
        };
        let multi_arch = match stanza.text("Multi-Arch") {
            None | Some("no") => MultiArch::No,
            Some("same") => MultiArch::Same,
            Some("foreign") => MultiArch::Foreign,
            Some("allowed") => MultiArch::Allowed,
            Some(_) => return Err(wrong("begins a stanza with a wrong Multi-Arch")),
        };
        let conffiles = Conffile::parse_all(stanza.get("Conffiles").unwrap_or_default())
            .ok_or_else(|| wrong("begins a stanza with wrong Conffiles"))?;
        let words = |name| -> Vec<String> {
            stanza.text(name).unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
        };
        Ok(Entry {
            key: Key { name, arch },
            version,
            status,
            multi_arch,
            conffiles,
            triggers_pending: words("Triggers-Pending"),
            triggers_awaited: words("Triggers-Awaited"),
            identity: identify(&stanza),
            stanza,
        })
    }

    /// Whether files of it may be there: it is more than a remainder of configuration.
    pub fn is_present(&self) -> bool {
        self.status.state > State::ConfigFiles
    }

    /// Whether it works: dpkg has configured it, though triggers may have to run.
    pub fn is_configured(&self) -> bool {
        self.status.state >= State::TriggersAwaited && !self.status.needs_reinstallation
    }

    /// What the system adds to it.
    pub fn marks(&self) -> Marks {
        Marks { want: self.status.want, progress: self.progress(), conffiles: self.conffiles_identity() }
    }

    fn progress(&self) -> Identity {
        let sorted = |words: &[String]| {
            let mut words = words.to_vec();
            words.sort_unstable();
            words.join(" ")
        };
        let Status { needs_reinstallation, state, .. } = self.status;
        let configured = self.stanza.text("Config-Version").unwrap_or_default();
        let [pending, awaited] = [&self.triggers_pending, &self.triggers_awaited].map(|words| sorted(words));
        let text = format!("{needs_reinstallation} {state}\n{pending}\n{awaited}\n{configured}");
        Identity::of(text.as_bytes())
    }

    fn conffiles_identity(&self) -> Identity {
        let mut lines: Vec<&[u8]> = self
            .stanza
            .get("Conffiles")
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty())
            .collect();
        lines.sort_unstable();
        Identity::of(&lines.join(&b'\n'))
    }

    /// A field of relations; where it cannot be read, that is an error.
    pub fn relations(&self, field: &str) -> Result<Vec<Vec<Relation>>, Error> {
        Relation::parse_all(self.stanza.text(field).unwrap_or_default())
    }

    /// The package as every database can tell it.
    pub fn package(&self) -> Package {
        Package {
            name: self.key.name.clone(),
            arch: self.key.arch.clone(),
            version: self.version.as_ref().map(DebianVersion::to_string).unwrap_or_default(),
            identity: self.identity,
        }
    }
}

/// The identity of a stanza: see above which fields count.
fn identify(stanza: &Stanza) -> Identity {
    let mut fields: Vec<(Vec<u8>, &[u8])> = stanza
        .fields()
        .filter(|(name, _)| !SYSTEMS_OWN.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes())))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    fields.sort_unstable();
    let mut text = Vec::with_capacity(stanza.as_bytes().len());
    for (name, value) in fields {
        text.extend_from_slice(&name);
        text.push(b':');
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    Identity::of(&text)
}

impl Status {
    /// Reads the Status field.
    pub fn parse(text: &str) -> Option<Status> {
        let mut words = text.split_ascii_whitespace();
        let want = find(WANTS, words.next()?)?;
        let needs_reinstallation = match words.next()? {
            "ok" => false,
            "reinstreq" => true,
            _ => return None,
        };
        let state = find(STATES, words.next()?)?;
        words.next().is_none().then_some(Status { want, needs_reinstallation, state })
    }
}

fn find<T: Copy>(table: &[(&str, T)], wanted: &str) -> Option<T> {
    table.iter().find(|(word, _)| *word == wanted).map(|(_, value)| *value)
}

impl State {
    fn needs_version(self) -> bool {
        self >= State::Unpacked
    }
}

impl Conffile {
    /// Reads a Conffiles field: a line for each, ` PATH DIGEST [obsolete] [remove-on-upgrade]`. Paths may have blanks.
    fn parse_all(value: &[u8]) -> Option<Vec<Conffile>> {
        value.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Conffile::parse).collect()
    }

    fn parse(line: &[u8]) -> Option<Conffile> {
        let mut rest = line.trim_ascii();
        let mut take_flag = |word: &[u8]| match rest.strip_suffix(word) {
            Some(before) if before.ends_with(b" ") => {
                rest = before.trim_ascii_end();
                true
            }
            _ => false,
        };
        let is_removed_on_upgrade = take_flag(b"remove-on-upgrade");
        let is_obsolete = take_flag(b"obsolete");
        let blank = rest.iter().rposition(|byte| *byte == b' ')?;
        let digest = std::str::from_utf8(&rest[blank + 1..]).ok()?.to_owned();
        let found = path(rest[..blank].trim_ascii_end());
        found.is_absolute().then_some(Conffile { path: found, digest, is_obsolete, is_removed_on_upgrade })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.needs_reinstallation { "reinstreq" } else { "ok" };
        write!(f, "{} {word} {}", self.want, self.state)
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WANTS.iter().find(|(_, want)| want == self).map_or("", |(word, _)| word))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STATES.iter().find(|(_, state)| state == self).map_or("", |(word, _)| word))
    }
}

/// `name:arch`, as dpkg and apt take it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.arch.is_empty() { Ok(()) } else { write!(f, ":{}", self.arch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZA: &str = "Package: a\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1.0\n\
        Depends: b (>= 1) | c\nConffiles:\n /etc/a b c 0123 obsolete\n /etc/d 4567 obsolete remove-on-upgrade\n /etc/e newconffile\n";

    fn entry(text: &str) -> Entry {
        let entries = parse_status(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        entries.into_values().next().expect("one entry")
    }

    #[test]
    fn an_entry_is_read() {
        let found = entry(STANZA);
        assert_eq!(found.key.to_string(), "a:amd64");
        assert_eq!(found.status.to_string(), "install ok installed");
        assert_eq!(found.multi_arch, MultiArch::Same);
        assert!(found.is_present() && found.is_configured());
        let conffiles: Vec<(&str, &str, bool, bool)> = found
            .conffiles
            .iter()
            .map(|file| {
                (
                    file.path.to_str().expect("text"),
                    &*file.digest,
                    file.is_obsolete,
                    file.is_removed_on_upgrade,
                )
            })
            .collect();
        assert_eq!(
            conffiles,
            [
                ("/etc/a b c", "0123", true, false),
                ("/etc/d", "4567", true, true),
                ("/etc/e", "newconffile", false, false)
            ]
        );
        assert_eq!(found.relations("Depends").expect("relations").len(), 1);
        assert_eq!(found.package().version, "1.0");
    }

    #[test]
    fn the_identity_is_the_package_and_not_its_state() {
        let one = entry(STANZA);
        for (from, to) in [
            ("install ok installed", "hold ok installed"),
            ("/etc/e newconffile", "/etc/e 89ab"),
            ("Version: 1.0\n", "Config-Version: 1.0\nVersion: 1.0\n"),
            ("Architecture: amd64\nMulti-Arch: same\n", "multi-arch: same  \nArchitecture:   amd64\n"),
            ("ok installed", "ok triggers-pending"),
            ("Version: 1.0\n", "Section: libs\nPriority: optional\nVersion: 1.0\n"),
        ] {
            assert_eq!(entry(&STANZA.replace(from, to)).identity, one.identity, "{to}");
        }
        for (from, to) in [("Version: 1.0", "Version: 1.00"), ("(>= 1)", "(>= 2)"), ("Multi", "X-Multi")] {
            assert_ne!(entry(&STANZA.replace(from, to)).identity, one.identity, "{to}");
        }
        let pending = entry(&STANZA.replace("ok installed", "ok triggers-pending"));
        assert_ne!(pending.marks(), one.marks());
        let held = entry(&STANZA.replace("install ok", "hold ok")).marks();
        assert_eq!(held, Marks { want: Want::Hold, ..one.marks() });
        let other = entry(&STANZA.replace("newconffile", "89ab")).marks();
        assert_eq!(Marks { conffiles: one.marks().conffiles, ..other }, one.marks());
    }

    #[test]
    fn wrong_stanzas_are_told_with_their_line() {
        for (from, to, problem) in [
            ("Package: a", "Package: -a", "begins a stanza without a package's name"),
            ("Package: a\n", "", "begins a stanza without a package's name"),
            ("amd64", "amd_64", "begins a stanza whose architecture has no name"),
            ("install ok", "install fine", "begins a stanza without a right Status"),
            ("ok installed", "ok installed now", "begins a stanza without a right Status"),
            ("Version: 1.0\n", "", "begins a stanza without a Version"),
            ("Version: 1.0", "Version: 1 0", "begins a stanza with a wrong Version"),
            ("/etc/a b c", "etc/a", "begins a stanza with wrong Conffiles"),
            ("Multi-Arch: same", "Multi-Arch: some", "begins a stanza with a wrong Multi-Arch"),
        ] {
            let text =
                format!("Package: z\nStatus: install ok not-installed\n\n{}", STANZA.replace(from, to));
            assert_eq!(parse_status(text.as_bytes()).err(), Some(Error::Line { line: 4, problem }), "{to}");
        }
        let twice = format!("{STANZA}\n{STANZA}");
        let error = parse_status(twice.as_bytes()).expect_err("twice the same");
        assert_eq!(error.to_string(), "line 12 describes a package a second time");
    }
}
