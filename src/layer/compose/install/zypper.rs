//! zypper(8): its words as XML (`--xmlout`).

use super::{FILES, Plan, Planned, Steps, Upon, rpm};
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
    format!(
        "{first}{in_snapshot}\
         common='--non-interactive {no_refresh} --cache-dir {SHARED}/{CACHE}'\n\
         options='--auto-agree-with-licenses --no-recommends --no-force-resolution'\n\
         {settings}\
         {take}\
         {refresh}\
         : >plan\n\
         {satisfied}\
         for word; do\n\
         shift\n\
         case $word in -*) rpm --query --quiet -- \"${{word#-}}\" || continue ;; esac\n\
         grep -qxFe \"$word\" {known} || set -- \"$@\" \"$word\"\n\
         done\n\
         {change}",
        first = super::preamble(),
        in_snapshot = super::in_snapshot(steps),
        settings = settings(steps.upon.as_ref()),
        take = take(steps, is_install),
        satisfied = rpm::satisfied(steps),
        known = rpm::SATISFIED,
        change = change(steps, is_install),
    )
}

/// Its settings, besides the host's own, whose last section may be another than where ours belong. Packages that are to stay as they are it takes for locked.
fn settings(upon: Option<&Upon>) -> String {
    let ours = match upon {
        None => {
            "printf '%s\\n' '[main]' 'multiversion =' 'multiversiondir = /var/empty' >>zypp.conf\n".to_owned()
        }
        Some(Upon { kept, upgrade, .. }) => format!(
            "printf '%s\\n' '[main]' 'solver.cleandepsOnRemove = false' 'locksfile.path = {SHARED}/locks' >>zypp.conf\n\
             cat /etc/zypp/locks >locks 2>/dev/null\n\
             for name in {kept}; do\n\
             ! rpm --query --quiet -- \"$name\" ||\n\
             printf '\\ntype: package\\nmatch_type: glob\\ncase_sensitive: on\\nsolvable_name: %s\\n' \"$name\" >>locks\n\
             done\n",
            kept = if *upgrade { rpm::quoted(kept) } else { String::new() },
        ),
    };
    let theirs = if upon.is_none() { "multiversion" } else { "solver.cleandepsOnRemove\\|locksfile.path" };
    format!(
        "(cat /etc/zypp/zypp.conf || cat /usr/etc/zypp/zypp.conf || echo '[main]') 2>/dev/null | grep -v '^ *\\({theirs}\\)' >zypp.conf\n\
         {ours}\
         export ZYPP_CONF={SHARED}/zypp.conf\n"
    )
}

/// Functions of a script: `take`, one run of zypper's with these words, whose status says whether all is done, and `fail`, for where it is not. In the
/// first step, where more is to come, rpm's database is then told of what the run would have done.
fn take(steps: &Steps, is_install: bool) -> String {
    let is_done = format!("case $code in {FINE}) ;; *) return $code ;; esac\n");
    if is_install {
        return format!(
            "take() {{\n\
             rm -rf {ONCE} && mkdir -p {CACHE}/packages && cp -Rl {CACHE}/packages {ONCE} || exit\n\
             zypper $common --pkg-cache-dir {SHARED}/{ONCE} \"$@\"\n\
             code=$?\n\
             {is_done}\
             }}\n\
             fail() {{ exit $code; }}\n"
        );
    }
    let believed = if steps.upon.is_some() { believed() } else { String::new() };
    format!(
        "take() {{\n\
         zypper --xmlout $common \"$@\" >run\n\
         code=$?\n\
         {is_done}\
         cat run >>plan\n\
         {believed}\
         }}\n\
         fail() {{ cat run >>plan; exit $code; }}\n"
    )
}

/// Lines of a script that have rpm's database, which is in RAM there, know of what a run would have done: of what goes, and what comes by the
/// packages that were downloaded. Which these are their headers say.
fn believed() -> String {
    format!(
        "tag='<solvable type=\"package\" name=\"\\([^\"]*\\)\" edition=\"\\([^\"]*\\)\" arch=\"\\([^\"]*\\)\" repository='\n\
         sed -n \"s/^$tag\\\"@System\\\".*/\\1/p\" run | xargs -r rpm --erase --allmatches {quietly} -- || exit\n\
         sed -n \"/@System/d; s/^$tag.*/\\1|\\2|\\3/p\" run | sort -u >wanted\n\
         [ -s wanted ] || return 0\n\
         find {CACHE}/packages {FILES} -name '*.rpm' -print 2>/dev/null >there\n\
         tr '\\n' '\\0' <there |\n\
         xargs -0 -r rpm --query --package --nosignature --nodigest --queryformat '%{{NAME}}|%{{EVR}}|%{{ARCH}}\\n' -- |\n\
         sed 's/|0:/|/' | paste -d ' ' - there | sort | join wanted - | cut -d ' ' -f 2- | tr '\\n' '\\0' |\n\
         xargs -0 -r rpm --upgrade --force --nosignature --nodigest {quietly} -- || exit\n",
        quietly = rpm::IN_NAME_ONLY,
    )
}

/// What is done: a base gets packages, or what was there before is changed.
fn change(steps: &Steps, is_install: bool) -> String {
    let only = if is_install { "" } else { "--download-only" };
    let primed = if is_install { super::primed(steps) } else { String::new() };
    let install = format!("take install {only} $options --oldpackage -- \"$@\"");
    let Some(upon) = &steps.upon else {
        return format!("[ $# -gt 0 ] || exit 0\n{primed}{install} || fail\n");
    };
    let upgrade = format!("take $method {only} $options");
    format!(
        "{method}{primed}{change}{tidied}",
        method = if upon.upgrade { METHOD } else { "" },
        change = rpm::change(upon, is_install, &upgrade, &install, GOES),
        tidied = if is_install { super::tidied(steps) } else { String::new() },
    )
}

/// Lines of a script that look how a host wants to be brought up to date: as transactional-update does it, by what its settings say, and as it does
/// where they say nothing. What rolls, as openSUSE MicroOS does, is only ever whole by `dup`.
const METHOD: &str = "method=dup\n\
     for settings in /usr/etc/transactional-update.conf /etc/transactional-update.conf; do\n\
     case $(sed -n 's/^ *UPDATE_METHOD=[\"]*\\([a-z]*\\).*/\\1/p' $settings 2>/dev/null | tail -n 1) in\n\
     dup) method=dup ;;\n\
     up) method=update ;;\n\
     esac\n\
     done\n";

/// How a package that nobody needs stands in a plan: as zypper itself says it of one that goes.
const GOES: &str = "<to-remove><solvable type=\"package\" name=\"%{NAME}\" edition=\"%{EVR}\" arch=\"%{ARCH}\"/></to-remove>\\n";

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
    let mut packages: Vec<Planned> = Vec::new();
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
            let architecture = attribute("arch").unwrap_or_default();
            let planned = Planned { name, architecture, old, new };
            let is_before = |known: &Planned| {
                planned.old.is_some() && known.name == planned.name && known.new == planned.old
            };
            match packages.iter().position(is_before) {
                // What one run has changed, another one may change again, or back.
                Some(at) if packages[at].old == planned.new => drop(packages.remove(at)),
                Some(at) => packages[at] = Planned { old: packages[at].old.take(), ..planned },
                // An architecture that changes is told twice.
                None if packages.contains(&planned) => {}
                None => packages.push(planned),
            }
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

    #[test]
    fn what_several_runs_do_is_told_as_one() {
        let tag = |name: &str, old: Option<&str>, new: &str| {
            let old = old.map(|old| format!(" edition-old=\"{old}\"")).unwrap_or_default();
            format!("<solvable type=\"package\" name=\"{name}\" edition=\"{new}\" arch=\"x\"{old}/>")
        };
        let text = format!(
            "<to-upgrade>{}{}{}</to-upgrade><to-change-arch>{}</to-change-arch><to-install>{}</to-install>\
             <to-downgrade>{}</to-downgrade><to-upgrade>{}</to-upgrade><to-remove>{}</to-remove>",
            tag("back", Some("1"), "3"),
            tag("on", Some("1"), "2"),
            tag("arch", Some("1"), "2"),
            tag("arch", Some("1"), "2"),
            tag("gone", None, "1"),
            tag("back", Some("3"), "1"),
            tag("on", Some("2"), "3"),
            tag("gone", None, "1"),
        );
        let rows: Vec<_> = plan(&text).packages.into_iter().map(|one| (one.name, one.old, one.new)).collect();
        let row = |name: &str, new: &str| (name.to_owned(), Some("1".to_owned()), Some(new.to_owned()));
        assert_eq!(rows, [row("on", "3"), row("arch", "2")]);
    }
}
