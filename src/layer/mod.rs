//! Packages in the host's next boot.
//!
//! Here is what a layer is made with on each kind of base, one folder for each. Nothing here decides which packages there
//! are to be, and nothing prints.

pub mod ostree;
