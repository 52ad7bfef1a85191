//! The deployments of a system, as its boot loader's entries list them, and as processes of ostree leave notes of them in /run.
//!
//! `ostree admin status` says the same to people; as data only since 2023. All that says what will boot are the entries in
//! `boot/loader/entries` (Boot Loader Specification), each with `ostree=` in its options, a link that leads to a deployment; and
//! `/run/ostree/staged-deployment`, of one that becomes an entry at shutdown.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::checksum::Checksum;
use super::error::Error;
use super::object::{Value, dictionary};
use super::origin::Origin;
use super::repo::Repository;
use crate::sys::Root;

/// A system that has deployments: the one that runs, or one on a disk.
#[derive(Debug)]
pub struct Sysroot {
    root: Root,
    is_running: bool,
}

/// A tree that can be booted, or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its place in the list: what boots next is 0. ostree's commands take it.
    pub index: usize,
    /// The name of the system that it is one of, whose /var it has.
    pub os: String,
    /// Its commit.
    pub checksum: Checksum,
    /// Which one of this commit.
    pub serial: u32,
    /// Where it is, from the top of the disk.
    pub path: PathBuf,
    /// Where it stands.
    pub standing: Standing,
    /// Whether it is never removed to make room.
    pub pinned: bool,
    /// How its /usr was made writable.
    pub unlocked: Option<Unlocked>,
    /// Where it comes from; nothing where there is no such file.
    pub origin: Origin,
    /// What the kernel is told (`None` for a staged one).
    pub options: Option<String>,
}

/// Where a deployment stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It runs.
    Booted,
    /// It will be made ready at shutdown, and boots then.
    Staged,
    /// It comes before the one that runs.
    Pending,
    /// It comes after the one that runs, or no one does.
    Other,
    /// It is the first of these after the one that runs, of the same system.
    Rollback,
}

/// How a deployment's /usr was made writable (`ostree admin unlock`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unlocked {
    /// Until the next boot.
    Development,
    /// Until the next boot, and read-only but for who asks.
    Transient,
    /// For as long as the deployment is there.
    Hotfix,
}

const BOOTED: &str = "run/ostree-booted";
const STAGED: &str = "run/ostree/staged-deployment";
const STATES: &str = "run/ostree/deployment-state";
/// More than any entry, origin or note has.
const SMALL: u64 = 1024 * 1024;

impl Sysroot {
    /// The system that runs, with `/` as its root; `None` where it did not boot by OSTree.
    pub fn running() -> Result<Option<Sysroot>, Error> {
        Sysroot::running_at("/")
    }

    /// One that runs, seen from elsewhere: by the path of its root, with its own /run and /boot.
    pub fn running_at(path: impl Into<PathBuf>) -> Result<Option<Sysroot>, Error> {
        let root = Root::open(path)?;
        Ok(root.exists(BOOTED).then_some(Sysroot { root, is_running: true }))
    }

    /// One on a disk, by the path of its top.
    pub fn at(path: impl Into<PathBuf>) -> Result<Sysroot, Error> {
        Ok(Sysroot { root: Root::open(path)?, is_running: false })
    }

    /// Its top.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// Its repository.
    pub fn repository(&self) -> Result<Repository, Error> {
        Repository::of_sysroot(&self.root)
    }

    /// All deployments, in the order in which they are offered: the first boots next.
    pub fn deployments(&self) -> Result<Vec<Deployment>, Error> {
        let mut found = Vec::new();
        if self.is_running {
            found.extend(self.staged()?);
        }
        for entry in self.entries()? {
            found.push(self.deployment(&entry.target, Some(entry.options))?);
        }
        for (index, deployment) in found.iter_mut().enumerate() {
            deployment.index = index;
        }
        if let Some(booted) = self.booted(&found)? {
            place(&mut found, booted);
        }
        Ok(found)
    }

    /// Entries of the boot loader that lead to deployments, what boots first first.
    fn entries(&self) -> Result<Vec<BootEntry>, Error> {
        let place = Path::new("boot/loader/entries");
        if !self.root.exists(place) {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        for entry in self.root.open_dir(place)?.entries()? {
            if Path::new(&entry.name).extension().is_none_or(|end| end != "conf") {
                continue;
            }
            let path = place.join(&entry.name);
            let text = String::from_utf8_lossy(&self.root.read(&path, SMALL)?).into_owned();
            // Others have entries as well.
            let Some((version, options, link)) = boot_entry(&text) else { continue };
            let target = self.root.resolve(link)?;
            entries.push(BootEntry { version, name: entry.name, options, target });
        }
        entries.sort_by(|a, b| (b.version, &b.name).cmp(&(a.version, &a.name)));
        Ok(entries)
    }

    /// The one that will become an entry at shutdown.
    fn staged(&self) -> Result<Option<Deployment>, Error> {
        let bytes = match self.root.read(STAGED, SMALL) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let nonsense = |what: String| Error::Nonsense { path: self.root.join(STAGED), what };
        let note = dictionary(&bytes).map_err(|error| nonsense(error.to_string()))?;
        let Some(target) = note.get("target").and_then(Value::as_dictionary) else { return Ok(None) };
        let text = |key: &str| target.get(key).and_then(Value::as_text);
        let (Some(os), Some(name)) = (text("osname"), text("name")) else {
            return Err(nonsense("it does not say which deployment".to_owned()));
        };
        let path = Path::new("/ostree/deploy").join(os).join("deploy").join(name);
        let deployment = self.deployment(&path, None)?;
        Ok(Some(Deployment { standing: Standing::Staged, ..deployment }))
    }

    /// The deployment in a directory.
    fn deployment(&self, target: &Path, options: Option<String>) -> Result<Deployment, Error> {
        let nonsense = || Error::NoDeployment { name: format!("in '{}'", target.display()) };
        let parts: Vec<&str> = target.iter().map(|part| part.to_str().unwrap_or_default()).collect();
        let &[.., "ostree", "deploy", os, "deploy", name] = &parts[..] else { return Err(nonsense()) };
        let (checksum, serial) = deployment_name(name).ok_or_else(nonsense)?;
        let path = Path::new("ostree/deploy").join(os).join("deploy").join(name);
        let origin = self.origin(&path)?;
        Ok(Deployment {
            index: 0,
            os: os.to_owned(),
            checksum,
            serial,
            pinned: origin.is_pinned(),
            unlocked: self.unlocked(name, &origin),
            standing: Standing::Other,
            path,
            origin,
            options,
        })
    }

    fn origin(&self, deployment: &Path) -> Result<Origin, Error> {
        let path = Origin::path_of(deployment);
        let text = match self.root.read(&path, SMALL) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.is_not_found() => String::new(),
            Err(error) => return Err(error.into()),
        };
        let nonsense = |what: String| Error::Nonsense { path: self.root.join(&path), what };
        Origin::parse(&text).map_err(|error| nonsense(error.to_string()))
    }

    fn unlocked(&self, name: &str, origin: &Origin) -> Option<Unlocked> {
        let state = |state| self.is_running && self.root.exists(Path::new(STATES).join(name).join(state));
        match origin.unlocked().as_deref() {
            Some("hotfix") => Some(Unlocked::Hotfix),
            Some("development") => Some(Unlocked::Development),
            _ if state("unlocked-development") => Some(Unlocked::Development),
            _ if state("unlocked-transient") => Some(Unlocked::Transient),
            _ => None,
        }
    }

    /// Which one runs: the one that is `/`, or that ostree-prepare-root noted where `/` is an image of it.
    fn booted(&self, deployments: &[Deployment]) -> Result<Option<usize>, Error> {
        if !self.is_running {
            return Ok(None);
        }
        let note = dictionary(&self.root.read(BOOTED, SMALL)?).unwrap_or_default();
        let noted = note.get("backing-root-device-inode").and_then(Value::as_two_numbers);
        let root = self.root.stat("/")?;
        let wanted = noted.unwrap_or((root.st_dev, root.st_ino));
        for deployment in deployments.iter().filter(|deployment| deployment.standing != Standing::Staged) {
            let found = self.root.stat(&deployment.path)?;
            if (found.st_dev, found.st_ino) == wanted {
                return Ok(Some(deployment.index));
            }
        }
        Ok(None)
    }
}

/// Says of each where it stands.
fn place(deployments: &mut [Deployment], booted: usize) {
    let os = deployments[booted].os.clone();
    let mut has_rollback = false;
    for (index, deployment) in deployments.iter_mut().enumerate() {
        deployment.standing = match index.cmp(&booted) {
            _ if deployment.standing == Standing::Staged => Standing::Staged,
            std::cmp::Ordering::Less => Standing::Pending,
            std::cmp::Ordering::Equal => Standing::Booted,
            std::cmp::Ordering::Greater if !has_rollback && deployment.os == os => {
                has_rollback = true;
                Standing::Rollback
            }
            std::cmp::Ordering::Greater => Standing::Other,
        };
    }
}

struct BootEntry {
    version: i64,
    name: OsString,
    options: String,
    target: PathBuf,
}

/// Version, options and the link in them, of an entry's text (`KEY VALUE`, line by line).
fn boot_entry(text: &str) -> Option<(i64, String, String)> {
    let value = |wanted: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once([' ', '\t']));
        lines.find(|(key, _)| *key == wanted).map(|(_, value)| value.trim())
    };
    let options = value("options")?;
    let link = options.split_whitespace().find_map(|option| option.strip_prefix("ostree="))?;
    let version = value("version").and_then(|version| version.parse().ok()).unwrap_or_default();
    Some((version, options.to_owned(), link.to_owned()))
}

/// `CHECKSUM.SERIAL`.
fn deployment_name(name: &str) -> Option<(Checksum, u32)> {
    let (checksum, serial) = name.split_once('.')?;
    Some((checksum.parse().ok()?, serial.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_others_lead_nowhere() {
        let text = "title Debian (ostree:0)\nversion 2\noptions root=LABEL=x ostree=/ostree/boot.1/debian/ab/0 rw\nlinux /x\n";
        let options = "root=LABEL=x ostree=/ostree/boot.1/debian/ab/0 rw".to_owned();
        assert_eq!(boot_entry(text), Some((2, options, "/ostree/boot.1/debian/ab/0".to_owned())));
        assert_eq!(boot_entry("title Memtest\nefi /memtest\n"), None);
        assert_eq!(boot_entry("options root=/dev/sda noostree=1\n"), None);
    }

    #[test]
    fn a_deployment_is_named_by_commit_and_serial() {
        let checksum = Checksum::of(b"x");
        assert_eq!(deployment_name(&format!("{checksum}.12")), Some((checksum, 12)));
        for bad in
            ["", "x.0", &checksum.to_string(), &format!("{checksum}.x"), &format!("{checksum}.0.origin")]
        {
            assert_eq!(deployment_name(bad), None, "{bad}");
        }
    }
}
