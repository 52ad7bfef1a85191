//! Headers as files: what `rpmdb --exportdb` writes and `rpmdb --importdb` reads, each with eight bytes in
//! front of it.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::{Backend, Database, Prepared, create};
use crate::package::header::{LARGEST, MAGIC, announced_length};
use crate::package::{Header, Identity};
use crate::pkgdb::Error;
use crate::sys::{Context, Root};

/// No name that we give is longer; file systems take 255 bytes.
const LONGEST_NAME: usize = 200;

/// Writes each header into a file of its own in an empty directory, named for the package and the
/// beginning of its identity, so that files with the same name in two dumps are the same. Says how many.
pub fn export(database: &Database, directory: &Root) -> Result<usize, Error> {
    let mut count = 0;
    database.each(&mut |_, blob| {
        let name = file_name(blob);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let shown = directory.join(&name);
        let file = rustix::fs::openat(directory, &name, flags, Mode::from_raw_mode(0o644));
        let mut file = File::from(file.context("create", &shown)?);
        file.write_all(&MAGIC).and_then(|()| file.write_all(blob)).context("write", &shown)?;
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

fn file_name(blob: &[u8]) -> String {
    let package = Header::parse(blob).map_or_else(
        |_| "unreadable".to_owned(),
        |header| format!("{}-{}.{}", header.name(), header.evr(), header.arch()),
    );
    // A name in a header may be anything.
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._+~^:".contains(letter);
    let mut name: String =
        package.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    name.truncate(LONGEST_NAME);
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    let identity = Identity::of(blob).to_string();
    format!("{name}-{}.header", &identity[..16])
}

/// The headers in a file of a dump, or in a whole dump that is one file.
pub fn read_headers(bytes: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let mut headers = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = rest.strip_prefix(&MAGIC).ok_or("a header does not begin like one")?;
        let length = announced_length(rest).ok_or("a header is cut off, or too long")?;
        let header;
        (header, rest) = rest.split_at_checked(length).ok_or("a header is cut off")?;
        headers.push(header);
    }
    Ok(headers)
}

/// Reads all that [`import`] would take, and says how many headers that are.
pub fn look(directory: &Root) -> Result<usize, Error> {
    let entries = directory.entries()?;
    entries.iter().try_fold(0, |count, entry| Ok(count + headers_of(directory, &entry.name)?.len()))
}

/// Makes a database of the headers in all files of a directory, in the order of the files' names.
pub fn import(
    directory: &Root,
    backend: Backend,
    target: &Root,
    patience: Duration,
) -> Result<Prepared, Error> {
    let mut names: Vec<OsString> = directory.entries()?.into_iter().map(|entry| entry.name).collect();
    names.sort();
    // One file is in memory at a time.
    let mut headers = names.iter().flat_map(|name| match headers_of(directory, name) {
        Ok(headers) => headers.into_iter().map(|header| Ok(Cow::Owned(header))).collect(),
        Err(error) => vec![Err(error)],
    });
    create(backend, &mut headers, target, patience)
}

fn headers_of(directory: &Root, name: &OsStr) -> Result<Vec<Vec<u8>>, Error> {
    let path = directory.join(name);
    let bytes = directory.read(name, LARGEST as u64)?;
    if bytes.starts_with(b"Package: ") {
        let what = "a package of dpkg's, not a header of rpm's".to_owned();
        return Err(Error::Damaged { path, what });
    }
    let headers =
        read_headers(&bytes).map_err(|what| Error::Damaged { path: path.clone(), what: what.to_owned() })?;
    for header in &headers {
        Header::parse(header)
            .map_err(|error| Error::Damaged { path: path.clone(), what: error.to_string() })?;
    }
    Ok(headers.into_iter().map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::header::{Builder, Value, tag};

    fn package(name: &str) -> Vec<u8> {
        Builder::new().add(tag::NAME, Value::String(name.as_bytes().to_vec())).build()
    }

    #[test]
    fn dumps_are_taken_apart() {
        let (one, two) = (package("one"), package("two"));
        let dump = [&MAGIC, &*one, &MAGIC, &*two].concat();
        assert_eq!(read_headers(&dump), Ok(vec![&*one, &*two]));
        assert_eq!(read_headers(&[]), Ok(Vec::new()));
        for length in 1..dump.len() {
            let found = read_headers(&dump[..length]);
            assert_eq!(found.is_ok(), length == MAGIC.len() + one.len(), "{length}");
        }
        let package_file = [&[0xed, 0xab, 0xee, 0xdb], &*dump].concat();
        assert!(read_headers(&package_file).is_err());
        let endless = [&MAGIC[..], &[0xff; 8]].concat();
        assert!(read_headers(&endless).is_err());
    }

    #[test]
    fn names_lead_nowhere_else() {
        for (name, expected) in [("a", "a-."), ("../../etc/passwd", "_._.._etc_passwd"), ("é\n", "__")] {
            let name = file_name(&package(name));
            assert!(name.starts_with(expected) && !name.contains('/'), "{name}");
        }
        assert!(file_name(&package(&"x".repeat(5000))).len() < 255);
        assert!(file_name(b"x").starts_with("unreadable-"));
    }
}
