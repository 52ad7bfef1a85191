//! Where a store is published: one trait, and addresses of the kinds of places that there are.

use std::path::Path;

use super::Error;
use super::contents::{Content, Item};
use super::directory::Directory;
use super::oci::Registry;
use super::s3::ObjectStore;
use super::webdav::WebDav;
use crate::fetch::{Address, Body, Options, Reply};

/// A place for a store's files. A file appears there whole, under its name, or not at all.
pub trait Target {
    /// Reads a small file; none where there is none.
    fn read(&mut self, file: &str, limit: u64) -> Result<Option<Vec<u8>>, Error>;

    /// Whether a file is there, whole and with this content.
    fn has(&mut self, item: &Item) -> Result<bool, Error>;

    /// Refuses a file that it could not take, whatever it is asked: that is known before anything is sent.
    fn expect_to_take(&self, _item: &Item) -> Result<(), Error> {
        Ok(())
    }

    /// Puts a file there, in the place of one with its name.
    fn put(&mut self, item: &Item, content: &Content<'_>) -> Result<(), Error>;

    /// Whether people look at it with browsers.
    fn shows_pages(&self) -> bool {
        true
    }

    /// Removes a file, which need not be there.
    fn remove(&mut self, file: &str) -> Result<(), Error>;

    /// Puts a small file there.
    fn put_bytes(&mut self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        let sha256 = crate::package::Identity::of(bytes);
        let item = Item { file: file.to_owned(), size: bytes.len() as u64, sha256, is_list: true };
        self.put(&item, &Content::Bytes(bytes))
    }
}

/// How a place is reached.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Of requests: a header that says who publishes, a proxy, a limit.
    pub options: Options,
    /// The object store's own address, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Ask the registry without TLS.
    pub plain_http: bool,
}

/// Opens a place by its address: a directory, `http(s)://` (WebDAV), `s3://BUCKET/PREFIX`, `oci://REGISTRY/REPOSITORY`.
pub fn open(address: &str, settings: &Settings) -> Result<Box<dyn Target>, Error> {
    let bad = |why: String| Error::Address { address: address.to_owned(), why };
    if let Some(rest) = address.strip_prefix("s3://") {
        return Ok(Box::new(ObjectStore::open(rest, settings).map_err(|why| match why {
            Error::Address { why, .. } => bad(why),
            other => other,
        })?));
    }
    if let Some(rest) = address.strip_prefix("oci://") {
        return Ok(Box::new(Registry::open(rest, settings).map_err(bad)?));
    }
    let is_relative = !address.starts_with('/') && !address.contains("://");
    let parsed = if is_relative {
        Address::Path(Path::new(address).to_owned())
    } else {
        Address::parse(address).map_err(bad)?
    };
    match parsed {
        Address::Path(path) => Ok(Box::new(Directory::open(&path)?)),
        home @ Address::Web(_) => Ok(Box::new(WebDav::new(home, settings.options.clone()))),
    }
}

/// The name under which a file comes before it gets its own: beside it.
pub(super) fn aside(file: &str) -> String {
    match file.rsplit_once('/') {
        Some((directory, name)) => format!("{directory}/.{name}.new"),
        None => format!(".{file}.new"),
    }
}

/// What is sent of a content. A file is sent from its beginning: it may be sent more than once.
pub(super) fn body<'a>(content: &'a Content<'_>) -> Result<Body<'a>, Error> {
    use std::io::Seek as _;
    match content {
        Content::Bytes(bytes) => Ok(Body::Bytes(bytes)),
        Content::File(file) => {
            let mut file = file;
            file.rewind().map_err(|error| crate::sys::io_error("read", "a file of the store", error))?;
            Ok(Body::File(file))
        }
    }
}

/// Does something again while that may help, as often as the options say.
pub(super) fn patiently<T>(
    options: &Options,
    mut attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut wait = options.first_wait;
    for _ in 0..options.retries {
        match attempt() {
            Err(error) if error.may_pass() => std::thread::sleep(wait),
            other => return other,
        }
        wait *= 2;
    }
    attempt()
}

/// An answer that is success, or what the server says against it.
pub(super) fn accepted(reply: Reply, what: &str) -> Result<Reply, Error> {
    if reply.is_success() {
        return Ok(reply);
    }
    let why = String::from_utf8_lossy(&reply.bytes).into_owned();
    Err(Error::Refused { what: what.to_owned(), status: reply.status, why })
}

/// What is there, or nothing where the server says that there is nothing.
pub(super) fn found(reply: Reply, what: &str) -> Result<Option<Reply>, Error> {
    match reply.status {
        404 | 410 => Ok(None),
        _ => accepted(reply, what).map(Some),
    }
}
