//! Overlays that follow a base which has changed.

mod bed;
mod damage;
mod files;
mod packages;
