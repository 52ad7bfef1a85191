//! `onlay build`: packages that dpkg-deb and others made, in images that unsquashfs and systemd-dissect read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use onlay::sys::{Root, Xattrs};

use crate::debian::{ONLAY, command, expect_success, place, tree, words};
use crate::tree::expect_words;

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

#[test]
fn what_scripts_would_do_is_said_and_owners_who_are_made_have_their_defaults() {
    let bed = Bed::make();
    bed.deb("probe", |top| {
        write(top, "usr/bin/probe", "#!/usr/bin/sh\n");
        write(top, "usr/lib/sysusers.d/probe.conf", "u probed - \"made\"\n");
        write(top, "usr/lib/systemd/system/probe.service", "[Service]\nExecStart=/usr/bin/probe\n");
        write(top, "etc/ld.so.conf.d/probe.conf", "/usr/lib/probe\n");
        write(top, "var/lib/probe/state", "s\n");
        write(top, "var/lib/probe/strange", "s\n");
        write(
            top,
            "DEBIAN/postinst",
            "#!/bin/sh\nupdate-alternatives --install /usr/bin/p p /usr/bin/probe 5\n",
        );
        fs::set_permissions(top.join("DEBIAN/postinst"), fs::Permissions::from_mode(0o755)).expect("ours");
    });
    // Names that nobody has here can only be given to an archive.
    let named = bed.at("named");
    fs::create_dir(&named).expect("ours");
    let script = "dpkg-deb --raw-extract ../probe.deb x; dpkg-deb --ctrl-tarfile ../probe.deb >control.tar; xz control.tar; \
        cd x; rm -r DEBIAN; tar --owner=root:0 --group=root:0 -cf ../data.tar --exclude=./var/lib/probe .; \
        tar --owner=probed --group=probed -rf ../data.tar --no-recursion ./var/lib/probe ./var/lib/probe/state; \
        tar --owner=nobodys --group=root:0 -rf ../data.tar ./var/lib/probe/strange; cd ..; xz data.tar; \
        echo 2.0 >debian-binary; ar rc ../named.deb debian-binary control.tar.xz data.tar.xz";
    expect_success(command("sh").args(["-ec", script]).current_dir(&named));
    let said = expect_words(&bed.build(&["probe", "-p", "./named.deb"]));
    for line in [
        "links that scripts make by update-alternatives are missing",
        "('onlay save --ext') they are there: probe\n",
        "it brings units, which systemd reads when it is told to or with --reload: probe.service\n",
        "are found when ldconfig(8) has run on the host: probe.conf in /etc/ld.so.conf.d\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("'probed'"), "{said}");
    let top = bed.unpacked("probe_2.0~rc1-3_any.raw", "top");
    let lines = fs::read_to_string(top.join("usr/lib/tmpfiles.d/zzz-onlay-probe.conf")).expect("it is there");
    for line in [
        "d /var/lib/probe 0755 probed probed -\n",
        "C /var/lib/probe/state - probed probed -\n",
        "C /var/lib/probe/strange\n",
    ] {
        assert!(lines.contains(line), "{line}: {lines}");
    }
    let said = expect_words(&bed.build(&["probe", "-p", "./named.deb", "--reload"]));
    assert!(!said.contains("it brings units"), "{said}");
}

#[test]
fn what_no_image_has_room_for_in_a_directory_is_said() {
    let bed = Bed::make();
    write(&bed.at("tree"), "usr/share/x/shared", "x");
    write(&bed.at("tree"), "usr/share/x/mine", "x");
    expect_success(command("chown").arg("1000:1000").arg(bed.at("tree/usr/share/x/mine")));
    // user::rw- user:1:r-- group::r-- mask::r-- other::r--
    let list = "0x0200000001000600ffffffff020004000100000004000400ffffffff10000400ffffffff20000400ffffffff";
    let mut setfattr = command("setfattr");
    setfattr.args(["-n", "system.posix_acl_access", "-v", list]).arg(bed.at("tree/usr/share/x/shared"));
    expect_success(&mut setfattr);
    let said = expect_words(&bed.build(&["x", "--tree", "tree", "--version", "1"]));
    for line in [
        "1 file of users or groups of people (1000 and above), whose numbers are others elsewhere: usr/share/x/mine\n",
        "1 file with an access list, which no image has room for: usr/share/x/shared\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn files_are_labelled_by_the_policy_of_the_base() {
    let bed = Bed::make();
    let package = bed.deb("one", |top| {
        write(top, "usr/bin/probe", "#!/usr/bin/sh\n");
        symlink("probe", top.join("usr/bin/link")).expect("ours");
        write(top, "usr/share/one/none", "x");
        write(top, "etc/one.conf", "x");
    });
    let labels = |image: &str, to: &str| {
        let top = bed.unpacked(image, to);
        let output = command("getfattr")
            .args(["-R", "-h", "-n", "security.selinux", "usr"])
            .current_dir(&top)
            .output();
        String::from_utf8_lossy(&output.expect("it starts").stdout).into_owned()
    };
    let image = "one_2.0~rc1-3_any.raw";
    expect_words(&bed.build(&["one", "-p", &package]));
    assert_eq!(labels(image, "without"), "");
    write(&bed.base, "etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=lab\n");
    let list = "/usr(/.*)? u:o:usr_t:s0\n/usr/bin/.* -- u:o:bin_t:s0\n/usr/bin/.* -l u:o:link_t:s0\n\
        /usr/share/one(/.*)? <<none>>\n/usr/share/factory/etc/.* u:o:etc_t:s0\n";
    write(&bed.base, "etc/selinux/lab/contexts/files/file_contexts", list);
    expect_words(&bed.build(&["one", "-p", &package]));
    let found = labels(image, "with");
    for (path, label) in [
        ("usr", "usr_t"),
        ("usr/bin/probe", "bin_t"),
        ("usr/bin/link", "link_t"),
        ("usr/lib/extension-release.d/extension-release.one", "usr_t"),
        ("usr/share/factory/etc/one.conf", "etc_t"),
    ] {
        let text = format!("# file: {path}\nsecurity.selinux=\"u:o:{label}:s0\"\n");
        assert!(found.contains(&text), "{text}: {found}");
    }
    assert!(!found.contains("usr/share/one"), "{found}");
    let top = Root::open(bed.at("with")).expect("it is there");
    let attributes = Xattrs::read(&top, Path::new("usr/bin/probe")).expect("they are read");
    assert_eq!(attributes.get("security.selinux"), Some(&b"u:o:bin_t:s0\0"[..]));
    let manifest = fs::read_to_string(bed.at("one_2.0~rc1-3_any.raw.json")).expect("it was made");
    assert!(
        manifest.contains("\"file_contexts\": \"etc/selinux/lab/contexts/files/file_contexts\""),
        "{manifest}"
    );

    expect_words(&bed.build(&["one", "-p", &package, "--selinux", "no"]));
    assert_eq!(labels(image, "no"), "");
    write(bed.place.path(), "own", "/.* u:o:own_t:s0\n");
    expect_words(&bed.build(&["one", "-p", &package, "--selinux", "./own"]));
    assert!(labels(image, "own-labels").contains("u:o:own_t:s0"));
    write(bed.place.path(), "own", "/usr/( u:o:own_t:s0\n");
    let output = bed.build(&["one", "-p", &package, "--selinux", "./own"]);
    assert!(words(&output).contains("cannot use line 1 of '"), "{}", words(&output));
    let output = bed.build(&["one", "-p", &package, "--selinux", "own"]);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
}
