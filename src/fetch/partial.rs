//! What came so far of a file, under a name of its digest (`.SHA256.part`), so that a later run goes on with it; and beside it
//! who sent it (`.SHA256.from`).

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FallocateFlags, unlinkat};
use rustix::io::Errno;

use super::source::Validator;
use crate::package::Identity;
use crate::sys::{Context, IoError, Lock, NewFile, Root, replace_volatile};

const PART: &str = ".part";
const FROM: &str = ".from";
/// No note of ours is longer.
const LARGEST_NOTE: u64 = 16 << 10;

/// A file that comes. Nobody else writes it meanwhile. It stays when this is given up, unless it is discarded.
#[derive(Debug)]
pub struct Partial {
    dir: Root,
    digest: Identity,
    file: File,
    length: u64,
}

impl Partial {
    /// Opens what there is of a file, or begins it; waits until nobody else writes it.
    pub fn open(dir: &Root, digest: Identity) -> Result<Partial, IoError> {
        let name = format!(".{digest}{PART}");
        // The file itself is what is locked: whoever waits for one that is complete in the end begins another one.
        let file = Lock::exclusive(dir, &name)?.into_file();
        let length = file.metadata().context("examine", dir.join(&name))?.len();
        Ok(Partial { dir: dir.try_clone()?, digest, file, length })
    }

    /// Begins the file that this one is without its compression, under a name of its own. What an earlier run has left of it is
    /// not gone on with: it is made anew in less time than this one takes to come.
    pub fn unpacked(&self) -> Result<Partial, IoError> {
        let name = Identity::of(format!("unpacked from {}", self.digest).as_bytes());
        let mut partial = Partial::open(&self.dir, name)?;
        partial.restart()?;
        Ok(partial)
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its path, for messages.
    pub fn path(&self) -> PathBuf {
        self.dir.join(self.name(PART))
    }

    /// The digest that it is to have in the end, by which it is named; of one that is [unpacked](Partial::unpacked), a name alone.
    pub fn digest(&self) -> Identity {
        self.digest
    }

    /// Gives it up for good.
    pub fn discard(self) -> Result<(), IoError> {
        remove(&self.dir, &self.name(PART))?;
        remove(&self.dir, &self.name(FROM))
    }

    /// A complete one as a new file that is to get this name. It stays locked until it has it.
    pub fn into_new_file(self, name: &OsStr) -> Result<NewFile, IoError> {
        remove(&self.dir, &self.name(FROM))?;
        let aside = self.name(PART);
        Ok(NewFile::adopt(self.dir, name, OsStr::new(&aside), self.file))
    }

    /// The partial files in a directory that nobody writes at the moment; where they are to go, they do.
    pub fn left(dir: &Root, remove_them: bool) -> Result<Vec<(PathBuf, u64)>, IoError> {
        let mut found = Vec::new();
        for entry in dir.entries()? {
            let Some(digest) = digest_in(&entry.name) else { continue };
            let name = format!(".{digest}{PART}");
            let size = match dir.lstat(&name)? {
                Some(stat) => u64::try_from(stat.st_size).unwrap_or_default(),
                // Of a note that was left, only that goes.
                None if remove_them => {
                    remove(dir, &format!(".{digest}{FROM}"))?;
                    continue;
                }
                None => continue,
            };
            if entry.name.as_encoded_bytes().ends_with(FROM.as_bytes()) {
                continue;
            }
            let Some(_lock) = Lock::try_exclusive(dir, &name)? else { continue };
            if remove_them {
                remove(dir, &name)?;
                remove(dir, &format!(".{digest}{FROM}"))?;
            }
            found.push((dir.join(&name), size));
        }
        Ok(found)
    }

    fn name(&self, suffix: &str) -> String {
        format!(".{}{suffix}", self.digest)
    }

    /// How many bytes came so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Who sent them.
    pub(super) fn from(&self) -> Option<Validator> {
        let text = self.dir.read(self.name(FROM), LARGEST_NOTE).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Notes who sends what comes now.
    pub(super) fn note(&self, from: &Validator) -> Result<(), IoError> {
        let text = serde_json::to_vec(from).expect("it has only strings");
        replace_volatile(&self.dir, &self.name(FROM), &text)
    }

    /// Has the file system keep room for all of it: where there is none, that is known before anything comes.
    pub(super) fn reserve(&self, size: u64) -> Result<(), IoError> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, size.max(1)) {
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                Err(error).context("make room for", self.path())
            }
            // Not all file systems can.
            _ => Ok(()),
        }
    }

    /// Writes what comes next.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), IoError> {
        self.file.write_all_at(bytes, self.length).context("write", self.path())?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Takes the file as somebody else has filled it.
    pub fn filled(&mut self) -> Result<(), IoError> {
        self.length = self.file.metadata().context("examine", self.path())?.len();
        Ok(())
    }

    /// Begins again.
    pub fn restart(&mut self) -> Result<(), IoError> {
        remove(&self.dir, &self.name(FROM))?;
        self.file.set_len(0).context("shorten", self.path())?;
        self.length = 0;
        Ok(())
    }
}

/// The digest in the name of a partial file, or of a note beside it.
fn digest_in(name: &OsStr) -> Option<Identity> {
    let name = name.to_str()?.strip_prefix('.')?;
    Identity::parse(name.strip_suffix(PART).or_else(|| name.strip_suffix(FROM))?)
}

fn remove(dir: &Root, name: &str) -> Result<(), IoError> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).context("remove", dir.join(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_stays_until_it_is_complete_or_discarded() {
        let top = tempfile::tempdir().expect("a directory");
        let dir = Root::open(top.path()).expect("ours");
        let digest = Identity::of(b"abc");
        let from =
            Validator { address: "https://x/a".to_owned(), etag: Some("\"1\"".to_owned()), modified: None };
        let mut partial = Partial::open(&dir, digest).expect("ours");
        partial.note(&from).expect("there is room");
        partial.append(b"a").expect("there is room");
        assert!(Partial::left(&dir, true).expect("ours").is_empty(), "one that is being written is not left");
        drop(partial);
        let mut again = Partial::open(&dir, digest).expect("ours");
        assert_eq!((again.length(), again.from()), (1, Some(from)));
        again.append(b"bc").expect("there is room");
        again.into_new_file(OsStr::new("abc")).expect("ours").place(0o644).expect("there is room");
        let names = || std::fs::read_dir(top.path()).expect("ours").count();
        assert_eq!(
            (std::fs::read(top.path().join("abc")).expect("it is there"), names()),
            (b"abc".to_vec(), 1)
        );
        drop(Partial::open(&dir, digest).expect("ours"));
        assert_eq!(Partial::left(&dir, false).expect("ours").len(), 1);
        assert_eq!((Partial::left(&dir, true).expect("ours").len(), names()), (1, 1));
        Partial::open(&dir, digest).expect("ours").discard().expect("ours");
        assert_eq!(names(), 1);
    }
}
