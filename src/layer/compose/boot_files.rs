//! Kernels of a snapshot, and what is in its /boot for each of them.
//!
//! There may be several kernels, each in `/usr/lib/modules/VERSION` (with a link from /boot, as SUSE has it) or in /boot itself (Debian), with an
//! initramfs in /boot whose name has the version. What boots goes by links (`/boot/vmlinuz` and `/boot/initrd`, `/vmlinuz` and `/initrd.img`), or
//! by a list that a boot loader has in /boot, which is made anew when the snapshot is there.
//!
//! Packages' own scripts may have made links and an initramfs already. But one that they have made in a sandbox is for a host as it is seen
//! there, without disks, where it is made for one host alone (dracut's `hostonly`, `MODULES=dep` of initramfs-tools); so it is made again, for any host.

use super::install::preamble;
use super::kernel::{
    BEFORE, Boot, CHANGED, FOUND, Initramfs, KERNELS, LISTS, MODULES, NEW, NO_TOOL, SURE, text, versions,
};
use crate::layer::Error;
use crate::shell::SHARED;
use crate::sys::Root;

/// A word in [`FOUND`] before the version that boots, and one that says that an initramfs opens disks by what only the host knows.
const BOOTS: &str = "boots";
const ENCRYPTED: &str = "encrypted";

/// What a kernel's file is called: on x86 and in Debian, on SUSE's ARM of 64 bits, and of 32.
const IMAGES: &str = "vmlinuz Image zImage";

/// Where links may be that lead to what boots, of a kernel's and an initramfs's.
const LINKS: &str = "/boot/vmlinuz:/boot/initrd /boot/Image:/boot/initrd /boot/zImage:/boot/initrd \
                     /boot/vmlinuz:/boot/initrd.img /vmlinuz:/initrd.img";

/// Functions of a script: `kernels` says all versions, the newest last; `initrd` the path of a version's initramfs, where it has one.
fn functions() -> String {
    format!(
        "kernels() {{\n\
         for name in {IMAGES}; do\n\
         for image in /{MODULES}/*/$name /boot/$name-*; do\n\
         [ -f \"$image\" ] || continue\n\
         case $image in\n\
         /boot/*) echo \"${{image#/boot/$name-}}\" ;;\n\
         *) image=${{image%/*}}; echo \"${{image##*/}}\" ;;\n\
         esac\n\
         done\n\
         done | sort -V -u\n\
         }}\n\
         initrd() {{\n\
         for file in \"/boot/initrd-$1\" \"/boot/initrd.img-$1\" \"/boot/initramfs-$1.img\"; do\n\
         [ ! -f \"$file\" ] || {{ echo \"$file\"; return; }}\n\
         done\n\
         false\n\
         }}\n"
    )
}

/// Lines of a script that put aside which kernels there are before packages come.
pub(super) fn noted() -> String {
    format!(
        "{functions}\
         for version in $(kernels); do\n\
         echo \"$version$(initrd \"$version\" >/dev/null && echo ' initramfs')\"\n\
         done >{BEFORE}\n",
        functions = functions(),
    )
}

/// What is run over a snapshot with its packages.
pub(super) fn script() -> String {
    format!(
        "{preamble}\
         export DRACUT_NO_XATTR=1\n\
         umask 022\n\
         {functions}{stale}{make}\
         known() {{ cut -d ' ' -f 1 {BEFORE} | grep -qxFe \"$1\"; }}\n\
         all=$(kernels)\n\
         echo {KERNELS} $all >{FOUND}\n\
         [ \"$all\" ] || exit 0\n\
         : >new\n\
         for version in $all; do\n\
         {image}\
         known \"$version\" || echo \"$version\" >>new\n\
         if stale \"$version\"; then make \"$version\" || exit; fi\n\
         done\n\
         {gone}{links}\
         exit 0\n",
        preamble = preamble(),
        functions = functions(),
        stale = stale(),
        make = make(),
        image = image(),
        gone = gone(),
        links = links(),
    )
}

/// A kernel that is in its directory of modules alone gets a link in /boot, where there is none to it.
fn image() -> String {
    format!(
        "for name in {IMAGES}; do\n\
         if [ -f \"/{MODULES}/$version/$name\" ] && [ ! -e \"/boot/$name-$version\" ]; then\n\
         ln -sfn \"../{MODULES}/$version/$name\" \"/boot/$name-$version\" || exit\n\
         fi\n\
         done\n"
    )
}

/// A function `stale`: whether a version's initramfs is missing, or is not what it would be if it were made now. Where no kernel had one before,
/// none needs any.
fn stale() -> String {
    format!(
        "stale() {{\n\
         old=$(initrd \"$1\") || {{ [ ! -s {BEFORE} ] || grep -q ' initramfs$' {BEFORE}; return; }}\n\
         ! grep -qxFe \"${{old#/}}\" {CHANGED} || return 0\n\
         grep -ve '^boot/' -e '^{MODULES}/' {SURE} | grep -q . && return\n\
         grep -qe \"^{MODULES}/$1/\" {SURE} && return\n\
         command -v lsinitrd >/dev/null || return\n\
         lsinitrd \"$old\" 2>/dev/null | grep -oE 'usr/[^ ]+' | sort -u >inside\n\
         [ -s inside ] && grep -qxFf inside {CHANGED}\n\
         }}\n"
    )
}

/// A function `make`: makes an initramfs for a version, under the name that others have, or that its maker's distribution gives it.
///
/// It is for any host, as what it is made in has no disks. What opens encrypted ones is the host's own, and would not be in it.
fn make() -> String {
    format!(
        "make() {{\n\
         if grep -qs '^[^#]' /etc/crypttab; then echo {ENCRYPTED} >>{FOUND}; return 0; fi\n\
         old=\n\
         for other in \"$1\" $(kernels) $(cut -d ' ' -f 1 {BEFORE}); do\n\
         old=$(initrd \"$other\") && break\n\
         done\n\
         case $old in\n\
         '') if command -v mkinitramfs >/dev/null; then new=/boot/initrd.img-$1; else new=/boot/initrd-$1; fi ;;\n\
         *.img) new=/boot/initramfs-$1.img ;;\n\
         *) new=${{old%-\"$other\"}}-$1 ;;\n\
         esac\n\
         ! command -v depmod >/dev/null || depmod \"$1\" || return\n\
         if command -v mkinitramfs >/dev/null; then\n\
         rm -rf initramfs-tools && cp -R /etc/initramfs-tools . && mkdir -p initramfs-tools/conf.d || return\n\
         echo MODULES=most >initramfs-tools/conf.d/zz-onlay\n\
         mkinitramfs -d {SHARED}/initramfs-tools -o \"$new.new\" \"$1\" || return\n\
         elif command -v dracut >/dev/null; then\n\
         dracut --force --reproducible --no-hostonly --tmpdir /var/tmp --kver \"$1\" \"$new.new\" || return\n\
         else\n\
         echo {NO_TOOL} >>{FOUND}\n\
         return 0\n\
         fi\n\
         [ -s \"$new.new\" ] && mv -f \"$new.new\" \"$new\" || return 1\n\
         grep -qx {NEW} {FOUND} || echo {NEW} >>{FOUND}\n\
         }}\n"
    )
}

/// Lines that take away what is left of kernels that have gone: of links to what was theirs, and what was made for them.
fn gone() -> String {
    format!(
        "for version in $(cut -d ' ' -f 1 {BEFORE}); do\n\
         ! echo \"$all\" | grep -qxFe \"$version\" || continue\n\
         rm -f \"/boot/initrd-$version\" \"/boot/initrd.img-$version\" \"/boot/initramfs-$version.img\"\n\
         for file in /boot/*-\"$version\" /boot/.*-\"$version\".hmac; do\n\
         [ ! -L \"$file\" ] || [ -e \"$file\" ] || rm -f \"$file\"\n\
         done\n\
         (cd \"/{MODULES}/$version\" 2>/dev/null && rm -f {LISTS} &&\n\
         cd / && rmdir \"/{MODULES}/$version\" 2>/dev/null)\n\
         done\n"
    )
}

/// Lines that have links lead to what boots: to a kernel that has come, the newest where there are several, unless they do already; or where the one
/// that they lead to has gone, to the newest that is there. There are such links where there were, or where packages have made them.
fn links() -> String {
    format!(
        "boots=$(echo \"$all\" | tail -n 1)\n\
         [ ! -s new ] || boots=$(tail -n 1 new)\n\
         for pair in {LINKS}; do\n\
         link=${{pair%:*}} name=${{pair%:*}} with=${{pair#*:}}\n\
         [ -L \"$link\" ] || continue\n\
         name=${{name##*/}}\n\
         leads=$(readlink \"$link\")\n\
         leads=${{leads##*/$name-}} leads=${{leads#$name-}}\n\
         if echo \"$all\" | grep -qxFe \"$leads\" && {{ [ ! -s new ] || grep -qxFe \"$leads\" new; }}; then boots=$leads; fi\n\
         to=$name-$boots\n\
         [ -f \"/boot/$to\" ] || continue\n\
         [ \"${{link%/*}}\" ] || to=boot/$to\n\
         [ \"$(readlink \"$link\")\" = \"$to\" ] || ln -sfn \"$to\" \"$link\" || exit\n\
         [ -L \"$with\" ] || continue\n\
         to=$(initrd \"$boots\") || continue\n\
         to=${{to#/boot/}}\n\
         [ \"${{with%/*}}\" ] || to=boot/$to\n\
         [ \"$(readlink \"$with\")\" = \"$to\" ] || ln -sfn \"$to\" \"$with\" || exit\n\
         done\n\
         echo \"{BOOTS} $boots\" >>{FOUND}\n"
    )
}

/// What a step has found and made; who would not boot is refused.
pub(super) fn found(cache: &Root) -> Result<Boot, Error> {
    judged(&text(cache, BEFORE)?, &text(cache, FOUND)?)
}

fn judged(before: &str, found: &str) -> Result<Boot, Error> {
    let (old, new) = versions(before, found);
    let has = |word: &str| found.lines().any(|line| line == word);
    if new.is_empty() && !old.is_empty() {
        return Err(Error::Kernels { kernels: Vec::new() });
    }
    let came = new.iter().find(|version| !old.contains(version));
    match came {
        Some(kernel) if has(NO_TOOL) => return Err(Error::NoInitramfs { kernel: (*kernel).to_owned() }),
        Some(kernel) if has(ENCRYPTED) => return Err(Error::EncryptedBoot { kernel: (*kernel).to_owned() }),
        _ => {}
    }
    let boots =
        found.lines().find_map(|line| line.strip_prefix(BOOTS)).map(|version| version.trim().to_owned());
    let initramfs = match () {
        () if has(NEW) => Initramfs::New,
        () if has(NO_TOOL) => Initramfs::Stale,
        () if has(ENCRYPTED) => Initramfs::Apart,
        () => Initramfs::Base,
    };
    Ok(Boot { kernel: boots.filter(|_| old != new), initramfs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_boots_is_told_where_kernels_come_or_go() {
        let boot = |before, found| judged(before, found).map_err(|error| error.to_string());
        assert_eq!(boot("1 initramfs\n", "kernels 1\nboots 1\n"), Ok(Boot::default()));
        assert_eq!(
            boot("1 initramfs\n", "kernels 1 2\ninitramfs\nboots 2\n"),
            Ok(Boot { kernel: Some("2".to_owned()), initramfs: Initramfs::New })
        );
        assert_eq!(
            boot("1 initramfs\n2 initramfs\n", "kernels 1\nboots 1\n"),
            Ok(Boot { kernel: Some("1".to_owned()), initramfs: Initramfs::Base })
        );
        let apart = boot("1 initramfs\n", "kernels 1\nencrypted\nboots 1\n");
        assert_eq!(apart.map(|boot| boot.initramfs), Ok(Initramfs::Apart));
        for (found, word) in [
            ("kernels\n", "no kernel"),
            ("kernels 1 2\nno-tool\nboots 2\n", "needs an initramfs"),
            ("kernels 1 2\nencrypted\nboots 2\n", "encrypted"),
        ] {
            let error = boot("1 initramfs\n", found).expect_err(found);
            assert!(error.contains(word), "{error}");
        }
    }
}
