//! Onlay adds software to a Linux host whose system is read-only: now, without a reboot.
//!
//! The rooms, in their one order; each imports only those above it. ARCHITECTURE.md is the map.

pub mod cli;
pub mod event;
pub mod host;
pub mod overlay;
pub mod shell;
pub mod sys;
pub mod tool;
