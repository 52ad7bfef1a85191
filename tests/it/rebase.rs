//! Overlays that follow a base which has changed.

mod dpkg;
mod files;
