//! apt-get(8).

use super::{Plan, Planned, Steps};
use crate::shell::SHARED;

/// `--print-uris` and the like would leave out what is there; `-s` says all, in the order of the installation. What scripts ask
/// nobody answers; of configuration files the packages' own are taken where they are defaults, and those that are there where people may have
/// edited them. What asks or warns people before packages come (`DPkg::Pre-Install-Pkgs`: dpkg-preconfigure, apt-listbugs) has nobody to do so, and no network. Nor does apt keep
/// kernels that nobody asks for, or which run: those of a base are none that it may take away.
pub(super) fn script(steps: &Steps, is_install: bool) -> String {
    let How { verb, options, conffiles } = How::of(steps);
    let refresh = if steps.refresh { "yes" } else { "" };
    let offline = if steps.offline { "yes" } else { "" };
    let preamble = format!(
        "{first}\
         export DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none\n\
         export APT_CONFIG={SHARED}/apt.conf\n\
         mkdir -p archives/partial lists/partial caches\n\
         cat >apt.conf <<END\n\
         Dir::Cache \"{SHARED}/caches\";\n\
         Dir::Cache::archives \"{SHARED}/archives/\";\n\
         Dir::State::lists \"{SHARED}/lists/\";\n\
         Dir::Log \"/var/log/apt\";\n\
         APT::Sandbox::User \"root\";\n\
         APT::Install-Recommends \"false\";\n\
         APT::Install-Suggests \"false\";\n\
         APT::AutoRemove::RecommendsImportant \"false\";\n\
         APT::AutoRemove::SuggestsImportant \"false\";\n\
         APT::Keep-Downloaded-Packages \"true\";\n\
         APT::Cmd::Pattern-Only \"true\";\n\
         END\n\
         [ -x {COPY} ] && echo 'Dir::Bin::Methods::file \"{COPY}\";' >>apt.conf\n\
         printf '%s\\n' '#clear DPkg::Pre-Install-Pkgs;' '#clear APT::NeverAutoRemove;' 'APT::Protect-Kernels \"false\";' >last.conf\n",
        first = super::preamble(),
    ) + PRESENT;
    if !is_install {
        return format!(
            "{preamble}\
             attempt() {{\n\
             {mark}\
             apt-get -q -y -c last.conf {options} --simulate {verb} -- \"$@\" >plan && \
             apt-get -q -y -c last.conf {options} --download-only {verb} -- \"$@\"\n\
             }}\n\
             update='apt-get -q -y -o APT::Update::Error-Mode=any update'\n\
             known() {{ for list in lists/*_Packages* lists/*_dists_*; do [ -e \"$list\" ] && return; done; false; }}\n\
             if [ '{offline}' ]; then attempt \"$@\"; exit; fi\n\
             if [ '{refresh}' ] || ! known; then $update || exit; fi\n\
             attempt \"$@\" && exit\n\
             [ '{refresh}' ] && exit 1\n\
             $update || exit\n\
             attempt \"$@\"\n",
            mark = mark(steps, "return"),
        );
    }
    // What is not written to a disk before the end needs no sync for each file: the commit is synced as a whole.
    format!(
        "{preamble}\
         {primed}\
         {mark}\
         apt-get -q -y -c last.conf {options} --no-download -o Dpkg::Options::=--force-unsafe-io {conffiles} \
         -o Dpkg::Use-Pty=false {verb} -- \"$@\" || exit\n\
         {tidied}",
        tidied = super::tidied(steps),
        primed = super::primed(steps),
        mark = mark(steps, "exit"),
    )
}

/// What is to go is left out where it is not there: apt may not know its name at all.
const PRESENT: &str = "for word; do\n\
    shift\n\
    case $word in\n\
    *-) dpkg-query --show --showformat='${db:Status-Status}\\n' \"${word%-}\" 2>/dev/null | grep -qx installed || continue ;;\n\
    esac\n\
    set -- \"$@\" \"$word\"\n\
    done\n";

/// The words that tell one kind of base from another.
struct How {
    verb: &'static str,
    options: &'static str,
    conffiles: &'static str,
}

impl How {
    fn of(steps: &Steps) -> How {
        let Some(upon) = &steps.upon else {
            // A file that was given is wanted as it is, also where the base has a newer one.
            let options = match (steps.removed.is_empty(), steps.files.is_empty()) {
                (true, true) => "--no-remove",
                (true, false) => "--no-remove --allow-downgrades",
                (false, true) => "",
                (false, false) => "--allow-downgrades",
            };
            return How { verb: "install", options, conffiles: "-o Dpkg::Options::=--force-confnew" };
        };
        How {
            verb: if upon.upgrade { "dist-upgrade" } else { "install" },
            // With its settings: what is left of a package would be in nobody's way and nobody's list.
            options: "--auto-remove --purge --allow-downgrades",
            conffiles: "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold",
        }
    }
}

/// Has apt take all packages but these for what somebody has asked for: its own list of that is in /var. `give_up` is what a script does that
/// cannot go on.
fn mark(steps: &Steps, give_up: &str) -> String {
    let Some(upon) = &steps.upon.as_ref().filter(|upon| !upon.automatic.is_empty()) else {
        return String::new();
    };
    let names: Vec<&str> = upon.automatic_names().map(String::as_str).collect();
    format!(
        "mkdir -p /var/lib/apt\n\
         marked=$(dpkg-query --show --showformat='${{binary:Package}} ' {names} 2>/dev/null)\n\
         [ -z \"$marked\" ] || apt-mark -qq auto $marked || {give_up}\n",
        names = names.join(" "),
    )
}

/// apt's program for sources that are on this machine, and are to be copied.
const COPY: &str = "/usr/lib/apt/methods/copy";

/// Files by their paths; what is to go with a minus.
pub(super) fn words(steps: &Steps) -> Vec<String> {
    let removed = steps.removed.iter().map(|name| format!("{name}-"));
    steps.packages.iter().cloned().chain(steps.file_words()).chain(removed).collect()
}

/// `Inst NAME [OLD] (NEW FROM [ARCH])`, `Remv NAME [OLD]` and, with its settings, `Purg NAME [OLD]`; brackets may follow that say who needs it.
pub(super) fn plan(text: &str) -> Plan {
    let packages = text.lines().filter_map(|line| {
        let (verb, rest) = line.split_once(' ')?;
        let (name, rest) = rest.split_once(' ')?;
        let rest = rest.trim_start();
        let old = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(old, _)| old.to_owned());
        let new = rest.split_once('(').and_then(|(_, rest)| rest.split([' ', ')']).next()).map(str::to_owned);
        let architecture = rest.split_once(" [").and_then(|(_, rest)| rest.split(']').next());
        let architecture = architecture.unwrap_or_default().to_owned();
        let name = name.to_owned();
        match verb {
            "Inst" => Some(Planned { name, architecture, old, new: Some(new?) }),
            "Remv" | "Purg" => Some(Planned { name, architecture, old, new: None }),
            _ => None,
        }
    });
    Plan { packages: packages.collect(), satisfied: None }
}

/// What the script of a package said that failed: it stands before dpkg's error.
pub(super) fn failed_script(words: &str) -> Option<String> {
    let lines: Vec<&str> = words.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    let at = lines.iter().position(|line| line.starts_with("dpkg: error"))?;
    Some(lines[at.saturating_sub(BEFORE)..].iter().take(MOST).copied().collect::<Vec<_>>().join("\n"))
}

/// How many lines before dpkg's error are of the script that failed, and how many are told at most.
const BEFORE: usize = 3;
const MOST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::compose::install::{self, Step};
    use crate::resolve::Manager;

    #[test]
    fn a_plan_says_what_comes_changes_and_goes() {
        let text = "NOTE: This is only a simulation!\nReading package lists...\nRemv nano [8.4-1]\nPurg sl [5]\n\
                    Inst libfoo1 [1.0] (1.1 Debian:13/stable [amd64]) []\nInst strace (6.13+ds-1 Debian:13/stable [amd64])\n\
                    Conf strace (6.13+ds-1 Debian:13/stable [amd64])\n";
        let planned = |name: &str, old: Option<&str>, new: Option<&str>| Planned {
            name: name.to_owned(),
            architecture: if new.is_some() { "amd64".to_owned() } else { String::new() },
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        let plan = plan(text);
        assert_eq!(
            plan.packages,
            [
                planned("nano", Some("8.4-1"), None),
                planned("sl", Some("5"), None),
                planned("libfoo1", Some("1.0"), Some("1.1")),
                planned("strace", None, Some("6.13+ds-1")),
            ]
        );
        assert_eq!(plan.removed().collect::<Vec<_>>(), ["nano", "sl"]);
        assert_eq!(plan.installed().count(), 2);
    }

    #[test]
    fn the_reason_is_what_a_person_can_act_on() {
        let reason = |step, words, plan| install::reason(Manager::Apt, step, words, plan);
        assert_eq!(
            reason(Step::Download, "x\nE: Unable to locate package a\n", ""),
            "Unable to locate package a"
        );
        let unmet = "The following packages have unmet dependencies:\n a : Depends: b (>= 2)\nE: Unable to correct problems\n";
        assert_eq!(reason(Step::Download, "E: x\n", unmet), "a : Depends: b (>= 2)");
        let failed = "Setting up a (1) ...\nit says why\ndpkg: error processing package a (--configure):\n ended with 1\n";
        assert!(reason(Step::Install, failed, "").contains("it says why"));
    }

    #[test]
    fn what_goes_has_a_minus() {
        let steps = Steps {
            packages: vec!["strace".to_owned()],
            files: vec!["abc.deb".into()],
            removed: vec!["nano".to_owned()],
            ..Steps::default()
        };
        assert_eq!(words(&steps), ["strace", &format!("{SHARED}/files/abc.deb"), "nano-"]);
        assert!(!script(&steps, false).contains("--no-remove"));
    }
}
