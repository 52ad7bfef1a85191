//! Where a deployment comes from, as it says itself (`CHECKSUM.SERIAL.origin` beside it).
//!
//! | origin | `ostree admin upgrade` |
//! |---|---|
//! | `refspec` | follows it |
//! | `refspec` of a local ref, `baserefspec`, `unconfigured-state=TEXT` | refuses with that text |
//! | `refspec`, `unconfigured-state=TEXT` | refuses with that text |
//!
//! The second is that of a deployment with layers: ostree would leave them out. The third is that of the deployment that runs while layers wait for the
//! next boot. Its `refspec` is the ref of what was
//! committed here, so that `ostree admin status` can name it; `baserefspec` is what the base follows. rpm-ostree has `baserefspec` or
//! `container-image-reference` for what it makes, without `refspec`.

use std::path::{Path, PathBuf};

use super::keyfile::{BadLine, KeyFile};

/// An origin. Besides what is here it may have groups of whoever made it ([`Origin::file`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    file: KeyFile,
}

const GROUP: &str = "origin";

/// Refs of what was committed here begin so.
pub(super) const LAYERED: &str = "onlay/layered";
/// What is true of one deployment alone, and not of the next with the same origin.
const TRANSIENT: &str = "libostree-transient";

/// A group of ours: that there are to be no layers.
const OURS: &str = "onlay";

/// What rpm-ostree was asked for, and what atomic-pkglayer was, in keys of [`GROUP`].
const OTHERS: &[&str] = &["packages", "modules", "overrides", "rpmostree"];
const OTHERS_KEYS: &[&str] = &["packages", "from-commit", "base_refspec"];

impl Origin {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Origin, BadLine> {
        KeyFile::parse(text).map(|file| Origin { file })
    }

    /// Where that of a deployment is, which is in a directory of this path.
    pub fn path_of(deployment: &Path) -> PathBuf {
        let mut name = deployment.as_os_str().to_owned();
        name.push(".origin");
        PathBuf::from(name)
    }

    /// Of a plain deployment that follows a ref.
    pub fn following(refspec: &str) -> Origin {
        let mut origin = Origin::default();
        origin.file.set(GROUP, "refspec", refspec);
        origin
    }

    /// For a deployment with layers, in place of this one's: `local` is the ref of its commit in this repository, `words` is what `ostree admin upgrade` is to
    /// say. What this one follows is kept, and so are all groups but what was true of one deployment alone.
    #[must_use]
    pub fn layered(&self, local: &str, words: &str) -> Origin {
        let mut origin = self.for_next();
        if let Some(base) = self.base_refspec() {
            origin.file.set(GROUP, "baserefspec", &base);
        }
        origin.file.set(GROUP, "refspec", local);
        origin.file.set(GROUP, "unconfigured-state", words);
        origin
    }

    /// For a deployment without layers, in place of this one's.
    #[must_use]
    pub fn plain(&self) -> Origin {
        let mut origin = self.for_next();
        match self.base_refspec() {
            Some(base) => {
                origin.file.set(GROUP, "refspec", &base);
                origin.file.remove(GROUP, "unconfigured-state");
            }
            // It follows nothing, and least of all what was layered on it.
            None if self.is_layered() => {
                origin.file.remove(GROUP, "refspec");
                origin.file.remove(GROUP, "unconfigured-state");
            }
            None => {}
        }
        origin.file.remove(GROUP, "baserefspec");
        origin
    }

    /// For one that has no layers since nobody asks for any more.
    #[must_use]
    pub(super) fn wanted_plain(mut self) -> Origin {
        self.file.set(OURS, "layers", "none");
        self
    }

    /// Whether it says so.
    pub(super) fn is_wanted_plain(&self) -> bool {
        self.file.has_group(OURS)
    }

    /// For the same deployment, with other words that `ostree admin upgrade` says instead of doing anything, or with none.
    #[must_use]
    pub fn saying(&self, words: Option<&str>) -> Origin {
        let mut origin = self.clone();
        match words {
            Some(words) => origin.file.set(GROUP, "unconfigured-state", words),
            None => origin.file.remove(GROUP, "unconfigured-state"),
        }
        origin
    }

    /// What of it is for the next deployment (ostree_deployment_origin_remove_transient_state).
    fn for_next(&self) -> Origin {
        let mut origin = self.clone();
        origin.file.remove_group(TRANSIENT);
        origin.file.remove_group(OURS);
        origin.file.remove(GROUP, "override-commit");
        origin.file.remove(GROUP, "unlocked");
        // What others were asked for is in the requests by now, or nothing is made.
        for group in OTHERS {
            origin.file.remove_group(group);
        }
        for key in OTHERS_KEYS {
            origin.file.remove(GROUP, key);
        }
        origin
    }

    /// Whether it has what rpm-ostree or atomic-pkglayer was asked for.
    pub fn has_requests_of_others(&self) -> bool {
        OTHERS.iter().any(|group| self.file.has_group(group)) || self.file.get(GROUP, "packages").is_some()
    }

    /// What the deployment's own commit follows.
    pub fn refspec(&self) -> Option<String> {
        self.file.get(GROUP, "refspec")
    }

    /// What its base follows: the same, where it has no layers.
    pub fn base_refspec(&self) -> Option<String> {
        // The second is atomic-pkglayer's word.
        let get = |key| self.file.get(GROUP, key);
        let own = || get("refspec").filter(|_| !self.is_layered());
        get("baserefspec").or_else(|| get("base_refspec")).or_else(own)
    }

    /// Whether the deployment is one of ours with layers.
    pub(super) fn is_layered(&self) -> bool {
        self.refspec().is_some_and(|refspec| refspec.starts_with(LAYERED))
    }

    /// The container image that the base follows, on hosts of bootc and rpm-ostree.
    pub fn container(&self) -> Option<String> {
        self.file.get(GROUP, "container-image-reference")
    }

    /// What `ostree admin upgrade` says instead of doing anything.
    pub fn unconfigured(&self) -> Option<String> {
        self.file.get(GROUP, "unconfigured-state")
    }

    /// Whether the deployment is never removed to make room.
    pub fn is_pinned(&self) -> bool {
        self.file.flag(TRANSIENT, "pinned").unwrap_or_default()
    }

    /// How /usr of the deployment was made writable for longer than a boot.
    pub(super) fn unlocked(&self) -> Option<String> {
        self.file.get(GROUP, "unlocked").filter(|state| state != "none")
    }

    /// All of it.
    pub fn file(&self) -> &KeyFile {
        &self.file
    }

    /// All of it, to change it.
    pub fn file_mut(&mut self) -> &mut KeyFile {
        &mut self.file
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_keep_what_the_base_follows() {
        let text = "[origin]\nrefspec=origin:debian\nunlocked=hotfix\n\n[libostree-transient]\npinned=true\n\n[own]\nx=1\n";
        let origin = Origin::parse(text).expect("an origin");
        assert!(origin.is_pinned() && origin.unlocked().as_deref() == Some("hotfix"));
        let layered = origin.layered("onlay/layered/debian", "has layers; use 'onlay layer upgrade'");
        assert_eq!(
            layered.to_string(),
            "[origin]\nrefspec=onlay/layered/debian\nbaserefspec=origin:debian\n\
             unconfigured-state=has layers; use 'onlay layer upgrade'\n\n[own]\nx=1\n"
        );
        assert_eq!(layered.layered("other", "words").base_refspec().as_deref(), Some("origin:debian"));
        assert_eq!(layered.plain().to_string(), "[origin]\nrefspec=origin:debian\n\n[own]\nx=1\n");
        assert_eq!(Origin::following("a:b").to_string(), "[origin]\nrefspec=a:b\n");
    }

    #[test]
    fn a_base_that_follows_nothing_does_not_follow_its_layers() {
        for text in ["", "[origin]\nfrom-commit=abc\n"] {
            let layered = Origin::parse(text).expect("an origin").layered("onlay/layered/os", "words");
            assert_eq!(layered.base_refspec(), None);
            assert_eq!((layered.plain().refspec(), layered.plain().unconfigured()), (None, None));
            assert_eq!(layered.layered("onlay/layered/os", "words").base_refspec(), None);
        }
    }

    #[test]
    fn who_runs_refuses_while_layers_wait() {
        let origin =
            Origin::parse("[origin]\nrefspec=a:b\n\n[libostree-transient]\npinned=true\n").expect("one");
        let waiting = origin.saying(Some("they wait"));
        assert_eq!(
            waiting.to_string(),
            "[origin]\nrefspec=a:b\nunconfigured-state=they wait\n\n[libostree-transient]\npinned=true\n"
        );
        assert_eq!(waiting.saying(None), origin);
        assert_eq!(waiting.plain(), Origin::following("a:b"));
    }

    #[test]
    fn what_others_were_asked_for_does_not_stay_beside_ours() {
        let text =
            "[origin]\nbaserefspec=fedora:x\n\n[packages]\nrequested=vim;\n\n[overrides]\nremove=nano;\n";
        let origin = Origin::parse(text).expect("an origin");
        assert!(origin.has_requests_of_others());
        assert_eq!(origin.plain(), Origin::following("fedora:x"));
        assert!(!origin.layered("onlay/layered/fedora", "words").has_requests_of_others());
        let old = Origin::parse("[origin]\nbase_refspec=a:b\npackages=vim nano\n").expect("an origin");
        assert!(old.has_requests_of_others());
        assert_eq!(old.plain(), Origin::following("a:b"));
    }
}
