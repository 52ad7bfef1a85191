//! Whose files of an extension are, their labels, and what is said of what only scripts and systemd would do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use onlay::sys::{Root, Xattrs};

use super::{Bed, write};
use crate::debian::{command, expect_success, words};
use crate::tree::expect_words;

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
