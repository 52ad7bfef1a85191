//! `onlay save` and `onlay build --from`: what real dpkg and rpm, and people, change in an overlay, as an image. Laid over the base, it
//! must show what the overlay does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use onlay::package::Header;
use serde_json::Value;

use crate::alone;
use crate::debian::{ONLAY, command, expect_success, words};
use crate::kernel::skip;
use crate::tree::{Bed, expect_words};

fn onlay(bed: &Bed, arguments: &[&str]) -> Output {
    let mut onlay = command(ONLAY);
    onlay.arg("--root").arg(bed.tree()).arg("--state").arg(bed.place().join("state")).args(arguments);
    onlay.current_dir(bed.place()).output().expect("the program starts")
}

/// What unsquashfs makes of an image.
fn unpacked(bed: &Bed, image: &str, name: &str) -> PathBuf {
    let to = bed.place().join(name);
    expect_success(
        command("unsquashfs").args(["-quiet", "-no-progress", "-dest"]).arg(&to).arg(bed.place().join(image)),
    );
    to
}

fn read(top: &Path, name: &str) -> String {
    fs::read_to_string(top.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every file below usr and opt of the directory that a shell is in: but times of directories, and fractions of others.
const LISTING: &str = "find usr opt ! -type d -printf '%y %m %U:%G %n %s %T@ %p %l\\n' -o -printf '%y %m %U:%G %p\\n' | \
    sed -E 's/\\.[0-9]{10} / /' | LC_ALL=C sort; \
    find usr opt -type f -newer /etc/lab-mark -print0 | LC_ALL=C sort -z | xargs -0 sha256sum";

/// The lines of a listing.
fn lines(output: &Output) -> BTreeSet<String> {
    assert!(output.status.success(), "{}", words(output));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// A package that does by a script what scripts do: a user, an alternative, an enabled unit, data; and the rest by hand.
const FILL: &str = r#"
p=/tmp/p; mkdir -p $p/DEBIAN $p/usr/bin $p/usr/lib/systemd/system $p/etc/lab.d $p/opt/lab
printf '#!/bin/sh\necho lab\n' >$p/usr/bin/lab.real; chmod 755 $p/usr/bin/lab.real; ln $p/usr/bin/lab.real $p/usr/bin/lab.other
printf '[Service]\nExecStart=/usr/bin/lab.real\n' >$p/usr/lib/systemd/system/lab.service
echo conf >$p/etc/lab.d/lab.conf; echo opt >$p/opt/lab/file
printf 'Package: lab\nVersion: 1:2.0-3\nArchitecture: all\nSource: labsrc (2.0)\nMaintainer: x\nDescription: x\n' >$p/DEBIAN/control
cat >$p/DEBIAN/postinst <<'END'
#!/bin/sh
set -e
groupadd --system lab
useradd --system --gid lab --home-dir /var/lib/lab --comment 'The lab' --shell /usr/sbin/nologin lab
useradd --uid 1717 --no-create-home ann
usermod --append --groups adm lab
mkdir -p /var/lib/lab /var/cache/lab /usr/lib/lab.new
echo data >/var/lib/lab/seed; chown -R lab:lab /var/lib/lab; chown lab /var/cache/lab
chown lab:root /usr/bin/lab.real; chmod 4755 /usr/bin/lab.real
update-alternatives --install /usr/bin/lab lab /usr/bin/lab.real 10
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s /usr/lib/systemd/system/lab.service /etc/systemd/system/multi-user.target.wants/lab.service
echo x >/var/cache/lab/x; echo log >/var/log/lab.log; ldconfig
END
chmod 755 $p/DEBIAN/postinst; touch -d '1 second ago' /etc/lab-mark
dpkg-deb --build $p /tmp/lab.deb; dpkg -i /tmp/lab.deb
rm /usr/bin/fuser; echo '# mine' >>/etc/bash.bashrc; touch /etc/issue; chmod 4711 /usr/bin/pldd
mkdir /usr/share/odd; printf x >"/usr/share/odd/$(printf 'a\377\nb')"; truncate -s 3M /usr/share/odd/sparse; echo end >>/usr/share/odd/sparse
chown 1717:1717 /usr/share/odd/sparse; mkfifo /usr/share/odd/pipe; chmod 2775 /usr/share/man
mv /usr/share/bash-completion /usr/share/moved
echo key >/etc/ssh/ssh_host_lab_key || { mkdir /etc/ssh; echo key >/etc/ssh/ssh_host_lab_key; }
printf '[Unit]\n' >/etc/systemd/system/own.service; ln -s own.service /etc/systemd/system/alias.service
ln -s /dev/null /etc/systemd/system/lab.service
"#;

#[test]
fn what_is_installed_and_changed_becomes_an_image_that_shows_it() {
    let Some(bed) = Bed::of("trixie") else { return };
    expect_words(&bed.inside(&["x"], FILL, Stdio::null()));
    // Attributes that only an outer tool can set here: as a package would.
    let upper = bed.place().join("state/overlays/x/layers/@root/upper/usr/bin/lab.other");
    expect_success(command("setcap").arg("cap_net_raw+ep").arg(&upper));
    let inside = bed.inside(&["x"], &format!("cd /; set +x; {LISTING}"), Stdio::null());
    let shown = lines(&inside);

    let planned = expect_words(&onlay(&bed, &["save", "x", "--ext", "lab", "--dry-run"]));
    let squeezed: Vec<String> =
        planned.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let wants = "systemd/system/multi-user.target.wants/lab.service";
    for line in [
        "would build 'lab' 2.0-3".to_owned(),
        "package lab 1:2.0-3".to_owned(),
        "user lab made by sysusers.d".to_owned(),
        "in /usr/bin/lab".to_owned(),
        format!("in /etc/{wants} -> /usr/lib/{wants}"),
        "in /etc/lab.d/lab.conf -> /usr/share/factory/etc/lab.d/lab.conf".to_owned(),
        // Where the package has a unit of its own, what hides it stays in /etc.
        "in /etc/systemd/system/lab.service -> /usr/share/factory/etc/systemd/system/lab.service".to_owned(),
        "not in /usr/bin/fuser removed files of the base, which an extension cannot remove".to_owned(),
        "not in ann users and groups of people: they are made on the host".to_owned(),
        "not in /usr/share/odd/pipe devices, pipes and sockets, which an extension must not have".to_owned(),
    ] {
        assert!(squeezed.contains(&line), "{line}: {planned}");
    }
    assert!(!planned.contains("/etc/issue"), "it was only touched: {planned}");

    let said = expect_words(&onlay(&bed, &["save", "x", "--ext", "lab"]));
    for line in [
        "not in it: changed or removed settings (/etc) that the base has: the host's stay: /etc/bash.bashrc\n",
        "the host's or its people's alone",
        "users and groups are made by sysusers.d: lab\n",
        "links of alternatives lead straight to what was chosen: /usr/bin/lab\n",
        "1 file of users or groups of people (1000 and above)",
        "it brings units, which systemd reads when it is told to or with --reload: alias.service, lab.service, own.service",
        "built 'lab' 2.0-3: ",
        "lab_2.0-3_x86-64.raw\n",
    ] {
        let line = line.replace("the host's or", "this machine's or");
        let line = line.replace("x86-64", onlay::host::Host::architecture());
        assert!(said.contains(&line), "{line}: {said}");
    }
    let image = format!("lab_2.0-3_{}.raw", onlay::host::Host::architecture());
    let bytes = fs::read(bed.place().join(&image)).expect("it was made");
    expect_words(&onlay(&bed, &["build", "lab", "--from", "x", "--output", "."]));
    assert!(bytes == fs::read(bed.place().join(&image)).expect("it was made"), "it is another one");
    expect_success(command("systemd-dissect").arg(bed.place().join(&image)));

    let top = unpacked(&bed, &image, "unpacked");
    check_generated(&top);
    check_records(&bed, &top, &image);
    compare_merged(&bed, &top, &shown);
    let capable = words(&expect_success(command("getcap").arg(top.join("usr/bin/lab.real"))));
    assert!(capable.contains("cap_net_raw=ep"), "{capable}");
    bed.assert_tree_unchanged();
}

fn check_generated(top: &Path) {
    assert_eq!(fs::read_dir(top).expect("it is there").count(), 2, "usr and opt alone");
    let users = read(top, "usr/lib/sysusers.d/000-onlay-lab.conf");
    let fixed = users.lines().nth(1).expect("a user");
    assert!(users.starts_with("g lab -\nu lab ") && users.ends_with("m lab adm\n"), "{users}");
    assert!(fixed.ends_with(":lab \"The lab\" /var/lib/lab /usr/sbin/nologin"), "{users}");
    assert!(!fixed.contains(" -:"), "a file in the image is his: {users}");
    assert_eq!(
        read(top, "usr/lib/tmpfiles.d/zzz-onlay-lab.conf"),
        "C /etc/lab-mark\nd /etc/lab.d 0755 0 0 -\nC /etc/lab.d/lab.conf\nL /etc/systemd/system/lab.service - - - - /dev/null\n\
         d /var/cache/lab 0755 lab 0 -\nd /var/lib/lab 0755 lab lab -\nC /var/lib/lab/seed - lab lab -\n"
    );
    let link = |name: &str| fs::read_link(top.join(name)).expect("a link");
    assert_eq!(link("usr/bin/lab"), Path::new("/usr/bin/lab.real"));
    assert_eq!(
        link("usr/lib/systemd/system/alias.service"),
        Path::new("/usr/lib/systemd/system/own.service")
    );
    let manifest: Value =
        serde_json::from_str(&read(top, "usr/share/onlay/extensions/lab.json")).expect("JSON");
    assert_eq!(manifest["packages"].as_array().map(Vec::len), Some(1));
    for (field, expected) in [("name", "lab"), ("version", "1:2.0-3"), ("source", "labsrc")] {
        assert_eq!(manifest["packages"][0][field], expected);
    }
    assert_eq!(manifest["left_out"]["removed"]["count"], 2);
    // What makes the user makes him with the number that the file has.
    let root = top.parent().expect("it is below").join("root");
    for (file, text) in [("passwd", "root:x:0:0::/root:/bin/sh\n"), ("group", "root:x:0:\nadm:x:4:\n")] {
        fs::create_dir_all(root.join("etc")).expect("ours");
        fs::write(root.join("etc").join(file), text).expect("ours");
    }
    let lists = root.join("usr/lib/sysusers.d");
    fs::create_dir_all(&lists).expect("ours");
    fs::write(lists.join("lab.conf"), &users).expect("ours");
    expect_success(command("systemd-sysusers").arg("--root").arg(&root));
    let made = read(&root, "etc/passwd");
    let number = fixed.split([' ', ':']).nth(2).expect("a number");
    assert!(made.contains(&format!("\nlab:x:{number}:")), "{made}");
    assert!(read(&root, "etc/group").contains("adm:x:4:lab\n"));
}

/// What dpkg reads of the package in the image, without what was dropped.
fn check_records(bed: &Bed, top: &Path, image: &str) {
    let query = |top: &Path, arguments: &[&str]| {
        let database = top.join("usr/share/onlay/extensions/lab.dpkg");
        let mut query = command("dpkg-query");
        words(&expect_success(query.arg("--admindir").arg(database).args(arguments)))
    };
    assert!(query(top, &["--show"]).starts_with("lab\t1:2.0-3\n"));
    assert!(
        query(top, &["--show", "--showformat", "${db:Status-Status} ${Source}", "lab"])
            .starts_with("installed labsrc")
    );
    assert!(query(top, &["--search", "/usr/bin/lab.real"]).starts_with("lab: /usr/bin/lab.real\n"));
    let files = query(top, &["--listfiles", "lab"]);
    for path in ["/usr/bin/lab.other", "/etc/lab.d", "/etc/lab.d/lab.conf", "/opt/lab/file", "/usr"] {
        assert!(files.contains(&format!("{path}\n")), "{path}: {files}");
    }
    fs::create_dir(bed.place().join("fewer")).expect("ours");
    expect_words(&onlay(bed, &["save", "x", "--ext", "lab", "--drop", "opt/lab", "--output", "fewer"]));
    let fewer = unpacked(bed, &format!("fewer/{image}"), "unpacked-fewer");
    let files = query(&fewer, &["--listfiles", "lab"]);
    assert!(!files.contains("/opt/lab") && files.contains("/usr/bin/lab.other\n"), "{files}");
}

/// Lays the image's files over those of the base, and compares with what the overlay showed.
fn compare_merged(bed: &Bed, top: &Path, shown: &BTreeSet<String>) {
    let script = format!(
        "mkdir merged; mount -t tmpfs none merged; mkdir merged/usr merged/opt; \
         for d in usr opt; do mount -t overlay -o ro,lowerdir={top}/$d:{tree}/$d none merged/$d || exit 9; done; \
         touch -d '1 second ago' /tmp/none; cd merged; {listing}",
        top = top.display(),
        tree = bed.tree().display(),
        listing = LISTING.replace("/etc/lab-mark", &bed.tree().join("etc/os-release").display().to_string()),
    );
    let mut unshare = command("unshare");
    let output =
        unshare.args(["--mount", "sh", "-c", &script]).current_dir(bed.place()).output().expect("there");
    if output.status.code() == Some(9) {
        return skip("no overlays here");
    }
    let merged = lines(&output);
    // What differs by intention: files that are generated, or moved; what an extension cannot remove or have; where alternatives lead.
    let is_meant = |line: &&String| {
        const MEANT: &[&str] = &[
            "usr/share/factory",
            "usr/share/onlay",
            "000-onlay-lab.conf",
            "zzz-onlay-lab.conf",
            "extension-release",
            "usr/lib/systemd/system/multi-user.target.wants",
            "usr/lib/systemd/system/own.service",
            "usr/lib/systemd/system/alias.service",
            "usr/bin/fuser",
            "usr/share/odd/pipe",
            "usr/share/bash-completion",
            // What keeps services from being started inside.
            "usr/sbin/policy-rc.d",
        ];
        MEANT.iter().any(|part| line.contains(part)) || line.contains(" usr/bin/lab /")
    };
    let is_digest = |line: &&String| {
        line.as_bytes().get(..64).is_some_and(|start| start.iter().all(u8::is_ascii_hexdigit))
    };
    let missing: Vec<&String> = shown.difference(&merged).filter(|line| !is_meant(line)).collect();
    assert!(missing.is_empty(), "the overlay alone has {missing:#?}");
    let more: Vec<&String> =
        merged.difference(shown).filter(|line| !is_meant(line) && !is_digest(line)).collect();
    assert!(more.is_empty(), "the image alone has {more:#?}");
    assert!(shown.len() > 10_000, "{}", shown.len());
}

#[test]
fn what_cannot_be_saved_is_refused_in_words() {
    let Some(bed) = Bed::of("trixie") else { return };
    let refused = |arguments: &[&str], said: &str| {
        let output = onlay(&bed, arguments);
        assert!(!output.status.success() && words(&output).contains(said), "{said}: {}", words(&output));
        let images = fs::read_dir(bed.place()).expect("ours").filter_map(Result::ok);
        assert!(
            !images.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains(".raw")),
            "{said}"
        );
    };
    expect_words(&bed.inside(&["x"], "true", Stdio::null()));
    refused(
        &["save", "x", "--ext", "lab"],
        "overlay 'x' changes nothing: there is nothing to put into 'lab'",
    );
    refused(&["save", "y", "--ext", "lab"], "there is no overlay 'y'");
    refused(&["save", "x", "--ext", "l_b"], "is no name for an extension");
    refused(&["save", "x", "--live", "--ext", "lab"], "cannot be used with");
    refused(&["build", "lab.toml", "--from", "x"], "is a recipe");
    refused(&["build", "lab", "--from", "x", "-p", "lab"], "cannot be used with");
    expect_words(&bed.inside(&["x"], "echo >>/etc/bash.bashrc; rm /etc/issue", Stdio::null()));
    refused(&["save", "x", "--ext", "lab"], "needs a version: there is no package of that name in it");
    refused(
        &["save", "x", "--ext", "lab", "--dry-run"],
        "needs a version: there is no package of that name in it",
    );
    let nothing = "what it is built from has no files for /usr or /opt";
    refused(&["save", "x", "--ext", "lab", "--version", "1"], nothing);
    refused(&["save", "x", "--ext", "lab", "--version", "1"], "/etc/bash.bashrc, /etc/issue\n");

    // A newer version of a package that the base has is hidden by it when that is wanted.
    let newer = "mkdir -p /tmp/p/DEBIAN /tmp/p/usr/bin; echo new >/tmp/p/usr/bin/strace; \
                 printf 'Package: strace\\nVersion: 99\\nArchitecture: %s\\nMaintainer: x\\nDescription: x\\n' \
                 $(dpkg --print-architecture) >/tmp/p/DEBIAN/control; dpkg-deb --build /tmp/p /tmp/x.deb; dpkg -i /tmp/x.deb; \
                 dpkg -P --force-depends cron";
    expect_words(&bed.inside(&["x"], newer, Stdio::null()));
    refused(
        &["save", "x", "--ext", "strace"],
        "the base has other versions of what would go into 'strace': strace ",
    );
    // Somebody is in it.
    let sleeper = bed.inside(&["x"], "sleep 600 >/dev/null 2>&1 & echo $! >/tmp/pid; disown", Stdio::null());
    expect_words(&sleeper);
    refused(&["save", "x", "--ext", "strace", "--replace"], "overlay 'x' is in use");
    expect_words(&bed.inside(&["x"], "pkill --full '^sleep 600$'", Stdio::null()));
    wait_until_free(&bed);
    let said = expect_words(&onlay(&bed, &["save", "x", "--ext", "strace", "--replace"]));
    assert!(said.contains("not in it: removed packages of the base: cron"), "{said}");
    for ending in ["raw", "raw.json"] {
        fs::remove_file(bed.place().join(format!("strace_99_any.{ending}"))).expect("it was made");
    }

    // The base is another one than it was.
    for record in ["overlay.toml", "layers/@seen/files"] {
        let record = bed.place().join("state/overlays/x").join(record);
        expect_success(command("sed").args(["--in-place", "s/dpkg:/dpkG:/"]).arg(record));
    }
    refused(&["save", "x", "--ext", "strace"], "the base has changed since overlay 'x' was last entered");
    bed.assert_tree_unchanged();
}

fn wait_until_free(bed: &Bed) {
    for _ in 0..500 {
        if !words(&onlay(bed, &["save", "x", "--ext", "strace", "--replace", "--dry-run"])).contains("in use")
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn packages_of_rpm_are_told_with_their_licences() {
    let Some(bed) = Bed::of("rpm-sqlite") else { return };
    expect_words(&bed.inside(
        &[],
        "rpm --install --nosignature /srv/repo/base/noarch/lab-daemon-*.rpm",
        Stdio::null(),
    ));
    let report = onlay(&bed, &["save", "--ext", "lab-daemon", "--json", "--drop", "usr/lib/sysusers.d"]);
    assert!(report.status.success(), "{}", words(&report));
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    let packages = report["manifest"]["packages"].as_array().expect("a list");
    assert!(
        packages
            .iter()
            .any(|package| package["name"] == "lab-daemon" && package["license"] == "MIT OR Apache-2.0"),
        "{packages:#?}"
    );
    let left = report["changes"]["left"].as_array().expect("a list");
    let of_managers =
        left.iter().find(|row| row["why"].as_str().expect("text").starts_with("package managers'"));
    let of_managers = of_managers.expect("there is a database");
    assert_eq!(of_managers["weight"], "no-loss");
    assert!(of_managers["paths"].to_string().contains("/usr/lib/sysimage/rpm/rpmdb.sqlite"), "{of_managers}");
    let image = report["image"].as_str().expect("a path");
    let listed = words(&expect_success(command("unsquashfs").args(["-lls"]).arg(bed.place().join(image))));
    assert!(!listed.contains("rpmdb"), "{listed}");
    let top = unpacked(&bed, image, "unpacked");
    let headers =
        fs::read(top.join("usr/share/onlay/extensions/lab-daemon.rpm-headers")).expect("it is there");
    let headers = onlay::pkgdb::rpm::read_headers(&headers).expect("as rpm exports them");
    let header = Header::parse(headers[0]).expect("it is one");
    assert_eq!((headers.len(), &*header.name()), (1, "lab-daemon"));
    // What is not in the image is not installed.
    let missing: Vec<PathBuf> =
        header.files().filter(|file| !file.is_installed()).map(|file| file.path()).collect();
    assert_eq!(missing, [PathBuf::from("/usr/lib/sysusers.d/lab-daemon.conf")]);
    bed.assert_tree_unchanged();
}

#[test]
fn the_unlocked_host_is_saved() {
    alone::check("trixie", "live/save.sh", |_, _| {});
}
