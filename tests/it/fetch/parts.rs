//! Parts of files.

use std::ops::Range;

use onlay::fetch::RangeSource as _;

use super::server::{Reply, Request, Server, file, part};
use super::*;

/// Reads parts; what was given, put together at its places.
fn read(source: &mut Source, ranges: &[Range<u64>], length: usize) -> Result<Vec<Option<u8>>, String> {
    let mut got = vec![None; length];
    let mut sink = |at: u64, piece: &[u8]| {
        for (place, byte) in got[at as usize..].iter_mut().zip(piece) {
            assert_eq!(place.replace(*byte), None, "a byte is given once");
        }
        Ok(())
    };
    source.read("x", ranges, &mut sink).map_err(|error| with_causes(&error))?;
    Ok(got)
}

fn expected(content: &[u8], ranges: &[Range<u64>]) -> Vec<Option<u8>> {
    let mut all = vec![None; content.len()];
    for range in ranges {
        let range = range.start as usize..range.end as usize;
        all[range.clone()].iter_mut().zip(&content[range]).for_each(|(place, byte)| *place = Some(*byte));
    }
    all
}

/// A list of parts, some of them near each other.
fn ranges(length: u64) -> Vec<Range<u64>> {
    let far = (0..length / 20_000).map(|number| number * 20_000 + number..number * 20_000 + number + 700);
    let near = far.flat_map(|range| [range.clone(), range.end + 50..range.end + 60]);
    near.filter(|range| range.end <= length).collect()
}

#[test]
fn parts_come_in_few_requests_whatever_the_server_can() {
    let content = bytes(1_500_000);
    let wanted = ranges(1_500_000);
    assert!(wanted.len() > 100);
    let top = tempfile::tempdir().expect("a directory");
    std::fs::write(top.path().join("x"), &content).expect("ours");
    let many = Server::of_files(top.path());
    // One that sends only one part at once, the whole, or the first of them.
    let directory = top.path().to_owned();
    let one = Server::start(move |request| match request.header("range") {
        Some(range) if range.contains(',') => Reply::body(vec![0; 100]),
        _ => file(&directory, request),
    });
    let directory = top.path().to_owned();
    let first = Server::start(move |request| match request.header("range") {
        Some(range) => {
            part(&std::fs::read(directory.join("x")).expect("ours"), range.split(',').next().expect("one"))
        }
        None => Reply::of(400),
    });
    for (server, most) in [(&many, 1), (&one, 40), (&first, 40)] {
        let got = read(&mut source(&[server.url()], options()), &wanted, content.len()).expect("it comes");
        assert!(got == expected(&content, &wanted));
        let count = server.seen().len();
        assert!(count <= most, "{count} requests");
    }
    let of_path = read(&mut source(&[top.path().display().to_string()], options()), &wanted, content.len());
    assert!(of_path.expect("it is there") == expected(&content, &wanted));
}

#[test]
fn who_has_no_parts_says_so_and_whose_parts_are_others_is_refused() {
    let wanted = [10..20, 50_000..50_010];
    let told = |handler: fn(&Request) -> Reply| {
        let server = Server::start(handler);
        read(&mut source(&[server.url()], options()), &wanted, 100_000).expect_err("it is refused")
    };
    assert!(told(|_| Reply::body(bytes(100_000))).ends_with("the server sends no parts of files"));
    for (handler, words) in [
        ((|_| Reply::of(416)) as fn(&Request) -> Reply, "the file is shorter"),
        (|_| Reply { status: 206, ..Reply::body("x") }, "it does not say which"),
        (|_| part(&bytes(100_000), "bytes=0-20"), "bytes 0 to 21, and not 10 to 50010"),
        (|_| part(&bytes(100_000), "bytes=10-19,60000-60009"), "bytes 60000 to 60010, and not 10 to 50010"),
        (|_| part(&bytes(100_000), "bytes=10-19,12-19"), "its parts are not in order"),
        (
            |_| part(&bytes(100_000), "bytes=10-14,15-19,50000-50004,50005-50009"),
            "more parts came than were asked for",
        ),
        (|_| Reply { cut: Some(250), ..part(&bytes(100_000), "bytes=10-19,50000-50009") }, "ended"),
        (|_| Reply { body: vec![7; 9000], ..part(&bytes(9), "bytes=0-1,3-4") }, "its parts are not divided"),
    ] {
        let told = told(handler);
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn what_came_before_the_network_died_is_not_asked_for_again() {
    let content = bytes(300_000);
    let wanted = vec![0..100_000, 200_000..300_000];
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let reply = part(&bytes(300_000), request.header("range").expect("parts"));
        let is_first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        Reply { cut: is_first.then_some(150_000), ..reply }
    });
    let mut source = source(&[server.url()], Options { retries: 2, ..options() });
    assert!(read(&mut source, &wanted, content.len()).expect("it comes") == expected(&content, &wanted));
    let seen = server.seen();
    assert!(seen.len() == 2 && !seen[1].header("range").expect("parts").contains("=0-"), "{seen:?}");
}
