//! The images that came last, as a feed (Atom, RFC 4287).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::html::Site;
use super::page::{escape, in_address, size};
use super::pages::GENERATOR;
use super::{FIRST, page_of};
use crate::store::{Entry, Index};

/// So many are told.
const MOST: usize = 50;

/// The feed of a store.
pub(super) fn feed(index: &Index, site: &Site<'_>) -> String {
    let time = |entry: &Entry| site.times.get(&entry.file).copied().unwrap_or(UNIX_EPOCH);
    let mut newest: Vec<&Entry> = index.images.iter().collect();
    newest.sort_by(|one, other| time(other).cmp(&time(one)).then_with(|| one.file.cmp(&other.file)));
    newest.truncate(MOST);
    let entries: String = newest.into_iter().map(|entry| told(entry, time(entry), site)).collect();
    let title = escape(site.title);
    let made = moment(UNIX_EPOCH + Duration::from_secs(index.made.min(253_402_300_799)));
    let id = escape(&site.url.map_or_else(|| format!("urn:onlay:{}", in_address(site.title)), str::to_owned));
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <generator>{GENERATOR}</generator>\n<title>{title}</title>\n\
         <id>{id}</id>\n<updated>{made}</updated>\n<author><name>{title}</name></author>\n<link href=\"{}\"/>\n{entries}</feed>\n",
        escape(&site.page_address(FIRST))
    )
}

/// One image. What it is known by is its digest, wherever the store moves.
fn told(entry: &Entry, time: SystemTime, site: &Site<'_>) -> String {
    let address = escape(&page_of(&entry.name).map(|page| site.page_address(&page)).unwrap_or_default());
    format!(
        "<entry>\n<title>{} {}</title>\n<id>urn:sha256:{}</id>\n<updated>{}</updated>\n<link href=\"{address}\"/>\n\
         <summary>{}, {}</summary>\n</entry>\n",
        escape(&entry.name),
        escape(&entry.version),
        escape(&entry.sha256),
        moment(time),
        escape(&entry.host()),
        size(entry.size),
    )
}

fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
