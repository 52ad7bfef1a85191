//! Extensions from stores: found, chosen, downloaded, updated and gone back from, on a host that the test made for itself
//! ([`crate::alone`]), from stores that are signed, and from stores that lie.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use onlay::store::openpgp::{Made, NewKey, SecretKey, Signer as _, armoured};
use serde_json::Value;

use crate::alone;
use crate::debian::{self, ONLAY, command, expect_success};
use crate::extension::activate::make_images;
use crate::fetch::server::{Reply, Request, Server, file};

/// Stores as they are at some moments, and as somebody makes them who is not to be believed.
struct Stores {
    top: PathBuf,
    key: SecretKey,
    stranger: SecretKey,
}

fn key(user: &str) -> (Made, SecretKey) {
    let now = SystemTime::now();
    // It has signed before today.
    let then = now - Duration::from_secs(86_400);
    let made = NewKey { user, lasts: None, passphrase: None }.make(then).expect("a key");
    let secret = SecretKey::parse(made.secret.as_bytes(), now, || unreachable!("it has no passphrase"));
    (made, secret.expect("it was just made"))
}

impl Stores {
    /// Makes them in `stores` of a directory that has `images`, beside the certificate that they are believed by.
    fn make(share: &Path) -> Stores {
        let (made, key_of_store) = key("Store <store@example.org>");
        fs::write(share.join("store.asc"), armoured(&made.certificate)).expect("ours");
        fs::write(share.join("fingerprint"), made.fingerprint.to_string()).expect("ours");
        let stores = Stores { top: share.join("stores"), key: key_of_store, stranger: key("Stranger").1 };
        let images = share.join("images");
        stores.publish("1", &images, &["one_1", "two_1", "sizeable_1"]);
        stores.copy("1", "2");
        stores.add(
            "2",
            &images,
            &[
                "one_2",
                "three_1",
                "needy_1",
                "wanted_1",
                "foreign_1",
                "large_1",
                "sizeable_2",
                "loaderless_1",
                "settings_1",
            ],
        );
        stores.sign("2", &stores.key, |_| ());
        stores
    }

    fn at(&self, store: &str) -> PathBuf {
        self.top.join(store)
    }

    fn publish(&self, store: &str, images: &Path, names: &[&str]) {
        fs::create_dir_all(&self.top).expect("ours");
        expect_success(command(ONLAY).args(["store", "init"]).arg(self.at(store)));
        self.add(store, images, names);
        self.sign(store, &self.key, |_| ());
    }

    fn add(&self, store: &str, images: &Path, names: &[&str]) {
        let files = names.iter().map(|name| images.join(format!("{name}_any.raw")));
        expect_success(command(ONLAY).args(["store", "add"]).arg(self.at(store)).args(files));
    }

    fn copy(&self, from: &str, to: &str) {
        expect_success(command("cp").arg("-a").arg(self.at(from)).arg(self.at(to)));
    }

    /// Changes what an index says, and signs that.
    fn sign(&self, store: &str, key: &SecretKey, change: impl Fn(&mut Value)) {
        let path = self.at(store).join("index.json");
        let mut index = serde_json::from_slice::<Value>(&fs::read(&path).expect("it has one")).expect("JSON");
        let mut index = index["index"].take();
        change(&mut index);
        let text = serde_json::to_string(&index).expect("JSON");
        let signature = key.sign_armoured(text.as_bytes(), SystemTime::now()).expect("it can");
        let signature = serde_json::to_string(&signature).expect("text");
        fs::write(path, format!("{{\"index\":{text},\"signatures\":[{signature}]}}\n")).expect("ours");
    }

    /// One like the second, which somebody has changed.
    fn bad(&self, store: &str, change: impl Fn(&mut Value)) {
        self.copy("2", store);
        self.sign(store, &self.key, change);
    }

    fn make_bad_ones(&self) {
        self.copy("2", "strangers");
        self.sign("strangers", &self.stranger, |_| ());
        self.copy("2", "altered");
        self.replace("altered", "\"three\"", "\"THREE\"");
        self.copy("2", "unsigned");
        let path = self.at("unsigned").join("index.json");
        let text = fs::read_to_string(&path).expect("it has one");
        fs::write(
            &path,
            format!("{}\"signatures\":[]}}", text.split("\"signatures\"").next().expect("it has")),
        )
        .expect("ours");
        self.bad("expired", |index| index["best_before"] = "2020-01-01".into());
        self.bad("soon", |index| index["best_before"] = "tomorrow".into());
        let entry = |index: &mut Value, change: &dyn Fn(&mut Value)| {
            let images = index["images"].as_array_mut().expect("a list");
            change(images.iter_mut().find(|image| image["name"] == "three").expect("it is there"));
        };
        self.bad("size", |index| entry(index, &|image| image["size"] = 4097.into()));
        self.bad("digest", |index| entry(index, &|image| image["sha256"] = "0".repeat(64).into()));
        self.bad("host", |index| entry(index, &|image| image["release"]["SYSEXT_SCOPE"] = "system".into()));
        self.bad("needs", |index| {
            entry(index, &|image| image["needs"]["libc.so.6"] = Value::Array(Vec::new()));
        });
        // An image of another extension, by the digest of which it is listed.
        let two = |image: &mut Value, index: &Value| {
            let other =
                index["images"].as_array().expect("a list").iter().find(|image| image["name"] == "two");
            for field in ["size", "sha256"] {
                image[field] = other.expect("it is there")[field].clone();
            }
        };
        self.bad("swapped", |index| {
            let all = index.clone();
            entry(index, &|image| two(image, &all));
        });
        let at = self.at("swapped");
        fs::copy(at.join("two_1_any.raw"), at.join("three_1_any.raw")).expect("ours");
        self.copy("2", "damaged");
        let path = self.at("damaged").join("three_1_any.raw");
        let mut image = fs::read(&path).expect("ours");
        image[700] ^= 1;
        fs::write(path, image).expect("ours");
        self.copy("2", "cut");
        let cut = fs::File::options().write(true).open(self.at("cut").join("three_1_any.raw")).expect("ours");
        cut.set_len(1000).expect("ours");
        self.copy("2", "gone");
        fs::remove_file(self.at("gone").join("three_1_any.raw")).expect("ours");
        fs::create_dir(self.at("garbage"))
            .and_then(|()| fs::write(self.at("garbage").join("index.json"), "<html>"))
            .expect("ours");
    }

    /// Two versions of an image of which half changes, in stores where the files beside the newer one are there, or not all.
    fn make_growing(&self, share: &Path) {
        let at = |name: &str| share.join(name);
        fs::create_dir_all(at("base/usr/lib")).expect("ours");
        fs::write(at("base/usr/lib/os-release"), "ID=lab\nVERSION_ID=1\n").expect("ours");
        let mut random = fastrand::Rng::with_seed(1);
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..16)).take(1_500_000).collect();
        for version in ["1", "2"] {
            let tree = at("own/usr/share/grown");
            fs::create_dir_all(&tree).expect("ours");
            for (number, part) in bytes.chunks(200_000).enumerate() {
                fs::write(tree.join(number.to_string()), part).expect("ours");
            }
            let mut onlay = command(ONLAY);
            onlay.args(["--root", "base", "--state", "state", "build", "grown", "--version", version]);
            onlay.args(["--tree", "own", "--match", "any", "--output", "images"]);
            expect_success(onlay.current_dir(share));
            bytes[800_000..].iter_mut().step_by(5000).for_each(|byte| *byte = 77);
        }
        let images = at("images");
        self.publish("grown-1", &images, &["grown_1"]);
        self.copy("grown-1", "grown-2");
        self.add("grown-2", &images, &["grown_2"]);
        self.sign("grown-2", &self.key, |_| ());
        for (store, from, gone) in [("grown-3", "grown-2", ".patch"), ("grown-4", "grown-3", ".blocks")] {
            self.copy(from, store);
            for entry in fs::read_dir(self.at(store)).expect("ours") {
                let path = entry.expect("ours").path();
                if path.to_string_lossy().ends_with(gone) {
                    fs::remove_file(path).expect("ours");
                }
            }
        }
    }

    /// One as others make them: images by other names, and digests that are signed.
    fn make_others(&self, images: &Path) {
        let at = self.at("others");
        fs::create_dir_all(at.join("three")).expect("ours");
        let mut sums = String::new();
        for (image, name) in [
            ("one_1_any.raw", "one-1.x86-64.raw"),
            ("three_1_any.raw", "three/three_3_any.raw"),
            ("two_1_any.raw", "four_1_any.raw"),
        ] {
            fs::copy(images.join(image), at.join(name)).expect("ours");
            let digest = onlay::package::Identity::of(&fs::read(images.join(image)).expect("ours"));
            sums.push_str(&format!("{digest} *{name}\n"));
        }
        let empty = onlay::package::Identity::of(b"");
        for (store, day) in [("others", "2999-12-31"), ("others-expired", "2020-01-01")] {
            if store != "others" {
                self.copy("others", store);
            }
            let sums = format!("{sums}{empty}  BEST-BEFORE-{day}\n");
            let signature = self.key.sign(sums.as_bytes(), SystemTime::now()).expect("it can");
            fs::write(self.at(store).join("SHA256SUMS"), sums).expect("ours");
            fs::write(self.at(store).join("SHA256SUMS.gpg"), signature).expect("ours");
        }
        self.make_packed(images);
        // A directory of one extension, with a list of its own; the image is named for its file, as microos-sysext has it.
        let image = fs::read(images.join("seed_1_any.raw")).expect("ours");
        let sums = format!("{}  seed-1.x86-64.raw\n", onlay::package::Identity::of(&image));
        fs::create_dir(at.join("seed")).expect("ours");
        fs::write(at.join("seed/seed-1.x86-64.raw"), image).expect("ours");
        let signature = self.key.sign_armoured(sums.as_bytes(), SystemTime::now()).expect("it can");
        fs::write(at.join("seed/SHA256SUMS"), sums).expect("ours");
        fs::write(at.join("seed/SHA256SUMS.asc"), signature).expect("ours");
        // As it was an hour ago, with one image less.
        self.copy("others", "others-older");
        let older = self.at("others-older");
        let sums = fs::read_to_string(older.join("SHA256SUMS")).expect("ours");
        let sums: String = sums.split_inclusive('\n').filter(|line| !line.contains("four")).collect();
        let then = SystemTime::now() - Duration::from_secs(3600);
        let signature = self.key.sign(sums.as_bytes(), then).expect("it can");
        fs::write(older.join("SHA256SUMS"), sums).expect("ours");
        fs::write(older.join("SHA256SUMS.gpg"), signature).expect("ours");
        self.copy("others", "others-unsigned");
        fs::remove_file(self.at("others-unsigned").join("SHA256SUMS.gpg")).expect("ours");
        self.copy("others", "others-altered");
        self.replace_in("others-altered", "SHA256SUMS", "three_3", "three_4");
    }

    /// One whose images are compressed as a whole, as importctl takes them, too; one of them is cut.
    fn make_packed(&self, images: &Path) {
        let image = fs::read(images.join("two_1_any.raw")).expect("ours");
        let whole = zstd::encode_all(&*image, 3).expect("in memory");
        let at = self.at("others-packed");
        fs::create_dir(&at).expect("ours");
        let mut sums = String::new();
        for (name, bytes) in
            [("two_2_any.raw.zst", &*whole), ("five_1_any.raw.zst", &whole[..whole.len() - 9])]
        {
            fs::write(at.join(name), bytes).expect("ours");
            sums.push_str(&format!("{} *{name}\n", onlay::package::Identity::of(bytes)));
        }
        let signature = self.key.sign(sums.as_bytes(), SystemTime::now()).expect("it can");
        fs::write(at.join("SHA256SUMS"), sums).expect("ours");
        fs::write(at.join("SHA256SUMS.gpg"), signature).expect("ours");
    }

    fn replace(&self, store: &str, from: &str, to: &str) {
        self.replace_in(store, "index.json", from, to);
    }

    fn replace_in(&self, store: &str, file: &str, from: &str, to: &str) {
        let path = self.at(store).join(file);
        let text = fs::read_to_string(&path).expect("it has one");
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).expect("ours");
    }
}

/// Makes an authority, a certificate of its for `localhost`, and another authority, in a directory.
fn make_certificates(at: &Path) {
    let openssl = |arguments: &str| {
        expect_success(command("openssl").args(arguments.split(' ')).current_dir(at));
    };
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 -days 30 -subj /CN=authority -keyout authority.key -out authority.pem {new}"
    ));
    openssl(&format!("req -x509 -days 30 -subj /CN=other -keyout other.key -out other.pem {new}"));
    openssl(&format!("req -subj /CN=localhost -keyout server.key -out server.csr {new}"));
    fs::write(at.join("server.ext"), "subjectAltName=DNS:localhost\n").expect("ours");
    openssl(
        "x509 -req -days 30 -in server.csr -CA authority.pem -CAkey authority.key -extfile server.ext -out server.pem",
    );
}

/// Answers with files of `stores` of a directory, notes in `requests` what was asked for, and cuts answers as `cut` says: a part of
/// a path, and after how many bytes.
fn answer(share: &Path, request: &Request) -> Reply {
    let reply = file(&share.join("stores"), request);
    let range = request.header("range").unwrap_or("-");
    let mut log = fs::File::options().create(true).append(true).open(share.join("requests")).expect("ours");
    writeln!(log, "{} {} {range}", reply.status, request.path).expect("ours");
    let cut = fs::read_to_string(share.join("cut")).ok();
    let cut = cut.as_deref().and_then(|text| text.trim().split_once(' '));
    let cut = cut.filter(|(part, _)| request.path.contains(part)).and_then(|(_, bytes)| bytes.parse().ok());
    Reply { cut, ..reply }
}

/// Two servers of the stores of a directory, without TLS and with it; where they are is in `url` and `secure`.
fn serve(share: &Path) -> [Server; 2] {
    let at = share.to_owned();
    let plain = Server::start(move |request| answer(&at, request));
    fs::write(share.join("url"), plain.url()).expect("ours");
    make_certificates(share);
    let (at, away) = (share.to_owned(), format!("{}/2", plain.url()));
    let [certificate, key] = ["server.pem", "server.key"].map(|name| share.join(name));
    let secure =
        Server::start_secure(&certificate, &key, move |request| match request.path.strip_prefix("/plain") {
            Some(rest) => Reply::to(&format!("{away}{rest}")),
            None => answer(&at, request),
        });
    fs::write(share.join("secure"), format!("https://localhost:{}", secure.port())).expect("ours");
    [plain, secure]
}

/// Runs a script of checks beside the stores of `make`, which are served meanwhile.
fn check(checks: &str, make: impl FnOnce(&Stores, &Path)) {
    if ["mksquashfs", "tinyproxy"].iter().any(|tool| !debian::has(tool)) {
        return;
    }
    let mut servers = Vec::new();
    alone::check("trixie", checks, |place, tree| {
        let share = place.join("share");
        make_images(&share, tree);
        make(&Stores::make(&share), &share);
        for part in ["host.sh", "proxies.sh"] {
            fs::copy(debian::script(&format!("client/{part}")), share.join(part)).expect("ours");
        }
        servers.extend(serve(&share));
    });
    drop(servers);
}

#[test]
fn extensions_come_from_stores_that_are_believed_and_from_no_others() {
    check("client/stores.sh", |stores, share| {
        stores.make_bad_ones();
        stores.make_growing(share);
        stores.make_others(&share.join("images"));
        // It needs nothing but the C library.
        fs::copy("/usr/bin/tinyproxy", share.join("tinyproxy")).expect("Debian has it there");
    });
}

#[test]
fn who_is_killed_or_finds_no_room_has_one_state_or_the_other() {
    check("client/interrupted.sh", |_, _| ());
}
