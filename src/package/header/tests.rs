//! Headers that are right, truncated, flipped and hostile.

use super::*;
use crate::package::Identity;
use crate::package::digest::Algorithm;
use crate::package::relation::Sense;

fn strings(words: &[&str]) -> Value {
    Value::Strings(words.iter().map(|word| word.as_bytes().to_vec()).collect())
}

fn text(word: &str) -> Value {
    Value::String(word.as_bytes().to_vec())
}

const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A package with a file of each kind.
fn sample() -> Builder {
    Builder::new()
        .add(tag::NAME, text("strace"))
        .add(tag::VERSION, text("6.1"))
        .add(tag::RELEASE, text("2"))
        .add(tag::EPOCH, Value::Int32(vec![3]))
        .add(tag::ARCH, text("x86_64"))
        .add(tag::HEADER_I18N_TABLE, strings(&["C", "de"]))
        .add(tag::SUMMARY, Value::Translated(vec![b"Traces calls".to_vec(), b"Verfolgt Aufrufe".to_vec()]))
        .add(tag::BASENAMES, strings(&["strace", "strace.conf", "st", "strace"]))
        .add(tag::DIRNAMES, strings(&["/usr/bin/", "/etc/", "/usr/share/"]))
        .add(tag::DIR_INDEXES, Value::Int32(vec![0, 1, 0, 2]))
        .add(tag::FILE_MODES, Value::Int16(vec![0o100_755, 0o100_644, 0o120_777, 0o040_755]))
        .add(tag::FILE_DIGESTS, strings(&[SHA, SHA, "", ""]))
        .add(tag::FILE_DIGEST_ALGORITHM, Value::Int32(vec![8]))
        .add(tag::FILE_FLAGS, Value::Int32(vec![0, 17, 0, 0]))
        .add(tag::FILE_SIZES, Value::Int32(vec![3, 3, 6, 4096]))
        .add(tag::FILE_MTIMES, Value::Int32(vec![1, 2, 3, 4]))
        .add(tag::FILE_LINK_TOS, strings(&["", "", "strace", ""]))
        .add(tag::FILE_USER_NAME, strings(&["root", "root", "root", "root"]))
        .add(tag::FILE_GROUP_NAME, strings(&["root", "adm", "root", "root"]))
        .add(tag::FILE_COLORS, Value::Int32(vec![2, 0, 0, 0]))
        .add(tag::REQUIRE_NAME, strings(&["libc.so.6()(64bit)", "/bin/sh", "perl"]))
        .add(tag::REQUIRE_FLAGS, Value::Int32(vec![0, Sense::POST.0, Sense::GREATER.0 | Sense::EQUAL.0]))
        .add(tag::REQUIRE_VERSION, strings(&["", "", "1:5.30"]))
        .dribble(tag::INSTALL_TIME, Value::Int32(vec![1_700_000_000]))
        .dribble(tag::FILE_STATES, Value::Char(vec![0, 0, 1, 0]))
        .dribble(tag::INSTALL_TID, Value::Int32(vec![1_700_000_001]))
}

#[test]
fn what_was_built_is_read() {
    let blob = sample().build();
    let header = Header::parse(&blob).expect("a good header");
    assert_eq!((&*header.name(), &*header.arch()), ("strace", "x86_64"));
    assert_eq!(header.evr().to_string(), "3:6.1-2");
    assert_eq!(header.text(tag::SUMMARY).as_deref(), Some("Traces calls"));
    assert_eq!(header.strings(tag::SUMMARY).count(), 1);
    assert_eq!(header.number(tag::INSTALL_TIME), Some(1_700_000_000));
    assert_eq!(header.numbers(tag::DIR_INDEXES).collect::<Vec<_>>(), [0, 1, 0, 2]);
    assert_eq!(header.string(tag::VENDOR), None);
    // A value of another kind than what is asked for is none.
    assert_eq!(header.number(tag::NAME), None);
    assert_eq!(header.string(tag::EPOCH), None);
    assert_eq!(header.bytes(tag::NAME), None);
}

#[test]
fn files_are_as_they_were_packed() {
    let blob = sample().build();
    let files: Vec<File<'_>> = Header::parse(&blob).expect("a good header").files().collect();
    let paths: Vec<_> = files.iter().map(|file| file.path().display().to_string()).collect();
    assert_eq!(paths, ["/usr/bin/strace", "/etc/strace.conf", "/usr/bin/st", "/usr/share/strace"]);
    let sha = FileDigestOf(SHA);
    assert_eq!(files[0].digest.map(|digest| (digest.algorithm(), digest.to_string())), Some(sha.pair()));
    assert_eq!((files[0].mode, files[0].color, files[0].size), (0o100_755, 2, 3));
    assert!(files[0].is_regular() && files[3].is_directory());
    assert!(files[1].flags.contains(FileFlags::CONFIG) && files[1].flags.contains(FileFlags::NO_REPLACE));
    assert!(!files[1].flags.contains(FileFlags::GHOST));
    assert_eq!((files[1].group.to_str(), files[1].mtime), (Some("adm"), 2));
    assert_eq!(files[2].link_target.and_then(std::ffi::OsStr::to_str), Some("strace"));
    assert_eq!((files[2].digest, files[2].state), (None, Some(FileState::Replaced)));
    assert!(!files[2].is_installed() && files[3].is_installed());
}

struct FileDigestOf(&'static str);

impl FileDigestOf {
    fn pair(&self) -> (Algorithm, String) {
        (Algorithm::Sha256, self.0.to_owned())
    }
}

#[test]
fn dependencies_are_read_with_their_versions() {
    let blob = sample().build();
    let header = Header::parse(&blob).expect("a good header");
    let requires: Vec<String> =
        header.dependencies(DependencyKind::Requires).map(|relation| relation.to_string()).collect();
    assert_eq!(requires, ["libc.so.6()(64bit)", "/bin/sh", "perl >= 1:5.30"]);
    assert_eq!(header.dependencies(DependencyKind::Provides).count(), 0);
}

#[test]
fn what_is_added_counts_and_leaves_the_region_alone() {
    let blob = sample().build();
    let header = Header::parse(&blob).expect("a good header");
    let region = header.region().expect("it has one");
    let changed = header.with(tag::FILE_STATES, &Value::Char(vec![1, 1, 1, 1])).expect("it has a region");
    assert_eq!(changed.len(), blob.len());
    let again = Header::parse(&changed).expect("a good header");
    assert_eq!(again.numbers(tag::FILE_STATES).collect::<Vec<_>>(), [1, 1, 1, 1]);
    assert_eq!(again.region(), Some(region.clone()));
    assert_eq!(again.package_identity(), header.package_identity());
    assert_ne!(Identity::of(&changed), Identity::of(&blob));
    assert_eq!(again.number(tag::INSTALL_TID), Some(1_700_000_001));
    // The same values give the same bytes.
    assert_eq!(again.with(tag::FILE_STATES, &Value::Char(vec![0, 0, 1, 0])), Some(blob.clone()));
    // One that replaces what the region has.
    let renamed = again.with(tag::NAME, &text("other")).expect("it has a region");
    let renamed = Header::parse(&renamed).expect("a good header");
    assert_eq!((&*renamed.name(), renamed.region()), ("other", Some(region)));
}

#[test]
fn a_glance_finds_what_reading_finds() {
    let plain = sample().build();
    let header = Header::parse(&plain).expect("a good header");
    let renamed = header.with(tag::NAME, &text("other")).expect("it has a region");
    let sha256 = header.package_identity().expect("it has a region");
    let signed = header.with(tag::SHA256_HEADER, &text(&sha256.to_string())).expect("it has a region");
    let old = without_region(&plain);
    for blob in [&plain, &renamed, &signed, &old] {
        let (header, glance) = (Header::parse(blob).expect("a good one"), Glance::of(blob).expect("it, too"));
        for tag in header.entries().iter().map(|entry| entry.tag).chain([tag::VENDOR, tag::HEADER_IMMUTABLE])
        {
            let (read, seen) = (header.entry(tag), glance.entry(tag));
            assert_eq!(
                read.map(|entry| (entry.kind, entry.data)),
                seen.map(|entry| (entry.kind, entry.data))
            );
        }
        assert_eq!(header.evr().to_string(), glance.evr().to_string());
        let identity = header.package_identity().unwrap_or_else(|| Identity::of(blob));
        assert_eq!(glance.package_identity(), identity);
    }
    for length in 0..plain.len() {
        assert!(Glance::of(&plain[..length]).is_err(), "{length}");
    }
    // An entry that makes no sense is in nobody else's way.
    let mut broken = plain.clone();
    let last = INTRO + halves(&plain).expect("a good header").0.len() - ENTRY;
    broken[last + 4..last + 8].fill(0xff);
    let tag = u32::from_be_bytes(broken[last..last + 4].try_into().expect("four bytes"));
    let glance = Glance::of(&broken).expect("its beginning is right");
    assert!(Header::parse(&broken).is_err() && glance.entry(tag).is_none());
    assert_eq!(glance.string(tag::NAME), Some(&b"strace"[..]));
}

#[test]
fn digests_cover_the_region_alone() {
    let blob = sample().build();
    let header = Header::parse(&blob).expect("a good header");
    assert_eq!((header.sha1(), header.sha256()), (HeaderDigest::Absent, HeaderDigest::Absent));
    let region = header.region().expect("it has one");
    let [sha1, sha256] = [Algorithm::Sha1, Algorithm::Sha256]
        .map(|algorithm| algorithm.digest(&*region).expect("memory can be read").to_string());
    let signed = header.with(tag::SHA1_HEADER, &text(&sha1)).expect("it has a region");
    let signed = Header::parse(&signed).expect("a good header");
    let signed = signed.with(tag::SHA256_HEADER, &text(&sha256)).expect("it has a region");
    let signed = Header::parse(&signed).expect("a good header");
    assert_eq!((signed.sha1(), signed.sha256()), (HeaderDigest::Right, HeaderDigest::Right));
    let mut damaged = signed.blob().to_vec();
    let place = damaged.windows(6).position(|word| word == b"strace").expect("its name");
    damaged[place] = b'S';
    let damaged = Header::parse(&damaged).expect("a good header still");
    assert_eq!((damaged.sha1(), damaged.sha256()), (HeaderDigest::Wrong, HeaderDigest::Wrong));
}

#[test]
fn a_header_cut_anywhere_is_none() {
    let blob = sample().build();
    for length in 0..blob.len() {
        let found = Header::parse(&blob[..length]);
        assert!(matches!(found, Err(Malformed::Size { .. })), "{length}: {found:?}");
    }
    let longer = [&*blob, b"x"].concat();
    assert!(Header::parse(&longer).is_err());
}

#[test]
fn a_header_of_old_has_no_region() {
    let old = without_region(&sample().build());
    let header = Header::parse(&old).expect("rpm reads it too");
    assert_eq!((&*header.name(), header.region()), ("strace", None));
    assert_eq!(header.with(tag::NAME, &text("x")), None);
}

/// Without the entry and the trailer of the region.
fn without_region(blob: &[u8]) -> Vec<u8> {
    let (index, data) = halves(blob).expect("a good header");
    let il = (index.len() / ENTRY - 1) as u32;
    [&il.to_be_bytes()[..], &(data.len() as u32).to_be_bytes(), &index[ENTRY..], data].concat()
}

/// Changes one number of one entry of the sample (0 is the region's), and reads it.
fn with_number(entry: usize, field: usize, value: u32) -> Result<(), Malformed> {
    let mut blob = sample().build();
    let place = INTRO + entry * ENTRY + field * 4;
    blob[place..place + 4].copy_from_slice(&value.to_be_bytes());
    Header::parse(&blob).map(|header| exercise(&header))
}

#[test]
fn hostile_entries_are_refused() {
    let (tag, kind, offset, count) = (0, 1, 2, 3);
    for (entry, field, value, what) in [
        (0, kind, 6, "another type or size"),
        (0, count, 32, "another type or size"),
        (0, offset, 0x7fff_fff0, "outside of the data"),
        (0, offset, 0, "is none"),
        (1, tag, 62, "no such tag"),
        (1, tag, 0x8000_0000, "no such tag"),
        (1, kind, 0, "no such type"),
        (1, kind, 10, "no such type"),
        (1, count, 0, "it is empty"),
        (1, count, u32::MAX, "ends outside"),
        (1, offset, u32::MAX, "begins outside"),
        (2, count, 2, "ends outside"),
        (2, offset, 1, "overlaps"),
        (5, offset, 3, "overlaps"),
        (5, count, 0x4000_0001, "ends outside"),
    ] {
        let error = with_number(entry, field, value).expect_err("it must not be read").to_string();
        assert!(error.contains(what), "{entry}.{field} = {value}: {error}");
    }
    let mut blob = sample().build();
    blob[0..4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(Header::parse(&blob), Err(Malformed::Size { .. })));
    assert!(Header::parse(&[0; 8]).is_err());
}

/// Reads all that can be read; nothing may panic, whatever was in the bytes.
fn exercise(header: &Header<'_>) {
    for entry in header.entries() {
        let strings = header.strings(entry.tag).count();
        let numbers = header.numbers(entry.tag).count();
        assert!(strings + numbers <= header.blob().len());
    }
    let size = header.files().map(|file| file.path().as_os_str().len()).sum::<usize>();
    assert!(size < usize::MAX);
    for kind in DependencyKind::ALL {
        for relation in header.dependencies(kind) {
            let _ = relation.to_string();
        }
    }
    let _ = (header.evr().to_string(), header.sha1(), header.sha256(), header.region());
    if let Some(changed) = header.with(tag::INSTALL_TIME, &Value::Int32(vec![7])) {
        let again = Header::parse(&changed).expect("what we write can be read");
        assert_eq!(again.number(tag::INSTALL_TIME), Some(7));
    }
}

#[test]
fn thousands_of_mutations_do_no_harm() {
    let blob = sample().build();
    let mut random = fastrand::Rng::with_seed(11);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..8000 {
        let mut mutated = blob.clone();
        for _ in 0..random.usize(1..4) {
            let place = random.usize(0..mutated.len());
            match random.u8(0..4) {
                0 => mutated[place] ^= 1 << random.u8(0..8),
                1 => mutated[place] = random.u8(..),
                2 => mutated[place] = [0, 0xff, 0x7f, 0x80][random.usize(0..4)],
                _ => mutated[place] = mutated[random.usize(0..blob.len())],
            }
        }
        match Header::parse(&mutated) {
            Ok(header) => {
                good += 1;
                exercise(&header);
            }
            Err(_) => bad += 1,
        }
    }
    // Both ways are gone often.
    assert!(good > 500 && bad > 500, "{good} were read, {bad} were not");
}
