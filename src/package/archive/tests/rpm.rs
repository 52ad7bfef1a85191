//! RPM packages.

use super::made::*;
use crate::package::archive::{Control, Device, Fault, Kind};
use crate::package::digest::Algorithm;
use crate::package::header::{Builder, FileFlags, MAGIC, Value, tag};

/// A file of each kind, three of them hard links to each other.
fn files() -> Vec<File> {
    let hard = |path| File { inode: 7, ..File::of(path, 0o100_644, b"abcde") };
    vec![
        File::of("/usr/bin", 0o040_755, b""),
        hard("/usr/bin/a"),
        hard("/usr/bin/b"),
        hard("/usr/bin/c"),
        File::of("/usr/bin/l", 0o120_777, b"../a"),
        File { caps: "cap_net_raw=ep", ..File::of("/usr/bin/x", 0o104_755, b"xyz") },
        File { flags: FileFlags::GHOST.0, ..File::of("/usr/g", 0o100_644, b"ghost") },
        File::of("/dev/x", 0o020_600, b""),
    ]
}

fn by_number() -> Vec<Vec<u8>> {
    let contents: [(usize, &[u8]); 7] =
        [(0, b""), (1, b""), (2, b""), (3, b"abcde"), (4, b"../a"), (5, b"xyz"), (7, b"")];
    contents.iter().map(|(number, content)| numbered(*number, content)).collect()
}

fn by_name() -> Vec<Vec<u8>> {
    let contents: [(&str, &[u8]); 7] = [
        ("./usr/bin", b""),
        ("./usr/bin/a", b""),
        ("./usr/bin/b", b""),
        ("./usr/bin/c", b"abcde"),
        ("./usr/bin/l", b"../a"),
        ("./usr/bin/x", b"xyz"),
        ("./dev/x", b""),
    ];
    contents.iter().map(|(name, content)| named(name, content)).collect()
}

#[test]
fn all_that_a_package_says_is_read() {
    let opened = open(&rpm(header(&files()), &cpio(&by_number()))).expect("a right one");
    assert_eq!((&*opened.name(), &*opened.version(), &*opened.architecture()), ("made", "1:2.0-1", "x86_64"));
    assert_eq!((opened.systemd_architecture(), opened.is_any_architecture()), (Some("x86-64"), false));
    assert_eq!(opened.license().as_deref(), Some("MIT"));
    assert_eq!((&*opened.source(), opened.installed_size()), ("maker-3-1.src.rpm", Some(7)));
    assert_eq!(opened.scripts(), ["post"]);
    let Control::Rpm(rpm) = opened.control() else { panic!("{opened:?}") };
    assert!(rpm.has_payload_digest());
    assert_eq!(rpm.header().files().count(), files().len());
}

#[test]
fn payloads_by_name_and_by_number_are_the_same() {
    let numbers = read(&rpm(header(&files()), &cpio(&by_number()))).expect("a right one");
    let names = read(&rpm(header(&files()), &cpio(&by_name()))).expect("a right one");
    assert_eq!(numbers, names);
    let paths: Vec<_> = names.iter().map(|(entry, _)| entry.path.to_str().expect("text")).collect();
    // The one with the content first.
    let expected = ["usr/bin", "usr/bin/c", "usr/bin/a", "usr/bin/b", "usr/bin/l", "usr/bin/x", "dev/x"];
    assert_eq!(paths, expected);
    let kinds: Vec<_> = names.iter().map(|(entry, _)| entry.kind.clone()).collect();
    let hard = Kind::Hardlink("usr/bin/c".into());
    let device = Kind::CharacterDevice(Device { major: 1, minor: 3 });
    let symlink = Kind::Symlink("../a".into());
    assert_eq!(kinds, [Kind::Directory, Kind::File, hard.clone(), hard, symlink, Kind::File, device]);
    assert_eq!(names[1].1, b"abcde");
    let x = &names[5].0;
    assert_eq!((x.mode, x.mtime, x.user.id, x.group.id), (0o4755, 15, Some(0), None));
    assert_eq!(x.group.name.as_deref(), Some("users".as_ref()));
    assert_eq!(x.xattrs[0].0, "security.capability");
}

#[test]
fn payloads_that_are_not_the_header_are_refused() {
    let changed = |index: usize, member: Vec<u8>| {
        let mut members = by_name();
        members[index] = member;
        members
    };
    let with = |member: Vec<u8>| [&by_name()[..], &[member]].concat();
    for (members, problem) in [
        (changed(5, named("./usr/bin/x", b"xyzz")), "has another size than the header says"),
        (changed(5, named("./usr/bin/x", b"xyy")), "file 'usr/bin/x' has digest"),
        (changed(4, named("./usr/bin/l", b"../b")), "has another target than the header says"),
        (changed(3, named("./usr/bin/c", b"")), "is a hard link without a content"),
        (changed(2, named("./usr/bin/c", b"abcde")), "comes twice"),
        (changed(2, named("./usr/bin/b", b"abcde")), "is a hard link with a second content"),
        (by_name()[..6].to_vec(), "entry '/dev/x' is not in the payload"),
        (with(named("./usr/bin/y", b"")), "entry './usr/bin/y' is not in the header"),
        (with(named("../../etc/passwd", b"")), "entry '../../etc/passwd' leads out"),
        (with(numbered(99, b"")), "a file is not in the header"),
        (with(b"garbage!".to_vec()), "a member has no header"),
    ] {
        let fault = fault(&rpm(header(&files()), &cpio(&members))).to_string();
        assert!(fault.contains(problem), "{problem}: {fault}");
    }
    let unended = by_name().concat();
    assert!(matches!(fault(&rpm(header(&files()), &unended)), Fault::Truncated(_)));
}

#[test]
fn headers_of_hostile_paths_are_refused() {
    let file = |path| File::of(path, 0o100_644, b"");
    for (files, problem) in [
        (vec![file("/usr/../../x")], "leads out"),
        (vec![file("usr/x")], "has no directory"),
        (vec![File::of("/usr/x", 0o120_777, b"/etc"), file("/usr/x/passwd")], "lies below the symbolic link"),
        (vec![file("/x"), file("/x")], "comes twice"),
        (vec![File { caps: "cap_all=ep", ..file("/x") }], "has capabilities that make no sense"),
        (vec![File::of("/x", 0o000_644, b"")], "is of a type that is not known"),
        (vec![File::of("/x", 0o120_777, b"")], "is a link to nothing"),
    ] {
        let members: Vec<_> =
            files.iter().enumerate().map(|(index, file)| numbered(index, file.content)).collect();
        let fault = fault(&rpm(header(&files), &cpio(&members))).to_string();
        assert!(fault.contains(problem), "{problem}: {fault}");
    }
}

#[test]
fn digests_of_header_and_payload_are_compared() {
    let payload = cpio(&by_number());
    let right = rpm(header(&files()), &payload);
    let mut longer = right.clone();
    longer.push(0);
    assert!(matches!(fault(&longer), Fault::Digest { what, .. } if what == "payload"));
    // A bit in the licence.
    let at = right.windows(4).position(|bytes| bytes == b"MIT\0").expect("it is there");
    let mut other = right.clone();
    other[at] ^= 1;
    assert!(
        matches!(open(&other).expect_err("another").fault, Fault::Digest { what, .. } if what == "header")
    );
}

#[test]
fn each_kind_of_payload_digest_counts() {
    let payload = cpio(&by_number());
    let packed = zstd::encode_all(&payload[..], 1).expect("memory");
    let compressed = || header(&files()).add(tag::PAYLOAD_COMPRESSOR, Value::String(b"zstd".to_vec()));
    let digest = |bytes: &[u8]| Value::Strings(vec![sha256(bytes).into_bytes()]);
    let signature = Builder::new;
    let wrong = digest(b"another");
    for (packed_digest, unpacked_digest, is_right) in [
        (Some(digest(&packed)), None, true),
        (Some(wrong.clone()), None, false),
        // Compressed anew.
        (Some(wrong.clone()), Some(digest(&payload)), true),
        (Some(wrong.clone()), Some(wrong.clone()), false),
        (None, Some(digest(&payload)), true),
        (None, Some(wrong), false),
        (None, None, true),
    ] {
        let digests = [(tag::PAYLOAD_SHA256, packed_digest), (tag::PAYLOAD_SHA256_ALT, unpacked_digest)];
        let digests = digests.into_iter().filter_map(|(tag, digest)| Some((tag, digest?)));
        let header = digests.fold(compressed(), |header, (tag, digest)| header.add(tag, digest));
        let result = read(&rpm_with(signature(), &header.build(), &packed));
        assert_eq!(result.is_ok(), is_right, "{:?}", result.err());
    }
    let header = header(&files()).build();
    let whole = [&MAGIC[..], &header, &payload].concat();
    let md5 = Algorithm::Md5.digest(&*whole).expect("memory can be read");
    for (bytes, is_right) in [(md5.bytes().to_vec(), true), (vec![0; 16], false)] {
        let signature = signature().add(tag::SIGNATURE_MD5, Value::Binary(bytes));
        assert_eq!(read(&rpm_with(signature, &header, &payload)).is_ok(), is_right);
    }
}

#[test]
fn what_is_no_package_to_install_is_refused() {
    let payload = cpio(&[]);
    let right = rpm(header(&[]), &payload);
    assert!(read(&right).expect("an empty one").is_empty());
    let mut source = right.clone();
    source[7] = 1;
    assert!(matches!(open(&source).expect_err("sources").fault, Fault::Source));
    let source = rpm(header(&[]).add(tag::SOURCE_PACKAGE, Value::Int32(vec![1])), &payload);
    assert!(matches!(open(&source).expect_err("sources").fault, Fault::Source));
    let delta = rpm(header(&[]).add(tag::PAYLOAD_FORMAT, Value::String(b"drpm".to_vec())), &payload);
    assert!(matches!(open(&delta).expect_err("a delta").fault, Fault::Unknown { .. }));
    for bytes in [&b""[..], b"!<arch>", b"PK\x03\x04", &[0; 200]] {
        assert!(matches!(open(bytes).expect_err("no package").fault, Fault::Format));
    }
    // More than is there is announced.
    let mut large = right;
    large[96 + 12..96 + 16].copy_from_slice(&60_000_000_u32.to_be_bytes());
    assert!(matches!(open(&large).expect_err("too short").fault, Fault::Truncated("signature")));
}
