//! Debian packages (deb(5)): an `ar` of `debian-binary`, `control.tar` and `data.tar`, in this order.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::decoder::{Compression, Decoded, Stored};
use super::delivery::{Delivery, Stop};
use super::entry::{Entry, Kind};
use super::error::{Fault, os_string};
use super::scripts::sets_alternatives;
use super::{ar, paths, tar};
use crate::package::DebianVersion;
use crate::package::deb822::{Document, Stanza};
use crate::package::debian_relation::Relation;
use crate::package::digest::{Algorithm, FileDigest};
use crate::package::header::FileFlags;

/// The most that a control archive unpacks to. The largest have a megabyte or two, nearly all of it digests.
const LARGEST_CONTROL: u64 = 64 * 1024 * 1024;

/// Scripts that dpkg or debconf runs, and what activates those of others.
const SCRIPTS: &[&str] = &["config", "postinst", "postrm", "preinst", "prerm", "triggers"];

/// What the control archive of a Debian package says.
#[derive(Debug, Clone)]
pub struct Deb {
    stanza: Stanza,
    version: DebianVersion,
    conffiles: BTreeSet<Vec<u8>>,
    md5sums: HashMap<Vec<u8>, FileDigest>,
    files: BTreeSet<String>,
    sets_alternatives: bool,
    data: Part,
}

/// A member of the outer archive that is an archive.
#[derive(Debug, Clone, Copy)]
struct Part {
    begin: u64,
    end: u64,
    compression: Compression,
}

impl Deb {
    /// The control file.
    pub fn stanza(&self) -> &Stanza {
        &self.stanza
    }

    /// The version.
    pub fn version(&self) -> &DebianVersion {
        &self.version
    }

    /// What a field of relations says (`Depends`, `Provides`, …): all of the outer list, one of each inner list.
    pub fn relations(&self, field: &str) -> Result<Vec<Vec<Relation>>, crate::package::Error> {
        Relation::parse_all(&String::from_utf8_lossy(self.stanza.get(field).unwrap_or_default()))
    }

    /// The conffiles, as paths of entries.
    pub fn conffiles(&self) -> impl Iterator<Item = PathBuf> {
        self.conffiles.iter().map(|path| os_string(path).into())
    }

    /// Whether it says digests of its files at all. dpkg makes them where it does not.
    pub fn has_md5sums(&self) -> bool {
        !self.md5sums.is_empty()
    }

    /// The MD5 that its file `md5sums` has for a path of an entry. Conffiles seldom have one there, links and directories never.
    pub fn md5(&self, path: &Path) -> Option<FileDigest> {
        self.md5sums.get(path.as_os_str().as_bytes()).copied()
    }

    /// Names of all files in the control archive.
    pub fn control_files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Those of them that run at installation or removal, or have other packages' scripts run.
    pub fn scripts(&self) -> impl Iterator<Item = &str> {
        self.control_files().filter(|name| SCRIPTS.contains(name))
    }

    /// Whether its script sets alternatives as it is configured.
    pub(super) fn sets_alternatives(&self) -> bool {
        self.sets_alternatives
    }

    pub(super) fn read(file: &File, length: u64) -> Result<Deb, Fault> {
        let mut members = ar::Reader::new(file, length);
        check_format(file, &members.next()?.ok_or(Fault::Truncated("ar archive"))?)?;
        let control = find_part(&mut members, b"control.tar")?;
        let data = find_part(&mut members, b"data.tar")?;
        // dpkg does not look at what follows: signatures of others are there.
        read_control(file, control, data)
    }

    /// Gives all entries of the data archive.
    pub(super) fn walk(&self, file: &File, delivery: &mut Delivery<'_>) -> Result<(), Stop> {
        let decoded = self.data.decoded(file, delivery.limits().bytes)?;
        let mut archive = tar::Reader::new(BufReader::with_capacity(64 * 1024, decoded));
        while let Some(member) = archive.next()? {
            let entry = self.entry(member)?;
            let digest = self.md5(&entry.path);
            delivery.give(&entry, &mut archive.content(), digest)?;
        }
        archive.into_inner().into_inner().finish()?;
        Ok(())
    }

    fn entry(&self, member: tar::Member) -> Result<Entry, Fault> {
        let path = paths::clean(&member.path)?;
        let kind = match member.kind {
            Kind::Hardlink(target) => {
                Kind::Hardlink(os_string(&paths::clean(target.as_os_str().as_bytes())?).into())
            }
            kind => kind,
        };
        let is_conffile = self.conffiles.contains(&path);
        Ok(Entry {
            path: os_string(&path).into(),
            kind,
            mode: member.mode,
            user: member.user,
            group: member.group,
            mtime: member.mtime,
            size: member.size,
            xattrs: member.xattrs,
            flags: if is_conffile { FileFlags::CONFIG } else { FileFlags::default() },
        })
    }
}

impl Part {
    fn decoded(self, file: &File, limit: u64) -> Result<Decoded<'_>, Fault> {
        Decoded::new(Stored::new(file, self.begin, self.end), self.compression, limit)
    }
}

/// `debian-binary` says version 2 of the format, whatever comes behind the dot.
fn check_format(file: &File, member: &ar::Member) -> Result<(), Fault> {
    if member.name != b"debian-binary" {
        return Err(Fault::malformed("ar archive", "its first member is not 'debian-binary'"));
    }
    let mut text = Vec::new();
    let stored = Stored::new(file, member.begin, member.end);
    stored.take(64).read_to_end(&mut text).map_err(|error| Fault::reading("ar archive", error))?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if text.contains(&b'\n') && line.starts_with(b"2.") && line[2..].iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    Err(Fault::Unknown { what: "format", name: line.escape_ascii().to_string() })
}

/// The next member, which must be this archive. Members whose names begin with `_` are none of dpkg's business.
fn find_part(members: &mut ar::Reader<'_>, name: &[u8]) -> Result<Part, Fault> {
    loop {
        let member =
            members.next()?.ok_or(Fault::malformed("ar archive", "it lacks control.tar or data.tar"))?;
        if member.name.starts_with(b"_") {
            continue;
        }
        let Some(suffix) = member.name.strip_prefix(name) else {
            return Err(Fault::malformed(
                "ar archive",
                "its members are not control.tar and data.tar in this order",
            ));
        };
        let compression = Compression::from_suffix(suffix)
            .ok_or_else(|| Fault::Unknown { what: "compression", name: suffix.escape_ascii().to_string() })?;
        return Ok(Part { begin: member.begin, end: member.end, compression });
    }
}

fn read_control(file: &File, control: Part, data: Part) -> Result<Deb, Fault> {
    let mut archive = tar::Reader::new(control.decoded(file, LARGEST_CONTROL)?);
    let mut texts: HashMap<String, Vec<u8>> = HashMap::new();
    while let Some(member) = archive.next()? {
        let path = paths::clean(&member.path)?;
        // All of dpkg's are at the top.
        let Ok(name) = String::from_utf8(path) else { continue };
        if member.kind != Kind::File || name.contains('/') {
            continue;
        }
        let mut text = Vec::new();
        if matches!(&*name, "control" | "conffiles" | "md5sums" | "postinst") {
            let read = archive.content().read_to_end(&mut text);
            read.map_err(|error| Fault::reading("control archive", error))?;
        }
        texts.insert(name, text);
    }
    archive.into_inner().finish()?;
    let text = |name: &str| texts.get(name).map(Vec::as_slice);
    let stanza =
        stanza(text("control").ok_or(Fault::malformed("control archive", "it has no file 'control'"))?)?;
    let field = |name| stanza.text(name).filter(|value| !value.is_empty()).ok_or(Fault::Field(name));
    for name in ["Package", "Architecture"] {
        field(name)?;
    }
    Ok(Deb {
        version: DebianVersion::parse(field("Version")?).map_err(Fault::Control)?,
        conffiles: conffiles(text("conffiles").unwrap_or_default())?,
        md5sums: md5sums(text("md5sums").unwrap_or_default())?,
        sets_alternatives: sets_alternatives(text("postinst").unwrap_or_default()),
        files: texts.into_keys().collect(),
        stanza,
        data,
    })
}

fn stanza(text: &[u8]) -> Result<Stanza, Fault> {
    let mut stanzas = Document::parse(text).map_err(Fault::Control)?.stanzas;
    match (stanzas.pop(), stanzas.is_empty()) {
        (Some(stanza), true) => Ok(stanza),
        _ => Err(Fault::malformed("control archive", "its file 'control' is not one stanza")),
    }
}

/// One absolute path on each line. Behind a flag (`remove-on-upgrade`) it is one that the package has no more.
fn conffiles(text: &[u8]) -> Result<BTreeSet<Vec<u8>>, Fault> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    lines.filter(|line| line.starts_with(b"/")).map(paths::clean).collect()
}

/// As md5sum(1) writes them.
fn md5sums(text: &[u8]) -> Result<HashMap<Vec<u8>, FileDigest>, Fault> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let parse = |line: &[u8]| {
        let (digits, rest) = line.split_at_checked(Algorithm::Md5.length() * 2)?;
        let path = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
        Some((paths::clean(path).ok()?, FileDigest::parse(Algorithm::Md5, digits)?))
    };
    let wrong = || Fault::malformed("control archive", "a line of its file 'md5sums' makes no sense");
    lines.map(|line| parse(line).ok_or_else(wrong)).collect()
}
