//! Kernel facts: the mount API with its fallbacks, namespaces, extended attributes, locks, durable
//! writes, processes and terminals.
//!
//! This is the only room with `unsafe` and raw system calls. It knows nothing of overlays as Onlay
//! names them, prints nothing, and starts no programs of others (`exec` of a child's own command is
//! here; running a tool and reading its answer is the room `tool`).

#![allow(unsafe_code)]

mod atomic;
mod call_names;
mod channel;
mod copy;
mod error;
mod handle;
mod lock;
mod memory;
mod mount;
mod mountinfo;
mod namespace;
mod new_file;
mod overlayfs;
mod poll;
mod process;
mod record_lock;
mod root;
mod seccomp;
mod signal;
mod verity;
mod xattr;

pub mod terminal;

pub use atomic::{
    replace_file, replace_public, replace_volatile, sync_dir, sync_file_system, write_new, write_new_unsynced,
};
pub use channel::{Channel, Message};
pub use copy::{copy_content, copy_content_to_sync, copy_part, fill};
pub use error::{Context, IoError, io_error, with_causes};
pub use handle::FileHandle;
pub use lock::Lock;
pub use memory::available_memory;
pub use mount::{
    MountFlags, Propagation, Tree, attach, attach_beneath, clone_tree, detach_path, enter_root,
    new_filesystem, set_flags, set_propagation, unmount_path,
};
pub use mountinfo::{Mount, MountTable};
pub use namespace::{Namespace, Namespaces, bring_up_loopback, join, leave_for_new};
pub use new_file::{NewFile, give_name, open_unnamed, unnamed_file};
pub use overlayfs::{Features, MountError, OVERLAYFS_MAGIC, OverlaySpec, mount_overlay, unsuitable_upper};
pub use poll::{events_now, events_within};
pub use process::{
    Ended, Forked, Pid, Pidfd, allow_many_files, capability_names, close_all_but, command_line,
    die_with_parent, drop_capabilities, exec, exit_now, fork, fork_sibling, has_capability,
    let_go_of_streams, new_session, process_start_time, processes, raise_as_self, reap_any, refuse_tracing,
    run_from_read_only_mount, wait,
};
pub use record_lock::{RecordLock, is_write_locked};
pub use root::{Entry, FileKind, Root, without_dots};
pub use seccomp::{Abi, Condition, Filter, Listener, Notification, Rule, Verdict};
pub use signal::{SignalFd, SignalInfo, default_action, ignore, restore_signals, send};
pub use verity::{Verity, enable_verity, verity_of, verity_size};
pub use xattr::Xattrs;
