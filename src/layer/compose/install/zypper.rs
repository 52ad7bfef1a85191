//! zypper(8): its words as XML (`--xmlout`).

use super::{Plan, Planned, Steps, rpm};
use crate::resolve::zypper::attribute;
use crate::shell::SHARED;

/// Lists and packages are in the cache for both steps; in the second one nothing is refreshed. What is to be removed goes in the same
/// transaction, with a minus.
///
/// Three of its ways are not for here. It takes a newer package in the place of the base's where one is asked for by name that is there
/// already: such words are left out, as are packages to be removed that are not there. It removes packages from its cache once they are installed: it gets links to them. And where
/// several versions of a package may be there at once (`multiversion`), as those of kernels may, it would leave the base's.
pub(super) fn script(steps: &Steps, is_install: bool) -> String {
    let refresh = if steps.refresh && !is_install { "zypper $common refresh --force || exit\n" } else { "" };
    let no_refresh = if steps.offline || is_install { "--no-refresh" } else { "" };
    let run = if is_install {
        format!(
            "{primed}\
             rm -rf {ONCE} && mkdir -p {CACHE}/packages && cp -Rl {CACHE}/packages {ONCE} || exit\n\
             zypper $common --pkg-cache-dir {SHARED}/{ONCE} install $options -- \"$@\"\n",
            primed = super::primed(),
        )
    } else {
        "zypper --xmlout $common install --download-only $options -- \"$@\" >plan\n".to_owned()
    };
    format!(
        "{first}\
         common='--non-interactive {no_refresh} --cache-dir {SHARED}/{CACHE}'\n\
         options='--auto-agree-with-licenses --no-recommends --no-force-resolution --oldpackage'\n\
         (cat /usr/etc/zypp/zypp.conf || cat /etc/zypp/zypp.conf || echo '[main]') 2>/dev/null | grep -v '^ *multiversion' >zypp.conf\n\
         printf '%s\\n' 'multiversion =' 'multiversiondir = /var/empty' >>zypp.conf\n\
         export ZYPP_CONF={SHARED}/zypp.conf\n\
         {refresh}\
         : >plan\n\
         {satisfied}\
         for word; do\n\
         shift\n\
         case $word in -*) rpm --query --quiet -- \"${{word#-}}\" || continue ;; esac\n\
         grep -qxFe \"$word\" {known} || set -- \"$@\" \"$word\"\n\
         done\n\
         [ $# -gt 0 ] || exit 0\n\
         {run}\
         code=$?\n\
         case $code in {FINE}) exit 0 ;; *) exit $code ;; esac\n",
        first = super::preamble(),
        satisfied = rpm::satisfied(&steps.removed),
        known = rpm::SATISFIED,
    )
}

/// Its cache, and that of one run.
const CACHE: &str = "zypp";
const ONCE: &str = "zypp-once";

/// What it ends with where all is done, and something is to be known (ZYPPER_EXIT_INF_…): that there are updates, that something wants a
/// reboot or another run, that a repository could not be read and was passed over.
const FINE: &str = "0 | 100 | 101 | 102 | 103 | 106";

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
    Plan { packages, satisfied: None }
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
