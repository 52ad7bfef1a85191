//! Databases of packages while extensions are merged, with rpm, dpkg and those who use them as the judges.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use onlay::extension::database::{MergedDatabase, NAME, Remark, generate};
use onlay::extension::fit::Extension;
use onlay::extension::{Class, Contents, Directory, ImageFiles};
use onlay::host::Host;
use onlay::package::Header;
use onlay::package::archive::{Control, PackageFile};
use onlay::package::header::{FileState, tag};
use onlay::pkgdb::rpm::{Access, Database, Location, Opening};
use onlay::sys::{Root, Xattrs};

use crate::alone;
use crate::debian::{ONLAY, command, expect_success, place, tree};

/// Every package file of a repository in a tree.
fn packages(tree: &Path, repository: &str) -> Vec<PathBuf> {
    let output =
        expect_success(command("find").arg(tree.join("srv/repo").join(repository)).args(["-name", "*.rpm"]));
    let mut found: Vec<PathBuf> =
        String::from_utf8(output.stdout).expect("text").lines().map(PathBuf::from).collect();
    found.sort();
    found
}

/// What rpm says when it installs a package; rpm 6 also digests of the package file (PACKAGEDIGESTS and PACKAGEDIGESTALGOS).
const AT_INSTALLATION: &[u32] =
    &[tag::INSTALL_TIME, tag::INSTALL_TID, tag::INSTALL_COLOR, tag::FILE_STATES, 5118, 5119];

/// The header of a package file as we would have it in a database is what rpm has in its own.
fn headers_are_as_rpm_has_them(name: &str) {
    let Some(tree) = tree(name) else { return };
    let root = Root::open(&tree).expect("a tree");
    let location = Location::find(&root).expect("it can be read").expect("there is one");
    let opening =
        Opening { scratch: Path::new("/tmp"), patience: Duration::from_secs(5), access: Access::Read };
    let database = Database::open(&root, &location, &opening).expect("it can be read");
    let mut compared = 0;
    for path in packages(&tree, "base") {
        let package = PackageFile::open(&path).expect("a package");
        let Control::Rpm(rpm) = package.control() else { panic!("an RPM package") };
        let count = rpm.header().files().count();
        let ours = rpm.installed_header(1, &vec![FileState::Normal; count]);
        let ours = Header::parse(&ours).expect("it is one");
        database
            .each_named(&package.name(), &mut |_, theirs| {
                let theirs = Header::parse(theirs).expect("it is one");
                if theirs.package_identity() != ours.package_identity() {
                    return Ok(());
                }
                let said = |header: &Header<'_>| {
                    let entries =
                        header.entries().iter().filter(|entry| !AT_INSTALLATION.contains(&entry.tag));
                    entries.map(|one| (one.tag, one.kind, one.count, one.data.to_vec())).collect::<Vec<_>>()
                };
                assert_eq!(said(&ours), said(&theirs), "{}", path.display());
                assert_eq!(ours.region(), theirs.region());
                let states = theirs.numbers(tag::FILE_STATES).len();
                assert_eq!(ours.numbers(tag::FILE_STATES).len(), states, "{}", path.display());
                compared += 1;
                Ok(())
            })
            .expect("it can be read");
    }
    assert!(compared > 50, "only {compared} packages of the repository are installed");
}

#[test]
fn headers_are_as_rpm_has_them_in_sqlite() {
    headers_are_as_rpm_has_them("rpm-sqlite");
}

#[test]
fn headers_are_as_rpm_6_has_them() {
    headers_are_as_rpm_has_them("rpm-unstable");
}

/// Builds an image for a base, of package files.
fn build(base: &Path, place: &Path, name: &str, packages: &[&str], options: &[&str]) -> PathBuf {
    let mut onlay = command(ONLAY);
    onlay.arg("--root").arg(base).arg("--state").arg(place.join("state")).args(["build", name, "--output"]);
    onlay.arg(place).args(options);
    for package in packages {
        onlay.arg("--package").arg(base.join("srv/repo").join(package));
    }
    expect_success(&mut onlay);
    let is_it = |path: &PathBuf| {
        let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
        file.starts_with(&format!("{name}_")) && path.extension().is_some_and(|suffix| suffix == "raw")
    };
    let mut entries = fs::read_dir(place).expect("ours").map(|entry| entry.expect("ours").path());
    entries.find(is_it).expect("it was built")
}

/// Has the database made for a base and images in the order in which they are laid.
fn generated(base: &Path, state: &Path, images: &[(&str, &Path)]) -> MergedDatabase {
    let host = Host::open(base).expect("it opens");
    let contents: Vec<Box<dyn Contents>> = images
        .iter()
        .map(|(_, path)| -> Box<dyn Contents> {
            if path.is_dir() {
                Box::new(Directory::new(Root::open(*path).expect("it opens")))
            } else {
                Box::new(ImageFiles::open(path).expect("an image"))
            }
        })
        .collect();
    let laid: Vec<Extension<'_>> = images
        .iter()
        .zip(&contents)
        .map(|((name, _), contents)| Extension { name, class: Class::Sysext, contents: &**contents })
        .collect();
    fs::create_dir_all(state).expect("ours");
    generate(&host, &laid, &Root::open(state).expect("it opens"))
}

/// What the scene on a host of RPMs changes in the list of all packages.
const CHANGED: &str = "\
< lab-config noarch 1.0-1
< lab-epoch noarch 20.0-1
> lab-config noarch 2.0-1
> lab-epoch noarch 1:0.2-1
> lab-kernel noarch 2.0-1
> lab-rich noarch 1.0-1
> lab-tool x86_64 1.0-1
";

/// What is said of it.
const REMARKS: &str = "\
'newer' has lab-tool in version 2.0-1, but 'tools' lies above with another
'tools' has lab-config in version 2.0-1, which replaces the base's 1.0-1
'newer' has lab-epoch in version 1:0.2-1, which replaces the base's 20.0-1
";

/// Real tools on a host whose packages are RPMs.
fn rpm_tells_the_truth(tree: &str) {
    alone::check(tree, "extension/rpm.sh", |place, tree| {
        let tools = build(
            tree,
            place,
            "tools",
            &[
                "base/x86_64/lab-tool-1.0-1.x86_64.rpm",
                "base/noarch/lab-rich-1.0-1.noarch.rpm",
                "updates/noarch/lab-config-2.0-1.noarch.rpm",
            ],
            &["--drop", "usr/share/lab-rich", "--version", "1", "--replace"],
        );
        let newer = build(
            tree,
            place,
            "newer",
            &[
                "updates/noarch/lab-epoch-0.2-1.noarch.rpm",
                "updates/noarch/lab-kernel-2.0-1.noarch.rpm",
                "updates/x86_64/lab-tool-2.0-1.x86_64.rpm",
            ],
            &["--version", "2", "--replace"],
        );
        let share = place.join("share");
        for image in [tools, newer] {
            fs::rename(&image, share.join(image.file_name().expect("a name"))).expect("ours");
        }
        fs::write(share.join("remarks"), REMARKS).expect("ours");
        fs::write(share.join("expected"), CHANGED).expect("ours");
    });
}

#[test]
fn rpm_tells_the_truth_from_sqlite() {
    rpm_tells_the_truth("rpm-sqlite");
}

#[test]
fn rpm_tells_the_truth_from_ndb() {
    rpm_tells_the_truth("rpm-ndb");
}

#[test]
fn rpm_6_tells_the_truth() {
    rpm_tells_the_truth("rpm-unstable");
}

/// Overlays that are entered with and without extensions, on a host whose packages are RPMs.
fn overlays_are_one_thing(tree: &str) {
    alone::check(tree, "extension/entered.sh", |place, tree| {
        fs::write(place.join("plain"), "").expect("ours");
        let image = build(tree, place, "tools", &["base/x86_64/lab-tool-1.0-1.x86_64.rpm"], &["--replace"]);
        fs::rename(&image, place.join("share").join(image.file_name().expect("a name"))).expect("ours");
        // What is about files alone is the same over dpkg.
        fs::write(place.join("share/packages-alone"), "").expect("ours");
    });
}

#[test]
fn overlays_are_one_thing_over_sqlite() {
    overlays_are_one_thing("rpm-sqlite");
}

#[test]
fn overlays_are_one_thing_over_ndb() {
    overlays_are_one_thing("rpm-ndb");
}

#[test]
fn overlays_are_one_thing_over_dpkg() {
    alone::check("trixie", "extension/entered.sh", |place, tree| {
        fs::write(place.join("plain"), "").expect("ours");
        let (own, tool) = (lab_deb(place), tool_deb(place, tree));
        let share = place.join("share");
        let image = build(tree, place, "tools", &[tool.to_str().expect("text")], &[]);
        for file in [&own, &tool, &image] {
            fs::copy(file, share.join(file.file_name().expect("a name"))).expect("there is room");
        }
    });
}

/// Makes a Debian package of what a function puts into a directory.
fn deb(place: &Path, name: &str, fields: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let source = place.join(format!("source-{name}"));
    fs::create_dir_all(source.join("DEBIAN")).expect("ours");
    fill(&source);
    let control = format!(
        "Package: {name}\nVersion: 1:2.0-3\nMaintainer: lab <lab@example.org>\n{fields}\
         Description: a package for tests\n of several lines\n .\n the last one\n"
    );
    fs::write(source.join("DEBIAN/control"), control).expect("ours");
    let package = place.join(format!("{name}.deb"));
    let mut make = command("dpkg-deb");
    expect_success(make.args(["--root-owner-group", "--build", "-Znone"]).arg(&source).arg(&package));
    package
}

fn write(top: &Path, name: &str, text: &str) {
    let path = top.join(name);
    fs::create_dir_all(path.parent().expect("below")).expect("ours");
    fs::write(path, text).expect("ours");
}

/// A package with settings, for one of several architectures, that does not say the digests of its files.
fn lab_deb(place: &Path) -> PathBuf {
    deb(place, "lab-deb", "Architecture: amd64\nMulti-Arch: same\nSection: utils\n", |top| {
        write(top, "usr/share/lab-deb/file", "content\n");
        write(top, "usr/share/lab-deb/\u{e4} b", "odd\n");
        write(top, "usr/share/doc/lab-deb/dropped", "dropped\n");
        write(top, "etc/lab-deb.conf", "configured\n");
        fs::create_dir_all(top.join("usr/share/lab-deb/empty")).expect("ours");
        symlink("file", top.join("usr/share/lab-deb/link")).expect("ours");
        write(top, "DEBIAN/conffiles", "/etc/lab-deb.conf\n");
    })
}

/// A package with a program.
fn tool_deb(place: &Path, tree: &Path) -> PathBuf {
    deb(place, "onlay-tool", "Architecture: all\n", |top| {
        fs::create_dir_all(top.join("usr/bin")).expect("ours");
        fs::copy(tree.join("usr/bin/strace"), top.join("usr/bin/onlay-strace")).expect("it is there");
    })
}

/// What we say of a package is what dpkg says when it installs it.
#[test]
fn stanzas_and_lists_are_as_dpkg_has_them() {
    let place = place();
    let at = |name: &str| place.path().join(name);
    let package = lab_deb(place.path());
    for directory in ["info", "updates"] {
        fs::create_dir_all(at("theirs/var/lib/dpkg").join(directory)).expect("ours");
    }
    fs::write(at("theirs/var/lib/dpkg/status"), "").expect("ours");
    let mut dpkg = command("dpkg");
    dpkg.arg("--root").arg(at("theirs")).args([
        "--force-not-root",
        "--force-architecture",
        "--log=/dev/null",
    ]);
    expect_success(dpkg.arg("--install").arg(&package));

    write(&at("base"), "usr/lib/os-release", "ID=lab\n");
    write(&at("base"), "etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    write(&at("base"), "etc/group", "root:x:0:\n");
    let image = build(&at("base"), place.path(), "lab", &[package.to_str().expect("text")], &["--unfit"]);
    expect_success(
        command("unsquashfs").args(["-quiet", "-no-progress", "-dest"]).arg(at("top")).arg(&image),
    );
    let ours = at("top/usr/share/onlay/extensions/lab.dpkg");

    let read = |top: &Path, name: &str| fs::read_to_string(top.join(name)).expect(name);
    let theirs = at("theirs/var/lib/dpkg");
    for file in [
        "info/format",
        "info/lab-deb:amd64.list",
        "info/lab-deb:amd64.md5sums",
        "info/lab-deb:amd64.conffiles",
    ] {
        assert_eq!(read(&ours, file), read(&theirs, file), "{file}");
    }
    // dpkg has an order of its own.
    let fields = |text: &str| -> BTreeSet<String> {
        text.trim_end()
            .split('\n')
            .fold(Vec::<String>::new(), |mut fields, line| {
                match fields.last_mut() {
                    Some(last) if line.starts_with(' ') => last.push_str(line),
                    _ => fields.push(line.to_owned()),
                }
                fields
            })
            .into_iter()
            .collect()
    };
    assert_eq!(fields(&read(&ours, "status")), fields(&read(&theirs, "status")));
    // And it is a database by itself.
    let mut query = command("dpkg-query");
    let output = expect_success(query.arg("--admindir").arg(&ours).args(["--listfiles", "lab-deb:amd64"]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("/usr/share/lab-deb/link\n"));
}

#[test]
fn dpkg_tells_the_truth_where_its_database_is_in_usr() {
    alone::check("trixie", "extension/dpkg.sh", |place, tree| {
        let package = lab_deb(place);
        let tool = tool_deb(place, tree);
        let of = |path: &Path| path.to_str().expect("text").to_owned();
        let packages = [of(&package), of(&tool)];
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        let image = build(tree, place, "tools", &packages, &["--drop", "usr/share/doc"]);
        let share = place.join("share");
        fs::rename(&image, share.join(image.file_name().expect("a name"))).expect("ours");
        fs::copy(&package, share.join("lab-deb.deb")).expect("there is room");
        fs::write(share.join("expected"), "> lab-deb:amd64\t1:2.0-3\n> onlay-tool\t1:2.0-3\n").expect("ours");
    });
}

/// A small base with a database of rpm's, taken from a tree.
fn small_base(tree: &Path, at: &Path) {
    fs::create_dir_all(at.join("usr/lib/sysimage")).expect("ours");
    let database = tree.join("usr/lib/sysimage/rpm");
    expect_success(command("cp").arg("--archive").arg(database).arg(at.join("usr/lib/sysimage")));
    write(at, "usr/lib/os-release", "ID=lab\n");
}

/// Every name below a directory, with its inode.
fn names(top: &Path) -> BTreeSet<String> {
    let output = expect_success(command("find").arg(top).args(["-printf", "%P %i\n"]));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn a_database_is_made_again_only_where_it_would_be_another() {
    let Some(tree) = tree("rpm-sqlite") else { return };
    let place = place();
    let at = |name: &str| place.path().join(name);
    small_base(&tree, &at("base"));
    let tool = build(&tree, place.path(), "tool", &["base/x86_64/lab-tool-1.0-1.x86_64.rpm"], &["--unfit"]);
    let rich = build(&tree, place.path(), "rich", &["base/noarch/lab-rich-1.0-1.noarch.rpm"], &["--unfit"]);
    let state = at("state");
    let make = |images: &[(&str, &Path)]| generated(&at("base"), &state, images);

    let one = make(&[("tool", &tool)]);
    let path = one.extension.clone().expect("there is one");
    let before = names(&path);
    assert_eq!(make(&[("tool", &tool)]), one);
    assert_eq!(names(&path), before);

    // What was broken off, and what is of no use any more, goes; what is merged stays.
    fs::create_dir_all(state.join("database/.broken.new/extension/usr")).expect("ours");
    fs::create_dir_all(at("base/run/extensions")).expect("ours");
    symlink(&path, at("base/run/extensions").join(NAME)).expect("ours");
    let two = make(&[("tool", &tool), ("rich", &rich)]);
    assert_eq!(two.packages, 2);
    assert!(path.exists() && !state.join("database/.broken.new").exists());
    fs::remove_file(at("base/run/extensions").join(NAME)).expect("ours");
    write(&at("base"), "usr/lib/sysimage/rpm/rpmdb.sqlite-wal", "");
    let database = at("base/usr/lib/sysimage/rpm/rpmdb.sqlite");
    expect_success(command("touch").arg("--date=2020-01-01").arg(&database));
    let other = make(&[("tool", &tool), ("rich", &rich)]);
    assert_eq!((other.packages, other.extension == two.extension), (2, false));
    let kept = fs::read_dir(state.join("database")).expect("ours").count();
    assert_eq!(kept, 2, "the last one, and the lock");

    // Where the base has all of it, there is nothing to be made.
    let strace =
        build(&tree, place.path(), "strace", &["base/x86_64/strace-6.13+ds-1.x86_64.rpm"], &["--unfit"]);
    let none = make(&[("strace", &strace)]);
    assert_eq!(none, MergedDatabase::default());
    // Nor where nothing is laid, or nobody says what it is.
    assert_eq!(make(&[]), MergedDatabase::default());
    write(&at("silent"), "usr/bin/silent", "#!/usr/bin/sh\n");
    let silent = make(&[("silent", &at("silent"))]);
    assert_eq!(silent.extension, None);
    assert_eq!(silent.remarks, [Remark::NoRecords { extension: "silent".into() }]);
}

#[test]
fn its_files_are_like_those_of_the_base() {
    let Some(tree) = tree("rpm-sqlite") else { return };
    let place = place();
    let at = |name: &str| place.path().join(name);
    small_base(&tree, &at("base"));
    let base = Root::open(at("base")).expect("ours");
    let label = |path: &str, label: &str| {
        Xattrs::set(&base, Path::new(path), b"security.selinux", label.as_bytes()).expect("root can");
    };
    label("usr", "u:object_r:usr_t:s0");
    label("usr/lib", "u:object_r:lib_t:s0");
    label("usr/lib/os-release", "u:object_r:etc_t:s0");
    label("usr/lib/sysimage/rpm", "u:object_r:rpm_var_lib_t:s0");
    label("usr/lib/sysimage/rpm/rpmdb.sqlite", "u:object_r:rpm_var_lib_t:s0");
    expect_success(command("chown").arg("12:34").arg(at("base/usr/lib/sysimage/rpm/rpmdb.sqlite")));
    fs::set_permissions(at("base/usr/lib/sysimage"), fs::Permissions::from_mode(0o711)).expect("ours");
    let tool = build(&tree, place.path(), "tool", &["base/x86_64/lab-tool-1.0-1.x86_64.rpm"], &["--unfit"]);
    let made = generated(&at("base"), &at("state"), &[("tool", &tool)]).extension.expect("there is one");
    let top = Root::open(&made).expect("ours");
    let label_of = |path: &str| {
        let path = Path::new(path);
        let parent = top.open_dir(path.parent().expect("below")).expect("it is there");
        let attributes = Xattrs::read(&parent, Path::new(path.file_name().expect("a name"))).expect("ours");
        attributes.get("security.selinux").map(|label| String::from_utf8_lossy(label).into_owned())
    };
    for (path, label) in [
        ("usr", Some("u:object_r:usr_t:s0")),
        ("usr/lib", Some("u:object_r:lib_t:s0")),
        // Nobody has labelled it.
        ("usr/lib/sysimage", None),
        ("usr/lib/sysimage/rpm", Some("u:object_r:rpm_var_lib_t:s0")),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite", Some("u:object_r:rpm_var_lib_t:s0")),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite-wal", Some("u:object_r:rpm_var_lib_t:s0")),
        ("usr/lib/extension-release.d", Some("u:object_r:lib_t:s0")),
    ] {
        assert_eq!(label_of(path).as_deref(), label, "{path}");
    }
    let like = |path: &str| {
        let [ours, theirs] =
            [&made, &at("base")].map(|top| fs::symlink_metadata(top.join(path)).expect("it is there"));
        assert_eq!(
            (ours.mode(), ours.uid(), ours.gid()),
            (theirs.mode(), theirs.uid(), theirs.gid()),
            "{path}"
        );
    };
    for path in ["usr", "usr/lib/sysimage", "usr/lib/sysimage/rpm", "usr/lib/sysimage/rpm/rpmdb.sqlite"] {
        like(path);
    }
}

/// Images are foreign: what makes no sense in one is told, and does not keep others from being in the database.
#[test]
fn records_that_make_no_sense_are_told() {
    let Some(tree) = tree("rpm-sqlite") else { return };
    let place = place();
    let at = |name: &str| place.path().join(name);
    small_base(&tree, &at("base"));
    let tool = build(&tree, place.path(), "tool", &["base/x86_64/lab-tool-1.0-1.x86_64.rpm"], &["--unfit"]);
    let records = "usr/share/onlay/extensions";
    write(&at("garbage"), &format!("{records}/garbage.rpm-headers"), "no header");
    write(&at("half"), &format!("{records}/half.dpkg/status"), "Package: half\n");
    fs::create_dir_all(at("half").join(records).join("half.rpm-headers")).expect("ours");
    write(
        &at("other"),
        &format!("{records}/other.dpkg/status"),
        "Package: other\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n",
    );
    let images: &[(&str, &Path)] =
        &[("garbage", &at("garbage")), ("half", &at("half")), ("other", &at("other")), ("tool", &tool)];
    let made = generated(&at("base"), &at("state"), images);
    assert_eq!(made.packages, 1);
    let said: Vec<String> = made.remarks.iter().map(Remark::to_string).collect();
    let expected = [
        "what 'garbage' says of its packages cannot be read: usr/share/onlay/extensions/garbage.rpm-headers: a header does not begin like one",
        "what 'half' says of its packages cannot be read: usr/share/onlay/extensions/half.dpkg/status: line 1 begins a stanza without a right Status",
        "'other' has packages of dpkg, which are not in this host's database",
    ];
    assert_eq!(said, expected);

    // A base whose database cannot be read is one more reason to tell, and none to fail.
    fs::write(at("base/usr/lib/sysimage/rpm/rpmdb.sqlite"), "no database").expect("ours");
    let none = generated(&at("base"), &at("state"), &[("tool", &tool)]);
    assert_eq!(none.extension, None);
    assert!(matches!(&none.remarks[..], [Remark::Failed { .. }]), "{:?}", none.remarks);
}

#[test]
fn a_database_in_var_is_out_of_reach_and_files_have_owners_all_the_same() {
    let Some(tree) = tree("trixie") else { return };
    let place = place();
    let at = |name: &str| place.path().join(name);
    let package = lab_deb(place.path());
    let image =
        build(&tree, place.path(), "lab", &[package.to_str().expect("text")], &["--drop", "usr/share/doc"]);
    let made = generated(&tree, &at("state"), &[("lab", &image)]);
    assert_eq!(made.extension, None);
    let expected = "dpkg does not know the packages of extensions, since its database '/var/lib/dpkg' is not in /usr; 'onlay ext owner' does";
    assert_eq!(made.remarks.iter().map(Remark::to_string).collect::<Vec<_>>(), [expected]);

    fs::create_dir_all(at("host/var/lib/extensions/silent/usr/bin")).expect("ours");
    write(&at("host"), "var/lib/extensions/silent/usr/bin/silent", "#!/usr/bin/sh\n");
    write(&at("host"), "usr/lib/os-release", "ID=debian\nVERSION_ID=13\n");
    fs::copy(&image, at("host/var/lib/extensions/lab.raw")).expect("there is room");
    fs::create_dir_all(at("host/usr/bin")).expect("ours");
    symlink("usr/bin", at("host/bin")).expect("ours");
    let owner = |words: &[&str]| {
        let mut onlay = command(ONLAY);
        onlay.arg("--root").arg(at("host")).args(["ext", "owner"]).args(words);
        let output = onlay.output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let lab = "lab-deb 1:2.0-3 amd64, in extension 'lab'";
    let (code, said, _) = owner(&[
        "/usr/share/lab-deb/file",
        "/etc/lab-deb.conf",
        "/bin/silent",
        "/usr/lib/extension-release.d/extension-release.lab",
    ]);
    assert_eq!(code, Some(0), "{said}");
    let expected = [
        format!("/usr/share/lab-deb/file: {lab}"),
        format!("/etc/lab-deb.conf: {lab}"),
        "/bin/silent: no package, in extension 'silent'".to_owned(),
        "/usr/lib/extension-release.d/extension-release.lab: no package, in extension 'lab'".to_owned(),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    let (code, said, errors) = owner(&["/usr/share/doc/lab-deb/dropped"]);
    assert_eq!((code, &*said), (Some(1), ""));
    assert_eq!(errors, "onlay: no extension has '/usr/share/doc/lab-deb/dropped'\n");
    let (_, json, _) = owner(&["--json", "/usr/share/lab-deb/file"]);
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(rows[0]["packages"][0]["version"], "1:2.0-3");
    assert_eq!(rows[0]["extension"], "lab");
}
