//! The order of versions, as dpkg has it.

use std::cmp::Ordering;
use std::fmt::Write as _;

use onlay::package::DebianVersion;

use crate::debian::{command, expect_success, skip};

const POOL: &[&str] = &[
    "0",
    "0~",
    "0~~",
    "0~~a",
    "~",
    "~1",
    "1",
    "01",
    "1.0",
    "1.00",
    "1.0.",
    "1.0+",
    "1.0a",
    "1.0a~",
    "1.0A",
    "1.0-1",
    "1.0-01",
    "1.0-1~",
    "1.0-1.1",
    "1.0-1+b1",
    "1.0-1+deb13u1",
    "1.0-1~bpo12+1",
    "1.0-0",
    "1.0+git20240101.abc",
    "1.0~rc1-1",
    "0:1.0",
    "1:0",
    "1:0.1-1",
    "2:0",
    "10:0",
    "1:1:1",
    "1-1-1",
    "1-a-1",
    "2024a-0+deb12u1",
    "20240101",
    "9999999999999999999999",
    "99999999999999999999991",
    "1.2.3.4.5",
    "1.10",
    "1.9",
    "a",
    "a1",
    "1a2b3c",
    "1.0-a",
    "1.0-~",
    "1.0-1.",
    "1_0",
    "1.0=1",
];

/// A version of random parts, with letters that often meet.
fn random(random: &mut fastrand::Rng) -> String {
    let mut part = |letters: &str, most: usize| -> String {
        let letters: Vec<char> = letters.chars().collect();
        (0..random.usize(1..=most)).map(|_| letters[random.usize(0..letters.len())]).collect()
    };
    let (epoch, upstream, revision) = (part("012", 1), part("0019aAz.+~-", 6), part("019a.+~", 3));
    match random.u8(0..4) {
        0 => format!("{epoch}:0{upstream}0"),
        1 => format!("0{upstream}0-{revision}"),
        _ => format!("1{upstream}1"),
    }
}

/// Whether this machine has a dpkg to ask.
fn dpkg_or_skip() -> bool {
    let is_there = command("dpkg").arg("--version").output().is_ok();
    if !is_there {
        skip("this machine has no dpkg");
    }
    is_there
}

#[test]
fn versions_are_ordered_as_by_dpkg() {
    if !dpkg_or_skip() {
        return;
    }
    let mut chance = fastrand::Rng::with_seed(822);
    let mut pairs: Vec<(String, String)> = Vec::new();
    for one in POOL {
        for _ in 0..8 {
            pairs.push(((*one).to_owned(), POOL[chance.usize(0..POOL.len())].to_owned()));
        }
    }
    pairs.extend((0..400).map(|_| (random(&mut chance), random(&mut chance))));
    let mut script = String::new();
    for (one, other) in &pairs {
        let _ = writeln!(
            script,
            "if dpkg --compare-versions '{one}' lt '{other}'; then echo lt; \
             elif dpkg --compare-versions '{one}' eq '{other}'; then echo eq; else echo gt; fi"
        );
    }
    let output = expect_success(command("sh").args(["-c", &script]));
    let answers = String::from_utf8(output.stdout).expect("text");
    assert_eq!(answers.lines().count(), pairs.len());
    let version = |text| DebianVersion::parse(text).unwrap_or_else(|error| panic!("{error}"));
    for ((one, other), answer) in pairs.iter().zip(answers.lines()) {
        let expected = match answer {
            "lt" => Ordering::Less,
            "eq" => Ordering::Equal,
            _ => Ordering::Greater,
        };
        assert_eq!(version(one).cmp(&version(other)), expected, "{one} {answer} {other}");
    }
}

#[test]
fn versions_are_refused_as_by_dpkg() {
    if !dpkg_or_skip() {
        return;
    }
    for (text, is_taken) in [
        ("1", true),
        ("1 2", false),
        ("a:1", false),
        (":1", false),
        ("1:", false),
        ("+1:1", true),
        ("1-", false),
        ("2147483648:1", false),
        ("2147483647:1", true),
        // These it only warns of.
        ("abc", true),
        ("1_2", true),
        ("1:-1", false),
    ] {
        let output = command("dpkg").args(["--compare-versions", text, "ge", "0"]).output().expect("dpkg");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code() != Some(2), is_taken, "{text}: {said}");
        assert_eq!(DebianVersion::parse(text).is_ok(), is_taken, "{text}");
    }
}
