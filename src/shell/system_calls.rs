//! Which system calls a command in an isolated overlay may make.
