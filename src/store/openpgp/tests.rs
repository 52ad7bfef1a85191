//! Keys and signatures of our own, and bytes that are none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;

const DATA: &[u8] = b"abc  strace_6.13_x86-64.raw\n";
const DAY: Duration = Duration::from_secs(86_400);

fn then() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn made(lasts: Option<Duration>, passphrase: Option<&[u8]>) -> Made {
    NewKey { user: "Some Store <store@example.org>", lasts, passphrase }
        .make(then())
        .expect("there is randomness")
}

fn nobody() -> Result<Vec<u8>, SignError> {
    Err(SignError::NoPassphrase)
}

fn key(made: &Made) -> SecretKey {
    SecretKey::parse(made.secret.as_bytes(), then(), nobody).expect("it was just made")
}

fn trusting(made: &Made) -> Certificates {
    Certificates::parse(&made.certificate).expect("it was just made")
}

#[test]
fn what_is_signed_is_verified_and_nothing_else() {
    let (own, other) = (made(None, None), made(None, None));
    let signature = key(&own).sign(DATA, then()).expect("it may");
    let trusted = trusting(&own);
    let verify =
        |trusted: &Certificates, signature: &[u8], data: &[u8]| trusted.verify(signature, data, then());
    assert_eq!(verify(&trusted, &signature, DATA), Ok(own.fingerprint.clone()));
    let in_armour = key(&own).sign_armoured(DATA, then()).expect("it may");
    assert_eq!(verify(&trusted, in_armour.as_bytes(), DATA), Ok(own.fingerprint.clone()));
    let by = own.fingerprint.clone();
    assert_eq!(verify(&trusted, &signature, b"abc"), Err(Refusal::Changed { by }));
    let stranger = Refusal::Stranger { by: vec![own.fingerprint.to_string()] };
    assert_eq!(verify(&trusting(&other), &signature, DATA), Err(stranger.clone()));
    assert_eq!(verify(&Certificates::default(), &signature, DATA), Err(stranger));
    // One of several is enough, in any order.
    let both = [&signature[..], &key(&other).sign(DATA, then()).expect("it may")].concat();
    assert_eq!(verify(&trusted, &both, DATA), Ok(own.fingerprint.clone()));
    assert_eq!(verify(&trusting(&other), &both, DATA), Ok(other.fingerprint.clone()));
    let file = armoured(&own.certificate) + &armoured(&other.certificate);
    let all = Certificates::parse(file.as_bytes()).expect("two certificates");
    assert_eq!(all.fingerprints(), [own.fingerprint.clone(), other.fingerprint.clone()]);
    assert_eq!(all.only(std::slice::from_ref(&own.fingerprint)).fingerprints(), [own.fingerprint]);
}

/// RFC 9580, A.4.
const VERSION_6: &str = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\
    \n\
    xUsGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laMAGXKB\n\
    exK+cH6NX1hs5hNhIB00TrJmosgv3mg1ditlsLfCsQYfGwoAAABCBYJjh3/jAwsJ\n\
    BwUVCg4IDAIWAAKbAwIeCSIhBssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce6\n\
    2azJBScJAgcCAAAAAK0oIBA+LX0ifsDm185Ecds2v8lwgyU2kCcUmKfvBXbAf6rh\n\
    RYWzuQOwEn7E/aLwIwRaLsdry0+VcallHhSu4RN6HWaEQsiPlR4zxP/TP7mhfVEe\n\
    7XWPxtnMUMtf15OyA51YBMdLBmOHf+MZAAAAIIaTJINn+eUBXbki+PSAld2nhJh/\n\
    LVmFsS+60WyvXkQ1AE1gCk95TUR3XFeibg/u/tVY6a//1q0NWC1X+yui3O24wpsG\n\
    GBsKAAAALAWCY4d/4wKbDCIhBssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce6\n\
    2azJAAAAAAQBIKbpGG2dWTX8j+VjFM21J0hqWlEg+bdiojWnKfA5AQpWUWtnNwDE\n\
    M0g12vYxoWM8Y81W+bHBw805I8kWVkXU6vFOi+HWvv/ira7ofJu16NnoUkhclkUr\n\
    k0mXubZvyl4GBg==\n\
    -----END PGP PRIVATE KEY BLOCK-----";

#[test]
fn keys_of_version_6_sign_and_are_verified() {
    let key = SecretKey::parse(VERSION_6.as_bytes(), then(), nobody).expect("it is the standard's");
    let known: Fingerprint =
        "CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9".parse().expect("a fingerprint");
    assert_eq!(key.fingerprint(), known);
    let trusted = Certificates::parse(key.certificate()).expect("it has one");
    let signature = key.sign_armoured(DATA, then()).expect("it may");
    assert_eq!(trusted.verify(signature.as_bytes(), DATA, then()), Ok(known.clone()));
    assert_eq!(trusted.verify(signature.as_bytes(), b"x", then()), Err(Refusal::Changed { by: known }));
}

#[test]
fn time_is_kept() {
    let own = made(Some(10 * DAY), None);
    let signature = key(&own).sign(DATA, then()).expect("it may");
    let at = |now| trusting(&own).verify(&signature, DATA, now);
    assert!(at(then() + 9 * DAY).is_ok() && at(then() - Duration::from_secs(60)).is_ok());
    let (by, end) = (own.fingerprint.clone(), then() + 10 * DAY);
    assert_eq!(at(end), Err(Refusal::Expired { by: by.clone(), at: end }));
    assert_eq!(at(then() - DAY), Err(Refusal::Future { by: by.clone(), at: then() }));
    let early = key(&own).sign(DATA, then() - DAY).expect("nobody asks");
    assert_eq!(trusting(&own).verify(&early, DATA, then()), Err(Refusal::Early { by }));
    // An expired key does not sign.
    let late = SecretKey::parse(own.secret.as_bytes(), end, nobody);
    assert!(matches!(late, Err(SignError::Refused(Refusal::Expired { .. }))), "{late:?}");
}

#[test]
fn a_passphrase_keeps_a_key() {
    let own = made(None, Some(b"correct horse"));
    let read = |passphrase: &[u8]| {
        SecretKey::parse(own.secret.as_bytes(), then(), || Ok(passphrase.to_vec()))
            .map(|key| key.sign(DATA, then()))
    };
    let signature = read(b"correct horse").expect("it is right").expect("it may");
    assert!(trusting(&own).verify(&signature, DATA, then()).is_ok());
    assert!(matches!(read(b"battery staple"), Err(SignError::Passphrase)));
    assert!(matches!(SecretKey::parse(own.secret.as_bytes(), then(), nobody), Err(SignError::NoPassphrase)));
    assert!(is_secret(own.secret.as_bytes()) && !is_secret(&own.certificate));
    assert_eq!(Certificates::parse(own.secret.as_bytes()).expect_err("it is secret"), BadKey::Secret);
}

/// Whatever single byte is another one, it is not verified, or still is the same signature by the same key; and nothing panics.
#[test]
fn a_byte_that_is_another_one_is_seen() {
    let own = made(Some(DAY), None);
    let (trusted, signature) = (trusting(&own), key(&own).sign(DATA, then()).expect("it may"));
    for place in 0..signature.len() {
        for bit in [0, 3, 7] {
            let mut damaged = signature.clone();
            damaged[place] ^= 1 << bit;
            // What is not signed of it are its length and who it says made it.
            if let Ok(by) = trusted.verify(&damaged, DATA, then()) {
                assert_eq!(by, own.fingerprint, "{place}");
            }
        }
        assert!(trusted.verify(&signature[..place], DATA, then()).is_err(), "{place}");
    }
    let mut data = DATA.to_vec();
    for place in 0..data.len() {
        data[place] ^= 1;
        assert!(trusted.verify(&signature, &data, then()).is_err(), "{place}");
        data[place] ^= 1;
    }
}

/// A certificate that is damaged trusts nobody else, and never for longer.
#[test]
fn a_damaged_certificate_trusts_nobody_else() {
    let own = made(Some(DAY), None);
    let signature = key(&own).sign(DATA, then()).expect("it may");
    for place in 0..own.certificate.len() {
        for bit in [0, 5] {
            let mut damaged = own.certificate.clone();
            damaged[place] ^= 1 << bit;
            let Ok(trusted) = Certificates::parse(&damaged) else { continue };
            if let Ok(by) = trusted.verify(&signature, DATA, then()) {
                assert_eq!(by, own.fingerprint, "{place}");
            }
            assert!(trusted.verify(&signature, DATA, then() + 2 * DAY).is_err(), "{place}");
        }
        let _ = Certificates::parse(&own.certificate[..place]);
    }
}

#[test]
fn bytes_that_are_none_are_refused() {
    let trusted = trusting(&made(None, None));
    for bytes in [&b""[..], b"x", b"\x88", b"\x88\x00", b"\x88\x01\x04", b"\xc6\x01\x04", &[0xff; 100]] {
        assert!(trusted.verify(bytes, DATA, then()).is_err(), "{bytes:?}");
        assert!(Certificates::parse(bytes).is_err(), "{bytes:?}");
        assert!(SecretKey::parse(bytes, then(), nobody).is_err(), "{bytes:?}");
    }
    let many = key(&made(None, None)).sign(DATA, then()).expect("it may").repeat(33);
    assert_eq!(trusted.verify(&many, DATA, then()), Err(Refusal::Unreadable));
}
