//! The rules of each version of systemd; those of the one that a machine of the tests has, systemd itself judges there.

use super::*;

fn host(release: &str, systemd: &str) -> HostFacts {
    HostFacts {
        release: OsRelease::parse(&release.replace(' ', "\n")),
        architecture: "x86-64".to_owned(),
        systemd: systemd.parse().expect("a version"),
    }
}

/// The rule that decides, with a sign of what it decides.
fn rule(host_release: &str, systemd: &str, class: Class, extension: &str) -> String {
    let fields = OsRelease::parse(&extension.replace(' ', "\n"));
    let release = Release::Found { path: "x".into(), fields };
    match judge(&host(host_release, systemd), class, &release, false) {
        Ok(matched) => format!("+{}", matched.rule()),
        Err(mismatch) => format!("-{}", mismatch.rule()),
    }
}

#[test]
fn what_a_host_is_like_counts_since_an_update_of_257() {
    for (systemd, expected) in [
        ("252.39", "-id"),
        ("256", "-id"),
        ("257", "-id"),
        ("257.12", "-id"),
        ("257.13", "+version"),
        ("258~rc1", "+version"),
        ("262", "+version"),
    ] {
        let host = "ID=mine ID_LIKE='rhel\tdebian' VERSION_ID=13";
        assert_eq!(rule(host, systemd, Class::Sysext, "ID=debian VERSION_ID=13"), expected, "{systemd}");
        assert_eq!(rule(host, systemd, Class::Sysext, "ID=deb VERSION_ID=13"), "-id", "{systemd}");
    }
}

#[test]
fn extensions_of_etc_have_fields_of_their_own() {
    let host = "ID=debian VERSION_ID=13 CONFEXT_LEVEL=2 SYSEXT_LEVEL=1";
    for (extension, sysext, confext) in [
        ("ID=debian CONFEXT_LEVEL=2", "-version", "+level"),
        ("ID=debian SYSEXT_LEVEL=1", "+level", "-version"),
        ("ID=_any CONFEXT_SCOPE=portable", "+any", "-scope"),
        ("ID=_any SYSEXT_SCOPE=portable", "-scope", "+any"),
        ("ID=debian CONFEXT_LEVEL=1 VERSION_ID=13", "+version", "-level"),
    ] {
        assert_eq!(rule(host, "257", Class::Sysext, extension), sysext, "{extension}");
        assert_eq!(rule(host, "257", Class::Confext, extension), confext, "{extension}");
        assert_eq!(rule(host, "252", Class::Confext, extension), "-systemd", "{extension}");
    }
}

#[test]
fn rules_come_one_after_the_other() {
    let host = "ID=debian VERSION_ID=13";
    for (extension, expected) in [
        ("", "-release-file"),
        ("SYSEXT_SCOPE=portable ARCHITECTURE=arm64 ID=x", "-scope"),
        ("ARCHITECTURE=arm64 ID=x", "-architecture"),
        ("VERSION_ID=12", "-id"),
        ("ID=x VERSION_ID=12", "-id"),
        ("ID=debian VERSION_ID=12", "-version"),
        ("ID=debian", "-version"),
        ("ID=_any SYSEXT_LEVEL=9 VERSION_ID=1", "+any"),
    ] {
        assert_eq!(rule(host, "257", Class::Sysext, extension), expected, "{extension}");
    }
    assert_eq!(rule("VERSION_ID=13", "257", Class::Sysext, "ID=_any"), "-host");
    assert_eq!(rule("ID=arch", "257", Class::Sysext, "ID=arch VERSION_ID=1"), "+id");
    assert_eq!(rule("ID=arch SYSEXT_LEVEL=1", "257", Class::Sysext, "ID=arch"), "+version");
}

#[test]
fn the_base_has_its_own_file_alone() {
    let release = Release::Found { path: "x".into(), fields: OsRelease::parse("ID=_any") };
    let host = host("ID=debian", "257");
    assert_eq!(judge(&host, Class::Sysext, &release, true), Err(Mismatch::OsRelease));
    assert_eq!(judge(&host, Class::Confext, &release, true), Ok(Match::Any));
}

#[test]
fn a_refusal_is_in_words_and_so_is_what_changes_it() {
    let words = |host_release: &str, systemd, extension: &str| {
        let fields = OsRelease::parse(&extension.replace(' ', "\n"));
        let release = Release::Found { path: "x".into(), fields };
        let mismatch =
            judge(&host(host_release, systemd), Class::Sysext, &release, false).expect_err("it differs");
        format!("{mismatch} / {}", mismatch.change().unwrap_or_default())
    };
    let debian = "ID=debian VERSION_ID=13";
    assert_eq!(
        words(debian, "257", "ID=debian VERSION_ID=12"),
        "it says VERSION_ID=12, and the host has 13 / VERSION_ID=13, or ID=_any"
    );
    assert_eq!(
        words("ID=mine ID_LIKE=debian VERSION_ID=13", "252", "ID=debian"),
        "it says ID=debian, and the host is mine (like debian, which counts from systemd 257.13 on) / ID=mine, or ID=_any"
    );
    assert_eq!(
        words("ID=debian VERSION_ID=13 SYSEXT_LEVEL=2", "257", "ID=debian SYSEXT_LEVEL=1"),
        "it says SYSEXT_LEVEL=1, and the host has 2 / SYSEXT_LEVEL=2, or ID=_any"
    );
    assert_eq!(
        words(debian, "257", "ID=_any ARCHITECTURE=x86_64"),
        "it says ARCHITECTURE=x86_64, and the host is x86-64 / ARCHITECTURE=x86-64, where that is what its programs are for"
    );
    let missing = Mismatch::NoRelease(
        Release::Missing {
            name: "a_1".to_owned(),
            others: vec![crate::extension::release::Other {
                name: "b".to_owned(),
                strict: Strictness::Strict,
            }],
        },
        Class::Sysext,
    );
    assert_eq!(
        missing.to_string(),
        "it has no usr/lib/extension-release.d/extension-release.a_1, but extension-release.b (which says that it is strict)"
    );
}
