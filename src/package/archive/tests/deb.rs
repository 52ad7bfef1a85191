//! Debian packages.

use std::io::Write;
use std::path::Path;

use super::made::*;
use crate::package::archive::{Control, Device, Error, Fault, Kind, Limits};
use crate::package::header::FileFlags;

#[test]
fn all_that_a_package_says_is_read() {
    let control = [
        member(b"./control", b'0', CONTROL),
        member(b"./conffiles", b'0', b"/etc/x\nremove-on-upgrade /etc/y\n"),
        member(b"./md5sums", b'0', b"900150983cd24fb0d6963f7d28e17f72  usr/bin/a\n"),
        member(b"./postinst", b'0', b"#!/bin/sh\n"),
        member(b"./shlibs", b'0', b""),
    ];
    let data = tar(&[
        member(b"./", b'5', b""),
        member(b"./etc/x", b'0', b""),
        member(b"./usr/bin/a", b'0', b"abc"),
        link(b"./usr/bin/b", b'1', b"./usr/bin/a"),
        link(b"./usr/bin/c", b'2', b"../a"),
    ]);
    let package = deb_with(&control, &[("_extra", b"x"), ("data.tar/", &data), ("_gpgorigin", b"?")]);
    let opened = open(&package).expect("a right one");
    assert_eq!((&*opened.name(), &*opened.version(), &*opened.architecture()), ("made", "1:2.0-1", "amd64"));
    assert_eq!((opened.systemd_architecture(), opened.is_any_architecture()), (Some("x86-64"), false));
    assert_eq!((&*opened.source(), opened.installed_size(), opened.license()), ("maker", Some(7168), None));
    assert_eq!(opened.scripts(), ["postinst"]);
    let Control::Deb(deb) = opened.control() else { panic!("{opened:?}") };
    assert_eq!(deb.conffiles().collect::<Vec<_>>(), [Path::new("etc/x")]);
    assert_eq!(deb.control_files().count(), 5);
    assert_eq!(deb.relations("Depends").expect("relations").len(), 2);
    assert_eq!(deb.relations("Provides").expect("none"), Vec::<Vec<_>>::new());

    let entries = read(&package).expect("a right one");
    let [(root, _), (x, _), (a, content), (b, _), (c, _)] = &entries[..] else { panic!("{entries:?}") };
    assert!(root.is_root() && root.kind == Kind::Directory);
    assert_eq!((x.flags, a.flags), (FileFlags::CONFIG, FileFlags::default()));
    assert_eq!((&a.path, &a.kind, &**content), (&"usr/bin/a".into(), &Kind::File, &b"abc"[..]));
    assert_eq!((a.mode, a.mtime, a.user.id, a.group.id), (0o644, 15, Some(0), Some(100)));
    assert_eq!(a.group.name.as_deref(), Some("users".as_ref()));
    assert_eq!(b.kind, Kind::Hardlink("usr/bin/a".into()));
    assert_eq!(c.kind, Kind::Symlink("../a".into()));
}

/// A data archive in the compression that a suffix stands for.
fn packed(suffix: &str, data: &[u8]) -> Vec<u8> {
    use liblzma::stream::{LzmaOptions, Stream};
    // Each encoder ends its stream when it goes.
    let by = |mut encoder: Box<dyn Write + '_>| encoder.write_all(data).expect("memory");
    let mut packed = Vec::new();
    match suffix {
        ".gz" => by(Box::new(flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast()))),
        ".xz" => by(Box::new(liblzma::write::XzEncoder::new(&mut packed, 0))),
        ".lzma" => {
            let options = LzmaOptions::new_preset(0).expect("a preset");
            let stream = Stream::new_lzma_encoder(&options).expect("an encoder");
            by(Box::new(liblzma::write::XzEncoder::new_stream(&mut packed, stream)));
        }
        ".bz2" => by(Box::new(bzip2::write::BzEncoder::new(&mut packed, bzip2::Compression::fast()))),
        ".zst" => packed = zstd::encode_all(data, 1).expect("memory"),
        _ => packed.extend_from_slice(data),
    }
    packed
}

#[test]
fn each_compression_is_read_and_bounded() {
    let data = tar(&[member(b"./a", b'0', &vec![b'a'; 100_000])]);
    for suffix in ["", ".gz", ".xz", ".lzma", ".bz2", ".zst"] {
        let packed = packed(suffix, &data);
        let package = |packed: &[u8]| {
            deb_with(&[member(b"control", b'0', CONTROL)], &[(&format!("data.tar{suffix}"), packed)])
        };
        let right = package(&packed);
        assert_eq!(read(&right).expect(suffix)[0].1.len(), 100_000, "{suffix}");
        let limits = Limits { bytes: 100_001, ..Limits::default() };
        let visit = open(&right).expect(suffix).visit(&limits, |_, _| Ok::<_, Error>(()));
        assert!(matches!(visit.expect_err(suffix).fault, Fault::Limit { limit: 100_001, .. }), "{suffix}");
        let truncated = fault(&package(&packed[..packed.len() / 2]));
        assert!(matches!(truncated, Fault::Truncated(_)), "{suffix}: {truncated}");
        if !suffix.is_empty() {
            let noise: Vec<u8> = packed.iter().map(|byte| byte ^ 0x55).collect();
            assert!(matches!(fault(&package(&noise)), Fault::Compression { .. }), "{suffix}");
        }
    }
    let unknown = deb_with(&[member(b"control", b'0', CONTROL)], &[("data.tar.Z", b"")]);
    assert!(matches!(open(&unknown).expect_err("no such compression").fault, Fault::Unknown { .. }));
}

#[test]
fn decoders_take_no_endless_memory() {
    // Headers that ask for a dictionary of 1 GiB, and a window of 2 GiB.
    let lzma = [&b"\x5d\x00\x00\x00\x40"[..], &[0xff; 8], &[0; 64]].concat();
    let zstd = [&b"\x28\xb5\x2f\xfd\x00\xa8"[..], &[0x01, 0, 0], &[0; 64]].concat();
    for (name, data, word) in [("data.tar.lzma", lzma, "emory"), ("data.tar.zst", zstd, "memory")] {
        let package = deb_with(&[member(b"control", b'0', CONTROL)], &[(name, &data)]);
        let fault = fault(&package).to_string();
        assert!(fault.contains(word), "{name}: {fault}");
    }
}

#[test]
fn what_tar_has_beyond_files_is_told() {
    let device = |kind| {
        tar_header(b"dev/x", kind, 0, |header| {
            header[329..337].copy_from_slice(b"0000010\0");
            header[337..345].copy_from_slice(b"0000003\0");
        })
    };
    let setuid = tar_header(b"s", b'0', 0, |header| header[100..108].copy_from_slice(b"0004755\0"));
    let number = Device { major: 8, minor: 3 };
    for (made, kind, mode) in [
        (device(b'3'), Kind::CharacterDevice(number), 0o644),
        (device(b'4'), Kind::BlockDevice(number), 0o644),
        (member(b"p", b'6', b""), Kind::Fifo, 0o644),
        (member(b"old/", 0, b""), Kind::Directory, 0o644),
        (setuid, Kind::File, 0o4755),
    ] {
        let entries = read(&deb(&[made])).expect("it is told");
        assert_eq!((&entries[0].0.kind, entries[0].0.mode), (&kind, mode));
    }
}

#[test]
fn names_and_numbers_come_from_where_they_are() {
    let long = [&b"d/".repeat(80)[..], b"\xff\xfe"].concat();
    let with_prefix = tar_header(b"name", b'0', 0, |header| {
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[345..351].copy_from_slice(b"prefix");
    });
    let attributes: &[(&str, &[u8])] = &[
        ("path", b"pax"),
        ("uid", b"70000"),
        ("uname", b"somebody"),
        ("mtime", b"1700000000.5"),
        ("SCHILY.xattr.security.capability", b"\x01\0\n=\x02"),
    ];
    let entries = read(&deb(&[
        member(b"././@LongLink", b'L', &[&long[..], b"\0"].concat()),
        member(b"short", b'0', b"abc"),
        with_prefix,
        pax(attributes),
        member(b"other", b'0', b""),
    ]))
    .expect("right ones");
    let paths: Vec<&[u8]> =
        entries.iter().map(|(entry, _)| entry.path.as_os_str().as_encoded_bytes()).collect();
    assert_eq!(paths, [&long[..], b"prefix/name", b"pax"]);
    let last = &entries[2].0;
    assert_eq!((last.user.id, last.user.name.as_deref()), (Some(70000), Some("somebody".as_ref())));
    assert_eq!(last.mtime, 1_700_000_000);
    assert_eq!(last.xattrs, [("security.capability".into(), b"\x01\0\n=\x02".to_vec())]);
}

#[test]
fn sparse_files_have_their_holes() {
    let old = tar_header(b"old", b'S', 3, |header| {
        for (at, number) in [(386, 5), (398, 3), (483, 10)] {
            header[at..at + 12].copy_from_slice(format!("{number:011o}\0").as_bytes());
        }
    });
    let old = [old, [&b"abc"[..], &[0; 509]].concat()].concat();
    let map = [&b"1\n5\n3\n"[..], &[0; 506], b"abc"].concat();
    for (name, made) in [
        ("old", old),
        (
            "0.0",
            [
                pax(&[
                    ("GNU.sparse.size", b"10"),
                    ("GNU.sparse.numblocks", b"1"),
                    ("GNU.sparse.offset", b"5"),
                    ("GNU.sparse.numbytes", b"3"),
                ]),
                member(b"0.0", b'0', b"abc"),
            ]
            .concat(),
        ),
        (
            "0.1",
            [
                pax(&[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"5,3"), ("GNU.sparse.name", b"0.1")]),
                member(b"GNUSparseFile.1/0.1", b'0', b"abc"),
            ]
            .concat(),
        ),
        (
            "1.0",
            [
                pax(&[
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.realsize", b"10"),
                    ("GNU.sparse.name", b"1.0"),
                ]),
                member(b"GNUSparseFile.1/1.0", b'0', &map),
            ]
            .concat(),
        ),
    ] {
        let entries = read(&deb(&[made, member(b"next", b'0', b"x")])).expect(name);
        assert_eq!((&entries[0].0.path, &*entries[0].1), (&name.into(), &b"\0\0\0\0\0abc\0\0"[..]), "{name}");
        assert_eq!((&entries[1].0.path, &*entries[1].1), (&"next".into(), &b"x"[..]), "{name}");
    }
    // Eight exabytes in a kilobyte.
    let bomb = pax(&[("GNU.sparse.size", b"9000000000000000000"), ("GNU.sparse.map", b"")]);
    assert!(matches!(fault(&deb(&[bomb, member(b"x", b'0', b"")])), Fault::Limit { .. }));
}

#[test]
fn hostile_members_are_refused_by_name() {
    let many = vec![pax(&[("comment", b"x")]); 17].concat();
    let file = || member(b"x", b'0', b"");
    let lying = tar_header(b"x", b'0', 1 << 30, |_| {});
    for (members, problem) in [
        (vec![member(b"./../x", b'0', b"")], "entry './../x' leads out of a directory by '..'"),
        (vec![member(b"a/../../x", b'0', b"")], "leads out"),
        (vec![pax(&[("path", b"a\0b")]), file()], "has a NUL in its name"),
        (vec![member(b"", b'0', b"")], "has no name"),
        (
            vec![link(b"usr/x", b'2', b"/etc"), member(b"usr/x/passwd", b'0', b"")],
            "lies below the symbolic link",
        ),
        (vec![file(), file()], "entry 'x' comes twice"),
        (vec![link(b"y", b'1', b"/etc/shadow")], "is a hard link to what did not come before"),
        (vec![link(b"y", b'1', b"../x")], "leads out"),
        (vec![link(b"y", b'2', b"")], "is a link to nothing"),
        (vec![member(b"x", b'5', b"abc")], "has a content, and is no file"),
        (vec![member(b"x", b'V', b"")], "is of a type that is not known"),
        (vec![many, file()], "more than 16 headers"),
        (vec![tar_header(b"pax", b'x', 1 << 21, |_| {})], "too large"),
        (vec![tar_header(b"long", b'L', 1 << 21, |_| {})], "too large"),
        (vec![lying], "ends inside its"),
        (vec![vec![b'x'; 512]], "a number is none"),
        (vec![member(b"x", b'0', b"")[..300].to_vec()], "checksum is wrong"),
        (vec![pax(&[("size", b"9223372036854775808")]), file()], "a size is too large"),
        (vec![pax(&[("uid", b"4294967296")]), file()], "has an owner beyond 32 bits"),
    ] {
        let fault = fault(&deb(&members)).to_string();
        assert!(fault.contains(problem), "{problem}: {fault}");
    }
    let error = read(&deb(&[member(b"../x", b'0', b"")])).expect_err("hostile").to_string();
    assert_eq!(error, "package 'made.package': entry '../x' leads out of a directory by '..'");
}

#[test]
fn hostile_layers_are_refused() {
    let control = tar(&[member(b"control", b'0', CONTROL)]);
    let (binary, control, data) =
        (("debian-binary", &b"2.0\n"[..]), ("control.tar", &control[..]), ("data.tar", &[][..]));
    for (members, problem) in [
        (&[control, binary, data][..], "its first member is not 'debian-binary'"),
        (&[binary, data, control], "in this order"),
        (&[binary, control], "it lacks control.tar or data.tar"),
        (&[binary, control, ("x", b""), data], "in this order"),
        (&[("debian-binary", b"3.0\n"), control, data], "has format '3.0', which is not known"),
        (&[("debian-binary", b"2.0"), control, data], "has format '2.0', which is not known"),
        (&[], "ends inside its ar archive"),
        (&[binary, ("control.tar", &[]), data], "it has no file 'control'"),
    ] {
        let error = open(&ar(members)).expect_err(problem).to_string();
        assert!(error.contains(problem), "{problem}: {error}");
    }
    assert!(open(&ar(&[("debian-binary", b"2.1\nmore\n"), control, data])).is_ok());
    for (text, problem) in [
        (&b"Package: a\nVersion: 1\n"[..], "no field 'Architecture'"),
        (b"Package: a\nVersion: 1\nArchitecture: all\n\nPackage: b\n", "not one stanza"),
        (b"Package: a\nVersion: 1 2\nArchitecture: all\n", "has blanks inside"),
        (b"Package: a\nArchitecture: all\n", "no field 'Version'"),
        (b"x", "control file: line 1"),
        (b"", "not one stanza"),
    ] {
        let package = deb_with(&[member(b"control", b'0', text)], &[data]);
        let error = open(&package).expect_err(problem).to_string();
        assert!(error.contains(problem), "{problem}: {error}");
    }
}

#[test]
fn a_file_that_is_not_its_digest_is_refused_unless_nobody_asks() {
    let sums = member(b"md5sums", b'0', b"900150983cd24fb0d6963f7d28e17f72  a\n");
    let control = [member(b"control", b'0', CONTROL), sums];
    let package = deb_with(&control, &[("data.tar", &tar(&[member(b"a", b'0', b"abd")]))]);
    let fault = fault(&package).to_string();
    assert!(fault.starts_with("file 'a' has digest") && fault.contains("900150983cd24fb0"), "{fault}");
    // Content that nobody reads is compared all the same.
    let opened = open(&package).expect("it is right so far");
    assert!(opened.visit(&Limits::default(), |_, _| Ok::<_, Error>(())).is_err());
    let limits = Limits { check_files: false, ..Limits::default() };
    assert!(opened.visit(&limits, |_, _| Ok::<_, Error>(())).is_ok());
}

#[test]
fn a_visitor_can_stop_and_entries_can_be_counted() {
    let opened = open(&deb(&[member(b"a", b'0', b"abc"), member(b"b", b'0', b"de")])).expect("a right one");
    let summary = opened.visit(&Limits::default(), |_, _| Ok::<_, Error>(())).expect("a right one");
    assert_eq!((summary.entries, summary.bytes), (2, 5));
    let mut seen = 0;
    let result = opened.visit(&Limits::default(), |_, _| -> Result<(), Box<dyn std::error::Error>> {
        seen += 1;
        Err("enough".into())
    });
    assert_eq!((seen, result.expect_err("it was stopped").to_string()), (1, "enough".to_owned()));
    let limits = Limits { entries: 1, ..Limits::default() };
    let result = opened.visit(&limits, |_, _| Ok::<_, Error>(()));
    assert!(matches!(result.expect_err("one too many").fault, Fault::Limit { limit: 1, .. }));
}
