//! A directory somewhere, and its mirrors, of which files are asked for.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::Web;
use super::http::{Field, Http};
use super::{Address, Error, Options, Problem};
use crate::sys::{Context, IoError};

/// Nobody waits longer between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Where so much came since the last failure, it is the first one again.
const PROGRESS: u64 = 1 << 20;

/// A directory and its mirrors.
pub struct Source {
    pub(super) addresses: Vec<Address>,
    pub(super) http: Http,
}

/// By what one version of a file is told from others, at one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// Where it was.
    pub address: String,
    /// The server's own mark (RFC 9110, 8.8.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When it was last changed, in the server's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// A small file that was asked for.
#[derive(Debug)]
pub enum Small {
    /// It is what it was.
    Unchanged,
    /// Its bytes, and by what they are told from others.
    Read(Vec<u8>, Validator),
}

impl Source {
    /// Of a directory, and others that mirror it, in the order in which they are asked.
    pub fn new(addresses: Vec<Address>, options: Options) -> Source {
        let home = addresses.first().cloned().unwrap_or_else(|| Address::Path(Path::new("/").to_owned()));
        Source { addresses, http: Http::new(options, home) }
    }

    /// The addresses, in the order in which they are asked.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Reads a small file whole, of up to `limit` bytes, unless it is what was known of it.
    pub fn read(&self, file: &str, limit: u64, known: Option<&Validator>) -> Result<Small, Error> {
        self.each(&|| 0, &mut |address| {
            let address = address.join(file);
            let known = known.filter(|known| known.address == address.to_string());
            match &address {
                Address::Path(path) => read_path(path, limit, known),
                Address::Web(web) => self.read_web(web, limit, known),
            }
        })
    }

    fn read_web(&self, web: &Web, limit: u64, known: Option<&Validator>) -> Result<Small, Error> {
        let address = Address::Web(web.clone());
        let failed = |problem| Error::at(&address, problem);
        let mut fields: Vec<Field> = vec![("Accept-Encoding", "gzip".to_owned())];
        if let Some(known) = known {
            fields.extend(known.etag.clone().map(|etag| ("If-None-Match", etag)));
            fields.extend(known.modified.clone().map(|modified| ("If-Modified-Since", modified)));
        }
        let mut answer = self.http.get(web, &fields).map_err(failed)?;
        match answer.status {
            200 => {}
            304 if known.is_some() => return Ok(Small::Unchanged),
            _ => return Err(failed(answer.refusal())),
        }
        if answer.length().is_some_and(|length| length > limit) {
            return Err(failed(Problem::TooLong(limit)));
        }
        let encoding = answer.encoding().map(str::to_ascii_lowercase);
        let mut bytes = Vec::new();
        let got = answer.pour(&address, limit, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        if let Some(expected) = answer.length().filter(|expected| *expected != got) {
            return Err(failed(Problem::CutOff { got, expected }));
        }
        let bytes = match encoding.as_deref() {
            None => bytes,
            Some("gzip") => unpacked(&bytes, limit).map_err(failed)?,
            Some(other) => return Err(failed(Problem::Encoding(other.chars().take(20).collect()))),
        };
        let (etag, modified) = answer.tags();
        Ok(Small::Read(bytes, Validator { address: address.to_string(), etag, modified }))
    }

    /// Tries each address in turn, and all of them again where that may help. `how_far` says how many bytes came so far: who
    /// gets on is not given up.
    pub(super) fn each<T>(
        &self,
        how_far: &dyn Fn() -> u64,
        attempt: &mut dyn FnMut(&Address) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let options = self.http.options();
        let (mut round, mut wait, mut mark) = (0, options.first_wait, how_far());
        loop {
            let mut failed: Option<Error> = None;
            let mut may_pass = false;
            for address in &self.addresses {
                match attempt(address) {
                    Ok(done) => return Ok(done),
                    Err(error @ Error::Io(_)) => return Err(error),
                    Err(error) => {
                        may_pass |= error.may_pass();
                        // That it is not there says least.
                        if failed.as_ref().is_none_or(Error::is_not_there) {
                            failed = Some(error);
                        }
                    }
                }
            }
            if how_far() >= mark + PROGRESS {
                (round, wait, mark) = (0, options.first_wait, how_far());
            }
            if !may_pass || round >= options.retries {
                let none = || Error::at(&"nothing", Problem::NotThere);
                return Err(failed.unwrap_or_else(none));
            }
            std::thread::sleep(wait);
            (round, wait) = (round + 1, (wait * 2).min(LONGEST_WAIT));
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.addresses).finish()
    }
}

/// Opens a file of this machine.
pub(super) fn open_path(path: &Path) -> Result<(File, std::fs::Metadata), Error> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .context("open", path);
    let file = opened.map_err(|error| missing(path, error))?;
    let found = file.metadata().context("examine", path)?;
    if found.is_file() { Ok((file, found)) } else { Err(Error::at(&path.display(), Problem::NotThere)) }
}

/// What is in the way to it is said of the file, as of one on a web server.
fn missing(path: &Path, error: IoError) -> Error {
    let problem = match error.errno() {
        Some(libc::ENOENT | libc::ENOTDIR) => Problem::NotThere,
        Some(libc::EACCES) => Problem::Denied,
        _ => return error.into(),
    };
    Error::at(&path.display(), problem)
}

fn read_path(path: &Path, limit: u64, known: Option<&Validator>) -> Result<Small, Error> {
    let (file, found) = open_path(path)?;
    let etag = format!("{}-{}-{}.{}", found.ino(), found.len(), found.mtime(), found.mtime_nsec());
    if known.and_then(|known| known.etag.as_ref()) == Some(&etag) {
        return Ok(Small::Unchanged);
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).context("read", path)?;
    if bytes.len() as u64 > limit {
        return Err(Error::at(&path.display(), Problem::TooLong(limit)));
    }
    Ok(Small::Read(
        bytes,
        Validator { address: path.display().to_string(), etag: Some(etag), modified: None },
    ))
}

fn unpacked(bytes: &[u8], limit: u64) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes).take(limit.saturating_add(1));
    decoder
        .read_to_end(&mut text)
        .map_err(|error| Problem::Protocol(format!("it cannot be unpacked: {error}")))?;
    if text.len() as u64 > limit { Err(Problem::TooLong(limit)) } else { Ok(text) }
}
