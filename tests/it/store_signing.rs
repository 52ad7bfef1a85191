//! `onlay store`: who signs a store, when that may be left out, and what a crash leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use onlay::store::openpgp::{Certificates, Fingerprint};
use onlay::store::read;
use serde_json::Value;

use crate::debian::{ONLAY, command, expect_success, words};
use crate::openpgp::Gnupg;
use crate::store::Bed;

/// The names that systemd looks for, of the signature of `SHA256SUMS`.
const SIGNATURES: [&str; 4] =
    ["SHA256SUMS.asc", "SHA256SUMS.gpg", "SHA256SUMS.sha256.asc", "SHA256SUMS.sha256.gpg"];

/// The file of a secret key, from the place of a bed.
fn key_file(key: &str) -> String {
    format!("keys/{key}.key")
}

impl Bed {
    /// Makes a key in the place where keys are, and says its fingerprint.
    pub(crate) fn key(&self, name: &str) -> String {
        let made = self.run(&["key", "make", name]);
        assert!(made.status.success(), "{}", words(&made));
        String::from_utf8_lossy(&made.stdout)[..40].to_owned()
    }

    fn expect(&self, arguments: &[&str]) -> String {
        let (code, said) = self.onlay(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    fn expect_refused(&self, arguments: &[&str], why: &str) {
        let (code, said) = self.onlay(arguments);
        assert!(code == Some(1) && said.contains(why), "{arguments:?}: {said}");
    }

    /// Who has signed the index, by the certificates that are in the store.
    fn signers_of_index(&self) -> Vec<Fingerprint> {
        let store = self.at("store");
        let certificates =
            Certificates::parse(&fs::read(store.join("key.asc")).expect("it is there")).expect("keys");
        let signed = read(&store).expect("a store");
        let by = |signature: &String| {
            certificates.verify(signature.as_bytes(), &signed.bytes, SystemTime::now()).expect("it is good")
        };
        signed.signatures.iter().map(by).collect()
    }

    /// Whether gpgv, with the keyring of the store, takes its list under each name.
    fn gpgv(&self, ring: &Path) -> Vec<bool> {
        let is_good = |name: &&'static str| {
            let mut gpgv = command("gpgv");
            gpgv.arg("--keyring").arg(ring).args([name, "SHA256SUMS"]).current_dir(self.at("store"));
            gpgv.output().expect("gpgv is there").status.success()
        };
        SIGNATURES.iter().map(is_good).collect()
    }

    fn verify(&self, options: &[&str]) -> Value {
        let verified = self.run(&[&["verify", "store", "--json"], options].concat());
        let report: Value =
            serde_json::from_slice(&verified.stdout).unwrap_or_else(|_| panic!("{}", words(&verified)));
        let has_flaws = report["flaws"].as_array().is_some_and(|flaws| !flaws.is_empty());
        assert_eq!(verified.status.code(), Some(i32::from(has_flaws)), "{report}");
        report
    }
}

/// Who can write to a store, and has no key, does not have his words signed by the next change.
#[test]
fn what_was_not_signed_before_is_not_signed_again() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    let (one, two) = (bed.good("1"), bed.good("2"));
    bed.expect(&["add", "store", &one, "--key", &key_file(&key)]);
    let index = bed.at("store/index.json");
    let good = fs::read_to_string(&index).expect("text");
    let other_digest = "0".repeat(64);
    let digest = bed.index()["images"][0]["sha256"].as_str().expect("text").to_owned();
    fs::write(&index, good.replace(&digest, &other_digest)).expect("ours");
    for change in [&["sign", "store"][..], &["add", "store", &two], &["remove", "store", "gdb"]] {
        bed.expect_refused(change, "is not what was signed, and is not signed again: ");
    }
    assert!(bed.files().contains(&"gdb_1_x86-64.raw".to_owned()));
    let bare = good.replace(&format!(",\"keys\":[\"{key}\"]"), "");
    assert_ne!(bare, good);
    fs::write(&index, &bare).expect("ours");
    bed.expect_refused(&["add", "store", &two, "--key", &key_file(&key)], "has images, and is not signed");
    // Where it leads out of the store, nothing is done at all.
    fs::write(&index, good.replace("gdb_1_x86-64.raw", "../one_1_x86-64.raw")).expect("ours");
    bed.expect_refused(&["remove", "store", "gdb", "--unsigned"], "which no file of a store can have");
    fs::write(&index, &bare).expect("ours");
    bed.expect(&["sign", "store", "--key", &key_file(&key)]);
    bed.expect(&["add", "store", &two]);
}

#[test]
fn a_store_stays_signed() {
    let bed = Bed::make();
    let key = bed.key("A Store <store@example.org>");
    let file = key_file(&key);
    assert_eq!(fs::metadata(bed.at(&file)).expect("it is there").permissions().mode() & 0o777, 0o600);
    let (one, two) = (bed.good("1"), bed.good("2"));
    assert_eq!(bed.files(), ["SHA256SUMS", "index.json"]);
    bed.expect_refused(&["sign", "store"], "the store is not signed, and no key was given");
    bed.expect(&["add", "store", &one, "--key", &file]);
    let mut files = vec!["SHA256SUMS"];
    files.extend(SIGNATURES);
    files.extend(["gdb_1_x86-64.raw", "index.json", "key.asc", "key.gpg"]);
    assert_eq!(bed.files(), files);
    let ring = bed.at("store/key.gpg");
    assert_eq!(bed.gpgv(&ring), [true; 4]);
    assert_eq!(bed.signers_of_index(), [key.parse().expect("a fingerprint")]);
    // It knows who signs it, and finds the key.
    bed.expect(&["add", "store", &two]);
    assert_eq!((bed.gpgv(&ring), bed.index()["keys"][0].as_str()), (vec![true; 4], Some(&*key)));
    let serial = bed.index()["serial"].clone();
    bed.expect(&["add", "store", &two]);
    assert_eq!(bed.index()["serial"], serial);
    bed.expect_sums();
    assert!(bed.expect(&["verify", "store"]).contains(&format!("signed by {key}, by its own word")));
    assert!(
        bed.expect(&["verify", "store", "--key", "store/key.asc"]).contains(&format!("signed by {key}\n"))
    );

    // Without it, nothing is done.
    fs::rename(bed.at("keys"), bed.at("elsewhere")).expect("ours");
    let before = bed.files();
    bed.expect_refused(&["remove", "store", "gdb=1"], "the secret key for it is not at hand");
    bed.expect_refused(&["prune", "store", "--keep", "1"], "the secret key for it is not at hand");
    let other = bed.key("Another");
    bed.expect_refused(
        &["add", "store", &one, "--key", &key_file(&other)],
        &format!("signed by {key}, not by {other}\nhint: without --key, "),
    );
    assert_eq!((bed.files(), bed.index()["serial"].clone()), (before, serial));
    bed.expect(&["sign", "store", "--replace", "--key", &key_file(&other)]);
    assert_eq!((bed.gpgv(&ring), bed.index()["keys"][0].as_str()), (vec![true; 4], Some(&*other)));
    bed.expect(&["remove", "store", "gdb=1", "--unsigned"]);
    assert_eq!(bed.files(), ["SHA256SUMS", "gdb_2_x86-64.raw", "index.json"]);
    assert!(bed.expect(&["verify", "store"]).contains("it is not signed"));
}

#[test]
fn secret_keys_are_kept_from_others() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    fs::copy(bed.at(&key_file(&key)), bed.at("store/secret")).expect("ours");
    bed.expect_refused(
        &["sign", "store", "--key", "store/secret"],
        "lies in the store, where everybody can read it",
    );
    fs::remove_file(bed.at("store/secret")).expect("ours");
    let file = key_file(&key);
    fs::set_permissions(bed.at(&file), fs::Permissions::from_mode(0o640)).expect("ours");
    bed.expect_refused(&["sign", "store", "--key", &file], "others may read the secret key");
    // Made with a passphrase, and nobody there to ask.
    fs::write(bed.at("word"), "correct horse\n").expect("ours");
    let made =
        bed.run(&["key", "make", "B", "--output", "b.key", "--new-passphrase-file", "word", "--lasts", "1d"]);
    assert!(made.status.success(), "{}", words(&made));
    let mut lonely = command("setsid");
    lonely.args(["--wait", ONLAY, "store", "sign", "store", "--key", "b.key"]).current_dir(bed.at("."));
    let said = words(&lonely.output().expect("setsid is there"));
    assert!(said.contains("it needs a passphrase, and there is nobody to ask"), "{said}");
    fs::write(bed.at("wrong"), "battery staple").expect("ours");
    bed.expect_refused(
        &["sign", "store", "--key", "b.key", "--passphrase-file", "wrong"],
        "its passphrase is another one",
    );
    let said = bed.expect(&["sign", "store", "--key", "b.key", "--passphrase-file", "word"]);
    assert!(said.contains("expires on") && said.contains("store key rotate"), "{said}");
    assert_eq!(bed.gpgv(&bed.at("store/key.gpg")), [true; 4]);
    // What there is to know of a key, a secret one, too.
    let shown = bed.run(&["key", "show", "b.key", "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((shown[0]["name"].as_str(), &shown[0]["fingerprint"]), (Some("B"), &bed.index()["keys"][0]));
    assert!(bed.expect(&["key", "show", "store"]).contains("/etc/systemd/import-pubring.gpg"));
}

/// Whoever has a key, public or secret, or only the store, gets what clients need; and the fingerprint is enough to verify.
#[test]
fn a_key_is_shown_with_what_clients_need() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    let secret = key_file(&key);
    let made = bed.expect(&["key", "show", &secret]);
    for told in
        [&format!("    keys = [\"{key}\"]\n"), "[store.tools]", "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n"]
    {
        assert!(made.contains(told), "{told}: {made}");
    }
    bed.expect(&["sign", "store", "--key", &secret]);
    let certificate = |of: &str| bed.run(&["key", "show", "--certificate", of]).stdout;
    let text = certificate(&secret);
    assert_eq!(
        (&text, &text),
        (&certificate("store"), &fs::read(bed.at("store/key.asc")).expect("it is there"))
    );
    fs::write(bed.at("tools.asc"), &text).expect("ours");
    let shown = bed.run(&["key", "show", "tools.asc", "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(shown[0]["certificate"].as_str(), Some(&*String::from_utf8_lossy(&text)));
    let read = Certificates::parse(&text).expect("a certificate");
    assert_eq!(read.fingerprints(), [key.parse().expect("a fingerprint")]);

    // By the fingerprint, as people write it, and by the file.
    let lower = key.to_lowercase();
    for given in [&key, &lower, "tools.asc"] {
        assert!(bed.expect(&["verify", "store", "--key", given]).contains(&format!("signed by {key}\n")));
    }
    let stranger = bed.run(&["key", "make", "Stranger", "--output", "stranger.key"]);
    let stranger = String::from_utf8_lossy(&stranger.stdout)[..40].to_owned();
    let unknown =
        format!("the certificate of the key {stranger} is not at hand; the store has that of {key}\nhint: ");
    bed.expect_refused(&["verify", "store", "--key", &stranger], &unknown);
    // Where secret keys are, its certificate is at hand.
    fs::copy(bed.at("stranger.key"), bed.at(&key_file(&stranger))).expect("ours");
    let wrong = format!("index.json is signed by {key}, and not by {stranger}, who is trusted\n");
    bed.expect_refused(&["verify", "store", "--key", &stranger], &wrong);
    bed.expect_refused(&["verify", "store", "--key", &stranger], "clients have theirs in /etc/onlay/keys");
}

#[test]
fn a_key_is_not_made_twice_by_mistake() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    let twice =
        format!("there is a key of 'A Store' already: '{}'\nhint: ", bed.at(&key_file(&key)).display());
    bed.expect_refused(&["key", "make", "A Store"], &twice);
    bed.expect(&["key", "make", "A Store", "--output", "other.key"]);
    let before = fs::read(bed.at("other.key")).expect("it is there");
    bed.expect_refused(
        &["key", "make", "B", "--output", "other.key"],
        "'other.key' is there already, and no key",
    );
    assert_eq!(fs::read(bed.at("other.key")).expect("it is there"), before);
    bed.key("B");
}

#[test]
fn a_key_gives_way_to_another() {
    let bed = Bed::make();
    let old = bed.key("A Store");
    bed.expect(&["sign", "store", "--key", &key_file(&old), "--best-before", "30"]);
    fs::copy(bed.at("store/key.gpg"), bed.at("old.gpg")).expect("ours");
    fs::write(bed.at("word"), "correct horse").expect("ours");
    let word = ["--passphrase-file", "word"];
    let said = bed.expect(&["key", "rotate", "store", "--new-passphrase-file", "word"]);
    assert!(said.contains(&format!("store key drop store {old}")), "{said}");
    let keys = bed.index()["keys"].clone();
    let new = keys[1].as_str().expect("two keys").to_owned();
    assert_eq!(keys[0].as_str(), Some(&*old));
    let both = [&old, &new].map(|key| key.parse::<Fingerprint>().expect("a fingerprint"));
    assert_eq!(bed.signers_of_index(), both);
    // Who knows the old key alone is served as before, and so is who knows both.
    assert_eq!(bed.gpgv(&bed.at("old.gpg")), [true; 4]);
    assert_eq!(bed.gpgv(&bed.at("store/key.gpg")), [true; 4]);
    let good = bed.good("1");
    bed.expect(&["add", "store", &good, "--passphrase-file", "word"]);
    assert_eq!(bed.signers_of_index(), both);
    fs::remove_file(bed.at(&key_file(&old))).expect("ours");
    bed.expect_refused(
        &["remove", "store", "gdb", word[0], word[1]],
        &format!("the store is signed by {old}, and the secret key"),
    );
    bed.expect(&["key", "drop", "store", &old, "--passphrase-file", "word"]);
    assert_eq!(bed.signers_of_index(), both[1..]);
    assert_eq!(bed.gpgv(&bed.at("old.gpg")), [false; 4]);
    assert_eq!(bed.gpgv(&bed.at("store/key.gpg")), [true; 4]);
    bed.expect_refused(
        &["key", "drop", "store", &new, word[0], word[1]],
        "is the only key that signs the store",
    );
    bed.expect_refused(&["key", "drop", "store", &old, word[0], word[1]], "the store is not signed by");
    assert!(bed.verify(&["--key", "store/key.asc"])["flaws"].as_array().is_some_and(Vec::is_empty));
    let flaws = bed.verify(&["--key", "old.gpg"])["flaws"].clone();
    let wrong = |file: &str| format!("{file} is signed by {new}, and not by {old}, who is trusted");
    assert_eq!(flaws, Value::from(["index.json", "SHA256SUMS"].map(wrong).to_vec()));
}

#[test]
fn an_old_store_is_not_fresh() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    bed.expect(&["sign", "store", "--key", &key_file(&key), "--best-before", "2100-01-02"]);
    assert!(bed.files().contains(&"BEST-BEFORE-2100-01-02".to_owned()));
    bed.expect_sums();
    assert_eq!(bed.index()["best_before"], "2100-01-02");
    assert_eq!(bed.verify(&[])["best_before"], "2100-01-02");
    bed.expect(&["sign", "store", "--best-before", "3d"]);
    let day = bed.index()["best_before"].as_str().expect("a day").to_owned();
    let files = bed.files();
    assert!(files.contains(&format!("BEST-BEFORE-{day}")) && files.len() == 9, "{files:?}");
    bed.expect_refused(
        &["sign", "store", "--best-before", "2024-01-01"],
        "best before 2024-01-01, which is over",
    );
    assert_eq!(bed.onlay(&["sign", "store", "--best-before", "2024-02-31"]).0, Some(2));
    let report = onlay::store::verify(
        &bed.at("store"),
        None,
        SystemTime::now() + std::time::Duration::from_secs(5 * 86_400),
    );
    let flaws = report.expect("it can be read").flaws;
    assert_eq!(flaws, [onlay::store::Flaw::Over(day)]);
    bed.expect(&["sign", "store", "--best-before", "none"]);
    assert!(bed.index()["best_before"].is_null() && bed.files().len() == 8);
}

#[test]
fn what_was_tampered_with_is_found() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    let good = bed.good("1");
    bed.expect(&["add", "store", &good, "--key", &key_file(&key)]);
    let store = bed.at("store");
    let index = fs::read_to_string(store.join("index.json")).expect("it is there");
    let flaws = || bed.verify(&["--key", "store/key.asc"])["flaws"].to_string();
    fs::write(store.join("index.json"), index.replacen("\"serial\":2", "\"serial\":9", 1)).expect("ours");
    assert!(flaws().contains("index.json: what is signed by"), "{}", flaws());
    let unsigned = index.split("\"signatures\":").next().expect("a part").to_owned() + "\"signatures\":[]}\n";
    fs::write(store.join("index.json"), unsigned).expect("ours");
    assert!(flaws().contains(&format!("index.json is not signed by {key}")), "{}", flaws());
    fs::write(store.join("index.json"), index).expect("ours");
    assert_eq!(flaws(), "[]");
    fs::rename(store.join("SHA256SUMS.gpg"), bed.at("away")).expect("ours");
    assert!(flaws().contains("SHA256SUMS.gpg is listed, and not there"), "{}", flaws());
    fs::rename(bed.at("away"), store.join("SHA256SUMS.gpg")).expect("ours");
    let sums = fs::read_to_string(store.join("SHA256SUMS")).expect("it is there");
    fs::write(store.join("SHA256SUMS"), sums + &format!("{}  x\n", "0".repeat(64))).expect("ours");
    assert!(flaws().contains("SHA256SUMS.gpg: what is signed by"), "{}", flaws());
    // The next change mends all of it.
    bed.expect(&["add", "store", &good]);
    assert_eq!(flaws(), "[]");
}

/// The seed's two layouts, signed by others.
#[test]
fn stores_of_others_are_verified() {
    let bed = Bed::make();
    let gnupg = Gnupg::make();
    gnupg.key("obs@example.org", "rsa2048", "sign");
    fs::write(bed.at("obs.asc"), gnupg.gpg(&["--armor", "--export", "obs@example.org"])).expect("ours");
    for name in ["gdb", "strace"] {
        let directory = bed.at("others").join(name);
        fs::create_dir_all(&directory).expect("ours");
        let file = format!("others/{name}/{name}-1.x86-64.raw");
        bed.image(&file, &format!("{name}-1.x86-64"), name, "ID=_any\n");
        let mut sums = command("sh");
        sums.args(["-c", "sha256sum *.raw >SHA256SUMS"]).current_dir(&directory);
        expect_success(&mut sums);
        let list = directory.join("SHA256SUMS");
        let signature =
            gnupg.gpg(&["--armor", "--output", "-", "--detach-sign", list.to_str().expect("ours")]);
        fs::write(directory.join("SHA256SUMS.asc"), signature).expect("ours");
    }
    let said = bed.expect(&["verify", "others"]);
    assert!(
        said.contains("2 images") && said.contains("without a key (--key) nobody knows by whom"),
        "{said}"
    );
    let said = bed.expect(&["verify", "others", "--key", "obs.asc"]);
    assert!(said.contains(&format!("signed by {}\n", gnupg.fingerprint("obs@example.org"))), "{said}");
    assert!(bed.expect(&["verify", "others/gdb", "--key", "obs.asc"]).contains("1 image"));
    fs::remove_file(bed.at("others/gdb/SHA256SUMS.asc")).expect("ours");
    bed.expect_refused(
        &["verify", "others", "--key", "obs.asc"],
        "gdb: SHA256SUMS is signed by nobody, and not by ",
    );
    let key = bed.key("Mallory");
    bed.expect_refused(
        &["verify", "others/strace", "--key", &key_file(&key)],
        "it has a secret key; give the public one\nhint: ",
    );
}

/// An agent holds the secret key, and nobody but it sees it: RSA, both curves, and a subkey.
#[test]
fn an_agent_signs() {
    let gnupg = Gnupg::make();
    for (user, algorithm, usage) in [
        ("ed@x", "ed25519", "sign"),
        ("rsa@x", "rsa2048", "sign"),
        ("p256@x", "nistp256", "sign"),
        ("sub@x", "ed25519", "cert"),
    ] {
        let fingerprint = gnupg.key(user, algorithm, usage);
        if usage == "cert" {
            gnupg.gpg(&["--quick-add-key", &fingerprint.to_string(), "ed25519", "sign", "never"]);
        }
        let bed = Bed::make();
        fs::write(bed.at("public.asc"), gnupg.gpg(&["--armor", "--export", user])).expect("ours");
        let sign = |home: &Path| {
            let mut onlay = command(ONLAY);
            onlay.args(["store", "sign", "store", "--key", "public.asc"]).current_dir(bed.at("."));
            onlay.env("GNUPGHOME", home).output().expect("it was started")
        };
        let alone = sign(&bed.at("."));
        assert!(words(&alone).contains("no gpg-agent that answers has its secret key"), "{}", words(&alone));
        let signed = sign(gnupg.path());
        assert!(signed.status.success(), "{user}: {}", words(&signed));
        assert_eq!(bed.gpgv(&bed.at("store/key.gpg")), [true; 4], "{user}");
        assert_eq!(bed.signers_of_index(), [fingerprint], "{user}");
    }
}

/// Whoever reads while a store is changed finds an index that is signed, and all that it lists.
#[test]
fn who_reads_meanwhile_finds_a_whole_store() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    bed.expect(&["sign", "store", "--key", &key_file(&key)]);
    let images: Vec<String> = (1..=12).map(|version| bed.good(&version.to_string())).collect();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut looks, mut serials) = (0, std::collections::BTreeSet::new());
            while !is_done.load(std::sync::atomic::Ordering::SeqCst) {
                assert_eq!(bed.signers_of_index().len(), 1);
                let index = read(&bed.at("store")).expect("a store").index;
                for image in &index.images {
                    let bytes = fs::read(bed.at("store").join(&image.file)).expect("what is listed is there");
                    assert_eq!(onlay::package::Identity::of(&bytes).to_string(), image.sha256);
                }
                looks += 1;
                serials.insert(index.serial);
            }
            (looks, serials.len())
        });
        for image in &images {
            bed.expect(&["add", "store", image]);
        }
        is_done.store(true, std::sync::atomic::Ordering::SeqCst);
        reader.join().expect("it saw nothing wrong")
    });
    assert!(looks.0 > 20 && looks.1 > 5, "{looks:?}");
}

/// Who is killed at any step, or finds no room there, leaves an index that is signed, whose files are there; and the next change mends
/// the rest.
#[test]
fn who_is_killed_or_finds_no_room_leaves_a_signed_store() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    let (one, two) = (bed.good("1"), bed.good("2"));
    bed.expect(&["add", "store", &one, "--key", &key_file(&key), "--best-before", "30"]);
    expect_success(command("cp").arg("-a").arg(bed.at("store")).arg(bed.at("before")));
    let naming = ["renameat", "renameat2", "linkat", "unlinkat", "fsync"];
    let steps: usize = naming.iter().map(|call| bed.interrupt(call, "signal=KILL", &two)).sum();
    assert!(steps > 20, "only {steps} steps");
    let filling = ["write", "pwrite64", "copy_file_range", "fallocate", "ftruncate", "linkat", "renameat"];
    let steps: usize = filling.iter().map(|call| bed.interrupt(call, "error=ENOSPC", &two)).sum();
    assert!(steps > 20, "only {steps} steps");
}

impl Bed {
    /// Adds an image to the store as it was before, with something that happens to each call of a kind in turn; how many those are.
    fn interrupt(&self, call: &str, what: &str, image: &str) -> usize {
        for step in 1.. {
            expect_success(command("rm").arg("-r").arg(self.at("store")));
            expect_success(command("cp").arg("-a").arg(self.at("before")).arg(self.at("store")));
            let mut strace = command("strace");
            strace.arg("--quiet=all").arg("--output").arg(self.at("calls"));
            strace.arg(format!("--trace={call}")).arg(format!("--inject={call}:{what}:when={step}"));
            strace.args([ONLAY, "store", "add", "store", image, "--best-before", "60"]);
            strace.current_dir(self.at(".")).env("ONLAY_STORE_KEYS", self.at("keys"));
            let ended = strace.output().expect("strace is there");
            let calls = fs::read_to_string(self.at("calls")).expect("strace writes it");
            let said = words(&ended);
            if ended.status.code() == Some(0) && !calls.contains("INJECTED") {
                return step - 1;
            }
            let is_told = ended.status.success()
                || ended.status.code().is_none()
                || said.contains("No space left on device");
            assert!(is_told, "{call} {step}: {said}");
            self.expect_signed_and_mended(image, &format!("{call} {step}"));
        }
        unreachable!("a program ends")
    }

    fn expect_signed_and_mended(&self, image: &str, at: &str) {
        assert_eq!(self.signers_of_index().len(), 1, "{at}");
        let flaws =
            onlay::store::verify(&self.at("store"), None, SystemTime::now()).expect("it can be read").flaws;
        let is_of_lists = |flaw: &onlay::store::Flaw| {
            let said = flaw.to_string();
            // Between two renames: a list and a signature that do not go together yet; or the new index with the old list.
            said.contains("SHA256SUMS") || said.contains("is not listed")
        };
        assert!(flaws.iter().all(is_of_lists), "{at}: {flaws:?}");
        self.expect(&["add", "store", image]);
        assert_eq!(self.verify(&[])["flaws"].to_string(), "[]", "{at}");
        assert_eq!(self.gpgv(&self.at("store/key.gpg")), [true; 4], "{at}");
        assert!(self.files().iter().all(|name| !name.starts_with('.')), "{at}: {:?}", self.files());
    }
}
