//! What is made of a store for others: settings for systemd-sysupdate(8), and pages for people.

mod feed;
mod html;
mod page;
mod pages;
mod sysupdate;

pub use html::Site;
pub(super) use pages::refresh;
pub use pages::{Foreign, Pages, html, times, way};
pub use sysupdate::sysupdate;

use crate::extension::build::ExtensionName;

/// The page that leads to the others.
pub(super) const FIRST: &str = "index.html";

/// The pages that are for all of a store; others are in `extensions/`.
pub(super) const PAGES: [&str; 2] = [FIRST, "feed.atom"];

/// The page of an extension; none for what cannot be the name of one.
pub(super) fn page_of(name: &str) -> Option<String> {
    name.parse::<ExtensionName>().ok().map(|name| format!("extensions/{name}.html"))
}

/// Whether a name is one of the pages that there can be.
pub(super) fn is_page(file: &str) -> bool {
    let of_one = |file: &str| {
        let name = file.strip_prefix("extensions/").and_then(|name| name.strip_suffix(".html"));
        name.is_some_and(|name| page_of(name).is_some())
    };
    PAGES.contains(&file) || of_one(file)
}
