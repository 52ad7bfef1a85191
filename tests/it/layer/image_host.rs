//! A host that boots a container image (bootc): what is asked for comes into it by another image, whose Containerfile is printed.

use super::disk::Disk;
use crate::debian::words;

#[test]
fn an_image_is_derived_instead() {
    let Some(disk) = Disk::debian() else { return };
    disk.expect(
        "file=$(ls sysroot/ostree/deploy/debian/deploy/*.origin)\n\
         printf '[origin]\\ncontainer-image-reference=ostree-unverified-registry:quay.io/debian/debian-bootc:13\\n' >\"$file\"",
    );
    let before = disk.status();
    let output = disk.run("layer add onlay-tool 'lib(x)' ./packages/onlay-probe_*.deb");
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "FROM quay.io/debian/debian-bootc:13\n\
         COPY onlay-probe.deb /tmp/\n\
         RUN apt-get update && \\\n    \
         apt-get --assume-yes --no-install-recommends install 'lib(x)' onlay-tool /tmp/onlay-probe.deb && \\\n    \
         rm -r /var/lib/apt/lists/* /var/cache/apt/* && \\\n    \
         rm /tmp/onlay-probe.deb\n"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    for line in [
        "this host boots the container image 'quay.io/debian/debian-bootc:13'",
        "bootc switch --transport containers-storage localhost/host",
        "shell' tries packages",
        "ext' keeps them as extensions",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let output = disk.run("layer override remove strace --json");
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["image"], "quay.io/debian/debian-bootc:13");
    assert!(
        told["containerfile"]
            .as_str()
            .is_some_and(|text| text.contains("apt-get --assume-yes remove strace")),
        "{told}"
    );
    // What can be looked at is, and nothing was changed.
    assert_eq!(disk.status(), before);
    assert_eq!(disk.run("layer upgrade").status.code(), Some(3));
    disk.expect(
        "layer list; layer history; test -z \"$(ostree refs --repo=$repo | grep onlay/ | head -n 1)\"",
    );
}
