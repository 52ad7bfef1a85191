//! Which system calls a command in an isolated overlay may make.
use crate::sys::{Filter, Verdict};
pub fn isolation_filter() -> Filter {
    Filter::compile(&[], Verdict::Allow)
}
pub fn dropped_capabilities(_private_network: bool) -> Vec<&'static str> {
    vec!["CAP_SYS_MODULE"]
}
