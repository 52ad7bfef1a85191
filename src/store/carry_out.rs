//! Carrying out what is to be changed in a store, in the order that its head comment promises.

use std::ffi::OsStr;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::Error;
use super::best_before;
use super::directory::{LARGEST_INDEX, Store, sums_of};
use super::export;
use super::index::{INDEX, Signed};
use super::openpgp::{Signer, armoured};
use super::signing::{KEYRING, KEYS, SIGNATURES};
use super::sums::SUMS;
use crate::sys::{Context, NewFile, replace_public, sync_dir};

/// Files of a store are for everybody.
const MODE: u32 = 0o644;

impl Store {
    /// Carries all out that was to be changed; `false` where that is nothing, and nothing was left undone.
    pub fn finish(mut self) -> Result<bool, Error> {
        let now = SystemTime::now();
        let sums = sums_of(&self.index).to_text();
        let is_whole = !self.is_changed
            && self.new.is_empty()
            && self.dir.read(SUMS, LARGEST_INDEX).is_ok_and(|text| text == sums.as_bytes())
            && self.is_signed(sums.as_bytes(), now);
        if is_whole {
            export::refresh(&self.dir, &self.index)?;
            return Ok(false);
        }
        self.carry_out(now)?;
        Ok(true)
    }

    pub(super) fn carry_out(&mut self, now: SystemTime) -> Result<(), Error> {
        if self.is_changed || !self.index.keys.is_empty() {
            best_before::renew(&mut self.index, now)?;
            self.index.serial = self.index.serial.saturating_add(1);
            self.index.made = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        }
        // All that can be refused is refused before anything has its name.
        let index = self.signed_index(now)?;
        let lists = self.new_lists(now)?;
        if let Some(day) = &self.index.best_before {
            self.new.push(NewFile::create(&self.dir, OsStr::new(&best_before::file_of(day)))?);
        }
        for file in self.new.drain(..) {
            file.place(MODE)?;
        }
        self.publish_keys()?;
        replace_public(&self.dir, INDEX, MODE, &index.to_text())?;
        self.swap_lists(lists)?;
        let gone: Vec<String> = self.gone.drain(..).collect();
        gone.iter().try_for_each(|name| self.unlink(name))?;
        self.sweep()?;
        export::refresh(&self.dir, &self.index)
    }

    /// The index with a signature of each key.
    fn signed_index(&self, now: SystemTime) -> Result<Signed, Error> {
        let bytes = self.index.to_bytes();
        let sign = |signer: &dyn Signer| {
            let signed = signer.sign_armoured(&bytes, now);
            signed.map_err(|source| Error::Sign { key: signer.fingerprint(), source })
        };
        let signatures = self.find_signers()?.into_iter().map(sign).collect::<Result<_, _>>()?;
        Ok(Signed { index: self.index.clone(), bytes, signatures })
    }

    /// `SHA256SUMS` and its signatures, ready to take their places.
    ///
    /// They are all by the first key alone: gpg, which systemd asks, takes no file with a signature by a key that it does not
    /// know, however good another one in it is.
    fn new_lists(&self, now: SystemTime) -> Result<Vec<NewFile>, Error> {
        let sums = sums_of(&self.index).to_text();
        let mut contents = Vec::new();
        if let Some(signer) = self.find_signers()?.first() {
            let failed = |source| Error::Sign { key: signer.fingerprint(), source };
            let signature = signer.sign(sums.as_bytes(), now).map_err(failed)?;
            for (name, is_armoured) in SIGNATURES {
                let armour = || super::openpgp::armoured_signature(&signature).into_bytes();
                contents.push((name, if is_armoured { armour() } else { signature.clone() }));
            }
        }
        // After the first signature: `swap_lists` says why.
        contents.insert(contents.len().min(1), (SUMS, sums.into_bytes()));
        let ready = |(name, content): (&str, Vec<u8>)| {
            let mut file = NewFile::create(&self.dir, OsStr::new(name))?;
            file.file().write_all(&content).context("write", file.path())?;
            file.make_ready(MODE)?;
            Ok(file)
        };
        contents.into_iter().map(ready).collect()
    }

    /// Puts the list and its signatures into their places: two files cannot be replaced at once, so a reader can have one of either
    /// kind. What can be done is to let nothing come between but the renames themselves, and to have as few of them as can be between
    /// the list and what is read with it. systemd-pull asks for the list and a signature at once, and gets them in either order; so
    /// the list takes its place between the two signatures that are asked for first, by systemd up to 257 and from 258 on, and
    /// the others follow. `index.json` has its signatures in itself, and none of this.
    fn swap_lists(&self, lists: Vec<NewFile>) -> Result<(), Error> {
        for file in lists {
            file.swap()?;
        }
        if self.index.keys.is_empty() {
            let names = SIGNATURES.iter().map(|(name, _)| *name).chain([KEYS, KEYRING]);
            names.into_iter().try_for_each(|name| self.unlink(name))?;
        }
        Ok(sync_dir(&self.dir)?)
    }

    /// The certificates of all keys, as text and as a keyring.
    fn publish_keys(&self) -> Result<(), Error> {
        let signers = self.find_signers()?;
        let text: String = signers.iter().map(|signer| armoured(signer.certificate())).collect();
        let ring: Vec<u8> = signers.iter().flat_map(|signer| signer.certificate()).copied().collect();
        for (name, content) in [(KEYS, text.as_bytes()), (KEYRING, &ring)] {
            let is_there = || self.dir.read(name, LARGEST_INDEX).is_ok_and(|there| there == content);
            if !signers.is_empty() && !is_there() {
                replace_public(&self.dir, name, MODE, content)?;
            }
        }
        Ok(())
    }

    /// Removes what somebody who was killed has left aside (nobody else writes here now), and days before which it is best no more.
    fn sweep(&self) -> Result<(), Error> {
        let day = self.index.best_before.as_deref().map(best_before::file_of);
        for entry in self.dir.entries()? {
            let name = entry.name.to_string_lossy();
            let is_day = name.starts_with(best_before::PREFIX) && Some(&*name) != day.as_deref();
            if is_day || name.starts_with('.') && name.ends_with(".new") {
                self.unlink(&name)?;
            }
        }
        Ok(())
    }

    fn unlink(&self, name: &str) -> Result<(), Error> {
        match unlinkat(&self.dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Ok(Err(error).context("remove", self.dir.join(name))?),
        }
    }
}
