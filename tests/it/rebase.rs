//! Overlays that follow a base which has changed.

mod bed;
mod dnf;
mod files;
mod packages;
