//! The kernel of a deployment and its initramfs: made anew where packages have changed what they are made of. Those of a snapshot are in
//! [`boot_files`](super::boot_files).
//!
//! OSTree boots the one kernel that a deployment has, from `/usr/lib/modules/VERSION/vmlinuz`, with `initramfs.img` beside it, and names
//! both by their checksum itself.

use std::path::{Path, PathBuf};

use super::install::preamble;
use super::{Layers, Plan};
use crate::layer::Error;
use crate::overlay::changes::marks::Prefix;
use crate::overlay::changes::upper::Upper;
use crate::sys::{FileKind, Root, replace_volatile};

/// Of what boots in a deployment, what is otherwise than in its base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boot {
    /// The version of its kernel, where packages have brought one, or taken one away.
    pub kernel: Option<String>,
    /// Its initramfs.
    pub initramfs: Initramfs,
}

/// An initramfs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Initramfs {
    /// The base's own, or none where it has none.
    #[default]
    Base,
    /// Made anew, of what the base and its packages have.
    New,
    /// The base's own, though packages have what it could be made of: nothing is there that makes one.
    Stale,
    /// The same, since it is made elsewhere: on another file system, or by what knows the host's disks.
    Apart,
}

/// What packages have changed that could matter for booting.
#[derive(Debug)]
pub(super) struct Inputs {
    /// Kernels, their modules, and settings of who makes an initramfs.
    sure: Vec<PathBuf>,
    /// These and others that may be in an initramfs: paths from the root, without those of directories.
    paths: Vec<PathBuf>,
}

/// Where kernels and their modules are.
pub(super) const MODULES: &str = "usr/lib/modules";

/// What depmod(8) writes beside them.
pub(super) const LISTS: &str = "modules.alias modules.alias.bin modules.builtin.alias.bin modules.builtin.bin modules.dep modules.dep.bin \
     modules.devname modules.softdep modules.symbols modules.symbols.bin modules.weakdep";

/// What dracut(8) and initramfs-tools(7) read besides the files that they put in.
const SETTINGS: &[&str] = &[
    "usr/lib/dracut",
    "usr/lib/firmware",
    "usr/lib/modprobe.d",
    "usr/share/initramfs-tools",
    "usr/share/plymouth",
];
const SETTINGS_IN_ETC: &[&str] = &["dracut.conf", "dracut.conf.d", "initramfs-tools", "modprobe.d"];

/// In the cache: kernels that the base has, one `VERSION` or `VERSION initramfs` a line; paths that were changed, all, and those that matter for
/// sure; and what a step found.
pub(super) const BEFORE: &str = "kernels";
pub(super) const CHANGED: &str = "changed";
pub(super) const SURE: &str = "changed-sure";
pub(super) const FOUND: &str = "kernel";

/// A word in [`FOUND`], before the versions of all kernels, and others that say what became of the initramfs.
pub(super) const KERNELS: &str = "kernels";
pub(super) const NEW: &str = "initramfs";
pub(super) const NO_TOOL: &str = "no-tool";

/// Read of lists at most.
pub(super) const LIMIT: u64 = 16 << 20;

/// Lines of a script that put aside which kernels there are before packages come.
pub(super) fn noted() -> String {
    format!(
        "for image in /{MODULES}/*/vmlinuz; do\n\
         place=${{image%/vmlinuz}}\n\
         [ ! -e \"$image\" ] || echo \"${{place##*/}}$([ ! -e \"$place/initramfs.img\" ] || echo ' initramfs')\"\n\
         done >{BEFORE}\n"
    )
}

/// What of the changes matters; `None` where the kernel and the initramfs are the base's in any case.
pub(super) fn inputs(layers: &Layers, plan: &Plan) -> Result<Option<Inputs>, Error> {
    let mut inputs = Inputs { sure: Vec::new(), paths: Vec::new() };
    if let Some(root) = &layers.root {
        let closed = ["dev", "home", "proc", "run", "sys", "tmp", "var"].map(PathBuf::from);
        inputs.add(root, &closed, Path::new(""), |path| {
            is_of_kernel(path) || SETTINGS.iter().any(|place| path.starts_with(place))
        })?;
    }
    if let Some(etc) = &layers.etc {
        inputs.add(etc, &[], Path::new("etc"), |path| {
            SETTINGS_IN_ETC.iter().any(|place| path.starts_with(Path::new("etc").join(place)))
        })?;
    }
    // What is new is in no initramfs that is there.
    let replaces = plan.packages.iter().any(|planned| planned.old.is_some());
    Ok((inputs.is_sure() || replaces).then_some(inputs))
}

impl Inputs {
    fn add(
        &mut self,
        layer: &Root,
        closed: &[PathBuf],
        at: &Path,
        is_input: impl Fn(&Path) -> bool,
    ) -> Result<(), Error> {
        let upper = Upper::read_but(layer, Prefix::Trusted, closed)?;
        for (path, node) in upper.paths() {
            if node.status.kind == FileKind::Directory && !node.whiteout {
                continue;
            }
            let path = at.join(path);
            if is_input(&path) {
                self.sure.push(path.clone());
            }
            self.paths.push(path);
        }
        Ok(())
    }

    /// Leaves the paths for the step.
    pub(super) fn leave(&self, cache: &Root) -> Result<(), Error> {
        for (name, paths) in [(CHANGED, &self.paths), (SURE, &self.sure)] {
            let mut lines: Vec<&str> = paths.iter().filter_map(|path| path.to_str()).collect();
            lines.sort_unstable();
            lines.push("");
            replace_volatile(cache, name, lines.join("\n").as_bytes())?;
        }
        Ok(())
    }

    /// Whether what was changed is a part of it for sure; else a step looks.
    pub(super) fn is_sure(&self) -> bool {
        !self.sure.is_empty()
    }
}

/// A kernel or a module; lists of modules that depmod(8) writes say nothing new by themselves.
fn is_of_kernel(path: &Path) -> bool {
    let is_list = |path: &Path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        path.components().count() == 5 && name.starts_with(b"modules.")
    };
    path.starts_with(MODULES) && !is_list(path)
        || path.parent() == Some(Path::new("boot"))
            && path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"vmlinuz-"))
}

/// What is run over the base with its packages.
///
/// An image of dracut's has in itself how it was made, and is made so again; where that is gone with the base's kernel, for any machine
/// and with what finds a deployment. One of initramfs-tools' is made as the base has them set up.
pub(super) fn script(is_sure: bool) -> String {
    let how = if is_sure { "sure" } else { "perhaps" };
    format!(
        "{preamble}\
         export DRACUT_NO_XATTR=1\n\
         umask 022\n\
         how={how}\n\
         : >{FOUND}\n\
         for image in /boot/vmlinuz-*; do\n\
         place=/{MODULES}/${{image#/boot/vmlinuz-}}\n\
         if [ -f \"$image\" ] && [ -d \"$place\" ] && [ ! -e \"$place/vmlinuz\" ]; then cp \"$image\" \"$place/vmlinuz\" || exit; fi\n\
         done\n\
         set --\n\
         for image in /{MODULES}/*/vmlinuz; do\n\
         place=${{image%/vmlinuz}}\n\
         [ ! -e \"$image\" ] || set -- \"$@\" \"${{place##*/}}\"\n\
         done\n\
         echo \"{KERNELS} $*\" >{FOUND}\n\
         [ $# = 1 ] || exit 0\n\
         version=$1 place=/{MODULES}/$1 old=\n\
         grep -q ' initramfs$' {BEFORE} || exit 0\n\
         for known in $(sed -n 's/ initramfs$//p' {BEFORE}); do\n\
         [ ! -e \"/{MODULES}/$known/initramfs.img\" ] || old=/{MODULES}/$known/initramfs.img\n\
         done\n\
         if [ \"$how\" != sure ]; then\n\
         command -v lsinitrd >/dev/null && [ \"$old\" ] || exit 0\n\
         lsinitrd \"$old\" 2>/dev/null | grep -oE 'usr/[^ ]+' | sort -u >inside\n\
         grep -qxFf inside {CHANGED} || exit 0\n\
         fi\n\
         ! command -v depmod >/dev/null || depmod \"$version\" || exit\n\
         new=$place/initramfs.new\n\
         if command -v dracut >/dev/null; then\n\
         set -- --force --reproducible --no-hostonly --tmpdir /var/tmp --kver \"$version\"\n\
         if [ \"$old\" ]; then set -- --rebuild \"$old\" \"$@\"; else set -- --add ostree \"$@\"; fi\n\
         dracut \"$@\" \"$new\" || exit\n\
         elif command -v mkinitramfs >/dev/null; then\n\
         mkinitramfs -o \"$new\" \"$version\" || exit\n\
         else\n\
         echo {NO_TOOL} >>{FOUND}\n\
         exit 0\n\
         fi\n\
         [ -s \"$new\" ] && mv -f \"$new\" \"$place/initramfs.img\" || exit 1\n\
         echo {NEW} >>{FOUND}\n\
         for known in $(sed 's/ .*//' {BEFORE}); do\n\
         [ \"$known\" != \"$version\" ] || continue\n\
         cd /{MODULES}/$known 2>/dev/null || continue\n\
         rm -f initramfs.img {LISTS}\n\
         cd / && rmdir /{MODULES}/$known 2>/dev/null\n\
         done\n\
         exit 0\n",
        preamble = preamble(),
    )
}

/// What a step has found and made; who would boot otherwise than is meant is refused.
pub(super) fn found(cache: &Root) -> Result<Boot, Error> {
    judged(&text(cache, BEFORE)?, &text(cache, FOUND)?)
}

/// What a step has left in the cache under a name.
pub(super) fn text(cache: &Root, name: &str) -> Result<String, Error> {
    match cache.read(name, LIMIT) {
        Err(error) if error.is_not_found() => Ok(String::new()),
        bytes => Ok(String::from_utf8_lossy(&bytes?).into_owned()),
    }
}

/// The versions of kernels that were there, and that are.
pub(super) fn versions<'a>(before: &'a str, found: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let before = before.lines().filter_map(|line| line.split(' ').next()).collect();
    let after = found.lines().find_map(|line| line.strip_prefix(KERNELS)).unwrap_or_default();
    (before, after.split_whitespace().collect())
}

fn judged(before: &str, found: &str) -> Result<Boot, Error> {
    let (before, after) = versions(before, found);
    let has = |word: &str| found.lines().any(|line| line == word);
    let kernel = match after[..] {
        _ if after == before => None,
        [kernel] => Some(kernel.to_owned()),
        _ => {
            let kernels = after.into_iter().map(str::to_owned).collect();
            return Err(Error::Kernels { kernels });
        }
    };
    match kernel {
        Some(kernel) if has(NO_TOOL) => Err(Error::NoInitramfs { kernel }),
        kernel => {
            let initramfs = match (has(NEW), has(NO_TOOL)) {
                (true, _) => Initramfs::New,
                (_, true) => Initramfs::Stale,
                _ => Initramfs::Base,
            };
            Ok(Boot { kernel, initramfs })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_told_from_lists_of_modules() {
        for (path, is_input) in [
            ("usr/lib/modules/6.12/vmlinuz", true),
            ("usr/lib/modules/6.12/extra/x.ko", true),
            ("usr/lib/modules/6.12/modules.dep", false),
            ("usr/lib/modules-load.d/x.conf", false),
            ("boot/vmlinuz-6.12", true),
            ("boot/config-6.12", false),
        ] {
            assert_eq!(is_of_kernel(Path::new(path)), is_input, "{path}");
        }
    }

    #[test]
    fn one_kernel_boots_and_has_an_initramfs_of_its_own() {
        let boot = |before, found| judged(before, found).map_err(|error| error.to_string());
        assert_eq!(boot("1 initramfs\n", "kernels 1\n"), Ok(Boot::default()));
        assert_eq!(
            boot("1 initramfs\n", "kernels 2\ninitramfs\n"),
            Ok(Boot { kernel: Some("2".to_owned()), initramfs: Initramfs::New })
        );
        assert_eq!(boot("1\n", "kernels 2\n").map(|boot| boot.initramfs), Ok(Initramfs::Base));
        assert_eq!(
            boot("1 initramfs\n", "kernels 1\nno-tool\n").map(|boot| boot.initramfs),
            Ok(Initramfs::Stale)
        );
        assert!(boot("1 initramfs\n", "kernels 2\nno-tool\n").is_err());
        let error = boot("1\n", "kernels 1 2\n").expect_err("two kernels");
        assert!(error.contains("2 kernels (1, 2)"), "{error}");
        assert!(boot("1\n", "kernels \n").is_err());
        assert_eq!(boot("1\n2\n", "kernels 1 2\n"), Ok(Boot::default()));
    }
}
