//! Tests of rooms together, on temporary roots and on the real kernel.
mod apt;
mod changes;
mod man;
mod house;
mod kernel;
mod shell;
mod debian;
mod machine;
mod system_calls;
