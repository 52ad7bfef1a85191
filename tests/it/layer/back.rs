//! Ways back: what is undone, kept and cleared, and what is only downloaded or said.

use serde_json::Value;

use super::disk::Disk;

/// What was downloaded, by name.
const DOWNLOADED: &str = "ls state/layers/cache/archives";

#[test]
fn what_was_asked_for_last_is_undone() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect("layer add onlay-tool; layer add onlay-needy --remove onlay-tool");
    let before = disk.status();
    let said = disk.expect("layer undo --dry-run");
    assert!(
        said.contains("would add onlay-tool 1.0") && said.contains("would remove onlay-needy 1.0"),
        "{said}"
    );
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(disk.status(), before);
    disk.expect("layer undo");
    assert_eq!(disk.layered(), ["onlay-tool"]);
    // It is a change as others are, and undone as others are.
    assert!(disk.expect("layer history").contains("undo 2"));
    disk.expect("layer undo");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy"]);
    disk.expect("layer undo 1");
    assert_eq!(disk.status()[0]["layers"], Value::Null);
    let said = disk.refuse("code=0; layer undo 99 || code=$?; test $code = 2; exit 1");
    assert!(said.contains("there is no such change to undo"), "{said}");
    disk.assert_sound();
}

#[test]
fn what_is_pinned_stays() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect("layer add onlay-tool");
    let id = disk.status()[0]["id"].as_str().expect("a name").to_owned();
    let short = &id[..12];
    let said = disk.expect(&format!("layer pin {short} --dry-run"));
    assert!(said.contains(&format!("would pin {short}")), "{said}");
    assert_eq!(disk.status()[0]["pinned"], false);
    disk.expect(&format!(
        "layer pin {short}; ostree_admin status | grep -i 'pinned: yes'; layer status | grep pinned"
    ));
    // Many come and go after it.
    disk.expect("layer add onlay-probe; layer add onlay-base; layer remove onlay-probe");
    let status = disk.status();
    let found = status.as_array().expect("a list").iter().find(|row| row["id"] == *id);
    assert_eq!(found.map(|row| &row["pinned"]), Some(&Value::Bool(true)), "{status}");
    let said = disk.expect(&format!("layer pin --unpin {short} --dry-run; layer pin --unpin {short}"));
    assert!(said.contains("would unpin"), "{said}");
    disk.expect("! layer status | grep pinned; layer add onlay-needy");
    assert!(disk.status().as_array().expect("a list").iter().all(|row| row["id"] != *id));
    let said = disk.refuse("layer pin 0000");
    assert!(said.contains("there is no deployment '0000'"), "{said}");
    disk.assert_sound();
}

#[test]
fn what_is_cleared_is_said_first() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect("layer add onlay-tool");
    let (before, downloaded) = (disk.status(), disk.expect(DOWNLOADED));
    assert!(downloaded.contains("onlay-tool"), "{downloaded}");
    let said = disk.expect("layer cleanup --dry-run");
    assert!(said.contains("would remove what was downloaded"), "{said}");
    assert_eq!((disk.status(), disk.expect(DOWNLOADED)), (before.clone(), downloaded));
    disk.expect(&format!("layer cleanup; ! {DOWNLOADED} 2>/dev/null"));
    assert_eq!(disk.status(), before);
    disk.assert_sound();
}

#[test]
fn what_is_downloaded_needs_no_network_then() {
    let Some(disk) = Disk::debian() else { return };
    let before = disk.status();
    let said = disk.expect("layer add onlay-needy --download-only");
    assert!(
        said.contains("would add onlay-needy 1.0") && said.contains("all that takes is downloaded"),
        "{said}"
    );
    assert_eq!(disk.status(), before);
    assert!(disk.expect(DOWNLOADED).contains("onlay-needy"));
    assert!(disk.expect("layer history").trim().is_empty());
    // Where the packages came from, there are none any more.
    disk.expect("rm \"$(next)\"/usr/share/packages/*.deb");
    let said = disk.refuse("layer add onlay-tool --cached");
    assert!(said.contains("onlay-tool"), "{said}");
    disk.expect("layer add onlay-needy --cached");
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy"]);
    // A newer base as well: it is only fetched.
    disk.expect("f() { mkdir -p extra/usr/share; echo two >extra/usr/share/two; }; newer_base 13.2 f");
    let (before, said) = (disk.status(), disk.expect("layer upgrade --download-only"));
    assert!(said.contains("base 13.1 to 13.2") && said.contains("all that takes is downloaded"), "{said}");
    assert_eq!(disk.status(), before);
    disk.expect("layer upgrade --cached; grep two \"$(next)\"/usr/share/two");
    disk.assert_sound();
}
