//! `onlay build`: packages that dpkg-deb and others made, in images that unsquashfs and systemd-dissect read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::debian::{ONLAY, command, expect_success, place, tree, words};
use crate::tree::expect_words;

mod metadata;

/// A base, and a place to build in.
struct Bed {
    base: PathBuf,
    place: tempfile::TempDir,
}

impl Bed {
    /// A base with as much as a judge of fit looks at.
    fn make() -> Bed {
        let place = place();
        let base = place.path().join("base");
        for directory in ["usr/bin", "usr/lib", "usr/local", "etc", "var/lib/dpkg"] {
            fs::create_dir_all(base.join(directory)).expect("ours");
        }
        for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("usr/sbin", "bin")] {
            symlink(target, base.join(link)).expect("ours");
        }
        let put = |name: &str, text: &str| fs::write(base.join(name), text).expect("ours");
        put("usr/lib/os-release", "ID=lab\nVERSION_ID=1\n");
        put("etc/passwd", "root:x:0:0::/root:/bin/sh\nlab:x:971:972::/:/bin/sh\n");
        put("etc/group", "root:x:0:\nlab:x:972:\n");
        put("usr/bin/sh", "#!/usr/bin/sh\n");
        fs::set_permissions(base.join("usr/bin/sh"), fs::Permissions::from_mode(0o755)).expect("ours");
        Bed { base, place }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn build(&self, arguments: &[&str]) -> Output {
        let mut onlay = command(ONLAY);
        onlay.arg("--root").arg(&self.base).arg("--state").arg(self.at("state")).arg("build").args(arguments);
        onlay.current_dir(self.place.path()).output().expect("it was built")
    }

    /// A Debian package of all that a function puts into a directory.
    fn deb(&self, name: &str, fill: impl FnOnce(&Path)) -> String {
        let source = self.at(&format!("source-{name}"));
        fs::create_dir_all(source.join("DEBIAN")).expect("ours");
        fill(&source);
        let control = format!(
            "Package: {name}\nVersion: 1:2.0~rc1-3\nArchitecture: all\nMaintainer: lab <lab@example.org>\nDescription: lab\n"
        );
        fs::write(source.join("DEBIAN/control"), control).expect("ours");
        let package = self.at(&format!("{name}.deb"));
        expect_success(command("dpkg-deb").args(["--build", "-Zxz"]).arg(&source).arg(&package));
        format!("./{name}.deb")
    }

    /// What unsquashfs makes of an image.
    fn unpacked(&self, image: &str, to: &str) -> PathBuf {
        let to = self.at(to);
        expect_success(
            command("unsquashfs").args(["-quiet", "-no-progress", "-dest"]).arg(&to).arg(self.at(image)),
        );
        to
    }

    fn images(&self) -> Vec<String> {
        let names =
            fs::read_dir(self.place.path()).expect("ours").map(|entry| entry.expect("ours").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| name.contains(".raw"));
        names.sort();
        names
    }
}

fn write(top: &Path, name: &str, text: &str) {
    let path = top.join(name);
    fs::create_dir_all(path.parent().expect("below")).expect("ours");
    fs::write(path, text).expect("ours");
}

/// Every file below a directory: kind, mode, owner, number of names, size, time, path and target, and the digest of contents.
fn listing(top: &Path, below: &str) -> String {
    let format = "%y %m %U:%G %n %s %T@ %P %l\\n";
    let find = format!(
        "cd '{}' && find {below} -type d -printf '%y %m %U:%G %P\\n' -o -printf '{format}' | LC_ALL=C sort && \
         find {below} -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum && getfattr -R -d -m - {below}",
        top.display()
    );
    String::from_utf8_lossy(&expect_success(command("sh").args(["-c", &find])).stdout).into_owned()
}

#[test]
fn an_image_has_what_dpkg_unpacks() {
    let bed = Bed::make();
    let package = bed.deb("probe", |top| {
        write(top, "usr/bin/probe", "#!/usr/bin/sh\necho probe\n");
        fs::set_permissions(top.join("usr/bin/probe"), fs::Permissions::from_mode(0o4755)).expect("ours");
        fs::hard_link(top.join("usr/bin/probe"), top.join("usr/bin/other-name")).expect("ours");
        symlink("probe", top.join("usr/bin/link")).expect("ours");
        write(top, "usr/share/probe/na\u{e4}me", &"text ".repeat(100_000));
        write(top, "usr/share/probe/empty", "");
        write(top, "opt/probe/data", "data\n");
        fs::create_dir(top.join("usr/share/probe/empty.d")).expect("ours");
        expect_success(command("chown").args(["-R", "971:972"]).arg(top.join("opt/probe")));
    });
    expect_words(&bed.build(&["probe", "--package", &package]));
    assert_eq!(bed.images(), ["probe_2.0~rc1-3_any.raw", "probe_2.0~rc1-3_any.raw.json"]);
    let size = || fs::metadata(bed.at("probe_2.0~rc1-3_any.raw")).expect("it is there").len();
    let once = size();
    expect_words(&bed.build(&["probe", "--package", &package, "--package", &package]));
    assert_eq!(size(), once, "a package that is named twice is in it once");

    let ours = bed.unpacked("probe_2.0~rc1-3_any.raw", "ours");
    let theirs = bed.at("theirs");
    expect_success(command("dpkg-deb").arg("--extract").arg(bed.at("probe.deb")).arg(&theirs));
    for generated in ["usr/lib", "usr/share/onlay"] {
        fs::remove_dir_all(ours.join(generated)).expect("we made it");
    }
    assert_eq!(listing(&ours, "usr opt"), listing(&theirs, "usr opt"));
}

#[test]
fn what_no_extension_can_have_is_placed_elsewhere_or_left_out() {
    let bed = Bed::make();
    let package = bed.deb("probe", |top| {
        write(top, "bin/probe", "#!/usr/bin/sh\n");
        write(top, "usr/sbin/probed", "#!/usr/bin/sh\n");
        write(top, "etc/probe/probe.conf", "configured\n");
        symlink("probe.conf", top.join("etc/probe/link.conf")).expect("ours");
        fs::create_dir_all(top.join("var/lib/probe")).expect("ours");
        write(top, "var/lib/dpkg/info/probe.list", "hides the base's\n");
        write(top, "boot/probe", "out of reach\n");
        write(top, "usr/share/doc/probe/changelog", "dropped\n");
        write(top, "usr/share/doc/probe/copyright", "kept\n");
    });
    let output = bed.build(&[
        "probe",
        "-p",
        &package,
        "--drop",
        "usr/share/doc",
        "--keep",
        "**/copyright",
        "--reload",
    ]);
    let said = expect_words(&output);
    for line in [
        "left out 1 file: package managers' own data",
        "left out 1 file: places that an extension cannot reach",
        "left out 1 file: what was to be dropped",
        "2 files of /etc and /var go there at boot",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let top = bed.unpacked("probe_2.0~rc1-3_any.raw", "top");
    let read =
        |name: &str| fs::read_to_string(top.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    // Where the base has its directories: a directory over a link of the base would hide what is behind.
    assert!(top.join("usr/bin/probe").exists() && top.join("usr/bin/probed").exists());
    for absent in ["bin", "usr/sbin", "boot", "var", "etc", "usr/share/doc/probe/changelog"] {
        assert!(top.join(absent).symlink_metadata().is_err(), "{absent}");
    }
    assert_eq!(read("usr/share/factory/etc/probe/probe.conf"), "configured\n");
    assert_eq!(read("usr/share/doc/probe/copyright"), "kept\n");
    assert_eq!(
        read("usr/lib/tmpfiles.d/zzz-onlay-probe.conf"),
        "d /etc/probe 0755 0 0 -\nL /etc/probe/link.conf - - - - probe.conf\nC /etc/probe/probe.conf\n\
         d /var/lib/probe 0755 0 0 -\n"
    );
    assert_eq!(
        read("usr/lib/extension-release.d/extension-release.probe"),
        "ID=lab\nVERSION_ID=1\nEXTENSION_RELOAD_MANAGER=1\n"
    );
    let inside: serde_json::Value =
        serde_json::from_str(&read("usr/share/onlay/extensions/probe.json")).expect("JSON");
    assert_eq!(inside["packages"][0]["version"], "1:2.0~rc1-3");
    assert_eq!(inside["base"]["id"], "lab");
    assert!(inside.get("image").is_none());
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let bed = Bed::make();
    let one = bed.deb("one", |top| {
        for number in 0..50 {
            write(top, &format!("usr/share/one/{number}"), &format!("{number} ").repeat(number * 500));
        }
    });
    let two = bed.deb("two", |top| write(top, "usr/share/two/large", &"0123456789".repeat(200_000)));
    let mut digests = Vec::new();
    for (name, processors) in [("first", "0-127"), ("second", "0")] {
        fs::create_dir(bed.at(name)).expect("ours");
        let mut onlay = command("taskset");
        onlay.args(["--cpu-list", processors, ONLAY, "--root"]).arg(&bed.base);
        onlay.args(["build", "both", "--version", "1", "-o", name, "-p", &one, "-p", &two]);
        expect_success(onlay.current_dir(bed.place.path()));
        digests.push(fs::read(bed.at(name).join("both_1_any.raw")).expect("it was made"));
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    assert!(digests[0] == digests[1], "the images differ");
}

/// What `onlay inspect --files --json` says of an image.
fn inspected(bed: &Bed, image: &str) -> serde_json::Value {
    let mut onlay = command(ONLAY);
    onlay.arg("inspect").arg(bed.at(image)).args(["--files", "--json"]);
    serde_json::from_slice(&expect_success(&mut onlay).stdout).expect("it is JSON")
}

#[test]
fn every_format_holds_the_same() {
    let bed = Bed::make();
    let package = bed.deb("probe", |top| {
        write(top, "usr/bin/probe", "#!/usr/bin/sh\necho probe\n");
        fs::set_permissions(top.join("usr/bin/probe"), fs::Permissions::from_mode(0o4755)).expect("ours");
        fs::hard_link(top.join("usr/bin/probe"), top.join("usr/bin/other-name")).expect("ours");
        write(top, "usr/share/probe/large", &"text ".repeat(100_000));
        symlink("large", top.join("usr/share/probe/link")).expect("ours");
    });
    let mut expected = None;
    for (format, told) in
        [("squashfs", "squashfs"), ("erofs", "erofs"), ("ddi", "ddi, squashfs"), ("ddi-erofs", "ddi, erofs")]
    {
        let output = bed.build(&["probe", "-p", &package, "-o", ".", "--format", format, "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        assert_eq!(report[0]["manifest"]["made_with"]["format"], told, "{}", words(&output));
        let image = "probe_2.0~rc1-3_any.raw";
        let mut files = inspected(&bed, image)["files"].clone();
        // The manifest in it says the format.
        files
            .as_array_mut()
            .expect("a list")
            .retain(|row| row["path"] != "usr/share/onlay/extensions/probe.json");
        assert_eq!(*expected.get_or_insert(files.clone()), files, "{format}");
        let mut check = command(ONLAY);
        check.arg("--root").arg(&bed.base).args(["ext", "check"]).arg(bed.at(image));
        assert!(words(&expect_success(&mut check)).contains(": fits; "));
        if format == "ddi-erofs" {
            let dissected = expect_success(command("systemd-dissect").arg(bed.at(image)));
            assert!(words(&dissected).contains("extension for system"), "{}", words(&dissected));
        }
    }
    for (arguments, said) in [
        (&["--format", "erofs", "--compression", "xz"][..], "that takes lz4, zstd or none"),
        (&["--format", "erofs", "--key", "k", "--certificate", "c"], "--format ddi or ddi-erofs"),
    ] {
        let output = bed.build(&[&["probe", "-p", &package], arguments].concat());
        assert!(!output.status.success() && words(&output).contains(said), "{}", words(&output));
    }
    fs::create_dir_all(bed.base.join("usr/lib/modules/6.1.0-50-amd64")).expect("ours");
    let output = bed.build(&["probe", "-p", &package, "--format", "erofs"]);
    assert!(words(&output).contains("takes Linux 6.10, and the base has 6.1"), "{}", words(&output));
    expect_words(&bed.build(&["probe", "-p", &package, "--format", "erofs", "--compression", "lz4"]));
}

/// Over a file that stands for a base, the same comes out as over the base.
#[test]
fn a_base_need_not_be_at_hand() {
    let Some(trixie) = tree("trixie") else { return };
    let mut bed = Bed::make();
    bed.base = trixie;
    let program = |missing: bool| {
        move |top: &Path| {
            fs::create_dir_all(top.join("usr/bin")).expect("ours");
            write(top, "lib/x86_64-linux-gnu/probe/data", "placed where the base has it\n");
            write(top, "etc/cron.d/probe", "# a default\n");
            let source = top.join("DEBIAN/x.c");
            fs::write(&source, "#include <math.h>\nint main(int n, char **a) { return (int)cos(n); }")
                .expect("ours");
            expect_success(command("gcc").arg(&source).arg("-o").arg(top.join("usr/bin/probe")).arg("-lm"));
            fs::remove_file(&source).expect("ours");
            if missing {
                write(top, "usr/bin/script", "#!/usr/bin/no-such-interpreter\n");
                let script = top.join("usr/bin/script");
                fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("ours");
            }
        }
    };
    let (good, bad) = (bed.deb("good", program(false)), bed.deb("bad", program(true)));
    let mut onlay = command(ONLAY);
    onlay.arg("--root").arg(&bed.base).args(["ext", "base"]).arg(bed.at("base.img"));
    expect_success(&mut onlay);
    let who = ["--reuid=65534", "--regid=65534", "--clear-groups", ONLAY, "ext", "base", "/tmp/nobodys.img"];
    let nobody = command("setpriv").args(who).output().expect("it was run");
    let said = words(&nobody);
    assert!(said.contains("onlay: only root may do that\nhint: try again with sudo"), "{said}");
    let size = fs::metadata(bed.at("base.img")).expect("it was made").len();
    assert!(size < 4 << 20, "{size}");
    expect_words(&bed.build(&["probe", "-p", &good]));
    let image = fs::read(bed.at("probe_2.0~rc1-3_any.raw")).expect("it was made");
    let elsewhere = |arguments: &[&str]| {
        let mut onlay = command(ONLAY);
        onlay.args(["--root", "/nonexistent", "build", "probe", "--base", "base.img"]).args(arguments);
        onlay.current_dir(bed.place.path()).output().expect("it was run")
    };
    expect_words(&elsewhere(&["-p", &good]));
    assert!(fs::read(bed.at("probe_2.0~rc1-3_any.raw")).expect("it was made") == image, "the images differ");
    for (package, said) in [
        (&bad[..], "usr/bin/script is a script for /usr/bin/no-such-interpreter"),
        ("strace", "whose package manager needs the base itself"),
    ] {
        let (here, there) = (bed.build(&["probe", "-p", &bad]), elsewhere(&["-p", package]));
        assert!(!there.status.success(), "{}", words(&there));
        if package == "strace" {
            assert!(words(&there).contains(said), "{}", words(&there));
        } else {
            assert_eq!(words(&there), words(&here));
        }
    }
    fs::write(bed.at("base.img"), "no base").expect("ours");
    assert!(words(&elsewhere(&["-p", &good])).contains("base.img"));
}

#[test]
fn what_does_not_fit_or_makes_no_sense_leaves_no_image() {
    let bed = Bed::make();
    let script = |text: &'static str| move |top: &Path| write(top, "usr/share/x/file", text);
    let one = bed.deb("one", script("one"));
    let two = bed.deb("two", script("two"));
    let device = bed.deb("device", |top| {
        fs::create_dir_all(top.join("usr/lib/x")).expect("ours");
        expect_success(command("mknod").arg(top.join("usr/lib/x/null")).args(["c", "1", "3"]));
    });
    let nothing = bed.deb("nothing", |top| write(top, "boot/x", "x"));
    let broken = "./broken.deb";
    let whole = fs::read(bed.at("one.deb")).expect("it was made");
    fs::write(bed.at("broken.deb"), &whole[..whole.len() - 100]).expect("ours");
    for (packages, said) in [
        (
            vec![&one[..], &two],
            "'usr/share/x/file' is in './one.deb' and in './two.deb', and they are not the same",
        ),
        (vec![&device], "is a device node"),
        (vec![&nothing], "there is nothing to put into 'x'"),
        (vec![broken], "broken.deb"),
        (vec!["./missing.deb"], "missing.deb"),
        (vec!["hello"], "there is no apt, dnf or zypper"),
        (vec!["one.deb"], "the file is ./one.deb"),
        (vec!["mawk-"], "is no name of a package"),
    ] {
        let mut arguments = vec!["x"];
        arguments.extend(packages.iter().flat_map(|package| ["-p", package]));
        let output = bed.build(&arguments);
        assert!(!output.status.success() && words(&output).contains(said), "{said}: {}", words(&output));
        assert_eq!(bed.images(), [""; 0], "{said}");
    }
    let output = bed.build(&["x", "-p", &one, "-p", &two, "--drop", "usr/share/x/file"]);
    assert!(words(&output).contains("nothing to put into"), "{}", words(&output));
}

#[test]
fn programs_that_the_base_cannot_run_are_not_built_unless_that_is_wanted() {
    let Some(trixie) = tree("trixie") else { return };
    let mut bed = Bed::make();
    bed.base = trixie;
    let program = |lib: bool| {
        move |top: &Path| {
            let (library, main) = (top.join("usr/lib/libprobe.so.3"), top.join("usr/bin/probe"));
            fs::create_dir_all(top.join("usr/bin")).expect("ours");
            fs::create_dir_all(top.join("usr/lib")).expect("ours");
            let source = top.join("DEBIAN/x.c");
            let gcc = |text: &str, arguments: &[&str], to: &Path| {
                fs::write(&source, text).expect("ours");
                expect_success(command("gcc").arg(&source).args(arguments).arg("-o").arg(to));
            };
            gcc(
                "int probe(void) { return 3; }",
                &["-shared", "-fPIC", "-Wl,-soname,libprobe.so.3"],
                &library,
            );
            let library_word = library.to_str().expect("ours").to_owned();
            gcc("int probe(void); int main(void) { return probe(); }", &[&library_word], &main);
            fs::remove_file(&source).expect("ours");
            if !lib {
                fs::remove_file(&library).expect("ours");
            }
        }
    };
    let (whole, partial) = (bed.deb("whole", program(true)), bed.deb("partial", program(false)));
    let output = bed.build(&["probe", "-p", &partial]);
    assert!(!output.status.success());
    assert!(
        words(&output).contains("usr/bin/probe needs libprobe.so.3, which is not found"),
        "{}",
        words(&output)
    );
    let hint = "hint: with 'onlay build', '-p PACKAGE' puts in the package that has what is missing";
    assert!(words(&output).contains(hint), "{}", words(&output));
    assert_eq!(bed.images(), [""; 0]);
    expect_words(&bed.build(&["probe", "-p", &partial, "--unfit"]));
    // A directory with programs is for the base's processor.
    let source = bed.at("source-whole");
    let source = source.to_str().expect("ours");
    expect_words(&bed.build(&["tree", "--tree", source, "--version", "1", "--drop", "DEBIAN"]));
    let word = onlay::host::Host::architecture();
    assert!(bed.at(&format!("tree_1_{word}.raw")).exists(), "{:?}", bed.images());
    let said = expect_words(&bed.build(&["probe", "-p", &whole, "--json"]));
    assert!(said.contains("\"libprobe.so.3\": []") && said.contains("\"libc.so.6\""), "{said}");
    let dissected = expect_success(command("systemd-dissect").arg(bed.at("probe_2.0~rc1-3_any.raw")));
    assert!(words(&dissected).contains("extension for system"), "{}", words(&dissected));
}

#[test]
fn zypper_says_what_the_base_lacks() {
    let Some(tree) = tree("rpm-sqlite") else { return };
    let mut bed = Bed::make();
    bed.base = tree;
    let said = expect_words(&bed.build(&["rich", "-p", "lab-rich"]));
    assert!(said.contains("rich_3.0-1_any.raw"), "{said}");
    let manifest = fs::read_to_string(bed.at("rich_3.0-1_any.raw.json")).expect("it was made");
    assert!(manifest.contains("\"lab-daemon\"") && manifest.contains("\"lab-rich\""), "{manifest}");
    // Whom a package's own sysusers.d makes, that has its data.
    let top = bed.unpacked("rich_3.0-1_any.raw", "top");
    let lines = fs::read_to_string(top.join("usr/lib/tmpfiles.d/zzz-onlay-rich.conf")).expect("it is there");
    assert!(lines.contains("d /var/lib/lab-daemon 0700 lab-daemon lab-daemon -\n"), "{lines}");
    assert!(
        !bed.at("state/packages").read_dir().expect("it was made").any(|_| true),
        "what was downloaded is there"
    );
    for (package, said) in [
        ("lab-nothere", "zypper cannot do that: No provider of 'lab-nothere' found."),
        ("--x", "unexpected argument"),
        ("lab-leaf", "the base has other versions of what would go into 'x': lab-leaf 1.0-1 by 3.0-1"),
    ] {
        let output = bed.build(&["x", "-p", package]);
        assert!(!output.status.success() && words(&output).contains(said), "{said}: {}", words(&output));
    }
}

#[test]
fn recipes_are_built_one_after_the_other() {
    let bed = Bed::make();
    bed.deb("one", |top| write(top, "usr/share/one/x", "x"));
    write(bed.place.path(), "recipes/tree/usr/share/two/y", "y");
    write(
        bed.place.path(),
        "recipes/first.toml",
        "packages = ['../one.deb']\nversion = '7'\nmatch = 'any'\n",
    );
    write(bed.place.path(), "recipes/second.toml", "trees = ['tree']\nversion = '8'\n");
    write(bed.place.path(), "recipes/.hidden.toml", "nonsense");
    expect_words(&bed.build(&["recipes/"]));
    assert_eq!(
        bed.images(),
        ["first_7_any.raw", "first_7_any.raw.json", "second_8_any.raw", "second_8_any.raw.json"]
    );
    let top = bed.unpacked("first_7_any.raw", "first");
    let release = top.join("usr/lib/extension-release.d/extension-release.first");
    assert_eq!(fs::read_to_string(release).expect("it is there"), "ID=_any\n");
    // One image for each base, and each in a directory of its own, since they have one name.
    write(bed.place.path(), "both.toml", "packages = ['./one.deb']\nbases = ['base', 'other']\n");
    write(bed.place.path(), "other/etc/os-release", "ID=lab\nVERSION_ID=2\n");
    expect_words(&bed.build(&["both.toml", "-o", "out"]));
    for (base, version) in [("lab-1", "VERSION_ID=1"), ("lab-2", "VERSION_ID=2")] {
        let top = bed.unpacked(&format!("out/{base}/both_2.0~rc1-3_any.raw"), base);
        let release = top.join("usr/lib/extension-release.d/extension-release.both");
        assert!(fs::read_to_string(release).expect("it is there").contains(version));
    }
    write(bed.place.path(), "bad.toml", "packges = []\n");
    let output = bed.build(&["./bad.toml"]);
    assert!(words(&output).contains("packges"), "{}", words(&output));
}

/// One that fails keeps nobody from the others, which come out as one after the other.
#[test]
fn recipes_are_built_side_by_side() {
    let bed = Bed::make();
    for number in 0..4 {
        let package = bed.deb(&format!("p{number}"), |top| {
            write(top, &format!("usr/share/p{number}/x"), &format!("{number} ").repeat(100_000));
        });
        let recipe = format!("packages = ['.{package}']\nversion = '1'\n");
        write(bed.place.path(), &format!("recipes/r{number}.toml"), &recipe);
    }
    write(bed.place.path(), "recipes/broken.toml", "packages = ['../missing.deb']\n");
    let mut made = Vec::new();
    for jobs in ["1", "4"] {
        let output = bed.build(&["recipes/", "--jobs", jobs]);
        let said = words(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("onlay: 'broken' is not built:\nonlay: cannot open"), "{said}");
        assert_eq!(said.matches("1 file of 1 package").count(), 4, "{said}");
        made.push(
            (0..4).map(|n| fs::read(bed.at(&format!("r{n}_1_any.raw"))).expect("made")).collect::<Vec<_>>(),
        );
    }
    assert!(made[0] == made[1], "they differ");
    let output = bed.build(&["recipes/", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let broken = report.as_array().expect("a list").iter().find(|row| row["name"] == "broken");
    assert!(broken.expect("it is told")["error"].as_str().expect("words").contains("missing.deb"));
    write(bed.place.path(), "recipes/again.toml", "name = 'r1'\npackages = ['../p2.deb']\n");
    assert!(words(&bed.build(&["recipes/"])).contains("two images for one base have the name 'r1'"));
}

#[test]
fn what_is_not_as_a_person_would_think_is_told() {
    let bed = Bed::make();
    let package = bed.deb("probe", |top| {
        write(top, "usr/share/doc/probe/one", "one\n");
        write(top, "usr/share/doc/probe/two", "two\n");
        write(top, "usr/share/probe/data", "data\n");
        write(top, "boot/probe", "out of reach\n");
    });
    let drop = ["--drop", "usr/share/doc/probe/*", "--drop", "usr/share/nothing/**"];
    let said = expect_words(&bed.build(&[&["probe", "-p", &package], &drop[..]].concat()));
    assert!(said.contains("there is nothing to drop that 'usr/share/nothing/**' matches"), "{said}");
    assert!(!said.contains("that 'usr/share/doc"), "{said}");
    let top = bed.unpacked("probe_2.0~rc1-3_any.raw", "top");
    assert!(!top.join("usr/share/doc").exists() && top.join("usr/share/probe/data").exists());
    let output = bed.build(&[&["probe", "-p", &package, "--json"], &drop[..]].concat());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let left_out = &report[0]["manifest"]["left_out"];
    assert_eq!(left_out["out-of-reach"], serde_json::json!({ "count": 1, "paths": ["boot/probe"] }));
    assert_eq!(left_out["dropped"]["count"], 2, "{left_out}");
    assert_eq!(report[0]["findings"], serde_json::json!([]));
    let output = bed.build(&["probe", "-p", &package, "--json", "--dry-run"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let fields: Vec<&String> = report[0].as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["name", "packages", "version"]);
    assert_eq!(report[0]["version"], "2.0~rc1-3");
    let said = expect_words(&bed.build(&["probe", "-p", &package, "--dry-run"]));
    assert!(said.starts_with("would build 'probe' 2.0~rc1-3 from\n  probe 1:2.0~rc1-3\n"), "{said}");

    let status = "Package: probe\nStatus: install ok installed\nArchitecture: all\nVersion: 1:3.0-1\n";
    write(&bed.base, "var/lib/dpkg/status", &format!("{status}Maintainer: lab\nDescription: lab\n"));
    let said = expect_words(&bed.build(&["probe", "-p", &package, "--replace"]));
    assert!(said.contains("probe 1:3.0-1 by 1:2.0~rc1-3, which is older"), "{said}");
    fs::create_dir(bed.at("r")).expect("ours");
    assert!(words(&bed.build(&["r"])).contains("the recipes in the directory are 'r/'"));
    assert!(words(&bed.build(&["x", "-p", "a", "b"])).contains("hint: each package comes after an option"));
}

/// An image says what it was built as, and that it is not that any more.
#[test]
fn what_was_built_is_known_again() {
    let bed = Bed::make();
    let package = bed.deb("probe", |top| {
        write(top, "usr/share/probe/data", &"data ".repeat(10_000));
        fs::hard_link(top.join("usr/share/probe/data"), top.join("usr/share/probe/a name before it"))
            .expect("ours");
        write(top, "etc/probe.conf", "a default\n");
    });
    let image = bed.at("probe_2.0~rc1-3_any.raw");
    let inspect = || command(ONLAY).arg("inspect").arg(&image).output().expect("it was run");
    for format in ["squashfs", "erofs", "ddi"] {
        expect_words(&bed.build(&["probe", "-p", &package, "--format", format, "--compression", "none"]));
        let told = inspect();
        let said = words(&told);
        assert!(told.status.success(), "{said}");
        assert!(said.contains("files        as the manifest in the image says"), "{said}");
        assert!(said.contains("image        as the manifest beside it says"), "{said}");
        let mut bytes = fs::read(&image).expect("it was made");
        let at = bytes.windows(10).position(|some| some == b"data data ").expect("it is there");
        bytes[at] = b'D';
        fs::write(&image, bytes).expect("ours");
        let told = inspect();
        let said = words(&told);
        assert_eq!(told.status.code(), Some(1), "{said}");
        for line in
            ["files        NOT as the manifest in the image", "image        NOT as the manifest beside it"]
        {
            assert_eq!(said.matches(line).count(), 1, "{said}");
        }
        assert_eq!(said.matches("NOT as it was made").count(), usize::from(format == "ddi"), "{said}");
        // A disk image that was changed is not judged; another one beside it is.
        write(bed.place.path(), "good/usr/lib/extension-release.d/extension-release.good", "ID=_any\n");
        let mut check = command(ONLAY);
        check.arg("--root").arg(&bed.base).args(["ext", "check"]).arg(bed.at("good")).arg(&image);
        let told = check.output().expect("it was run");
        let said = words(&told);
        assert!(said.contains("good: fits"), "{said}");
        assert_eq!(told.status.success(), format != "ddi", "{said}");
        let changed = "was changed: 1 of its blocks are not as its hash tree says";
        assert_eq!(said.contains(changed), format == "ddi", "{said}");
    }
    let output = command(ONLAY).args(["ext", "check", "--systemd", "300"]).output().expect("it was run");
    assert!(words(&output).contains("systemd 300 is newer than any whose rules are known here"));
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let bed = Bed::make();
    let package = bed.deb("one", |top| {
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Vec<u8> = (0..3_000_000).map(|_| random.u8(..)).collect();
        write(top, "usr/share/one/x", "x");
        fs::write(top.join("usr/share/one/noise"), noise).expect("ours");
    });
    let script = format!(
        "mkdir small; mount -t tmpfs -o size=1m none small; {ONLAY} --root {} build one -p {package} -o small; \
         echo \"ended with $?\"; ls -A small; echo end",
        bed.base.display()
    );
    let mut unshare = command("unshare");
    let output =
        unshare.args(["--mount", "sh", "-c", &script]).current_dir(bed.place.path()).output().expect("there");
    let said = words(&output);
    assert!(said.contains("No space left on device") && said.contains("ended with 1\nend"), "{said}");
}

#[test]
fn who_is_killed_leaves_nothing() {
    let bed = Bed::make();
    let package = bed.deb("one", |top| {
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Vec<u8> = (0..30_000_000).map(|_| random.u8(..)).collect();
        write(top, "usr/share/one/x", "x");
        fs::write(top.join("usr/share/one/noise"), noise).expect("ours");
    });
    fs::create_dir(bed.at("out")).expect("ours");
    for milliseconds in [20, 60, 120, 250] {
        let mut onlay = command(ONLAY);
        onlay.arg("--root").arg(&bed.base).args([
            "build",
            "one",
            "-o",
            "out",
            "--compression",
            "zstd:19",
            "-p",
            &package,
        ]);
        let mut child = onlay
            .current_dir(bed.place.path())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().expect("it is ours");
        if child.wait().expect("it is ours").success() {
            break;
        }
        assert_eq!(fs::read_dir(bed.at("out")).expect("ours").count(), 0, "after {milliseconds} ms");
    }
}
