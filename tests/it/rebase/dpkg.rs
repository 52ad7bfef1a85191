//! Packages of dpkg on a real Debian: host and overlay change them, each by real dpkg, and then the overlay follows.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::debian;
use crate::kernel::{Lab, sh};

/// A Debian that is changed as its owner does, and an overlay over it.
struct Bed {
    lab: Lab,
    host: PathBuf,
}

impl Bed {
    /// Makes one, with packages already there.
    fn new(packages: &[&str]) -> Option<Bed> {
        let tree = debian::tree("trixie")?;
        let lab = Lab::with_private_mounts()?;
        let host = lab.path("host");
        let script = "mkdir -p \"$2/up\" \"$2/work\" \"$3\"; mount -t overlay -o \
                      \"lowerdir=$1,upperdir=$2/up,workdir=$2/work\" bed \"$3\"";
        sh(script, &[&tree, &lab.path("disk"), &host]);
        let bed = Bed { lab, host };
        fs::create_dir_all(bed.host.join("srv/made")).expect("ours");
        bed.make_all();
        bed.on_host(&install(packages));
        Some(bed)
    }

    /// `foo` in three versions, with configuration, a file that stays and one of each version; `bar` that needs it,
    /// `baz` that stands alone.
    fn make_all(&self) {
        for version in ["1", "2", "3"] {
            let own = format!("usr/lib/foo/only-{version}");
            let own_dir = format!("usr/share/foo-{version}/file");
            let files = [
                ("usr/lib/foo/file", version),
                ("etc/foo.conf", version),
                (&own, version),
                (&own_dir, version),
            ];
            self.make("foo", version, "", &files);
        }
        self.make("bar", "1", "foo (>= 1)", &[("usr/lib/bar/file", "1")]);
        self.make("bar", "2", "foo (>= 2)", &[("usr/lib/bar/file", "2")]);
        self.make("baz", "1", "", &[("usr/lib/baz/file", "1")]);
    }

    fn make(&self, name: &str, version: &str, needs: &str, files: &[(&str, &str)]) {
        let place = self.host.join("srv/made").join(format!("{name}_{version}"));
        fs::create_dir_all(place.join("DEBIAN")).expect("ours");
        let needs = if needs.is_empty() { String::new() } else { format!("Depends: {needs}\n") };
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@b>\n{needs}Description: a\n"
        );
        fs::write(place.join("DEBIAN/control"), control).expect("ours");
        let mut sums = String::new();
        for (file, text) in files {
            let path = place.join(file);
            fs::create_dir_all(path.parent().expect("a directory")).expect("ours");
            fs::write(&path, format!("{text}\n")).expect("ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
            if file.starts_with("etc/") {
                fs::write(place.join("DEBIAN/conffiles"), format!("/{file}\n")).expect("ours");
            } else {
                sums += &sh("cd \"$1\" && md5sum \"$2\"", &[&place, Path::new(file)]);
            }
        }
        fs::write(place.join("DEBIAN/md5sums"), sums).expect("ours");
        sh(
            "find \"$1\" -type d -exec chmod 755 {} +; dpkg-deb --root-owner-group --build \"$1\" >/dev/null",
            &[&place],
        );
    }

    /// Runs a script as root of the host.
    fn on_host(&self, script: &str) {
        let script = format!("chroot \"$1\" sh -ec '{script}' >/dev/null");
        sh(&script, &[&self.host]);
    }

    /// Runs a script in the overlay.
    fn inside(&self, script: &str) -> String {
        let script = format!("set -e; export DEBIAN_FRONTEND=noninteractive; {script}");
        let ran = self.lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", &script]).root(&self.host).run();
        ran.ok().clone()
    }

    /// Enters the overlay, which follows; what is said of it.
    fn follow(&self) -> String {
        let ran = self.lab.onlay(&["shell", "a", "--", "true"]).root(&self.host).run();
        ran.ok();
        ran.stderr
    }

    /// The packages and the files of ours that are seen inside: `foo=2 /usr/lib/foo/file=2 …`.
    fn seen(&self) -> String {
        let script = "dpkg-query -W -f \"\\${Package}=\\${Version}:\\${db:Status-Abbrev}\\n\" foo bar baz 2>/dev/null | \
                      grep :ii | sed \"s/:ii //\"; \
                      for f in $(find /usr/lib/foo /usr/lib/bar /usr/lib/baz /usr/share/foo-* /etc/foo.conf* -type f 2>/dev/null | sort); \
                      do echo \"$f=$(cat $f)\"; done";
        let mut words: Vec<String> = self.inside(script).split_whitespace().map(str::to_owned).collect();
        words.sort();
        words.join(" ")
    }

    /// dpkg and apt have nothing to say against what is seen.
    fn assert_sound(&self) {
        let said = self
            .inside("dpkg --audit; dpkg --verify | grep -v \" c /etc/foo.conf\" || true; apt-get -qq check");
        assert_eq!(said, "", "what dpkg and apt say");
    }
}

fn install(packages: &[&str]) -> String {
    let files: Vec<String> = packages.iter().map(|name| format!("/srv/made/{name}.deb")).collect();
    if files.is_empty() {
        "true".into()
    } else {
        format!("dpkg --force-confold -i {} >/dev/null", files.join(" "))
    }
}

fn foo(version: &str) -> String {
    format!(
        "/etc/foo.conf={version} /usr/lib/foo/file={version} /usr/lib/foo/only-{version}={version} \
         /usr/share/foo-{version}/file={version}"
    )
}

/// What was on the host at first, what the overlay did, what the host did, and what is seen then.
fn check(first: &[&str], ours: &str, theirs: &str, packages: &str, files: &str) {
    for is_noted in [true, false] {
        let Some(bed) = Bed::new(first) else { return };
        bed.inside(ours);
        bed.on_host(theirs);
        if !is_noted {
            // As after a power cut in the middle of the first session.
            fs::remove_dir_all(bed.lab.overlay("a").join("layers/@seen")).expect("it is there");
        }
        let said = bed.follow();
        let mut expected: Vec<&str> = packages.split_whitespace().chain(files.split_whitespace()).collect();
        expected.sort_unstable();
        let expected = expected.join(" ");
        assert_eq!(bed.seen(), expected, "{ours} | {theirs}, noted: {is_noted}\n{said}");
        bed.assert_sound();
        // It follows once more, from what was noted then.
        bed.on_host("touch /var/lib/dpkg/status");
        bed.follow();
        assert_eq!(bed.seen(), expected, "{ours} | {theirs}, the second time");
        bed.assert_sound();
    }
}

#[test]
fn each_side_has_its_own_package() {
    let files = format!("{} /usr/lib/baz/file=1", foo("2"));
    check(&["foo_1"], &install(&["baz_1"]), &install(&["foo_2"]), "baz=1 foo=2", &files);
}

#[test]
fn the_newer_of_two_versions_is_there() {
    check(&["foo_1"], &install(&["foo_2"]), &install(&["foo_3"]), "foo=3", &foo("3"));
    check(&["foo_1"], &install(&["foo_3"]), &install(&["foo_2"]), "foo=3", &foo("3"));
}

#[test]
fn what_both_have_is_the_hosts() {
    let files = format!("{} /usr/lib/bar/file=2", foo("2"));
    check(&["foo_1"], &install(&["foo_2", "bar_2"]), &install(&["foo_2"]), "bar=2 foo=2", &files);
}

#[test]
fn what_was_removed_in_the_overlay_stays_removed() {
    check(
        &["foo_1", "baz_1"],
        "dpkg --purge foo >/dev/null",
        &install(&["foo_2"]),
        "baz=1",
        "/usr/lib/baz/file=1",
    );
}

#[test]
fn what_the_host_removed_goes_unless_the_overlay_changed_it() {
    let keep = install(&["baz_1"]);
    check(&["foo_1"], &keep, "dpkg --purge foo", "baz=1", "/usr/lib/baz/file=1");
    check(&["foo_1"], &install(&["foo_2"]), "dpkg --purge foo", "foo=2", &foo("2"));
}

#[test]
fn a_package_that_was_installed_again_gets_what_is_new() {
    let again = format!("dpkg --purge foo >/dev/null; {}; {}", install(&["foo_1"]), install(&["baz_1"]));
    let files = format!("{} /usr/lib/baz/file=1", foo("2"));
    check(&["foo_1"], &again, &install(&["foo_2"]), "baz=1 foo=2", &files);
}

#[test]
fn a_package_that_was_installed_again_is_whole() {
    let again = format!("dpkg --purge foo >/dev/null; {}", install(&["foo_1"]));
    let files = format!("{} /usr/lib/baz/file=1", foo("1"));
    check(&["foo_1"], &again, &install(&["baz_1"]), "baz=1 foo=1", &files);
}

#[test]
fn edited_configuration_stays_with_the_new_one_beside_it() {
    let Some(bed) = Bed::new(&["foo_1"]) else { return };
    bed.inside(&format!("{}; echo mine >/etc/foo.conf; echo mine >/usr/lib/foo/file", install(&["baz_1"])));
    bed.on_host(&install(&["foo_2"]));
    let said = bed.follow();
    assert!(said.contains("/etc/foo.conf: changed on both sides; the overlay's is kept"), "{said}");
    assert!(said.contains("/usr/lib/foo/file: changed on both sides; the host's is taken"), "{said}");
    let seen = bed.seen();
    for part in [
        "/etc/foo.conf=mine",
        "/etc/foo.conf.dpkg-dist=2",
        "/usr/lib/foo/file=2",
        "/usr/lib/foo/file.dpkg-old=mine",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    bed.assert_sound();
}

#[test]
fn what_is_needed_and_gone_is_told() {
    let Some(bed) = Bed::new(&["foo_1"]) else { return };
    bed.inside(&install(&["bar_1"]));
    bed.on_host("dpkg --purge foo");
    let said = bed.follow();
    assert!(said.contains("bar:all needs foo (>= 1)"), "{said}");
    assert_eq!(bed.seen(), "/usr/lib/bar/file=1 bar=1");
}
