//! What dnf and zypper have in common: rpm.

use super::{Steps, Upon};

/// Lines of a script that find out which of its arguments the base has by itself, by name, exactly (`NAME-VERSION.ARCHITECTURE`) or by
/// what a package provides, and keep them in [`SATISFIED`]; what is to be removed, or may go, provides nothing.
pub(super) fn satisfied(steps: &Steps) -> String {
    let automatic = steps.upon.iter().flat_map(Upon::automatic_names);
    let going: Vec<String> = steps.removed.iter().chain(automatic).cloned().collect();
    format!(
        "printf '%s\\n' '' {going} >going\n\
         by_base() {{\n\
         case $1 in -* | */*.rpm) return 1 ;; esac\n\
         for how in '' --whatprovides; do\n\
         found=$(rpm --query $how --queryformat '%{{NAME}}\\n' -- \"$1\" 2>/dev/null) &&\n\
         printf '%s\\n' \"$found\" | grep -qvxFf going && return\n\
         done\n\
         false\n\
         }}\n\
         : >{SATISFIED}\n\
         for word; do ! by_base \"$word\" || printf '%s\\n' \"$word\" >>{SATISFIED}; done\n",
        going = quoted(&going),
    )
}

/// Words of a script, of which each is one whatever is in it.
pub(super) fn quoted(words: &[String]) -> String {
    let words = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''")));
    words.collect::<Vec<_>>().join(" ")
}

/// A function `needless` of a script: it finds out which packages of layers nobody needs any more, by what rpm says that would be missing without
/// them, and keeps their names in [`NEEDLESS`].
///
/// Who marks packages as there for others' sake (zypp in `/var/lib/zypp/AutoInstalled`, dnf 4 in its history) does so in /var, which is the
/// machine's own, and another one than the snapshot that is changed knows; and takes what is only recommended for needed. What has been asked
/// for stays, also by a version or by what a package provides. Where one of several would do, those that are tried first go.
///
/// Of a package that is there in several versions, as kernels may be, the one that came with layers goes, and not the others.
fn needless(upon: &Upon) -> String {
    let automatic: Vec<String> =
        upon.automatic.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "without() {{ rpm --erase --test --allmatches -- \"$@\" >needed 2>&1; }}\n\
         needless() {{\n\
         for word in {asked}; do\n\
         for how in '' --whatprovides; do\n\
         rpm --query $how --queryformat '%{{NAME}}\\n' -- \"$word\"\n\
         done\n\
         done >asked 2>/dev/null\n\
         set --\n\
         for each in {automatic}; do\n\
         name=${{each%% *}} version=${{each#* }}\n\
         case $(rpm --query --queryformat x -- \"$name\") in\n\
         x) ;;\n\
         xx*) name=$name-${{version#*:}} ;;\n\
         *) continue ;;\n\
         esac\n\
         rpm --query --quiet -- \"$name\" || continue\n\
         grep -qxFe \"${{each%% *}}\" asked || set -- \"$@\" \"$name\"\n\
         done\n\
         printf '%s\\n' \"$@\" >candidates\n\
         while [ $# -gt 0 ] && ! without \"$@\"; do\n\
         sed -n 's/^[[:blank:]]*\\(.*\\) is needed by .*/\\1/p' needed | tr ' ' '\\n' | sed 'p; s/^(*//; s/)*$//' | sort -u |\n\
         while read -r word; do rpm --query --whatprovides --queryformat '%{{NAME}}\\n' -- \"$word\"; done >kept 2>/dev/null\n\
         count=$#\n\
         for name; do\n\
         shift\n\
         grep -qxFe \"$name\" kept || set -- \"$@\" \"$name\"\n\
         done\n\
         [ $# -lt $count ] || set --\n\
         done\n\
         for name in $(cat candidates); do\n\
         ! printf '%s\\n' \"$@\" | grep -qxFe \"$name\" || continue\n\
         ! without \"$@\" \"$name\" || set -- \"$@\" \"$name\"\n\
         done\n\
         for name; do printf '%s\\n' \"$name\"; done >{NEEDLESS}\n\
         }}\n",
        asked = quoted(&upon.asked),
        automatic = quoted(&automatic),
    )
}

/// The file in which the names of packages are that nobody needs, and that in which those are that go before others come.
const NEEDLESS: &str = "needless";
const FIRST: &str = "first";

/// The lines of a script that change what is there: it is brought up to date where that is wanted, gets packages, and loses those that nobody
/// needs. `upgrade` and `install` are runs of a package manager (`take …`), of which the second is for the script's arguments.
///
/// What is needless may stand in the way of what comes, or the other way round need not be so when that is there: so it goes last, and first where
/// nothing can come otherwise. The second step does as the first one found. `goes` is how a plan says of a package that it goes, in rpm's words for that.
pub(super) fn change(upon: &Upon, is_install: bool, upgrade: &str, install: &str, goes: &str) -> String {
    let needless = needless(upon);
    let upgrade = if upon.upgrade { format!("{upgrade} || fail\n") } else { String::new() };
    if is_install {
        return format!(
            "{needless}\
             go() {{ [ ! -s {NEEDLESS} ] || xargs rpm --erase --verbose --allmatches -- <{NEEDLESS} || exit; }}\n\
             cp {FIRST} {NEEDLESS} && go || exit\n\
             {upgrade}\
             [ $# = 0 ] || {install} || fail\n\
             needless\n\
             go\n"
        );
    }
    let goes_first = format!("cp {NEEDLESS} {FIRST} && go || exit");
    let (first, otherwise) = match (upon.drops, upon.upgrade || upon.restores) {
        (true, true) => (format!("needless\n{goes_first}\n"), "fail".to_owned()),
        (true, false) => {
            let repeated =
                format!("{{ needless; [ -s {NEEDLESS} ] || fail; {goes_first}; {install} || fail; }}");
            (String::new(), repeated)
        }
        (false, _) => (String::new(), "fail".to_owned()),
    };
    format!(
        "{needless}\
         go() {{\n\
         [ -s {NEEDLESS} ] || return 0\n\
         xargs rpm --query --queryformat '{goes}' -- <{NEEDLESS} >>plan\n\
         xargs rpm --erase --allmatches {IN_NAME_ONLY} -- <{NEEDLESS} || exit\n\
         }}\n\
         : >{FIRST}\n\
         {first}\
         {upgrade}\
         [ $# = 0 ] || {install} || {otherwise}\n\
         needless\n\
         go\n\
         exit 0\n"
    )
}

/// The words for rpm of whoever has only its database know of what is done.
pub(super) const IN_NAME_ONLY: &str = "--justdb --noscripts --notriggers --nodeps";

/// The file in which arguments are that the base has by itself.
pub(in crate::layer::compose) const SATISFIED: &str = "satisfied";

/// The last lines of what somebody said who stopped.
pub(super) fn last_words(words: &str) -> String {
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(BEFORE)..].join("; ")
}

/// What the script of a package said that failed, though rpm, or who called it, went on: a package that is not set up is none.
///
/// rpm stops where `%pre` fails, and only warns where another script does. What goes has its last words
/// (`%preun`, `%postun`, and triggers of the kind), and is gone all the same. A kernel's `%posttrans` puts it into /boot, which is not
/// part of a deployment.
pub(super) fn failed_script(words: &str) -> Option<String> {
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let at = lines.iter().position(|line| is_failure(line))?;
    let before = lines[..at].iter().rev().take_while(|line| !is_progress(line)).take(BEFORE).count();
    Some(lines[at - before..=at].join("; "))
}

/// How many lines before rpm's word are told as the script's at most.
const BEFORE: usize = 5;

/// `warning: %post(NAME-VERSION-RELEASE.ARCH) scriptlet failed, exit status 3`.
fn is_failure(line: &str) -> bool {
    let Some((begin, _)) = line.split_once(" scriptlet failed") else { return false };
    let Some((_, script)) = begin.split_once('%') else { return false };
    let Some((kind, package)) = script.split_once('(') else { return false };
    let is_of_what_goes = ["preun", "postun", "triggerun", "triggerpostun"].contains(&kind);
    let is_kernel = kind == "posttrans" && package.starts_with("kernel");
    !is_of_what_goes && !is_kernel
}

/// Lines in which a package manager says how far it is.
fn is_progress(line: &str) -> bool {
    let begins =
        ["Installing ", "Installing: ", "Running ", "Upgrading ", "Verifying ", "(", "[", "Preparing "];
    begins.iter().any(|begin| line.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_fails_is_found_and_told() {
        let words = "Running transaction\n  Preparing        :                    1/1 \n  Installing       : a-1-1.noarch       1/1 \n\
                     it says why\nwarning: %post(a-1-1.noarch) scriptlet failed, exit status 3\n\nError in POSTIN scriptlet in rpm package a\n";
        let said = failed_script(words).expect("it failed");
        assert_eq!(said, "it says why; warning: %post(a-1-1.noarch) scriptlet failed, exit status 3");
        for fine in [
            "",
            "warning: %postun(a-1-1.noarch) scriptlet failed, exit status 1",
            "warning: %posttrans(kernel-core-1-1.noarch) scriptlet failed, exit status 1",
        ] {
            assert_eq!(failed_script(fine), None);
        }
        assert!(failed_script("error: %prein(a-1-1.noarch) scriptlet failed, exit status 1").is_some());
    }
}
