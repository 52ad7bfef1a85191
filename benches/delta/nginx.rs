//! nginx over a directory, with a configuration, a log and a port of its own, as whoever runs this.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Below this, the same files are served one range at a time.
const SINGLE: &str = "/singly";
/// What nobody asks for but us.
const MARK: &str = "/mark";

/// The server. It ends with this, and so do its files, which are all in the directory that it was given.
pub(crate) struct Nginx {
    process: Child,
    port: u16,
    log: PathBuf,
    /// So many lines of the log were read.
    read: Cell<usize>,
}

impl Nginx {
    /// Starts it, with its own files in `place`.
    pub(crate) fn start(place: &Path, served: &Path) -> Nginx {
        let (top, served) = (place.display(), served.display());
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a port is free").port();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {top}/{kind}; ")).concat();
        // One process: what it has sent stands in the log before it answers anybody else.
        let text = format!(
            "daemon off; master_process off; pid {top}/pid; error_log {top}/errors;
            events {{}}
            http {{
                log_format sent '$body_bytes_sent $request_uri'; access_log {top}/asked sent;
                {temporary}
                server {{
                    listen 127.0.0.1:{port};
                    root {served};
                    location {SINGLE}/ {{ alias {served}/; max_ranges 1; }}
                }}
            }}\n"
        );
        let configuration = place.join("nginx.conf");
        std::fs::write(&configuration, text).expect("there is room");
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(&configuration).arg("-e").arg(place.join("errors")).arg("-p").arg(place);
        let process = nginx.stdin(Stdio::null()).spawn().expect("nginx is there");
        let nginx = Nginx { process, port, log: place.join("asked"), read: Cell::new(0) };
        nginx.asked();
        nginx
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where several ranges are answered with the whole file.
    pub(crate) fn url_of_single_ranges(&self) -> String {
        self.url() + SINGLE
    }

    /// The requests since the last time, each by the bytes that were sent for it, without the head of the answer.
    pub(crate) fn asked(&self) -> Vec<u64> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.answers_mark() {
            assert!(Instant::now() < deadline, "nginx does not answer at port {}", self.port);
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = std::fs::read_to_string(&self.log).expect("nginx writes it");
        let lines: Vec<&str> = text.lines().collect();
        let new = lines[self.read.replace(lines.len())..].iter();
        let sent = new.filter_map(|line| line.split_once(' ')).filter(|(_, path)| *path != MARK);
        sent.map(|(bytes, _)| bytes.parse().expect("a number")).collect()
    }

    /// Asks for what is not there; whether there was an answer.
    fn answers_mark(&self) -> bool {
        let mut answer = Vec::new();
        let asked = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            write!(stream, "GET {MARK} HTTP/1.0\r\n\r\n")?;
            stream.read_to_end(&mut answer)
        });
        asked.is_ok_and(|length| length > 0)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
