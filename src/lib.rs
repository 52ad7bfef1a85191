//! Onlay adds software to a Linux host whose system is read-only: now, without a reboot.
pub mod overlay;
pub mod shell;
pub mod sys;
