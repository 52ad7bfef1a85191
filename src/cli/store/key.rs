//! `onlay store key`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueHint};

use super::keys::{self, KeyOptions};
use super::trust;
use crate::cli::output;
use crate::cli::report::Error;
use crate::store::openpgp::{
    Certificates, Fingerprint, Made, NewKey, SecretKey, SignError, armoured, certificates_in,
};
use crate::store::{self, KEYS, Store, read};
use crate::sys::{Context, Root, write_new};

/// Make and change the keys that sign stores
///
/// A key is one file, in OpenPGP's form, which GnuPG takes as well. Keep a copy
/// of it; never put it into a store.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Make(MakeArguments),
    Show(ShowArguments),
    Rotate(RotateArguments),
    Drop(DropArguments),
}

/// Make a key, and say how clients trust it
#[derive(Debug, Args)]
struct MakeArguments {
    /// Whose it is: a name, or NAME <ADDRESS>
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    new: NewOptions,
}

/// What a new key is like.
#[derive(Debug, Args)]
struct NewOptions {
    /// How long it is to be used: 3y, 90days, or never
    #[arg(long, value_name = "TIME", default_value = "3y", value_parser = lasts)]
    lasts: Lasts,
    /// Where to write it; by default ~/.config/onlay/store-keys/FINGERPRINT.key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Keep it by a passphrase, for which the terminal is asked
    #[arg(long)]
    passphrase: bool,
    /// Keep it by the passphrase in the first line of a file
    #[arg(long, value_name = "FILE", id = "new_passphrase_file", value_hint = ValueHint::FilePath)]
    new_passphrase_file: Option<PathBuf>,
}

/// How long something lasts, if not for ever.
#[derive(Debug, Clone, Copy)]
struct Lasts(Option<Duration>);

fn lasts(word: &str) -> Result<Lasts, String> {
    if word == "never" {
        return Ok(Lasts(None));
    }
    let lasts = humantime::parse_duration(word).map_err(|error| error.to_string())?;
    if lasts < Duration::from_secs(60) { Err("that is too short".to_owned()) } else { Ok(Lasts(Some(lasts))) }
}

/// Say what a key is, and how clients trust it
#[derive(Debug, Args)]
struct ShowArguments {
    /// A file of a key, public or secret, or a store
    #[arg(value_name = "FILE|STORE", value_hint = ValueHint::AnyPath)]
    key: PathBuf,
    /// Only its certificate, the public key, as text: what clients get
    #[arg(long, conflicts_with = "json")]
    certificate: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Let a new key sign a store beside the one that it has
///
/// Until the old key is dropped, index.json is signed by both, and SHA256SUMS by
/// the old one alone, since systemd takes no signatures of which it does not know
/// all keys. So there is time for clients to learn of the new one.
#[derive(Debug, Args)]
struct RotateArguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// Whose it is; by default as the old one says
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    new: NewOptions,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Let a key sign a store no more, when another one does
#[derive(Debug, Args)]
struct DropArguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// Which key
    #[arg(value_name = "FINGERPRINT")]
    fingerprint: Fingerprint,
    #[command(flatten)]
    keys: KeyOptions,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    match &arguments.verb {
        Verb::Make(arguments) => make(arguments)?,
        Verb::Show(arguments) => show(arguments)?,
        Verb::Rotate(arguments) => rotate(arguments)?,
        Verb::Drop(arguments) => drop_key(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn make(arguments: &MakeArguments) -> Result<(), Error> {
    if arguments.new.output.is_none() {
        refuse_another_of(&arguments.name)?;
    }
    let New { place, made, .. } = arguments.new.make(&arguments.name)?;
    output::say(&format!("onlay: made the secret key {}; keep a copy of it", output::path(&place)));
    trust::tell(&parse(&made.certificate, &place)?, &place)
}

/// Two keys of one name, of which one was made by mistake, are told apart by nobody.
fn refuse_another_of(name: &str) -> Result<(), Error> {
    let all = keys::directory().map(|directory| keys::in_directory(&directory)).unwrap_or_default();
    let of_name = |(_, key): &(PathBuf, Certificates)| key.users().iter().any(|user| user == name);
    match all.into_iter().find(of_name) {
        Some((place, _)) => Err(store::Error::KeyOfName { name: name.to_owned(), place }.into()),
        None => Ok(()),
    }
}

/// A key that was made.
struct New {
    place: PathBuf,
    made: Made,
    passphrase: Option<Vec<u8>>,
}

impl NewOptions {
    /// Makes a key and writes its file.
    fn make(&self, name: &str) -> Result<New, Error> {
        let unnamed = Path::new("the new key");
        let passphrase = self.new_passphrase().map_err(|source| bad(unnamed, source))?;
        let new = NewKey { user: name, lasts: self.lasts.0, passphrase: passphrase.as_deref() };
        let made = new.make(SystemTime::now()).map_err(|source| bad(unnamed, source))?;
        let place = self.output.clone().or_else(|| keys::usual_place(&made.fingerprint));
        let place =
            place.ok_or_else(|| Error::Words("say with --output where the key is to be".to_owned()))?;
        if place.symlink_metadata().is_ok() {
            return Err(store::Error::KeyIsThere(place).into());
        }
        write_secret(&place, made.secret.as_bytes())?;
        Ok(New { place, made, passphrase })
    }

    fn new_passphrase(&self) -> Result<Option<Vec<u8>>, SignError> {
        if let Some(file) = &self.new_passphrase_file {
            return keys::first_line(file).map(Some);
        }
        if !self.passphrase {
            return Ok(None);
        }
        let [once, twice] = ["new passphrase: ", "once more: "].map(keys::ask);
        let once = once?;
        if once == twice? { Ok(Some(once)) } else { Err(SignError::Passphrase) }
    }
}

/// Writes a file that nobody else may read, in a directory that is made where it is missing.
fn write_secret(place: &Path, content: &[u8]) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).context("create", directory)?;
    let name = place.file_name().and_then(OsStr::to_str);
    let name = name.ok_or_else(|| Error::Words("the file of a key has a name".to_owned()))?;
    Ok(write_new(&Root::open(directory)?, name, 0o600, content)?)
}

fn bad(path: &Path, source: SignError) -> Error {
    store::Error::Key { path: path.to_owned(), source }.into()
}

fn show(arguments: &ShowArguments) -> Result<(), Error> {
    let path = if arguments.key.is_dir() { arguments.key.join(KEYS) } else { arguments.key.clone() };
    let bytes = std::fs::read(&path).context("read", &path)?;
    let public = certificates_in(&bytes).map_err(|source| bad(&path, source))?;
    if arguments.certificate {
        return output::print(&armoured(&public));
    }
    let certificates = parse(&public, &path)?;
    if arguments.json {
        let all = trust::shown(&certificates).into_iter().map(|key| key.with_certificate(&public));
        return output::print_json(&all.collect::<Vec<_>>());
    }
    trust::tell(&certificates, &path)?;
    output::print(&format!("\n{}", armoured(&public)))
}

fn parse(public: &[u8], of: &Path) -> Result<Certificates, Error> {
    Certificates::parse(public).map_err(|source| bad(of, source.into()))
}

fn rotate(arguments: &RotateArguments) -> Result<(), Error> {
    let mut store = Store::open(&arguments.store)?;
    let own = store.certificates();
    arguments.keys.apply(&mut store)?;
    store.sign()?;
    let name = arguments.name.clone().or_else(|| own.users().into_iter().next());
    let name = name.ok_or_else(|| Error::Words("say with --name whose the new key is".to_owned()))?;
    let New { place, made, passphrase } = arguments.new.make(&name)?;
    if store.has_within(&place)? {
        std::fs::remove_file(&place).context("remove", &place)?;
        return Err(store::Error::InStore(place).into());
    }
    let now = SystemTime::now();
    let passphrase = || passphrase.ok_or(SignError::NoPassphrase);
    let signer =
        SecretKey::parse(made.secret.as_bytes(), now, passphrase).map_err(|source| bad(&place, source))?;
    store.add_signer(Box::new(signer));
    store.finish()?;
    output::say(&format!("onlay: made the secret key {}; keep a copy of it", output::path(&place)));
    let old = read(&arguments.store)?.index.keys.first().cloned().unwrap_or_default();
    output::say(&format!(
        "onlay: when clients know it: {} store key drop {} {old}",
        output::program(),
        output::path(&arguments.store)
    ));
    trust::tell(&parse(&made.certificate, &place)?, &place)
}

fn drop_key(arguments: &DropArguments) -> Result<(), Error> {
    let mut store = Store::open(&arguments.store)?;
    let dropped = arguments.fingerprint.to_string();
    let others: Vec<String> = store.index().keys.iter().filter(|key| **key != dropped).cloned().collect();
    let mut signers = arguments.keys.given(&store)?;
    if signers.is_empty() {
        signers = arguments.keys.found(&store, &others)?;
    }
    store.drop_signer(&arguments.fingerprint, signers)?;
    store.finish()?;
    output::say(&format!("onlay: {} is signed by {}", output::path(&arguments.store), others.join(" and ")));
    Ok(())
}
