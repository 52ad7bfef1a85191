//! Entering an overlay.
pub mod system_calls;
