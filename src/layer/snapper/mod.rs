//! A host whose root is a snapshot of snapper's on btrfs, which cannot be written to: openSUSE MicroOS, and others of its kind.
//!
//! There is no base by itself: whoever changes the system makes a snapshot of the one that is booted next, changes that, and makes it the one that is
//! booted next. Others do that, too (transactional-update, by its tool tukit). So layers are what packages somebody has asked for in a
//! snapshot's own package database, and each snapshot says which these are ([`crate::layer::Manifest`]).
//!
//! The snapshots are snapper's in everything: it makes and deletes them, it keeps the notes, it tells its plugins (of which one makes a
//! snapshot of an /etc that is a subvolume by itself, and one looks after a boot loader), and it sets the default where it knows how to. Where the
//! system that runs has tukit, tukit is asked to open, close and give up snapshots, which it does by snapper, and tells plugins of its own (`transaction.rs`).
//! Packages are never put in by it: it runs package managers with the host's devices and /var, and not in a sandbox. Without it, nothing is
//! done that it would not understand: a snapshot that is being made has its mark, and its lock is held meanwhile.
//!
//! | note of a snapshot (userdata) | what it says |
//! |---|---|
//! | `transactional-update-in-progress=yes` | it is being made: whoever finds it when nobody is at work may delete it |
//! | `onlay=begun` | the same, of what is being made here, until it is on the disk that it is booted next |
//! | `onlay=layers` | made here |
//! | `onlay-from=NUMBER` | the snapshot that it was made from |
//! | `important=yes`, `onlay-cleanup=RULE` | pinned; snapper had this rule for deleting it in turn, and has none |

mod boot_loader;
mod draft;
mod error;
mod fit;
mod fstab;
mod lock;
mod snapshots;
mod transaction;

pub use error::Error;
pub use snapshots::Snapshots;
