//! Images of every kind from their older versions, whatever is between them and whatever goes wrong.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::patch::{Patch, Side, make_in_groups};
use super::{
    Error, Image, Old, Outcome, Way, build, check_list, check_patch, cut, publish_list, publish_patch,
};
use crate::fetch::{self, RangeSource, Sink};
use crate::image::squashfs::{Options, Writer};
use crate::image::tree::{Kind, Metadata, Node, Tree};
use crate::image::{Format, Source};
use crate::package::Identity;
use crate::store::index::Entry;
use crate::sys::{IoError, Root, io_error};

/// Files that can be had in parts.
#[derive(Default)]
struct Shelf {
    files: HashMap<String, Vec<u8>>,
    fetched: u64,
    requests: usize,
}

impl Shelf {
    fn file(&self, file: &str) -> Result<&Vec<u8>, fetch::Error> {
        self.files.get(file).ok_or_else(|| not_there(file).into())
    }
}

fn not_there(file: &str) -> IoError {
    io_error("read", file, std::io::ErrorKind::NotFound)
}

impl RangeSource for Shelf {
    fn read(&mut self, file: &str, ranges: &[Range<u64>], sink: &mut Sink<'_>) -> Result<(), fetch::Error> {
        let bytes = self.file(file)?.clone();
        for range in ranges {
            let part = bytes.get(range.start as usize..range.end as usize).ok_or_else(|| not_there(file))?;
            let (one, other) = part.split_at(part.len() / 3);
            sink(range.start, one)?;
            sink(range.start + one.len() as u64, other)?;
            self.fetched += part.len() as u64;
            self.requests += 1;
        }
        Ok(())
    }

    fn whole(&mut self, file: &str, limit: u64) -> Result<Vec<u8>, fetch::Error> {
        let bytes = self.file(file)?.clone();
        assert!(bytes.len() as u64 <= limit);
        self.fetched += bytes.len() as u64;
        self.requests += 1;
        Ok(bytes)
    }
}

/// Two versions of an image, with what a store has of the new one.
struct Pair {
    place: tempfile::TempDir,
    old: Vec<u8>,
    new: Vec<u8>,
    entry: Entry,
    shelf: Shelf,
}

const NAME: &str = "x_2_any.raw";

impl Pair {
    fn of(old: Vec<u8>, new: Vec<u8>) -> Pair {
        let place = tempfile::tempdir().expect("a directory");
        let mut entry = Entry {
            file: NAME.to_owned(),
            size: new.len() as u64,
            sha256: Identity::of(&new).to_string(),
            ..Entry::default()
        };
        let image = |name: &str, bytes: &[u8]| {
            let path = place.path().join(name);
            std::fs::write(&path, bytes).expect("there is room");
            Image::of(&File::open(&path).expect("ours"), &path, Identity::of(bytes)).expect("it is read")
        };
        let [before, after] = [("old", &old), ("new", &new)].map(|(name, bytes)| image(name, bytes));
        let mut shelf = Shelf::default();
        shelf.files.insert(NAME.to_owned(), new.clone());
        if let Some(list) = publish_list(NAME, &after).expect("it is made") {
            check_list(&list.bytes, &new, Identity::of(&new)).expect("it is the image's");
            shelf.files.insert(list.entry.file.clone(), list.bytes);
            entry.blocks = Some(list.entry);
        }
        if let Some(patch) = publish_patch(NAME, &after, &before).expect("it is made") {
            shelf.files.insert(patch.entry.file.clone(), patch.bytes);
            entry.patches.push(patch.entry);
        }
        Pair { place, old, new, entry, shelf }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Builds the new image of what is in the file of the old one now, which is said to be `old`.
    fn build(&mut self) -> (Outcome, Vec<u8>) {
        let path = self.at("old");
        let file = File::open(&path).expect("ours");
        let old = Old { file: &file, path: &path, sha256: Identity::of(&self.old) };
        let target = self.at("built");
        let mut built =
            File::options().create(true).truncate(true).read(true).write(true).open(&target).expect("ours");
        built.write_all(b"what an earlier attempt has left").expect("there is room");
        let outcome = build(&self.entry, &[old], &mut self.shelf, &built, &target);
        (outcome, std::fs::read(target).expect("ours"))
    }

    /// Builds it in every way that there is.
    fn check(&mut self, what: &str) -> Vec<(Way, u64)> {
        let mut ways = Vec::new();
        while self.entry.blocks.is_some() || !self.entry.patches.is_empty() {
            (self.shelf.fetched, self.shelf.requests) = (0, 0);
            let (outcome, bytes) = self.build();
            assert!(outcome.attempts.is_empty(), "{what}: {outcome:?}");
            let Some(built) = outcome.built else { break };
            assert!(bytes == self.new, "{what}: {built:?}");
            assert_eq!((built.fetched, built.requests), (self.shelf.fetched, self.shelf.requests), "{what}");
            assert!(built.requests < 40, "{what}: {built:?}");
            match &built.way {
                Way::Patch(_) => self.entry.patches.clear(),
                Way::Blocks => self.entry.blocks = None,
            }
            ways.push((built.way, built.fetched));
        }
        ways
    }
}

/// Files of an image by their names.
type Files = BTreeMap<String, Vec<u8>>;

fn image(files: &Files, format: Format, compression: &str, block_size: u32) -> Vec<u8> {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("image");
    let file = File::options().create(true).truncate(true).read(true).write(true).open(&path).expect("ours");
    let options = Options {
        format,
        compression: compression.parse().expect("one of ours"),
        block_size,
        threads: NonZeroUsize::MIN,
        ..Options::new(1)
    };
    let dir = Root::open(place.path()).expect("ours");
    let writer = Writer::new(&file, 0, &path, &dir, options).expect("it begins");
    let metadata = Metadata { mode: 0o755, ..Metadata::default() };
    let mut tree = Tree::new(metadata.clone());
    let mut segment = writer.segment();
    for (name, content) in files {
        let stored = segment.store(&mut &content[..], Path::new(name)).expect("it is stored");
        let node = Node::new(metadata.clone(), Kind::File(stored));
        tree.insert(format!("/{name}").as_bytes(), node).expect("a name");
    }
    segment.close().expect("it is written");
    writer.finish(&tree).expect("it is written");
    std::fs::read(path).expect("ours")
}

/// Bytes like those of programs: words that come again, and numbers.
fn content(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
    let mut word = || -> Vec<u8> {
        let length = 3 + random.usize(..12);
        std::iter::repeat_with(|| random.u8(..)).take(length).collect()
    };
    let words: Vec<Vec<u8>> = (0..50).map(|_| word()).collect();
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(&words[random.usize(..words.len())]);
        bytes.extend(random.u16(..).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn files(random: &mut fastrand::Rng) -> Files {
    let sizes = [0, 1, 100, 5000, 4096, 60_000, 200_000, 8192, 300_001];
    (0..12).map(|number| (format!("f{number}"), content(random, sizes[number % sizes.len()]))).collect()
}

/// Changes, adds, removes and renames files.
fn edit(files: &mut Files, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(..4) {
        let names: Vec<String> = files.keys().cloned().collect();
        let name = names[random.usize(..names.len())].clone();
        let mut bytes = files.remove(&name).unwrap_or_default();
        match random.u8(..5) {
            0 => {}
            1 => drop(files.insert(format!("{name}r"), bytes)),
            2 => drop(files.insert(name, content(random, 40_000))),
            _ => {
                let at = random.usize(..=bytes.len());
                let more = content(random, 30);
                bytes.splice(at..at, more);
                files.insert(name, bytes);
            }
        }
        let length = random.usize(..9000);
        files.insert(format!("new{}", random.u8(..9)), content(random, length));
    }
}

#[test]
fn random_images_come_out_as_they_are() {
    let ways = [
        (Format::Squashfs, "zstd"),
        (Format::Squashfs, "zstd:12"),
        (Format::Squashfs, "gzip"),
        (Format::Squashfs, "xz:1"),
        (Format::Squashfs, "lz4"),
        (Format::Squashfs, "none"),
        (Format::Erofs, "zstd"),
        (Format::Erofs, "lz4"),
        (Format::Erofs, "none"),
    ];
    let mut patches = 0;
    for seed in 0..2 {
        for (format, compression) in ways {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut all = files(&mut random);
            let block_size = [16 << 10, 128 << 10][seed as usize];
            let old = image(&all, format, compression, block_size);
            edit(&mut all, &mut random);
            let new = image(&all, format, compression, block_size);
            let what = format!("seed {seed}, {format} {compression}");
            for (way, fetched) in Pair::of(old, new.clone()).check(&what) {
                assert!(fetched < new.len() as u64, "{what}");
                patches += usize::from(matches!(way, Way::Patch(_)));
            }
        }
    }
    assert!(patches > 3, "{patches}");
}

/// A pair of which half changes a little.
fn usual(compression: &str) -> Pair {
    let mut random = fastrand::Rng::with_seed(11);
    let mut all: Files = (0..8).map(|number| (format!("f{number}"), content(&mut random, 150_000))).collect();
    let old = image(&all, Format::Squashfs, compression, 32 << 10);
    for number in 2..6 {
        let bytes = all.get_mut(&format!("f{number}")).expect("it is there");
        bytes.splice(70_000..70_010, *b"something else");
    }
    let new = image(&all, Format::Squashfs, compression, 32 << 10);
    Pair::of(old, new)
}

#[test]
fn a_patch_is_much_less_than_blocks_and_those_less_than_the_image() {
    for compression in ["zstd", "zstd:9", "gzip", "xz", "lz4"] {
        let mut pair = usual(compression);
        let whole = pair.new.len() as u64;
        let ways = pair.check(compression);
        let [(Way::Patch(_), patch), (Way::Blocks, blocks)] = ways[..] else { panic!("{ways:?}") };
        assert!(patch * 20 < blocks && blocks * 100 < whole * 60, "{compression}: {patch} {blocks} {whole}");
    }
}

#[test]
fn images_with_nothing_in_common_empty_and_equal_ones_are_no_trouble() {
    let mut random = fastrand::Rng::with_seed(4);
    let noise = |random: &mut fastrand::Rng, length| -> Vec<u8> {
        std::iter::repeat_with(|| random.u8(..)).take(length).collect()
    };
    let (one, other) = (noise(&mut random, 300_000), noise(&mut random, 400_000));
    assert_eq!(Pair::of(one.clone(), other.clone()).check("nothing in common"), []);
    assert_eq!(Pair::of(one.clone(), Vec::new()).check("empty"), []);
    assert_eq!(Pair::of(Vec::new(), one.clone()).check("from nothing"), []);
    let same = Pair::of(one.clone(), one.clone()).check("the same");
    assert!(matches!(same[..], [(Way::Blocks, fetched)] if fetched < 500), "{same:?}");
    let longer = [&one[..], &other[..1000]].concat();
    assert_eq!(Pair::of(one.clone(), longer).check("longer").len(), 1);
    assert_eq!(Pair::of([&one[..], &one].concat(), one).check("shorter").len(), 1);
}

#[test]
fn an_older_image_that_is_another_by_now_is_never_the_wrong_result() {
    for damage in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
        |bytes: &mut Vec<u8>| bytes.iter_mut().step_by(5000).for_each(|byte| *byte ^= 1),
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| bytes.extend([7; 4096]),
    ] {
        let mut pair = usual("zstd");
        let mut bytes = pair.old.clone();
        damage(&mut bytes);
        std::fs::write(pair.at("old"), bytes).expect("there is room");
        let (outcome, found) = pair.build();
        assert!(matches!(outcome.attempts[0].way, Way::Patch(_)), "{outcome:?}");
        match outcome.built {
            Some(built) => assert!(found == pair.new && built.way == Way::Blocks),
            None => assert!(found != pair.new),
        }
    }
}

#[test]
fn what_is_fetched_and_is_another_file_leads_to_the_next_way() {
    let damage = |pair: &mut Pair, file: &str| {
        let bytes = pair.shelf.files.get_mut(file).expect("it is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let mut pair = usual("zstd");
    let patch = pair.entry.patches[0].file.clone();
    let list = pair.entry.blocks.as_ref().expect("it has one").file.clone();
    damage(&mut pair, &patch);
    let (outcome, found) = pair.build();
    assert!(
        matches!(&outcome.attempts[..], [one] if matches!(&one.error, Error::Changed(file) if *file == patch))
    );
    assert!(outcome.built.is_some_and(|built| built.way == Way::Blocks) && found == pair.new);
    // One that is missing.
    pair.shelf.files.remove(&patch);
    let (outcome, _) = pair.build();
    assert!(matches!(outcome.attempts[0].error, Error::Fetch(_)) && outcome.built.is_some());
    // An image that is another on the server, and a list that is.
    let middle = pair.new.len() / 2;
    pair.shelf.files.get_mut(NAME).expect("it is there")[middle - 60_000..middle + 60_000].fill(0);
    let (outcome, _) = pair.build();
    assert!(matches!(outcome.attempts[1].error, Error::Wrong) && outcome.built.is_none(), "{outcome:?}");
    damage(&mut pair, &list);
    let (outcome, _) = pair.build();
    assert!(matches!(outcome.attempts[1].error, Error::Changed(_)) && outcome.built.is_none());
}

#[test]
fn another_compressor_is_known_before_anything_is_fetched_and_by_the_patch_itself() {
    let mut pair = usual("zstd");
    let made = pair.entry.patches[0].compressor.as_mut().expect("it says so");
    made.fingerprint = "0".repeat(16);
    let (outcome, _) = pair.build();
    assert!(outcome.attempts.is_empty() && outcome.built.is_some_and(|built| built.way == Way::Blocks));
    // An index that says nothing of it, and a patch that says another.
    let file = pair.entry.patches[0].file.clone();
    let bytes = pair.shelf.files.get_mut(&file).expect("it is there");
    bytes[96] ^= 1;
    let digest = Identity::of(bytes).to_string();
    pair.entry.patches[0].sha256 = digest;
    pair.entry.patches[0].compressor = None;
    let (outcome, _) = pair.build();
    assert!(matches!(outcome.attempts[0].error, Error::Compressor), "{outcome:?}");
    assert!(outcome.built.is_some_and(|built| built.way == Way::Blocks));
}

#[test]
fn patches_of_whatever_bytes_are_read_or_refused() {
    let pair = usual("zstd");
    let bytes = pair.shelf.files[&pair.entry.patches[0].file].clone();
    let (new, from) = (Identity::of(&pair.new), pair.entry.patches[0].from.clone());
    let (path, file) = (pair.at("old"), File::open(pair.at("old")).expect("ours"));
    let old = Old { file: &file, path: &path, sha256: Identity::of(&pair.old) };
    check_patch(&bytes, new, &from, Some(&old)).expect("it is the image's");
    assert_eq!(Patch::parse(&bytes).expect("it is one").to_bytes().expect("it is written"), bytes);
    for length in (0..bytes.len()).step_by(7) {
        assert!(Patch::parse(&bytes[..length]).is_err(), "{length}");
    }
    assert!(Patch::parse(&[&bytes[..], b"x"].concat()).is_err());
    let mut random = fastrand::Rng::with_seed(9);
    for _ in 0..300 {
        let mut changed = bytes.clone();
        for _ in 0..random.usize(1..4) {
            // Most often the head, which is the smallest part.
            let end = if random.bool() { 200 } else { changed.len() };
            let place = random.usize(..end);
            changed[place] = random.u8(..);
        }
        if changed != bytes {
            assert!(check_patch(&changed, new, &from, Some(&old)).is_err() || Patch::parse(&changed).is_ok());
        }
    }
}

#[test]
fn a_large_change_is_made_in_groups() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut all: Files = (0..5).map(|number| (format!("f{number}"), content(&mut random, 400_000))).collect();
    let old = image(&all, Format::Squashfs, "zstd", 32 << 10);
    for bytes in all.values_mut() {
        for at in (0..bytes.len()).step_by(20_000) {
            bytes.splice(at..at + 3, *b"moved");
        }
    }
    let moved = all.remove("f0").expect("it is there");
    all.insert("g9".to_owned(), moved);
    let new = image(&all, Format::Squashfs, "zstd", 32 << 10);
    let identities = [&old, &new].map(|bytes| Identity::of(bytes));
    let sources = [old, new].map(|bytes| -> Arc<dyn Source> { Arc::new(bytes) });
    let cuts = sources.each_ref().map(|source| cut(source).expect("it is read"));
    let side =
        |number: usize| Side { source: &sources[number], sha256: identities[number], cut: &cuts[number] };
    let one = make_in_groups(&side(0), &side(1), 8 << 20).expect("it is made");
    assert_eq!(Patch::parse(&one).expect("it is one").groups.len(), 1);
    let bytes = make_in_groups(&side(0), &side(1), 500_000).expect("it is made");
    let patch = Patch::parse(&bytes).expect("it is one");
    assert!(patch.groups.len() > 3, "{}", patch.groups.len());
    assert!(patch.groups.iter().all(|group| group.raw <= 500_000));
    // What is like it is found wherever it is.
    assert!(bytes.len() < one.len() * 2 && bytes.len() * 10 < 2_000_000, "{} {}", bytes.len(), one.len());
}
