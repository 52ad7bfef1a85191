//! Pages for people: what there is, for which hosts, what is in it, and how to get it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::page::{escape, in_address, page, size};
use super::pages::{Made, SERIAL, STORE};
use super::{PAGES, feed};
use crate::extension::build::ExtensionName;
use crate::extension::order;
use crate::store::{Entry, Index};

/// What is known of a store besides its index.
#[derive(Debug)]
pub struct Site<'a> {
    /// What people call it.
    pub title: &'a str,
    /// Where it is found, if that is known.
    pub url: Option<&'a str>,
    /// How an address leads from the pages to the store: nothing where they lie in it, else with a `/` at its end.
    pub way: String,
    /// When each file came to be.
    pub times: BTreeMap<String, SystemTime>,
}

/// How many packages are named before the rest is folded away.
const NAMED: usize = 12;

/// Makes all pages.
pub(super) fn render(index: &Index, site: &Site<'_>) -> Made {
    let extensions = by_name(index);
    let mut made = Made { files: Vec::new(), extensions: BTreeMap::new() };
    for (name, entries) in &extensions {
        made.add_extension(name, of_one(name, entries, site));
    }
    let [first, feed_name] = PAGES;
    made.add(feed_name, feed::feed(index, site));
    let text = of_all(index, &extensions, &made.extensions, site);
    made.add(first, text);
    made
}

impl Site<'_> {
    /// The address of a file of the store, from a page that is so deep below it.
    pub(super) fn address(&self, file: &str, up: &str) -> String {
        match self.url {
            Some(url) => format!("{}/{}", url.trim_end_matches('/'), in_address(file)),
            None => format!("{up}{}{}", self.way, in_address(file)),
        }
    }

    /// The address of a page, from one beside it: where pages lie elsewhere than the store, nobody said where they are found.
    pub(super) fn page_address(&self, file: &str) -> String {
        match self.url {
            Some(_) if self.way.is_empty() => self.address(file, ""),
            _ => in_address(file),
        }
    }

    /// What `index.html` says of what it was made with.
    fn notes(&self, index: &Index) -> String {
        let meta =
            |name: &str, value: &str| format!("<meta name=\"{name}\" content=\"{}\"/>\n", escape(value));
        let url = self.url.map(|url| meta(STORE, url)).unwrap_or_default();
        meta(SERIAL, &index.serial.to_string()) + &url
    }
}

/// The extensions, each with its images, the newest first. What has no name that a file could have is left out.
fn by_name(index: &Index) -> BTreeMap<&str, Vec<&Entry>> {
    let mut extensions: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in index.images.iter().filter(|entry| entry.name.parse::<ExtensionName>().is_ok()) {
        extensions.entry(&entry.name).or_default().push(entry);
    }
    for entries in extensions.values_mut() {
        entries.sort_by(|one, other| order::compare(&other.version, &one.version));
    }
    extensions
}

fn of_all(
    index: &Index,
    extensions: &BTreeMap<&str, Vec<&Entry>>,
    digests: &BTreeMap<String, String>,
    site: &Site<'_>,
) -> String {
    let mut body = format!("<h1>{}</h1>\n", escape(site.title));
    let count = crate::event::counted(extensions.len(), "extension");
    body.push_str(&format!(
        "<p class=\"dim\">{count} for hosts whose system is read-only (systemd-sysext)</p>\n<ul class=\"cards\">\n"
    ));
    for (name, entries) in extensions {
        let Some(newest) = entries.first() else { continue };
        let hosts = tags(&hosts_of(entries));
        body.push_str(&format!(
            "<li><a href=\"extensions/{name}.html\" data-sha256=\"{digest}\"><strong>{name}</strong> {}<br/><span class=\"dim\">{}</span><br/>{hosts}</a></li>\n",
            escape(&newest.version),
            size(newest.size),
            name = escape(name),
            digest = digests.get(*name).map(String::as_str).unwrap_or_default(),
        ));
    }
    body.push_str("</ul>\n");
    if extensions.is_empty() {
        body.push_str("<p>There is nothing in it yet.</p>\n");
    }
    body.push_str(&trust(index, site));
    body.push_str(&configuration(index, site));
    body.push_str(&footer(index, ""));
    page(site.title, "", &site.notes(index), &body)
}

/// How the store is trusted.
fn trust(index: &Index, site: &Site<'_>) -> String {
    if index.keys.is_empty() {
        return "<h2>Trust</h2>\n<p>This store is not signed.</p>\n".to_owned();
    }
    let keys: String = each(&index.keys, |key| ["<p><code>", &escape(key), "</code></p>\n"].concat());
    let address = escape(&site.address("key.asc", ""));
    format!(
        "<h2>Trust</h2>\n<p>This store is signed with OpenPGP. Compare the fingerprint of <a href=\"{address}\">its key</a> with what you know \
         by another way:</p>\n{keys}"
    )
}

/// What a host needs to have of it, where it is known where the store is and whose it is.
fn configuration(index: &Index, site: &Site<'_>) -> String {
    let Some(url) = site.url.filter(|_| !index.keys.is_empty()) else { return String::new() };
    let host = url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
    let name: String =
        host.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let keys: Vec<String> = index.keys.iter().map(|key| format!("\"{key}\"")).collect();
    let text = format!("[store.{}]\nurl = \"{url}\"\nkeys = [{}]", name.trim_matches('-'), keys.join(", "));
    format!(
        "<h2>Use it</h2>\n<p>With that key in <code>/etc/onlay/keys</code>, in <code>/etc/onlay/onlay.toml</code>:</p>\n<pre>{}</pre>\n",
        escape(&text)
    )
}

fn footer(index: &Index, up: &str) -> String {
    let made =
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(index.made.min(253_402_300_799)))
            .to_string();
    let until =
        index.best_before.as_ref().map(|day| format!(", best before {}", escape(day))).unwrap_or_default();
    format!(
        "<footer class=\"dim\">Changed on {}{until} · <a href=\"{up}feed.atom\">feed</a></footer>\n",
        &made[..10]
    )
}

fn of_one(name: &str, entries: &[&Entry], site: &Site<'_>) -> String {
    let mut body = format!(
        "<p class=\"dim\"><a href=\"../index.html\">{}</a></p>\n<h1>{}</h1>\n",
        escape(site.title),
        escape(name)
    );
    body.push_str(&install(name, entries, site));
    body.push_str("<h2>Versions</h2>\n");
    for entry in entries {
        body.push_str(&card(entry, site));
    }
    page(&format!("{name} – {}", site.title), "../", "", &body)
}

fn install(name: &str, entries: &[&Entry], site: &Site<'_>) -> String {
    let mut text = format!("<h2>Install</h2>\n<pre>onlay ext add {}</pre>\n", escape(name));
    if let (Some(_), Some(newest)) = (site.url, entries.first()) {
        let address = escape(&site.address(&newest.file, ""));
        text.push_str(&format!(
            "<details><summary>without Onlay (systemd 256 and later)</summary>\n\
             <pre>importctl pull-raw --class=sysext --verify=signature {address} {}\nsystemd-sysext refresh</pre>\n</details>\n",
            escape(name)
        ));
    }
    text
}

fn card(entry: &Entry, site: &Site<'_>) -> String {
    let time = site.times.get(&entry.file).map(|time| humantime::format_rfc3339_seconds(*time).to_string());
    let day =
        time.as_deref().and_then(|time| time.get(..10)).map(|day| format!(" · {day}")).unwrap_or_default();
    let address = escape(&site.address(&entry.file, "../"));
    let machine = entry.architecture.clone().unwrap_or_else(|| "any machine".to_owned());
    format!(
        "<section class=\"card\">\n<h3>{}</h3>\n<p>{}</p>\n\
         <p class=\"dim\"><a href=\"{address}\">Download</a> · {}{day}</p>\n{}\
         <details><summary>SHA-256</summary>\n<code>{}</code>\n</details>\n</section>\n",
        escape(&entry.version),
        tags(&[hosts_of(&[entry]), vec![machine]].concat()),
        size(entry.size),
        packages(entry),
        escape(&entry.sha256),
    )
}

fn packages(entry: &Entry) -> String {
    let one = |package: &crate::store::Package| {
        format!("<dt>{}</dt><dd>{}</dd>\n", escape(&package.name), escape(&package.version))
    };
    let list: String = entry.packages.iter().map(one).collect();
    let count = crate::event::counted(entry.packages.len(), "package");
    match entry.packages.len() {
        0 => String::new(),
        few if few <= NAMED => format!("<dl>\n{list}</dl>\n"),
        _ => format!("<details><summary>{count}</summary>\n<dl>\n{list}</dl>\n</details>\n"),
    }
}

/// For which hosts images are, in a few words each.
fn hosts_of(entries: &[&Entry]) -> Vec<String> {
    let mut hosts: Vec<String> = entries.iter().map(|entry| entry.host()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

fn tags(words: &[String]) -> String {
    each(words, |word| ["<span class=\"tag\">", &escape(word), "</span>"].concat())
}

/// What is made of each, one after another.
fn each(words: &[String], made: impl Fn(&str) -> String) -> String {
    words.iter().map(|word| made(word)).collect()
}
