//! What a program needs is found where the loader finds it, is missing where it misses it, and has the versions that it
//! has: the loader in a chroot is asked of every ELF file of several packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use onlay::extension::libraries::{Libraries, Loaded};
use onlay::extension::{Directory, Layer, Stack};
use onlay::sys::Root;

use super::{copy, copy_packages, files, replace};
use crate::debian::{command, expect_success, tree};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Programs in C and C++, with libraries of their own in private directories and with plugins.
const PACKAGES: &[&str] = &[
    "apt",
    "dpkg",
    "iproute2",
    "libapt-pkg7.0",
    "libsystemd-shared",
    "libunwind8",
    "perl-base",
    "strace",
    "systemd",
];

/// A base without some packages, an extension with them, and one directory with both.
struct Bed {
    place: tempfile::TempDir,
}

impl Bed {
    fn make(tree: &Path) -> Bed {
        let bed = Bed { place: crate::debian::place() };
        let links = ["bin", "lib", "lib64", "sbin"];
        let base = [
            &links[..],
            &["etc/ld.so.cache", "usr/lib64", "usr/lib/x86_64-linux-gnu", "usr/bin/dash", "usr/bin/sh"],
        ]
        .concat();
        copy(tree, &base, &bed.path("base"));
        copy_packages(tree, PACKAGES, &bed.path("extension"));
        for name in files(&bed.path("extension"), "f,l") {
            // What the extension brings, the base lacks.
            let _ = fs::remove_file(bed.path("base").join(name));
        }
        expect_success(command("cp").arg("-a").arg(bed.path("base")).arg(bed.path("both")));
        bed.lay();
        bed
    }

    /// The extension's files over the base's.
    fn lay(&self) {
        expect_success(command("cp").arg("-aT").arg(self.path("extension")).arg(self.path("both")));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn of_loader(&self, file: &Path) -> Listed {
        let mut list = command("chroot");
        // As ldd(1) asks it, of the loader in there alone: with `--list`, what is missing would be the end.
        let script = format!("LD_TRACE_LOADED_OBJECTS=1 exec {LOADER} \"$0\"");
        list.arg(self.path("both")).args(["/bin/sh", "-c", &script]).arg(Path::new("/").join(file));
        let output = list.output().expect("chroot(8) is everywhere");
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
        let mut listed = Listed::default();
        let both = Root::open(self.path("both")).expect("ours");
        for line in text.iter().flat_map(|text| text.lines()) {
            listed.take(line, &both, file);
        }
        listed
    }

    /// That the loader and we say the same of every ELF file of the extension; how many those are, and what is missing.
    fn compare(&self) -> (usize, BTreeSet<String>) {
        let open = |name: &str| Directory::new(Root::open(self.path(name)).expect("ours"));
        let (base, extension) = (open("base"), open("extension"));
        let stack = Stack::new(vec![
            Layer { contents: &extension, hierarchies: Some(&["usr", "opt"]) },
            Layer { contents: &base, hierarchies: None },
        ]);
        let libraries = Libraries::new(&stack);
        let (mut compared, mut missing) = (0, BTreeSet::new());
        for file in files(&self.path("extension"), "f") {
            let Some(loaded) = libraries.load(&file).expect("it can be read") else { continue };
            // Objects and static programs are none of the loader's business.
            if loaded.objects[0].elf.needed.is_empty() {
                continue;
            }
            let ours = Listed::of(&loaded);
            assert_eq!(ours, self.of_loader(&file), "{}", file.display());
            missing.extend(ours.missing);
            missing.extend(ours.versions.into_iter().map(|(version, ..)| version));
            compared += 1;
        }
        (compared, missing)
    }
}

/// What is loaded with a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    /// The names that are looked for, and where they are found, in the loader's order.
    found: Vec<(String, PathBuf)>,
    missing: BTreeSet<String>,
    /// A version, the library that lacks it, and who needs it.
    versions: BTreeSet<(String, PathBuf, PathBuf)>,
}

impl Listed {
    fn of(loaded: &Loaded) -> Listed {
        let absolute = |path: &Path| Path::new("/").join(path);
        let objects = loaded.objects.iter().skip(1);
        Listed {
            found: objects.map(|object| (object.name.clone(), absolute(&object.path))).collect(),
            missing: loaded.missing.iter().map(|missing| missing.name.clone()).collect(),
            versions: loaded
                .missing_versions
                .iter()
                .map(|missing| {
                    (missing.version.clone(), absolute(&missing.path), absolute(&missing.needed_by))
                })
                .collect(),
        }
    }

    /// A line such as "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)", "libx.so.1 => not found", or
    /// "FILE: LIBRARY: version `V' not found (required by FILE)".
    fn take(&mut self, line: &str, root: &Root, asked: &Path) {
        let real = |path: &str| root.resolve(path).unwrap_or_else(|error| panic!("{line}: {error}"));
        if let Some((before, after)) = line.split_once(": version `") {
            let (version, by) = after.split_once("' not found (required by ").expect("the loader's words");
            let library = before.rsplit(": ").next().expect("a library");
            self.versions.insert((version.to_owned(), real(library), real(by.trim_end_matches(')'))));
        } else if let Some((name, path)) = line.trim().split_once(" => ") {
            match path {
                "not found" => drop(self.missing.insert(name.to_owned())),
                path => self.found.push((name.to_owned(), real(path.split(" (").next().expect("a path")))),
            }
        } else {
            let is_known = line.contains("linux-vdso")
                || line.contains("ld-linux")
                || line.contains("no version information");
            assert!(is_known, "{}: {line}", asked.display());
        }
    }
}

#[test]
fn libraries_and_versions_are_those_that_the_loader_finds() {
    let Some(tree) = tree("trixie") else { return };
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let bed = Bed::make(&tree);
    let (compared, first) = bed.compare();
    assert!(compared > 100, "only {compared} files");
    // One of systemd's libraries finds another one only where a program has loaded that before.
    assert!(first.iter().all(|name| name.starts_with("libsystemd-shared-")), "{first:?}");
    // A library that goes, one that is where only ldconfig(8) would find it, and versions that another no longer has.
    for top in ["extension", "both"] {
        let moved = bed.path(top).join("usr/lib/x86_64-linux-gnu/libunwind-ptrace.so.0");
        fs::create_dir_all(bed.path(top).join("usr/local/lib")).expect("ours");
        fs::copy(&moved, bed.path(top).join("usr/local/lib/libunwind-ptrace.so.0")).expect("ours");
        fs::remove_file(moved).expect("ours");
        let gone = bed.path(top).join("usr/lib/x86_64-linux-gnu/libunwind-x86_64.so.8");
        fs::remove_file(gone).expect("ours");
    }
    let library = files(&bed.path("extension"), "f")
        .into_iter()
        .find(|name| name.to_string_lossy().contains("libapt-pkg.so.7"));
    replace(&bed.path("extension").join(library.expect("apt's library")), "APTPKG_7.0", "APTPKG_6.9");
    bed.lay();
    let (again, missing) = bed.compare();
    assert_eq!(again, compared + 1);
    let mut expected = first;
    expected.extend(["APTPKG_7.0", "libunwind-ptrace.so.0", "libunwind-x86_64.so.8"].map(str::to_owned));
    assert_eq!(missing, expected);
    // Without the cache, only the loader's own directories are left.
    for top in ["base", "both"] {
        fs::remove_file(bed.path(top).join("etc/ld.so.cache")).expect("ours");
    }
    assert_eq!(bed.compare(), (again, missing));
}
