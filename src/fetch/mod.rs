//! Bytes from elsewhere: files of a [`Source`], which is a directory by its address (`http://`, `https://`, `file://`, a path)
//! and those that mirror it.
//!
//! Whoever answers is not trusted. What comes is bounded by what is known of it beforehand, in bytes and in time; where it may
//! lead on to is bounded, too: never to another scheme, and a secret of one host is not told to another. A file comes whole,
//! as the bytes of its digest, or not at all; what came of it before the network died stays, and only the rest is asked for
//! then. Nothing here knows what files mean, and nothing here prints.

mod address;
mod answer;
mod download;
mod error;
mod forward;
mod http;
mod options;
mod pace;
mod partial;
mod proxy;
mod ranges;
mod resolver;
mod send;
mod source;

pub use address::Address;
pub use download::Expected;
pub use error::{Error, Problem};
pub use options::{Header, Options};
pub use partial::Partial;
pub use proxy::{Proxy, ProxyChoice};
pub use ranges::{RangeSource, Sink};
pub use send::{Body, Reply, Sender};
pub use source::{Small, Source, Validator};
