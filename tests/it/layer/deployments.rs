//! Deployments of a system on a disk, made by ostree's program as we start it, and as ostree and we see them.

use std::fs;
use std::path::{Path, PathBuf};

use onlay::layer::ostree::{Checksum, Commit, Composition, Deployment, Origin, Standing, Sysroot};
use onlay::sys::{RecordLock, Root};
use onlay::tool::ostree::{Deploy, Ostree};

use super::bed::ostree_or_skip;
use crate::changes::mounted::scratch_or_skip;
use crate::kernel::{command, output, sh};

/// A disk with a system that has one deployment of its own base.
struct Disk {
    path: PathBuf,
}

impl Disk {
    fn new(dir: &Path) -> Disk {
        let disk = Disk { path: dir.join("disk") };
        // As little as ostree takes for a system; not made immutable, so that it can be removed.
        sh(
            "mkdir $1 && cd $1
            ostree admin init-fs --sysroot=. . && ostree admin os-init --sysroot=. debian
            ostree config --repo=ostree/repo set sysroot.bootloader none
            ostree config --repo=ostree/repo set core.fsync false
            mkdir -p $2/usr/lib/modules/1.0 $2/usr/etc $2/usr/bin $2/sysroot
            echo kernel >$2/usr/lib/modules/1.0/vmlinuz
            echo initramfs >$2/usr/lib/modules/1.0/initramfs.img
            printf 'ID=debian\\nPRETTY_NAME=Debian\\n' >$2/usr/lib/os-release
            ostree commit --repo=ostree/repo --branch=base --add-metadata-string=version=13.1 --tree=dir=$2
            ostree admin deploy --sysroot=. --os=debian base",
            &[&disk.path, &dir.join("tree")],
        );
        disk
    }

    fn deployments(&self) -> Vec<Deployment> {
        Sysroot::at(&self.path).and_then(|sysroot| sysroot.deployments()).expect("they can be read")
    }

    fn ostree(&self) -> Ostree {
        Ostree::find(&self.path).expect("it is installed")
    }

    /// What ostree says to people.
    fn status(&self) -> String {
        output("ostree", &["admin", "status", &format!("--sysroot={}", self.path.display())])
    }

    /// A commit over that of the first deployment, with one more file.
    fn layer(&self, name: &str, upper: &Path) -> Checksum {
        let sysroot = Sysroot::at(&self.path).expect("it opens");
        let repository = sysroot.repository().expect("it has one");
        let base = self.deployments()[0].checksum;
        fs::create_dir_all(upper.join("usr/bin")).expect("it can be made");
        fs::write(upper.join("usr/bin").join(name), name).expect("there is room");
        let commit = repository.commit(base).expect("it is there");
        let upper = Root::open(upper).expect("it opens");
        let mut transaction = repository.begin().expect("nobody else writes");
        let composition = Composition { base: commit.root, upper: &upper, without: &[] };
        let root = transaction.compose(&composition).expect("it can be committed");
        let layered = Commit::upon((base, &commit), root, name, commit.timestamp + 1, []);
        let layered = transaction.write_commit(layered, "onlay/debian").expect("there is room");
        transaction.finish("onlay/debian", layered).expect("there is room");
        layered
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // ostree makes them immutable, and what is mounted stays: nobody could remove them.
        let script = "for tree in \"$1\"/ostree/deploy/*/deploy/*.[0-9]; do
            umount --recursive --lazy \"$tree\"; chattr -i \"$tree\"; done 2>/dev/null || true";
        let _ = command("/bin/sh").args(["-c", script, "sh"]).arg(&self.path).status();
    }
}

#[test]
fn a_layer_is_deployed_and_taken_away() {
    if !ostree_or_skip() {
        return;
    }
    let Some(scratch) = scratch_or_skip() else { return };
    let disk = Disk::new(scratch.path());
    let [base] = &disk.deployments()[..] else { panic!("{}", disk.status()) };
    assert_eq!((base.index, &*base.os, base.serial, base.standing), (0, "debian", 0, Standing::Other));
    assert_eq!(base.origin.refspec().as_deref(), Some("base"));
    assert!(base.options.as_deref().is_some_and(|options| options.contains("ostree=/ostree/boot.")));
    assert_eq!(base.path.file_name().expect("it has one").to_string_lossy(), base.name());
    busy_while_locked(&disk);
    let layered = disk.layer("strace", &scratch.path().join("upper"));
    let origin = base.origin.layered("onlay/debian", "this system has layers; use 'onlay layer upgrade'");
    let file = scratch.path().join("origin");
    fs::write(&file, origin.to_string()).expect("there is room");
    let revision = layered.to_string();
    let deploy =
        Deploy { os: "debian", revision: &revision, origin: Some(&file), stage: false, append: &["quiet"] };
    disk.ostree().deploy(&deploy).expect("it can be deployed");
    let found = disk.deployments();
    let [first, second] = &found[..] else { panic!("{}", disk.status()) };
    assert_eq!((first.checksum, first.index), (layered, 0));
    assert_eq!((second.checksum, second.index, &second.path), (base.checksum, 1, &base.path));
    assert_eq!(first.origin, origin);
    assert!(first.options.as_deref().is_some_and(|options| options.ends_with("quiet")), "{first:?}");
    let program = disk.path.join(&first.path).join("usr/bin/strace");
    assert_eq!(fs::read_to_string(program).expect("it is there"), "strace");
    let shown = disk.status();
    assert!(shown.contains(&format!("debian {layered}.0")) && shown.contains("Version: 13.1"), "{shown}");
    assert!(shown.contains("origin refspec: onlay/debian"), "{shown}");
    refuses_upgrade(&disk);
    disk.ostree().pin(1, true).expect("it can be pinned");
    assert_eq!(disk.deployments().iter().map(|one| one.pinned).collect::<Vec<_>>(), [false, true]);
    disk.ostree().pin(1, false).expect("it can be let go");
    assert!(!disk.deployments()[1].pinned);
    disk.ostree().undeploy(0).expect("it can be taken away");
    disk.ostree().cleanup().expect("it can be cleaned");
    let left: Vec<PathBuf> = disk.deployments().into_iter().map(|deployment| deployment.path).collect();
    assert_eq!(left, std::slice::from_ref(&base.path));
    output("ostree", &["fsck", "--quiet", &format!("--repo={}", disk.path.join("ostree/repo").display())]);
    let error = disk.ostree().undeploy(7).expect_err("there is none").to_string();
    assert!(error.contains("admin undeploy") && error.contains('7'), "{error}");
}

/// The lock that ostree takes when it deploys.
fn busy_while_locked(disk: &Disk) {
    let sysroot = Sysroot::at(&disk.path).expect("it opens");
    assert!(!sysroot.is_busy().expect("it can be seen"));
    // ostree removes it when it has done.
    let mut file = fs::File::options();
    let file = file.create(true).truncate(false).write(true).open(disk.path.join("ostree/lock"));
    let file = file.expect("there is room");
    let held = RecordLock::try_exclusive(file.into()).expect("it can be locked");
    assert!(held.is_some() && sysroot.is_busy().expect("it can be seen"));
}

/// ostree's own way to another base would leave the layers out.
fn refuses_upgrade(disk: &Disk) {
    let upgrade = command("ostree")
        .args(["admin", "upgrade", "--os=debian", &format!("--sysroot={}", disk.path.display())])
        .output()
        .expect("it starts");
    let words = String::from_utf8_lossy(&upgrade.stderr);
    assert!(!upgrade.status.success() && words.contains("use 'onlay layer upgrade'"), "{words}");
}

#[test]
fn a_system_that_runs_is_known_by_its_root() {
    if !ostree_or_skip() {
        return;
    }
    let Some(scratch) = scratch_or_skip() else { return };
    let disk = Disk::new(scratch.path());
    let base = disk.deployments()[0].clone();
    let layered = disk.layer("strace", &scratch.path().join("upper"));
    let revision = layered.to_string();
    let deploy = Deploy { os: "debian", revision: &revision, origin: None, stage: false, append: &[] };
    disk.ostree().deploy(&deploy).expect("it can be deployed");
    // As it is when the older one has booted: its directory is the root, in which the disk is seen.
    let root = disk.path.join(&base.path);
    sh(
        "chattr -i $1; mkdir -p $1/run $1/boot $1/ostree; : >$1/run/placeholder
        mount --bind $1 $1 && mount -t tmpfs run $1/run && : >$1/run/ostree-booted
        mount --bind $2/boot $1/boot && mount --bind $2/ostree $1/ostree",
        &[&root, &disk.path],
    );
    let sysroot = Sysroot::running_at(&root).expect("it can be read").expect("it runs");
    let found = sysroot.deployments().expect("they can be read");
    let standings: Vec<(Checksum, Standing)> = found.iter().map(|one| (one.checksum, one.standing)).collect();
    assert_eq!(standings, [(layered, Standing::Pending), (base.checksum, Standing::Booted)]);
    assert_eq!(found[0].origin, Origin::following(&layered.to_string()));
    assert!(Sysroot::running_at(scratch.path()).expect("it can be read").is_none());
}

#[test]
fn a_staged_deployment_comes_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = dir.path().join("run/ostree");
    fs::create_dir_all(&run).expect("it can be made");
    fs::write(dir.path().join("run/ostree-booted"), "").expect("there is room");
    let note = include_bytes!("../../data/ostree/staged-deployment");
    fs::write(run.join("staged-deployment"), note).expect("there is room");
    let checksum = "8e07ff4031391457ed5fba9536944d827c805a586f012932cd66a66ae188d689";
    let place = dir.path().join("ostree/deploy/debian/deploy");
    fs::create_dir_all(&place).expect("it can be made");
    fs::write(place.join(format!("{checksum}.0.origin")), "[origin]\nrefspec=two\n").expect("there is room");
    let sysroot = Sysroot::running_at(dir.path()).expect("it can be read").expect("it runs");
    let [staged] = &sysroot.deployments().expect("it can be read")[..] else { panic!("not one") };
    assert_eq!((staged.standing, &*staged.os, staged.serial), (Standing::Staged, "debian", 0));
    assert_eq!(staged.checksum.to_string(), checksum);
    assert_eq!(staged.origin, Origin::following("two"));
    // It is made by ostree, but a bad one is none of a reason to panic.
    for length in 0..note.len() {
        fs::write(run.join("staged-deployment"), &note[..length]).expect("there is room");
        let _ = sysroot.deployments();
    }
}
