//! What must hold for any bytes that come as a certificate, a signature or a secret key. Each function panics where it does not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onlay::store::openpgp::{AgentKey, Certificates, SecretKey, SignError, Signer, is_secret};

/// Whatever they are: they verify no data that nobody has signed, and what reads them ends.
pub(crate) fn any(bytes: &[u8]) {
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    if let Ok(certificates) = Certificates::parse(bytes) {
        let count = certificates.fingerprints().len();
        assert!(count > 0 && certificates.users().len() == count && certificates.ends(now).len() == count);
        // By what is in it there may be a signature of itself, and none of this.
        assert!(certificates.verify(bytes, b"nobody has signed this", now).is_err());
        certificate(&certificates, now);
        let _ = AgentKey::find(bytes, &[], now);
    }
    let _ = is_secret(bytes);
    if let Ok(key) = SecretKey::parse(bytes, now, || Err(SignError::NoPassphrase)) {
        let certificates = Certificates::parse(key.certificate()).expect("it was read as one");
        assert_eq!(certificates.fingerprints(), [key.fingerprint()]);
        if let Ok(signature) = key.sign(b"data", now) {
            // A key whose halves do not belong together signs what nobody can verify.
            let _ = certificates.verify(&signature, b"data", now);
        }
    }
}

/// Who cannot be trusted now is not later, and nobody else is.
fn certificate(certificates: &Certificates, now: SystemTime) {
    let one = certificates.fingerprints()[0].clone();
    assert_eq!(certificates.only(std::slice::from_ref(&one)).fingerprints(), [one]);
    let mut twice = certificates.clone();
    twice.extend(certificates.clone());
    assert_eq!(twice.fingerprints(), certificates.fingerprints());
    let is_good = |certificates: &Certificates| -> Vec<bool> {
        certificates.ends(now).iter().map(Result::is_ok).collect()
    };
    assert_eq!(is_good(&twice), is_good(certificates));
}
