//! Which stores a root uses: `/etc/onlay/onlay.toml`, and drop-ins in `/usr/lib/onlay/onlay.toml.d` and
//! `/etc/onlay/onlay.toml.d`, of which those in /etc take the place of those of the same name (onlay.toml(5)).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glob::Pattern;

use super::Error;
use crate::fetch::{Address, Header, Options, Proxy, ProxyChoice};
use crate::store::index::INDEX;
use crate::store::sums::SUMS;
use crate::sys::{FileKind, Root};

mod values;

use values::{Place, Said, Table};

/// The administrator's file.
const MAIN: &str = "etc/onlay/onlay.toml";
/// Directories of drop-ins; the later one counts.
const DROP_INS: [&str; 2] = ["usr/lib/onlay/onlay.toml.d", "etc/onlay/onlay.toml.d"];
/// Such files are short.
const LARGEST: u64 = 1 << 20;
/// A header is one line.
const LARGEST_HEADER: u64 = 16 << 10;
/// So many versions of an extension stay on the host, unless it is said otherwise.
const KEEP: u32 = 3;
/// As zypper and dnf have it: 1 is asked first, and this is usual.
const PRIORITY: u32 = 99;

/// What is configured.
#[derive(Debug)]
pub struct Config {
    /// The stores, in the order in which they count.
    pub stores: Vec<Configured>,
    /// Those that are switched off.
    pub disabled: Vec<Configured>,
    /// So many versions of an extension stay on the host.
    pub keep: usize,
    /// What makes no sense in it, and does no harm.
    pub remarks: Vec<String>,
}

/// One store.
#[derive(Debug)]
pub struct Configured {
    /// Its name.
    pub name: String,
    /// Where it is, and its mirrors.
    pub addresses: Vec<Address>,
    /// Whom it is believed: fingerprints, and files.
    pub keys: Vec<String>,
    /// Whether it must be signed.
    pub signature: Signature,
    /// Which store counts: that with the lower number.
    pub priority: u32,
    /// The extensions that are taken of it; all where nothing is said.
    pub only: Vec<Pattern>,
    /// How it is asked.
    pub options: Options,
}

/// Whether a store must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// It must be.
    Required,
    /// Whatever is there is believed.
    None,
}

impl Config {
    /// Reads what a root has.
    pub fn read(root: &Root) -> Result<Config, Error> {
        let mut said = Said::default();
        for file in files(root)? {
            match root.read(&file, LARGEST) {
                Ok(text) => said.read(&root.join(&file), &text)?,
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Config::of(said, root)
    }

    fn of(mut said: Said, root: &Root) -> Result<Config, Error> {
        let keep = said.top.number("keep", 1..=1000)?.unwrap_or(KEEP) as usize;
        let defaults = options(&mut said.top, &Options::default())?;
        let mut remarks = said.top.unknown();
        let (mut stores, mut disabled) = (Vec::new(), Vec::new());
        for (name, (mut table, place)) in std::mem::take(&mut said.stores) {
            let (configured, is_enabled) = Configured::of(&name, &mut table, &defaults, root, &place)?;
            remarks.extend(table.unknown());
            if is_enabled { &mut stores } else { &mut disabled }.push(configured);
        }
        stores.sort_by(|one, other| (one.priority, &one.name).cmp(&(other.priority, &other.name)));
        Ok(Config { stores, disabled, keep, remarks })
    }

    /// The store with a name, also one that is switched off.
    pub fn store(&self, name: &str) -> Option<&Configured> {
        self.stores.iter().chain(&self.disabled).find(|store| store.name == name)
    }
}

impl Configured {
    /// And whether it is switched on; else it need not have all that it takes.
    fn of(
        name: &str,
        table: &mut Table,
        defaults: &Options,
        root: &Root,
        place: &Place,
    ) -> Result<(Configured, bool), Error> {
        if !is_name(name) {
            return Err(place.wrong(format!("'{name}' is no name for a store: letters, digits and '-' are")));
        }
        let urls = table.words("url")?;
        let mut addresses = Vec::new();
        for (url, place) in urls {
            let is_list = |list: &&str| url.strip_suffix(*list).is_some_and(|above| above.ends_with('/'));
            if let Some(list) = [INDEX, SUMS].iter().find(|list| is_list(list)) {
                return Err(place.wrong(format!("url '{url}': it is the directory, without '{list}'")));
            }
            addresses.push(Address::parse(&url).map_err(|why| place.wrong(format!("url '{url}': {why}")))?);
        }
        if let Some((channel, place)) = table.word("channel")? {
            if !is_name(&channel) {
                return Err(place.wrong(format!("channel '{channel}': it is the name of a directory there")));
            }
            addresses = addresses.iter().map(|address| address.join(&channel)).collect();
        }
        let keys: Vec<String> = table.words("keys")?.into_iter().map(|(word, _)| word).collect();
        let signature = match table.word("signature")? {
            None => Signature::Required,
            Some((word, place)) => match &*word {
                "required" => Signature::Required,
                "none" => Signature::None,
                _ => {
                    return Err(place.wrong(format!("signature is \"required\" or \"none\", not \"{word}\"")));
                }
            },
        };
        let priority = table.number("priority", 1..=1000)?.unwrap_or(PRIORITY);
        let mut only = Vec::new();
        for (word, place) in table.words("only")? {
            only.push(
                Pattern::new(&word).map_err(|error| place.wrong(format!("only '{word}': {}", error.msg)))?,
            );
        }
        let mut options = options(table, defaults)?;
        options.header = header(table, root)?;
        let is_enabled = table.truth("enabled")?.unwrap_or(true);
        if is_enabled && addresses.is_empty() {
            return Err(place.wrong(format!("store '{name}' has no url{}", table.unknown_in_short())));
        }
        if is_enabled && signature == Signature::Required && keys.is_empty() {
            return Err(place.wrong(format!(
                "store '{name}' has no keys: fingerprints or files; or signature = \"none\", which believes whoever answers{}",
                table.unknown_in_short()
            )));
        }
        let name = name.to_owned();
        Ok((Configured { name, addresses, keys, signature, priority, only, options }, is_enabled))
    }

    /// Whether an extension is taken of it.
    pub fn has(&self, extension: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|pattern| pattern.matches(extension))
    }
}

/// How a store is asked, where it does not say otherwise.
fn options(table: &mut Table, defaults: &Options) -> Result<Options, Error> {
    let mut options = defaults.clone();
    if let Some((proxy, place)) = table.word("proxy")? {
        let wrong = |_| place.wrong("proxy is a URL of http or https, or \"\" for none".to_owned());
        options.proxy = match &*proxy {
            "" => ProxyChoice::Direct,
            url => ProxyChoice::Given(Proxy::parse(url).map_err(wrong)?),
        };
    }
    if let Some((word, place)) = table.word("limit-rate")? {
        let rate = rate(&word).ok_or_else(|| {
            place.wrong(format!("limit-rate is bytes in a second, as \"500k\" or \"2M\", not \"{word}\""))
        })?;
        options.limit_rate = Some(rate);
    }
    if let Some(seconds) = table.number("timeout", 1..=3600)? {
        options.timeout = Duration::from_secs(seconds.into());
    }
    if let Some(retries) = table.number("retries", 0..=100)? {
        options.retries = retries;
    }
    if let Some(wait) = table.number("retry-wait-ms", 1..=60_000)? {
        options.first_wait = Duration::from_millis(wait.into());
    }
    Ok(options)
}

/// The header that goes with each request: it stands there, or in a file that fewer people read.
fn header(table: &mut Table, root: &Root) -> Result<Option<Header>, Error> {
    let no_header = "is no header: NAME: VALUE";
    if let Some((word, place)) = table.word("header")? {
        return Header::parse(&word).map(Some).ok_or_else(|| place.wrong(format!("header {no_header}")));
    }
    let Some((file, place)) = table.word("header-file")? else { return Ok(None) };
    if !Path::new(&file).is_absolute() {
        return Err(place.wrong("header-file is an absolute path".to_owned()));
    }
    let text = root.read(&file, LARGEST_HEADER)?;
    let header = std::str::from_utf8(&text).ok().and_then(Header::parse);
    header.map(Some).ok_or_else(|| place.wrong(format!("what is in header-file '{file}' {no_header}")))
}

/// "500k", "2M", "1G" or plain bytes, in powers of 1000.
fn rate(word: &str) -> Option<u64> {
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &*word[digits.len()..].to_ascii_lowercase() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|rate| *rate > 0)
}

fn is_name(word: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    !word.is_empty() && word.len() <= 100 && !word.starts_with(['.', '-']) && word.chars().all(is_letter)
}

/// The files of a root, in the order in which they count.
fn files(root: &Root) -> Result<Vec<PathBuf>, Error> {
    let mut drop_ins: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in DROP_INS {
        let dir = match root.open_dir(directory) {
            Err(error) if error.is_not_found() => continue,
            other => other?,
        };
        for entry in dir.entries()? {
            if entry.name.as_encoded_bytes().ends_with(b".toml")
                && !entry.name.as_encoded_bytes().starts_with(b".")
            {
                drop_ins.insert(entry.name.clone(), Path::new(directory).join(&entry.name));
            }
        }
    }
    let is_file = |path: &PathBuf| root.stat(path).is_ok_and(|stat| FileKind::of(&stat) == FileKind::File);
    // A link to /dev/null masks what has its name.
    Ok(std::iter::once(PathBuf::from(MAIN)).chain(drop_ins.into_values().filter(is_file)).collect())
}

#[cfg(test)]
mod tests;
