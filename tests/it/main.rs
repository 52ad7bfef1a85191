//! Tests of rooms together, on temporary roots and on the real kernel.
mod changes;
mod man;
mod house;
mod kernel;
mod shell;
mod system_calls;
