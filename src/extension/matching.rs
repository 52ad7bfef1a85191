//! Whether systemd merges an extension on a host, by what both say of themselves, and why. The rules are those of
//! `extension_release_validate()` in systemd, in its order.

use std::fmt;
use std::path::Path;

use super::libraries::Libraries;
use super::release::{Class, Release, Strictness};
use super::{Contents, Error, Layer, Stack, SystemdVersion};
use crate::host::{Host, OsRelease};

/// What of a host decides.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// Its os-release.
    pub release: OsRelease,
    /// Its architecture, in systemd's words.
    pub architecture: String,
    /// Its systemd.
    pub systemd: SystemdVersion,
}

impl HostFacts {
    /// Reads them of a root. `systemd` is told where another version than the installed one is to be asked; where
    /// none is installed, the newest rules are taken.
    pub fn read(
        host: &Host,
        base: &dyn Contents,
        systemd: Option<SystemdVersion>,
    ) -> Result<HostFacts, Error> {
        let stack = Stack::new(vec![Layer { contents: base, hierarchies: None }]);
        let systemd = match systemd {
            Some(systemd) => systemd,
            None => SystemdVersion::installed(&stack)?.unwrap_or(SystemdVersion::LAST),
        };
        let architecture = if host.is_running { None } else { of_shell(&stack)? };
        let architecture = architecture.unwrap_or(Host::architecture()).to_owned();
        Ok(HostFacts { release: host.os_release(), architecture, systemd })
    }
}

/// What the programs of a root are for.
fn of_shell(base: &Stack<'_>) -> Result<Option<&'static str>, Error> {
    let shell = Libraries::new(base).elf(Path::new("bin/sh"))?;
    Ok(shell.and_then(|(_, elf)| elf.machine.architecture()))
}

/// Why an extension is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Match {
    /// It is for any host (`ID=_any`).
    Any,
    /// The host is the one that it is for, and says no version.
    Rolling,
    /// Both have the same level.
    Level(String),
    /// Both have the same version.
    Version(String),
    /// The host says a level and no version, and the extension no level.
    Unversioned,
}

/// Why an extension is not merged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// The extension has a file that is the base's alone.
    OsRelease,
    /// No release file goes with its name.
    NoRelease(Release, Class),
    /// Its release file says nothing.
    EmptyRelease,
    /// It is for another use.
    Scope {
        /// The field, and what it says.
        says: (&'static str, String),
    },
    /// It is for another architecture.
    Architecture {
        /// What it says.
        says: String,
        /// What the host is.
        host: String,
    },
    /// It does not say which host it is for.
    NoId {
        /// What the host is.
        host: String,
    },
    /// It is for another host.
    Id {
        /// What it says.
        says: String,
        /// What the host is.
        host: String,
        /// What the host says that it is like.
        like: Option<String>,
        /// Whether that counts.
        like_counts: bool,
    },
    /// It has another level.
    Level {
        /// The field.
        field: &'static str,
        /// What it says.
        says: String,
        /// What the host says.
        host: String,
    },
    /// It does not say which version of the host it is for.
    NoVersion {
        /// What the host says.
        host: String,
        /// The level that the host has, where it has any.
        level: Option<(&'static str, String)>,
    },
    /// It is for another version.
    Version {
        /// What it says.
        says: String,
        /// What the host says.
        host: String,
    },
    /// The host does not say what it is, and merges nothing.
    NamelessHost,
    /// The host's systemd is older than this kind of extension.
    TooOld(SystemdVersion),
}

/// Whether an extension is merged: why, or why not.
pub type Verdict = Result<Match, Mismatch>;

/// Where systemd merges extensions into the running host.
const SCOPE: &str = "system";

/// Judges by an extension's release file, and whether it has `/usr/lib/os-release`.
pub fn judge(host: &HostFacts, class: Class, release: &Release, has_os_release: bool) -> Verdict {
    if class == Class::Confext && host.systemd.major < 254 {
        return Err(Mismatch::TooOld(host.systemd));
    }
    let Some(id) = host.release.get("ID") else { return Err(Mismatch::NamelessHost) };
    if class == Class::Sysext && has_os_release {
        return Err(Mismatch::OsRelease);
    }
    let fields = match release {
        Release::Found { fields, .. } if fields.is_empty() => return Err(Mismatch::EmptyRelease),
        Release::Found { fields, .. } => fields,
        none => return Err(Mismatch::NoRelease(none.clone(), class)),
    };
    judge_use(host, class, fields)?;
    match judge_id(host, id, fields)? {
        Some(any) => Ok(any),
        None => judge_version(host, class, fields),
    }
}

/// What it is for: the scope and the architecture.
fn judge_use(host: &HostFacts, class: Class, fields: &OsRelease) -> Result<(), Mismatch> {
    if let Some(scope) = fields.assigned(class.scope_field())
        && !scope.split_ascii_whitespace().any(|word| word == SCOPE)
    {
        return Err(Mismatch::Scope { says: (class.scope_field(), scope.to_owned()) });
    }
    match fields.get("ARCHITECTURE") {
        Some(says) if says != "_any" && says != host.architecture => {
            Err(Mismatch::Architecture { says: says.to_owned(), host: host.architecture.clone() })
        }
        _ => Ok(()),
    }
}

/// Which host it is for; a match where that is any.
fn judge_id(host: &HostFacts, id: &str, fields: &OsRelease) -> Result<Option<Match>, Mismatch> {
    let Some(says) = fields.get("ID") else { return Err(Mismatch::NoId { host: id.to_owned() }) };
    if says == "_any" {
        return Ok(Some(Match::Any));
    }
    let like = host.release.get("ID_LIKE");
    let is_like = like.is_some_and(|like| like.split_ascii_whitespace().any(|word| word == says));
    let like_counts = host.systemd >= SystemdVersion { major: 257, minor: 13 };
    if says == id || is_like && like_counts {
        return Ok(None);
    }
    Err(Mismatch::Id {
        says: says.to_owned(),
        host: id.to_owned(),
        like: like.filter(|_| is_like).map(str::to_owned),
        like_counts,
    })
}

fn judge_version(host: &HostFacts, class: Class, fields: &OsRelease) -> Verdict {
    let field = class.level_field();
    let (host_version, host_level) = (host.release.get("VERSION_ID"), host.release.get(field));
    let (version, level) = (fields.get("VERSION_ID"), fields.get(field));
    match (host_level, level, host_version, version) {
        (None, _, None, _) => Ok(Match::Rolling),
        (Some(host), Some(says), _, _) if host == says => Ok(Match::Level(says.to_owned())),
        (Some(host), Some(says), _, _) => {
            Err(Mismatch::Level { field, says: says.to_owned(), host: host.to_owned() })
        }
        (_, _, Some(host), Some(says)) if host == says => Ok(Match::Version(says.to_owned())),
        (_, _, Some(host), Some(says)) => {
            Err(Mismatch::Version { says: says.to_owned(), host: host.to_owned() })
        }
        (_, _, Some(host), None) => {
            let level = host_level.map(|level| (field, level.to_owned()));
            Err(Mismatch::NoVersion { host: host.to_owned(), level })
        }
        (Some(_), None, None, _) => Ok(Match::Unversioned),
    }
}

impl Mismatch {
    /// Which change to the extension would make it match, by this rule.
    pub fn change(&self) -> Option<String> {
        match self {
            Mismatch::OsRelease => Some("leave usr/lib/os-release out".to_owned()),
            Mismatch::NoRelease(Release::Missing { name, .. }, class) => {
                Some(format!("call it {}/extension-release.{name}", class.release_directory().display()))
            }
            Mismatch::NoRelease(..) => Some("leave one of them".to_owned()),
            Mismatch::EmptyRelease => Some("say ID=_any, or ID= and VERSION_ID= of the host".to_owned()),
            Mismatch::Scope { says: (field, _) } => Some(format!("{field}=system, or leave {field} out")),
            Mismatch::Architecture { host, .. } => {
                Some(format!("ARCHITECTURE={host}, where that is what its programs are for"))
            }
            Mismatch::NoId { host } | Mismatch::Id { host, .. } => Some(format!("ID={host}, or ID=_any")),
            Mismatch::Level { field, host, .. } => Some(format!("{field}={host}, or ID=_any")),
            Mismatch::NoVersion { host, level: Some((field, level)) } => {
                Some(format!("{field}={level}, VERSION_ID={host}, or ID=_any"))
            }
            Mismatch::NoVersion { host, level: None } | Mismatch::Version { host, .. } => {
                Some(format!("VERSION_ID={host}, or ID=_any"))
            }
            Mismatch::NamelessHost | Mismatch::TooOld(_) => None,
        }
    }

    /// A word for the rule, for programs.
    pub fn rule(&self) -> &'static str {
        match self {
            Mismatch::OsRelease => "os-release",
            Mismatch::NoRelease(..) | Mismatch::EmptyRelease => "release-file",
            Mismatch::Scope { .. } => "scope",
            Mismatch::Architecture { .. } => "architecture",
            Mismatch::NoId { .. } | Mismatch::Id { .. } => "id",
            Mismatch::Level { .. } => "level",
            Mismatch::NoVersion { .. } | Mismatch::Version { .. } => "version",
            Mismatch::NamelessHost => "host",
            Mismatch::TooOld(_) => "systemd",
        }
    }
}

impl Match {
    /// A word for the rule, for programs.
    pub fn rule(&self) -> &'static str {
        match self {
            Match::Any => "any",
            Match::Rolling => "id",
            Match::Level(_) => "level",
            Match::Version(_) | Match::Unversioned => "version",
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Match::Any => write!(f, "it is for any host (ID=_any)"),
            Match::Rolling => write!(f, "it is for this host, which says no version"),
            Match::Level(level) => write!(f, "it has the host's level {level}"),
            Match::Version(version) => write!(f, "it is for the host's version {version}"),
            Match::Unversioned => write!(f, "it is for this host, which says no version, and has no level"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::OsRelease => write!(
                f,
                "it has usr/lib/os-release, which is the base's alone; as long as it is there, systemd merges no extension at all"
            ),
            Mismatch::NoRelease(release, class) => no_release(f, release, *class),
            Mismatch::EmptyRelease => write!(f, "its release file says nothing"),
            Mismatch::Scope { says: (field, says) } => {
                write!(f, "it is not for a running host: it says {field}='{says}', without 'system'")
            }
            Mismatch::Architecture { says, host } => {
                write!(f, "it says ARCHITECTURE={says}, and the host is {host}")
            }
            Mismatch::NoId { host } => {
                write!(f, "it does not say which host it is for (ID=), and the host is {host}")
            }
            Mismatch::Id { says, host, like, like_counts } => {
                write!(f, "it says ID={says}, and the host is {host}")?;
                match like {
                    Some(like) if !like_counts => {
                        write!(f, " (like {like}, which counts from systemd 257.13 on)")
                    }
                    _ => Ok(()),
                }
            }
            Mismatch::Level { field, says, host } => {
                write!(f, "it says {field}={says}, and the host has {host}")
            }
            Mismatch::NoVersion { host, level } => {
                write!(
                    f,
                    "it does not say which version of the host it is for (VERSION_ID=), and the host has {host}"
                )?;
                match level {
                    Some((field, level)) => write!(f, " ({field}={level})"),
                    None => Ok(()),
                }
            }
            Mismatch::Version { says, host } => {
                write!(f, "it says VERSION_ID={says}, and the host has {host}")
            }
            Mismatch::NamelessHost => write!(f, "the host does not say what it is (ID= in os-release)"),
            Mismatch::TooOld(version) => {
                write!(f, "extensions of /etc come with systemd 254, and the host has {version}")
            }
        }
    }
}

fn no_release(f: &mut fmt::Formatter<'_>, release: &Release, class: Class) -> fmt::Result {
    let directory = class.release_directory().display();
    match release {
        Release::Ambiguous { names } => {
            write!(
                f,
                "several files in {directory} could be meant, and none has its name: {}",
                names.join(", ")
            )
        }
        Release::Missing { name, others } => {
            write!(f, "it has no {directory}/extension-release.{name}")?;
            for (index, other) in others.iter().enumerate() {
                let before = if index == 0 { ", but" } else { "," };
                let why = match other.strict {
                    Strictness::Strict => " (which says that it is strict)",
                    _ => "",
                };
                write!(f, "{before} extension-release.{}{why}", other.name)?;
            }
            Ok(())
        }
        Release::Found { path, .. } => write!(f, "{}", path.display()),
    }
}

#[cfg(test)]
mod tests;
