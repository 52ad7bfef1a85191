//! Overlays that follow a base which has changed.

mod bed;
mod files;
mod oracle;
mod packages;
