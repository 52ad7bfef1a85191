//! The database that is measured: as many packages and files as a large installation has.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use onlay::package::Header;
use onlay::package::digest::Algorithm;
use onlay::package::header::{Builder, Value, tag};
use onlay::package::relation::Sense;
use onlay::pkgdb::rpm::{Backend, Prepared, create};
use onlay::sys::Root;

// What rpm wants of a package before it removes it.
const OS: u32 = 1021;
const FILE_VERIFY_FLAGS: u32 = 1045;
const FILE_DEVICES: u32 = 1095;
const FILE_LANGUAGES: u32 = 1097;

/// Makes a database of packages number 0 to `packages` in a directory. `version` says which version each has.
pub(crate) fn make(backend: Backend, packages: usize, version: impl Fn(usize) -> u32, directory: &Path) {
    std::fs::create_dir_all(directory).expect("our directory");
    let mut blobs = (0..packages).map(|number| Ok(Cow::from(package(number, version(number)))));
    create(backend, &mut blobs, &Root::open(directory).expect("our directory"), Duration::ZERO)
        .and_then(Prepared::commit)
        .expect("there is room");
}

/// How rpm names a package.
pub(crate) fn label(number: usize, version: u32) -> String {
    format!("package{number}-{version}.{number}-1.x86_64")
}

/// Files of a package: few have many.
pub(crate) fn files(number: usize) -> usize {
    match number % 50 {
        0 => 2600,
        rest => 40 + rest * 3,
    }
}

pub(crate) fn path_of(number: usize, file: usize) -> String {
    format!("{}{}", directory(number, file), basename(number, file))
}

fn directory(number: usize, file: usize) -> String {
    format!("/usr/share/package{number}/part{}/", file / 12)
}

fn basename(number: usize, file: usize) -> String {
    format!("file-{file}-of-{}.data", number % 97)
}

/// A header as large as those that people have.
pub(crate) fn package(number: usize, version: u32) -> Vec<u8> {
    let count = files(number);
    let text = |text: String| Value::String(text.into_bytes());
    let strings = |count: usize, make: &dyn Fn(usize) -> String| {
        Value::Strings((0..count).map(|index| make(index).into_bytes()).collect())
    };
    let numbers = |make: &dyn Fn(usize) -> u32| Value::Int32((0..count).map(make).collect());
    let digest =
        |index: usize| format!("{:064x}", (number as u128 + 1) * 0x9e37_79b9_7f4a_7c15 * (index as u128 + 1));
    let whole = u128::from(version) << 64 | number as u128;
    // Names that many provide and need; and each package itself, in its version, which few need.
    let (needed, provided) = (20, 5);
    let with_last = |last: String, count: usize, make: &dyn Fn(usize) -> String| {
        Value::Strings((0..count).map(make).chain([last]).map(String::into_bytes).collect())
    };
    let blob = Builder::new()
        .add(tag::NAME, text(format!("package{number}")))
        .add(tag::VERSION, text(format!("{version}.{number}")))
        .add(tag::RELEASE, text("1".to_owned()))
        .add(tag::ARCH, text("x86_64".to_owned()))
        .add(tag::GROUP, text("Unspecified".to_owned()))
        .add(tag::SUMMARY, Value::Translated(vec![vec![b's'; 60]]))
        .add(tag::BASENAMES, strings(count, &|file| basename(number, file)))
        .add(tag::DIRNAMES, strings(count.div_ceil(12), &|part| directory(number, part * 12)))
        .add(tag::DIR_INDEXES, numbers(&|file| file as u32 / 12))
        .add(tag::FILE_MODES, Value::Int16(vec![0o100_644; count]))
        .add(tag::FILE_DIGESTS, strings(count, &digest))
        .add(tag::FILE_DIGEST_ALGORITHM, Value::Int32(vec![8]))
        .add(tag::FILE_FLAGS, numbers(&|_| 0))
        .add(tag::FILE_SIZES, numbers(&|file| file as u32))
        .add(tag::FILE_MTIMES, numbers(&|_| 1_700_000_000))
        .add(tag::FILE_LINK_TOS, strings(count, &|_| String::new()))
        .add(tag::FILE_USER_NAME, strings(count, &|_| "root".to_owned()))
        .add(tag::FILE_GROUP_NAME, strings(count, &|_| "root".to_owned()))
        // Without it, rpm takes a package for one of sources.
        .add(tag::SOURCE_RPM, text(format!("package{number}-{version}.{number}-1.src.rpm")))
        .add(OS, text("linux".to_owned()))
        .add(tag::FILE_RDEVS, Value::Int16(vec![0; count]))
        .add(FILE_VERIFY_FLAGS, numbers(&|_| u32::MAX))
        .add(FILE_DEVICES, numbers(&|_| 1))
        .add(FILE_LANGUAGES, strings(count, &|_| String::new()))
        .add(tag::FILE_INODES, numbers(&|file| file as u32 + 1))
        .add(
            tag::REQUIRE_NAME,
            with_last(format!("package{}", number / 2), needed, &|index| {
                format!("capability{}", (number + index * 7) % 500)
            }),
        )
        .add(tag::REQUIRE_FLAGS, Value::Int32(vec![0; needed + 1]))
        .add(tag::REQUIRE_VERSION, strings(needed + 1, &|_| String::new()))
        .add(
            tag::PROVIDE_NAME,
            with_last(format!("package{number}"), provided, &|index| {
                format!("capability{}", (number * 5 + index) % 500)
            }),
        )
        .add(tag::PROVIDE_FLAGS, Value::Int32([vec![0; provided], vec![Sense::EQUAL.0]].concat()))
        .add(tag::PROVIDE_VERSION, with_last(format!("{version}.{number}-1"), provided, &|_| String::new()))
        .dribble(tag::SIG_MD5, Value::Binary(whole.to_be_bytes().to_vec()))
        .dribble(tag::INSTALL_TIME, Value::Int32(vec![1_700_000_000]))
        .dribble(tag::FILE_STATES, Value::Char(vec![0; count]))
        .dribble(tag::INSTALL_TID, Value::Int32(vec![1_700_000_000]))
        .build();
    with_digests(blob)
}

/// With the digests that rpm checks, as it has written them since 2017.
fn with_digests(mut blob: Vec<u8>) -> Vec<u8> {
    for (tag, algorithm) in [(tag::SHA1_HEADER, Algorithm::Sha1), (tag::SHA256_HEADER, Algorithm::Sha256)] {
        let header = Header::parse(&blob).expect("it was just made");
        let region = header.region().expect("it was just made");
        let digest = algorithm.digest(&*region).expect("memory can be read").to_string();
        blob = header.with(tag, &Value::String(digest.into_bytes())).expect("it has a region");
    }
    blob
}
