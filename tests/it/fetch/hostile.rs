//! Servers that lie, stall, lead astray or die.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Reply, Server, part};
use super::*;

/// What is told when `/x`, which is to be `content`, is answered so.
fn told(content: &[u8], reply: Reply) -> String {
    let server = Server::start(move |_| reply.clone());
    let place = Place::new();
    let words = place.download(&source(&[server.url()], options()), "x", content).expect_err("it is refused");
    words.replace(&server.url(), "URL")
}

#[test]
fn what_is_not_what_it_should_be_is_refused_in_words() {
    let content = b"0123456789";
    let digest = Identity::of(b"012345678X");
    let expected = Identity::of(content);
    for (reply, words) in [
        (
            Reply::body("012345678X"),
            &*format!("it has another SHA-256 than it should have: {digest}, and not {expected}"),
        ),
        (Reply::body("0123"), "it has 4 bytes, and it should have 10"),
        (Reply::body("0123456789abc"), "it has 13 bytes, and it should have 10"),
        (Reply::body("0123").with("Content-Length", "10"), "the server said nothing for 1 s"),
        (Reply { cut: Some(46), ..Reply::body("0123456789") }, "it ended after 8 of 10 bytes"),
        (Reply { without_length: true, ..Reply::body("0123") }, "it ended after 4 of 10 bytes"),
        (
            Reply { without_length: true, ..Reply::body("0123456789a") },
            "it has more than the 10 bytes that it may have",
        ),
        (
            Reply { endless: true, ..Reply::body(vec![7; 4096]) },
            "it has more than the 10 bytes that it may have",
        ),
        (Reply::of(404), "it is not there"),
        (Reply::of(500), "the server says 500"),
        (Reply::of(204), "the server says 204"),
        (
            part(content, "bytes=0-9"),
            "another part of it came than was asked for: a part, and all of it was asked for",
        ),
        (
            Reply::body("x").with("Content-Encoding", "gzip"),
            "it comes packed as 'gzip', which was not asked for",
        ),
        (Reply::to("/x"), "it leads on more than 8 times"),
        (Reply::to("https://127.0.0.1/x"), "it leads on to another scheme, 'https'"),
        (Reply::to("file:///etc/passwd"), "it leads on to another scheme, 'file'"),
        (Reply::to("ftp://127.0.0.1/"), "it leads on to another scheme, 'ftp'"),
        (Reply::to("http://u:p@127.0.0.1/"), "it leads on to what is no address: http://u:p@127.0.0.1/"),
        (Reply::of(302), "it leads on to what is no address: "),
        (Reply { cut: Some(0), ..Reply::of(200) }, "the server ended the connection"),
    ] {
        assert_eq!(told(content, reply.clone()), format!("cannot fetch URL/x: {words}"), "{reply:?}");
    }
}

#[test]
fn nobody_waits_for_who_says_nothing_or_next_to_nothing() {
    let drip = Some(Duration::from_millis(300));
    assert!(told(&[7; 100], Reply { drip, ..Reply::body([7; 100]) }).contains(" bytes came in 1 s"));
    // A server that takes connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("it is bound"));
    let words = Place::new().download(&source(&[url], options()), "x", b"x").expect_err("nothing comes");
    assert!(words.ends_with("the server said nothing for 1 s"), "{words}");
    // One whose headers never end.
    let server = Server::start(|_| Reply::of(200).with("X-Long", &"x".repeat(100_000)));
    let words =
        Place::new().download(&source(&[server.url()], options()), "x", b"x").expect_err("it is too long");
    assert!(words.contains("response header"), "{words}");
}

#[test]
fn the_rest_is_asked_for_wherever_the_network_died() {
    let content = bytes(3000);
    let all = content.clone();
    // The first answer to each file is cut after as many bytes as its name says.
    let known = std::sync::Mutex::new(std::collections::HashSet::new());
    let server = Server::start(move |request| {
        let cut: usize = request.path[1..].parse().expect("a number");
        let is_first = known.lock().expect("ours").insert(cut);
        let reply = match request.header("range") {
            Some(range) => part(&all, range),
            None => Reply::body(all.clone()),
        };
        Reply { cut: is_first.then_some(cut), ..reply.with("ETag", "\"1\"") }
    });
    let place = Place::new();
    let mut resumed = 0;
    for cut in (0..80).chain((80..3060).step_by(37)) {
        let source = source(&[server.url()], options());
        let first = place.download(&source, &cut.to_string(), &content);
        let words = first.expect_err("it was cut");
        assert!(words.contains("ended"), "{cut}: {words}");
        // As by another run, later.
        assert_eq!(place.download(&source, &cut.to_string(), &content).as_ref(), Ok(&content), "{cut}");
        let seen = server.seen();
        let rest = seen[1].header("range");
        assert_eq!(rest.is_some(), seen[1].header("if-range").is_some(), "{cut}");
        resumed += usize::from(rest.is_some());
        assert!(place.names().is_empty(), "{cut}: {:?}", place.names());
    }
    assert!(resumed > 70, "{resumed}");
}

#[test]
fn one_run_goes_on_where_it_was_cut_as_often_as_it_takes() {
    let content = bytes(5000);
    let all = content.clone();
    let server = Server::start(move |request| {
        let reply = match request.header("range") {
            Some(range) => part(&all, range),
            None => Reply::body(all.clone()),
        };
        Reply { cut: Some(1000), ..reply.with("ETag", "\"1\"") }
    });
    let source = source(&[server.url()], Options { retries: 20, ..options() });
    assert_eq!(Place::new().download(&source, "x", &content), Ok(content));
}

/// Has the beginning of a file come, and then changes how the server answers.
fn after_a_beginning(
    then: impl Fn(&server::Request) -> Reply + Send + Sync + 'static,
) -> (Result<Vec<u8>, String>, usize) {
    let content = bytes(1000);
    let all = content.clone();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply { cut: Some(500), ..Reply::body(all.clone()).with("ETag", "\"1\"") },
        _ => then(request),
    });
    let place = Place::new();
    let source = source(&[server.url()], options());
    place.download(&source, "x", &content).expect_err("it was cut");
    let done = place.download(&source, "x", &content).map_err(|words| words.replace(&server.url(), "URL"));
    (done, server.seen().len())
}

#[test]
fn a_rest_that_is_none_is_refused_or_begun_anew() {
    let content = bytes(1000);
    let all = content.clone();
    // It has changed meanwhile, or the server has no parts.
    assert_eq!(after_a_beginning(move |_| Reply::body(all.clone())), (Ok(content.clone()), 2));
    let all = content.clone();
    let gone = move |request: &server::Request| match request.header("range") {
        Some(_) => Reply::of(416),
        None => Reply::body(all.clone()),
    };
    assert_eq!(after_a_beginning(gone), (Ok(content.clone()), 3));
    // Bytes of another file, as long as the rest: what was there is given up, and all of it asked for once more.
    let all = content.clone();
    let other = move |request: &server::Request| match request.header("range") {
        Some(range) => part(&[9; 1000], range),
        None => Reply::body(all.clone()),
    };
    assert_eq!(after_a_beginning(other), (Ok(content.clone()), 3));
    for (range, words) in [
        ("bytes 0-499/1000", "another part of it came than was asked for: from byte 0 on"),
        ("bytes 900-999/1000", "another part of it came than was asked for: from byte 900 on"),
        (
            "bytes FROM-800/1000",
            "another part of it came than was asked for: up to byte 801, and not to the end, 1000",
        ),
        ("bytes FROM-1999/2000", "it has 2000 bytes, and it should have 1000"),
        ("bytes nonsense", "another part of it came than was asked for: it does not say which"),
    ] {
        let answer = move |request: &server::Request| {
            let from = request
                .header("range")
                .expect("the rest")
                .trim_start_matches("bytes=")
                .trim_end_matches('-')
                .to_owned();
            Reply { status: 206, ..Reply::body([7; 100]) }
                .with("Content-Range", &range.replace("FROM", &from))
        };
        let (done, _) = after_a_beginning(answer);
        assert!(done.as_ref().is_err_and(|told| told.contains(words)), "{range}: {done:?}");
    }
}

#[test]
fn a_beginning_that_is_wrong_does_not_stay() {
    let content = bytes(1000);
    let server = Server::start(|request| match request.header("range") {
        Some(range) => part(&bytes(1000), range),
        None => Reply::body(bytes(1000)),
    });
    let place = Place::new();
    let digest = Identity::of(&content);
    for beginning in [vec![9; 10], vec![0; 1000], vec![1; 5000]] {
        std::fs::write(place.0.path().join(format!(".{digest}.part")), beginning).expect("ours");
        assert_eq!(place.download(&source(&[server.url()], options()), "x", &content).as_ref(), Ok(&content));
    }
}

#[test]
fn of_a_file_whose_length_nobody_told_the_server_may_tell_it() {
    let server = Server::start(|request| match &*request.path {
        "/good" => Reply::body("good"),
        "/cut" => Reply { cut: Some(60), ..Reply::body([7; 100]) },
        _ => Reply::body(Vec::new()).with("Content-Length", "2000000"),
    });
    let (place, source) = (Place::new(), source(&[server.url()], options()));
    assert_eq!(place.download_as(&source, "good", Identity::of(b"good"), None), Ok(b"good".to_vec()));
    for (file, words) in
        [("cut", "of 100 bytes"), ("large", "it has more than the 1048576 bytes that it may have")]
    {
        let told = place.download_as(&source, file, Identity::of(b"x"), None).expect_err("it is refused");
        assert!(told.ends_with(words), "{told}");
    }
}

#[test]
fn files_of_this_machine_are_checked_as_well() {
    let top = tempfile::tempdir().expect("a directory");
    for (name, content) in [("good", "0123"), ("short", "012"), ("other", "012X")] {
        std::fs::write(top.path().join(name), content).expect("ours");
    }
    std::fs::create_dir(top.path().join("directory")).expect("ours");
    let source = source(&[top.path().display().to_string()], options());
    let place = Place::new();
    assert_eq!(place.download(&source, "good", b"0123"), Ok(b"0123".to_vec()));
    for (file, words) in [
        ("short", "it has 3 bytes, and it should have 4"),
        ("other", "it has another SHA-256 than it should have"),
        ("directory", "it is not there"),
        ("missing", "it is not there"),
    ] {
        let told = place.download(&source, file, b"0123").expect_err("it is refused");
        assert!(told.contains(words), "{told}");
    }
}
