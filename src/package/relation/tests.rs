//! Ranges and their overlaps, as rpm has them.

use super::*;

#[test]
fn relations_are_read_and_written() {
    for text in ["a", "a < 1", "a <= 1:2-3", "a = 1.0", "a >= 1", "a > 1", "/bin/sh", "lib.so.1()(64bit)"] {
        assert_eq!(Relation::parse(text).expect("one").to_string(), text);
    }
    assert_eq!(Relation::parse("a == 1").expect("one").to_string(), "a = 1");
    for text in ["", " ", "a <", "a ? 1", "a 1", "a = 1 b"] {
        assert_eq!(Relation::parse(text), None, "{text}");
    }
}

#[test]
fn ranges_overlap_as_rpms() {
    // A provide, and what it satisfies and does not.
    for (provide, satisfied, not) in [
        ("a", &["a", "a = 1", "a < 1"][..], &["b"][..]),
        (
            "a = 1.0-2",
            &["a", "a = 1.0", "a = 1.0-2", "a = 0:1.0-2", "a >= 1.0", "a > 0.9", "a < 1.1", "a <= 1.0-2"],
            &["a = 1.0-3", "a < 1.0-2", "a > 1.0-2", "a < 1.0", "a > 1.0", "a = 1:1.0-2", "a >= 1:0", "b"],
        ),
        ("a = 1.0", &["a = 1.0-7", "a >= 1.0-7", "a <= 1.0-7", "a < 1.0-7"], &["a < 1.0", "a > 1.0"]),
        ("a = 2:1", &["a = 2:1-1", "a > 1:9", "a > 9"], &["a = 1", "a < 9", "a <= 1:9"]),
        ("a < 2", &["a < 1", "a = 1", "a > 1", "a < 3", "a < 2"], &["a = 2", "a > 2", "a >= 3"]),
        ("a >= 2", &["a > 3", "a = 2", "a = 9", "a < 3", "a <= 2"], &["a < 2", "a = 1"]),
        ("a = 1.0~rc1", &["a < 1.0", "a >= 1.0~beta"], &["a >= 1.0"]),
    ] {
        let provide = Relation::parse(provide).expect("one");
        for (wants, expected) in [(satisfied, true), (not, false)] {
            for want in wants {
                let wanted = Relation::parse(want).expect("one");
                assert_eq!(provide.overlaps(&wanted), expected, "{provide} and {want}");
                assert_eq!(wanted.overlaps(&provide), expected, "{want} and {provide}");
            }
        }
    }
}

#[test]
fn what_only_installing_needs_is_transient() {
    for (bits, expected) in [
        (0, false),
        (Sense::PRE.0, true),
        (Sense::POST.0 | Sense::INTERPRETER.0, true),
        (Sense::PRE.0 | Sense::PREUN.0, false),
        (Sense::RPMLIB.0 | Sense::LESS.0, true),
        (Sense::POSTUN.0, false),
        (Sense::POST.0 | Sense::META.0, false),
    ] {
        assert_eq!(Sense(bits).is_transient(), expected, "{bits:#x}");
    }
}
