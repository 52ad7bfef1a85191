//! Overlays: a writable upper directory over a base that nobody writes.
//!
//! Here is how a host's file systems become one writable view (`layers`, `stack`, `assemble`), where
//! named overlays are kept (`collection`, `record`), who is in one now (`running`), and what one says
//! differs from its base (`changes`). Nothing here enters an overlay, and nothing is ever mounted
//! in the caller's mount namespace: `assemble` is called after the namespace was left.

mod apply;
mod assemble;
mod attributes;
mod clear;
mod collection;
mod copy;
mod diff;
mod error;
mod folder;
mod layers;
mod name;
mod own;
mod packages;
mod parts;
mod rebase;
mod record;
mod running;
mod settle;
mod stack;
mod transplant;
mod view;

pub mod changes;

pub use apply::apply;
pub use assemble::{Storage, assemble, copy_attributes, new_upper};
pub use clear::clear as clear_tree;
pub use collection::{Listed, Overlay, Overlays, Removed};
pub use copy::copy_tree;
pub use diff::{diff, measure};
pub use error::Error;
pub use folder::{RUN, remove as remove_folder, run_directory};
pub use layers::{Layer, Part, directory_name, is_kernel_window, mount_point, survey, survey_entrance};
pub use name::OverlayName;
pub use own::{diff_itself, leave_out_copies};
pub use packages::{Packages, Whose, packages, packages_of_view};
pub use rebase::{
    Finding, Of, Rebase, Room, Standing, When, Wishes, adopt_seen, clear_draft, forget_pending, is_followed,
    last_seen, mark_unnoted, note_base, note_base_of, note_meanwhile, note_packages_of, note_touched,
    note_unnoted, pending, standing,
};
pub use record::Record;
pub use running::{Left, Mode, Presence, Running, RunningOverlay, User, view_label};
pub use settle::settle;
pub use stack::{Lower, has_deep_extensions, layers_of, lower_of};
pub use transplant::{adopt, held_beyond, lend};
pub use view::view_alone;

/// What mountinfo(5) shows as the source of an overlay over directories of the running host itself.
pub const LIVE_LABEL: &str = "onlay-live";
