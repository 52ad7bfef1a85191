//! Hosts of which somebody edits files, while base and packages stay what they are.

use std::fs;

use super::bed::{Bed, DPKG, RPM};
use crate::kernel::{Lab, wait_until};

fn write(lab: &Lab, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = lab.tree.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("ours");
        fs::write(path, text).expect("ours");
    }
}

/// Enters the overlay; what is said of what was edited.
fn follow(lab: &Lab) -> Vec<String> {
    let ran = lab.onlay(&["shell", "a", "--", "true"]).run();
    ran.ok();
    let usual = ["overlay 'a'", "left 'a'", "is not there inside"];
    let told = ran.stderr.lines().filter(|line| !usual.iter().any(|words| line.contains(words)));
    told.map(str::to_owned).collect()
}

fn inside(lab: &Lab, files: &str) -> String {
    lab.shell("a", &format!("for f in {files}; do cat $f 2>/dev/null || echo -; done"))
        .text()
        .replace('\n', " ")
}

#[test]
fn an_edited_file_is_seen_or_told() {
    let Some(lab) = Lab::open() else { return };
    let names = ["copied", "mine", "both", "gone", "touched", "mode", "away"];
    let files: Vec<(String, &str)> = names.iter().map(|name| (format!("etc/{name}"), "1\n")).collect();
    write(&lab, &files.iter().map(|(name, text)| (name.as_str(), *text)).collect::<Vec<_>>());
    write(&lab, &[("var/lib/state", "1\n"), ("etc/passwd", "root:x:0:0:::\ngames:x:5:5:::\n")]);
    lab.shell(
        "a",
        "cd /etc; : >>copied; : >>touched; echo o >mine; echo o >both; rm gone away; echo o >new; echo o >/var/lib/state
         : >>mode; echo mine:x:990:990::: >>passwd",
    )
    .ok();
    assert_eq!(follow(&lab), [""; 0]);
    write(&lab, &[("etc/touched", "1\n"), ("var/lib/state", "2\n"), ("etc/other", "2\n")]);
    assert_eq!(follow(&lab), [""; 0], "nothing that it covers was edited");
    write(&lab, &[("etc/copied", "2\n"), ("etc/both", "2\n"), ("etc/gone", "2\n"), ("etc/new", "2\n")]);
    write(&lab, &[("etc/passwd", "root:x:0:0:::\nhost:x:991:991:::\n")]);
    fs::remove_file(lab.tree.join("etc/away")).expect("ours");
    assert_eq!(lab.onlay(&["list", "--json"]).run().json()[0]["behind"], true);
    let said = lab.onlay(&["diff", "a"]).run().stderr;
    assert!(said.contains("files of the host were edited since 'a' was last entered"), "{said}");
    let said = lab.onlay(&["shell", "--dry-run", "a"]).run().text();
    assert!(said.contains(", which was edited\n") && said.contains("the overlay would follow it"), "{said}");
    let told = follow(&lab);
    let expected = [
        "onlay: edited on the host since this overlay was last entered: /etc/away, /etc/both, /etc/copied and 3 more",
        "onlay: the overlay follows it: 5 names changed",
        "onlay: /etc/both: changed on both sides; the overlay's is kept",
        "onlay: /etc/gone: removed in the overlay, changed on the host; it stays removed",
        "onlay: /etc/new: changed on both sides; the overlay's is kept",
        "onlay: /var/lib/state: changed on both sides; the overlay's is kept",
    ];
    assert_eq!(told, expected);
    assert_eq!(inside(&lab, "/etc/copied /etc/mine /etc/both /etc/gone /etc/new /etc/mode"), "2 o o - o 1 ");
    assert_eq!(
        inside(&lab, "/etc/passwd /var/lib/state"),
        "root:x:0:0::: mine:x:990:990::: host:x:991:991::: o "
    );
    assert_eq!(follow(&lab), [""; 0], "nothing is told twice");
    // It is the same with '--no-rebase', until it is entered without.
    write(&lab, &[("etc/mine", "3\n")]);
    lab.onlay(&["shell", "-q", "--no-rebase", "a", "--", "true"]).run().ok();
    assert_eq!(lab.onlay(&["rebase", "a"]).run().ok().lines().count(), 2);
    assert_eq!(follow(&lab), [""; 0]);
}

/// Nobody can say whether what was copied while the host's was edited is the one or the other.
#[test]
fn what_is_edited_while_somebody_is_inside_is_told() {
    let Some(lab) = Lab::open() else { return };
    write(&lab, &[("etc/copied", "1\n"), ("etc/mine", "1\n"), ("etc/known", "1\n")]);
    lab.shell("a", "echo o >/etc/known").ok();
    let script = ": >>/etc/copied; echo o >/etc/mine; echo inside; read -r go";
    let mut session = lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).start();
    session.wait_for("inside");
    write(&lab, &[("etc/copied", "2\n"), ("etc/mine", "2\n"), ("etc/known", "2\n")]);
    session.say("go");
    session.finish().ok();
    let told = follow(&lab).join("\n");
    for name in ["copied", "mine", "known"] {
        assert!(
            told.contains(&format!("/etc/{name}: changed on both sides; the overlay's is kept")),
            "{told}"
        );
    }
    assert_eq!(follow(&lab), [""; 0]);
}

/// As after a power cut: what nobody noted on leaving is noted on entering.
#[test]
fn what_a_killed_session_has_covered_is_noted_later() {
    let Some(lab) = Lab::open() else { return };
    write(&lab, &[("etc/copied", "1\n"), ("etc/mine", "1\n")]);
    let script = ": >>/etc/copied; echo o >/etc/mine; echo inside; exec sleep 1000";
    let session = lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).start();
    session.wait_for("inside");
    session.kill();
    wait_until("nobody is in it", || lab.onlay(&["rebase", "--dry-run", "a"]).run().code() == Some(0));
    assert!(!lab.overlay("a").join("layers/@seen/files").exists());
    assert_eq!(follow(&lab), [""; 0]);
    write(&lab, &[("etc/copied", "2\n"), ("etc/mine", "2\n")]);
    let told = follow(&lab).join("\n");
    assert!(told.contains("/etc/mine: changed on both sides; the overlay's is kept"), "{told}");
    assert_eq!(inside(&lab, "/etc/copied /etc/mine"), "2 o ");
}

/// In a session that lasts, it is noted meanwhile: before a power cut, after which the base may be another one.
#[test]
fn what_a_session_has_covered_is_noted_meanwhile() {
    let Some(lab) = Lab::open() else { return };
    write(
        &lab,
        &[("etc/copied", "1\n"), ("etc/mine", "1\n"), ("etc/os-release", "ID=tiny\nIMAGE_VERSION=1\n")],
    );
    let script = ": >>/etc/copied; echo o >/etc/mine; echo inside; exec sleep 1000";
    let session = lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", script]).start();
    session.wait_for("inside");
    wait_until("it is noted", || lab.overlay("a").join("layers/@seen/stamps").exists());
    session.kill();
    write(
        &lab,
        &[("etc/copied", "2\n"), ("etc/mine", "2\n"), ("etc/os-release", "ID=tiny\nIMAGE_VERSION=2\n")],
    );
    wait_until("nobody is in it", || lab.onlay(&["rebase", "--dry-run", "a"]).run().code() == Some(0));
    let told = follow(&lab).join("\n");
    assert!(told.contains("/etc/mine: changed on both sides") && !told.contains("/etc/copied"), "{told}");
    assert_eq!(inside(&lab, "/etc/copied /etc/mine"), "2 o ");
}

#[test]
fn what_dpkgs_own_programs_change_is_followed() {
    let Some(bed) = Bed::new(&DPKG, &["foo_1"]) else { return };
    bed.inside(&format!(
        "{}; echo own >>/usr/lib/foo/file; update-alternatives --install /usr/bin/tool tool /usr/lib/baz/file 5 2>/dev/null; \
         useradd --system mine",
        bed.install(&["baz_1"])
    ));
    let before = bed.inside("stat -c %Y /var/lib/dpkg/status");
    bed.on_host(
        "dpkg-divert --quiet --local --rename --divert /usr/lib/foo/elsewhere --add /usr/lib/foo/file
         update-alternatives --install /usr/bin/tool tool /usr/lib/foo/only-1 9 2>/dev/null; useradd --system host",
    );
    let said = bed.follow();
    assert!(said.contains("edited on the host since this overlay was last entered: "), "{said}");
    assert!(!said.contains("baz"), "no news of packages: {said}");
    let look = "cat /usr/lib/foo/elsewhere; test -e /usr/lib/foo/file || dpkg-divert --list '*/foo/*'
        readlink -f /usr/bin/tool; update-alternatives --query tool | grep -c ^Alternative; getent passwd mine host | wc -l";
    assert_eq!(
        bed.inside(look),
        "1\nown\nlocal diversion of /usr/lib/foo/file to /usr/lib/foo/elsewhere\n/usr/lib/foo/only-1\n2\n2\n"
    );
    assert_eq!(bed.inside("stat -c %Y /var/lib/dpkg/status"), before);
    bed.assert_sound();
    let said = bed.follow();
    assert!(!said.contains("edited"), "{said}");
}

/// The overlay has another version of the package: its configuration there hides the host's.
#[test]
fn edited_configuration_of_a_package_that_stays_is_offered() {
    for kind in [&DPKG, &RPM] {
        let Some(bed) = Bed::new(kind, &["foo_1"]) else { return };
        bed.inside(&format!("{}; echo 2 >/etc/foo.conf", bed.install(&["foo_2"])));
        fs::write(bed.host().join("etc/foo.conf"), "edited\n").expect("ours");
        let said = bed.follow();
        let offered = format!("/etc/foo.conf{}", kind.offered);
        assert!(said.contains(&format!("the overlay's is kept, the host's is {offered}")), "{said}");
        assert_eq!(bed.inside(&format!("cat /etc/foo.conf {offered}")), "2\nedited\n");
    }
}
