//! Proxies that lie, stall or die; good ones, and real ones, are asked in `client/proxies.sh`.

use onlay::fetch::{Proxy, ProxyChoice};

use super::server::{Reply, Server};
use super::*;

/// Asks by a proxy, and does not wait for long.
fn through(proxy: &str, file: &str, url: &str) -> Result<Vec<u8>, String> {
    let proxy = ProxyChoice::Given(Proxy::parse(proxy).expect("a proxy"));
    let source = source(&[url.to_owned()], Options { proxy, ..options() });
    match source.read(file, 9, None) {
        Ok(Small::Read(content, _)) => Ok(content),
        Ok(Small::Unchanged) => panic!("nothing was known"),
        Err(error) => Err(with_causes(&error)),
    }
}

#[test]
fn a_proxy_is_asked_to_connect_for_https_and_for_the_whole_address_else() {
    let proxy = Server::start(|request| match &*request.path {
        "http://example.invalid/s/x" => Reply::body("x"),
        _ => Reply::of(403),
    });
    let by = proxy.url().replace("//", "//me:secret@");
    assert_eq!(through(&by, "x", "http://example.invalid/s"), Ok(b"x".to_vec()));
    assert!(through(&by, "x", "http://example.invalid:8080/s").expect_err("it may not").contains("403"));
    let words = through(&by, "x", "https://example.invalid/s").expect_err("it does not connect");
    let expected = format!("the proxy {} does not lead there: it says 403", proxy.url());
    assert_eq!(words, format!("cannot fetch https://example.invalid/s/x: {expected}"));
    let seen = proxy.seen();
    let paths: Vec<&str> = seen.iter().map(|request| &*request.path).collect();
    assert_eq!(
        paths,
        ["http://example.invalid/s/x", "http://example.invalid:8080/s/x", "example.invalid:443"]
    );
    for request in &seen {
        assert_eq!(request.header("proxy-authorization"), Some("Basic bWU6c2VjcmV0"), "{request:?}");
    }
    assert_eq!(
        seen.iter().filter_map(|request| request.header("host")).collect::<Vec<_>>(),
        ["example.invalid", "example.invalid:8080", "example.invalid:443"]
    );
}

#[test]
fn what_a_proxy_does_instead_of_connecting_is_told() {
    for (reply, words) in [
        (Reply::of(407), "the proxy PROXY wants a name and a password that it knows (407)"),
        (Reply::of(502), "the proxy PROXY does not lead there: it says 502"),
        (Reply { cut: Some(0), ..Reply::of(200) }, "it ended the connection (through the proxy PROXY)"),
        (Reply { cut: Some(9), ..Reply::of(200) }, "it ended the connection (through the proxy PROXY)"),
        // Connected with nobody: what comes then is no TLS.
        (Reply::body("x"), "(through the proxy PROXY)"),
    ] {
        let proxy = Server::start(move |_| reply.clone());
        let told = through(&proxy.url(), "x", "https://example.invalid").expect_err("it does not connect");
        let told = told.replace(&proxy.url(), "PROXY");
        assert!(told.ends_with(words), "{words}: {told}");
    }
    // One that takes connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("it is bound"));
    for address in ["https://example.invalid", "http://example.invalid"] {
        let told = through(&url, "x", address).expect_err("nothing comes");
        assert!(told.ends_with(&format!("nobody said anything for 1 s (through the proxy {url})")), "{told}");
    }
}

#[test]
fn only_a_proxy_wants_a_name_for_itself() {
    // A server that says so by itself is asked without any proxy.
    let server = Server::start(|_| Reply::of(407));
    let words = with_causes(&source(&[server.url()], options()).read("x", 9, None).expect_err("refused"));
    assert!(words.ends_with("the server says 407"), "{words}");
    let proxy = Server::start(|_| Reply::of(407));
    let words = through(&proxy.url(), "x", "http://example.invalid").expect_err("refused");
    assert!(words.ends_with("wants a name and a password that it knows (407)"), "{words}");
}
