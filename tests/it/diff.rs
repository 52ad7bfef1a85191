//! `onlay diff` on systems with packages: real dpkg and rpm change them in an overlay, and say whose files are whose.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::debian::{ONLAY, command};
use crate::kernel::{Lab, skip};
use crate::tree::{Bed, expect_words};

/// `onlay` over a tree, with its state beside it.
fn onlay(bed: &Bed) -> Command {
    let mut onlay = command(ONLAY);
    onlay.arg("--root").arg(bed.tree()).arg("--state").arg(bed.place().join("state"));
    onlay
}

fn diff(bed: &Bed, options: &[&str]) -> Output {
    onlay(bed).arg("diff").args(options).output().expect("the program starts")
}

/// What stdout is, of a run that said nothing else.
fn text(output: Output) -> String {
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

fn rows(bed: &Bed, options: &[&str]) -> Vec<serde_json::Value> {
    serde_json::from_str(&text(diff(bed, options))).expect("JSON")
}

/// Each package with its change and versions.
fn packages(bed: &Bed) -> Vec<String> {
    let version =
        |row: &serde_json::Value, side: &str| row[side]["version"].as_str().unwrap_or("-").to_owned();
    rows(bed, &["--packages", "--json"])
        .iter()
        .map(|row| {
            let (change, name) = (row["change"].as_str().expect("text"), row["name"].as_str().expect("text"));
            format!("{change} {name} {} {}", version(row, "old"), version(row, "new"))
        })
        .collect()
}

/// The package of each changed path; `None` where none is known.
fn owners(bed: &Bed) -> BTreeMap<String, Option<String>> {
    let word = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    rows(bed, &["--json"])
        .iter()
        .map(|row| (word(&row["path"]).expect("text"), word(&row["package"])))
        .collect()
}

fn squeezed(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Packages that are made in the tree: a new one, and a newer strace.
const MADE: &str = "make() { mkdir -p /tmp/$1/DEBIAN /tmp/$1$3; echo $1 >/tmp/$1$3/$4; \
    printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: x\\nDescription: x\\n' $1 $2 >/tmp/$1/DEBIAN/control; \
    dpkg-deb --build /tmp/$1 /tmp/$1.deb; }; \
    make onlay-x 1:1.0 /bin onlay-x; make strace 99 /usr/bin strace; sed -i 's/: all/: amd64/' /tmp/strace/DEBIAN/control; \
    sed -i \"s/amd64/$(dpkg --print-architecture)/\" /tmp/strace/DEBIAN/control; dpkg-deb --build /tmp/strace /tmp/strace.deb;";

#[test]
fn packages_of_dpkg_and_whose_files_are_are_told() {
    let Some(bed) = Bed::of("trixie") else { return };
    let owned = "echo '# mine' >>/etc/bash.bashrc; rm /usr/bin/fuser; echo >/etc/onlay-mine;";
    expect_words(&bed.inside(&["plain"], owned, Stdio::null()));
    // Without a database of its own, an overlay changes no packages.
    let plain = diff(&bed, &["plain", "--packages"]);
    assert_eq!(String::from_utf8_lossy(&plain.stderr), "onlay: 'plain' changes no packages\n");
    let shown = squeezed(&text(diff(&bed, &["plain"])));
    assert_eq!(shown[1], "added 1 B /etc/onlay-mine (no package)");
    assert!(shown[0].ends_with("/etc/bash.bashrc") && shown[2].ends_with("/usr/bin/fuser"), "{shown:?}");
    let script =
        format!("{MADE} {owned} dpkg -i --force-overwrite /tmp/*.deb; dpkg -P --force-depends cron;");
    expect_words(&bed.inside(&[], &script, Stdio::null()));
    let was = expect_words(&bed.inside(
        &["--temp"],
        "dpkg-query -W -f '${Package} ${Version}\\n' cron strace >&2",
        Stdio::null(),
    ));
    let versions: BTreeMap<&str, &str> = was.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(
        packages(&bed),
        [
            format!("removed cron {} -", versions["cron"]),
            "added onlay-x - 1:1.0".to_owned(),
            format!("upgraded strace {} 99", versions["strace"]),
        ]
    );
    let shown = text(diff(&bed, &[]));
    let lines = squeezed(&shown);
    assert_eq!(lines[1], "package added onlay-x all 1:1.0");
    assert!(lines[2].starts_with("package upgraded strace ") && lines[2].ends_with(" -> 99"), "{}", lines[2]);
    assert_eq!(lines[3], "");
    let owners = owners(&bed);
    for (path, package) in [
        // Its list says /bin.
        ("/usr/bin/onlay-x", Some("onlay-x")),
        ("/usr/bin/strace", Some("strace")),
        ("/etc/bash.bashrc", Some("bash")),
        ("/usr/bin/fuser", Some("psmisc")),
        // It is gone, and so is its package.
        ("/usr/sbin/cron", Some("cron")),
        ("/etc/onlay-mine", None),
        ("/var/lib/dpkg/status", None),
    ] {
        assert_eq!(
            owners.get(path).unwrap_or_else(|| panic!("{path}: {owners:?}")).as_deref(),
            package,
            "{path}"
        );
        let is_marked = lines.iter().any(|line| line.ends_with(&format!(" {path} (no package)")));
        assert_eq!(is_marked, path == "/etc/onlay-mine", "{path}: {shown}");
    }
    // dpkg itself says the same, but for names that it does not know by their other one, and for what is gone.
    let is_plain = |(path, package): &(&String, &Option<String>)| {
        let has_lost_files = matches!(package.as_deref(), Some("cron" | "strace"));
        !path.contains("onlay-x") && (!has_lost_files || *path == "/usr/bin/strace")
    };
    let asked: BTreeMap<&String, &Option<String>> = owners.iter().filter(is_plain).collect();
    let ask: String = asked.keys().flat_map(|path| ["dpkg -S '", path, "' >&2 || true; "]).collect();
    let said = expect_words(&bed.inside(&[], &ask, Stdio::null()));
    assert!(asked.len() > 8, "{asked:?}");
    for (path, package) in asked {
        let found = said.lines().find_map(|line| line.strip_suffix(&format!(": {path}")));
        match package {
            None => {
                assert!(said.contains(&format!("no path found matching pattern {path}\n")), "{path}: {said}");
            }
            Some(package) => {
                let names = found.unwrap_or_else(|| panic!("{path} of {package}: {said}"));
                assert!(
                    names.split(", ").any(|name| name.split(':').next() == Some(package)),
                    "{path}: {names}"
                );
            }
        }
    }
    bed.assert_tree_unchanged();
}

#[test]
fn packages_are_told_while_somebody_is_in_the_overlay() {
    let Some(bed) = Bed::of("trixie") else { return };
    let script = format!("{MADE} dpkg -i /tmp/onlay-x.deb >&2; echo done; read -r word");
    let mut inside = onlay(&bed)
        .args(["shell", "-q", "--", "bash", "-ec", &script])
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let stdout = std::io::BufReader::new(inside.stdout.take().expect("a pipe"));
    let mut lines = std::io::BufRead::lines(stdout).map(|line| line.expect("text"));
    assert!(lines.any(|line| line == "done"), "it was not installed");
    assert_eq!(packages(&bed), ["added onlay-x - 1:1.0"]);
    inside.stdin.take().expect("a pipe").write_all(b"on\n").expect("it reads");
    assert!(inside.wait().expect("our child").success());
    assert_eq!(packages(&bed), ["added onlay-x - 1:1.0"]);
    bed.assert_tree_unchanged();
}

#[test]
fn where_a_database_cannot_be_read_files_are_told_all_the_same() {
    let Some(bed) = Bed::of("trixie") else { return };
    let script = "echo 'no stanza' >>/var/lib/dpkg/status; echo >/etc/onlay-mine";
    expect_words(&bed.inside(&[], script, Stdio::null()));
    let shown = diff(&bed, &[]);
    let said = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(shown.status.success(), "{said}");
    assert!(said.starts_with("onlay: packages are not told: ") && said.contains("is damaged"), "{said}");
    let lines = squeezed(&String::from_utf8_lossy(&shown.stdout));
    assert_eq!(lines[0], "added 1 B /etc/onlay-mine");
    let refused = diff(&bed, &["--packages"]);
    assert_eq!((refused.status.code(), &*refused.stdout), (Some(1), &b""[..]));
    bed.assert_tree_unchanged();
}

fn packages_of_rpm(tree: &str) {
    let Some(bed) = Bed::of(tree) else { return };
    let script = "rpm -U --nosignature /srv/repo/base/*/lab-tool-1.0-1.*.rpm --nodeps; \
                  rpm -U --nosignature --nodeps /srv/repo/updates/*/strace-*lab2*.rpm; \
                  rpm -e --nodeps tar; echo '# mine' >>/etc/bash.bashrc; echo >/etc/onlay-mine";
    expect_words(&bed.inside(&[], script, Stdio::null()));
    let found = packages(&bed);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0], "added lab-tool - 1.0-1");
    assert!(found[1].starts_with("upgraded strace ") && found[1].ends_with("+lab2"), "{found:?}");
    assert!(found[2].starts_with("removed tar "), "{found:?}");
    let owners = owners(&bed);
    for (path, package) in [
        ("/usr/share/doc/strace/next", Some("strace")),
        ("/etc/bash.bashrc", Some("bash")),
        ("/etc/onlay-mine", None),
    ] {
        assert_eq!(
            owners.get(path).unwrap_or_else(|| panic!("{path}: {owners:?}")).as_deref(),
            package,
            "{path}"
        );
    }
    let shown = text(diff(&bed, &[]));
    let unowned: Vec<&str> = shown.lines().filter(|line| line.ends_with("  (no package)")).collect();
    assert!(unowned.iter().any(|line| line.contains(" /etc/onlay-mine ")), "{shown}");
    // rpm itself knows nothing of these.
    for line in unowned {
        let path = line.split_whitespace().rev().nth(2).expect("a path").trim_end_matches('/');
        let asked = bed.inside(&[], &format!("! rpm -qf '{path}' >&2"), Stdio::null());
        assert!(asked.status.success(), "{path}: {}", String::from_utf8_lossy(&asked.stderr));
    }
    bed.assert_tree_unchanged();
}

#[test]
fn packages_of_rpm_in_sqlite_are_told() {
    packages_of_rpm("rpm-sqlite");
}

#[test]
fn packages_of_rpm_in_ndb_are_told() {
    packages_of_rpm("rpm-ndb");
}

#[test]
fn packages_are_seen_where_the_state_lies_below_the_root() {
    let Some(lab) = Lab::open() else { return };
    if !std::path::Path::new("/var/lib/dpkg/status").exists() {
        return skip("this machine has no dpkg");
    }
    let add = "printf '\\nPackage: mine\\nStatus: install ok installed\\nArchitecture: all\\nVersion: 1\\n' \
               >>/var/lib/dpkg/status; : >/var/lib/dpkg/info/mine.list";
    lab.host_shell("a", add).ok();
    let ran = lab.on_host(&["diff", "a", "--packages"]).run();
    assert_eq!(ran.stderr, "", "{}", ran.story());
    assert_eq!(squeezed(&ran.text()), ["added mine all 1"]);
}
