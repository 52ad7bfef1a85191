//! The extension-release file of an extension (os-release(5)): which hosts it is for.

use super::recipe::{Matching, Recipe};
use crate::host::OsRelease;

/// What it says for a base; `architecture` in systemd's words, none for all.
pub(super) fn text(recipe: &Recipe, base: &OsRelease, architecture: Option<&str>) -> String {
    let mut lines = Vec::new();
    let mut say = |field: &str, value: &str| lines.push(format!("{field}={}\n", quoted(value)));
    match recipe.matching {
        Matching::Any => say("ID", "_any"),
        Matching::Base | Matching::Version => {
            say("ID", base.id());
            let level = base.get("SYSEXT_LEVEL").filter(|_| recipe.matching == Matching::Base);
            match (level, base.get("VERSION_ID")) {
                (Some(level), _) => say("SYSEXT_LEVEL", level),
                (None, Some(version)) => say("VERSION_ID", version),
                // A rolling release without either: systemd compares the distribution alone.
                (None, None) => {}
            }
        }
    }
    if let Some(architecture) = architecture {
        say("ARCHITECTURE", architecture);
    }
    if !recipe.scope.is_empty() {
        say("SYSEXT_SCOPE", &recipe.scope.join(" "));
    }
    if recipe.reload {
        say("EXTENSION_RELOAD_MANAGER", "1");
    }
    let units = [
        ("EXTENSION_RESTART_UNITS", &recipe.restart),
        ("EXTENSION_RELOAD_OR_RESTART_UNITS", &recipe.reload_or_restart),
    ];
    for (field, units) in units.into_iter().filter(|(_, units)| !units.is_empty()) {
        say(field, &units.join(" "));
    }
    lines.concat()
}

/// As a shell reads it.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+~^:@/".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_the_base_is() {
        let base = OsRelease::parse("ID=debian\nVERSION_ID=\"13\"\n");
        let recipe = Recipe::default();
        assert_eq!(text(&recipe, &base, Some("x86-64")), "ID=debian\nVERSION_ID=13\nARCHITECTURE=x86-64\n");
        let levelled = OsRelease::parse("ID=x\nVERSION_ID=1\nSYSEXT_LEVEL=2.0\n");
        assert_eq!(text(&recipe, &levelled, None), "ID=x\nSYSEXT_LEVEL=2.0\n");
        let by_version = Recipe { matching: Matching::Version, ..Recipe::default() };
        assert_eq!(text(&by_version, &levelled, None), "ID=x\nVERSION_ID=1\n");
        let any = Recipe {
            matching: Matching::Any,
            scope: vec!["system".into(), "portable".into()],
            reload: true,
            restart: vec!["a.service".into(), "b.service".into()],
            ..Recipe::default()
        };
        let expected = "ID=_any\nSYSEXT_SCOPE=\"system portable\"\nEXTENSION_RELOAD_MANAGER=1\n\
                        EXTENSION_RESTART_UNITS=\"a.service b.service\"\n";
        assert_eq!(text(&any, &base, None), expected);
    }
}
