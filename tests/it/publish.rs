//! `onlay store publish`: to a directory, and to real servers that are started for it; what they then show is the store.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::debian::{ONLAY, command, expect_success, has, place, skip, words};

/// Whom the object store knows.
const KEY: (&str, &str) = ("S3RVER", "S3RVER");

/// A store, and where it is published.
struct Bed {
    place: tempfile::TempDir,
}

impl Bed {
    fn make() -> Bed {
        let bed = Bed { place: place() };
        bed.store(&["init", "store"]);
        bed.add("1");
        bed
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn onlay(&self, arguments: &[&str], (name, key): (&str, &str)) -> (Option<i32>, String) {
        let mut onlay = command(ONLAY);
        onlay.arg("store").args(arguments).current_dir(self.place.path());
        onlay.env("AWS_ACCESS_KEY_ID", name).env("AWS_SECRET_ACCESS_KEY", key);
        let output = onlay.output().expect("it was started");
        (output.status.code(), words(&output).trim().to_owned())
    }

    fn store(&self, arguments: &[&str]) -> String {
        let (code, said) = self.onlay(arguments, KEY);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    /// Adds a version of an extension to the store.
    fn add(&self, version: &str) {
        let releases = self.at("tree/usr/lib/extension-release.d");
        fs::create_dir_all(&releases).expect("ours");
        fs::write(releases.join("extension-release.gdb"), "ID=debian\nVERSION_ID=13\n").expect("ours");
        fs::write(self.at("tree/usr/lib/content"), version.repeat(300_000)).expect("ours");
        let image = format!("gdb_{version}_x86-64.raw");
        let mut mksquashfs = command("mksquashfs");
        mksquashfs.arg(self.at("tree")).arg(self.at(&image)).args(["-noappend", "-quiet", "-no-progress"]);
        expect_success(&mut mksquashfs);
        self.store(&["add", "store", &image]);
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.at("store")).expect("it is there");
        let mut names: Vec<String> =
            names.map(|entry| entry.expect("an entry").file_name().into_string().expect("ours")).collect();
        names.sort();
        names
    }

    /// Publishes a store that grows and shrinks, and compares what `fetch` gets with it.
    fn story(&self, target: &[&str], fetch: &dyn Fn(&str) -> Option<Vec<u8>>) {
        let publish = |more: &[&str]| self.store(&[&["publish", "store"], target, more].concat());
        let expect_all = || {
            for file in self.files() {
                let ours = fs::read(self.at("store").join(&file)).expect("ours");
                assert!(fetch(&file).is_some_and(|theirs| theirs == ours), "{file}");
            }
        };
        assert!(publish(&["--dry-run"]).starts_with("would send gdb_1_x86-64.raw\nwould send index.json\n"));
        assert_eq!(fetch("index.json"), None);
        publish(&[]);
        expect_all();
        assert!(publish(&[]).ends_with("has all of it"));
        assert!(publish(&["--recheck"]).ends_with("has all of it"));

        self.add("2");
        self.store(&["remove", "store", "gdb=1"]);
        let told: Value = serde_json::from_str(&publish(&["--json"])).expect("JSON");
        assert_eq!(told["sent"][0]["file"], "gdb_2_x86-64.raw");
        assert_eq!(told["removed"], serde_json::json!(["gdb_1_x86-64.raw"]));
        expect_all();
        assert_eq!(fetch("gdb_1_x86-64.raw"), None);
        assert_eq!(fetch("REMOVING"), None);

        // Signed, until a day, and unsigned again.
        self.store(&["key", "make", "somebody", "--output", "key"]);
        self.store(&["sign", "store", "--key", "key", "--best-before", "30"]);
        publish(&[]);
        expect_all();
        let has = |start| self.files().iter().any(|file| file.starts_with(start));
        assert!(has("SHA256SUMS.gpg") && has("key.asc") && has("BEST-BEFORE-"));
        self.store(&["sign", "store", "--unsigned", "--best-before", "none"]);
        publish(&[]);
        expect_all();
        assert!(fetch("SHA256SUMS.gpg").is_none() && fetch("key.asc").is_none());
    }

    /// Publishes the pages of a store, and what becomes of them.
    fn pages(&self, target: &[&str], fetch: &dyn Fn(&str) -> Option<Vec<u8>>) {
        let publish = || self.store(&[&["publish", "store"], target].concat());
        let expect = |pages: &[&str]| {
            for page in pages {
                let ours = fs::read(self.at("store").join(page)).expect("ours");
                assert!(fetch(page).is_some_and(|theirs| theirs == ours), "{page}");
            }
        };
        self.store(&["export", "html", "store", "store"]);
        let told = publish();
        assert_eq!(told.matches("sending").count(), 3, "{told}");
        expect(&["index.html", "feed.atom", "extensions/gdb.html"]);
        assert!(publish().ends_with("has all of it"));
        // They follow what is in the store.
        self.add("9");
        assert!(publish().contains("sending extensions/gdb.html"));
        expect(&["index.html", "feed.atom", "extensions/gdb.html"]);
        self.store(&["remove", "store", "gdb"]);
        publish();
        expect(&["index.html", "feed.atom"]);
        assert_eq!(fetch("extensions/gdb.html"), None);
        assert_eq!(fetch("REMOVING"), None);
    }
}

#[test]
fn to_a_directory() {
    let bed = Bed::make();
    let theirs = bed.at("a/b");
    let fetch = |file: &str| fs::read(theirs.join(file)).ok();
    bed.story(&["a/b"], &fetch);
    let names = fs::read_dir(&theirs).expect("it is there").count();
    assert_eq!(names, bed.files().len(), "nothing else is there");
    bed.pages(&["a/b"], &fetch);
}

/// What people have there already is not written over, and pages that are of no use are not sent.
#[test]
fn pages_take_nobodys_place() {
    let bed = Bed::make();
    bed.store(&["export", "html", "store", "store"]);
    for file in ["index.html", "feed.atom"] {
        let there = format!("with-{file}");
        fs::create_dir(bed.at(&there)).expect("ours");
        fs::write(bed.at(&there).join(file), "theirs").expect("ours");
        let (code, said) = bed.onlay(&["publish", "store", &there], KEY);
        let told = format!("there is a '{file}' already, which this program did not make\nhint: --force");
        assert!(code == Some(1) && said.contains(&told), "{said}");
        bed.store(&["publish", "--force", "store", &there]);
        assert_ne!(fs::read(bed.at(&there).join(file)).expect("it is there"), b"theirs");
    }
    let index = fs::read_to_string(bed.at("store/index.html")).expect("it is there");
    let stale = index.replace("name=\"onlay-serial\" content=\"2\"", "name=\"onlay-serial\" content=\"1\"");
    assert_ne!(stale, index);
    fs::write(bed.at("store/index.html"), stale).expect("ours");
    let (code, said) = bed.onlay(&["publish", "store", "there"], KEY);
    assert!(
        code == Some(1) && said.contains("the pages in 'store' show another state of the store"),
        "{said}"
    );
    // The store's own page is nobody else's business.
    fs::write(bed.at("store/index.html"), "mine").expect("ours");
    bed.store(&["publish", "store", "there"]);
    assert!(!bed.at("there/index.html").exists());
}

/// What was interrupted is taken up again; nothing newer is hidden.
#[test]
fn what_was_begun_is_finished_and_what_is_newer_stays() {
    let bed = Bed::make();
    bed.store(&["publish", "store", "there"]);
    bed.add("2");
    bed.add("3");
    fs::copy(bed.at("store/gdb_2_x86-64.raw"), bed.at("there/gdb_2_x86-64.raw")).expect("ours");
    fs::write(bed.at("there/gdb_3_x86-64.raw"), "cut off").expect("ours");
    fs::write(bed.at("there/gone.raw"), "").expect("ours");
    fs::write(bed.at("there/REMOVING"), "gone.raw\ngdb_3_x86-64.raw\n../store/index.json\n").expect("ours");
    let said = bed.store(&["publish", "store", "there"]);
    assert!(said.contains("sending gdb_3") && !said.contains("sending gdb_2"), "{said}");
    assert!(said.ends_with(", removed 1 there"), "{said}");
    assert!(!bed.at("there/gone.raw").exists() && !bed.at("there/REMOVING").exists());
    assert!(bed.at("store/index.json").exists());

    // A copy that missed a change, and one with a change of its own.
    expect_success(command("cp").arg("-a").arg(bed.at("store")).arg(bed.at("copy")));
    bed.store(&["remove", "store", "gdb=1"]);
    bed.store(&["publish", "store", "there"]);
    let (code, said) = bed.onlay(&["publish", "copy", "there"], KEY);
    assert!(code == Some(1) && said.contains("what is there is newer"), "{said}");
    bed.store(&["remove", "copy", "gdb=2"]);
    let (code, said) = bed.onlay(&["publish", "copy", "there"], KEY);
    assert!(code == Some(1) && said.contains("is another store"), "{said}");
    bed.store(&["publish", "--force", "copy", "there"]);
    assert!(bed.at("there/gdb_1_x86-64.raw").exists() && !bed.at("there/gdb_2_x86-64.raw").exists());

    // What is damaged here goes nowhere.
    bed.add("4");
    fs::write(bed.at("store/gdb_4_x86-64.raw"), "damaged").expect("ours");
    let (code, said) = bed.onlay(&["publish", "--force", "store", "there"], KEY);
    assert!(code == Some(1) && said.contains("is not what the store's lists say"), "{said}");
    assert!(!bed.at("there/gdb_4_x86-64.raw").exists());
}

#[test]
fn places_that_are_none_are_refused() {
    let bed = Bed::make();
    for (target, problem) in [
        ("ftp://x/y", "the scheme 'ftp' is not known"),
        ("s3://", "it names no bucket"),
        ("oci://registry", "it names no repository"),
        ("oci://registry/Upper", "small letters"),
        ("https://me:secret@host/", "a password is given in a header file"),
    ] {
        let (code, said) = bed.onlay(&["publish", "store", target], KEY);
        assert!(code == Some(2) && said.contains(problem), "{code:?} {said}");
    }
    fs::write(bed.at("header"), "nothing").expect("ours");
    let (code, said) = bed.onlay(&["publish", "store", "http://x", "--header-file", "header"], KEY);
    assert!(code == Some(2) && said.contains("is no header"), "{said}");
}

/// A server that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn start(program: &mut Command, log: &Path, port: u16) -> Server {
        let log = fs::File::create(log).expect("ours");
        program.stdin(Stdio::null()).stderr(log.try_clone().expect("ours")).stdout(log);
        let server = Server(program.spawn().expect("it is installed"));
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not answer");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it has one").port()
}

/// What curl gets; none where the server has nothing.
fn curl(url: &str, options: &[&str]) -> Option<Vec<u8>> {
    let output = command("curl").args(["--silent", "--fail", "--location", url]).args(options).output();
    let output = output.expect("curl is installed");
    output.status.success().then_some(output.stdout)
}

#[test]
fn to_a_web_server_that_takes_files() {
    if !has("nginx") || !has("curl") {
        return;
    }
    let bed = Bed::make();
    let (port, top) = (free_port(), bed.place.path().display().to_string());
    fs::create_dir(bed.at("served")).expect("ours");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|kind| format!("{kind}_temp_path {top}/{kind};")).concat();
    let text = format!(
        "user root; daemon off; master_process off; pid {top}/pid; error_log {top}/errors; events {{}}
        http {{ access_log {top}/asked; client_max_body_size 0; {temporary} server {{ listen 127.0.0.1:{port}; root {top}/served;
            location / {{ dav_methods PUT DELETE MKCOL MOVE; if ($http_authorization != \"Bearer x\") {{ return 401; }} }} }} }}"
    );
    fs::write(bed.at("nginx.conf"), text).expect("ours");
    let _server = Server::start(
        command("nginx").arg("-c").arg(bed.at("nginx.conf")).arg("-p").arg(bed.place.path()),
        &bed.at("log"),
        port,
    );
    let url = format!("http://127.0.0.1:{port}/a/b");
    let (code, said) = bed.onlay(&["publish", "store", &url], KEY);
    assert!(code == Some(1) && said.contains("it says 401") && said.contains("--header-file"), "{said}");
    fs::write(bed.at("header"), "Authorization: Bearer x\n").expect("ours");
    let fetch = |file: &str| curl(&format!("{url}/{file}"), &["--header", "Authorization: Bearer x"]);
    bed.story(&[&url, "--header-file", "header"], &fetch);
    let names = fs::read_dir(bed.at("served/a/b")).expect("it is there").count();
    assert_eq!(names, bed.files().len(), "nothing else is there");
    expect_order(&fs::read_to_string(bed.at("asked")).expect("nginx writes it"));
    bed.pages(&[&url, "--header-file", "header"], &fetch);
}

/// Images, lists, what is to go: in that order.
fn expect_order(log: &str) {
    let changes: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split('"').nth(1)?.split(" HTTP").next())
        .filter(|request| ["MOVE", "DELETE"].iter().any(|method| request.starts_with(method)))
        .collect();
    assert_eq!(
        changes[..9],
        [
            "MOVE /a/b/.gdb_1_x86-64.raw.new",
            "MOVE /a/b/.index.json.new",
            "MOVE /a/b/.SHA256SUMS.new",
            "MOVE /a/b/.gdb_2_x86-64.raw.new",
            "MOVE /a/b/.REMOVING.new",
            "MOVE /a/b/.index.json.new",
            "MOVE /a/b/.SHA256SUMS.new",
            "DELETE /a/b/gdb_1_x86-64.raw",
            "DELETE /a/b/REMOVING",
        ]
    );
}

#[test]
fn to_a_registry() {
    if !has("docker-registry") || !has("curl") {
        return;
    }
    let bed = Bed::make();
    let port = free_port();
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
        bed.at("kept").display()
    );
    fs::write(bed.at("registry.yml"), text).expect("ours");
    let _server = Server::start(
        command("docker-registry").arg("serve").arg(bed.at("registry.yml")),
        &bed.at("log"),
        port,
    );
    let base = format!("http://127.0.0.1:{port}/v2/team/store");
    let fetch = |file: &str| {
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
        let manifest = curl(&format!("{base}/manifests/{file}"), &["--header", accept])?;
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        assert_eq!(manifest["layers"][0]["annotations"]["org.opencontainers.image.title"], file);
        curl(&format!("{base}/blobs/{}", manifest["layers"][0]["digest"].as_str()?), &[])
    };
    let target = [&*format!("oci://127.0.0.1:{port}/team/store"), "--plain-http"];
    bed.story(&target, &fetch);
    // Nobody looks at pages there.
    bed.store(&["export", "html", "store", "store"]);
    assert!(bed.store(&[&["publish", "store"], &target[..]].concat()).ends_with("has all of it"));
}

#[test]
fn to_an_object_store() {
    let cache = std::env::var_os("ONLAY_TEST_CACHE").unwrap_or_else(|| "/var/cache/onlay-tests".into());
    let program = Path::new(&cache).join("s3rver/node_modules/.bin/s3rver");
    if !program.exists() {
        return skip("s3rver is not there: scripts/install-test-tools fetches it");
    }
    let bed = Bed::make();
    let port = free_port();
    let mut s3rver = command(&program);
    s3rver
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "--configure-bucket", "shelf", "-d"])
        .arg(bed.at("kept"));
    let _server = Server::start(&mut s3rver, &bed.at("log"), port);
    let endpoint = format!("http://127.0.0.1:{port}");
    let target = ["s3://shelf/a/b", "--endpoint", &endpoint];
    let fetch = |file: &str| curl(&format!("{endpoint}/shelf/a/b/{file}"), &[]);
    bed.story(&target, &fetch);
    bed.pages(&target, &fetch);
    let head = curl(&format!("{endpoint}/shelf/a/b/index.html"), &["--head"]).expect("it is there");
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");

    // What it cannot take is refused before anything else is sent, and before its bytes are read.
    bed.add("5");
    bed.add("6");
    let image = fs::File::options().write(true).open(bed.at("store/gdb_6_x86-64.raw")).expect("ours");
    image.set_len((5 << 30) + 1).expect("it takes no room");
    for how in ["--quiet", "--dry-run"] {
        let (code, said) = bed.onlay(&[&["publish", "store", how], &target[..]].concat(), KEY);
        let told = "onlay: 'gdb_6_x86-64.raw' has 5368709121 bytes, and an object store takes 5368709120 in one request";
        assert!(code == Some(1) && said.starts_with(told), "{said}");
        assert_eq!(fetch("gdb_5_x86-64.raw"), None);
    }
    bed.store(&["remove", "store", "gdb"]);

    // It knows who asks by the key's name, and does not look at signatures of today's kind.
    bed.add("3");
    let arguments = [&["publish", "store"], &target[..]].concat();
    let (code, said) = bed.onlay(&arguments, ("nobody", "x"));
    assert!(code == Some(1) && said.contains("it says 403") && said.contains("AWS_"), "{said}");
    let (code, said) = bed.onlay(&arguments, ("nobody", ""));
    assert!(code == Some(2) && said.contains("AWS_SECRET_ACCESS_KEY are not set"), "{said}");
}
