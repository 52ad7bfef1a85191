//! Overlays: a writable upper directory over a base that nobody writes.
pub mod changes;
