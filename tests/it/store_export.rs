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
    for bad in ["ftp://x", "https://", "https://x/\"><script>", "x"] {
        assert_eq!(bed.onlay(&["export", "html", "store", "pages", "--url", bad]).0, Some(2), "{bad}");
    }
}
