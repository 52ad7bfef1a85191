//! Overlays that follow their base.

mod accounts;
mod content;
mod draft;
mod fate;
mod seen;
