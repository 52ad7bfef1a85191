//! Entering overlays on the real kernel, as a person does: what is seen, what stays, what reaches
//! the command, and what does not reach the host.

mod entering;
mod escapes;
mod guard;
mod isolate;
mod joining;
mod mounts;
mod options;
mod signals;
mod stacking;
mod strangers;
mod terminal;
