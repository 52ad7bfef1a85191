//! What is asked of a proxy for addresses of http: the whole address stands in the request's first line (RFC 9112, 3.2.2), and the
//! proxy asks the server. By CONNECT alone, which is for https, many a proxy leads to no other port than 443.

use std::io::{Error as IoError, ErrorKind};

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Makes of a connection to a proxy one to whatever server is asked for. Each is good for one request.
#[derive(Debug)]
pub(super) struct Forward;

/// A connection to a proxy.
#[derive(Debug)]
pub(super) struct Forwarded<T> {
    inner: T,
    /// What goes before the path of the request; nothing once that was sent.
    server: Option<String>,
}

impl<T: Transport> Connector<T> for Forward {
    type Out = Forwarded<T>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<T>,
    ) -> Result<Option<Forwarded<T>>, ureq::Error> {
        let server = details.uri.authority().map(|authority| format!("http://{authority}"));
        Ok(chained.map(|inner| Forwarded { inner, server }))
    }
}

impl<T: Transport> Transport for Forwarded<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let Some(server) = self.server.take() else { return self.inner.transmit_output(amount, timeout) };
        let output = self.inner.buffers().output();
        let all = amount + server.len();
        if all > output.len() {
            return Err(IoError::new(ErrorKind::InvalidInput, "the request is too long").into());
        }
        // A request begins with its method and a blank.
        let at = output[..amount].iter().position(|byte| *byte == b' ').map_or(0, |blank| blank + 1);
        output.copy_within(at..amount, at + server.len());
        output[at..at + server.len()].copy_from_slice(server.as_bytes());
        self.inner.transmit_output(all, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}
