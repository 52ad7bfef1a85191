//! Onlay adds software to a Linux host whose system is read-only: now, without a reboot.
//!
//! The rooms have one order, and each imports only rooms before it. ARCHITECTURE.md is the map.

pub mod cli;
pub mod event;
pub mod extension;
pub mod fetch;
pub mod hooks;
pub mod host;
pub mod image;
pub mod layer;
pub mod live;
pub mod overlay;
pub mod package;
pub mod pkgdb;
pub mod resolve;
pub mod shell;
pub mod store;
pub mod sys;
pub mod tool;
