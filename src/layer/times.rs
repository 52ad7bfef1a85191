//! How long the parts of a change took, so that what is the package manager's can be told from what is ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Parts of a change, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Milliseconds {
    /// The package manager planned it, and downloaded what was missing.
    pub solve: u64,
    /// It installed packages, whose scripts ran; with the initramfs, where one was made.
    pub install: u64,
    /// The base was shown, overlays were entered, and what came of it was made fit to be kept.
    pub compose: u64,
    /// It was written as a commit, or into a snapshot.
    pub commit: u64,
    /// ostree or snapper made it the one that is booted next.
    pub deploy: u64,
}

impl Milliseconds {
    /// Of these parts, in that order.
    pub(super) fn of(parts: [Duration; 5]) -> Milliseconds {
        let [solve, install, compose, commit, deploy] = parts.map(|part| part.as_millis() as u64);
        Milliseconds { solve, install, compose, commit, deploy }
    }
}

/// Seconds since 1970.
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
