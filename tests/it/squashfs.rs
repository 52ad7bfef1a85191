//! Squashfs images: ours as the kernel and squashfs-tools read them, and theirs as we do.

pub(crate) mod bed;
mod faults;
mod read;
mod written;
