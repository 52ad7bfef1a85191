//! `onlay save --layer`: what was tried in an overlay over a deployment, by its real package manager, in the next boot.

use serde_json::json;

use super::disk::Disk;

/// `inside SCRIPT`: in an overlay over the deployment, with a /var as at boot.
const INSIDE: &str = r#"
root=$(next)
over() { "$ONLAY" --root "$root" --state "$PWD/state" "$@"; }
inside() { over shell x -- sh -euc "$begin$1"; }
begin='
[ -e /var/lib/dpkg ] || { mkdir -p /var/lib /var/tmp /var/log; ln -s ../../usr/lib/sysimage/dpkg /var/lib/dpkg; }
mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial /var/log/apt
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
'
# make_package NAME VERSION
make_package() {
    mkdir -p "$1/DEBIAN" "$1/usr/share/$1"; echo "$2" >"$1/usr/share/$1/version"
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n' "$1" "$2" >"$1/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$1" "$1_$2.deb" >/dev/null
}
"#;

fn expect(disk: &Disk, script: &str) -> String {
    disk.expect(&format!("{INSIDE}{script}"))
}

fn refuse(disk: &Disk, script: &str) -> String {
    disk.refuse(&format!("{INSIDE}{script}"))
}

#[test]
fn what_was_tried_is_asked_for_and_made_anew() {
    let Some(disk) = Disk::debian() else { return };
    expect(
        &disk,
        "inside 'apt-get -q update; apt-get -q -y install onlay-needy onlay-tool; dpkg --remove strace
         echo scratch >/etc/mine.conf; echo more >>/etc/bash.bashrc; echo x >/var/cache/x; echo changed >/usr/share/onlay-needy/file'",
    );
    let before = disk.status();
    let said = expect(&disk, "over save x --layer --dry-run");
    for line in [
        "would add onlay-needy 1.0",
        "would add onlay-tool 1.0",
        "would remove strace of the base",
        "not in  /etc/mine.conf",
        "not in  /etc/bash.bashrc",
        "nothing was changed",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("/var/cache") && !said.contains("sysimage"), "{said}");
    assert_eq!(disk.status(), before);
    let said = expect(&disk, "over save x --layer");
    assert!(
        said.contains("stays in 'x' alone, unless packages make it anew: /etc/bash.bashrc, /etc/mine.conf\n"),
        "{said}"
    );
    let requests = disk.status()[0]["layers"]["requests"].clone();
    // What was only needed is not asked for.
    assert_eq!(requests["packages"], json!(["onlay-needy", "onlay-tool"]), "{requests}");
    assert_eq!(requests["removed"], json!(["strace"]));
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-tool"]);
    // Made by the packages, not taken from the overlay.
    disk.expect("grep -x needy \"$(next)\"/usr/share/onlay-needy/file; test ! -e \"$(next)\"/usr/etc/mine.conf; ! grep more \"$(next)\"/usr/etc/bash.bashrc");
    disk.expect("layer history | grep 'save x --layer onlay-needy onlay-tool -strace'");
    disk.assert_sound();
}

#[test]
fn what_no_repository_has_takes_a_file_or_is_left() {
    let Some(disk) = Disk::debian() else { return };
    let said = refuse(&disk, "inside 'echo x >/etc/x'; over save x --layer");
    assert!(
        said.contains("the packages of overlay 'x' are those of the host") && said.contains("diff x"),
        "{said}"
    );
    expect(
        &disk,
        "make_package own 7; make_package strace 0.1; cat own_7.deb strace_0.1.deb >both
         size=$(stat -c %s own_7.deb); over shell x -- sh -euc \"$begin head -c $size >/tmp/own.deb; cat >/tmp/strace.deb; dpkg --install /tmp/own.deb /tmp/strace.deb\" <both
         inside 'apt-get -q update; apt-get -q -y install onlay-tool'",
    );
    let before = disk.status();
    // What the base has newer, and what no repository has: told before anything is done.
    let said = refuse(&disk, "over save x --layer");
    assert!(
        said.contains("strace (0.1, older than the base's ") && said.contains("--without NAME"),
        "{said}"
    );
    let said = refuse(&disk, "over save x --layer --without strace");
    assert!(said.contains("own (Unable to locate package own)"), "{said}");
    let said = refuse(&disk, "over save x --layer --without strace --without gdb");
    assert!(said.contains("not among what is to be asked for: gdb"), "{said}");
    assert_eq!(disk.status(), before);
    let said = refuse(&disk, "over save x --layer --without strace --package-file strace_0.1.deb");
    assert!(said.contains("not among what is to be asked for: strace"), "{said}");
    let said = expect(&disk, "over save x --layer --package-file own_7.deb --package-file strace_0.1.deb");
    assert!(said.contains("added own 7") && said.contains("changed strace of the base "), "{said}");
    let requests = disk.status()[0]["layers"]["requests"].clone();
    assert_eq!(requests["files"]["own"]["version"], "7", "{requests}");
    assert_eq!(requests["replaced"]["strace"]["version"], "0.1", "{requests}");
    disk.expect(
        "grep -x 0.1 \"$(next)\"/usr/share/strace/version; dpkg_in --status strace | grep -x 'Version: 0.1'",
    );
    disk.assert_sound();
    // What is asked for already is asked for no second time, seen from what it was tried over.
    let said = expect(
        &disk,
        "ids=$(layer status --json | sed -n 's/^    \"id\": \"\\(.*\\)\",$/\\1/p'); root=$(dirname \"$root\")/$(echo \"$ids\" | tail -n 1)
         over save x --layer --without own --without strace --dry-run",
    );
    assert!(said.contains("nothing to do"), "{said}");
}

#[test]
fn another_version_than_was_tried_is_told() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect(&format!(
        "{INSIDE}make_package strace 99; cp -r packages newer; cp strace_99.deb newer/; (cd newer && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
         f() {{ mkdir -p extra/usr/share; cp -r newer extra/usr/share/packages; }}; newer_base 13.2 f; layer upgrade",
    ));
    // An upgraded package of the base, and one that repositories have in another version by now.
    expect(
        &disk,
        "make_package onlay-tool 0.5; over shell x -- sh -euc \"$begin cat >/tmp/tool.deb; dpkg --install /tmp/tool.deb; apt-get -q update
         apt-get -q -y install --only-upgrade strace\" <onlay-tool_0.5.deb",
    );
    let said = expect(&disk, "over save x --layer");
    assert!(said.contains("onlay-tool 0.5 was tried; what can be had now is 1.0"), "{said}");
    assert!(said.contains("changed strace of the base ") && !said.contains("strace 99 was tried"), "{said}");
    let requests = disk.status()[0]["layers"]["requests"].clone();
    assert_eq!(requests["packages"], json!(["onlay-tool", "strace"]), "{requests}");
    disk.assert_sound();
    // Over what is layered now: what goes is asked for no more, what was removed comes back.
    expect(
        &disk,
        "layer override remove dbus-user-session || true; inside 'true' || true; over rm x --yes 2>/dev/null || over rm x",
    );
    expect(&disk, "inside 'dpkg --remove onlay-tool'; over save x --layer");
    assert_eq!(disk.status()[0]["layers"]["requests"]["packages"], json!(["strace"]));
}
