//! `onlay store`: a directory that sha256sum reads, and what is wrong with one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::debian::{ONLAY, command, expect_success, place, words};

/// A store, and images to put into it.
pub(crate) struct Bed {
    place: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn make() -> Bed {
        let bed = Bed { place: place() };
        let (code, said) = bed.onlay(&["init", "store"]);
        let told = "onlay: made the store store\nonlay: nobody signs it: '";
        assert!(code == Some(0) && said.starts_with(told), "{said}");
        bed
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut onlay = command(ONLAY);
        onlay.arg("store").args(arguments).current_dir(self.place.path());
        onlay.env("ONLAY_STORE_KEYS", self.at("keys")).env_remove("ONLAY_STORE_KEY");
        onlay.output().expect("it was started")
    }

    pub(crate) fn onlay(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        (output.status.code(), words(&output).trim().to_owned() + "\n")
    }

    /// An image for debian 13 with a file of this content, under a name.
    pub(crate) fn image(&self, file: &str, extension: &str, content: &str, release: &str) -> PathBuf {
        let tree = self.at("tree");
        let releases = tree.join("usr/lib/extension-release.d");
        fs::create_dir_all(&releases).expect("ours");
        fs::write(releases.join(format!("extension-release.{extension}")), release).expect("ours");
        fs::write(tree.join("usr/lib/content"), content).expect("ours");
        let image = self.at(file);
        let mut mksquashfs = command("mksquashfs");
        mksquashfs.arg(&tree).arg(&image).args(["-noappend", "-quiet", "-no-progress", "-all-root"]);
        expect_success(&mut mksquashfs);
        fs::remove_dir_all(&tree).expect("ours");
        image
    }

    pub(crate) fn good(&self, version: &str) -> String {
        let file = format!("gdb_{version}_x86-64.raw");
        self.image(&file, "gdb", version, "ID=debian\nVERSION_ID=13\nARCHITECTURE=x86-64\n");
        file
    }

    pub(crate) fn index(&self) -> Value {
        let text = fs::read(self.at("store/index.json")).expect("a store has one");
        serde_json::from_slice::<Value>(&text).expect("it is JSON")["index"].take()
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.at("store")).expect("it is there");
        let mut names: Vec<String> = names
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name of ours"))
            .collect();
        names.sort();
        names
    }

    /// Lists all files of a directory as others do.
    fn sum(&self, directory: &str) {
        let list = "rm -f SHA256SUMS; find * -type f -exec sha256sum {} + >../sums; mv ../sums SHA256SUMS";
        expect_success(command("sh").args(["-c", list]).current_dir(self.at(directory)));
    }

    /// What sha256sum says of the store.
    pub(crate) fn expect_sums(&self) {
        let mut sums = command("sha256sum");
        sums.args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(self.at("store"));
        expect_success(&mut sums);
    }
}

#[test]
fn images_come_and_go_and_the_lists_with_them() {
    let bed = Bed::make();
    let versions = ["9.1-1", "10.0~rc1-1", "10.0-1"].map(|version| bed.good(version));
    let said = bed.onlay(&["add", "store", &versions[0], &versions[1], &versions[2]]);
    assert_eq!(said.0, Some(0), "{}", said.1);
    assert!(
        said.1.contains("gdb_10.0~rc1-1_x86-64.raw is not seen by systemd-sysupdate before 258"),
        "{}",
        said.1
    );
    assert!(
        said.1.contains("not for hosts with systemd 252: it has no usr/lib/extension-release.d"),
        "{}",
        said.1
    );
    bed.expect_sums();
    let index = bed.index();
    assert_eq!((&index["serial"], index["images"].as_array().map(Vec::len)), (&2.into(), Some(3)));
    assert_eq!(index["images"][0]["release"]["VERSION_ID"], "13");
    assert_eq!(bed.onlay(&["verify", "store"]).0, Some(0));
    // What is there already changes nothing.
    let said = bed.onlay(&["add", "store", &versions[0]]);
    assert!(said.1.contains("gdb_9.1-1_x86-64.raw is there already"), "{}", said.1);
    assert_eq!(bed.index()["serial"], 2);

    assert_eq!(
        bed.onlay(&["prune", "store", "--keep", "2", "--dry-run"]).1,
        "would remove gdb_9.1-1_x86-64.raw\n"
    );
    assert_eq!(bed.files().len(), 5);
    assert_eq!(bed.onlay(&["prune", "store", "--keep", "2"]).1, "onlay: removed gdb_9.1-1_x86-64.raw\n");
    assert_eq!(bed.onlay(&["remove", "store", "gdb=10.0-1"]).1, "onlay: removed gdb_10.0-1_x86-64.raw\n");
    assert_eq!(bed.files(), ["SHA256SUMS", "gdb_10.0~rc1-1_x86-64.raw", "index.json"]);
    bed.expect_sums();
    let listed = bed.onlay(&["list", "store"]).1;
    assert!(listed.contains("gdb   10.0~rc1-1  x86-64        debian 13"), "{listed}");
    assert_eq!(bed.onlay(&["remove", "store", "gdb"]).0, Some(0));
    assert_eq!(bed.onlay(&["remove", "store", "gdb"]).0, Some(1));
    assert_eq!(bed.files(), ["SHA256SUMS", "index.json"]);
}

#[test]
fn what_no_host_would_merge_is_refused_and_nothing_is_added() {
    let bed = Bed::make();
    let good = bed.good("1");
    let release = "ID=debian\nVERSION_ID=13\nARCHITECTURE=x86-64\n";
    bed.image("strace_1_x86-64.raw", "other", "x", release);
    bed.image("lsof_1_arm64.raw", "lsof", "x", release);
    bed.image("perf_1_x86-64.raw", "perf", "x", "VERSION_ID=13\n");
    bed.image("what.raw", "what", "x", release);
    fs::write(bed.at("zero_1_x86-64.raw"), vec![0; 8192]).expect("ours");
    for (image, problem) in [
        (
            "strace_1_x86-64.raw",
            "would be merged nowhere: it has no usr/lib/extension-release.d/extension-release.strace",
        ),
        ("lsof_1_arm64.raw", "is for x86-64, and its name says arm64"),
        ("perf_1_x86-64.raw", "would be merged nowhere: it does not say which host it is for (ID=)"),
        ("what.raw", "has no name for a store"),
        ("zero_1_x86-64.raw", "zero_1_x86-64.raw"),
        ("none_1_x86-64.raw", "No such file"),
    ] {
        let said = bed.onlay(&["add", "store", &good, image]);
        assert!(said.0 == Some(1) && said.1.contains(problem), "{image}: {}", said.1);
        assert_eq!(bed.files(), ["SHA256SUMS", "index.json"], "{image}");
    }
    assert_eq!(bed.onlay(&["add", "store", &good]).0, Some(0));
    bed.image(&good, "gdb", "another", release);
    let said = bed.onlay(&["add", "store", &good]);
    assert!(said.1.contains("the store has another 'gdb_1_x86-64.raw'"), "{}", said.1);
    assert_eq!(bed.onlay(&["init", "store"]).0, Some(1));
    // Where images are, an index can be made of them.
    for words in [&["init", "."][..], &["add", ".", &good]] {
        assert!(bed.onlay(words).1.contains("'.' has what is a store's, and no index.json"));
    }
    fs::create_dir_all(bed.at("other/thing")).expect("ours");
    assert!(bed.onlay(&["init", "other"]).1.contains("has files already"));
    assert!(bed.onlay(&["add", "other", &good]).1.contains("there is no store in 'other'"));
}

/// Each image has a few files, and shells let programs open few at once by themselves.
#[test]
fn many_images_come_at_once() {
    let bed = Bed::make();
    let one = bed.good("0");
    let files: Vec<String> = (1..60).map(|version| format!("gdb_{version}_x86-64.raw")).collect();
    for file in &files {
        fs::copy(bed.at(&one), bed.at(file)).expect("ours");
    }
    let mut prlimit = command("prlimit");
    prlimit.args(["--nofile=32:512", ONLAY, "store", "add", "store"]).args(&files);
    expect_success(prlimit.current_dir(bed.at(".")));
    assert_eq!(bed.index()["images"].as_array().map(Vec::len), Some(59));
}

#[test]
fn what_is_not_as_it_is_listed_is_found() {
    let bed = Bed::make();
    let files = ["1", "2", "3"].map(|version| bed.good(version));
    assert_eq!(bed.onlay(&["add", "store", &files[0], &files[1], &files[2]]).0, Some(0));
    let store = bed.at("store");
    let index = fs::read_to_string(store.join("index.json")).expect("it is there");
    fs::write(store.join("index.json"), index.replacen("\"version\":\"2\"", "\"version\":\"4\"", 1))
        .expect("ours");
    fs::write(store.join(&files[0]), "x").expect("ours");
    fs::rename(store.join(&files[2]), store.join("gdb_5_x86-64.raw")).expect("ours");
    let verified = bed.run(&["verify", "store", "--json"]);
    assert_eq!(verified.status.code(), Some(1));
    let verified: Value = serde_json::from_slice(&verified.stdout).expect("it is JSON");
    let expected = [
        "gdb_1_x86-64.raw is not what is listed: it has another digest",
        "index.json says of gdb_2_x86-64.raw what it is not: its version",
        "gdb_3_x86-64.raw is listed, and not there",
        "gdb_5_x86-64.raw is not listed",
    ];
    assert_eq!(verified["flaws"], Value::from(expected.to_vec()));
    fs::write(store.join("SHA256SUMS"), "x").expect("ours");
    fs::write(store.join("index.json"), "{}").expect("ours");
    let said = bed.onlay(&["verify", "store"]);
    assert_eq!(said.0, Some(1), "{}", said.1);
}

#[test]
fn a_store_of_others_is_looked_at_as_well() {
    let bed = Bed::make();
    let others = bed.at("others");
    fs::create_dir_all(others.join("gdb")).expect("ours");
    bed.image("others/gdb/gdb-16.3.x86-64.raw", "gdb-16.3.x86-64", "x", "ID=_any\n");
    bed.sum("others");
    let said = bed.onlay(&["verify", "others"]);
    assert!(
        said.1.starts_with("1 image, ") && said.1.contains("all is as it is listed; it has no index"),
        "{}",
        said.1
    );
    fs::remove_file(others.join("SHA256SUMS")).expect("ours");
    assert!(bed.onlay(&["verify", "others"]).1.contains("there is no store in 'others'"));
}

/// As importctl and systemd-sysupdate take them, and clients of ours: what is in them counts, and no copy stays.
#[test]
fn images_that_are_compressed_as_a_whole_are_looked_into() {
    let bed = Bed::make();
    let others = bed.at("others");
    fs::create_dir(&others).expect("ours");
    let release = "ID=debian\nVERSION_ID=13\nARCHITECTURE=x86-64\n";
    let mut random = fastrand::Rng::with_seed(1);
    let large: String = std::iter::repeat_with(|| random.alphanumeric()).take(40_000).collect();
    for (version, packer, ending) in [("1", "xz", "xz"), ("2", "gzip", "gz"), ("3", "bzip2", "bz2")] {
        let file = format!("others/gdb_{version}_x86-64.raw");
        // One of them is larger than the others.
        let content = if version == "1" { &*large } else { version };
        expect_success(command(packer).arg(bed.image(&file, "gdb", content, release)));
        assert!(others.join(format!("gdb_{version}_x86-64.raw.{ending}")).exists());
    }
    let in_zstd = |name: &str, bytes: &[u8]| {
        let packed = zstd::encode_all(bytes, 3).expect("in memory");
        fs::write(others.join(name), &packed).expect("ours");
        packed
    };
    let image = fs::read(bed.image("image", "gdb", "4", release)).expect("ours");
    let whole = in_zstd("gdb_4_x86-64.raw.zst", &image);
    let named = bed.image("image", "gdb-4.x86-64", "4", release);
    in_zstd("gdb-4.x86-64.raw.zst", &fs::read(named).expect("ours"));
    bed.sum("others");
    let said = bed.onlay(&["verify", "others"]);
    assert!(said.0 == Some(0) && said.1.starts_with("5 images, "), "{}", said.1);

    fs::write(others.join("gdb_5_x86-64.raw.zst"), &whole[..whole.len() - 9]).expect("ours");
    in_zstd("gdb_6_x86-64.raw.zst", b"no image");
    in_zstd("gdb_7_arm64.raw.zst", &image);
    in_zstd("other_8_x86-64.raw.zst", &fs::read(bed.image("image", "gdb", "8", "")).expect("ours"));
    in_zstd("gdb.raw.zst", &image);
    fs::write(others.join("gdb_9_x86-64.raw.gz"), &whole).expect("ours");
    bed.sum("others");
    in_zstd("gdb_10_x86-64.raw.zst", &image);
    fs::create_dir(bed.at("work")).expect("ours");
    let verify = ["store", "verify", "others", "--json"];
    let mut onlay = command(ONLAY);
    onlay.args(verify).current_dir(bed.place.path()).env("TMPDIR", bed.at("work"));
    let verified = onlay.output().expect("it was started");
    assert_eq!(verified.status.code(), Some(1));
    let flaws: Value = serde_json::from_slice(&verified.stdout).expect("it is JSON");
    let flaws: Vec<&str> =
        flaws["flaws"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let expected = [
        "gdb.raw.zst: its name is none of NAME_VERSION_ARCHITECTURE.raw.zst",
        "gdb_5_x86-64.raw.zst: it cannot be unpacked: ends inside its compressed data",
        "gdb_6_x86-64.raw.zst: ",
        "gdb_7_arm64.raw.zst: 'others/gdb_7_arm64.raw.zst' is for x86-64, and its name says arm64",
        "gdb_9_x86-64.raw.gz: it cannot be unpacked: bad gzip data: ",
        "other_8_x86-64.raw.zst: 'others/other_8_x86-64.raw.zst' would be merged nowhere: ",
        "gdb_10_x86-64.raw.zst is not listed",
    ];
    let is_told = flaws.iter().zip(expected).all(|(flaw, expected)| flaw.starts_with(expected));
    assert!(is_told && flaws.len() == expected.len(), "{flaws:#?}");
    assert!(!flaws[2].contains("unpacked"), "{}", flaws[2]);
    assert_eq!(fs::read_dir(bed.at("work")).expect("it is there").count(), 0);

    // Where there is no room for one, that is told of it, and the others are looked at all the same.
    let full = "mount -t tmpfs -o size=8k none work; exec \"$0\" store verify others";
    let mut onlay = command("unshare");
    onlay.args(["--mount", "--propagation", "private", "sh", "-c", full, ONLAY]);
    let said = words(&onlay.current_dir(bed.place.path()).env("TMPDIR", "work").output().expect("started"));
    let no_room =
        "gdb_1_x86-64.raw.xz: it cannot be unpacked: cannot write a file in 'work': No space left on device";
    assert!(said.contains(no_room) && said.contains(expected[1]), "{said}");
}

/// What is left undone where somebody was killed between the two lists is done next time; two do not write at once.
#[test]
fn a_store_is_written_by_one_and_whole() {
    let bed = Bed::make();
    let (one, two) = (bed.good("1"), bed.good("2"));
    assert_eq!(bed.onlay(&["add", "store", &one]).0, Some(0));
    let before = fs::read(bed.at("store/SHA256SUMS")).expect("it is there");
    assert_eq!(bed.onlay(&["add", "store", &two]).0, Some(0));
    fs::write(bed.at("store/SHA256SUMS"), before).expect("ours");
    assert_eq!(bed.onlay(&["verify", "store"]).0, Some(1));
    assert_eq!(bed.onlay(&["add", "store", &two]).0, Some(0));
    assert_eq!(bed.onlay(&["verify", "store"]).0, Some(0));
    bed.expect_sums();

    let mut flock = command("flock");
    flock.arg("--exclusive").arg(bed.at("store")).arg(ONLAY);
    flock.args(["store", "remove"]).arg(Path::new("store")).arg("gdb").current_dir(bed.place.path());
    let said = words(&flock.output().expect("flock is there"));
    assert!(said.contains("another program is writing the store 'store'"), "{said}");
    assert_eq!(bed.files().len(), 4);
}

/// Neither squashfs nor erofs has checksums, but what is built has a manifest.
#[test]
fn what_is_not_as_it_was_built_is_refused_and_what_was_lost_comes_back() {
    let bed = Bed::make();
    let base = bed.at("base/usr/lib");
    fs::create_dir_all(&base).expect("ours");
    fs::write(base.join("os-release"), "ID=lab\nVERSION_ID=1\n").expect("ours");
    let tree = bed.at("own/usr/share/lab");
    fs::create_dir_all(&tree).expect("ours");
    fs::write(tree.join("word"), "unchanged").expect("ours");
    let mut onlay = command(ONLAY);
    onlay.args([
        "--root",
        "base",
        "build",
        "lab",
        "--version",
        "1",
        "--tree",
        "own",
        "--compression",
        "none",
    ]);
    expect_success(onlay.current_dir(bed.place.path()));
    let image = bed.at("lab_1_any.raw");
    let good = fs::read(&image).expect("it was built");
    assert_eq!(bed.onlay(&["add", "store", "lab_1_any.raw"]).0, Some(0));
    let stored = bed.at("store/lab_1_any.raw");
    for lose in [|path: &Path| fs::remove_file(path), |path: &Path| fs::write(path, "x")] {
        lose(&stored).expect("ours");
        assert_eq!(bed.onlay(&["verify", "store"]).0, Some(1));
        let said = bed.onlay(&["add", "store", "lab_1_any.raw"]);
        assert_eq!(said, (Some(0), "onlay: added lab_1_any.raw\n".to_owned()));
        assert_eq!(bed.onlay(&["verify", "store"]).0, Some(0));
    }
    // Another name makes it no other version.
    fs::copy(&image, bed.at("lab_2_any.raw")).expect("ours");
    let said = bed.onlay(&["add", "store", "lab_2_any.raw"]);
    let told = "onlay: 'lab_2_any.raw' is version 1, and its name says 2\nhint: give it the name back";
    assert!(said.0 == Some(1) && said.1.starts_with(told), "{}", said.1);
    let at = good.windows(9).position(|bytes| bytes == b"unchanged").expect("it is not compressed");
    let mut damaged = good;
    damaged[at..at + 9].copy_from_slice(b"replaced!");
    fs::write(&image, damaged).expect("ours");
    let said = bed.onlay(&["add", "store", "lab_1_any.raw"]);
    assert!(said.0 == Some(1) && said.1.contains("is not as it was built"), "{}", said.1);
}
