//! Showing a store to others: a small server of HTTP/1.1 (RFC 9110, 9112), for a network that one trusts, or a test. It reads, and
//! has nothing to write.
//!
//! It shows what the store's lists name, the lists, and the pages that may be beside them: nothing else that lies in the directory,
//! and nothing that a link leads to. Who connects has so much time and so many bytes for a request, and so many may at once.

mod answer;
mod names;
mod request;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::Error;
use crate::sys::{Context, Root, SignalFd};
use answer::Answer;
use names::Names;
use request::{Bad, Request};

/// How many may be connected at once; more are asked to come again.
const MOST_CONNECTIONS: usize = 128;
/// How many requests one connection may have.
const MOST_REQUESTS: usize = 1000;
/// How long a request may take to come, and how long nobody may take what is sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    names: Names,
    /// Those that are open, to end them, by a number of their own; none any more when the server ends.
    open: Mutex<Option<HashMap<u64, TcpStream>>>,
}

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Served {
    /// Who asked.
    pub by: IpAddr,
    /// For what: the method, and the path as it was sent.
    pub request: String,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of its content.
    pub bytes: u64,
}

impl Server {
    /// Listens for who asks for a store's files. A port of 0 is any that is free.
    pub fn listen(path: &Path, address: SocketAddr) -> Result<Server, Error> {
        let names = Names::of(Root::open(path)?)?;
        let listener = TcpListener::bind(address).context("listen on", address.to_string())?;
        Ok(Server { listener, names, open: Mutex::new(Some(HashMap::new())) })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        Ok(self.listener.local_addr().context("find the address of", "the server")?)
    }

    /// Answers until a signal comes.
    pub fn run(&self, signals: &SignalFd, tell: &(dyn Fn(&Served) + Sync)) -> Result<(), Error> {
        self.listener.set_nonblocking(true).context("listen with", "the server")?;
        std::thread::scope(|scope| {
            for number in 0.. {
                if !self.wait(signals)? {
                    break;
                }
                match self.listener.accept() {
                    Ok((stream, by)) => drop(scope.spawn(move || self.attend(stream, number, by.ip(), tell))),
                    // Who has gone away meanwhile is no reason to stop; nor is a lack of descriptors, which passes.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => std::thread::sleep(Duration::from_millis(50)),
                }
            }
            let open = self.open.lock().expect("nobody panics with it").take();
            for stream in open.into_iter().flat_map(HashMap::into_values) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            Ok(())
        })
    }

    /// Waits for somebody; `false` where a signal came.
    fn wait(&self, signals: &SignalFd) -> Result<bool, Error> {
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(signals.next().is_none()),
            Err(error) => Err(error).context("wait for", "requests")?,
        }
    }

    fn attend(&self, mut stream: TcpStream, number: u64, by: IpAddr, tell: &(dyn Fn(&Served) + Sync)) {
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.set_write_timeout(Some(PATIENCE));
        let _ = stream.set_nodelay(true);
        if self.enter(&stream, number) {
            self.converse(&mut stream, by, tell);
            if let Some(open) = &mut *self.open.lock().expect("nobody panics with it") {
                open.remove(&number);
            }
        } else {
            let _ = stream.write_all(request::BUSY);
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// Whether there is room for one more.
    fn enter(&self, stream: &TcpStream, number: u64) -> bool {
        let mut open = self.open.lock().expect("nobody panics with it");
        let (Some(open), Ok(copy)) = (&mut *open, stream.try_clone()) else { return false };
        let has_room = open.len() < MOST_CONNECTIONS;
        if has_room {
            open.insert(number, copy);
        }
        has_room
    }

    /// Answers one request after another.
    fn converse(&self, stream: &mut TcpStream, by: IpAddr, tell: &(dyn Fn(&Served) + Sync)) {
        let mut before = Vec::new();
        for _ in 0..MOST_REQUESTS {
            let request = match Request::read(stream, &mut before, PATIENCE) {
                Ok(Some(request)) => request,
                Ok(None) => return,
                Err(bad) => {
                    let status = refuse(stream, bad);
                    tell(&Served { by, request: "-".to_owned(), status, bytes: 0 });
                    return;
                }
            };
            let mut answer = Answer::to(&request, &self.names);
            let (status, line) = (answer.status, format!("{} {}", request.method, request.target));
            let Ok(bytes) = answer.send(stream, &request) else { return };
            tell(&Served { by, request: line, status, bytes });
            if !request.is_kept {
                return;
            }
        }
    }
}

fn refuse(stream: &mut TcpStream, bad: Bad) -> u16 {
    let (status, reason) = bad.status();
    let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    status
}
