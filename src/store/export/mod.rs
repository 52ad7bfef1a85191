//! What is made of a store for others: settings for systemd-sysupdate(8), and pages for people.

mod feed;
mod html;
mod page;
mod sysupdate;

pub use html::{Site, html};
pub use sysupdate::sysupdate;

/// The pages that are for all of a store; others are in `extensions/`.
pub(super) const PAGES: [&str; 2] = ["index.html", "feed.atom"];
