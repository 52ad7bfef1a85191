//! Which pages are to be sent, and which are to go: told by the one that leads to the others, which is sent last and has their digests.

use std::collections::HashMap;

use super::contents::Contents;
use super::{Error, How, Item, Target};
use crate::store::directory::LARGEST_INDEX;
use crate::store::export::{PAGES, Pages, page_of};

/// What is to be done to the pages of a place.
#[derive(Default)]
pub(super) struct Changed<'a> {
    /// To be sent, in this order.
    pub(super) sent: Vec<&'a Item>,
    /// Pages of extensions that the store has no more.
    pub(super) gone: Vec<String>,
}

/// Compares the pages of a store with those there. Where the store has none, those there stay as they are.
pub(super) fn changed<'a>(
    ours: &'a Contents,
    target: &mut dyn Target,
    how: How,
) -> Result<Changed<'a>, Error> {
    let Some((first, others)) = ours.pages.split_last().filter(|_| target.shows_pages()) else {
        return Ok(Changed::default());
    };
    let there = target.read(&first.file, LARGEST_INDEX)?;
    if !how.recheck && there.as_deref() == Some(ours.list(first)?) {
        return Ok(Changed::default());
    }
    let theirs = there.as_deref().map(|text| std::str::from_utf8(text).ok().and_then(Pages::parse));
    if !how.force {
        match &theirs {
            Some(None) => return Err(Error::NotOurPage(first.file.clone())),
            Some(Some(_)) => {}
            // Somebody else may have a feed there, and no page.
            None => refuse_others_feed(target)?,
        }
    }
    let theirs = theirs.flatten().unwrap_or_default();
    let there_is = |(name, digest): (&String, &String)| Some((page_of(name)?, digest.clone()));
    let known: HashMap<String, String> = theirs.extensions.iter().filter_map(there_is).collect();
    let mut sent = Vec::new();
    for item in others {
        let is_asked = how.recheck || known.get(&item.file) != Some(&item.sha256.to_string());
        if is_asked && target.read(&item.file, LARGEST_INDEX)?.as_deref() != Some(ours.list(item)?) {
            sent.push(item);
        }
    }
    if there.as_deref() != Some(ours.list(first)?) {
        sent.push(first);
    }
    Ok(Changed { sent, gone: known.into_keys().filter(|file| !ours.has(file)).collect() })
}

fn refuse_others_feed(target: &mut dyn Target) -> Result<(), Error> {
    let [_, feed] = PAGES;
    match target.read(feed, LARGEST_INDEX)? {
        Some(text) if !Pages::is_ours(&text) => Err(Error::NotOurPage(feed.to_owned())),
        _ => Ok(()),
    }
}
