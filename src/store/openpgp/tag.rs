//! The kinds of packets that certificates and signatures are made of (RFC 9580, 5).

pub(super) const SIGNATURE: u8 = 2;
pub(super) const SECRET_KEY: u8 = 5;
pub(super) const PUBLIC_KEY: u8 = 6;
pub(super) const SECRET_SUBKEY: u8 = 7;
pub(super) const MARKER: u8 = 10;
pub(super) const TRUST: u8 = 12;
pub(super) const USER_ID: u8 = 13;
pub(super) const PUBLIC_SUBKEY: u8 = 14;
pub(super) const PADDING: u8 = 21;
