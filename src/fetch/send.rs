//! Sending to web servers: one request, one answer, which is small.

use std::fmt;
use std::fs::File;

use ureq::http::HeaderMap;

use super::http::{Field, Http};
use super::{Address, Error, Options, Problem};

/// More is not read of what is answered to something that was sent.
const LARGEST_REPLY: u64 = 1 << 20;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// Nothing.
    None,
    /// Bytes.
    Bytes(&'a [u8]),
    /// What is left of a file from its offset on.
    File(&'a File),
}

/// Sends to one server, and to where it says that things are to be sent.
pub struct Sender {
    http: Http,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status (RFC 9110, 15).
    pub status: u16,
    /// What came with it.
    pub bytes: Vec<u8>,
    address: Address,
    headers: HeaderMap,
}

impl Sender {
    /// To a server; the header of `options` goes nowhere else.
    pub fn new(home: &Address, options: Options) -> Sender {
        Sender { http: Http::new(options, home.clone()) }
    }

    /// How it asks.
    pub fn options(&self) -> &Options {
        self.http.options()
    }

    /// Sends one request, and reads what is answered, whatever it is. Only a missing answer is an error.
    pub fn send(
        &self,
        method: &str,
        address: &Address,
        fields: &[Field],
        body: Body<'_>,
    ) -> Result<Reply, Error> {
        self.ask(method, address, fields, body, LARGEST_REPLY)
    }

    /// Reads a file of up to `limit` bytes, or what is answered instead.
    pub fn get(&self, address: &Address, fields: &[Field], limit: u64) -> Result<Reply, Error> {
        self.ask("GET", address, fields, Body::None, limit)
    }

    fn ask(
        &self,
        method: &str,
        address: &Address,
        fields: &[Field],
        body: Body<'_>,
        limit: u64,
    ) -> Result<Reply, Error> {
        let failed = |problem| Error::at(address, problem);
        let Address::Web(web) = address else {
            return Err(failed(Problem::Protocol("it is no address of a web server".to_owned())));
        };
        let mut answer = self.http.send(method, web, fields, body).map_err(failed)?;
        let mut bytes = Vec::new();
        if method != "HEAD" {
            answer.pour(address, limit, &mut |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
        }
        Ok(Reply { status: answer.status, bytes, address: address.clone(), headers: answer.headers })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl Reply {
    /// Whether what was asked for was done.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header of it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where it says that one is to go on (RFC 9110, 10.2.2).
    pub fn location(&self) -> Result<Address, Error> {
        let Address::Web(web) = &self.address else { return Ok(self.address.clone()) };
        let next = web.redirected(self.header("location").unwrap_or_default());
        Ok(Address::Web(next.map_err(|problem| Error::at(&self.address, problem))?))
    }

    /// Anything but success as an error.
    pub fn expect_success(self) -> Result<Reply, Error> {
        match self.status {
            200..300 => Ok(self),
            404 | 410 => Err(Error::at(&self.address, Problem::NotThere)),
            status => Err(Error::at(&self.address, Problem::Status(status))),
        }
    }
}
