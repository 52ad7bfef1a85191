//! What makes packages of bytes, and reads them.

use std::io::{Read, Write};

use crate::package::archive::{Entry, Error, Fault, Limits, PackageFile};
use crate::package::digest::Algorithm;
use crate::package::header::{Builder, MAGIC, Value, tag};

/// A header of tar with its checksum, after something was done to it.
pub(super) fn tar_header(path: &[u8], kind: u8, size: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, path);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000144\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000017\0");
    put(156, &[kind]);
    put(257, b"ustar  \0root");
    put(297, b"users");
    change(&mut header);
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A member of tar.
pub(super) fn member(path: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    [&tar_header(path, kind, content.len(), |_| {})[..], &padded(content)].concat()
}

/// A member of tar that is a link.
pub(super) fn link(path: &[u8], kind: u8, target: &[u8]) -> Vec<u8> {
    tar_header(path, kind, 0, |header| header[157..157 + target.len()].copy_from_slice(target))
}

/// A member with pax records for the next one.
pub(super) fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let length = (1..100_000).find(|length: &usize| length.to_string().len() + rest.len() == *length);
        text.extend_from_slice(length.expect("there is one").to_string().as_bytes());
        text.extend_from_slice(&rest);
    }
    member(b"pax", b'x', &text)
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut padded = content.to_vec();
    padded.resize(content.len().next_multiple_of(512), 0);
    padded
}

/// A tar with its end.
pub(super) fn tar(members: &[Vec<u8>]) -> Vec<u8> {
    [&members.concat()[..], &[0; 1024]].concat()
}

pub(super) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut ar = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(ar, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", content.len())
            .expect("memory");
        ar.extend_from_slice(content);
        ar.resize(ar.len().next_multiple_of(2), b'\n');
    }
    ar
}

pub(super) const CONTROL: &[u8] =
    b"Package: made\nVersion: 1:2.0-1\nArchitecture: amd64\nSource: maker (3)\n\
    Installed-Size: 7\nDepends: a (>= 1) | b, c\n";

/// A Debian package with these members of its data archive.
pub(super) fn deb(members: &[Vec<u8>]) -> Vec<u8> {
    deb_with(&[member(b"./control", b'0', CONTROL)], &[("data.tar", &tar(members))])
}

pub(super) fn deb_with(control: &[Vec<u8>], data: &[(&str, &[u8])]) -> Vec<u8> {
    let control = tar(control);
    let before = [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control)];
    ar(&[&before[..], data].concat())
}

/// A file of an RPM package: path, mode, content or target.
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) mode: u16,
    pub(super) content: &'static [u8],
    pub(super) inode: u32,
    pub(super) flags: u32,
    pub(super) caps: &'static str,
}

impl File {
    pub(super) fn of(path: &'static str, mode: u16, content: &'static [u8]) -> File {
        File { path, mode, content, inode: 0, flags: 0, caps: "" }
    }

    fn is(&self, kind: u16) -> bool {
        self.mode & 0o170_000 == kind
    }
}

fn strings<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Value {
    Value::Strings(words.into_iter().map(<[u8]>::to_vec).collect())
}

fn text(word: &str) -> Value {
    Value::String(word.as_bytes().to_vec())
}

/// A header of these files.
pub(super) fn header(files: &[File]) -> Builder {
    let split = |file: &File| file.path.rfind('/').map_or(0, |slash| slash + 1);
    let digest =
        |file: &File| if file.is(0o100_000) { sha256(file.content).into_bytes() } else { Vec::new() };
    let target = |file: &File| if file.is(0o120_000) { file.content } else { b"" };
    let all = |value: fn(&File) -> u32| Value::Int32(files.iter().map(value).collect());
    Builder::new()
        .add(tag::NAME, text("made"))
        .add(tag::VERSION, text("2.0"))
        .add(tag::RELEASE, text("1"))
        .add(tag::EPOCH, Value::Int32(vec![1]))
        .add(tag::ARCH, text("x86_64"))
        .add(tag::LICENSE, text("MIT"))
        .add(tag::SIZE, Value::Int32(vec![7]))
        .add(tag::SOURCE_RPM, text("maker-3-1.src.rpm"))
        .add(tag::POST_IN, text("true"))
        .add(tag::BASENAMES, strings(files.iter().map(|file| &file.path.as_bytes()[split(file)..])))
        .add(tag::DIRNAMES, strings(files.iter().map(|file| &file.path.as_bytes()[..split(file)])))
        .add(tag::DIR_INDEXES, Value::Int32((0..files.len() as u32).collect()))
        .add(tag::FILE_MODES, Value::Int16(files.iter().map(|file| file.mode).collect()))
        .add(tag::FILE_SIZES, all(|file| file.content.len() as u32))
        .add(tag::FILE_MTIMES, all(|_| 15))
        .add(tag::FILE_FLAGS, all(|file| file.flags))
        .add(tag::FILE_INODES, all(|file| file.inode))
        .add(tag::FILE_RDEVS, all(|_| 0x0103))
        .add(tag::FILE_LINK_TOS, strings(files.iter().map(target)))
        .add(tag::FILE_USER_NAME, strings(files.iter().map(|_| &b"root"[..])))
        .add(tag::FILE_GROUP_NAME, strings(files.iter().map(|_| &b"users"[..])))
        .add(tag::FILE_CAPS, strings(files.iter().map(|file| file.caps.as_bytes())))
        .add(tag::FILE_DIGEST_ALGORITHM, Value::Int32(vec![8]))
        .add(tag::FILE_DIGESTS, Value::Strings(files.iter().map(digest).collect()))
}

/// A member of cpio with a name.
pub(super) fn named(path: &str, content: &[u8]) -> Vec<u8> {
    let numbers = [1, 0, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, path.len() + 1, 0];
    let fields: String = numbers.map(|number| format!("{number:08x}")).concat();
    let mut member = format!("070701{fields}{path}\0").into_bytes();
    member.resize(member.len().next_multiple_of(4), 0);
    member.extend_from_slice(content);
    member.resize(member.len().next_multiple_of(4), 0);
    member
}

/// A member of cpio with a number.
pub(super) fn numbered(number: usize, content: &[u8]) -> Vec<u8> {
    let mut member = format!("07070X{number:08x}\0\0").into_bytes();
    member.extend_from_slice(content);
    member.resize(member.len().next_multiple_of(4), 0);
    member
}

pub(super) fn cpio(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), named("TRAILER!!!", b"")].concat()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Algorithm::Sha256.digest(bytes).expect("memory can be read").to_string()
}

/// An RPM package, whose signature has the digest of its header, and whose header that of its payload.
pub(super) fn rpm(header: Builder, payload: &[u8]) -> Vec<u8> {
    let header = header.add(tag::PAYLOAD_SHA256, strings([sha256(payload).as_bytes()])).build();
    let digest = sha256(&[&MAGIC[..], &header].concat());
    rpm_with(Builder::new().add(tag::SHA256_HEADER, text(&digest)), &header, payload)
}

pub(super) fn rpm_with(signature: Builder, header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut package = b"\xed\xab\xee\xdb\x03\0\0\0".to_vec();
    package.resize(96, 0);
    package.extend_from_slice(&MAGIC);
    package.extend_from_slice(&signature.build());
    package.resize(package.len().next_multiple_of(8), 0);
    [&package[..], &MAGIC, header, payload].concat()
}

pub(super) fn open(package: &[u8]) -> Result<PackageFile, Error> {
    let mut file = tempfile::tempfile().expect("a place for files");
    file.write_all(package).expect("it is written");
    PackageFile::from_file("made.package", file)
}

/// All entries with their contents.
pub(super) fn read(package: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let mut found = Vec::new();
    open(package)?.visit(&Limits::default(), |entry, content| -> Result<(), Error> {
        let mut bytes = Vec::new();
        // What cannot be read is the visit's error.
        let read = content.take(1 << 20).read_to_end(&mut bytes);
        if read.is_ok() {
            assert_eq!(bytes.len() as u64, entry.size.min(1 << 20), "{entry:?}");
        }
        found.push((entry.clone(), bytes));
        Ok(())
    })?;
    Ok(found)
}

/// What is wrong with a package.
pub(super) fn fault(package: &[u8]) -> Fault {
    match read(package) {
        Ok(entries) => panic!("taken: {entries:?}"),
        Err(error) => error.fault,
    }
}
