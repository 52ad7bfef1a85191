//! Whether the kernels of a base can read an image: one that they cannot keeps systemd from merging any.

use std::path::Path;

use super::error::Error;
use crate::extension::Stack;
use crate::image::Format;
use crate::image::squashfs::Compression;

/// A release of Linux, as far as it matters here.
type Release = (u32, u32);

/// The first release that reads images made in a way, where that matters: erofs with packed ends of files came with 6.1, zstd
/// in it with 6.10, and files in chunks with 5.15. Older ones have squashfs with all ways to compress (zstd since 4.14).
fn needed(format: Format, compression: Compression) -> Release {
    match (format, compression) {
        (Format::Erofs, Compression::None) => (5, 15),
        (Format::Erofs, Compression::Zstd(_)) => (6, 10),
        (Format::Erofs, _) => (6, 1),
        _ => (0, 0),
    }
}

/// Refuses what the newest kernel of a base cannot read. A base without any, such as that of a container, says nothing.
pub(super) fn check(base: &Stack<'_>, format: Format, compression: Compression) -> Result<(), Error> {
    let needed = needed(format, compression);
    match newest(base) {
        Some(found) if found < needed => Err(Error::Kernel {
            what: format!("an {format} compressed with {compression}"),
            needed: format!("{}.{}", needed.0, needed.1),
            found: format!("{}.{}", found.0, found.1),
        }),
        _ => Ok(()),
    }
}

fn newest(base: &Stack<'_>) -> Option<Release> {
    let names = base.list(Path::new("usr/lib/modules")).ok()?;
    names.iter().filter_map(|name| release(name.to_str()?)).max()
}

/// Of `6.12.117+deb13-amd64`, the first two numbers.
fn release(name: &str) -> Option<Release> {
    let mut numbers = name.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Directory;
    use crate::extension::build::base::stack;
    use crate::sys::Root;

    #[test]
    fn the_newest_kernel_of_a_base_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let base = Directory::new(Root::open(dir.path()).expect("it opens"));
        let check = |format, compression| check(&stack(&base), format, compression);
        let zstd = Compression::Zstd(3);
        assert!(check(Format::Erofs, zstd).is_ok());
        for name in ["5.10.0-9-amd64", "6.1.0-50-cloud-amd64", "extra"] {
            std::fs::create_dir_all(dir.path().join("usr/lib/modules").join(name)).expect("ours");
        }
        assert!(check(Format::Squashfs, zstd).is_ok());
        assert!(check(Format::Erofs, Compression::Lz4).is_ok());
        let refused = check(Format::Erofs, zstd).expect_err("6.1 cannot").to_string();
        assert!(refused.contains("Linux 6.10") && refused.contains("has 6.1"), "{refused}");
        std::fs::create_dir_all(dir.path().join("usr/lib/modules/6.12.1")).expect("ours");
        assert!(check(Format::Erofs, zstd).is_ok());
    }
}
