//! `onlay ext check`, on a whole Debian as the base.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use onlay::image::ddi::{self, Architecture};

use super::{copy_packages, release, replace};
use crate::debian::{ONLAY, command, expect_success, tree};

const SAME: &str = "ID=debian\nVERSION_ID=13\n";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A base that is only read, and a place for extensions.
struct Bed {
    base: PathBuf,
    place: tempfile::TempDir,
}

/// What the program said.
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Bed {
    fn open() -> Option<Bed> {
        Some(Bed { base: tree("trixie")?, place: crate::debian::place() })
    }

    /// An extension that matches, with these packages of the base.
    fn extension(&self, name: &str, packages: &[&str]) -> PathBuf {
        let path = self.place.path().join(name);
        fs::create_dir_all(&path).expect("our directory");
        if !packages.is_empty() {
            copy_packages(&self.base, packages, &path);
        }
        release(&path, SAME);
        path
    }

    fn check(&self, words: &[&dyn AsRef<std::ffi::OsStr>]) -> Answer {
        check(&self.base, words)
    }
}

fn check(root: &Path, words: &[&dyn AsRef<std::ffi::OsStr>]) -> Answer {
    let mut program = command(ONLAY);
    program.arg("--root").arg(root).args(["ext", "check"]).args(words.iter().map(AsRef::as_ref));
    let output = program.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is UTF-8");
    Answer { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Answer {
    fn lines(&self) -> Vec<&str> {
        self.stdout.lines().map(str::trim).collect()
    }

    fn rows(&self) -> Vec<Value> {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }

    /// State, and the kinds and paths of what was found.
    fn summary(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let mut lines = Vec::new();
        for row in self.rows() {
            lines.push(format!("{} {}", text(&row["name"]), text(&row["state"])));
            for finding in row["findings"].as_array().into_iter().flatten() {
                lines.push(["weight", "kind", "path"].map(|field| text(&finding[field])).join(" "));
            }
        }
        lines
    }
}

fn write(path: &Path, content: &str, mode: u32) {
    fs::create_dir_all(path.parent().expect("it is below")).expect("our directory");
    fs::write(path, content).expect("our file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our file");
}

#[test]
fn what_is_missing_is_told_in_words() {
    let Some(bed) = Bed::open() else { return };
    let strace = bed.extension("strace", &["strace", "libunwind8"]);
    let answer = bed.check(&[&strace]);
    assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{}", answer.stdout);
    assert_eq!(answer.lines(), ["strace: fits; it is for the host's version 13"]);

    let library = bed.extension("library", &["strace"]);
    replace(&library.join("usr/bin/strace"), "libc.so.6", "libc.so.7");
    let version = bed.extension("version", &["strace"]);
    replace(&version.join("usr/bin/strace"), "GLIBC_2.34", "GLIBC_9.34");
    let answer = bed.check(&[&library]);
    assert_eq!(answer.code, Some(1));
    assert_eq!(
        answer.lines(),
        [
            "library: would be merged, but does not fit; it is for the host's version 13",
            "usr/bin/strace needs libc.so.7, which is not found; there is libc.so.6",
            "(remark) usr/bin/strace is in the base, too, with another content",
        ]
    );
    // Of two, the last one in systemd's order is seen.
    let answer = bed.check(&[&library, &version]);
    assert_eq!(answer.code, Some(1));
    let lines = answer.lines();
    for line in [
        "library: fits; it is for the host's version 13",
        "(remark) usr/bin/strace is in extension 'version', too, with another content",
        "version: would be merged, but does not fit; it is for the host's version 13",
        "(remark) usr/bin/strace is in extension 'library', too, with another content",
    ] {
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
    let lacking = lines.iter().find(|line| line.contains("GLIBC_9.34")).expect("it is told");
    assert!(
        lacking.starts_with("usr/bin/strace needs GLIBC_9.34 of libc.so.6; the base has up to GLIBC_2."),
        "{lacking}"
    );
}

#[test]
fn matching_and_fitting_are_told_apart() {
    let Some(bed) = Bed::open() else { return };
    let fitting = bed.extension("fitting", &["strace"]);
    release(&fitting, "ID=debian\nVERSION_ID=12\n");
    let answer = bed.check(&[&fitting]);
    assert_eq!(answer.code, Some(1));
    assert_eq!(
        answer.lines(),
        [
            "fitting: would fit, but is not merged: it says VERSION_ID=12, and the host has 13",
            "systemd 257.13 would merge it with: VERSION_ID=13, or ID=_any, and nothing has to be built anew",
        ]
    );
    let neither = bed.extension("neither", &["strace"]);
    replace(&neither.join("usr/bin/strace"), "libc.so.6", "libc.so.7");
    release(&neither, "ID=other\n");
    let rows = bed.check(&[&neither, &"--json"]).rows();
    let fields = ["state", "matches", "rule", "fits", "change"].map(|field| rows[0][field].to_string());
    assert_eq!(fields, ["\"unmatched-unfit\"", "false", "\"id\"", "false", "\"ID=debian, or ID=_any\""]);
    // By the rules of another version.
    let named = bed.extension("named_1", &["strace"]);
    fs::rename(
        named.join("usr/lib/extension-release.d/extension-release.named_1"),
        named.join("usr/lib/extension-release.d/extension-release.named"),
    )
    .expect("our file");
    assert_eq!(bed.check(&[&named]).code, Some(0));
    let answer = bed.check(&[&named, &"--systemd", &"256"]);
    assert_eq!(answer.code, Some(1));
    assert!(
        answer.stdout.contains(
            "it has no usr/lib/extension-release.d/extension-release.named_1, but extension-release.named\n"
        ),
        "{}",
        answer.stdout
    );
    let answer = bed.check(&[&named, &"--systemd", &"new"]);
    assert_eq!((answer.code, &*answer.stdout), (Some(2), ""));
    assert!(answer.stderr.contains("'new' is no version of systemd"), "{}", answer.stderr);
}

#[test]
fn libraries_are_looked_for_where_the_loader_looks() {
    let Some(bed) = Bed::open() else { return };
    // One of its own, that the base does not have: in the loader's directory, elsewhere, and where RUNPATH leads.
    for (name, directory, code) in
        [("usual", LIBRARIES, 0), ("private", "usr/lib/private", 1), ("local", "usr/local/lib", 1)]
    {
        let extension = bed.extension(name, &["strace"]);
        replace(&extension.join("usr/bin/strace"), "libunwind-ptrace.so.0", "libunwind-other!.so.0");
        let library = extension.join(directory).join("libunwind-other!.so.0");
        fs::create_dir_all(library.parent().expect("it is below")).expect("our directory");
        fs::copy(bed.base.join(LIBRARIES).join("libunwind-ptrace.so.0"), library).expect("our file");
        let answer = bed.check(&[&extension]);
        assert_eq!(answer.code, Some(code), "{name}: {}", answer.stdout);
        let told = format!(
            "usr/bin/strace needs libunwind-other!.so.0, which is not found; it is {directory}/libunwind-other!.so.0, where the loader does not look"
        );
        assert_eq!(answer.lines().contains(&told.as_str()), code == 1, "{name}: {}", answer.stdout);
    }
    // A plugin whose program has loaded before what it names is no problem; one that names what nobody has is.
    let plugin = bed.extension("plugin", &[]);
    let put = |name: &str| {
        let path = plugin.join("usr/lib/program").join(name);
        fs::create_dir_all(path.parent().expect("it is below")).expect("our directory");
        fs::copy(bed.base.join(LIBRARIES).join("libunwind-ptrace.so.0"), &path).expect("our file");
        path
    };
    replace(&put("plugin.so"), "libunwind-x86_64.so.8", "libprivate-x86_6.so.8");
    put("libprivate-x86_6.so.8");
    let answer = bed.check(&[&plugin, &"--json"]);
    assert_eq!(answer.summary(), ["plugin fits", "remark missing-library usr/lib/program/plugin.so"]);
    fs::remove_file(plugin.join("usr/lib/program/libprivate-x86_6.so.8")).expect("our file");
    let answer = bed.check(&[&plugin, &"--json"]);
    assert_eq!(answer.summary(), ["plugin unfit", "problem missing-library usr/lib/program/plugin.so"]);
}

#[test]
fn what_an_extension_may_not_have_is_told() {
    let Some(bed) = Bed::open() else { return };
    let extension = bed.extension("rules", &[]);
    let put = |name: &str, content: &str, mode| write(&extension.join(name), content, mode);
    put("etc/setting", "x", 0o644);
    put("lib/x86_64-linux-gnu/libx.so.1", "x", 0o644);
    fs::create_dir_all(extension.join("var/empty/of/files")).expect("our directory");
    put("usr/lib/sysimage/rpm/rpmdb.sqlite", "x", 0o644);
    put("usr/lib64/x", "x", 0o644);
    put("usr/bin/apt/x", "x", 0o644);
    put("usr/share/doc", "x", 0o644);
    put("usr/bin/apt-get", "x", 0o755);
    put("usr/bin/su-x", "x", 0o4755);
    put("usr/bin/script-x", "#!/usr/bin/nothing\n", 0o755);
    put("usr/bin/by-env", "#!/usr/bin/env nothing-either\n", 0o755);
    put("usr/bin/sound", "#!/bin/sh\n", 0o755);
    put("usr/share/example", "#!/usr/bin/nothing\n", 0o755);
    put("usr/bin/damaged", "\x7fELF\x02\x01\x01 and no more", 0o755);
    put("usr/lib/nobody-runs", "#!/usr/bin/nothing\n", 0o644);
    symlink("/etc/passwd", extension.join("usr/bin/out")).expect("our link");
    // What is the same as in the base is no collision.
    let same = fs::read(bed.base.join("usr/bin/apt-cache")).expect("a file");
    fs::write(extension.join("usr/bin/apt-cache"), same).expect("our file");
    let answer = bed.check(&[&extension, &"--json"]);
    assert_eq!(answer.code, Some(1));
    assert_eq!(
        answer.summary(),
        [
            "rules unfit",
            "problem not-merged lib",
            "problem hides usr/bin/apt",
            "problem missing-runner usr/bin/by-env",
            "problem unreadable-elf usr/bin/damaged",
            "problem missing-runner usr/bin/script-x",
            "problem package-database usr/lib/sysimage/rpm",
            "problem hides usr/share/doc",
            "remark not-merged etc",
            "remark replaces usr/bin/apt-get",
            "remark privileged usr/bin/su-x",
            "remark missing-runner usr/share/example",
        ]
    );
}

#[test]
fn all_that_a_host_has_are_judged_together() {
    let Some(bed) = Bed::open() else { return };
    // A host with extensions of its own: what the tree has, by links, and places for them.
    let host = bed.place.path().join("host");
    for name in ["usr/lib", "usr/bin", "usr/lib64", "etc", "var/lib/extensions", "etc/extensions/masked"] {
        fs::create_dir_all(host.join(name)).expect("our directory");
    }
    super::copy(
        &bed.base,
        &[
            "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "usr/lib/x86_64-linux-gnu/libc.so.6",
            "usr/lib64/ld-linux-x86-64.so.2",
            "lib64",
            "lib",
            "bin",
            "usr/bin/dash",
            "usr/bin/sh",
            "usr/bin/perl",
            "usr/lib/os-release",
        ],
        &host,
    );
    let empty = check(&host, &[]);
    assert_eq!(
        (empty.code, &*empty.stdout),
        (Some(0), "masked: /etc/extensions/masked is empty, and masks others of the name\n")
    );
    // A program in one, its libraries in another one.
    let program = bed.extension("host/var/lib/extensions/program", &["strace"]);
    let answer = check(&host, &[]);
    assert_eq!(answer.code, Some(1));
    assert!(
        answer.stdout.contains("usr/bin/strace needs libunwind-ptrace.so.0, which is not found"),
        "{}",
        answer.stdout
    );
    let libraries = bed.extension("host/var/lib/extensions/libraries", &["libunwind8", "liblzma5"]);
    let answer = check(&host, &[&"--json"]);
    assert_eq!(answer.summary(), ["libraries fits", "program fits", "masked mask"], "{}", answer.stdout);
    // Those that are not merged are no help.
    release(&libraries, "ID=debian\nVERSION_ID=12\n");
    let answer = check(&host, &[&program]);
    assert_eq!(answer.code, Some(1), "{}", answer.stdout);
    assert!(answer.stdout.contains("needs libunwind-ptrace.so.0, which is not found"), "{}", answer.stdout);
    // What cannot be read keeps systemd from merging anything.
    release(&libraries, SAME);
    let image = host.join("var/lib/extensions/image.raw");
    fs::write(&image, "x").expect("our file");
    let answer = check(&host, &[]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stdout.contains("image: cannot be looked into: "), "{}", answer.stdout);
    let answer = check(&host, &[&image]);
    assert_eq!((answer.code, &*answer.stdout), (Some(1), ""));
    assert!(answer.stderr.contains("is no image that is known here"), "{}", answer.stderr);
    fs::remove_file(&image).expect("ours");
    let twice = bed.extension("program", &["strace"]);
    let answer = check(&host, &[&program, &twice]);
    assert!(answer.code == Some(1) && answer.stderr.contains("have the same name"), "{}", answer.stderr);
}

#[test]
fn an_image_is_judged_as_the_directory_is_that_it_was_made_from() {
    let Some(bed) = Bed::open() else { return };
    let directory = bed.extension("tracer", &["strace"]);
    write(&directory.join("usr/bin/lost"), "#!/usr/bin/nothere\n", 0o755);
    let of_directory = bed.check(&[&directory, &"--json"]);
    assert_eq!(of_directory.code, Some(1));
    let (squashfs, disk) =
        (bed.place.path().join("plain/tracer.raw"), bed.place.path().join("disk/tracer.raw"));
    fs::create_dir(bed.place.path().join("plain")).expect("our directory");
    fs::create_dir(bed.place.path().join("disk")).expect("our directory");
    expect_success(command("mksquashfs").args([&directory, &squashfs]).args(["-comp", "zstd", "-quiet"]));
    let payload = fs::File::open(&squashfs).expect("it was made");
    let request = ddi::Request {
        payload: ddi::Payload::File(&payload, &squashfs),
        architecture: Architecture::native().expect("systemd knows it"),
        designator: ddi::Designator::Root,
        protection: ddi::Protection::Verity,
    };
    let mut options = fs::File::options();
    let file = options.read(true).write(true).create_new(true).open(&disk).expect("our file");
    ddi::write(&request, &file, &disk).expect("it is written");
    for image in [&squashfs, &disk] {
        let of_image = bed.check(&[image, &"--json"]);
        assert_eq!(of_image.code, Some(1));
        assert_eq!(of_image.summary(), of_directory.summary(), "{}", of_image.stderr);
    }
}
