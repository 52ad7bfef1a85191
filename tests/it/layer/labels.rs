//! Labels of SELinux in commits of layers, as ostree gives them to the same files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use onlay::layer::Layers;
use onlay::layer::ostree::{Checksum, Directory};
use onlay::sys::Root;

use super::bed::{Bed, ostree_or_skip};
use crate::kernel::{kernel_or_skip, output};

const POLICY: &str = "usr/etc/selinux/tried/contexts/files/file_contexts";

const LIST: &str = "\
/.*\tsystem_u:object_r:default_t:s0
/usr(/.*)?\tsystem_u:object_r:usr_t:s0
/usr/bin(/.*)?\tsystem_u:object_r:bin_t:s0
/usr/bin/tool\t--\tsystem_u:object_r:tool_t:s0
/usr/lib/none\t<<none>>
/etc(/.*)?\tsystem_u:object_r:etc_t:s0
/etc/secret(/.*)?\tsystem_u:object_r:secret_t:s0
";

/// Of ostree before 2023, who does not know otherwise that /usr/etc is to be /etc.
const SUBSTITUTIONS: &str = "/usr/etc /etc\n";

struct Scene {
    dir: tempfile::TempDir,
    bed: Bed,
}

impl Scene {
    fn new() -> Option<Scene> {
        if !kernel_or_skip() || !ostree_or_skip() {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let bed = Bed::new(dir.path());
        let scene = Scene { dir, bed };
        for path in ["usr/bin/old", "usr/lib/none", "usr/etc/old", "usr/etc/kept/file"] {
            scene.write("tree", path, path);
        }
        scene.write("tree", "usr/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=tried\n");
        scene.write("tree", POLICY, LIST);
        scene.write("tree", &format!("{POLICY}.subs_dist"), SUBSTITUTIONS);
        // What is in it counts for nothing there, but ostree wants one.
        scene.write("tree", "usr/etc/selinux/tried/policy/policy.33", "a policy");
        Some(scene)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, top: &str, path: &str, content: &str) {
        let path = self.path(top).join(path);
        fs::create_dir_all(path.parent().expect("it is below")).expect("it can be made");
        fs::write(path, content).expect("there is room");
    }

    /// What a tree is that ostree commits, with the labels of a policy or without any.
    fn theirs(&self, branch: &str, is_labelled: bool) -> Directory {
        let tree = self.path("tree");
        let policy = format!("--selinux-policy={}", tree.display());
        let (branch, tree) = (format!("--branch={branch}"), format!("--tree=dir={}", tree.display()));
        let mut words = vec!["commit", &branch, &tree];
        words.extend(is_labelled.then_some(&*policy));
        let commit: Checksum = self.bed.ostree(&words).trim().parse().expect("ostree says what it made");
        self.bed.root_of(commit)
    }

    /// What a base is with the layers `root` and `etc`.
    fn ours(&self, base: Directory) -> Directory {
        let open = |name: &str| Root::open(self.path(name)).ok();
        let layers = Layers { root: open("root"), etc: open("etc"), var: None };
        let repository = self.bed.repository();
        let mut transaction = repository.begin().expect("nobody else writes");
        transaction.compose_layers(base, &layers).expect("it can be committed")
    }

    /// Puts layers into the tree as a person would.
    fn copy_layers(&self) {
        for (layer, place) in [("root", "."), ("etc", "usr/etc")] {
            let from = self.path(layer).join(".");
            if from.exists() {
                output("cp", &["-a", &shown(&from), &shown(&self.path("tree").join(place))]);
            }
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn what_layers_bring_is_labelled_by_the_policy_as_ostree_does_it() {
    let Some(scene) = Scene::new() else { return };
    let base = scene.theirs("base", true);
    for path in ["usr/bin/tool", "usr/bin/old", "usr/lib/none", "usr/lib/deep/er/file", "usr/etc/direct"] {
        scene.write("root", path, "new");
    }
    symlink("tool", scene.path("root/usr/bin/link")).expect("it can be made");
    // One file whose names have labels of their own.
    fs::hard_link(scene.path("root/usr/bin/tool"), scene.path("root/usr/lib/tool")).expect("it can be made");
    for path in ["old", "secret/key", "new"] {
        scene.write("etc", path, "new");
    }
    let ours = scene.ours(base);
    scene.copy_layers();
    assert!(ours == scene.theirs("theirs", true), "{}", scene.bed.ostree(&["ls", "-RX", "theirs"]));
}

#[test]
fn a_policy_that_layers_change_counts_for_what_they_bring() {
    let Some(scene) = Scene::new() else { return };
    let base = scene.theirs("base", true);
    let list = LIST.replace("tool_t", "other_t");
    scene.write("etc", POLICY.strip_prefix("usr/etc/").expect("it is there"), &list);
    scene.write("root", "usr/bin/tool", "new");
    let ours = scene.ours(base);
    scene.copy_layers();
    assert_eq!(ours, scene.theirs("theirs", true));
}

#[test]
fn without_a_policy_that_is_used_nothing_is_labelled() {
    let Some(scene) = Scene::new() else { return };
    scene.write("tree", "usr/etc/selinux/config", "SELINUX=disabled\nSELINUXTYPE=tried\n");
    let base = scene.theirs("base", false);
    scene.write("root", "usr/bin/tool", "new");
    let ours = scene.ours(base);
    scene.copy_layers();
    assert_eq!(ours, scene.theirs("theirs", false));
    let nonsense = scene.path("tree/usr/etc/selinux/config");
    fs::write(&nonsense, "SELINUXTYPE=tried\n").expect("there is room");
    scene.write("tree", POLICY, "/usr(\tsystem_u:object_r:usr_t:s0\n");
    let base = scene.theirs("broken", false);
    let root = Root::open(scene.path("root")).ok();
    let layers = Layers { root, etc: None, var: None };
    let refused = scene.bed.repository().begin().expect("nobody else writes").compose_layers(base, &layers);
    let refused = refused.expect_err("a list that makes no sense").to_string();
    assert!(refused.starts_with("no labels of SELinux can be given: "), "{refused}");
}
