//! Images of extensions: what goes into one, and what is in one. Nothing here prints, knows what an extension is, or
//! mounts anything. What is read was written by anybody, and is trusted in nothing.

pub mod ddi;
