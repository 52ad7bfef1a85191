//! How long `onlay ext update` takes where there is nothing to do: 50 extensions, from a store that has three versions of each,
//! each needing some libraries; signed, on a web server beside it. As root. What it takes to start the program is shown for comparison.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use onlay::store::openpgp::{NewKey, SecretKey, Signer as _, armoured};
use onlay::store::{Entry, Index, Package, Signed};

const RUNS: usize = 15;
const EXTENSIONS: usize = 50;
const VERSIONS: usize = 3;

fn main() {
    let cache = std::env::var_os("ONLAY_TEST_CACHE").unwrap_or_else(|| "/var/cache/onlay-tests".into());
    let tree = Path::new(&cache).join("trixie");
    assert!(tree.is_dir(), "'scripts/test-trees trixie' makes {}", tree.display());
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let (root, state) = (scratch.path().join("root"), scratch.path().join("state"));
    let requests = Arc::new(AtomicUsize::new(0));
    let (index, certificate) = store();
    let url = serve(index, Arc::clone(&requests));
    make_root(&tree, &root, &state, &url, &certificate);
    let update = |root: &Path| {
        let mut onlay = Command::new(env!("CARGO_BIN_EXE_onlay"));
        onlay.arg("--state").arg(&state).arg("--root").arg(root).args([
            "ext",
            "update",
            "--unchanged-exit-77",
        ]);
        onlay
    };
    let first = update(&root).output().expect("it starts");
    assert_eq!(first.status.code(), Some(77), "{}", String::from_utf8_lossy(&first.stderr));
    let before = requests.load(Ordering::SeqCst);
    let wall = median(|| {
        update(&root).stderr(Stdio::null()).status().expect("it starts");
    });
    let asked = requests.load(Ordering::SeqCst) - before;
    assert_eq!(asked, RUNS, "one request each time");
    let started = median(|| {
        let mut onlay = Command::new(env!("CARGO_BIN_EXE_onlay"));
        onlay.arg("--version").stdout(Stdio::null()).status().expect("it starts");
    });
    println!(
        "{EXTENSIONS} extensions, nothing to do: {wall:.1?}, one request; the program's start: {started:.1?}"
    );
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn name(number: usize) -> String {
    format!("extension-{number}")
}

/// An index, signed, and the certificate of who did.
fn store() -> (Vec<u8>, String) {
    let mut index = Index { format: 1, serial: 7, ..Index::default() };
    for number in 0..EXTENSIONS {
        for version in 1..=VERSIONS {
            index.put(entry(&name(number), &version.to_string()));
        }
    }
    let now = SystemTime::now();
    let made = NewKey { user: "Bench", lasts: None, passphrase: None }.make(now).expect("a key");
    let key = SecretKey::parse(made.secret.as_bytes(), now, || unreachable!("it has none")).expect("a key");
    let bytes = index.to_bytes();
    let signatures = vec![key.sign_armoured(&bytes, now).expect("it can")];
    (Signed { index, bytes, signatures }.to_text(), armoured(&made.certificate))
}

fn entry(name: &str, version: &str) -> Entry {
    let fields = [("ID", "debian"), ("VERSION_ID", "13")];
    let needs = ["libc.so.6", "libm.so.6", "libz.so.1", "libselinux.so.1", "libcap.so.2"];
    let packages =
        (0..20).map(|number| Package { name: format!("{name}-{number}"), version: version.to_owned() });
    Entry {
        file: format!("{name}_{version}_any.raw"),
        size: 1,
        sha256: "0".repeat(64),
        name: name.to_owned(),
        version: version.to_owned(),
        release: fields.map(|(field, value)| (field.to_owned(), value.to_owned())).into(),
        packages: packages.collect(),
        needs: needs
            .map(|library| (library.to_owned(), std::collections::BTreeSet::new()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        ..Entry::default()
    }
}

/// A root with Debian's libraries, the program, and 50 extensions that are enabled.
fn make_root(tree: &Path, root: &Path, state: &Path, url: &str, certificate: &str) {
    for directory in ["usr/bin", "etc/onlay/keys", "etc/onlay/extensions"] {
        std::fs::create_dir_all(root.join(directory)).expect("ours");
    }
    std::fs::create_dir_all(state.join("images")).expect("ours");
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(tree.join("usr/lib")).arg(tree.join("usr/lib64")).arg(root.join("usr"));
    assert!(copy.status().expect("cp starts").success());
    std::fs::copy(tree.join("usr/bin/dash"), root.join("usr/bin/sh")).expect("ours");
    for link in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).expect("ours");
    }
    std::fs::copy(tree.join("etc/ld.so.cache"), root.join("etc/ld.so.cache")).expect("ours");
    let program = Path::new(env!("CARGO_BIN_EXE_onlay"));
    let there = root.join(program.strip_prefix("/").expect("it is absolute"));
    std::fs::create_dir_all(there.parent().expect("it has one")).expect("ours");
    std::fs::write(there, "").expect("ours");
    std::fs::write(root.join("etc/onlay/keys/bench.asc"), certificate).expect("ours");
    let config = format!("[store.bench]\nurl = '{url}'\nkeys = ['bench.asc']\n");
    std::fs::write(root.join("etc/onlay/onlay.toml"), config).expect("ours");
    for number in 0..EXTENSIONS {
        let image = state.join("images").join(format!("{}_{VERSIONS}_any.raw", name(number)));
        let link = root.join("etc/onlay/extensions").join(format!("{}.raw", name(number)));
        std::os::unix::fs::symlink(&image, link).expect("ours");
        std::fs::write(image, "").expect("ours");
    }
}

/// Answers that the index is what it was, or sends it.
fn serve(index: Vec<u8>, requests: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            requests.fetch_add(1, Ordering::SeqCst);
            let is_known = head.iter().any(|line| line.to_ascii_lowercase().starts_with("if-none-match:"));
            let reply = if is_known {
                b"HTTP/1.1 304 x\r\nETag: \"1\"\r\nConnection: close\r\n\r\n".to_vec()
            } else {
                let head = format!(
                    "HTTP/1.1 200 x\r\nETag: \"1\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    index.len()
                );
                [head.as_bytes(), &index].concat()
            };
            // Whoever goes away is no matter.
            let _ = stream.write_all(&reply);
        }
    });
    url
}
