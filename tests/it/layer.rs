//! Layers over OSTree and in snapshots of snapper's: repositories that ostree made, read and written by us, and judged by ostree; and snapshots by snapper and
//! btrfs.

mod back;
mod bed;
mod commits;
mod deployments;
mod disk;
mod faults;
mod full;
mod image_host;
mod importing;
mod kernel;
mod labels;
mod objects;
mod others;
mod overrides;
mod random;
mod repositories;
mod requests;
mod rpm;
mod running;
mod sealed;
mod snapshot_disk;
mod snapshots;
mod snapshots_rpm;
mod stage;
mod trying;
