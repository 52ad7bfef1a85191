//! os-release(5): which distribution and version a root holds.

use std::collections::BTreeMap;

use crate::sys::Root;

/// The fields of an os-release file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    fields: BTreeMap<String, String>,
}

impl OsRelease {
    /// Reads /etc/os-release, else /usr/lib/os-release; neither is an empty release.
    pub fn read(root: &Root) -> OsRelease {
        ["etc/os-release", "usr/lib/os-release"]
            .into_iter()
            .find_map(|name| root.read(name, 64 * 1024).ok())
            .map(|content| OsRelease::parse(&String::from_utf8_lossy(&content)))
            .unwrap_or_default()
    }

    /// Parses the shell-like assignments of the format; lines that are none are passed over.
    pub fn parse(text: &str) -> OsRelease {
        let fields = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), unquote(value)))
            .collect();
        OsRelease { fields }
    }

    /// One field, such as `VERSION_ID`, unless it is missing or empty.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `ID`, which is `linux` by default.
    pub fn id(&self) -> &str {
        self.get("ID").unwrap_or("linux")
    }

    /// The name for people.
    pub fn pretty_name(&self) -> String {
        match (self.get("PRETTY_NAME"), self.get("VERSION_ID")) {
            (Some(name), _) => name.to_owned(),
            (None, Some(version)) => format!("{} {version}", self.id()),
            (None, None) => self.id().to_owned(),
        }
    }
}

/// Takes off one pair of quotes, and the backslashes that double quotes allow.
fn unquote(value: &str) -> String {
    let inside = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(text) = inside('\'') {
        return text.to_owned();
    }
    let text = inside('"').unwrap_or(value);
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lose_their_quotes() {
        let release = OsRelease::parse(
            "# comment\nID=debian\nPRETTY_NAME=\"Debian \\\"13\\\"\"\nVERSION_ID='13'\nEMPTY=\nbroken\nA=\"\n",
        );
        assert_eq!(release.id(), "debian");
        assert_eq!(release.pretty_name(), "Debian \"13\"");
        assert_eq!(release.get("VERSION_ID"), Some("13"));
        assert_eq!(release.get("EMPTY"), None);
        assert_eq!(release.get("A"), Some("\""));
    }

    #[test]
    fn an_empty_release_has_the_default_id() {
        assert_eq!(OsRelease::default().pretty_name(), "linux");
    }
}
