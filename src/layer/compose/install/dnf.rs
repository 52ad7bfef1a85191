//! dnf 4 (dnf(8)) and dnf 5 (dnf5(8)).

use super::{Plan, Planned, Step, Steps, seal_script};
use crate::resolve::Manager;
use crate::shell::SHARED;

/// Lists and packages are in the cache for both steps. What is to be removed goes first, in the first step from the overlay in RAM
/// alone: so what needs it shows.
pub(super) fn script(manager: Manager, steps: &Steps, step: Step) -> String {
    if step == Step::Seal {
        return seal_script();
    }
    let (program, weak) = (manager.name(), "--setopt=install_weak_deps=False");
    let is_offline = steps.offline || step == Step::Install;
    let cache_only = if is_offline { "--cacheonly" } else { "" };
    let refresh = if steps.refresh && !is_offline { "--refresh" } else { "" };
    let removed: Vec<String> = steps.removed.iter().map(|name| format!("'{name}'")).collect();
    let removed = removed.join(" ");
    let remove = if removed.is_empty() {
        String::new()
    } else {
        format!(
            "{program} $common --setopt=clean_requirements_on_remove=False remove -- {removed} >removed\n\
             code=$?\n\
             cat removed >>plan\n\
             [ $code = 0 ] || exit $code\n"
        )
    };
    let is_nothing_more = steps.packages.is_empty() && steps.files.is_empty();
    let install = match (step, is_nothing_more) {
        (_, true) => String::new(),
        (Step::Download, false) => {
            format!("{program} $common {refresh} {weak} --downloadonly install -- \"$@\" >>plan\n")
        }
        (_, false) => format!("{program} $common {weak} install -- \"$@\"\n"),
    };
    format!(
        "{first}\
         common='-y {cache_only} --setopt=cachedir={SHARED}/dnf --setopt=keepcache=1'\n\
         {begin}{remove}{install}",
        first = super::preamble(),
        begin = if step == Step::Download { ": >plan\n".to_owned() } else { super::primed() },
    )
}

/// Names, and files by their paths; what is to be removed is in the script.
pub(super) fn words(steps: &Steps) -> Vec<String> {
    steps.packages.iter().cloned().chain(steps.file_words()).collect()
}

/// A table under headings; a name that is too long for its column has the rest on the next line.
pub(super) fn plan(text: &str) -> Plan {
    let mut packages: Vec<Planned> = Vec::new();
    let (mut verb, mut waiting): (Option<Verb>, Option<&str>) = (None, None);
    for line in text.lines() {
        if line.starts_with("Transaction Summary") {
            (verb, waiting) = (None, None);
        } else if let Some(heading) = line.trim_end().strip_suffix(':').filter(|line| !line.starts_with(' '))
        {
            (verb, waiting) = (Verb::of(heading), None);
        } else if let (Some(verb), true) = (verb, line.starts_with(' ')) {
            let mut words: Vec<&str> = waiting.take().into_iter().chain(line.split_whitespace()).collect();
            if words.len() == 1 {
                waiting = words.pop();
                continue;
            }
            let &[name, architecture, version, ..] = &words[..] else { continue };
            if name == "replacing" {
                if let (Some(last), Some(old)) = (packages.last_mut(), words.get(3)) {
                    last.old = Some((*old).to_owned());
                }
                continue;
            }
            let version = Some(version.to_owned());
            let (old, new) = if verb == Verb::Removes { (version, None) } else { (None, version) };
            let (name, architecture) = (name.to_owned(), architecture.to_owned());
            packages.push(Planned { name, architecture, old, new });
        }
    }
    Plan { packages }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Installs,
    Removes,
}

impl Verb {
    fn of(heading: &str) -> Option<Verb> {
        let is = |begins: &[&str]| begins.iter().any(|begin| heading.starts_with(begin));
        if is(&["Installing", "Upgrading", "Downgrading", "Reinstalling"]) {
            Some(Verb::Installs)
        } else if is(&["Removing"]) {
            Some(Verb::Removes)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_comes_and_goes() {
        let text = "Dependencies resolved.\n====\n Package   Arch   Version  Repository  Size\n====\nInstalling:\n a   x86_64  1:2-3  base  1 k\n\
                    Installing dependencies:\n a-name-that-is-much-too-long-for-its-column\n     noarch  1-1  base  2 k\n\
                    Upgrading:\n b  noarch  2-1  base  3 k\n   replacing b  noarch  1-1  @System  3 k\nRemoving:\n c  noarch  1-1  @System  3 k\n\n\
                    Transaction Summary\n====\nInstall  2 Packages\n";
        let plan = plan(text);
        let rows: Vec<(&str, Option<&str>, Option<&str>)> =
            plan.packages.iter().map(|one| (&*one.name, one.old.as_deref(), one.new.as_deref())).collect();
        let long = "a-name-that-is-much-too-long-for-its-column";
        assert_eq!(
            rows,
            [
                ("a", None, Some("1:2-3")),
                (long, None, Some("1-1")),
                ("b", Some("1-1"), Some("2-1")),
                ("c", Some("1-1"), None)
            ]
        );
    }
}
