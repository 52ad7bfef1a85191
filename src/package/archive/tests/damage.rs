//! Right packages with damage at every place: an error or something to read, never a panic, and where something is cut
//! off always an error.

use super::made::*;

/// Each place would take a minute under an emulator; a prime comes by all kinds of them.
const STEP: usize = 11;

fn small_deb() -> Vec<u8> {
    let members = [
        member(b"./a", b'0', b"abc"),
        link(b"./b", b'1', b"a"),
        pax(&[("path", b"c")]),
        link(b"x", b'2', b"y"),
    ];
    deb(&members)
}

fn small_rpm() -> Vec<u8> {
    let hard = |path| File { inode: 7, ..File::of(path, 0o100_644, b"abcde") };
    let members = [numbered(0, b""), named("/b", b"abcde")];
    // Without digests, which would find all of it at once.
    rpm_with(
        crate::package::header::Builder::new(),
        &header(&[hard("/a"), hard("/b")]).build(),
        &cpio(&members),
    )
}

#[test]
fn what_is_cut_off_is_refused() {
    let deb = small_deb();
    for length in (0..deb.len()).step_by(STEP) {
        assert!(read(&deb[..length]).is_err(), "{length} of {} bytes", deb.len());
    }
    let rpm = small_rpm();
    assert!(read(&rpm).is_ok());
    for length in (0..rpm.len() - 1).step_by(STEP) {
        assert!(read(&rpm[..length]).is_err(), "{length} of {} bytes", rpm.len());
    }
}

#[test]
fn changed_bytes_are_no_panic() {
    let mut chance = fastrand::Rng::with_seed(5);
    for package in [small_deb(), small_rpm()] {
        for at in (0..package.len()).step_by(STEP) {
            let mut changed = package.clone();
            changed[at] = match chance.u8(0..4) {
                0 => 0,
                1 => 0xff,
                2 => changed[at] ^ 1 << chance.u8(0..8),
                _ => b'0' + chance.u8(0..10),
            };
            let _ = read(&changed);
        }
    }
}
