//! `onlay layer import`: what rpm-ostree or atomic-pkglayer was asked for, of origins as they write them.

use serde_json::{Value, json};

use super::disk::Disk;

/// Gives the first deployment another origin: `origin <TEXT`.
const ORIGIN: &str = "origin() { local file; file=$(ls sysroot/ostree/deploy/debian/deploy/*.origin | head -n 1); cat >\"$file\"; }\n";

#[test]
fn what_rpm_ostree_was_asked_for_is_asked_for_here() {
    let Some(disk) = Disk::debian() else { return };
    let run = |script: &str| disk.expect(&format!("{ORIGIN}{script}"));
    run("origin <<'END'
[origin]
baserefspec=debian

[packages]
requested=onlay-needy;onlay-tool;
requested-local=4ed748ba060fce4571e7ef19f3f5ed6209f67dbac8327af0d38ea70b96d2f723:onlay-probe-1.0.amd64;

[overrides]
remove=strace;

[rpmostree]
regenerate-initramfs=true
END");
    // What it was asked for would be lost without a word.
    let before = disk.status();
    for command in ["add onlay-probe", "upgrade", "remove --all"] {
        let said = disk.refuse(&format!("layer {command}"));
        assert!(
            said.contains("has layers of rpm-ostree's") && said.contains("layer import' takes over"),
            "{said}"
        );
    }
    let said = disk.expect("layer import --dry-run");
    for line in [
        "not taken over: an initramfs made on this host",
        "not taken over: onlay-probe-1.0.amd64, which came from a file",
        "would add onlay-tool 1.0",
        "would remove strace of the base",
        "--package-file FILE gives one",
        "nothing was changed",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(disk.status(), before);
    let said = disk.expect("layer import --package-file packages/onlay-probe_*.deb");
    assert!(!said.contains("which came from a file"), "{said}");
    let status = disk.status();
    assert_eq!(disk.layered(), ["onlay-base", "onlay-needy", "onlay-probe", "onlay-tool"]);
    assert_eq!(status[0]["layers"]["without"], json!(["strace"]));
    assert_eq!(status[0]["layers"]["requests"]["packages"], json!(["onlay-needy", "onlay-tool"]));
    assert_eq!(status[0]["base"]["refspec"], "debian");
    // It is not asked for twice.
    let said = disk.refuse("code=0; layer import || code=$?; test $code = 2; exit 1");
    assert!(said.contains("neither rpm-ostree nor atomic-pkglayer was asked for anything"), "{said}");
    disk.expect("layer upgrade; layer remove --all; layer override reset strace");
    assert_eq!(disk.status()[0]["layers"], Value::Null);
    disk.expect("layer add onlay-base");
    disk.assert_sound();
}

#[test]
fn the_base_below_layers_of_rpm_ostree_is_the_base() {
    let Some(disk) = Disk::debian() else { return };
    let base = disk.status()[0]["base"]["id"].clone();
    disk.expect(
        "base=$(ostree rev-parse --repo=$repo debian); mkdir -p extra/usr/share; echo layered >extra/usr/share/layered\n\
         ostree commit --repo=$repo --bootable --branch=rpmostree/base/0 --parent=\"$base\" --add-metadata=rpmostree.clientlayer=true \
             --owner-uid=0 --owner-gid=0 --tree=ref=debian --tree=dir=extra >/dev/null\n\
         printf '[origin]\\nbaserefspec=debian\\n\\n[packages]\\nrequested=onlay-tool;\\n' >origin\n\
         ostree_admin deploy --os=debian --origin-file=origin rpmostree/base/0; test -e \"$(next)\"/usr/share/layered",
    );
    assert_eq!(disk.status()[0]["base"]["id"], base);
    disk.expect("layer import; test ! -e \"$(next)\"/usr/share/layered");
    assert_eq!(disk.layered(), ["onlay-tool"]);
    assert_eq!(disk.status()[0]["layers"]["base"]["id"], base);
    disk.assert_sound();
}

#[test]
fn a_file_of_another_host_is_taken_over() {
    let Some(disk) = Disk::debian() else { return };
    // As atomic-pkglayer had it: names, or names of files.
    let said = disk.expect(
        "printf '[origin]\\nbase_refspec=a:b\\npackages=onlay-tool nothere strange-1-1.noarch.rpm\\n' >other\n\
         layer import other --without nothere",
    );
    assert!(said.contains("not taken over: strange-1-1.noarch, which came from a file"), "{said}");
    assert_eq!(disk.layered(), ["onlay-tool"]);
    assert_eq!(disk.status()[0]["base"]["refspec"], "debian");
    let said = disk.refuse("layer import other");
    assert!(said.contains("nothere (Unable to locate package nothere)"), "{said}");
    let said = disk.refuse("layer import other --without onlay-probe");
    assert!(said.contains("not among what is to be asked for: onlay-probe"), "{said}");
    let said = disk.refuse("printf '[origin]\\nrefspec=a:b\\n' >plain; code=0; layer import plain || code=$?; test $code = 2; exit 1");
    assert!(said.contains("has nothing that was asked for"), "{said}");
    disk.assert_sound();
}
