//! What boots a snapshot: whether a kernel in it would be found, and GRUB's list, which is made anew where it would boot another one.
//!
//! A boot loader that reads the snapshot itself finds what links lead to, or what GRUB's list in /boot names. That list names disks, so whoever makes it
//! has to see them: transactional-update makes it in the finished snapshot, with the host's devices, and so do we. Where an EFI
//! system partition, or another /boot, has kernels of all snapshots, what is in a snapshot boots nothing.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::layer::BootFiles;
use crate::sys::{
    Context as _, Forked, IoError, MountFlags, Namespaces, Pidfd, Propagation, Root, attach, clone_tree,
    enter_root, exit_now, fork, leave_for_new, new_filesystem, set_flags, set_propagation, with_causes,
};
use crate::tool::grub::Mkconfig;

/// Where GRUB has its list: as SUSE calls it, and Debian.
const LISTS: [&str; 2] = ["boot/grub2/grub.cfg", "boot/grub/grub.cfg"];

/// Links to what boots, by any of the names that kernels have.
const LINKS: [&str; 4] = ["boot/vmlinuz", "boot/Image", "boot/zImage", "vmlinuz"];

/// SUSE's settings, which say what boots, and the boot loaders there that read entries on the EFI system partition.
const SETTINGS: &str = "etc/sysconfig/bootloader";
const BY_ENTRIES: [&str; 2] = ["systemd-boot", "grub2-bls"];

/// More than settings or a list have.
const LARGEST: u64 = 4 << 20;

/// Whether kernels in a snapshot are found by what boots it. `elsewhere` is what other file systems are mounted over.
pub(super) fn boot_files(tree: &Root, elsewhere: &[PathBuf]) -> Result<BootFiles, IoError> {
    if elsewhere.iter().any(|place| place == Path::new("boot")) {
        return Ok(BootFiles::Elsewhere);
    }
    if loader_type(&text(tree, SETTINGS)?).is_some_and(|kind| BY_ENTRIES.contains(&&*kind)) {
        return Ok(BootFiles::Entries);
    }
    let is_there = |path: &&str| Ok::<_, IoError>(tree.lstat_exact(path)?.is_some());
    for path in LISTS.iter().chain(&LINKS) {
        if is_there(path)? {
            return Ok(BootFiles::Within);
        }
    }
    Ok(BootFiles::Unknown)
}

/// `LOADER_TYPE="…"`.
fn loader_type(settings: &str) -> Option<String> {
    let value = settings.lines().rev().find_map(|line| line.trim().strip_prefix("LOADER_TYPE="))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

fn text(tree: &Root, path: &str) -> Result<String, IoError> {
    match tree.read(path, LARGEST) {
        Err(error) if error.is_not_found() => Ok(String::new()),
        bytes => Ok(String::from_utf8_lossy(&bytes?).into_owned()),
    }
}

/// Makes GRUB's list anew where a snapshot has one, for another kernel, which it then must name, or where it names the snapshot that this one was made from
/// (as Debian's does; SUSE's boots what is the default).
pub(super) fn renew(tree: &Root, kernel: Option<&str>, from: u64) -> Result<(), Error> {
    let before = format!("/.snapshots/{from}/snapshot");
    for list in LISTS.into_iter().filter(|list| tree.exists(list)) {
        if kernel.is_none() && !text(tree, list)?.contains(&before) {
            continue;
        }
        write_list(tree, &Path::new("/").join(list))?;
        let made = text(tree, list)?;
        if let Some(kernel) = kernel.filter(|kernel| !made.contains(kernel)) {
            return Err(Error::Unlisted { list: list.into(), kernel: kernel.to_owned() });
        }
    }
    Ok(())
}

/// In a process of its own, which has the snapshot as its root.
fn write_list(tree: &Root, list: &Path) -> Result<(), Error> {
    let (mut words, reported) = std::io::pipe().context("make a pipe about", list)?;
    match fork()? {
        Forked::Child => {
            drop(words);
            let Err(error) = write_inside(tree, list) else { exit_now(0) };
            // Told by what it was to find there.
            let _ = std::fs::File::from(OwnedFd::from(reported)).write_all(with_causes(&error).as_bytes());
            exit_now(1)
        }
        Forked::Parent(child) => {
            drop(reported);
            let mut said = String::new();
            let read = words.read_to_string(&mut said);
            let ended = Pidfd::of_child(child)?.wait()?;
            match (ended.shell_code(), read) {
                (0, _) => Ok(()),
                (code, Ok(_)) if said.is_empty() => {
                    Err(Error::List { list: list.into(), words: format!("it ended with {code}") })
                }
                _ => Err(Error::List { list: list.into(), words: said }),
            }
        }
    }
}

fn write_inside(tree: &Root, list: &Path) -> Result<(), Error> {
    leave_for_new(Namespaces::MOUNT)?;
    set_propagation(Path::new("/"), Propagation::Private)?;
    let place = tree.path();
    // It is to be a mount: by that, disks are found. By its path, so that it is reached through mounts of this namespace.
    attach(&clone_tree(Root::open(place)?, place, false)?, Root::open(place)?, place)?;
    // Disks can be read, and nothing is made or removed there.
    for name in ["dev", "sys", "proc"] {
        let (from, to) = (Path::new("/").join(name), place.join(name));
        let mounted = clone_tree(Root::open(&from)?, &from, true)?;
        if name != "proc" {
            set_flags(&mounted, MountFlags::READ_ONLY, MountFlags::default(), true, &from)?;
        }
        attach(&mounted, Root::open(&to)?, &to)?;
    }
    for (name, mode) in [("run", "0755"), ("tmp", "1777"), ("var", "0755")] {
        let to = place.join(name);
        let ram = new_filesystem("tmpfs", &[("mode", mode)], MountFlags::default())?;
        attach(&ram, Root::open(&to)?, &to)?;
    }
    Root::open(place.join("var"))?.make_dir("tmp", 0o1777)?;
    enter_root(Root::open(place)?)?;
    Ok(Mkconfig::find()?.write(list)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_kernel_is_found_where_something_leads_to_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::open(dir.path()).expect("it opens");
        let look = |elsewhere: &[&str]| {
            let elsewhere: Vec<PathBuf> = elsewhere.iter().map(PathBuf::from).collect();
            boot_files(&root, &elsewhere).expect("it can be looked at")
        };
        assert_eq!(look(&["var"]), BootFiles::Unknown);
        fs::create_dir_all(dir.path().join("boot/grub2")).expect("ours");
        std::os::unix::fs::symlink("vmlinuz-1", dir.path().join("boot/vmlinuz")).expect("ours");
        assert_eq!(look(&["boot/efi", "var"]), BootFiles::Within);
        assert_eq!(look(&["boot", "var"]), BootFiles::Elsewhere);
        fs::create_dir_all(dir.path().join("etc/sysconfig")).expect("ours");
        let settings = |text: &str| fs::write(dir.path().join(SETTINGS), text).expect("ours");
        settings("## Type: list\nLOADER_TYPE=\"grub2-efi\"\n");
        assert_eq!(look(&[]), BootFiles::Within);
        settings("LOADER_TYPE=\"systemd-boot\"\n");
        assert_eq!(look(&[]), BootFiles::Entries);
        settings("LOADER_TYPE='grub2-bls'\n");
        assert_eq!(look(&[]), BootFiles::Entries);
    }
}
