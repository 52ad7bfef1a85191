//! zypper(8): its words as XML (`--xmlout`).

use super::{Plan, Planned, Step, Steps, seal_script};
use crate::resolve::zypper::attribute;
use crate::shell::SHARED;

/// Lists and packages are in the cache for both steps; in the second one nothing is refreshed. What is to be removed goes in the same
/// transaction, with a minus.
pub(super) fn script(steps: &Steps, step: Step) -> String {
    let refresh = if steps.refresh { "zypper $common refresh --force || exit\n" } else { "" };
    let offline = steps.offline || step == Step::Install;
    let no_refresh = if offline { "--no-refresh" } else { "" };
    let preamble = format!(
        "{first}\
         common='--non-interactive {no_refresh} --cache-dir {SHARED}/zypp'\n\
         options='--auto-agree-with-licenses --no-recommends --no-force-resolution'\n",
        first = super::preamble(),
    );
    match step {
        Step::Seal => seal_script(),
        Step::Download => {
            format!(
                "{preamble}{refresh}zypper --xmlout $common install --download-only $options -- \"$@\" >plan\n"
            )
        }
        Step::Install => {
            format!("{preamble}{primed}zypper $common install $options -- \"$@\"\n", primed = super::primed())
        }
    }
}

/// Files by their paths; what is to go with a minus.
pub(super) fn words(steps: &Steps) -> Vec<String> {
    let removed = steps.removed.iter().map(|name| format!("-{name}"));
    steps.packages.iter().cloned().chain(steps.file_words()).chain(removed).collect()
}

/// `<to-install>`, `<to-upgrade>` and the like, with `<solvable type="package" name="…" edition="…" edition-old="…" arch="…"/>` in
/// them.
pub(super) fn plan(text: &str) -> Plan {
    let mut packages = Vec::new();
    for part in text.split("<to-").skip(1) {
        let Some((verb, rest)) = part.split_once('>') else { continue };
        let list = rest.split(&format!("</to-{verb}>")).next().unwrap_or(rest);
        for tag in list.split("<solvable ").skip(1).filter(|tag| tag.starts_with("type=\"package\"")) {
            let attribute = |name: &str| attribute(tag, name);
            let Some(name) = attribute("name") else { continue };
            let edition = attribute("edition");
            let (old, new) = match verb {
                "remove" => (edition, None),
                _ => (attribute("edition-old"), edition),
            };
            packages.push(Planned { name, architecture: attribute("arch").unwrap_or_default(), old, new });
        }
    }
    Plan { packages }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_comes_changes_and_goes() {
        let text = "<install-summary><to-install><solvable type=\"package\" name=\"a\" edition=\"1-1\" arch=\"noarch\"/>\
                    <solvable type=\"pattern\" name=\"p\" edition=\"1\" arch=\"noarch\"/></to-install>\
                    <to-upgrade><solvable type=\"package\" name=\"b\" edition=\"2-1\" edition-old=\"1-1\" arch=\"x86_64\"/></to-upgrade>\
                    <to-remove><solvable type=\"package\" name=\"c\" edition=\"3-1\" arch=\"noarch\"/></to-remove></install-summary>";
        let plan = plan(text);
        let rows: Vec<(&str, Option<&str>, Option<&str>)> =
            plan.packages.iter().map(|one| (&*one.name, one.old.as_deref(), one.new.as_deref())).collect();
        assert_eq!(
            rows,
            [("a", None, Some("1-1")), ("b", Some("1-1"), Some("2-1")), ("c", Some("3-1"), None)]
        );
    }
}
