//! Keys and signatures of GnuPG and Sequoia, read by us; and ours, by them.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use onlay::store::openpgp::{Certificates, Fingerprint, NewKey, Refusal, SecretKey, Signer, Unfit, armoured};

use crate::debian::{command, expect_success, place, tree, words};

#[path = "../../fuzz/invariants/openpgp.rs"]
mod invariants;

const DATA: &[u8] = b"0123  strace_6.13_x86-64.raw\n";

/// A directory of GnuPG's.
pub(crate) struct Gnupg {
    place: tempfile::TempDir,
}

impl Gnupg {
    pub(crate) fn make() -> Gnupg {
        use std::os::unix::fs::PermissionsExt;
        // Its socket lies in it, whose path must not be long.
        let place = tempfile::tempdir_in("/tmp").expect("there is room");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).expect("ours");
        fs::write(place.path().join("file"), DATA).expect("ours");
        Gnupg { place }
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        let mut gpg = command("gpg");
        gpg.env("GNUPGHOME", self.path()).args([
            "--batch",
            "--quiet",
            "--yes",
            "--pinentry-mode",
            "loopback",
        ]);
        gpg.args(["--passphrase", ""]).args(arguments).current_dir(self.path());
        expect_success(&mut gpg).stdout
    }

    /// Makes a key, and says its fingerprint.
    pub(crate) fn key(&self, user: &str, algorithm: &str, usage: &str) -> Fingerprint {
        self.gpg(&["--quick-generate-key", user, algorithm, usage, "never"]);
        self.fingerprint(user)
    }

    pub(crate) fn fingerprint(&self, user: &str) -> Fingerprint {
        let listed = String::from_utf8(self.gpg(&["--with-colons", "--list-keys", user])).expect("text");
        let line = listed.lines().find(|line| line.starts_with("fpr:")).expect("it is there");
        line.trim_matches(':').rsplit(':').next().expect("a field").parse().expect("a fingerprint")
    }

    pub(crate) fn certificates(&self, user: &str) -> Certificates {
        Certificates::parse(&self.gpg(&["--export", user])).expect("gpg wrote it")
    }

    /// A detached signature of the file.
    fn sign(&self, user: &str, options: &[&str]) -> Vec<u8> {
        self.gpg(&[options, &["--local-user", user, "--output", "-", "--detach-sign", "file"]].concat())
    }

    /// What `gpgv` says of a signature.
    fn gpgv(&self, user: &str, signature: &[u8]) -> bool {
        fs::write(self.path().join("ring"), self.gpg(&["--export", user])).expect("ours");
        fs::write(self.path().join("signature"), signature).expect("ours");
        let mut gpgv = command("gpgv");
        gpgv.args(["--status-fd", "1", "--keyring", "./ring", "signature", "file"]).current_dir(self.path());
        let output = gpgv.output().expect("gpgv is there");
        fs::write(self.path().join("said"), &output.stdout).expect("ours");
        output.status.success()
    }

    /// What it said last.
    fn said(&self) -> String {
        fs::read_to_string(self.path().join("said")).expect("it was asked")
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let mut gpgconf = command("gpgconf");
        let _ = gpgconf.env("GNUPGHOME", self.path()).args(["--kill", "gpg-agent"]).output();
    }
}

fn now() -> SystemTime {
    SystemTime::now()
}

#[test]
fn signatures_of_gnupg_are_read() {
    let gnupg = Gnupg::make();
    for (user, algorithm, usage) in [
        ("rsa@x", "rsa2048", "sign"),
        ("eddsa@x", "ed25519", "sign,cert"),
        ("p256@x", "nistp256", "sign"),
        ("p384@x", "nistp384", "sign"),
        ("p521@x", "nistp521", "sign"),
        ("subkey@x", "ed25519", "cert"),
    ] {
        let fingerprint = gnupg.key(user, algorithm, usage);
        if user == "subkey@x" {
            gnupg.gpg(&["--quick-add-key", &fingerprint.to_string(), "ed25519", "sign", "1d"]);
            gnupg.gpg(&["--quick-add-key", &fingerprint.to_string(), "cv25519", "encr", "never"]);
        }
        let trusted = gnupg.certificates(user);
        assert_eq!(trusted.fingerprints(), std::slice::from_ref(&fingerprint));
        let digest = if ["nistp384", "nistp521"].contains(&algorithm) { "SHA512" } else { "SHA256" };
        for options in [&[][..], &["--armor"], &["--digest-algo", digest]] {
            let signature = gnupg.sign(user, options);
            assert_eq!(
                trusted.verify(&signature, DATA, now()),
                Ok(fingerprint.clone()),
                "{user} {options:?}"
            );
            let changed = trusted.verify(&signature, &DATA[1..], now());
            assert_eq!(changed, Err(Refusal::Changed { by: fingerprint.clone() }), "{user}");
        }
        let text = trusted.verify(&gnupg.sign(user, &["--textmode"]), DATA, now());
        assert_eq!(text, Err(Refusal::Other));
        // With a curve, gpg itself does not sign so.
        if algorithm == "rsa2048" {
            let weak = trusted.verify(&gnupg.sign(user, &["--digest-algo", "SHA1"]), DATA, now());
            assert!(matches!(&weak, Err(Refusal::Weak { by, .. }) if *by == fingerprint), "{weak:?}");
        }
        let late = trusted.verify(&gnupg.sign(user, &[]), DATA, now() + Duration::from_secs(2 * 86_400));
        assert_eq!(late.is_ok(), user != "subkey@x", "{user}: {late:?}");
        let armour = Certificates::parse(&gnupg.gpg(&["--armor", "--export", user])).expect("gpg wrote it");
        assert!(armour.verify(&gnupg.sign(user, &[]), DATA, now()).is_ok());
    }
    let stranger = gnupg.certificates("rsa@x").verify(&gnupg.sign("eddsa@x", &[]), DATA, now());
    assert_eq!(stranger, Err(Refusal::Stranger { by: vec![gnupg.fingerprint("eddsa@x").to_string()] }));
}

/// Where gpgv looks at the same: what it refuses, we do.
#[test]
fn keys_that_do_not_count_are_refused() {
    let gnupg = Gnupg::make();
    let old = gnupg.key("old@x", "ed25519", "sign");
    let signature = gnupg.sign("old@x", &[]);
    assert!(gnupg.gpgv("old@x", &signature));
    gnupg.gpg(&["--quick-set-expire", &old.to_string(), "1d"]);
    let later = now() + Duration::from_secs(2 * 86_400);
    assert!(gnupg.certificates("old@x").verify(&signature, DATA, now()).is_ok());
    let expired = gnupg.certificates("old@x").verify(&signature, DATA, later);
    assert!(matches!(&expired, Err(Refusal::Expired { by, .. }) if *by == old), "{expired:?}");
    // A later word of its owner counts.
    gnupg.gpg(&["--quick-set-expire", &old.to_string(), "3d"]);
    assert_eq!(gnupg.certificates("old@x").verify(&signature, DATA, later), Ok(old.clone()));

    let lost = gnupg.key("lost@x", "ed25519", "sign");
    let signature = gnupg.sign("lost@x", &[]);
    let before = gnupg.certificates("lost@x");
    let file = gnupg.path().join(format!("openpgp-revocs.d/{lost}.rev"));
    // gpg keeps it so that nobody imports it by accident.
    let revocation = fs::read_to_string(&file).expect("gpg made it").replace(":-----BEGIN", "-----BEGIN");
    fs::write(&file, revocation).expect("ours");
    gnupg.gpg(&["--import", file.to_str().expect("a path of ours")]);
    let mut after = gnupg.certificates("lost@x");
    assert_eq!(after.verify(&signature, DATA, now()), Err(Refusal::Revoked { by: lost.clone() }));
    // Here gpgv exits with 0, and only says so.
    assert!(gnupg.gpgv("lost@x", &signature));
    assert!(gnupg.said().contains("[GNUPG:] REVKEYSIG"), "{}", gnupg.said());
    // An older copy of it beside changes nothing.
    after.extend(before);
    assert_eq!(after.verify(&signature, DATA, now()), Err(Refusal::Revoked { by: lost }));

    // A subkey that encrypts signs nothing, and a revoked one neither.
    let main = gnupg.key("main@x", "ed25519", "cert");
    gnupg.gpg(&["--quick-add-key", &main.to_string(), "ed25519", "sign", "never"]);
    let signature = gnupg.sign("main@x", &[]);
    assert_eq!(gnupg.certificates("main@x").verify(&signature, DATA, now()), Ok(main.clone()));
    let export = gnupg.gpg(&["--export", "main@x"]);
    // The subkey with its signature, taken to the key of somebody else, who did not sign it.
    let other = gnupg.gpg(&["--export", "old@x"]);
    let subkey = subkey_of(&export);
    let stolen = Certificates::parse(&[&other[..], subkey].concat()).expect("it can be read");
    assert_eq!(stolen.verify(&signature, DATA, now()), Err(Refusal::Unfit { by: old, why: Unfit::Unbound }));
}

/// The subkey at the end of a certificate.
fn subkey_of(certificate: &[u8]) -> &[u8] {
    // A public subkey of version 4 in gpg's older form of packets, with a length of one byte.
    let at = certificate.windows(3).rposition(|bytes| bytes[0] == 0xb8 && bytes[2] == 4).expect("it has one");
    &certificate[at..]
}

#[test]
fn our_signatures_are_read_by_all() {
    let place = place();
    let made = NewKey {
        user: "A Store <store@example.org>",
        lasts: Some(Duration::from_secs(86_400)),
        passphrase: None,
    }
    .make(now())
    .expect("there is randomness");
    let key =
        SecretKey::parse(made.secret.as_bytes(), now(), || panic!("it has none")).expect("it was just made");
    let at = |name: &str| place.path().join(name);
    fs::write(at("file"), DATA).expect("ours");
    fs::write(at("changed"), b"x").expect("ours");
    fs::write(at("key.gpg"), &made.certificate).expect("ours");
    fs::write(at("key.asc"), armoured(&made.certificate)).expect("ours");
    fs::write(at("sig.gpg"), key.sign(DATA, now()).expect("it may")).expect("ours");
    fs::write(at("sig.asc"), key.sign_armoured(DATA, now()).expect("it may")).expect("ours");
    for signature in ["sig.gpg", "sig.asc"] {
        for (file, is_good) in [("file", true), ("changed", false)] {
            let mut gpgv = command("gpgv");
            gpgv.args(["--keyring", "./key.gpg", signature, file]).current_dir(place.path());
            assert_eq!(
                gpgv.output().expect("gpgv is there").status.success(),
                is_good,
                "gpgv {signature} {file}"
            );
            for (name, script) in READERS {
                let Some(tree) = tree(name) else { continue };
                let words = inside(
                    &tree,
                    place.path(),
                    &script.replace("SIGNATURE", signature).replace("FILE", file),
                );
                assert_eq!(words.is_ok(), is_good, "{name} {signature} {file}: {words:?}");
            }
        }
    }
    // The key itself can be taken to GnuPG, which signs with it.
    let gnupg = Gnupg::make();
    fs::write(gnupg.path().join("secret"), &made.secret).expect("ours");
    gnupg.gpg(&["--import", "secret"]);
    let signature = gnupg.sign("store@example.org", &[]);
    let trusted = Certificates::parse(&made.certificate).expect("it was just made");
    assert_eq!(trusted.verify(&signature, DATA, now()), Ok(made.fingerprint));
}

/// Readers of Debian 13 and unstable. systemd asks gpg like this.
const READERS: [(&str, &str); 3] =
    [("trixie", "sqv --keyring key.gpg SIGNATURE FILE"), ("rpm-sqlite", GPG), ("rpm-unstable", GPG)];
const GPG: &str = "mkdir -m 700 /tmp/home && gpg --homedir /tmp/home --batch --no-options --no-default-keyring \
    --no-auto-key-locate --no-auto-check-trustdb --trust-model=always --keyring ./key.gpg --verify SIGNATURE FILE";

/// Runs a script in a tree, at a directory of ours.
fn inside(tree: &Path, place: &Path, script: &str) -> Result<String, String> {
    let mut bwrap = command("bwrap");
    bwrap.arg("--ro-bind").arg(tree).arg("/").args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]);
    bwrap.arg("--ro-bind").arg(place).args(["/mnt", "--chdir", "/mnt", "--unshare-pid", "sh", "-c", script]);
    bwrap.env("PATH", "/usr/bin:/bin");
    let output = bwrap.output().expect("bwrap is there");
    if output.status.success() { Ok(words(&output)) } else { Err(words(&output)) }
}

/// Secret keys of GnuPG's, taken out of it.
#[test]
fn keys_of_gnupg_sign() {
    let gnupg = Gnupg::make();
    for (user, algorithm, usage) in
        [("a@x", "ed25519", "sign"), ("b@x", "nistp256", "sign"), ("c@x", "rsa2048", "cert")]
    {
        let fingerprint = gnupg.key(user, algorithm, usage);
        if usage == "cert" {
            gnupg.gpg(&["--quick-add-key", &fingerprint.to_string(), "rsa2048", "sign", "never"]);
        }
        let secret = gnupg.gpg(&["--armor", "--export-secret-keys", user]);
        let key = SecretKey::parse(&secret, now(), || panic!("it has none")).expect("gpg wrote it");
        assert_eq!(key.fingerprint(), fingerprint);
        let signature = key.sign(DATA, now()).expect("it may");
        assert!(gnupg.gpgv(user, &signature), "{user}");
        assert_eq!(gnupg.certificates(user).verify(&signature, DATA, now()), Ok(fingerprint));
    }
}

/// Right keys and signatures of GnuPG's and ours, changed at random places.
#[test]
fn what_was_changed_at_random_harms_nobody() {
    let gnupg = Gnupg::make();
    let mut right = Vec::new();
    for (user, algorithm) in [("a@x", "ed25519"), ("b@x", "nistp384"), ("c@x", "rsa2048")] {
        let key = gnupg.key(user, algorithm, "cert,sign");
        if algorithm != "nistp384" {
            gnupg.gpg(&["--quick-add-key", &key.to_string(), algorithm, "sign", "1d"]);
        }
        right.push(gnupg.gpg(&["--export", user]));
        right.push(gnupg.gpg(&["--export-secret-keys", user]));
        right.push(gnupg.gpg(&["--armor", "--export", user]));
        right.push(gnupg.sign(user, &[]));
    }
    let mut random = fastrand::Rng::with_seed(7);
    for good in &right {
        invariants::any(good);
        for _ in 0..60 {
            let mut bad = good.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bad.len());
                match random.u8(..4) {
                    0 => bad[at] = random.u8(..),
                    1 => bad[at] ^= 1 << random.u8(..8),
                    2 => bad.truncate(at.max(1)),
                    _ => drop(bad.splice(at..at, right[0][at % 40..at % 40 + 40].iter().copied())),
                }
            }
            invariants::any(&bad);
        }
    }
}
