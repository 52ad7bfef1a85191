//! `onlay inspect`, on images of ours.

use std::fs::{self, File};
use std::path::Path;

use onlay::image::squashfs::{Options, StoredFile, Writer};
use onlay::image::tree::{Device, Kind, Metadata, Node, Tree};
use onlay::sys::{Root, Xattrs};

use crate::kernel::command;

/// An image with one file of each kind that looks different.
fn write(image: &Path) {
    let file = File::options().read(true).write(true).create_new(true).open(image).expect("there is room");
    let dir = Root::open(image.parent().expect("a path")).expect("our directory");
    let writer = Writer::new(&file, 0, image, &dir, Options::new(1_700_000_000)).expect("it begins");
    let mut segment = writer.segment();
    let mut store =
        |content: &[u8]| segment.store(&mut &content[..], Path::new("memory")).expect("it is written");
    let (release, program) = (store(b"ID=debian\nVERSION_ID=13\n"), store(&vec![7; 300_000]));
    segment.close().expect("it is written");
    let mut tree = Tree::new(metadata(0o755, &[]));
    tree.make_directories(b"usr/lib/extension-release.d", &metadata(0o755, &[])).expect("it fits");
    tree.make_directories(b"usr/bin", &metadata(0o755, &[])).expect("it fits");
    let capability = [&0x0200_0001u32.to_le_bytes()[..], &0x2000u32.to_le_bytes(), &[0; 12]].concat();
    let attributes = [("security.capability", &capability[..]), ("user.x", b"y")];
    let nodes: [(&[u8], Metadata, Kind<StoredFile>); 5] = [
        (b"usr/lib/extension-release.d/extension-release.x", metadata(0o644, &[]), Kind::File(release)),
        (b"usr/bin/program", metadata(0o4755, &attributes), Kind::File(program)),
        (b"usr/bin/link", metadata(0o777, &[]), Kind::Symlink(b"program".to_vec())),
        (b"usr/bin/odd\n\xff", metadata(0o1666, &[]), Kind::Fifo),
        (b"null", metadata(0o666, &[]), Kind::CharacterDevice(Device { major: 1, minor: 3 })),
    ];
    for (path, metadata, kind) in nodes {
        tree.insert(path, Node::new(metadata, kind)).expect("it fits");
    }
    writer.finish(&tree).expect("it is written");
}

fn metadata(mode: u16, attributes: &[(&str, &[u8])]) -> Metadata {
    let xattrs = attributes.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
    Metadata { mode, uid: 0, gid: 5, mtime: 1_600_000_000, xattrs: Xattrs(xattrs) }
}

/// Runs the program; its exit code, stdout and stderr.
fn inspect(image: &Path, options: &[&str]) -> (Option<i32>, String, String) {
    let output = command(env!("CARGO_BIN_EXE_onlay")).arg("inspect").arg(image).args(options).output();
    let output = output.expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn an_image_is_told_and_its_files_are_listed() {
    let place = tempfile::tempdir().expect("there is room");
    let image = place.path().join("x.raw");
    write(&image);
    let told = "\
format       squashfs
compression  zstd, level 3, blocks of 128 KiB
size         4.0 kB
made         2023-11-14T22:13:20Z
holds        9 entries
readable     2 files, 300 kB

usr/lib/extension-release.d/extension-release.x:
    ID=debian
    VERSION_ID=13
";
    assert_eq!(inspect(&image, &[]), (Some(0), told.to_owned(), String::new()));
    let files = "\
crw-rw-rw-  0:5        1,3  2020-09-13 12:26:40  null
drwxr-xr-x  0:5             2020-09-13 12:26:40  usr/
drwxr-xr-x  0:5             2020-09-13 12:26:40  usr/bin/
lrwxrwxrwx  0:5             2020-09-13 12:26:40  usr/bin/link -> program
prw-rw-rwT  0:5             2020-09-13 12:26:40  usr/bin/odd\\n\\xff
-rwsr-xr-x  0:5     300000  2020-09-13 12:26:40  usr/bin/program  security.capability=cap_net_raw=ep  user.x=y
drwxr-xr-x  0:5             2020-09-13 12:26:40  usr/lib/
drwxr-xr-x  0:5             2020-09-13 12:26:40  usr/lib/extension-release.d/
-rw-r--r--  0:5         24  2020-09-13 12:26:40  usr/lib/extension-release.d/extension-release.x
";
    assert_eq!(inspect(&image, &["--files"]), (Some(0), files.to_owned(), String::new()));
    let (code, json, _) = inspect(&image, &["--files", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((code, &json["verified"]["bytes"]), (Some(0), &300_024.into()));
    assert_eq!((&json["level"], &json["time"]), (&3.into(), &"2023-11-14T22:13:20Z".into()));
    assert_eq!(json["extension_releases"][0]["text"], "ID=debian\nVERSION_ID=13\n");
    assert_eq!(json["files"][4]["path"], serde_json::json!(b"usr/bin/odd\n\xff"));
    assert_eq!(json["files"][5]["xattrs"]["user.x"], "y");
    assert_eq!(json["files"][5]["mode"], "4755");
}

#[test]
fn what_is_no_image_or_not_sound_is_told() {
    let place = tempfile::tempdir().expect("there is room");
    let image = place.path().join("x.raw");
    let shown = image.display();
    let case = |at: usize, magic: &[u8]| {
        let mut bytes = vec![0; 8192];
        bytes[at..at + magic.len()].copy_from_slice(magic);
        fs::write(&image, bytes).expect("there is room");
        inspect(&image, &[])
    };
    for (found, words) in [
        (case(1024, b"\xe2\xe1\xf5\xe0"), format!("the image '{shown}' is damaged: blocks of 2^0 bytes")),
        (case(0, b"x"), format!("'{shown}' is no image that is known here (squashfs, erofs, GPT disk)")),
    ] {
        assert_eq!(found, (Some(1), String::new(), format!("onlay: {words}\n")));
    }
    fs::remove_file(&image).expect("it is ours");
    write(&image);
    let good = fs::read(&image).expect("it was written");
    fs::write(&image, &good[..500]).expect("there is room");
    let (code, _, said) = inspect(&image, &[]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with(&format!("onlay: the image '{shown}' is damaged: it is cut off: ")), "{said}");
}
