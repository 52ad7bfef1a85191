//! Requests as they come, and ranges.

use std::time::{Duration, UNIX_EPOCH};

use super::answer::http_date;
use super::request::{Bad, Request, ranges};

const PATIENCE: Duration = Duration::from_secs(60);

fn parse(text: &str) -> Result<Request, Bad> {
    Request::parse(text.replace('\n', "\r\n").as_bytes())
}

#[test]
fn requests_are_taken_apart() {
    let request =
        parse("GET /a%20b?x HTTP/1.1\nHost: h\nrange:  bytes=1-2\nConnection: Close\n\n").expect("a request");
    assert_eq!(
        (request.name().as_deref(), request.range.as_deref(), request.is_kept),
        (Some("a b"), Some("bytes=1-2"), false)
    );
    assert!(parse("GET / HTTP/1.0\nConnection: keep-alive\n\n").is_ok_and(|request| request.is_kept));
    for (text, bad) in [
        ("GET / HTTP/1.1\n\n", Bad::Malformed),
        ("GET  / HTTP/1.1\nHost: h\n\n", Bad::Malformed),
        ("GET / HTTP/2.0\n\n", Bad::Version),
        ("GET /\n\n", Bad::Malformed),
        ("GET / HTTP/1.1\nHost: h\nX y\n\n", Bad::Malformed),
        ("GET / HTTP/1.1\nHost : h\n\n", Bad::Malformed),
        ("PUT / HTTP/1.1\nHost: h\nContent-Length: 5\n\n", Bad::Content),
        ("GET / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n", Bad::Content),
        ("\u{7f} / HTTP/1.1\nHost: h\n\n", Bad::Malformed),
    ] {
        assert_eq!(parse(text), Err(bad), "{text}");
    }
    for (target, name) in [
        ("/", Some("")),
        ("/%2e%2e/x", Some("../x")),
        ("/%zz", None),
        ("/%f", None),
        ("/%+1", None),
        ("/%ff", None),
        ("x", None),
    ] {
        let request = Request { target: target.to_owned(), ..Request::default() };
        assert_eq!(request.name().as_deref(), name, "{target}");
    }
}

#[test]
fn requests_are_read_one_after_another_and_with_bounds() {
    let both = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    let (mut stream, mut before) = (&both[..], Vec::new());
    for target in ["/a", "/b"] {
        let request =
            Request::read(&mut stream, &mut before, PATIENCE).expect("a request").expect("one more");
        assert_eq!(request.target, target);
    }
    assert_eq!(Request::read(&mut stream, &mut before, PATIENCE), Ok(None));
    // Who sends a byte now and then is not waited for.
    let slow = Request::read(&mut &b"x".repeat(5000)[..], &mut Vec::new(), Duration::ZERO);
    assert_eq!(slow, Err(Bad::Late));
    let endless = vec![b'x'; 100_000];
    assert_eq!(Request::read(&mut &endless[..], &mut Vec::new(), PATIENCE), Err(Bad::Large));
    assert_eq!(Request::read(&mut &b"GET / HT"[..], &mut Vec::new(), PATIENCE), Err(Bad::Malformed));
}

#[test]
fn ranges_are_those_of_the_standard() {
    for (field, found) in [
        ("bytes=0-0", Some(vec![(0, 1)])),
        ("bytes=2-", Some(vec![(2, 8)])),
        ("bytes=-3", Some(vec![(7, 3)])),
        ("bytes=-30", Some(vec![(0, 10)])),
        ("bytes=5-99999999999999999999", Some(vec![(5, 5)])),
        ("bytes=0-1, 8-9", Some(vec![(0, 2), (8, 2)])),
        ("bytes=10-", Some(vec![])),
        ("bytes=-0", Some(vec![])),
        ("bytes=20-30,0-0", Some(vec![(0, 1)])),
        ("bytes=3-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=+1-2", None),
        ("items=0-1", None),
        ("bytes=", None),
    ] {
        assert_eq!(ranges(field, 10), found, "{field}");
    }
    assert_eq!(ranges(&format!("bytes={}", vec!["0-0"; 257].join(",")), 10), None);
    assert_eq!(ranges("bytes=0-", 0), Some(vec![]));
}

#[test]
fn moments_are_written_as_http_has_them() {
    assert_eq!(http_date(UNIX_EPOCH + Duration::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(http_date(UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 GMT");
}
