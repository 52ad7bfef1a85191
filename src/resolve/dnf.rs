//! dnf 4 (dnf(8)) and dnf 5 (dnf5(8)), which name their options differently.

use super::{last_lines, lines_after, preamble};
use crate::shell::SHARED;

/// Erasing is nothing that dnf does unless it is allowed to (`--allowerasing`).
pub(super) fn script_4(recommends: bool) -> String {
    format!(
        "{preamble}\
         dnf -y --setopt=install_weak_deps={recommends} --downloadonly --downloaddir={SHARED} \
         install -- \"$@\" >plan\n",
        preamble = preamble(),
    )
}

/// With `--store`, the packages and a description of the transaction are put into a directory, and nothing else is done.
pub(super) fn script_5(recommends: bool) -> String {
    format!(
        "{preamble}\
         dnf5 -y install --setopt=install_weak_deps={recommends} --store={SHARED}/store -- \"$@\" >said\n\
         code=$?\n\
         cp store/transaction.json plan 2>/dev/null\n\
         exit $code\n",
        preamble = preamble(),
    )
}

/// The packages that a stored transaction removes: what is replaced by a newer version is another action.
pub(super) fn removed(plan: &str) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Transaction {
        #[serde(default)]
        rpms: Vec<Package>,
    }
    #[derive(serde::Deserialize)]
    struct Package {
        nevra: String,
        action: String,
    }
    let Ok(transaction) = serde_json::from_str::<Transaction>(plan) else { return Vec::new() };
    let goes = |package: &Package| package.action == "Remove";
    transaction.rpms.into_iter().filter(goes).map(|package| package.nevra).collect()
}

/// Errors of dnf 4 begin with `Error:`, and what is wrong with signatures stands before; of what dnf 5 says, what it was about to do and what could be tried is left out.
pub(super) fn reason(words: &str) -> String {
    let errors = lines_after(words, &["Error: "]);
    if errors == ["GPG check FAILED"] {
        let is_about_one =
            |line: &&str| line.contains(" is not signed") || line.starts_with("Public key for ");
        return words
            .lines()
            .filter(is_about_one)
            .chain(errors.iter().copied())
            .collect::<Vec<_>>()
            .join("; ");
    }
    if !errors.is_empty() {
        return errors.join("; ");
    }
    let begins = ["Failed to resolve the transaction:", "Transaction failed:", "Error:"];
    let failed = begins.iter().find_map(|begin| words.split_once(begin)).map_or(words, |(_, rest)| rest);
    let said = failed.split("You can try to add to command line:").next().unwrap_or(failed);
    let lines: Vec<&str> = said.lines().map(|line| line.trim().trim_start_matches("- ")).collect();
    let lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty() && !is_beside(line)).collect();
    if lines.is_empty() { last_lines(words) } else { lines[..lines.len().min(MOST)].join("; ") }
}

/// What it says of its progress, or of what could be tried.
fn is_beside(line: &str) -> bool {
    let begins = [
        "(try to add",
        "Updating and loading repositories",
        "Repositories loaded",
        "gpg: Warning",
        "Total size of ",
        "After this operation",
        "The operation will only download",
        "[",
        ">>>",
        "----",
    ];
    begins.iter().any(|begin| line.starts_with(begin))
}

/// How many lines of a solver's reasons are enough: the first say it, the others go through all versions.
const MOST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_are_read_from_a_stored_transaction() {
        let plan = r#"{"rpms": [{"nevra": "new-2-1.noarch", "action": "Install", "reason": "User", "repo_id": "base"},
                       {"nevra": "lost-1-1.noarch", "action": "Remove", "reason": "User", "repo_id": "@System"},
                       {"nevra": "new-1-1.noarch", "action": "Replaced", "reason": "User", "repo_id": "@System"}],
                       "version": "1.0"}"#;
        assert_eq!(removed(plan), ["lost-1-1.noarch"]);
        assert!(removed("{}").is_empty() && removed("").is_empty());
    }

    #[test]
    fn the_reason_is_the_solvers_without_its_advice() {
        let words = "Repositories loaded.\nFailed to resolve the transaction:\nNo match for argument: nothere\n\
                     You can try to add to command line:\n  --skip-unavailable to skip unavailable packages\n";
        assert_eq!(reason(words), "No match for argument: nothere");
        let words = "x\nError: \n Problem: conflicting requests\n  - nothing provides x needed by a-1\n(try to add '--skip-broken')\n";
        assert_eq!(reason(words), "Problem: conflicting requests; nothing provides x needed by a-1");
        let words = "Package a-1.noarch.rpm is not signed\nError: GPG check FAILED\n";
        assert_eq!(reason(words), "Package a-1.noarch.rpm is not signed; GPG check FAILED");
        let words = "Updating and loading repositories:\nRepositories loaded.\nTotal size of inbound packages is 7 KiB. Need to download 7 KiB.\n\
                     Cannot download the \"a-1.noarch\" package, cacheonly option is activated.\n";
        assert_eq!(
            reason(words),
            "Cannot download the \"a-1.noarch\" package, cacheonly option is activated."
        );
        assert_eq!(reason("x\nError: Unable to find a match: nothere\n"), "Unable to find a match: nothere");
    }
}
