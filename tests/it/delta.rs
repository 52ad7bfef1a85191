//! Images from their older versions, as stores publish them: of every maker, bit by bit.

use std::fs::{self, File};
use std::path::PathBuf;

use onlay::fetch::{Address, Options, Source};
use onlay::package::Identity;
use onlay::store::delta::patch::{Operation, Patch, Reference};
use onlay::store::delta::{Old, Outcome, Way, build};
use onlay::store::{Entry, read};

use crate::debian::{ONLAY, command, expect_success, place};
use crate::kernel::tool_or_skip;
use crate::tree::expect_words;

#[path = "../../fuzz/invariants/delta.rs"]
mod invariants;

/// Images and a store of them.
struct Bed {
    place: tempfile::TempDir,
}

/// Who makes images, and how.
const MAKERS: &[(&str, &str)] = &[
    ("gzip", "mksquashfs $tree $image -comp gzip"),
    ("xz", "mksquashfs $tree $image -comp xz"),
    ("lz4", "mksquashfs $tree $image -comp lz4"),
    ("zstd", "mksquashfs $tree $image -comp zstd"),
    ("tails", "mksquashfs $tree $image -comp zstd -Xcompression-level 3 -b 16k -always-use-fragments"),
    ("whole", "mksquashfs $tree $image -comp gzip -b 1M -no-fragments -nopad"),
    ("plain", "mkfs.erofs $image $tree"),
    ("lz4hc", "mkfs.erofs -zlz4hc $image $tree"),
    ("ours", "onlay zstd:3 squashfs"),
    ("ours-slow", "onlay zstd:12 squashfs"),
    ("ours-lz4", "onlay lz4 erofs"),
    ("ours-zstd", "onlay zstd:3 erofs"),
    ("ours-disk", "onlay zstd:3 ddi"),
];

/// Words of a few letters, as programs are: they can be compressed, and are not all the same.
fn content(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
    let words: Vec<u64> = std::iter::repeat_with(|| random.u64(..)).take(300).collect();
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend(words[random.usize(..words.len())].to_le_bytes());
        bytes.push(random.u8(..4));
    }
    bytes.truncate(length);
    bytes
}

impl Bed {
    fn make() -> Bed {
        let bed = Bed { place: place() };
        fs::create_dir_all(bed.at("base/usr/lib")).expect("ours");
        fs::write(bed.at("base/usr/lib/os-release"), "ID=lab\nVERSION_ID=1\n").expect("ours");
        let mut random = fastrand::Rng::with_seed(1);
        let mut files: Vec<Vec<u8>> = [150_000, 300, 4096, 131_072, 70_001, 400_000, 0, 9000, 2000]
            .map(|size| content(&mut random, size))
            .to_vec();
        bed.write("1", &files);
        files[3].splice(60_000..60_020, *b"another part of a file");
        files[5].splice(1000..1000, *b"more of it");
        files[7].truncate(8000);
        files.push(content(&mut random, 12_345));
        bed.write("2", &files);
        bed
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Two trees: one that `onlay build` takes, and the same with what makes it an extension, of every name.
    fn write(&self, version: &str, files: &[Vec<u8>]) {
        for (number, bytes) in files.iter().enumerate() {
            let path = self.at(&format!("own-{version}/usr/share/lab/{number}"));
            fs::create_dir_all(path.parent().expect("below")).expect("ours");
            fs::write(path, bytes).expect("ours");
        }
        let script = "cp -r own-$1 tree-$1; mkdir -p tree-$1/usr/lib/extension-release.d; shift; \
            for name; do echo ID=_any >tree-2/usr/lib/extension-release.d/extension-release.$name; done";
        let script = script.replace("tree-2", &format!("tree-{version}"));
        let mut shell = command("sh");
        shell.args(["-ec", &script, "sh", version]).args(MAKERS.iter().map(|(name, _)| name));
        expect_success(shell.current_dir(self.place.path()));
    }

    /// Has an image made of each version.
    fn image(&self, name: &str, how: &str) -> [String; 2] {
        ["1", "2"].map(|version| {
            let file = format!("{name}_{version}_any.raw");
            if let Some(ours) = how.strip_prefix("onlay ") {
                let (compression, format) = ours.split_once(' ').expect("two words");
                let mut onlay = command(ONLAY);
                onlay.args([
                    "--root",
                    "base",
                    "--state",
                    "state",
                    "build",
                    name,
                    "--version",
                    version,
                    "--match",
                    "any",
                ]);
                onlay.args([
                    "--tree",
                    &format!("own-{version}"),
                    "--compression",
                    compression,
                    "--format",
                    format,
                ]);
                expect_success(onlay.current_dir(self.place.path()));
            } else {
                let quiet = if how.starts_with("mksquashfs") { "-quiet -no-progress -all-root" } else { "" };
                let mut shell = command("sh");
                shell
                    .args(["-ec", &format!("{how} {quiet}")])
                    .env("image", &file)
                    .env("tree", format!("tree-{version}"));
                expect_success(shell.current_dir(self.place.path()));
            }
            file
        })
    }

    fn store(&self, arguments: &[&str]) -> String {
        let mut onlay = command(ONLAY);
        onlay.arg("store").args(arguments).current_dir(self.place.path());
        expect_words(&onlay.output().expect("it was started"))
    }

    /// Builds the new image of an entry from the old one.
    fn build(&self, entry: &Entry, old: &str) -> Outcome {
        let path = self.at(old);
        let sha256 = Identity::of(&fs::read(&path).expect("ours"));
        let old = Old { file: &File::open(&path).expect("ours"), path: &path, sha256 };
        let target = self.at("built");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&target);
        let file = file.expect("there is room");
        let mut source = Source::new(vec![Address::Path(self.at("store"))], Options::default());
        let outcome = build(entry, &[old], &mut source, &file, &target);
        if outcome.built.is_some() {
            let [found, wanted] =
                [&target, &self.at("store").join(&entry.file)].map(|path| fs::read(path).expect("ours"));
            assert!(found == wanted, "{}: {outcome:?}", entry.file);
        }
        outcome
    }
}

#[test]
fn images_of_every_maker_are_built_from_their_older_versions() {
    if !tool_or_skip("/usr/bin/mksquashfs") || !tool_or_skip("/usr/bin/mkfs.erofs") {
        return;
    }
    let bed = Bed::make();
    bed.store(&["init", "store"]);
    let images: Vec<String> = MAKERS.iter().flat_map(|(name, how)| bed.image(name, how)).collect();
    let words: Vec<&str> = ["add", "store"].into_iter().chain(images.iter().map(String::as_str)).collect();
    bed.store(&words);
    expect_success(
        command("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(bed.at("store")),
    );
    let said = bed.store(&["verify", "store"]);
    assert!(said.contains("all is as it is listed"), "{said}");
    let index = read(&bed.at("store")).expect("it is one").index;
    for (name, _) in MAKERS {
        let entry = index.image(&format!("{name}_2_any.raw")).expect("it was added");
        let old = format!("{name}_1_any.raw");
        // Whether others' compressors are the ones here is not known; ours are.
        assert!(entry.patches.len() == 1 || !name.starts_with("ours"), "{name}");
        let mut fetched = Vec::new();
        for way in 0..2 {
            let patches = if way == 0 { entry.patches.clone() } else { Vec::new() };
            let outcome = bed.build(&Entry { patches, ..entry.clone() }, &old);
            assert!(outcome.attempts.is_empty(), "{name}: {outcome:?}");
            let built = outcome.built.unwrap_or_else(|| panic!("{name} was not built"));
            assert_eq!(matches!(built.way, Way::Patch(_)), way == 0 && !entry.patches.is_empty(), "{name}");
            assert!(built.fetched < entry.size && built.requests < 40, "{name}: {built:?}");
            fetched.push(built.fetched);
        }
        if name.starts_with("ours") {
            assert!(fetched[0] * 3 < fetched[1], "{name}: {fetched:?}");
        }
    }
    // What goes takes what is beside it along.
    let beside = |name: &str| {
        let names =
            fs::read_dir(bed.at("store")).expect("ours").map(|entry| entry.expect("ours").file_name());
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|file| file.starts_with(name));
        names.len()
    };
    assert_eq!(beside("ours_"), 7);
    bed.store(&["remove", "store", "ours=2"]);
    assert_eq!(beside("ours_"), 3);
    bed.store(&["prune", "store", "--keep", "1"]);
    assert_eq!((beside("ours-lz4_"), beside("zstd_1")), (4, 0));
    let said = bed.store(&["verify", "store"]);
    assert!(said.contains("all is as it is listed"), "{said}");
}

#[test]
fn a_store_says_what_beside_an_image_is_of_no_use() {
    let bed = Bed::make();
    bed.store(&["init", "store"]);
    let images = bed.image("ours", "onlay zstd:3 squashfs");
    bed.store(&["add", "store", &images[0]]);
    bed.store(&["add", "store", &images[1], "--dry-run"]);
    assert_eq!(read(&bed.at("store")).expect("it is one").index.images.len(), 1);
    bed.store(&["add", "store", &images[1]]);
    let index = read(&bed.at("store")).expect("it is one").index;
    let entry = index.image(&images[1]).expect("it was added");
    let (list, patch) = (&entry.blocks.as_ref().expect("it has one").file, &entry.patches[0].file);
    // Somebody publishes others with their digests.
    let replace = |file: &str, bytes: &[u8]| {
        let path = bed.at("store").join(file);
        let before = Identity::of(&fs::read(&path).expect("it is there")).to_string();
        fs::write(&path, bytes).expect("ours");
        for listed in ["SHA256SUMS", "index.json"] {
            let text = fs::read_to_string(bed.at("store").join(listed)).expect("it is there");
            let text = text.replace(&before, &Identity::of(bytes).to_string());
            fs::write(bed.at("store").join(listed), text).expect("ours");
        }
    };
    let other = index.image(&images[0]).and_then(|entry| entry.blocks.as_ref()).expect("it has one");
    replace(list, &fs::read(bed.at("store").join(&other.file)).expect("it is there"));
    let mut bytes = fs::read(bed.at("store").join(patch)).expect("it is there");
    let last = bytes.len() - 9;
    bytes[last] ^= 1;
    replace(patch, &bytes);
    let mut verify = command(ONLAY);
    verify.args(["store", "verify", "store"]).current_dir(bed.place.path());
    let output = verify.output().expect("it was started");
    let said = crate::debian::words(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for file in [list, patch] {
        assert!(said.contains(&format!("{file} is of no use for {}: ", images[1])), "{said}");
    }
    // What is wrong there costs a client no more than a download.
    assert!(bed.build(entry, &images[0]).built.is_none());
}

/// A number that may be too large for whatever it is used for.
fn number(random: &mut fastrand::Rng) -> u64 {
    let number = random.u64(..);
    number >> random.u32(..64)
}

/// Changes something in what a patch says, so that it can still be written.
fn mutate(patch: &mut Patch, random: &mut fastrand::Rng) {
    let (small, at) = (number(random) as u32, number(random) >> 2);
    match random.u8(..8) {
        0 => patch.head.old_size = number(random),
        1 => patch.head.new_size = number(random),
        2 => patch.head.unpacked = None,
        3 => patch.head.packed = None,
        _ => {}
    }
    let count = patch.groups.len();
    let group = &mut patch.groups[random.usize(..count)];
    let operation = random.usize(..group.operations.len());
    match random.u8(..6) {
        0 => group.raw = small,
        1 => group.references.push(Reference { at, stored: small, raw: Some(small >> 3) }),
        2 => group.operations[operation] = Operation::Copy { at, length: u64::from(small) },
        3 => group.operations[operation] = Operation::Pack { raw: small, stored: small / 3 },
        4 => group.operations[operation] = Operation::Data(small),
        _ => drop(group.operations.remove(operation)),
    }
}

#[test]
fn files_of_whatever_bytes_are_read_or_refused() {
    let bed = Bed::make();
    bed.store(&["init", "store"]);
    let images = bed.image("ours", "onlay zstd:3 squashfs");
    bed.store(&["add", "store", &images[0], &images[1]]);
    let index = read(&bed.at("store")).expect("it is one").index;
    let entry = index.image(&images[1]).expect("it was added");
    let bytes = |file: &str| fs::read(bed.at("store").join(file)).expect("it is there");
    let list = bytes(&entry.blocks.as_ref().expect("it has one").file);
    let patch = bytes(&entry.patches[0].file);
    invariants::list(&list);
    invariants::patch(&patch);
    let parsed = Patch::parse(&patch).expect("it is one");
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..400 {
        let mut changed = parsed.clone();
        mutate(&mut changed, &mut random);
        if let Ok(bytes) = changed.to_bytes() {
            invariants::patch(&bytes);
        }
        for (whole, check) in [(&list, invariants::list as fn(&[u8])), (&patch, invariants::patch)] {
            let mut changed = whole.clone();
            let most = if random.bool() { 120 } else { usize::MAX };
            let place = random.usize(..changed.len().min(most));
            changed[place] = random.u8(..);
            check(&changed);
        }
    }
}
