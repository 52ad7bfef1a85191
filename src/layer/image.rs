//! Hosts that boot a container image (bootc, rpm-ostree): packages come into their next boot by an image that is derived from theirs.
//!
//! What is layered on such a host beside its image, `bootc upgrade` refuses to take along, or leaves out. So it is not begun, and the way is
//! told: a Containerfile.

use std::path::Path;

use super::ostree::{Deployments, KeyFile};
use super::{Backend as _, Error, Requests};
use crate::host::{BaseKind, Host};
use crate::resolve::Manager;

/// More than any origin has.
const LARGEST: u64 = 1 << 20;

/// Where bootc's composefs backend has its deployments: `DIGEST/DIGEST.origin` below (its `composefs_consts.rs`).
const STATE: &str = "sysroot/state/deploy";

/// The container image that a host boots; none where it boots none.
pub fn image_of(host: &Host) -> Result<Option<String>, Error> {
    if let Some(ostree) = Deployments::find(host)? {
        return ostree.image();
    }
    let base = host.base();
    if base.kind != BaseKind::Composefs {
        return Ok(None);
    }
    let path = Path::new(STATE).join(&base.id).join(format!("{}.origin", base.id));
    let text = match host.root.read(&path, LARGEST) {
        Err(error) if error.is_not_found() => return Ok(None),
        bytes => String::from_utf8_lossy(&bytes?).into_owned(),
    };
    let bad = |problem: String| Error::Manifest { path: host.root.join(&path), problem };
    let file = KeyFile::parse(&text).map_err(|error| bad(error.to_string()))?;
    Ok(file.get("origin", "container-image-reference").map(|reference| image_name(&reference)))
}

/// The name of an image in a Containerfile, of how an origin names it (ostree-ext's `OstreeImageReference`): without the word on signatures, and
/// without a transport where that is a registry's or this host's storage.
pub fn image_name(reference: &str) -> String {
    let after = |prefix: &str| reference.strip_prefix(prefix);
    // The name of a remote, whose keys are asked, comes first.
    let without_remote =
        |rest: Option<&'_ str>| rest.and_then(|rest| rest.split_once(':')).map(|(_, rest)| rest.to_owned());
    let name = after("ostree-unverified-registry:")
        .or_else(|| after("ostree-unverified-image:"))
        .or_else(|| after("ostree-image-signed:"))
        .map(str::to_owned)
        .or_else(|| without_remote(after("ostree-remote-registry:")))
        .or_else(|| without_remote(after("ostree-remote-image:")))
        .unwrap_or_else(|| reference.to_owned());
    let transports = ["docker://", "registry:", "containers-storage:"];
    let stripped = transports.iter().find_map(|transport| name.strip_prefix(transport));
    stripped.unwrap_or(&name).to_owned()
}

/// The Containerfile of an image like a host's, with what is asked for; `checks` is whether bootc is there to look at the result.
pub fn containerfile(image: &str, manager: Manager, requests: &Requests, checks: bool) -> String {
    let files: Vec<String> = requests
        .files
        .keys()
        .chain(requests.replaced.keys())
        .map(|name| format!("{name}.{}", manager.suffix()))
        .collect();
    let copied: Vec<String> = files.iter().map(|file| format!("/tmp/{file}")).collect();
    let names: Vec<String> =
        requests.packages.iter().map(|name| quoted(name)).chain(copied.clone()).collect();
    let removed: Vec<String> = requests.removed.iter().map(|name| quoted(name)).collect();
    let mut text = format!("FROM {image}\n");
    if !files.is_empty() {
        text += &format!("COPY {} /tmp/\n", files.join(" "));
    }
    let mut steps = steps(manager, &names, &removed);
    if !copied.is_empty() {
        steps.push(format!("rm {}", copied.join(" ")));
    }
    if !names.is_empty() || !removed.is_empty() {
        text += &format!("RUN {}\n", steps.join(" && \\\n    "));
    }
    if checks {
        text += "RUN bootc container lint\n";
    }
    text
}

/// What is run in the image: without anything that nobody asked for, and without lists and packages that were downloaded.
fn steps(manager: Manager, names: &[String], removed: &[String]) -> Vec<String> {
    let (names, removed) = (names.join(" "), removed.join(" "));
    let line = |begin: &str, list: &str| (!list.is_empty()).then(|| format!("{begin} {list}"));
    let (before, remove, install, after) = match manager {
        Manager::Apt => (
            (!names.is_empty()).then_some("apt-get update"),
            line("apt-get --assume-yes remove", &removed),
            line("apt-get --assume-yes --no-install-recommends install", &names),
            "rm -r /var/lib/apt/lists/* /var/cache/apt/*",
        ),
        Manager::Zypper => (
            None,
            line("zypper --non-interactive remove", &removed),
            line("zypper --non-interactive install --no-recommends", &names),
            "zypper clean --all",
        ),
        Manager::Dnf | Manager::Dnf5 => (
            None,
            line("dnf --assumeyes --setopt=clean_requirements_on_remove=False remove", &removed),
            line("dnf --assumeyes --setopt=install_weak_deps=False install", &names),
            "dnf clean all",
        ),
    };
    before.map(str::to_owned).into_iter().chain(remove).chain(install).chain([after.to_owned()]).collect()
}

/// A name that a shell takes for nothing else; no name has a quote in it.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._+:=/@~^".contains(c);
    if name.chars().all(is_plain) { name.to_owned() } else { format!("'{name}'") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::LocalFile;

    #[test]
    fn an_image_is_named_without_its_transport() {
        for (reference, name) in [
            ("ostree-unverified-registry:quay.io/fedora/fedora-bootc:42", "quay.io/fedora/fedora-bootc:42"),
            ("ostree-unverified-image:docker://quay.io/x/y:stable", "quay.io/x/y:stable"),
            ("ostree-image-signed:docker://ghcr.io/ublue-os/bluefin:gts", "ghcr.io/ublue-os/bluefin:gts"),
            ("ostree-image-signed:registry:ghcr.io/a/b@sha256:12", "ghcr.io/a/b@sha256:12"),
            ("ostree-remote-registry:fedora:quay.io/fedora/silverblue:42", "quay.io/fedora/silverblue:42"),
            ("ostree-remote-image:fedora:docker://quay.io/fedora/x", "quay.io/fedora/x"),
            ("ostree-unverified-image:containers-storage:localhost/host", "localhost/host"),
            ("ostree-unverified-image:oci:/var/image", "oci:/var/image"),
            ("docker://quay.io/x", "quay.io/x"),
        ] {
            assert_eq!(image_name(reference), name, "{reference}");
        }
    }

    #[test]
    fn what_is_asked_for_is_in_the_containerfile() {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
        let file = LocalFile { version: "1".into(), architecture: "noarch".into(), sha256: "12".into() };
        let requests = Requests {
            packages: names(&["gdb", "perl(Foo)"]),
            removed: names(&["nano"]),
            files: [("own".to_owned(), file)].into(),
            ..Requests::default()
        };
        assert_eq!(
            containerfile("quay.io/x:42", Manager::Dnf5, &requests, true),
            "FROM quay.io/x:42\n\
             COPY own.rpm /tmp/\n\
             RUN dnf --assumeyes --setopt=clean_requirements_on_remove=False remove nano && \\\n    \
             dnf --assumeyes --setopt=install_weak_deps=False install gdb 'perl(Foo)' /tmp/own.rpm && \\\n    \
             dnf clean all && \\\n    \
             rm /tmp/own.rpm\n\
             RUN bootc container lint\n"
        );
        let requests = Requests { packages: names(&["gdb"]), ..Requests::default() };
        assert_eq!(
            containerfile("x", Manager::Apt, &requests, false),
            "FROM x\nRUN apt-get update && \\\n    apt-get --assume-yes --no-install-recommends install gdb && \\\n    \
             rm -r /var/lib/apt/lists/* /var/cache/apt/*\n"
        );
        assert_eq!(containerfile("x", Manager::Zypper, &Requests::default(), false), "FROM x\n");
    }
}
