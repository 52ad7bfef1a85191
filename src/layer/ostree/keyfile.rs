//! Files of keys in groups, as GLib writes them (GKeyFile): settings of repositories, and origins of deployments.

use std::fmt;

/// Groups of keys, in their order. Comments are not kept, nor are they by ostree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFile {
    groups: Vec<(String, Vec<(String, String)>)>,
}

/// A line is neither a group, nor a key, nor a comment; it says which, counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is neither a group nor a key with a value")]
pub struct BadLine(pub usize);

impl KeyFile {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<KeyFile, BadLine> {
        let mut file = KeyFile::default();
        let mut group = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                file.group(name);
                group = Some(name);
                continue;
            }
            match (group, line.split_once('=')) {
                (Some(group), Some((key, value))) if !key.trim().is_empty() => {
                    put(file.group(group), key.trim_end(), value.trim_start());
                }
                _ => return Err(BadLine(index + 1)),
            }
        }
        Ok(file)
    }

    /// A value as it stands there.
    fn raw(&self, group: &str, key: &str) -> Option<&str> {
        let (_, keys) = self.groups.iter().find(|(name, _)| name == group)?;
        keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A value.
    pub fn get(&self, group: &str, key: &str) -> Option<String> {
        Some(split(self.raw(group, key)?, None).remove(0))
    }

    /// Whether a value says yes.
    pub fn flag(&self, group: &str, key: &str) -> Option<bool> {
        match self.raw(group, key)? {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// A value that is a list.
    pub fn list(&self, group: &str, key: &str) -> Vec<String> {
        self.raw(group, key).map(|value| split(value, Some(';'))).unwrap_or_default()
    }

    /// Gives a key a value.
    pub fn set(&mut self, group: &str, key: &str, value: &str) {
        put(self.group(group), key, &escaped(value, false));
    }

    /// Gives a key a list.
    pub fn set_list<'t>(&mut self, group: &str, key: &str, list: impl IntoIterator<Item = &'t str>) {
        let value: String = list.into_iter().map(|item| escaped(item, true) + ";").collect();
        put(self.group(group), key, &value);
    }

    /// Takes a key away.
    pub fn remove(&mut self, group: &str, key: &str) {
        for (_, keys) in self.groups.iter_mut().filter(|(name, _)| name == group) {
            keys.retain(|(name, _)| name != key);
        }
    }

    /// Takes a whole group away.
    pub fn remove_group(&mut self, group: &str) {
        self.groups.retain(|(name, _)| name != group);
    }

    /// Whether there is such a group.
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.iter().any(|(name, _)| name == group)
    }

    fn group(&mut self, group: &str) -> &mut Vec<(String, String)> {
        // Groups of the same name are one.
        let index = self.groups.iter().position(|(name, _)| name == group).unwrap_or_else(|| {
            self.groups.push((group.to_owned(), Vec::new()));
            self.groups.len() - 1
        });
        &mut self.groups[index].1
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, keys)) in self.groups.iter().enumerate() {
            writeln!(f, "{}[{name}]", if index == 0 { "" } else { "\n" })?;
            keys.iter().try_for_each(|(key, value)| writeln!(f, "{key}={value}"))?;
        }
        Ok(())
    }
}

fn put(keys: &mut Vec<(String, String)>, key: &str, value: &str) {
    match keys.iter_mut().find(|(name, _)| name == key) {
        Some((_, old)) => value.clone_into(old),
        None => keys.push((key.to_owned(), value.to_owned())),
    }
}

/// Takes a value apart at its separators, and undoes its escapes. Without a separator it is one.
fn split(value: &str, separator: Option<char>) -> Vec<String> {
    let mut items = Vec::new();
    let mut item = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('s') => item.push(' '),
                Some('n') => item.push('\n'),
                Some('t') => item.push('\t'),
                Some('r') => item.push('\r'),
                Some(other) if other == '\\' || Some(other) == separator => item.push(other),
                // GLib reads none of that; it is kept as it is.
                other => item.extend(['\\'].into_iter().chain(other)),
            },
            other if Some(other) == separator => items.push(std::mem::take(&mut item)),
            other => item.push(other),
        }
    }
    // The last item of a list is ended as well.
    if separator.is_none() || !item.is_empty() {
        items.push(item);
    }
    items
}

fn escaped(value: &str, in_list: bool) -> String {
    let mut text = String::new();
    let mut leading = true;
    for character in value.chars() {
        match character {
            ' ' if leading => text.push_str("\\s"),
            '\t' if leading => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\\' => text.push_str("\\\\"),
            ';' if in_list => text.push_str("\\;"),
            other => text.push(other),
        }
        leading &= matches!(character, ' ' | '\t');
    }
    // What is read is without spaces at the end of its line.
    if let Some(rest) = text.strip_suffix(' ') {
        text = format!("{rest}\\s");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut file = KeyFile::default();
        file.set("origin", "refspec", "onlay/debian");
        let odd = ["a", " two \\ words;", "tab\there", "", "line\nend ", "ü"];
        file.set_list("packages", "requested", odd);
        for text in odd {
            file.set("odd", "text", text);
            let read = KeyFile::parse(&file.to_string()).expect("what was written");
            assert_eq!(read.get("odd", "text").as_deref(), Some(text));
            assert_eq!(read.list("packages", "requested"), odd);
            assert_eq!(read, file);
        }
        file.remove_group("odd");
        file.remove("packages", "requested");
        assert_eq!(file.to_string(), "[origin]\nrefspec=onlay/debian\n\n[packages]\n");
        assert!(file.has_group("packages") && !file.has_group("odd"));
    }

    #[test]
    fn a_file_is_read_as_glib_reads_it() {
        let text = "# words\n\n[core]\nrepo_version=1\n mode = bare \nfsync=false\n[other]\nx=1\n[core]\nmode=archive\n";
        let file = KeyFile::parse(text).expect("a file");
        assert_eq!(file.get("core", "mode").as_deref(), Some("archive"), "the last one holds");
        assert_eq!(file.flag("core", "fsync"), Some(false));
        assert_eq!(file.flag("core", "mode"), None);
        assert_eq!(file.get("core", "x"), None);
        assert_eq!(file.list("other", "x"), ["1"]);
        for (text, line) in [("x=1", 1), ("[a]\n=1", 2), ("[a]\n\nwords", 3), ("[a\nx=1", 1)] {
            assert_eq!(KeyFile::parse(text), Err(BadLine(line)), "{text}");
        }
    }
}
