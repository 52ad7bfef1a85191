//! A web server that takes files: WebDAV (RFC 4918), or one that only knows PUT and DELETE.

use super::contents::{Content, Item};
use super::target::{accepted, aside, body, found, patiently};
use super::{Error, Target};
use crate::fetch::{Address, Body, Options, Reply, Sender};

/// A directory of a web server.
pub(super) struct WebDav {
    home: Address,
    sender: Sender,
    /// Whether the server cannot rename, so that files are put at their names at once.
    is_plain: bool,
}

impl WebDav {
    pub(super) fn new(home: Address, options: Options) -> WebDav {
        WebDav { sender: Sender::new(&home, options), home, is_plain: false }
    }

    /// Writes to a name. Where the directory is missing, servers say 409 (RFC 4918, 9.7.1), or 403, 404, 500.
    fn write(&self, file: &str, content: &Content<'_>) -> Result<(), Error> {
        let address = self.home.join(file);
        let put = || Ok::<Reply, Error>(self.sender.send("PUT", &address, &[], body(content)?)?);
        let mut reply = put()?;
        if matches!(reply.status, 403 | 404 | 409 | 500) && self.make_directories(file)? {
            reply = put()?;
        }
        accepted(reply, &format!("'{file}'")).map(|_| ())
    }

    /// Makes the directory of a file, and those above it that are missing; whether one was made.
    fn make_directories(&self, file: &str) -> Result<bool, Error> {
        let home =
            file.rsplit_once('/').map_or_else(|| self.home.clone(), |(below, _)| self.home.join(below));
        let mut is_made = false;
        for directory in home.directories() {
            let reply = self.sender.send("MKCOL", &directory, &[], Body::None)?;
            is_made |= reply.status == 201;
        }
        Ok(is_made)
    }

    /// Renames over what is there; `false` where the server cannot.
    fn rename(&self, from: &str, to: &str) -> Result<bool, Error> {
        let destination = self.home.join(to).to_string();
        let fields = [("Destination", destination), ("Overwrite", "T".to_owned())];
        let reply = self.sender.send("MOVE", &self.home.join(from), &fields, Body::None)?;
        if matches!(reply.status, 400 | 405 | 501) {
            return Ok(false);
        }
        accepted(reply, &format!("the name '{to}'")).map(|_| true)
    }

    fn delete(&self, file: &str) -> Result<(), Error> {
        let reply = self.sender.send("DELETE", &self.home.join(file), &[], Body::None)?;
        found(reply, &format!("the removal of '{file}'")).map(|_| ())
    }

    fn put_once(&mut self, item: &Item, content: &Content<'_>) -> Result<(), Error> {
        if !self.is_plain {
            let aside = aside(&item.file);
            self.write(&aside, content)?;
            if self.rename(&aside, &item.file)? {
                return Ok(());
            }
            self.is_plain = true;
            self.delete(&aside)?;
        }
        self.write(&item.file, content)
    }
}

impl Target for WebDav {
    fn read(&mut self, file: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let address = self.home.join(file);
        patiently(self.sender.options(), || {
            let reply = found(self.sender.get(&address, &[], limit)?, &format!("a question for '{file}'"))?;
            Ok(reply.map(|reply| reply.bytes))
        })
    }

    /// A file with its name is whole where it got it by being renamed; and of the same size, it is the same one.
    fn has(&mut self, item: &Item) -> Result<bool, Error> {
        let address = self.home.join(&item.file);
        patiently(self.sender.options(), || {
            let reply = self.sender.send("HEAD", &address, &[], Body::None)?;
            let Some(reply) = found(reply, &format!("a question for '{}'", item.file))? else {
                return Ok(false);
            };
            Ok(reply.header("content-length").and_then(|length| length.parse().ok()) == Some(item.size))
        })
    }

    fn put(&mut self, item: &Item, content: &Content<'_>) -> Result<(), Error> {
        let options = self.sender.options().clone();
        patiently(&options, || self.put_once(item, content))
    }

    fn remove(&mut self, file: &str) -> Result<(), Error> {
        patiently(self.sender.options(), || self.delete(file))
    }
}
