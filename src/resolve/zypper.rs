//! zypper(8): its words as XML (`--xmlout`).

use super::{last_lines, preamble};
use crate::shell::SHARED;

pub(super) fn script(recommends: bool) -> String {
    let recommends = if recommends { "--recommends" } else { "--no-recommends" };
    format!(
        "{preamble}\
         zypper --xmlout --non-interactive --pkg-cache-dir {SHARED} \
         install --download-only --auto-agree-with-licenses {recommends} -- \"$@\" >plan\n",
        preamble = preamble(),
    )
}

/// The packages in `<to-remove>` of a summary.
pub(super) fn removed(plan: &str) -> Vec<String> {
    let Some((_, rest)) = plan.split_once("<to-remove>") else { return Vec::new() };
    let list = rest.split("</to-remove>").next().unwrap_or(rest);
    let packages = list.split("<solvable ").skip(1).filter(|tag| tag.starts_with("type=\"package\""));
    packages.filter_map(|tag| attribute(tag, "name")).collect()
}

/// Errors are messages; problems of the solver are what a question is about, before the ways out of them.
pub(super) fn reason(plan: &str) -> String {
    let mut said: Vec<String> = Vec::new();
    for problem in plan.split("<description>Problem: ").skip(1) {
        let text = problem.split("</description>").next().unwrap_or(problem);
        let lines = text.lines().take_while(|line| !line.trim_start().starts_with("Solution "));
        let problem: Vec<String> = lines.map(|line| unescaped(line.trim())).collect();
        said.push(problem.join(" "));
    }
    for message in plan.split("<message type=\"").skip(1) {
        let Some((kind, rest)) = message.split_once("\">") else { continue };
        if kind == "error" || kind == "warning" {
            let text = rest.split("</message>").next().unwrap_or(rest);
            let text = unescaped(text).split_whitespace().collect::<Vec<_>>().join(" ");
            // It says that there is something to read above.
            if !text.starts_with("Problem occurred during or after installation") {
                said.push(text);
            }
        }
    }
    if said.is_empty() { last_lines(plan) } else { said.join("; ") }
}

/// An attribute of one of its tags.
pub(crate) fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next().map(unescaped)
}

fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    plain.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_are_read_from_the_summary() {
        let plan = "<stream><install-summary packages-to-change=\"2\"><to-install>\
                    <solvable type=\"package\" name=\"new\" edition=\"1-1\" arch=\"noarch\"/></to-install><to-remove>\n\
                    <solvable type=\"package\" name=\"old&amp;gone\" edition=\"1-1\" arch=\"noarch\"/>\
                    <solvable type=\"pattern\" name=\"base\" edition=\"1-1\" arch=\"noarch\"/></to-remove></stream>";
        assert_eq!(removed(plan), ["old&gone"]);
        assert!(removed("<stream></stream>").is_empty());
    }

    #[test]
    fn the_reason_is_what_it_says_of_errors() {
        let plan = "<message type=\"info\">Loading repository data...</message>\n\
                    <message type=\"error\">No provider of &apos;nothere&apos;\nfound.</message>";
        assert_eq!(reason(plan), "No provider of 'nothere' found.");
        assert_eq!(reason("cut off"), "cut off");
        let plan = "<prompt id=\"1\">\n<description>Problem: 1: nothing provides &apos;x&apos; needed by a-1\n Solution 1: do not install a-1\n</description>\n\
                    <option value=\"1\" desc=\"Choose solution 1\"/>";
        assert_eq!(reason(plan), "1: nothing provides 'x' needed by a-1");
    }
}
