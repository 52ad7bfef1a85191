//! Disk images before other people's judges: systemd, util-linux, cryptsetup and OpenSSL.

mod bytes;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use onlay::image::ddi::{
    Architecture, BadBlocks, Certificate, Ddi, Designator, Guid, Kind, Payload, Protection, Request, Role,
    SignatureReport, Signer, Verification, Written, write,
};
use onlay::image::squashfs::Options;
use onlay::image::{FileSource, Format};

use crate::debian::{command, expect_success, words};

const KEYS: [&str; 3] = ["rsa", "p256", "p384"];

/// A file that is beside these tests.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ddi").join(name)
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn signer(name: &str) -> Signer {
    let [key, certificate] = ["key", "crt"].map(|ending| read(data(&format!("{name}.{ending}"))));
    Signer::from_pem(&key, &certificate).expect("a key and its certificate")
}

fn certificate(name: &str) -> Certificate {
    Certificate::from_pem(&read(data(&format!("{name}.crt")))).expect("a certificate")
}

/// A directory with images in it, and what they are made of.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(crate::debian::place())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file system image with an extension of this name in it.
    pub(crate) fn extension(&self, name: &str) -> PathBuf {
        let (tree, image) = (self.path("tree"), self.path(&format!("{name}.squashfs")));
        let release = tree.join("usr/lib/extension-release.d");
        fs::create_dir_all(&release).expect("a directory");
        fs::write(release.join(format!("extension-release.{name}")), "ID=_any\n").expect("a file");
        // Bytes that do not become fewer, so that the tree has two levels.
        let mut noise = vec![0; 3_000_000];
        fastrand::Rng::with_seed(7).fill(&mut noise);
        fs::write(tree.join("usr/lib/noise"), noise).expect("a file");
        expect_success(command("mksquashfs").args([&tree, &image]).args([
            "-quiet",
            "-all-root",
            "-no-xattrs",
        ]));
        image
    }

    /// The image of a file system image.
    pub(crate) fn make(&self, name: &str, payload: &Path, protection: Protection<'_>) -> (PathBuf, Written) {
        let path = self.path(name);
        let from = File::open(payload).expect("it was just made");
        let to = File::options().read(true).write(true).create_new(true).open(&path).expect("a new file");
        let request = Request {
            payload: Payload::File(&from, payload),
            architecture: Architecture::X86_64,
            designator: Designator::Root,
            protection,
        };
        let written = write(&request, &to, &path).expect("an image");
        (path, written)
    }

    /// The content of a partition as a file.
    fn partition(&self, image: &Path, number: usize) -> PathBuf {
        let (bytes, partition) = (read(image), open(image).table.partitions[number - 1].clone());
        let start = partition.offset as usize;
        let path = self.path(&format!("partition-{number}"));
        fs::write(&path, &bytes[start..start + partition.length as usize]).expect("a file");
        path
    }
}

fn open(image: &Path) -> Ddi {
    let file = File::open(image).expect("it was just made");
    Ddi::read(&FileSource::new(&file, image).expect("a file")).expect("an image")
}

fn verify(image: &Path, certificates: &[Certificate]) -> Verification {
    let file = File::open(image).expect("it was just made");
    let source = FileSource::new(&file, image).expect("a file");
    open(image).parts[0].verify(&source, certificates, None).expect("all can be read")
}

/// Whether all of these programs are there; says loudly where one is not.
fn have(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| command(program).arg("--version").output().is_err());
    if let Some(missing) = missing {
        crate::debian::skip(&format!("no {missing}; scripts/install-test-tools installs it"));
    }
    missing.is_none()
}

fn json(command: &mut Command) -> serde_json::Value {
    let output = expect_success(command);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", words(&output)))
}

/// Images for a machine with dm-verity: one that is whole, and copies with one changed byte; with the certificate, a file
/// that is in all of them, and which block of that was changed.
pub(crate) fn images_for_a_machine(directory: &Path) {
    let place = Place::new();
    let (image, _) = place.make("x.raw", &place.extension("x"), Protection::Signed(&signer("rsa")));
    let (bytes, part) = (read(&image), open(&image).parts.remove(0));
    let changed_block = 200;
    let [tree, signature] =
        [part.verity, part.signature].map(|partition| partition.expect("it is signed").offset);
    for (name, place) in [
        ("signed.raw", None),
        ("changed-data.raw", Some(part.data.offset + changed_block * 4096)),
        // The block with the root's hashes.
        ("changed-tree.raw", Some(tree + 4096)),
        // A letter of the signature itself, which comes behind both digests.
        ("changed-signature.raw", Some(signature + 600)),
    ] {
        let mut bytes = bytes.clone();
        if let Some(place) = place {
            // Another letter, where it is text.
            bytes[place as usize] ^= 1;
        }
        fs::write(directory.join(name), bytes).expect("a file");
    }
    fs::copy(data("rsa.crt"), directory.join("signer.crt")).expect("a file");
    fs::copy(place.path("tree/usr/lib/noise"), directory.join("noise")).expect("a file");
    fs::write(directory.join("changed-block"), changed_block.to_string()).expect("a file");
    erofs_images(&place.path("tree"), directory);
}

/// The same files, and others that become smaller, as erofs in each way, for kernels to mount.
fn erofs_images(tree: &Path, directory: &Path) {
    for (name, content) in [("text", "some words ".repeat(60_000)), ("small", "small".to_owned())] {
        fs::write(tree.join("usr/lib").join(name), &content).expect("a file");
        fs::write(directory.join(name), content).expect("a file");
    }
    for way in ["none", "lz4", "zstd"] {
        let options = crate::squashfs::bed::options(way, 2);
        let options = Options { format: Format::Erofs, block_size: 128 << 10, ..options };
        crate::squashfs::bed::write(tree, &directory.join(format!("erofs-{way}.raw")), options);
    }
}

#[test]
fn util_linux_reads_the_table() {
    if !have(&["mksquashfs", "sfdisk"]) {
        return;
    }
    let place = Place::new();
    let payload = place.extension("x");
    let (image, written) = place.make("x.raw", &payload, Protection::Signed(&signer("rsa")));
    let told = expect_success(command("sfdisk").arg("--verify").arg(&image));
    assert!(words(&told).contains("No errors detected"), "{}", words(&told));
    let table = json(command("sfdisk").arg("--json").arg(&image));
    let table = &table["partitiontable"];
    let ours = open(&image).table;
    assert_eq!(table["id"], ours.disk.to_string().to_uppercase());
    assert_eq!((&table["firstlba"], &table["lastlba"]), (&2048.into(), &(written.size / 512 - 34).into()));
    let partitions = table["partitions"].as_array().expect("some");
    assert_eq!(partitions.len(), 3);
    for (theirs, ours) in partitions.iter().zip(&ours.partitions) {
        assert_eq!(theirs["start"], ours.offset / 512);
        assert_eq!(theirs["size"], ours.length / 512);
        assert_eq!(theirs["type"], ours.type_guid.to_string().to_uppercase());
        assert_eq!(theirs["uuid"], ours.guid.to_string().to_uppercase());
        assert_eq!(theirs["name"], *ours.label);
    }
    assert_eq!((&partitions[0]["attrs"], &partitions[1]["attrs"]), (&"GUID:60".into(), &"GUID:60".into()));
}

#[test]
fn systemd_finds_an_extension_in_it() {
    if !rustix::process::geteuid().is_root() {
        return crate::debian::skip("only root can attach images");
    }
    if !have(&["mksquashfs", "systemd-dissect"]) {
        return;
    }
    let place = Place::new();
    let payload = place.extension("x");
    let signer = signer("rsa");
    let protections = [Protection::Nothing, Protection::Verity, Protection::Signed(&signer)];
    for (protection, words) in protections.into_iter().zip(["no", "yes", "signed"]) {
        let (image, _) = place.make("x.raw", &payload, protection);
        let found = json(command("systemd-dissect").arg("--json=short").arg(&image));
        assert_eq!(found["useSystemExtension"], true, "{found}");
        // Its name since systemd 254, and before.
        let releases = ["sysextRelease", "extensionRelease"].map(|name| &found[name][0]);
        assert!(releases.contains(&&"ID=_any".into()), "{found}");
        let root = &found["mounts"][0];
        assert_eq!((&root["designator"], &root["fstype"]), (&"root".into(), &"squashfs".into()));
        assert_eq!((&root["architecture"], &root["rw"]), (&"x86-64".into(), &"ro".into()));
        // It says neither "no" nor "yes" of a tree whose root hash it was not told.
        let verity = root["verity"].as_str().unwrap_or_default();
        assert_eq!(verity == "signed", words == "signed", "{found}");
        fs::remove_file(image).expect("it is there");
    }
}

#[test]
fn types_are_those_that_systemd_knows() {
    if !have(&["systemd-id128"]) {
        return;
    }
    let output = expect_success(command("systemd-id128").args(["show", "--uuid"]));
    let text = String::from_utf8(output.stdout).expect("names and numbers");
    let mut count = 0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(guid)) = (words.next(), words.next()) else { continue };
        let Some((designator, rest)) = name.split_once('-') else { continue };
        let designator = match designator {
            "root" => Designator::Root,
            "usr" => Designator::Usr,
            _ => continue,
        };
        let (architecture, role) = if let Some(architecture) = rest.strip_suffix("-verity-sig") {
            (architecture, Role::Signature)
        } else if let Some(architecture) = rest.strip_suffix("-verity") {
            (architecture, Role::Verity)
        } else {
            (rest, Role::Data)
        };
        // "secondary" and "verity" are this machine's.
        let Some(architecture) = Architecture::named(architecture) else { continue };
        let kind = Kind { architecture, designator, role };
        assert_eq!((kind.guid().to_string(), kind.to_string()), (guid.to_owned(), name.to_owned()));
        count += 1;
    }
    assert!(count >= 126, "only {count} types");
}

/// The tree is what veritysetup makes of the same data with the same salt.
#[test]
fn cryptsetup_makes_the_same_tree() {
    if !have(&["veritysetup"]) {
        return;
    }
    // One block; one block of hashes, and one more; three levels.
    for blocks in [1, 2, 128, 129, 128 * 128 + 1] {
        let place = Place::new();
        let payload = place.path("payload");
        let file = File::create(&payload).expect("a file");
        file.set_len(blocks * 4096 - 100).expect("a sparse file");
        std::os::unix::fs::FileExt::write_all_at(&file, b"something", blocks / 2 * 4096).expect("room");
        let (image, written) = place.make("image", &payload, Protection::Verity);
        let [data, tree] = [1, 2].map(|number| place.partition(&image, number));
        let root_hash = written.root_hash.expect("a tree").to_string();
        let verify = || {
            let mut verify = command("veritysetup");
            verify.arg("verify").args([&data, &tree]).arg(&root_hash);
            verify
        };
        expect_success(&mut verify());
        let file = File::open(&image).expect("an image");
        let source = FileSource::new(&file, &image).expect("a file");
        let superblock = open(&image).parts[0].superblock(&source).expect("it can be read").expect("a tree");
        let salt = superblock.salt.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let again = place.path("again");
        let mut format = command("veritysetup");
        format.arg("format").args([&data, &again]);
        format.arg(format!("--salt={salt}")).arg(format!("--uuid={}", superblock.guid));
        let told = expect_success(&mut format);
        assert!(words(&told).contains(&root_hash), "{}", words(&told));
        assert!(read(&again) == read(&tree), "{blocks} blocks");
        let changed = File::options().write(true).open(&data).expect("a file");
        std::os::unix::fs::FileExt::write_all_at(&changed, b"x", 1000).expect("room");
        let refused = verify().output().expect("it is there");
        assert!(!refused.status.success(), "{}", words(&refused));
    }
}

#[test]
fn openssl_takes_our_signatures() {
    if !have(&["openssl"]) {
        return;
    }
    let place = Place::new();
    let payload = place.path("payload");
    fs::write(&payload, "x").expect("a file");
    for name in KEYS {
        let (image, written) = place.make(name, &payload, Protection::Signed(&signer(name)));
        let file = File::open(&image).expect("an image");
        let source = FileSource::new(&file, &image).expect("a file");
        let signature = open(&image).parts[0].read_signature(&source).expect("it can be read");
        let signature = signature.flatten().expect("a signature");
        let (message, hash) = (place.path("message"), place.path("hash"));
        fs::write(&message, signature.message()).expect("a file");
        for (content, is_right) in
            [(written.root_hash.expect("a tree").to_string(), true), ("x".into(), false)]
        {
            fs::write(&hash, content).expect("a file");
            for tool in ["smime", "cms"] {
                let mut verify = command("openssl");
                verify.args([tool, "-verify", "-binary", "-inform", "DER", "-nointern", "-noverify"]);
                verify.arg("-in").arg(&message).arg("-content").arg(&hash);
                verify.arg("-certfile").arg(data(&format!("{name}.crt")));
                let output = verify.output().expect("it is there");
                assert_eq!(output.status.success(), is_right, "{tool} {name}: {}", words(&output));
            }
        }
    }
}

/// Forms of keys that are not beside these tests.
#[test]
fn keys_of_openssl_sign() {
    if !have(&["openssl"]) {
        return;
    }
    let place = Place::new();
    for (name, generate, size) in [
        ("rsa3072", &["genrsa", "-traditional"][..], &["3072"][..]),
        ("sec1", &["ecparam", "-name", "prime256v1", "-genkey", "-noout"], &[]),
        ("sec1-384", &["ecparam", "-name", "secp384r1", "-genkey", "-noout"], &[]),
    ] {
        let [key, certificate] = ["key", "crt"].map(|ending| place.path(&format!("{name}.{ending}")));
        expect_success(command("openssl").args(generate).arg("-out").arg(&key).args(size));
        let mut request = command("openssl");
        request.args(["req", "-new", "-x509", "-batch", "-subj", "/CN=x", "-key"]).arg(&key);
        expect_success(request.arg("-out").arg(&certificate));
        let (key, certificate) = (read(key), read(certificate));
        let signer = Signer::from_pem(&key, &certificate).unwrap_or_else(|error| panic!("{name}: {error}"));
        let payload = place.path("payload");
        fs::write(&payload, name).expect("a file");
        let (image, _) = place.make(name, &payload, Protection::Signed(&signer));
        let certificate = Certificate::from_pem(&certificate).expect("a certificate");
        assert!(verify(&image, &[certificate]).is_trusted(), "{name}");
    }
}

/// What systemd-repart wrote is read, and found to be whole and signed; and one changed byte of it is found.
#[test]
fn images_of_others_are_verified() {
    let place = Place::new();
    let image = place.path("repart.raw");
    let output = expect_success(command("gzip").args(["-dc"]).arg(data("repart.raw.gz")));
    fs::write(&image, output.stdout).expect("a file");
    let found = verify(&image, &[certificate("p256"), certificate("rsa")]);
    assert!(found.is_trusted() && found.is_found_by_root_hash, "{found:?}");
    let fingerprint = certificate("rsa").fingerprint();
    assert_eq!(found.signature, SignatureReport::Good { subject: "onlay test rsa".into(), fingerprint });
    let ddi = open(&image);
    assert_eq!(ddi.table.flaws, []);
    assert_eq!(ddi.parts[0].data.guid.to_string(), "5defc396-aa9f-49d7-7d66-caf241271b62");
    // This one has blocks of 512 bytes.
    assert_eq!(found.tree.map(|tree| tree.data_blocks), Some(20480));
    let file = File::options().write(true).open(&image).expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, b"x", ddi.parts[0].data.offset + 9 * 512).expect("room");
    let found = verify(&image, &[certificate("rsa")]);
    assert!(!found.is_trusted());
    let bad = BadBlocks { count: 1, ranges: vec![std::ops::Range { start: 9, end: 10 }] };
    assert_eq!(found.tree.expect("a tree").bad_data, bad);
    assert_ne!(ddi.table.disk, Guid::NIL);
}
