//! What dnf and zypper have in common: rpm.

/// Lines of a script that find out which of its arguments the base has by itself, by name, exactly (`NAME-VERSION.ARCHITECTURE`) or by
/// what a package provides, and keep them in [`SATISFIED`]; what is to be removed provides nothing.
pub(super) fn satisfied(removed: &[String]) -> String {
    let removed: Vec<String> = removed.iter().map(|name| format!("'{name}'")).collect();
    format!(
        "printf '%s\\n' '' {removed} >going\n\
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
        removed = removed.join(" "),
    )
}

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
