//! Overlays that follow a base which has changed.

mod bed;
mod files;
mod packages;
