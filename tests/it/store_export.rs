//! `onlay store export html`: pages that a strict parser reads, in which nothing is markup that was not meant to be.

use std::fs;

use crate::debian::{command, expect_success, words};
use crate::store::Bed;

/// Python's parser of XML reads them all, and follows their links.
const CHECK: &str = r"
import sys, os, xml.etree.ElementTree as E
for path in sys.argv[1:]:
    tree = E.parse(path)
    for e in tree.iter():
        assert e.tag.split('}')[-1] not in ('script', 'img', 'iframe', 'object', 'bold'), (path, e.tag)
        assert not any(name.startswith('on') for name in e.attrib), (path, e.attrib)
        href = e.attrib.get('href')
        if href and not href.startswith('http'):
            target = os.path.join(os.path.dirname(path), href)
            assert os.path.exists(target), (path, href)
    print(''.join(tree.getroot().itertext()))
";

#[test]
fn pages_are_well_formed_and_show_what_there_is() {
    let bed = Bed::make();
    let key = bed.key("A Store");
    let images = ["9.1-1", "10.0-1"].map(|version| bed.good(version));
    bed.image("tools_3_any.raw", "tools", "x", "ID=_any\nVERSION_ID=\"<bold>&'\"\n");
    let secret = format!("keys/{key}.key");
    let added = bed.onlay(&["add", "store", &images[0], &images[1], "tools_3_any.raw", "--key", &secret]);
    assert_eq!(added.0, Some(0), "{}", added.1);
    let title = "Tools & <bold>\"friends\"</bold> 'of' ours";
    let said = bed.onlay(&["export", "html", "store", "store", "--title", title]);
    assert_eq!(said, (Some(0), "onlay: made 3 pages in store\n".to_owned()));
    let check = |directory: &str| {
        let mut python = command("python3");
        let pages = ["index.html", "feed.atom", "extensions/gdb.html", "extensions/tools.html"];
        python.args(["-c", CHECK]).args(pages.map(|page| bed.at(directory).join(page)));
        words(&expect_success(&mut python))
    };
    let shown = check("store");
    for text in [title, &key, "10.0-1", "9.1-1", "debian 13", "any host", "onlay ext add gdb"] {
        assert!(shown.contains(text), "'{text}' in {shown}");
    }
    // The newest comes first.
    let gdb = fs::read_to_string(bed.at("store/extensions/gdb.html")).expect("it is there");
    assert!(gdb.find("10.0-1") < gdb.find("9.1-1"), "{gdb}");
    assert!(!gdb.contains("importctl"), "{gdb}");
    assert_eq!(bed.onlay(&["verify", "store"]).0, Some(0));

    let url = "https://example.org/~me/sysext/";
    let said = bed.onlay(&["export", "html", "store", "pages", "--url", url]);
    assert_eq!(said.0, Some(0), "{}", said.1);
    let shown = check("pages");
    assert!(shown.contains("importctl pull-raw --class=sysext --verify=signature https://example.org/~me/sysext/gdb_10.0-1_x86-64.raw gdb"), "{shown}");
    let wanted = format!("[store.example-org]\nurl = \"{url}\"\nkeys = [\"{key}\"]");
    assert!(shown.contains(&wanted), "{shown}");
    for bad in ["ftp://x", "https://", "https://x/\"><script>", "x"] {
        assert_eq!(bed.onlay(&["export", "html", "store", "pages", "--url", bad]).0, Some(2), "{bad}");
    }
}

/// Pages lead to the images from wherever they lie, keep what they were made with, and follow what is in the store.
#[test]
fn pages_follow_the_store() {
    let bed = Bed::make();
    let images = ["1", "2"].map(|version| bed.good(version));
    bed.image("tools_3_any.raw", "tools", "x", "ID=_any\n");
    assert_eq!(bed.onlay(&["add", "store", &images[0], "tools_3_any.raw"]).0, Some(0));
    let page = |path: &str| fs::read_to_string(bed.at(path)).unwrap_or_default();
    let check = |directory: &str, pages: &[&str]| {
        let mut python = command("python3");
        python.args(["-c", CHECK]).args(pages.iter().map(|page| bed.at(directory).join(page)));
        words(&expect_success(&mut python))
    };
    let all = ["index.html", "feed.atom", "extensions/gdb.html", "extensions/tools.html"];
    // Beside the store, and below it.
    for directory in ["site", "store/site"] {
        let said = bed.onlay(&["export", "html", "store", directory]);
        assert_eq!(said.0, Some(0), "{}", said.1);
        check(directory, &all);
    }
    assert!(page("site/extensions/gdb.html").contains("href=\"../../store/gdb_1_x86-64.raw\""));
    fs::remove_dir_all(bed.at("store/site")).expect("ours");
    // What is elsewhere links its own pages, wherever the store is.
    assert_eq!(bed.onlay(&["export", "html", "store", "site", "--url", "https://example.org/x"]).0, Some(0));
    assert!(page("site/feed.atom").contains("<link href=\"extensions/gdb.html\"/>"));
    assert!(page("site/extensions/gdb.html").contains("href=\"https://example.org/x/gdb_1_x86-64.raw\""));

    let title = "Tools & <friends>";
    let said =
        bed.onlay(&["export", "html", "store", "store", "--title", title, "--url", "https://example.org/x"]);
    assert_eq!(said.0, Some(0), "{}", said.1);
    assert!(page("store/feed.atom").contains("<link href=\"https://example.org/x/extensions/gdb.html\"/>"));
    let other = page("store/extensions/tools.html");
    assert_eq!(bed.onlay(&["add", "store", &images[1]]).0, Some(0));
    assert!(page("store/extensions/gdb.html").contains("<h3>2</h3>"));
    assert!(page("store/index.html").contains("Tools &amp; &lt;friends&gt;"));
    assert!(
        page("store/extensions/gdb.html").contains("importctl")
            && page("store/extensions/tools.html") == other
    );
    assert_eq!(bed.onlay(&["remove", "store", "tools"]).0, Some(0));
    assert!(!bed.at("store/extensions/tools.html").exists());
    check("store", &["index.html", "feed.atom", "extensions/gdb.html"]);
    assert_eq!(bed.onlay(&["verify", "store"]).0, Some(0));
    // Made again, they are as they were.
    let before = page("store/index.html");
    assert_eq!(bed.onlay(&["export", "html", "store", "store"]).0, Some(0));
    assert_eq!(page("store/index.html"), before);

    // Who was killed before has left the older ones: that is told, and the next change makes them anew.
    let stale = before.replace("name=\"onlay-serial\" content=\"4\"", "name=\"onlay-serial\" content=\"3\"");
    assert_ne!(stale, before);
    fs::write(bed.at("store/index.html"), stale).expect("ours");
    let said = bed.onlay(&["verify", "store"]);
    assert!(said.0 == Some(1) && said.1.contains("show another state of the store"), "{}", said.1);
    assert_eq!(bed.onlay(&["add", "store", &images[1]]).0, Some(0));
    assert_eq!((bed.onlay(&["verify", "store"]).0, page("store/index.html")), (Some(0), before));
}

#[test]
fn pages_of_others_are_not_written_over() {
    let bed = Bed::make();
    let good = bed.good("1");
    assert_eq!(bed.onlay(&["add", "store", &good]).0, Some(0));
    for file in ["index.html", "feed.atom", "extensions/gdb.html"] {
        let directory = bed.at("site");
        fs::create_dir_all(directory.join("extensions")).expect("ours");
        fs::write(directory.join(file), "theirs").expect("ours");
        let (code, said) = bed.onlay(&["export", "html", "store", "site"]);
        let told =
            format!("onlay: 'site/{file}' is in the way of a page, and this program did not make it\nhint: ");
        assert!(code == Some(1) && said.starts_with(&told), "{said}");
        let found = |file: &str| fs::read_to_string(directory.join(file)).ok();
        assert_eq!(found(file).as_deref(), Some("theirs"));
        let others = ["index.html", "feed.atom", "extensions/gdb.html"].map(found);
        assert_eq!(others.iter().flatten().count(), 1, "nothing else was made");
        assert_eq!(bed.onlay(&["export", "html", "store", "site", "--force"]).0, Some(0));
        assert_ne!(found(file).as_deref(), Some("theirs"));
        fs::remove_dir_all(directory).expect("ours");
    }
}
