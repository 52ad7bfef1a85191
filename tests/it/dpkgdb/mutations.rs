//! Right files, changed at random places: what must hold for any bytes holds for these, which look right.

#[path = "../../../fuzz/invariants/dpkg.rs"]
mod invariants;

/// What is put in: letters of all formats, and what often is at the edge.
const PIECES: &[&[u8]] = &[
    b"\n",
    b"\n\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\xff",
    b"\xc3\xa4",
    b"-",
    b"/",
    b"~",
    b"(>= 1)",
    b"|",
    b",",
    b"\r",
    b"a",
    b"0",
    b"2147483648",
    b"\n ",
    b"\n .\n",
    b"#",
    b"/noawait",
    b"auto",
    b"Package: a\n",
    b"Status: install ok installed\n",
];

const STATUS: &[u8] = b"Package: a\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1:2.0-1\n\
    Depends: b (>= 1) | c:any, d\nConffiles:\n /etc/a 0123456789abcdef0123456789abcdef obsolete\nDescription: x\n y\n .\n z\n\n\
    Package: b\nStatus: hold reinstreq half-installed\nArchitecture: all\nTriggers-Pending: x y\n\n";
const ALTERNATIVE: &[u8] = b"auto\n/usr/bin/awk\nawk.1\n/man/awk.1\nnawk\n/usr/bin/nawk\n\n\
    /usr/bin/gawk\n10\n\n/usr/bin/gawk\n/usr/bin/mawk\n-5\n/man/mawk.1\n/usr/bin/mawk\n\n";
const TABLES: &[&[u8]] = &[
    b"/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/x y\n/usr/bin/x\n:\n",
    b"root crontab 2755 /usr/bin/crontab\n#7 games 755 /usr/games/a b\n",
    b"/usr/lib - a\nldconfig b\n",
    b"/usr/lib man-db/noawait\n/etc/x libc6:amd64\n",
    b"libc-bin\nman-db/noawait\n",
    b"Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\n",
    b"# x\ninterest-noawait /usr/lib\nactivate ldconfig\n",
];
const WORDS: &[&[u8]] =
    &[b"1:2.0~rc1-1+b1\n1:2.0\n1.10\n1.9\n0~~\n0\n2a\n2+\n", b"a (>= 1) | b:any, c:i386 (<< 1:2-3),\n d"];

/// One to four changes: a piece put in, taken out, moved, or a bit turned.
fn mutate(chance: &mut fastrand::Rng, seed: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..chance.usize(1..=4) {
        let at = chance.usize(0..=data.len());
        let end = (at + chance.usize(0..12)).min(data.len());
        match chance.u8(0..6) {
            0 | 1 => drop(data.splice(at..at, PIECES[chance.usize(0..PIECES.len())].iter().copied())),
            2 => drop(data.drain(at..end)),
            3 => {
                let piece = data[at..end].to_vec();
                let to = chance.usize(0..=data.len());
                drop(data.splice(to..to, piece));
            }
            4 => data.truncate(at),
            _ => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << chance.u8(0..8);
                }
            }
        }
    }
    data
}

fn try_all(seeds: &[&[u8]], rounds: usize, check: fn(&[u8])) {
    let mut chance = fastrand::Rng::with_seed(822);
    for seed in seeds {
        check(seed);
        for _ in 0..rounds {
            let data = mutate(&mut chance, seed);
            let result = std::panic::catch_unwind(|| check(&data));
            assert!(result.is_ok(), "for: {}", data.escape_ascii());
        }
    }
}

#[test]
fn any_bytes_are_stanzas_or_refused() {
    try_all(&[STATUS, b"\n\nA: 1\n\n\n\nB : 2\n 3\n"], 15_000, invariants::stanzas);
}

#[test]
fn any_bytes_are_a_status_or_refused() {
    try_all(&[STATUS], 15_000, invariants::status);
}

#[test]
fn any_bytes_are_an_alternative_or_refused() {
    try_all(&[ALTERNATIVE], 15_000, invariants::alternative);
}

#[test]
fn any_bytes_are_tables_or_refused() {
    try_all(TABLES, 3_000, invariants::tables);
}

#[test]
fn any_text_is_words_or_refused() {
    try_all(WORDS, 3_000, invariants::words);
}
