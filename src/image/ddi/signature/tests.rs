//! Signatures that OpenSSL made, and ours.

use super::*;

/// A file of `tests/data/ddi`.
macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ddi/", $name))
    };
}

const KEYS: [(&[u8], &[u8], &[u8]); 3] = [
    (data!("rsa.key"), data!("rsa.crt"), data!("rsa.p7s")),
    (data!("p256.key"), data!("p256.crt"), data!("p256.p7s")),
    (data!("p384.key"), data!("p384.crt"), data!("p384.p7s")),
];

fn hash() -> RootHash {
    RootHash::parse(&"00112233445566778899aabbccddeeff".repeat(2)).expect("64 digits")
}

fn certificates() -> Vec<Certificate> {
    KEYS.iter()
        .map(|(_, certificate, _)| Certificate::from_pem(certificate).expect("a certificate"))
        .collect()
}

fn signed(message: &[u8]) -> Signature {
    Signature { root_hash: hash(), fingerprint: None, message: message.to_vec() }
}

fn judged(message: &[u8]) -> Result<String, SignatureProblem> {
    let certificates = certificates();
    signed(message).verify(&certificates).map(|found| found.subject().to_owned())
}

#[test]
fn those_of_openssl_are_good() {
    for (_, certificate, signature) in KEYS {
        let certificate = Certificate::from_pem(certificate).expect("a certificate");
        assert_eq!(judged(signature), Ok(certificate.subject().to_owned()));
    }
    assert_eq!(judged(data!("rsa-attributes.p7s")), Ok("onlay test rsa".to_owned()));
}

#[test]
fn ours_are_good_and_survive_being_written() {
    let certificates = certificates();
    for (key, certificate, _) in KEYS {
        let signer = Signer::from_pem(key, certificate).expect("a key and its certificate");
        let signature = Signature::make(hash(), &signer).expect("a signature");
        assert_eq!(signature.verify(&certificates), Ok(signer.certificate()));
        let content = signature.encode();
        assert_eq!(content.len(), 16 * 1024);
        assert_eq!(Signature::parse(&content), Some(signature));
    }
}

#[test]
fn an_rsa_signature_is_to_the_byte_what_openssl_makes() {
    let (key, certificate, expected) = KEYS[0];
    let signer = Signer::from_pem(key, certificate).expect("a key and its certificate");
    assert_eq!(signer.sign(hash().to_string().as_bytes()).expect("a signature"), expected);
}

#[test]
fn what_others_signed_is_not_good() {
    let (_, _, signature) = KEYS[0];
    assert_eq!(signed(signature).verify(&[]), Err(SignatureProblem::UnknownSigner));
    let other = Signature { root_hash: RootHash([7; 32]), ..signed(signature) };
    assert_eq!(other.verify(&certificates()), Err(SignatureProblem::Wrong));
    let attributes = Signature { root_hash: RootHash([7; 32]), ..signed(data!("rsa-attributes.p7s")) };
    assert_eq!(attributes.verify(&certificates()), Err(SignatureProblem::Wrong));
    assert_eq!(judged(data!("rsa-keyid.p7s")), Err(SignatureProblem::Unsupported));
    assert_eq!(judged(data!("rsa-attached.p7s")), Err(SignatureProblem::Malformed));
    assert_eq!(judged(b""), Err(SignatureProblem::Malformed));
}

#[test]
fn a_changed_byte_is_noticed() {
    for (_, _, signature) in KEYS {
        // All of the signature itself, and some of what is before.
        let is_tried = |index: &usize| index.is_multiple_of(5) || index + 64 > signature.len();
        for index in (0..signature.len()).filter(is_tried) {
            let mut changed = signature.to_vec();
            changed[index] ^= 0x11;
            let judgement = judged(&changed);
            // What is before says which kind of signature it is; some of that is said twice.
            let is_signature = index + 64 > signature.len();
            assert!(!is_signature || judgement == Err(SignatureProblem::Wrong), "{index}: {judgement:?}");
        }
        for length in 0..signature.len() {
            assert_eq!(judged(&signature[..length]), Err(SignatureProblem::Malformed), "{length}");
        }
    }
}

#[test]
fn a_message_without_signatures_is_not_good() {
    use super::der::element;
    let empty = element(der::SET, &[]);
    let content = element(der::SEQUENCE, &[&element(der::OID, &[oid::DATA])]);
    let signed = element(der::SEQUENCE, &[&element(der::INTEGER, &[&[1]]), &empty, &content, &empty]);
    let message = element(
        der::SEQUENCE,
        &[&element(der::OID, &[oid::SIGNED_DATA]), &element(der::FIELD_0, &[&signed])],
    );
    assert_eq!(judged(&message), Err(SignatureProblem::Malformed));
}

#[test]
fn keys_that_cannot_sign_are_refused() {
    let (rsa, certificate, _) = KEYS[0];
    let problem = |key: &[u8], certificate: &[u8]| Signer::from_pem(key, certificate).expect_err("no signer");
    assert_eq!(problem(KEYS[1].0, certificate), KeyProblem::NotOurs);
    assert_eq!(problem(certificate, certificate), KeyProblem::NoKey);
    assert_eq!(problem(rsa, rsa), KeyProblem::NoCertificate);
    for (label, body, expected) in [
        ("ENCRYPTED PRIVATE KEY", "Zm9v", KeyProblem::Encrypted),
        (
            "RSA PRIVATE KEY",
            "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nZm9v",
            KeyProblem::Encrypted,
        ),
        ("PRIVATE KEY", "Zm9v", KeyProblem::Unusable),
        ("PRIVATE KEY", "Zm9", KeyProblem::Unusable),
        ("EC PRIVATE KEY", "MAA=", KeyProblem::Unusable),
        ("DSA PRIVATE KEY", "MAA=", KeyProblem::Unusable),
    ] {
        let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        assert_eq!(problem(pem.as_bytes(), certificate), expected, "{label}");
    }
    let bad = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    assert_eq!(problem(rsa, bad), KeyProblem::BadCertificate);
}

#[test]
fn a_text_that_is_no_signature_is_none() {
    let hash = hash();
    let right = format!("{{\"rootHash\":\"{hash}\",\"signature\":\"Zm9v\",\"more\":1}}");
    let read = Signature::parse(right.as_bytes()).expect("a signature");
    assert_eq!((read.root_hash, read.fingerprint, read.message()), (hash, None, &b"foo"[..]));
    for wrong in
        ["", "{}", "[]", &right.replace("Zm9v", "Zm9"), &right.replace("00", "0"), &right.replace('}', "")]
    {
        assert_eq!(Signature::parse(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn a_host_trusts_what_is_in_its_directories() {
    use crate::sys::Root;
    let place = tempfile::tempdir().expect("a directory");
    let root = Root::open(place.path()).expect("it is there");
    assert!(Trusted::read(&root).expect("nothing is fine").certificates.is_empty());
    for directory in TRUSTED {
        root.make_dirs(directory, 0o755).expect("a directory");
    }
    let write =
        |name: &str, content: &[u8]| std::fs::write(place.path().join(name), content).expect("a file");
    write("usr/lib/verity.d/a.crt", KEYS[0].1);
    write("etc/verity.d/a.crt", KEYS[1].1);
    write("usr/lib/verity.d/b.crt", KEYS[2].1);
    write("usr/lib/verity.d/c.crt", b"no certificate");
    write("usr/lib/verity.d/d.pem", KEYS[0].1);
    std::os::unix::fs::symlink("/dev/null", place.path().join("etc/verity.d/b.crt")).expect("a link");
    let trusted = Trusted::read(&root).expect("files are read");
    let names: Vec<_> = trusted.certificates.iter().map(Certificate::subject).collect();
    assert_eq!(names, ["onlay test p256"]);
    assert_eq!(trusted.unusable, [(place.path().join("usr/lib/verity.d/c.crt"), KeyProblem::NoCertificate)]);
}
