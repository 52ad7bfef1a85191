//! Keys that gpg-agent(1) holds: it is asked to sign over its socket, in the words of the Assuan protocol. Passphrases are its own
//! business, and its pinentry's.

use std::cell::RefCell;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::ser::Serialize;
use pgp::types::{Fingerprint as KeyFingerprint, KeyId, KeyVersion};
use pgp::types::{KeyDetails, Mpi, Password, PublicParams, SignatureBytes, SigningKey, Timestamp};
use sha1::{Digest, Sha1};

use super::armour::{self, Kind};
use super::certificate::Component;
use super::signer::{self, DIGEST, Signer};
use super::{BadKey, Certificates, Fingerprint, SignError};

/// No line of the protocol is longer, and no answer of an agent is.
const LONGEST_LINE: u64 = 1002;
const LARGEST_ANSWER: usize = 1 << 20;

/// What libgcrypt calls SHA-512.
const SHA512: u8 = 10;

/// A key that an agent holds.
#[derive(Debug)]
pub struct AgentKey {
    certificate: Vec<u8>,
    fingerprint: Fingerprint,
    key: Component,
    socket: PathBuf,
    /// By what the agent knows it.
    grip: String,
}

impl AgentKey {
    /// Looks for the secret key of a certificate in the agent that answers at one of these sockets.
    pub fn find(certificate: &[u8], sockets: &[PathBuf], now: SystemTime) -> Result<AgentKey, SignError> {
        let certificate = armour::open(certificate, Kind::PublicKey).ok_or(BadKey::Unreadable)?;
        let certificates = Certificates::parse(&certificate)?;
        let [fingerprint] = &certificates.fingerprints()[..] else { return Err(SignError::Several) };
        let key = certificates.signing_component(now)?;
        let material = key.params().to_bytes()?;
        for socket in sockets {
            let Ok(mut agent) = Agent::connect(socket) else { continue };
            for grip in agent.grips()? {
                if agent.public_key(&grip).is_some_and(|public| is_of(&public, &material)) {
                    let (fingerprint, socket) = (fingerprint.clone(), socket.clone());
                    return Ok(AgentKey { certificate, fingerprint, key, socket, grip });
                }
            }
        }
        Err(SignError::NotHeld)
    }
}

/// Where an agent of this user may listen, as GnuPG has it.
pub fn sockets() -> Vec<PathBuf> {
    let own = env::var_os("GNUPGHOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let run = PathBuf::from(format!("/run/user/{}/gnupg", rustix::process::getuid().as_raw()));
    let default = || env::var_os("HOME").map(|home| Path::new(&home).join(".gnupg"));
    let directories = match own {
        Some(own) => {
            let of_own = run.join(format!("d.{}", z_base_32(&own)));
            vec![of_own, own]
        }
        None => [Some(run), default()].into_iter().flatten().collect(),
    };
    directories.into_iter().map(|directory| directory.join("S.gpg-agent")).collect()
}

/// What GnuPG calls the directory of another home's sockets: 15 bytes of a SHA-1 in z-base-32.
fn z_base_32(home: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    const LETTERS: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    let digest = Sha1::digest(home.as_os_str().as_bytes());
    let mut text = String::new();
    for group in digest[..15].chunks(5) {
        let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        text.extend((0..8).map(|place| char::from(LETTERS[(bits >> (35 - 5 * place) & 31) as usize])));
    }
    text
}

impl Signer for AgentKey {
    fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn sign(&self, data: &[u8], now: SystemTime) -> Result<Vec<u8>, SignError> {
        let asked = Asked { key: self, problem: RefCell::new(None) };
        signer::detached(&asked, &Password::empty(), data, now)
            .map_err(|error| asked.problem.take().unwrap_or(error))
    }
}

/// A key for the crate that puts signatures together, which has no words for what an agent says.
#[derive(Debug)]
struct Asked<'a> {
    key: &'a AgentKey,
    problem: RefCell<Option<SignError>>,
}

impl KeyDetails for Asked<'_> {
    fn version(&self) -> KeyVersion {
        self.key.key.details().version()
    }

    fn legacy_key_id(&self) -> KeyId {
        self.key.key.details().legacy_key_id()
    }

    fn fingerprint(&self) -> KeyFingerprint {
        self.key.key.details().fingerprint()
    }

    fn algorithm(&self) -> PublicKeyAlgorithm {
        self.key.key.details().algorithm()
    }

    fn created_at(&self) -> Timestamp {
        self.key.key.details().created_at()
    }

    fn legacy_v3_expiration_days(&self) -> Option<u16> {
        None
    }

    fn public_params(&self) -> &PublicParams {
        self.key.key.params()
    }
}

impl SigningKey for Asked<'_> {
    fn sign(&self, _: &Password, _: HashAlgorithm, digest: &[u8]) -> pgp::errors::Result<SignatureBytes> {
        let signed = Agent::connect(&self.key.socket).and_then(|mut agent| agent.sign(self.key, digest));
        signed.map_err(|problem| {
            self.problem.replace(Some(problem));
            std::io::Error::other("the agent did not sign").into()
        })
    }

    fn hash_alg(&self) -> HashAlgorithm {
        DIGEST
    }
}

/// A conversation with an agent.
struct Agent {
    stream: BufReader<UnixStream>,
}

/// What it answered: data, and lines of status.
#[derive(Default)]
struct Answer {
    data: Vec<u8>,
    status: Vec<String>,
}

impl Agent {
    fn connect(socket: &Path) -> Result<Agent, SignError> {
        let stream = UnixStream::connect(socket).map_err(|error| SignError::Agent(error.to_string()))?;
        let mut agent = Agent { stream: BufReader::new(stream) };
        agent.answer()?;
        Ok(agent)
    }

    /// The grips of all secret keys that it holds.
    fn grips(&mut self) -> Result<Vec<String>, SignError> {
        let answer = self.ask("KEYINFO --list")?;
        let grips = answer.status.iter().filter_map(|line| line.strip_prefix("KEYINFO ")?.split(' ').next());
        Ok(grips.filter(|grip| is_grip(grip)).map(str::to_owned).collect())
    }

    fn public_key(&mut self, grip: &str) -> Option<Vec<u8>> {
        self.ask(&format!("READKEY {grip}")).ok().map(|answer| answer.data)
    }

    fn sign(&mut self, key: &AgentKey, digest: &[u8]) -> Result<SignatureBytes, SignError> {
        self.tell_terminal();
        self.ask(&format!("SIGKEY {}", key.grip))?;
        self.ask(&format!("SETKEYDESC Sign+a+store+of+extensions+with+the+key%0A{}", key.fingerprint))?;
        let mut digits = String::with_capacity(2 * digest.len());
        for byte in digest {
            digits.push_str(&format!("{byte:02X}"));
        }
        self.ask(&format!("SETHASH {SHA512} {digits}"))?;
        let answer = self.ask("PKSIGN")?;
        let atoms = atoms(&answer.data).ok_or(SignError::AgentNonsense)?;
        let number = |name| value_of(&atoms, name).map(Mpi::from_slice);
        let signature = match key.key.params() {
            PublicParams::RSA(_) => number(b"s").map(|s| SignatureBytes::Mpis(vec![s])),
            PublicParams::Ed25519(_) => {
                let part = |name| value_of(&atoms, name).filter(|part| part.len() == 32);
                part(b"r").zip(part(b"s")).map(|(r, s)| SignatureBytes::Native([r, s].concat().into()))
            }
            _ => number(b"r").zip(number(b"s")).map(|(r, s)| SignatureBytes::Mpis(vec![r, s])),
        };
        signature.ok_or(SignError::AgentNonsense)
    }

    /// Where its pinentry may ask. An agent that does not want to know is none the worse.
    fn tell_terminal(&mut self) {
        let own = || std::fs::read_link("/proc/self/fd/0").ok().filter(|path| path.starts_with("/dev/"));
        let tty = env::var("GPG_TTY").ok().or_else(|| own()?.into_os_string().into_string().ok());
        let options =
            [("ttyname", tty), ("ttytype", env::var("TERM").ok()), ("display", env::var("DISPLAY").ok())];
        for (name, value) in options {
            if let Some(value) = value.filter(|value| !value.is_empty() && !value.contains(char::is_control))
            {
                let _ = self.ask(&format!("OPTION {name}={value}"));
            }
        }
    }

    fn ask(&mut self, line: &str) -> Result<Answer, SignError> {
        self.say(line)?;
        self.answer()
    }

    fn say(&mut self, line: &str) -> Result<(), SignError> {
        let sent = self.stream.get_mut().write_all(format!("{line}\n").as_bytes());
        sent.map_err(|error| SignError::Agent(error.to_string()))
    }

    /// Its lines up to the one that ends an answer.
    fn answer(&mut self) -> Result<Answer, SignError> {
        let mut answer = Answer::default();
        let mut size = 0;
        loop {
            let line = self.line()?;
            size += line.len();
            if size > LARGEST_ANSWER {
                return Err(SignError::AgentNonsense);
            }
            let (word, rest) = match line.iter().position(|byte| *byte == b' ') {
                Some(at) => (&line[..at], &line[at + 1..]),
                None => (&line[..], &[][..]),
            };
            match word {
                b"OK" => return Ok(answer),
                // `ERR CODE TEXT`
                b"ERR" => {
                    let text = String::from_utf8_lossy(rest);
                    return Err(SignError::Agent(
                        text.split_once(' ').map_or(&*text, |(_, text)| text).to_owned(),
                    ));
                }
                b"D" => answer.data.extend(unescape(rest)),
                b"S" => answer.status.push(String::from_utf8_lossy(rest).into_owned()),
                // It has nothing to hear from us.
                b"INQUIRE" => self.say("END")?,
                _ => {}
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, SignError> {
        let mut line = Vec::new();
        let read = self.stream.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| SignError::Agent(error.to_string()))?;
        if line.pop() == Some(b'\n') { Ok(line) } else { Err(SignError::AgentNonsense) }
    }
}

fn is_grip(word: &str) -> bool {
    word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Data as it was before `%` and line ends were escaped.
fn unescape(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    bytes
}

/// The atoms of a canonical S-expression, without its brackets: `(3:rsa(1:n2:..))`.
fn atoms(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let mut atoms = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        if matches!(first, b'(' | b')') {
            rest = after;
            continue;
        }
        let colon = rest.iter().take(8).position(|byte| *byte == b':')?;
        let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
        let (atom, after) = rest[colon + 1..].split_at_checked(length)?;
        atoms.push(atom);
        rest = after;
    }
    Some(atoms)
}

/// What follows a name of one letter.
fn value_of<'a>(atoms: &[&'a [u8]], name: &[u8]) -> Option<&'a [u8]> {
    let at = atoms.iter().position(|atom| *atom == name)?;
    atoms.get(at + 1).copied()
}

/// Whether a public key of an agent's is one whose material OpenPGP writes so: an RSA modulus first, a curve's point last.
fn is_of(public: &[u8], material: &[u8]) -> bool {
    let Some(atoms) = atoms(public) else { return false };
    let stripped = |value: &'static [u8]| {
        let value = value_of(&atoms, value)?;
        let zeros = value.iter().take_while(|byte| **byte == 0).count();
        Some(&value[zeros..])
    };
    match (stripped(b"n"), stripped(b"q")) {
        (Some(modulus), _) => {
            modulus.len() >= 256 && material.get(2..).is_some_and(|rest| rest.starts_with(modulus))
        }
        (None, Some(point)) => {
            // The points of Edwards' curves have a byte before them that OpenPGP's newer form leaves out.
            let point = point.strip_prefix(&[0x40]).filter(|rest| rest.len() == 32).unwrap_or(point);
            point.len() >= 32 && material.ends_with(point)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        assert_eq!(unescape(b"a%25b%0Ac%"), b"a%b\nc%");
        let found = atoms(b"(7:sig-val(5:eddsa(1:r2:ab)(1:s3:(1:)))").expect("an expression");
        assert_eq!((value_of(&found, b"r"), value_of(&found, b"s")), (Some(&b"ab"[..]), Some(&b"(1:"[..])));
        for bytes in [&b"x"[..], b"3", b"9:ab", b"(1:a99999999999:b)", b"-1:a"] {
            assert_eq!(atoms(bytes), None, "{bytes:?}");
        }
        assert!(is_grip(&"A".repeat(40)) && !is_grip("A") && !is_grip(&"g".repeat(40)));
    }

    /// As `gpgconf --list-dirs agent-socket` says it.
    #[test]
    fn the_sockets_of_another_home_have_a_directory_of_their_own() {
        assert_eq!(z_base_32(Path::new("/var/tmp/sign-gpg/h")), "zxan4nam4i7y4h48iknj77tq");
    }
}
