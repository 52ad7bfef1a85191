//! What becomes of a changed file, by where it is.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::units;
use crate::extension::build::placing::{OS_RELEASE, PACKAGE_MANAGERS};
use crate::sys::FileKind;

/// Why something of an overlay is not in an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Untaken {
    /// It is the base's, and was removed.
    Removed,
    /// A setting that the base has, too: changed, or removed.
    Edited,
    /// Data in /var that the base has, too.
    Data,
    /// A user or group that the base has, too: changed, or removed.
    Account,
    /// A user or group of people.
    Person,
    /// Out of an extension's reach.
    Local,
    /// A device, pipe or socket.
    Special,
    /// An os-release.
    OsRelease,
    /// It is this machine's alone, or its people's.
    Private,
    /// The package database, and what else package managers keep.
    PackageManager,
    /// What programs make again by themselves.
    Cache,
    /// Logs, and copies that were made of old settings.
    Log,
    /// What is there while a system runs.
    RunTime,
    /// What says which alternative is chosen: links lead there without it.
    Alternative,
}

/// How much it matters that something is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// The host with the extension is not as the overlay is.
    Lost,
    /// It must not be there.
    Never,
    /// Nobody misses it.
    NoLoss,
}

impl Untaken {
    /// How much it matters.
    pub fn weight(self) -> Weight {
        match self {
            Untaken::Removed | Untaken::Edited | Untaken::Data | Untaken::Account | Untaken::Person => {
                Weight::Lost
            }
            Untaken::Local | Untaken::Special => Weight::Lost,
            Untaken::OsRelease | Untaken::Private => Weight::Never,
            Untaken::PackageManager
            | Untaken::Cache
            | Untaken::Log
            | Untaken::RunTime
            | Untaken::Alternative => Weight::NoLoss,
        }
    }

    const ALL: [Untaken; 14] = [
        Untaken::Removed,
        Untaken::Edited,
        Untaken::Data,
        Untaken::Account,
        Untaken::Person,
        Untaken::Local,
        Untaken::Special,
        Untaken::OsRelease,
        Untaken::Private,
        Untaken::PackageManager,
        Untaken::Cache,
        Untaken::Log,
        Untaken::RunTime,
        Untaken::Alternative,
    ];

    /// A word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Untaken::Removed => "removed",
            Untaken::Edited => "edited",
            Untaken::Data => "data",
            Untaken::Account => "account",
            Untaken::Person => "person",
            Untaken::Local => "out-of-reach",
            Untaken::Special => "special",
            Untaken::OsRelease => "os-release",
            Untaken::Private => "private",
            Untaken::PackageManager => "package-manager",
            Untaken::Cache => "cache",
            Untaken::Log => "log",
            Untaken::RunTime => "run-time",
            Untaken::Alternative => "alternative",
        }
    }

    /// The one with a word.
    pub fn of_word(word: &str) -> Option<Untaken> {
        Untaken::ALL.into_iter().find(|why| why.word() == word)
    }

    /// In words, of several.
    pub fn words(self) -> &'static str {
        match self {
            Untaken::Removed => "removed files of the base, which an extension cannot remove",
            Untaken::Edited => "changed or removed settings (/etc) that the base has: the host's stay",
            Untaken::Data => "changed or removed data (/var) that the base has: the host's stays",
            Untaken::Account => "changed or removed users and groups that the base has: the host's stay",
            Untaken::Person => "users and groups of people: they are made on the host",
            Untaken::Local => "places that an extension cannot reach: it is laid over /usr and /opt alone",
            Untaken::Special => "devices, pipes and sockets, which an extension must not have",
            Untaken::OsRelease => "an os-release, with which systemd takes an image for a whole system",
            Untaken::Private => {
                "what is this machine's or its people's alone: keys, passwords, names, /root, /home"
            }
            Untaken::PackageManager => "package managers' own data, which would hide the base's",
            Untaken::Cache => "caches, which are made again",
            Untaken::Log => "logs and backups",
            Untaken::RunTime => "places that are filled while a system runs",
            Untaken::Alternative => "links of alternatives: those in /usr lead straight to what was chosen",
        }
    }
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// It goes in as it is.
    In,
    /// It goes in as a default.
    Default,
    /// It is a unit, or belongs to one: /usr has a place for it.
    Unit,
    /// It stays out.
    Out(Untaken),
    /// It stays out, which is told of others with it, or of what is in it.
    Quiet,
}

/// Below these, files are what the word after them says, wherever else rules would put them.
const KNOWN: &[(&str, Untaken)] = &[
    ("etc/.pwd.lock", Untaken::RunTime),
    ("etc/.updated", Untaken::RunTime),
    ("etc/adjtime", Untaken::RunTime),
    ("etc/group-", Untaken::Log),
    ("etc/gshadow-", Untaken::Log),
    ("etc/passwd-", Untaken::Log),
    ("etc/shadow-", Untaken::Log),
    ("etc/subgid-", Untaken::Log),
    ("etc/subuid-", Untaken::Log),
    ("etc/cryptsetup-keys.d", Untaken::Private),
    ("etc/gshadow", Untaken::Private),
    ("etc/hostname", Untaken::Private),
    ("etc/krb5.keytab", Untaken::Private),
    ("etc/ld.so.cache", Untaken::Cache),
    ("etc/machine-id", Untaken::Private),
    ("etc/mtab", Untaken::RunTime),
    ("etc/NetworkManager/system-connections", Untaken::Private),
    ("etc/pki/tls/private", Untaken::Private),
    ("etc/resolv.conf", Untaken::RunTime),
    ("etc/shadow", Untaken::Private),
    ("etc/ssl/private", Untaken::Private),
    ("etc/subgid", Untaken::Private),
    ("etc/subuid", Untaken::Private),
    ("etc/udev/hwdb.bin", Untaken::Cache),
    ("etc/wireguard", Untaken::Private),
    ("home", Untaken::Private),
    ("root", Untaken::Private),
    ("var/backups", Untaken::Log),
    ("var/cache", Untaken::Cache),
    ("var/home", Untaken::Private),
    ("var/lib/PackageKit", Untaken::PackageManager),
    ("var/lib/alternatives", Untaken::PackageManager),
    ("var/lib/dbus/machine-id", Untaken::Private),
    ("var/lib/systemd", Untaken::RunTime),
    ("var/lib/ucf", Untaken::PackageManager),
    ("var/lock", Untaken::RunTime),
    ("var/log", Untaken::Log),
    ("var/mail", Untaken::Private),
    ("var/mnt", Untaken::Local),
    ("var/opt", Untaken::Local),
    ("var/roothome", Untaken::Private),
    ("var/run", Untaken::RunTime),
    ("var/spool/cron/crontabs", Untaken::Private),
    ("var/spool/mail", Untaken::Private),
    ("var/srv", Untaken::Local),
    ("var/tmp", Untaken::RunTime),
    ("var/usrlocal", Untaken::Local),
];

/// In these, programs expect a directory of their own, though what is in it is not kept.
const HAVE_DIRECTORIES: &[&str] = &["var/cache", "var/log"];

/// Directories of caches and logs that are there anyhow, or made with what is in them.
const MADE_ANYHOW: &[&str] = &[
    "var/cache/debconf",
    "var/cache/fontconfig",
    "var/cache/ldconfig",
    "var/cache/man",
    "var/log/apt",
    "var/log/journal",
    "var/log/zypp",
];

/// What programs make from files of many packages in /usr: with all that the overlay sees in them.
const INDEXES: &[&str] = &[
    "usr/lib/udev/hwdb.bin",
    "usr/share/applications/mimeinfo.cache",
    "usr/share/glib-2.0/schemas/gschemas.compiled",
    "usr/share/icons/hicolor/icon-theme.cache",
    "usr/share/info/dir",
    "usr/share/mime/mime.cache",
];

/// Where dpkg's and rpm's alternatives keep what is chosen.
pub(super) const ALTERNATIVES: &str = "etc/alternatives";

/// Whether a file is made by programs from what many packages bring.
pub(in crate::extension::build) fn is_index(path: &Path) -> bool {
    INDEXES.iter().any(|index| path == Path::new(index))
}

/// What becomes of a file that is there, by its path from the root without a slash before; whether it is new, which the base has
/// nothing at its path of, matters where the host keeps its own.
pub(super) fn rule(path: &Path, kind: FileKind, is_new: bool) -> Rule {
    if let Some(why) = known(path) {
        let is_expected = is_new && kind == FileKind::Directory && expects_directory(path);
        return match kind {
            FileKind::Directory if is_expected => Rule::Default,
            FileKind::Directory => Rule::Quiet,
            _ => Rule::Out(why),
        };
    }
    let special = !matches!(kind, FileKind::File | FileKind::Directory | FileKind::Symlink);
    let rule = match top(path) {
        b"usr" | b"opt" => Rule::In,
        b"etc" if matches!(path.as_os_str().as_bytes(), b"etc/passwd" | b"etc/group") => return Rule::Quiet,
        b"etc" if !is_new => Rule::Out(Untaken::Edited),
        b"etc" if units::place(path).is_some() => Rule::Unit,
        b"var" if !is_new => Rule::Out(Untaken::Data),
        b"etc" | b"var" => Rule::Default,
        _ => Rule::Out(Untaken::Local),
    };
    match rule {
        Rule::In | Rule::Default | Rule::Unit if special => Rule::Out(Untaken::Special),
        Rule::Out(_) if kind == FileKind::Directory => Rule::Quiet,
        other => other,
    }
}

/// Why a removed file of the base is told.
pub(super) fn removed(path: &Path) -> Untaken {
    let is_made_again = is_index(path)
        || path.extension().is_some_and(|ending| ending == "pyc")
        || path.file_name().is_some_and(|name| name == "__pycache__");
    match known(path) {
        Some(why) => why,
        None if is_made_again => Untaken::Cache,
        None => match top(path) {
            b"usr" | b"opt" => Untaken::Removed,
            b"etc" => Untaken::Edited,
            b"var" => Untaken::Data,
            _ => Untaken::Local,
        },
    }
}

fn known(path: &Path) -> Option<Untaken> {
    if PACKAGE_MANAGERS.iter().any(|place| path.starts_with(place)) {
        return Some(Untaken::PackageManager);
    }
    if OS_RELEASE.iter().any(|name| path == Path::new(name)) {
        return Some(Untaken::OsRelease);
    }
    if matches!(top(path), b"run" | b"tmp" | b"dev" | b"proc" | b"sys") {
        return Some(Untaken::RunTime);
    }
    let is_host_key = path.parent() == Some(Path::new("etc/ssh"))
        && path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ssh_host_"));
    if is_host_key {
        return Some(Untaken::Private);
    }
    KNOWN.iter().find(|(place, _)| path.starts_with(place)).map(|(_, why)| *why)
}

fn expects_directory(path: &Path) -> bool {
    let is_child = HAVE_DIRECTORIES.iter().any(|above| path.parent() == Some(Path::new(above)));
    let is_made = MADE_ANYHOW.iter().chain(PACKAGE_MANAGERS).any(|made| path == Path::new(made));
    is_child && !is_made
}

fn top(path: &Path) -> &[u8] {
    match path.components().next() {
        Some(Component::Normal(name)) => name.as_bytes(),
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_rule() {
        use FileKind::{Directory, Fifo, File, Symlink};
        for (path, kind, is_new, expected) in [
            ("usr/bin/x", File, true, Rule::In),
            ("usr/bin/x", File, false, Rule::In),
            ("opt/x", Directory, true, Rule::In),
            ("usr/lib/x/pipe", Fifo, true, Rule::Out(Untaken::Special)),
            ("usr/lib/os-release", File, false, Rule::Out(Untaken::OsRelease)),
            ("usr/lib/sysimage/rpm/rpmdb.sqlite", File, false, Rule::Out(Untaken::PackageManager)),
            ("etc/x.conf", File, true, Rule::Default),
            ("etc/x.conf", File, false, Rule::Out(Untaken::Edited)),
            ("etc/x", Directory, false, Rule::Quiet),
            ("etc/passwd", File, false, Rule::Quiet),
            ("etc/shadow", File, false, Rule::Out(Untaken::Private)),
            ("etc/ssh/ssh_host_rsa_key.pub", File, true, Rule::Out(Untaken::Private)),
            ("etc/ssh/ssh_config", File, true, Rule::Default),
            ("etc/ld.so.cache", File, false, Rule::Out(Untaken::Cache)),
            ("etc/systemd/system/multi-user.target.wants/x.service", Symlink, true, Rule::Unit),
            ("var/lib/x", Directory, true, Rule::Default),
            ("var/lib/x/data", File, false, Rule::Out(Untaken::Data)),
            ("var/lib/dpkg/status", File, false, Rule::Out(Untaken::PackageManager)),
            ("var/cache/x", Directory, true, Rule::Default),
            ("var/cache/x", Directory, false, Rule::Quiet),
            ("var/cache/x/file", File, true, Rule::Out(Untaken::Cache)),
            ("var/cache/man", Directory, true, Rule::Quiet),
            ("var/log/x.log", File, true, Rule::Out(Untaken::Log)),
            ("root/.bashrc", File, true, Rule::Out(Untaken::Private)),
            ("srv/www/x", File, true, Rule::Out(Untaken::Local)),
            ("srv/www", Directory, true, Rule::Quiet),
            ("tmp/x", File, true, Rule::Out(Untaken::RunTime)),
        ] {
            assert_eq!(rule(Path::new(path), kind, is_new), expected, "{path}");
        }
    }

    #[test]
    fn what_is_removed_is_a_loss_or_none() {
        for (path, expected) in [
            ("usr/bin/x", Untaken::Removed),
            ("usr/lib/python3/x/__pycache__", Untaken::Cache),
            ("usr/share/info/dir", Untaken::Cache),
            ("etc/x", Untaken::Edited),
            ("var/lib/x", Untaken::Data),
            ("var/lib/dpkg/info/x.list", Untaken::PackageManager),
            ("boot/x", Untaken::Local),
        ] {
            assert_eq!(removed(Path::new(path)), expected, "{path}");
        }
    }
}
