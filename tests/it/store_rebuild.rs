//! `onlay store rebuild`: the way out where the index was lost or is broken, by which nobody's words are signed but the store's own.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::debian::{command, expect_success};
use crate::store::Bed;

const RELEASE: &str = "ID=debian\nVERSION_ID=13\nARCHITECTURE=x86-64\n";

impl Bed {
    /// A store with images large enough for lists of blocks, and a patch of one for the next.
    fn fill(&self, options: &[&str]) {
        for (version, first) in [("1", 'a'), ("2", 'b')] {
            let image = format!("gdb_{version}_x86-64.raw");
            let releases = self.at("gdb/usr/lib/extension-release.d");
            fs::create_dir_all(&releases).expect("ours");
            fs::write(releases.join("extension-release.gdb"), RELEASE).expect("ours");
            fs::write(self.at("gdb/usr/lib/content"), content(first)).expect("ours");
            // Without compression, any version of its tools makes what can be patched.
            let mut mksquashfs = command("mksquashfs");
            mksquashfs.arg(self.at("gdb")).arg(self.at(&image)).args([
                "-noappend",
                "-quiet",
                "-no-progress",
                "-noD",
                "-noF",
            ]);
            expect_success(&mut mksquashfs);
            let (code, said) = self.onlay(&[&["add", "store", &image], options].concat());
            assert_eq!(code, Some(0), "{said}");
        }
        assert_eq!(self.index()["images"][1]["patches"].as_array().map(Vec::len), Some(1));
    }

    fn lose_index(&self) -> Value {
        let index = self.index();
        fs::remove_file(self.at("store/index.json")).expect("it is there");
        index
    }

    fn verify_is(&self, code: i32) {
        let said = self.onlay(&["verify", "store"]);
        assert_eq!(said.0, Some(code), "{}", said.1);
    }
}

/// Text that does not compress well and is the same every time, but for its beginning, by which all blocks are others.
fn content(first: char) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (state >> 33) as u8 % 90)
    };
    std::iter::once(first).chain((0..400_000).map(|_| next())).collect()
}

fn is_the_same(old: &Value, new: &Value) {
    assert_eq!((&old["images"], &old["keys"]), (&new["images"], &new["keys"]));
    assert!(old["serial"].as_u64() < new["serial"].as_u64(), "{} {}", old["serial"], new["serial"]);
}

#[test]
fn an_index_that_was_lost_is_made_anew_of_what_is_there() {
    let bed = Bed::make();
    bed.fill(&[]);
    let good = bed.good("3");
    let old = bed.lose_index();
    for stuck in
        [&["add", "store", &good][..], &["list", "store"], &["init", "store"], &["publish", "store", "x"]]
    {
        let (code, said) = bed.onlay(stuck);
        let told = "onlay: 'store' has what is a store's, and no index.json\nhint: ";
        assert!(
            code == Some(1) && said.starts_with(told) && said.contains(" store rebuild store'"),
            "{said}"
        );
    }
    let told = bed.onlay(&["rebuild", "store", "--dry-run"]).1;
    assert_eq!(told, "would list gdb_1_x86-64.raw\nwould list gdb_2_x86-64.raw\n");
    assert!(!bed.at("store/index.json").exists());
    let (code, said) = bed.onlay(&["rebuild", "store"]);
    assert!(code == Some(0) && said.contains("anew, with 2 images; it is signed by nobody"), "{said}");
    is_the_same(&old, &bed.index());
    bed.verify_is(0);
    bed.expect_sums();

    // One that is none, and one of which this program knows too little.
    for broken in ["", "{}", "{\"index\":{\"format\":1,\"serial\":"] {
        fs::write(bed.at("store/index.json"), broken).expect("ours");
        let (code, said) = bed.onlay(&["add", "store", &good]);
        assert!(code == Some(1) && said.contains(" store rebuild store'"), "{said}");
        assert!(bed.onlay(&["init", "store"]).1.contains(" store rebuild store'"));
        assert_eq!(bed.onlay(&["rebuild", "store"]).0, Some(0));
        is_the_same(&old, &bed.index());
    }
    let later = r#"{"index":{"format":7,"serial":1,"made":1,"images":[]},"signatures":[]}"#;
    fs::write(bed.at("store/index.json"), later).expect("ours");
    for refused in [&["rebuild", "store"][..], &["add", "store", &good]] {
        let (code, said) = bed.onlay(refused);
        assert!(
            code == Some(1) && said.contains("is 7, and this program knows 1") && !said.contains("rebuild"),
            "{said}"
        );
    }
    assert_eq!(bed.onlay(&["rebuild", "keys"]).0, Some(1));
}

/// When the list that it went by was signed, as it is told.
fn signed_at(said: &str) -> &str {
    let (_, at) = said.split_once("the list that was signed at ").expect("it is told");
    at.split_once(" UTC; if the store was changed after that, an old list was put back")
        .expect("and what it means")
        .0
}

/// What somebody puts back who can write there was signed, too; so it is told when that was.
#[test]
fn an_old_list_is_told_by_its_day() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    let (code, said) = bed.onlay(&["sign", "store", "--key", &format!("keys/{key}.key")]);
    assert_eq!(code, Some(0), "{said}");
    bed.fill(&[]);
    let (store, old) = (bed.at("store"), bed.at("old"));
    expect_success(command("cp").arg("-a").arg(&store).arg(&old));
    // Signatures have whole seconds.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let newer = bed.good("3");
    assert_eq!(bed.onlay(&["add", "store", &newer]).0, Some(0));
    bed.lose_index();
    let last = bed.onlay(&["rebuild", "store", "--dry-run"]).1;
    for entry in fs::read_dir(&old).expect("ours") {
        let name = entry.expect("ours").file_name();
        if name.to_string_lossy().starts_with("SHA256SUMS") {
            fs::copy(old.join(&name), store.join(&name)).expect("ours");
        }
    }
    let (code, said) = bed.onlay(&["rebuild", "store"]);
    assert!(
        code == Some(0) && said.contains(&format!("{newer} is not in it: it is not in the list")),
        "{said}"
    );
    assert!(signed_at(&said) < signed_at(&last), "{said}{last}");
    // Nor is one believed again whose day is over.
    let (code, said) = bed.onlay(&["sign", "store", "--best-before", "2020-01-01"]);
    assert!(code == Some(1) && said.contains("2020-01-01"), "{said}");
}

/// What is damaged, or cannot be in a store, is told, and the rest is there.
#[test]
fn what_cannot_be_taken_back_is_told() {
    let bed = Bed::make();
    bed.fill(&[]);
    bed.lose_index();
    bed.image("store/what.raw", "what", "x", RELEASE);
    bed.image("store/lsof_1_arm64.raw", "lsof", "x", RELEASE);
    fs::write(bed.at("store/gdb_1_x86-64.raw"), "x").expect("ours");
    let (code, said) = bed.onlay(&["rebuild", "store"]);
    assert_eq!(code, Some(0), "{said}");
    for told in [
        "with 1 image;",
        "gdb_1_x86-64.raw is not in it: it is not what SHA256SUMS says",
        "what.raw is not in it: its name is none of NAME_VERSION_ARCHITECTURE.raw",
        "lsof_1_arm64.raw is not in it: 'store/lsof_1_arm64.raw' is for x86-64",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let index = bed.index();
    assert_eq!(index["images"].as_array().map(Vec::len), Some(1));
    // The patch is of an image that is not there any more, and is of use for who has it.
    assert_eq!(index["images"][0]["patches"].as_array().map(Vec::len), Some(1));
}

#[test]
fn only_what_the_store_had_signed_is_signed_again() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    let secret = format!("keys/{key}.key");
    let (code, said) = bed.onlay(&["sign", "store", "--key", &secret, "--best-before", "30"]);
    assert_eq!(code, Some(0), "{said}");
    bed.fill(&[]);
    let old = bed.lose_index();
    let store = bed.at("store");
    expect_success(command("cp").arg("-a").arg(&store).arg(bed.at("lost")));
    // Somebody who can write there adds an image, and says what is in another.
    bed.image("store/evil_1_x86-64.raw", "evil", "x", RELEASE);
    fs::write(store.join("gdb_1_x86-64.raw.json"), r#"{"name":"gdb","packages":[{"name":"evil"}]}"#)
        .expect("ours");
    let (code, said) = bed.onlay(&["rebuild", "store"]);
    assert!(code == Some(0) && said.contains(&format!("with 2 images; it is signed by {key}")), "{said}");
    assert!(
        said.contains(
            "evil_1_x86-64.raw is not in it: it is not in the list that the store's key has signed"
        ),
        "{said}"
    );
    assert!(said.contains("sign --best-before DAYS"), "{said}");
    is_the_same(&old, &bed.index());
    assert_eq!(bed.index()["best_before"], old["best_before"]);
    fs::remove_file(store.join("evil_1_x86-64.raw")).expect("ours");
    bed.verify_is(0);
    assert_eq!(bed.onlay(&["verify", "store", "--key", &key]).0, Some(0));

    let restore = || {
        fs::remove_dir_all(&store).expect("ours");
        expect_success(command("cp").arg("-a").arg(bed.at("lost")).arg(&store));
    };
    let refused = |options: &[&str], why: &str| {
        let (code, said) = bed.onlay(&[&["rebuild", "store"], options].concat());
        assert!(code == Some(1) && said.contains(why) && !store.join("index.json").exists(), "{said}");
    };
    // Without the key; with another; with a list that was changed, or that nobody has signed, or none.
    restore();
    fs::rename(bed.at("keys"), bed.at("elsewhere")).expect("ours");
    refused(&[], "the secret key for it is not at hand");
    let other = bed.key("Another");
    let others = format!("keys/{other}.key");
    refused(&["--key", &others], &format!("signed by {key}, not by {other}"));
    fs::rename(bed.at("keys"), bed.at("others")).expect("ours");
    fs::rename(bed.at("elsewhere"), bed.at("keys")).expect("ours");
    let sums = fs::read_to_string(store.join("SHA256SUMS")).expect("it is there");
    fs::write(store.join("SHA256SUMS"), sums.clone() + &format!("{}  evil_1_x86-64.raw\n", "0".repeat(64)))
        .expect("ours");
    refused(&[], "which images are its own: what is signed by");
    fs::remove_file(store.join("SHA256SUMS")).expect("ours");
    refused(&[], "which images are its own\n");
    fs::write(store.join("SHA256SUMS"), &sums).expect("ours");
    for name in ["SHA256SUMS.gpg", "SHA256SUMS.sha256.asc", "SHA256SUMS.sha256.gpg", "SHA256SUMS.asc"] {
        fs::remove_file(store.join(name)).expect("it is there");
    }
    refused(&[], "which images are its own\n");
    // Nothing says that it had a key.
    fs::remove_file(store.join("key.asc")).expect("it is there");
    refused(&["--key", &secret], "which images are its own\n");

    // Where only that list was lost, the index says whose the images are.
    restore();
    let (code, said) = bed.onlay(&["rebuild", "store"]);
    assert_eq!(code, Some(0), "{said}");
    let serial = bed.index()["serial"].as_u64();
    fs::remove_file(store.join("SHA256SUMS")).expect("it is there");
    let (code, said) = bed.onlay(&["rebuild", "store"]);
    assert!(code == Some(0) && said.contains("with 2 images"), "{said}");
    assert_eq!(bed.index()["serial"].as_u64(), serial.map(|serial| serial + 1));
    bed.verify_is(0);

    // Whoever answers for all that lies there says so.
    restore();
    bed.image("store/lsof_1_x86-64.raw", "lsof", "x", RELEASE);
    let others = format!("others/{other}.key");
    let (code, said) = bed.onlay(&["rebuild", "store", "--replace", "--key", &others]);
    assert!(code == Some(0) && said.contains(&format!("with 3 images; it is signed by {other}")), "{said}");
    bed.verify_is(0);
    restore();
    let (code, said) = bed.onlay(&["rebuild", "store", "--unsigned"]);
    assert!(code == Some(0) && said.contains("it is signed by nobody"), "{said}");
    bed.verify_is(0);
    assert!(!Path::new(&store).join("key.asc").exists());
}
