//! Overlays that follow a base which has changed.

mod bed;
mod damage;
mod diverted;
mod dnf;
mod dpkg;
mod edited;
mod files;
mod oracle;
mod packages;
