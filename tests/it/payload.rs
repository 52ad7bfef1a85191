//! Package files that dpkg-deb and rpmbuild made, read as dpkg and rpm read them; and right ones, changed at random.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use onlay::package::archive::{Error, Kind, Limits, PackageFile};
use onlay::package::digest::Algorithm;

use crate::debian::{command, expect_success, place, tree};

#[path = "../../fuzz/invariants/payload.rs"]
mod invariants;

/// What a file is, as one line: type, permissions, times, and content or target.
fn line(kind: char, mode: u32, mtime: i64, content: &str) -> String {
    format!("{kind} {mode:o} {mtime} {content}")
}

/// All entries of a package: lines by path. Hard links have what they are links to.
fn entries(package: &Path, with_times: bool) -> BTreeMap<PathBuf, String> {
    let package = PackageFile::open(package).unwrap_or_else(|error| panic!("{error}"));
    let mut found: BTreeMap<PathBuf, String> = BTreeMap::new();
    let visit = package.visit(&Limits::default(), |entry, content| -> Result<(), Error> {
        let (kind, text) = match &entry.kind {
            Kind::File => ('-', digest(content)),
            Kind::Directory => ('d', String::new()),
            Kind::Symlink(target) => ('l', target.as_bytes().escape_ascii().to_string()),
            Kind::Hardlink(target) => {
                let same = found[target].clone();
                found.insert(entry.path.clone(), same);
                return Ok(());
            }
            Kind::CharacterDevice(device) => ('c', format!("{}:{}", device.major, device.minor)),
            Kind::Fifo => ('p', String::new()),
            other => panic!("{other:?}"),
        };
        let mtime = if with_times { entry.mtime } else { 0 };
        found.insert(entry.path.clone(), line(kind, entry.mode, mtime, &text));
        Ok(())
    });
    visit.unwrap_or_else(|error| panic!("{error}"));
    found
}

fn digest(content: impl Read) -> String {
    Algorithm::Sha256.digest(content).expect("it can be read").to_string()
}

/// The same of what another program unpacked.
fn unpacked(top: &Path, with_times: bool) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata().expect("it is there");
        let kind = metadata.mode() & 0o170_000;
        let (kind, text) = match kind {
            0o100_000 => ('-', digest(fs::File::open(&path).expect("readable"))),
            0o040_000 => ('d', String::new()),
            0o120_000 => {
                let target = fs::read_link(&path).expect("a link");
                ('l', target.as_os_str().as_bytes().escape_ascii().to_string())
            }
            0o020_000 => ('c', format!("{}:{}", metadata.rdev() >> 8 & 0xff, metadata.rdev() & 0xff)),
            0o010_000 => ('p', String::new()),
            other => panic!("{}: {other:o}", path.display()),
        };
        if kind == 'd' {
            left.extend(fs::read_dir(&path).expect("readable").map(|entry| entry.expect("readable").path()));
        }
        let mtime = if with_times { metadata.mtime() } else { 0 };
        let inside = path.strip_prefix(top).expect("below it").to_owned();
        found.insert(inside, line(kind, metadata.mode() & 0o7777, mtime, &text));
    }
    found
}

/// A directory with a file of each kind, and what makes a package of it.
fn make_source(source: &Path) {
    let long = "n".repeat(200);
    fs::create_dir_all(source.join("DEBIAN")).expect("made");
    fs::create_dir_all(source.join("usr/share").join(&long)).expect("made");
    let control =
        "Package: made\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: x\n";
    fs::write(source.join("DEBIAN/control"), control).expect("written");
    let file = |name: &OsStr, content: &[u8]| {
        let path = source.join("usr/share").join(name);
        fs::write(&path, content).expect("written");
        path
    };
    let plain = file("plain".as_ref(), &b"0123456789".repeat(50_000));
    fs::hard_link(&plain, source.join("usr/share/hard")).expect("linked");
    fs::hard_link(&plain, source.join("usr/share").join(&long).join("hard")).expect("linked");
    file(OsStr::from_bytes(b"not \xff\xfe UTF-8"), b"x");
    file("empty".as_ref(), b"");
    let setuid = file("setuid".as_ref(), b"x");
    expect_success(command("chmod").arg("4755").arg(setuid));
    symlink("../..//somewhere", source.join("usr/share/symlink")).expect("linked");
    symlink("x".repeat(150), source.join("usr/share/long")).expect("linked");
    expect_success(command("mkfifo").arg(source.join("usr/share/fifo")));
    if rustix::process::geteuid().is_root() {
        expect_success(command("chown").arg("7:8").arg(&plain));
    }
}

#[test]
fn a_debian_package_is_what_dpkg_unpacks() {
    let place = place();
    let source = place.path().join("source");
    make_source(&source);
    for compression in ["none", "gzip", "xz", "zstd"] {
        let package = place.path().join(format!("{compression}.deb"));
        let build = format!("-Z{compression}");
        expect_success(command("dpkg-deb").args([&*build, "--build"]).arg(&source).arg(&package));
        let there = place.path().join(compression);
        expect_success(command("dpkg-deb").arg("--extract").arg(&package).arg(&there));
        let found = entries(&package, true);
        assert!(found.len() > 12, "{found:?}");
        assert_eq!(found, unpacked(&there, true), "{compression}");
        owners_are_those_of(&package, &there);
    }
}

/// Owners by number, where these tests may give files away.
fn owners_are_those_of(package: &Path, there: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let package = PackageFile::open(package).expect("it was read before");
    let visit = package.visit(&Limits::default(), |entry, _| -> Result<(), Error> {
        let metadata = there.join(&entry.path).symlink_metadata().expect("unpacked");
        assert_eq!(
            (entry.user.id, entry.group.id),
            (Some(metadata.uid()), Some(metadata.gid())),
            "{entry:?}"
        );
        Ok(())
    });
    visit.expect("a right one");
}

#[test]
fn an_rpm_package_is_what_rpm_unpacks() {
    let Some(tree) = tree("rpm-sqlite") else { return };
    let repository = tree.join("srv/repo");
    let mut packages: Vec<PathBuf> = Vec::new();
    for place in ["base/noarch", "base/x86_64"] {
        let found = fs::read_dir(repository.join(place)).expect("the tree has it");
        packages.extend(found.map(|entry| entry.expect("readable").path()));
    }
    packages.sort();
    // All that were made to be difficult, and some of Debian's.
    let is_lab = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"lab-"));
    let (lab, others): (Vec<_>, Vec<_>) = packages.into_iter().partition(is_lab);
    assert!(lab.len() > 10 && others.len() > 100, "{} and {}", lab.len(), others.len());
    for package in lab.iter().chain(others.iter().step_by(15)) {
        let place = place();
        let script = "cd \"$1\" && rpm2cpio \"$2\" | cpio --extract --make-directories --quiet";
        expect_success(command("sh").args(["-euc", script, "-"]).arg(place.path()).arg(package));
        let found = entries(package, false);
        let mut there = unpacked(place.path(), false);
        // Directories on the way that are not the package's.
        there.retain(|path, _| {
            found.contains_key(path)
                || place.path().join(path).symlink_metadata().is_ok_and(|metadata| !metadata.is_dir())
        });
        assert_eq!(found, there, "{}", package.display());
        assert_eq!(told_by_us(package), told_by_rpm(package), "{}", package.display());
    }
}

/// Owners, times, flags and capabilities of what is in the payload.
fn told_by_us(package: &Path) -> Vec<String> {
    let package = PackageFile::open(package).expect("it was read before");
    let mut found = Vec::new();
    let visit = package.visit(&Limits::default(), |entry, _| -> Result<(), Error> {
        let name = |owner: &onlay::package::archive::Owner| owner.name.clone().unwrap_or_default();
        let (user, group) = (name(&entry.user), name(&entry.group));
        let path = entry.path.as_os_str().as_bytes().escape_ascii();
        found.push(format!(
            "/{path} {} {} {} {} {}",
            user.display(),
            group.display(),
            entry.mtime,
            entry.flags.0,
            entry.xattrs.len()
        ));
        Ok(())
    });
    visit.expect("a right one");
    found.sort();
    found
}

fn told_by_rpm(package: &Path) -> Vec<String> {
    let format =
        "[%{FILENAMES}\t%{FILEUSERNAME}\t%{FILEGROUPNAME}\t%{FILEMTIMES}\t%{FILEFLAGS}\t%{FILECAPS}\n]";
    let output = expect_success(command("rpm").args(["-qp", "--nosignature", "--qf", format]).arg(package));
    let mut found = Vec::new();
    for row in output.stdout.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
        let words: Vec<_> =
            row.split(|byte| *byte == b'\t').map(|word| word.escape_ascii().to_string()).collect();
        let [path, user, group, mtime, flags, caps] = &words[..] else { panic!("{words:?}") };
        let is_ghost = flags.parse::<u32>().expect("a number") & 64 != 0;
        if !is_ghost {
            let caps = usize::from(!matches!(&**caps, "" | "(none)"));
            found.push(format!("{path} {user} {group} {mtime} {flags} {caps}"));
        }
    }
    found.sort();
    found
}

#[test]
fn a_package_changed_at_random_is_refused_or_sound() {
    let place = place();
    let source = place.path().join("source");
    make_source(&source);
    fs::write(source.join("usr/share/plain"), "less").expect("written");
    let package = place.path().join("made.deb");
    expect_success(command("dpkg-deb").args(["-Znone", "--build"]).arg(&source).arg(&package));
    let right = fs::read(&package).expect("readable");
    let mut chance = fastrand::Rng::with_seed(7);
    for _ in 0..500 {
        let mut changed = right.clone();
        for _ in 0..chance.usize(1..4) {
            let at = chance.usize(0..changed.len());
            match chance.u8(0..3) {
                0 => changed[at] = chance.u8(..),
                1 => changed.truncate(at.max(100)),
                // A block as often as not: members that come twice, or are not there.
                _ => {
                    let (at, end) = (at / 512 * 512, (at / 512 + chance.usize(1..4)) * 512);
                    let blocks = changed[at..end.min(changed.len())].to_vec();
                    let to = chance.usize(0..changed.len()) / 512 * 512;
                    drop(changed.splice(to..to, blocks));
                }
            }
        }
        invariants::package(&changed, tempfile::tempfile().expect("a place for files"));
    }
}
