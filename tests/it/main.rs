//! Tests of rooms together, on temporary roots and on the real kernel.

mod alone;
mod apt;
mod build;
mod changes;
mod cli;
mod completion;
mod db;
mod ddi;
mod debian;
mod diff;
mod dpkgdb;
mod erofs;
mod extension;
mod faults;
mod hooks;
mod house;
mod inspect;
mod kernel;
mod live;
mod live_over_overlays;
mod machine;
mod man;
mod openpgp;
mod payload;
mod rebase;
mod rpm_host;
mod rpmdb;
mod save;
mod selinux;
mod shell;
mod squashfs;
mod store;
mod system_calls;
mod tree;
#[cfg(target_arch = "x86_64")]
mod vm;
