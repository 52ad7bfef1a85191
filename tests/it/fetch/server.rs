//! A web server of a few lines that does what a test wants: files with ranges and marks, or whatever a handler answers.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a client asks for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What it gets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// After so many bytes of all, the connection is closed.
    pub(crate) cut: Option<usize>,
    /// So long is waited before each byte of the body.
    pub(crate) drip: Option<Duration>,
    /// The body is sent again and again, and no length is told.
    pub(crate) endless: bool,
    /// No length is told: it ends where the connection does.
    pub(crate) without_length: bool,
}

impl Reply {
    pub(crate) fn of(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    pub(crate) fn body(body: impl Into<Vec<u8>>) -> Reply {
        Reply { status: 200, body: body.into(), ..Reply::default() }
    }

    pub(crate) fn to(location: &str) -> Reply {
        Reply::of(302).with("Location", location)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Reply {
        self.headers.push((name, value.to_owned()));
        self
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// What a connection is read from and written to.
trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// The server. It ends with the test.
pub(crate) struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// One that answers as `handler` does.
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::start_with(None, Arc::new(handler))
    }

    /// One that speaks TLS, with a certificate and its key from files (PEM).
    pub(crate) fn start_secure(
        certificate: &Path,
        key: &Path,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let certificates = CertificateDer::pem_file_iter(certificate).expect("a file of certificates");
        let certificates = certificates.collect::<Result<Vec<_>, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config =
            config.expect("there are some").with_no_client_auth().with_single_cert(certificates, key);
        Server::start_with(Some(Arc::new(config.expect("they go together"))), Arc::new(handler))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>, handler: Arc<Handler>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, noted, tls) = (Arc::clone(&handler), Arc::clone(&noted), tls.clone());
                // Whoever goes away is no matter.
                std::thread::spawn(move || drop(serve(&mut *over(stream, tls), &*handler, &noted)));
            }
        });
        Server { port, seen }
    }

    /// One that serves the files of a directory.
    pub(crate) fn of_files(top: &Path) -> Server {
        let top = top.to_owned();
        Server::start(move |request| file(&top, request))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What was asked for since the last time.
    pub(crate) fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut *self.seen.lock().expect("nobody panics with it"))
    }
}

fn over(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Box<dyn Stream> {
    match tls {
        Some(config) => {
            Box::new(StreamOwned::new(ServerConnection::new(config).expect("it is whole"), stream))
        }
        None => Box::new(stream),
    }
}

/// A line without its end; nothing where the client has gone.
fn line(stream: &mut dyn Stream) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        if byte == *b"\n" {
            return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
        }
        line.push(byte[0]);
    }
    Ok(None)
}

fn serve(stream: &mut dyn Stream, handler: &Handler, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    while let Some(first) = line(stream)? {
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = HashMap::new();
        while let Some((name, value)) = line(stream)?.as_deref().and_then(|line| line.split_once(':')) {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let request = Request { path, headers };
        let reply = handler(&request);
        seen.lock().expect("nobody panics with it").push(request);
        if !send(stream, &reply)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends a reply; whether the connection goes on.
fn send(stream: &mut dyn Stream, reply: &Reply) -> std::io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} x\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let ends_with_connection = reply.endless || reply.without_length;
    let says_length = reply.headers.iter().any(|(name, _)| *name == "Content-Length");
    if !ends_with_connection && !says_length && reply.status != 304 {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    if ends_with_connection {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    let all = [head.as_bytes(), &reply.body].concat();
    if let Some(cut) = reply.cut {
        stream.write_all(&all[..cut.min(all.len())])?;
        return Ok(false);
    }
    if let Some(drip) = reply.drip {
        stream.write_all(head.as_bytes())?;
        for byte in &reply.body {
            std::thread::sleep(drip);
            stream.write_all(&[*byte])?;
        }
        return Ok(true);
    }
    stream.write_all(&all)?;
    if reply.endless {
        loop {
            stream.write_all(&reply.body)?;
        }
    }
    Ok(!ends_with_connection)
}

/// A file, or the part of it that is asked for; marked by its length and time.
pub(crate) fn file(top: &Path, request: &Request) -> Reply {
    let path: PathBuf = top.join(decoded(request.path.trim_start_matches('/')));
    let Ok(content) = std::fs::read(&path) else { return Reply::of(404) };
    let modified = std::fs::metadata(&path).and_then(|found| found.modified()).expect("it is there");
    let time = modified.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let etag = format!("\"{time}-{}\"", content.len());
    if request.header("if-none-match") == Some(&etag) {
        return Reply::of(304).with("ETag", &etag);
    }
    let is_same = request.header("if-range").is_none_or(|mark| mark == etag);
    match request.header("range").filter(|_| is_same) {
        Some(range) => part(&content, range).with("ETag", &etag),
        None => Reply::body(content).with("ETag", &etag),
    }
}

/// One part or several, as `bytes=0-9,20-` asks for them.
pub(crate) fn part(content: &[u8], range: &str) -> Reply {
    let all = content.len();
    let parts: Vec<(usize, usize)> = range
        .trim_start_matches("bytes=")
        .split(',')
        .map(|part| {
            let (first, last) = part.split_once('-').expect("a range");
            let last = last.parse().map_or(all - 1, |last: usize| last.min(all - 1));
            (first.parse().expect("a number"), last)
        })
        .collect();
    if parts.iter().any(|(first, _)| *first >= all) {
        return Reply::of(416).with("Content-Range", &format!("bytes */{all}"));
    }
    let mut reply = Reply::of(206);
    if let [(first, last)] = parts[..] {
        reply.body = content[first..=last].to_vec();
        return reply.with("Content-Range", &format!("bytes {first}-{last}/{all}"));
    }
    for (first, last) in parts {
        let head =
            format!("\r\n--x y\r\nContent-Type: a/b\r\nContent-Range: bytes {first}-{last}/{all}\r\n\r\n");
        reply.body.extend_from_slice(head.as_bytes());
        reply.body.extend_from_slice(&content[first..=last]);
    }
    reply.body.extend_from_slice(b"\r\n--x y--\r\n");
    reply.with("Content-Type", "multipart/byteranges; boundary=\"x y\"")
}

fn decoded(path: &str) -> String {
    let mut text = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next().expect("two digits")).to_digit(16).expect("a digit") as u8;
        text.push(if byte == b'%' { digit() << 4 | digit() } else { byte });
    }
    String::from_utf8(text).expect("names are UTF-8")
}
