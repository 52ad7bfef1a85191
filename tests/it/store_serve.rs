//! `onlay store serve`, asked by curl and by Python.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::debian::{ONLAY, command, expect_success, words};
use crate::store::Bed;

/// A server of a bed's store.
struct Served<'a> {
    bed: &'a Bed,
    child: Child,
    url: String,
}

impl Served<'_> {
    fn of<'a>(bed: &'a Bed, store: &str) -> Served<'a> {
        let mut onlay = command(ONLAY);
        onlay.args(["--quiet", "store", "serve", store, "--listen", "127.0.0.1:0"]).current_dir(bed.at("."));
        let mut child = onlay.stdout(Stdio::piped()).spawn().expect("it was started");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut url)
            .expect("it says where it is");
        Served { bed, child, url: url.trim().to_owned() }
    }

    /// The status of an answer, its fields in small letters, and its content.
    fn curl(&self, path: &str, options: &[&str]) -> (u16, String, Vec<u8>) {
        let mut curl = command("curl");
        curl.args(["--silent", "--path-as-is", "--globoff", "--dump-header", "head", "--output", "body"])
            .args(options);
        curl.arg(format!("{}{path}", self.url)).current_dir(self.bed.at("."));
        expect_success(&mut curl);
        let head = fs::read_to_string(self.bed.at("head")).expect("text").to_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        (status, head, fs::read(self.bed.at("body")).unwrap_or_default())
    }

    fn raw(&self, request: &[u8]) -> String {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(request).expect("it reads");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_are_shown_whole_or_in_parts() {
    let bed = Bed::make();
    let image = bed.good("1~rc1");
    assert_eq!(bed.onlay(&["add", "store", &image]).0, Some(0));
    let whole = fs::read(bed.at(&image)).expect("ours");
    let served = Served::of(&bed, "store");

    let (status, head, body) = served.curl(&image, &[]);
    assert!(status == 200 && body == whole && head.contains("immutable"), "{head}");
    let escaped = image.replace('~', "%7e");
    assert_eq!(served.curl(&escaped, &[]).2, whole);
    let (status, head, _) = served.curl(&image, &["--head"]);
    assert!(status == 200 && head.contains(&format!("content-length: {}", whole.len())), "{head}");
    let field = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)).expect("it is there").trim().to_owned()
    };
    let (tag, date) = (field("etag: "), field("last-modified: "));
    for (options, expected) in [
        (&["--range", "0-9"][..], (206, 0..10)),
        (&["--range", "-5"], (206, whole.len() - 5..whole.len())),
        (&["--range", "100-"], (206, 100..whole.len())),
        (&["--range", "5-7", "--header", &format!("If-Range: {tag}")], (206, 5..8)),
        (&["--range", "5-7", "--header", "If-Range: \"other\""], (200, 0..whole.len())),
        (&["--range", "9999999999-"], (416, 0..0)),
        (&["--header", &format!("If-None-Match: \"x\", W/{tag}")], (304, 0..0)),
        (&["--header", "If-None-Match: \"x\"", "--time-cond", "2099-01-01"], (200, 0..whole.len())),
        (&["--header", &format!("If-Modified-Since: {}", proper(&date))], (304, 0..0)),
    ] {
        fs::write(bed.at("body"), "").expect("ours");
        let (status, head, body) = served.curl(&image, options);
        assert_eq!((status, &body[..]), (expected.0, &whole[expected.1]), "{options:?} {head}");
    }
    let (_, head, _) = served.curl(&image, &["--range", "0-9"]);
    assert!(head.contains(&format!("content-range: bytes 0-9/{}", whole.len())), "{head}");
    let (status, head, body) = served.curl(&image, &["--range", "0-3,10-13,-4"]);
    assert!(status == 206 && head.contains("multipart/byteranges"), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    for part in [&whole[..4], &whole[10..14], &whole[whole.len() - 4..]] {
        assert!(body.windows(4).any(|four| four == part), "{part:?}");
    }
}

#[test]
fn what_a_store_lists_is_shown_and_nothing_else() {
    let bed = Bed::make();
    let image = bed.good("1~rc1");
    assert_eq!(bed.onlay(&["add", "store", &image]).0, Some(0));
    fs::write(bed.at("secret"), "secret").expect("ours");
    fs::write(bed.at("store/private"), "secret").expect("ours");
    fs::create_dir(bed.at("store/extensions")).expect("ours");
    fs::write(bed.at("store/extensions/gdb.html"), "page").expect("ours");
    std::os::unix::fs::symlink("../secret", bed.at("store/index.html")).expect("ours");
    let served = Served::of(&bed, "store");
    let (status, head, _) = served.curl("index.json", &[]);
    assert!(
        status == 200 && head.contains("cache-control: no-cache") && head.contains("application/json"),
        "{head}"
    );
    assert_eq!(served.curl("extensions/gdb.html", &[]).2, b"page");

    for path in [
        "",
        "private",
        "secret",
        "../secret",
        "%2e%2e/secret",
        "x/../private",
        "/etc/passwd",
        "./private",
        ".",
        "..",
        "extensions",
        "extensions/",
        "extensions/../private",
        "index.json/",
        "nothing",
        "index.json%00",
        "SHA256SUMS.gpg",
    ] {
        let (status, _, body) = served.curl(path, &[]);
        assert_eq!((status, &*String::from_utf8_lossy(&body)), (404, "404 Not Found\n"), "{path}");
    }
    assert_eq!(served.curl("index.json", &["--request", "DELETE"]).0, 405);
    assert_eq!(served.curl("index.json", &["--data", "x"]).0, 413);
    for (request, status) in [
        (&b"nonsense\r\n\r\n"[..], "400"),
        (b"GET / HTTP/1.1\r\n\r\n", "400"),
        (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505"),
        (&vec![b'x'; 40_000], "431"),
    ] {
        let answer = served.raw(request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) || answer.is_empty() && request.len() > 20_000,
            "{answer}"
        );
    }
    // What is added is shown at once; what is removed no more.
    let next = bed.good("2");
    assert_eq!(bed.onlay(&["add", "store", &next]).0, Some(0));
    assert_eq!(served.curl(&next, &[]).0, 200);
    assert_eq!(bed.onlay(&["remove", "store", "gdb=1~rc1"]).0, Some(0));
    assert_eq!(served.curl(&image, &[]).0, 404);
}

/// curl's fields were put into small letters.
fn proper(date: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let words: Vec<String> = date.split(' ').map(capital).collect();
    words.join(" ").replace("Gmt", "GMT")
}

#[test]
fn a_server_ends_when_it_is_told_to() {
    let bed = Bed::make();
    for signal in ["TERM", "INT"] {
        let mut served = Served::of(&bed, "store");
        // Python keeps its connection, asks twice on it, and stays there.
        let script = "import http.client, sys, time\n\
            c = http.client.HTTPConnection(sys.argv[1])\n\
            for _ in range(2):\n    c.request('GET', '/index.json')\n    r = c.getresponse(); assert r.status == 200 and len(r.read()) > 20\n\
            print('there', flush=True)\n\
            try:\n    assert c.sock.recv(1) == b''\nexcept ConnectionError:\n    pass\n";
        let address = served.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let mut python = command("python3");
        let mut python =
            python.args(["-c", script, &address]).stdout(Stdio::piped()).spawn().expect("python is there");
        let mut line = String::new();
        BufReader::new(python.stdout.take().expect("a pipe")).read_line(&mut line).expect("it speaks");
        assert_eq!(line, "there\n");
        expect_success(command("kill").args([&format!("-{signal}"), &served.child.id().to_string()]));
        assert_eq!(served.child.wait().expect("it was started").code(), Some(0));
        assert!(python.wait().expect("it was started").success());
    }
    let output = bed.run(&["serve", "."]);
    assert!(
        output.status.code() == Some(1) && words(&output).contains("there is no store in '.'"),
        "{}",
        words(&output)
    );
    assert_eq!(bed.run(&["serve", "store", "--listen", "localhost"]).status.code(), Some(2));
}
