//! apt-get(8).

use super::{last_lines, lines_after, preamble};
use crate::shell::SHARED;

/// Lists of packages that are older than the repository's name archives that are gone: then new ones are fetched, for this
/// once. `Sandbox::User`: the user for downloads cannot write here. `Pattern-Only`: a name that is none is not taken for a
/// regular expression. Packages of `file:` repositories are left where they are, unless they come by the method of `copy:`.
pub(super) fn script(recommends: bool) -> String {
    format!(
        "{preamble}\
         attempt() {{\n\
         apt-get -q -y --no-remove --download-only install -- \"$@\" >plan\n\
         }}\n\
         export APT_CONFIG={SHARED}/conf\n\
         cat >conf <<END\n\
         Dir::Cache::archives \"{SHARED}/\";\n\
         APT::Sandbox::User \"root\";\n\
         APT::Install-Recommends \"{recommends}\";\n\
         APT::Install-Suggests \"false\";\n\
         APT::Cmd::Pattern-Only \"true\";\n\
         END\n\
         [ -x {COPY} ] && echo 'Dir::Bin::Methods::file \"{COPY}\";' >>conf\n\
         attempt \"$@\" && exit\n\
         grep -q '{REMOVED}' plan && exit 1\n\
         apt-get -q -y update >updated 2>&1\n\
         exec 2>words\n\
         attempt \"$@\"\n",
        preamble = preamble(),
    )
}

/// apt's program for sources that are on this machine, and are to be copied.
const COPY: &str = "/usr/lib/apt/methods/copy";

/// How a list of packages begins that would go.
const REMOVED: &str = "The following packages will be REMOVED:";

/// The packages that are listed with an indent.
pub(super) fn removed(plan: &str) -> Vec<String> {
    let Some((_, rest)) = plan.split_once(REMOVED) else { return Vec::new() };
    let list = rest.trim_start_matches('\n').lines().take_while(|line| line.starts_with("  "));
    list.flat_map(str::split_whitespace).map(|name| name.trim_end_matches('*').to_owned()).collect()
}

/// Errors of apt begin with `E:`; dependencies that cannot be met are in its plan, with an indent.
pub(super) fn reason(words: &str, plan: &str) -> String {
    let is_heading = |line: &&str| UNMET.iter().any(|heading| line.starts_with(heading));
    let unmet = plan.lines().skip_while(|line| !is_heading(line)).skip(1);
    let unmet = unmet.take_while(|line| line.starts_with(' '));
    let unmet: Vec<String> =
        unmet.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    if !unmet.is_empty() {
        return unmet.join("; ");
    }
    // What was tried again is said again.
    let mut errors: Vec<&str> = Vec::new();
    for error in lines_after(words, &["E: "]) {
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    if errors.is_empty() { last_lines(words) } else { errors.join("; ") }
}

/// How the list of dependencies begins that cannot be met, of apt 2 and of apt 3.
const UNMET: &[&str] = &["The following packages have unmet dependencies:", "Unsatisfied dependencies:"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_are_read_from_the_plan() {
        let plan = "Reading package lists...\nThe following packages will be REMOVED:\n  chrony libfoo1*\n  ntp\n\
                    The following NEW packages will be installed:\n  systemd-timesyncd\n";
        assert_eq!(removed(plan), ["chrony", "libfoo1", "ntp"]);
        assert!(removed("The following NEW packages will be installed:\n  hello\n").is_empty());
    }

    #[test]
    fn the_reason_is_what_is_marked_as_an_error() {
        let words = "W: Some lists are old\nE: Unable to locate package nothere\nE: And another\n";
        assert_eq!(reason(words, ""), "Unable to locate package nothere; And another");
        assert_eq!(reason("\nnot marked\n", "x\n"), "not marked");
        assert_eq!(reason("E: Once\nE: Once\n", ""), "Once");
        let plan = "The following packages have unmet dependencies:\n systemd-cron : Conflicts: cron-daemon\n\
                    \x20               Conflicts: x\nNo more\n";
        let broken = "E: Unable to correct problems, you have held broken packages.\n";
        assert_eq!(reason(broken, plan), "systemd-cron : Conflicts: cron-daemon; Conflicts: x");
        assert_eq!(
            reason(broken, "Unsatisfied dependencies:\n a : Depends: b (>= 2)\nx\n"),
            "a : Depends: b (>= 2)"
        );
    }
}
