//! dnf 4 (dnf(8)) and dnf 5 (dnf5(8)).

use std::collections::BTreeMap;

use super::{Plan, Planned, Steps, rpm};
use crate::resolve::Manager;
use crate::shell::SHARED;

/// Lists and packages are in the cache for both steps. What is to be removed goes first, in the first step from the overlay in RAM
/// alone: so what needs it shows. Of packages of which several versions may be there at once (`installonlypkgs`), as those of kernels
/// may, the base's must not stay beside another: a deployment has one.
pub(super) fn script(manager: Manager, steps: &Steps, is_install: bool) -> String {
    let cache_only = if steps.offline || is_install { "--cacheonly" } else { "" };
    let removed = rpm::quoted(&steps.removed);
    let remove = if removed.is_empty() {
        String::new()
    } else {
        format!(
            "$program $common --setopt=clean_requirements_on_remove=False remove -- {removed} >removed\n\
             code=$?\n\
             cat removed >>plan\n\
             [ $code = 0 ] || exit $code\n",
        )
    };
    let begin = if is_install {
        super::primed(steps)
    } else {
        format!(
            "rpm --query --all --queryformat '{KNOWN} %{{NAME}} %{{ARCH}} %{{EVR}}\\n' >plan || exit\n{}",
            rpm::satisfied(steps)
        )
    };
    // What comes back is wanted itself, and not what may be in its place.
    let more = match &steps.upon {
        None => "--setopt=installonlypkgs=",
        Some(upon) if upon.restores => "--setopt=obsoletes=False",
        Some(_) => "",
    };
    format!(
        "{first}{in_snapshot}\
         program={program}\n\
         common='-y {cache_only} --setopt=cachedir={SHARED}/dnf --setopt=keepcache=1 --setopt=install_weak_deps=False \
         {more} --setopt=protect_running_kernel=False'\n\
         {take}\
         {begin}{remove}{change}",
        first = super::preamble(),
        in_snapshot = super::in_snapshot(steps),
        program = manager.name(),
        take = take(steps, is_install),
        change = change(steps, is_install),
    )
}

/// Functions of a script: `take`, one run of dnf's with this command and these words, whose status says whether all is done, and `fail`, for where it is
/// not. In the first step, where more is to come, rpm's database, which is in RAM there, is then told of what the run would have done.
fn take(steps: &Steps, is_install: bool) -> String {
    let refresh = if steps.refresh && !steps.offline && !is_install { "--refresh" } else { "" };
    let (run, told) = match (is_install, &steps.upon) {
        (true, _) => ("$program $common $verb \"$@\"\n".to_owned(), ""),
        (false, None) => (format!("$program $common {refresh} $verb --downloadonly \"$@\" >run\n"), ""),
        (false, Some(_)) => (
            format!("$program $common {refresh} $verb --downloadonly \"$@\" >run\n"),
            "$program $common --cacheonly --setopt=tsflags=justdb,noscripts,notriggers $verb \"$@\" >/dev/null || exit\n",
        ),
    };
    let planned = if is_install { "" } else { "cat run >>plan\n" };
    format!(
        "take() {{\n\
         verb=$1\n\
         shift\n\
         {run}\
         code=$?\n\
         [ $code = 0 ] || return $code\n\
         {planned}{told}\
         }}\n\
         fail() {{ {fail}exit $code; }}\n",
        fail = if is_install { "" } else { "cat run >>plan; " },
    )
}

/// What is done: a base gets packages, or what was there before is changed.
fn change(steps: &Steps, is_install: bool) -> String {
    let install = "take install -- \"$@\"";
    let Some(upon) = &steps.upon else {
        let is_nothing_more = steps.packages.is_empty() && steps.files.is_empty();
        return if is_nothing_more { String::new() } else { format!("{install} || fail\n") };
    };
    let kept: Vec<String> = upon.kept.iter().map(|name| format!("--exclude={name}")).collect();
    let upgrade = format!("take upgrade {}", rpm::quoted(&kept));
    let change = rpm::change(upon, is_install, &upgrade, install, GOES);
    let tidied = if is_install { super::tidied(steps) } else { String::new() };
    format!("{change}{tidied}")
}

/// How a package that nobody needs stands in a plan: as dnf itself says it of one that goes.
const GOES: &str = "Removing:\\n %{NAME} %{ARCH} %{EVR}\\n\\nTransaction Summary\\n";

/// What stands in a plan before what the base has: `@ NAME ARCHITECTURE VERSION`.
const KNOWN: &str = "@";

/// Names, and files by their paths; what is to be removed is in the script.
pub(super) fn words(steps: &Steps) -> Vec<String> {
    steps.packages.iter().cloned().chain(steps.file_words()).collect()
}

/// A list of what the base has, and tables under headings of what comes and goes.
pub(super) fn plan(text: &str) -> Plan {
    let known: BTreeMap<(&str, &str), &str> = text.lines().filter_map(known).collect();
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
            match words[..] {
                // A name that is too long for its column has the rest on the next line.
                [_] => waiting = words.pop(),
                ["replacing", ..] => replaced(&words[1..], &mut packages),
                [name, architecture, version, ..] => {
                    // Another architecture may take its place.
                    let of_name = || known.iter().find(|((known, _), _)| *known == name).map(|(_, old)| old);
                    let old = known.get(&(name, architecture)).or_else(of_name).copied();
                    let (old, new) = match verb {
                        Verb::Installs => (None, Some(version)),
                        Verb::Replaces => (old, Some(version)),
                        Verb::Removes => (Some(version), None),
                    };
                    packages.push(planned(name, architecture, old, new));
                }
                _ => {}
            }
        }
    }
    Plan { packages, satisfied: None }
}

/// What the base has, of one line.
fn known(line: &str) -> Option<((&str, &str), &str)> {
    match line.split(' ').collect::<Vec<_>>()[..] {
        [KNOWN, name, architecture, version] => Some(((name, architecture), version)),
        _ => None,
    }
}

/// What goes for the package before it: `NAME.ARCHITECTURE VERSION` (dnf 4), `NAME ARCHITECTURE VERSION` (dnf 5). Under another name, it is
/// one that is removed.
fn replaced(words: &[&str], packages: &mut Vec<Planned>) {
    let (name, architecture, version) = match *words {
        [name, version] => {
            let (name, architecture) = name.rsplit_once('.').unwrap_or((name, ""));
            (name, architecture, version)
        }
        [name, architecture, version, ..] => (name, architecture, version),
        _ => return,
    };
    if let Some(last) = packages.last_mut().filter(|last| last.name == name) {
        last.old = Some(plain(version));
    } else if !packages.iter().any(|known| known.name == name && known.new.is_none()) {
        // Before the one that takes its place, whose own older version may be told after this.
        let gone = planned(name, architecture, Some(version), None);
        packages.insert(packages.len().saturating_sub(1), gone);
    }
}

/// dnf 5 has an epoch in all versions.
fn plain(version: &str) -> String {
    version.strip_prefix("0:").unwrap_or(version).to_owned()
}

fn planned(name: &str, architecture: &str, old: Option<&str>, new: Option<&str>) -> Planned {
    let (old, new) = (old.map(plain), new.map(plain));
    Planned { name: name.to_owned(), architecture: architecture.to_owned(), old, new }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Installs,
    Replaces,
    Removes,
}

impl Verb {
    fn of(heading: &str) -> Option<Verb> {
        let is = |begins: &[&str]| begins.iter().any(|begin| heading.starts_with(begin));
        if is(&["Installing"]) {
            Some(Verb::Installs)
        } else if is(&["Upgrading", "Downgrading", "Reinstalling"]) {
            Some(Verb::Replaces)
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

    fn rows(text: &str) -> Vec<(String, Option<String>, Option<String>)> {
        plan(text).packages.into_iter().map(|one| (one.name, one.old, one.new)).collect()
    }

    fn row(name: &str, old: Option<&str>, new: Option<&str>) -> (String, Option<String>, Option<String>) {
        (name.to_owned(), old.map(str::to_owned), new.map(str::to_owned))
    }

    #[test]
    fn a_table_of_dnf_4_says_what_comes_and_goes() {
        let text = "@ b noarch 1-1\n@ old noarch 1-1\nDependencies resolved.\n====\n Package   Arch   Version  Repository  Size\n====\nInstalling:\n a   x86_64  1:2-3  base  1 k\n\
                    Installing dependencies:\n a-name-that-is-much-too-long-for-its-column\n     noarch  1-1  base  2 k\n\
                    new  noarch  2-1  base  3 k\n     replacing  old.noarch 1-1\n\
                    Upgrading:\n b  noarch  2-1  base  3 k\nRemoving:\n c  noarch  1-1  @System  3 k\n\n\
                    Transaction Summary\n====\nInstall  2 Packages\n";
        let text = text.replace("\nnew ", "\n new ");
        assert_eq!(
            rows(&text),
            [
                row("a", None, Some("1:2-3")),
                row("a-name-that-is-much-too-long-for-its-column", None, Some("1-1")),
                row("old", Some("1-1"), None),
                row("new", None, Some("2-1")),
                row("b", Some("1-1"), Some("2-1")),
                row("c", Some("1-1"), None),
            ]
        );
    }

    #[test]
    fn a_table_of_dnf_5_says_what_is_replaced() {
        let text = "@ b noarch 1-1\nUpgrading:\n b  noarch  2-1  base  3 k\n   replacing b  noarch  1-1  @System  3 k\n\
                    Installing:\n new  noarch  2-1  base  3 k\n   replacing old  noarch  1-1  @System  3 k\n\nTransaction Summary:\n";
        assert_eq!(
            rows(text),
            [
                row("b", Some("1-1"), Some("2-1")),
                row("old", Some("1-1"), None),
                row("new", None, Some("2-1"))
            ]
        );
    }
}
