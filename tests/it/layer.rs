//! Layers over OSTree: repositories that ostree made, read and written by us, and judged by ostree.

mod bed;
mod commits;
mod deployments;
mod faults;
mod objects;
mod random;
mod repositories;
mod requests;
