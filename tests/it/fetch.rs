//! Fetching from servers that are good, bad, slow or dead.

mod hostile;
mod parts;
mod proxies;
pub(crate) mod server;

use std::time::Duration;

use onlay::fetch::{Address, Error, Expected, Header, Options, Partial, Small, Source};
use onlay::package::Identity;
use onlay::sys::{Root, with_causes};

use server::{Reply, Server};

/// Does not wait for long, and asks once.
fn options() -> Options {
    Options {
        timeout: Duration::from_secs(1),
        retries: 0,
        first_wait: Duration::from_millis(1),
        ..Options::default()
    }
}

fn source(urls: &[String], options: Options) -> Source {
    let addresses = urls.iter().map(|url| Address::parse(url).expect("an address"));
    Source::new(addresses.collect(), options)
}

/// A directory for what comes.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory"))
    }

    fn dir(&self) -> Root {
        Root::open(self.0.path()).expect("ours")
    }

    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).expect("ours");
        names.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }

    /// Has `file` come, which is to be `content`; what is wrong is told in words.
    fn download(&self, source: &Source, file: &str, content: &[u8]) -> Result<Vec<u8>, String> {
        self.download_as(source, file, Identity::of(content), Some(content.len() as u64))
    }

    fn download_as(
        &self,
        source: &Source,
        file: &str,
        digest: Identity,
        size: Option<u64>,
    ) -> Result<Vec<u8>, String> {
        let mut partial = Partial::open(&self.dir(), digest).expect("ours");
        let expected = Expected { size, limit: 1 << 20 };
        source.download(file, &mut partial, expected, &mut |_| {}).map_err(|error| with_causes(&error))?;
        let content = std::fs::read(partial.path()).expect("it has come");
        partial.discard().expect("ours");
        Ok(content)
    }
}

/// Bytes of which none is like its neighbours.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|number| (number * 31 % 251) as u8).collect()
}

#[test]
fn a_small_file_is_read_once_and_then_only_when_it_has_changed() {
    let top = tempfile::tempdir().expect("a directory");
    let path = top.path().join("a+b");
    std::fs::write(&path, "one").expect("ours");
    let server = Server::of_files(top.path());
    for url in [server.url(), top.path().display().to_string(), format!("file://{}", top.path().display())] {
        std::fs::write(&path, "one").expect("ours");
        let source = source(&[url], options());
        let Ok(Small::Read(content, validator)) = source.read("a+b", 3, None) else { panic!("it is there") };
        assert_eq!(content, b"one");
        assert!(matches!(source.read("a+b", 3, Some(&validator)), Ok(Small::Unchanged)));
        std::fs::write(&path, "two2").expect("ours");
        let Ok(Small::Read(content, _)) = source.read("a+b", 4, Some(&validator)) else {
            panic!("it is there")
        };
        assert_eq!(content, b"two2");
        let words = with_causes(&source.read("a+b", 3, None).map(drop).expect_err("too long"));
        assert!(words.ends_with("it has more than the 3 bytes that it may have"), "{words}");
        assert!(source.read("missing", 3, None).expect_err("not there").is_not_there());
    }
    assert_eq!(server.seen().iter().filter(|request| request.path == "/a%2Bb").count(), 4);
}

#[test]
fn a_small_file_may_come_packed_and_is_bounded_unpacked() {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&[7; 5000]).expect("memory");
    let packed = packed.finish().expect("memory");
    let server = Server::start(move |request| {
        assert_eq!(request.header("accept-encoding"), Some("gzip"));
        Reply::body(packed.clone()).with("Content-Encoding", if request.path == "/a" { "gzip" } else { "br" })
    });
    let source = source(&[server.url()], options());
    assert!(matches!(source.read("a", 5000, None), Ok(Small::Read(content, _)) if content == [7; 5000]));
    let words =
        |file: &str, limit| with_causes(&source.read(file, limit, None).map(drop).expect_err("refused"));
    assert!(words("a", 4999).ends_with("it has more than the 4999 bytes that it may have"));
    assert!(words("b", 5000).ends_with("it comes packed as 'br', which was not asked for"));
}

#[test]
fn mirrors_are_asked_in_their_order() {
    let good = Server::start(|_| Reply::body("content"));
    let bad =
        Server::start(|request| if request.path == "/x" { Reply::of(503) } else { Reply::body("CONTENT") });
    let none = Server::start(|_| Reply::of(404));
    let gone = "http://127.0.0.1:1".to_owned();
    let source = source(&[gone, bad.url(), none.url(), good.url()], options());
    let place = Place::new();
    assert_eq!(place.download(&source, "x", b"content"), Ok(b"content".to_vec()));
    assert_eq!((bad.seen().len(), none.seen().len(), good.seen().len()), (1, 1, 1));
    // One that has another file is passed over, too.
    assert_eq!(place.download(&source, "y", b"content"), Ok(b"content".to_vec()));
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn what_may_pass_is_tried_again_and_all_else_is_not() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let number = tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        match &*request.path {
            "/x" if number < 3 => Reply::of(500),
            "/x" => Reply::body("x"),
            _ => Reply::of(403),
        }
    });
    let source = source(&[server.url()], Options { retries: 3, ..options() });
    assert!(matches!(source.read("x", 9, None), Ok(Small::Read(content, _)) if content == b"x"));
    assert_eq!(server.seen().len(), 4);
    let error = source.read("y", 9, None).expect_err("forbidden");
    assert!(with_causes(&error).ends_with("/y: the server says 403"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_header_goes_to_its_own_host_and_is_never_shown() {
    let other = Server::start(|_| Reply::body("x"));
    let away = format!("http://localhost:{}/x", other.port());
    let there = other.url();
    let home = Server::start(move |request| match &*request.path {
        "/away" => Reply::to(&away),
        "/there" => Reply::to(&there),
        "/here" => Reply::to("/x"),
        _ => Reply::body("x"),
    });
    let header = Header::parse("X-Token: s3cret").expect("a header");
    let source = source(&[home.url(), other.url()], Options { header: Some(header), ..options() });
    for file in ["away", "there", "here"] {
        assert!(source.read(file, 9, None).is_ok(), "{file}");
    }
    assert!(home.seen().iter().all(|request| request.header("x-token") == Some("s3cret")));
    let seen = other.seen();
    assert!(seen.len() == 2 && seen.iter().all(|request| request.header("x-token").is_none()), "{seen:?}");
    let Err(Error::Failed { address, problem }) = source.read("x", 0, None) else { panic!("too long") };
    assert!(!format!("{address} {problem} {problem:?}").contains("s3cret"));
}

#[test]
fn nobody_is_faster_than_allowed() {
    let server = Server::start(|_| Reply::body(bytes(30_000)));
    let source = source(&[server.url()], Options { limit_rate: Some(100_000), ..options() });
    let begun = std::time::Instant::now();
    assert!(Place::new().download(&source, "x", &bytes(30_000)).is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(290));
}
