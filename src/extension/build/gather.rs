//! What a source brings: its files placed, their contents stored in the image, the rest said.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{Cursor, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::accounts::{Accounts, is_of_people, made_by_lines};
use super::error::Error;
use super::keep::{Keeping, Kept};
use super::manifest::LeftOut;
use super::placing::{FACTORY, Placed, Placing, Reason};
use super::recipe::Filter;
use super::remarks::{Oddity, Told};
use super::source::Source;
use crate::extension::Contents;
use crate::extension::elf::Elf;
use crate::image::squashfs::{Segment, StoredFile};
use crate::image::tree::Metadata;
use crate::package::archive::{Entry, Kind, Owner};
use crate::package::digest::{Algorithm, Digester, FileDigest};
use crate::package::header::FileFlags;
use crate::sys::{Root, Xattrs};

/// What all sources have in common.
#[derive(Debug)]
pub(super) struct Common<'a> {
    /// The files of the base.
    pub(super) base: &'a (dyn Contents + Send + Sync),
    /// Its users and groups.
    pub(super) accounts: Accounts,
    /// What is left out.
    pub(super) filter: Filter,
    /// Where large programs wait to be looked into.
    pub(super) work: &'a Root,
}

/// What one source brings.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Its files, in its order.
    pub(super) files: Vec<Brought>,
    /// What is not in the image, by the reason.
    pub(super) out: BTreeMap<Reason, LeftOut>,
    /// Its ELF files.
    pub(super) objects: Vec<(PathBuf, Elf)>,
    /// Owners that the base does not know, with a file of each; root has them.
    pub(super) strangers: BTreeMap<OsString, PathBuf>,
    /// Those who own defaults alone, likewise: where something makes them, they have those.
    pub(super) strangers_of_defaults: BTreeMap<OsString, PathBuf>,
    /// Users and groups that are made where the extension is.
    pub(super) made: BTreeSet<OsString>,
    /// What a person should know of its files.
    pub(super) odd: BTreeMap<Oddity, Told>,
    /// Directories of which the recipe leaves something out.
    pub(super) emptied: BTreeSet<PathBuf>,
    /// What became of each of a package's files, in its order.
    pub(super) fates: Vec<Fate>,
}

/// What became of a package's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    /// The path that the package has it by.
    pub(super) path: PathBuf,
    /// Whether it is in the extension, be it as a default.
    pub(super) is_there: bool,
    /// MD5 of its content, where a package of dpkg's is to be recorded with it and does not say it.
    pub(super) md5: Option<FileDigest>,
}

/// One file of any kind.
#[derive(Debug)]
pub(super) struct Brought {
    /// Where it is in the image.
    pub(super) path: PathBuf,
    /// Where it goes from there, when it is a default.
    pub(super) default_of: Option<PathBuf>,
    /// Whose it is.
    pub(super) metadata: Metadata,
    /// Names of user and group, where those are not the base's: they may be made before a default is copied.
    pub(super) owner: [Option<OsString>; 2],
    /// Whether a directory's metadata counts also where the base has it.
    pub(super) is_own: bool,
    /// What it is.
    pub(super) what: What,
}

impl Brought {
    /// A file whose owners are known.
    pub(super) fn plain(path: PathBuf, metadata: Metadata, what: What) -> Brought {
        Brought { path, default_of: None, metadata, owner: [None, None], is_own: false, what }
    }
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A directory.
    Directory,
    /// A regular file, with the digest of its contents.
    File(StoredFile, FileDigest),
    /// A symbolic link, with its target.
    Symlink(OsString),
    /// Another name of a file that came before.
    Hardlink(PathBuf),
}

/// Goes through a source, stores what goes into the image, and closes the segment.
pub(super) fn gather(source: &Source, common: &Common<'_>, mut segment: Segment) -> Result<Gathered, Error> {
    let mut gathering =
        Gathering { common, source, placing: Placing::over(common.base), gathered: Gathered::default() };
    source.visit(|entry, content| gathering.take(entry, content, &mut segment))?;
    segment.close()?;
    if let Source::Changes(changes) = source {
        gathering.gathered.made.extend(changes.made());
    }
    Ok(gathering.gathered)
}

struct Gathering<'a> {
    common: &'a Common<'a>,
    source: &'a Source,
    placing: Placing<'a>,
    gathered: Gathered,
}

impl Gathering<'_> {
    fn take(&mut self, entry: &Entry, content: &mut dyn Read, segment: &mut Segment) -> Result<(), Error> {
        if entry.is_root() {
            return Ok(());
        }
        let before = self.gathered.files.len();
        let md5 = self.bring(entry, content, segment)?;
        if matches!(self.source, Source::Package(_)) {
            let is_there = self.gathered.files.len() > before;
            self.gathered.fates.push(Fate { path: entry.path.clone(), is_there, md5 });
        }
        Ok(())
    }

    /// Places a file and stores it, where it is not left out. Says its MD5 where that has to be recorded.
    fn bring(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
        segment: &mut Segment,
    ) -> Result<Option<FileDigest>, Error> {
        let (path, default_of) = match self.placed(&entry.path, entry.kind == Kind::Directory) {
            Placed::At(path) => (path, None),
            Placed::Default(path) => (Path::new(FACTORY).join(&path), Some(path)),
            Placed::Out(reason) => {
                // A directory is told by what is in it.
                if entry.kind != Kind::Directory {
                    self.gathered.out.entry(reason).or_default().add(&entry.path);
                }
                return Ok(None);
            }
        };
        if self.common.filter.drops(&entry.path) {
            if entry.kind != Kind::Directory {
                self.gathered.out.entry(Reason::Dropped).or_default().add(&entry.path);
            }
            self.gathered.emptied.extend(path.parent().map(Path::to_owned));
            return Ok(None);
        }
        let mut recorded = Recorded::of(self.source, entry, content);
        let what = self.what(entry, &path, &mut recorded, segment)?;
        let md5 = recorded.finish();
        let (metadata, owner) = self.metadata(entry, default_of.is_some());
        self.note_oddities(entry, &path, default_of.is_some());
        let is_own = matches!(self.source, Source::Changes(changes) if changes.is_all_its_own(&entry.path));
        self.gathered.files.push(Brought { path, default_of, metadata, owner, is_own, what });
        Ok(md5)
    }

    fn placed(&mut self, path: &Path, is_directory: bool) -> Placed {
        match self.source {
            // What has no place there is not given at all, but hard links may lead to it.
            Source::Changes(changes) => changes.placed(path).cloned().unwrap_or(Placed::Out(Reason::Local)),
            _ if is_directory => self.placing.place_directory(path),
            _ => self.placing.place(path),
        }
    }

    /// What an entry becomes.
    fn what(
        &mut self,
        entry: &Entry,
        path: &Path,
        content: &mut dyn Read,
        segment: &mut Segment,
    ) -> Result<What, Error> {
        Ok(match &entry.kind {
            Kind::Directory => What::Directory,
            Kind::Symlink(target) => What::Symlink(target.clone()),
            Kind::Hardlink(to) => match self.placed(to, false) {
                Placed::At(to) => What::Hardlink(to),
                Placed::Default(to) => What::Hardlink(Path::new(FACTORY).join(to)),
                Placed::Out(_) => {
                    return Err(self.impossible(entry, "is another name of a file that is left out"));
                }
            },
            Kind::File => self.store(entry, path, content, segment)?,
            Kind::CharacterDevice(_) | Kind::BlockDevice(_) => {
                return Err(self.impossible(entry, "is a device node, which an extension must not have"));
            }
            Kind::Fifo | Kind::Socket => {
                return Err(
                    self.impossible(entry, "is a pipe or a socket, which is nothing to be shared by image")
                );
            }
        })
    }

    fn impossible(&self, entry: &Entry, why: &'static str) -> Error {
        Error::Impossible { from: self.source.name(), path: entry.path.clone(), why }
    }

    fn store(
        &mut self,
        entry: &Entry,
        path: &Path,
        content: &mut dyn Read,
        segment: &mut Segment,
    ) -> Result<What, Error> {
        let mut beginning = Vec::new();
        content
            .take(4)
            .read_to_end(&mut beginning)
            .map_err(|error| self.source.unreadable(&entry.path, error))?;
        let is_elf = Elf::is_one(&beginning);
        let whole = Cursor::new(beginning).chain(content);
        let makes_users = path.parent() == Some(Path::new("usr/lib/sysusers.d"));
        let mut keeping = Keeping::new(whole, is_elf || makes_users, entry.size, self.common.work)?;
        let stored = segment.store(&mut keeping, &entry.path)?;
        let (digest, kept) = keeping.finish();
        match kept {
            Some(Kept::Memory(text)) if makes_users => self.gathered.made.extend(made_by_lines(&text)),
            Some(kept) => {
                // What is damaged is told by who judges the fit.
                if let Ok(elf) = Elf::read(&kept) {
                    self.gathered.objects.push((path.to_owned(), elf));
                }
            }
            None => {}
        }
        Ok(What::File(stored, digest))
    }

    fn metadata(&mut self, entry: &Entry, is_default: bool) -> (Metadata, [Option<OsString>; 2]) {
        let accounts = &self.common.accounts;
        let name = |owner: &Owner| owner.name.clone();
        let uid = accounts.user(name(&entry.user).as_deref(), entry.user.id);
        let gid = accounts.group(name(&entry.group).as_deref(), entry.group.id);
        let mut names = [None, None];
        for (place, (number, owner)) in [(uid, &entry.user), (gid, &entry.group)].into_iter().enumerate() {
            let name = owner.name.clone().unwrap_or_default();
            if number.is_none() {
                let strangers = if is_default {
                    &mut self.gathered.strangers_of_defaults
                } else {
                    &mut self.gathered.strangers
                };
                strangers.entry(name.clone()).or_insert_with(|| entry.path.clone());
            }
            names[place] = owner.name.is_some().then_some(name).filter(|name| !accounts.know(name)[place]);
        }
        // Privilege that was meant for another is not given to root's.
        let is_known = uid.is_some() && gid.is_some();
        let mode = if is_known { entry.mode } else { entry.mode & !0o6000 };
        let (uid, gid) = (uid.unwrap_or(0), gid.unwrap_or(0));
        if let Source::Changes(changes) = self.source {
            let (user, group) = changes.owners(uid, gid);
            names = [user.cloned(), group.cloned()];
        }
        let xattrs = entry.xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone()));
        let xattrs = Xattrs(xattrs.filter(|(name, _)| !Oddity::is_access_list(name)).collect());
        (Metadata { mode: mode as u16, uid, gid, mtime: entry.mtime, xattrs }, names)
    }

    /// Notes what a person should know of a file of a tree, or of an overlay: packages are made to be given to others.
    fn note_oddities(&mut self, entry: &Entry, path: &Path, is_default: bool) {
        if matches!(self.source, Source::Package(_)) {
            return;
        }
        let of_people = |owner: &Owner| owner.id.is_some_and(is_of_people);
        let is_secret = is_default && entry.kind == Kind::File && entry.mode & 0o044 == 0 && entry.size > 0;
        let odd = [
            (Oddity::OfPeople, of_people(&entry.user) || of_people(&entry.group)),
            (
                Oddity::AccessList,
                entry.xattrs.iter().any(|(name, _)| Oddity::is_access_list(name.as_bytes())),
            ),
            (Oddity::Secret, is_secret),
        ];
        for (oddity, _) in odd.into_iter().filter(|(_, is_so)| *is_so) {
            self.gathered.odd.entry(oddity).or_insert_with(|| Told::first(path)).count += 1;
        }
    }
}

/// Content of which the MD5 is made on its way, where a package of dpkg's does not say it and it is to be recorded: that of conffiles,
/// and of all files where the package says none.
struct Recorded<'a> {
    content: &'a mut dyn Read,
    digester: Option<Digester>,
}

impl<'a> Recorded<'a> {
    fn of(source: &Source, entry: &Entry, content: &'a mut dyn Read) -> Recorded<'a> {
        let is_wanted = match source.deb() {
            Some(deb) => {
                let is_recorded = entry.flags.contains(FileFlags::CONFIG) || !deb.has_md5sums();
                entry.kind == Kind::File && is_recorded && deb.md5(&entry.path).is_none()
            }
            None => false,
        };
        Recorded { content, digester: is_wanted.then(|| Digester::new(Algorithm::Md5)) }
    }

    fn finish(self) -> Option<FileDigest> {
        self.digester.map(Digester::finish)
    }
}

impl Read for Recorded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.content.read(buffer)?;
        if let Some(digester) = &mut self.digester {
            digester.update(&buffer[..length]);
        }
        Ok(length)
    }
}
