//! Which label a path has.
//!
//! A line that is one path comes before all patterns; of patterns, the last that matches counts, and those of later files come after
//! those of earlier ones (libselinux, label_file). So as to look at few patterns, they are known by what all their matches begin with.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use regex_lite::Regex;

use super::LABEL;
use super::pattern::{Pattern, compile, latin};
use super::substitution::Substitutions;
use crate::sys::{FileKind, Xattrs};

/// A line that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("cannot use line {line} of '{file}': {why}")]
pub struct BadContexts {
    file: String,
    line: usize,
    why: String,
}

/// A list of labels.
#[derive(Debug, Default)]
pub struct FileContexts {
    paths: HashMap<Vec<u8>, Vec<PathRule>>,
    patterns: Vec<PatternRule>,
    /// Patterns by what their matches begin with, in their order.
    by_prefix: HashMap<Vec<u8>, Vec<usize>>,
    lengths: BTreeSet<usize>,
    local: Substitutions,
    distribution: Substitutions,
}

/// A label: none where a file is to have none.
type Label = Option<Rc<str>>;

#[derive(Debug)]
struct PathRule {
    kind: Option<FileKind>,
    label: Label,
}

#[derive(Debug)]
struct PatternRule {
    text: Vec<u8>,
    kind: Option<FileKind>,
    label: Label,
    compiled: OnceCell<Regex>,
    /// Where it was written.
    file: Rc<str>,
    line: usize,
}

/// The word for no label.
const NONE: &str = "<<none>>";

impl FileContexts {
    /// Adds the lines of a file, which come after those that are there. `ending` is that of the file's name.
    pub(super) fn add(&mut self, text: &[u8], file: &str, ending: &str) -> Result<(), BadContexts> {
        let file: Rc<str> = format!("{file}{ending}").into();
        let mut known: HashMap<String, Rc<str>> = HashMap::new();
        for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let bad =
                |why: &str| BadContexts { file: file.to_string(), line: number + 1, why: why.to_owned() };
            let words: Vec<&[u8]> =
                line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
            let (pattern, kind, label) = match words[..] {
                [] => continue,
                [first, ..] if first.starts_with(b"#") => continue,
                [pattern, label] => (pattern, None, label),
                [pattern, kind, label] => {
                    let kind =
                        kind_of(kind).ok_or_else(|| bad("there is no kind of file with this letter"))?;
                    (pattern, Some(kind), label)
                }
                _ => return Err(bad("it has neither two words nor three")),
            };
            let label = std::str::from_utf8(label).map_err(|_| bad("its label is no text"))?;
            let label = (label != NONE)
                .then(|| Rc::clone(known.entry(label.to_owned()).or_insert_with(|| Rc::from(label))));
            self.insert(pattern, kind, label, &file, number + 1);
        }
        Ok(())
    }

    fn insert(&mut self, text: &[u8], kind: Option<FileKind>, label: Label, file: &Rc<str>, line: usize) {
        match Pattern::of(text) {
            Pattern::Path(path) => self.paths.entry(path).or_default().push(PathRule { kind, label }),
            Pattern::Regex(prefix) => {
                self.lengths.insert(prefix.len());
                self.by_prefix.entry(prefix).or_default().push(self.patterns.len());
                let (text, file, compiled) = (text.to_vec(), Rc::clone(file), OnceCell::new());
                self.patterns.push(PatternRule { text, kind, label, compiled, file, line });
            }
        }
    }

    /// Takes names for others: an administrator's first, and then the distribution's.
    pub(super) fn substitute(&mut self, local: &[u8], distribution: &[u8]) {
        self.local = Substitutions::parse(local);
        self.distribution = Substitutions::parse(distribution);
    }

    /// Labels what has these attributes, as [`label`](Self::label) says; what is to have no label has none then.
    pub fn put_on(&self, xattrs: &mut Xattrs, path: &[u8], kind: FileKind) -> Result<(), BadContexts> {
        match self.attribute(path, kind)? {
            Some(value) => drop(xattrs.0.insert(LABEL.into(), value)),
            None => drop(xattrs.0.remove(LABEL.as_bytes())),
        }
        Ok(())
    }

    /// The same as the value of [`LABEL`]: with the NUL that setfilecon(3) writes.
    pub fn attribute(&self, path: &[u8], kind: FileKind) -> Result<Option<Vec<u8>>, BadContexts> {
        Ok(self.label(path, kind)?.map(|label| [label.as_bytes(), b"\0"].concat()))
    }

    /// The label of a file of some kind at a path that begins with a slash and has no empty names in it; `None` where it is to have
    /// none, or no line is about it.
    pub fn label(&self, path: &[u8], kind: FileKind) -> Result<Option<Rc<str>>, BadContexts> {
        let ours = self.local.apply(path);
        let path = ours.as_deref().unwrap_or(path);
        let theirs = self.distribution.apply(path);
        let path = theirs.as_deref().unwrap_or(path);
        let is_of = |rule: Option<FileKind>| rule.is_none_or(|wanted| wanted == kind);
        if let Some(rules) = self.paths.get(path) {
            let exact = rules.iter().rev().find(|rule| rule.kind == Some(kind));
            if let Some(rule) = exact.or_else(|| rules.iter().rev().find(|rule| rule.kind.is_none())) {
                return Ok(rule.label.clone());
            }
        }
        let mut candidates: Vec<usize> = Vec::new();
        for length in self.lengths.range(..=path.len()) {
            candidates.extend(self.by_prefix.get(&path[..*length]).into_iter().flatten());
        }
        candidates.sort_unstable();
        let text = latin(path);
        for index in candidates.into_iter().rev() {
            let rule = &self.patterns[index];
            if is_of(rule.kind) && rule.compiled()?.is_match(&text) {
                return Ok(rule.label.clone());
            }
        }
        Ok(None)
    }
}

impl PatternRule {
    /// Most are never needed.
    fn compiled(&self) -> Result<&Regex, BadContexts> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(compiled);
        }
        let bad = |why| BadContexts { file: self.file.to_string(), line: self.line, why };
        let compiled = compile(&self.text).map_err(bad)?;
        Ok(self.compiled.get_or_init(|| compiled))
    }
}

/// A kind of file by its letter, as `ls -l` has it.
fn kind_of(word: &[u8]) -> Option<FileKind> {
    Some(match word {
        b"--" => FileKind::File,
        b"-d" => FileKind::Directory,
        b"-l" => FileKind::Symlink,
        b"-c" => FileKind::CharDevice,
        b"-b" => FileKind::BlockDevice,
        b"-p" => FileKind::Fifo,
        b"-s" => FileKind::Socket,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts(text: &str) -> FileContexts {
        let mut contexts = FileContexts::default();
        contexts.add(text.as_bytes(), "file_contexts", "").expect("they make sense");
        contexts
    }

    #[test]
    fn the_last_pattern_counts_and_paths_before_all() {
        use FileKind::{Directory, File, Symlink};
        let contexts = contexts(
            "/usr/x -- u:exact\n/.* u:any\n/usr(/.*)? u:usr\n/usr/lib(/.*)? -d u:dir\n\
             /usr/none(/.*)? <<none>>\n# /usr/.* u:no\n\n/usr/y u:path\n/usr/y -l u:link\n",
        );
        let label = |path: &str, kind| {
            let found = contexts.label(path.as_bytes(), kind).expect("it can be looked up");
            found.map(|label| label.to_string())
        };
        for (path, kind, expected) in [
            ("/", Directory, Some("u:any")),
            ("/usr", Directory, Some("u:usr")),
            ("/usr/x", File, Some("u:exact")),
            ("/usr/x", Directory, Some("u:usr")),
            ("/usr/lib/a", Directory, Some("u:dir")),
            ("/usr/lib/a", File, Some("u:usr")),
            ("/usr/none/a", File, None),
            ("/usr/y", File, Some("u:path")),
            ("/usr/y", Symlink, Some("u:link")),
        ] {
            assert_eq!(label(path, kind).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_line() {
        for (text, said) in [
            ("/a u:x\n/b -x u:y\n", "line 2 of 'file_contexts': there is no kind of file"),
            ("/a\n", "line 1 of 'file_contexts': it has neither"),
            ("/a -- u:x s0\n", "it has neither"),
        ] {
            let mut contexts = FileContexts::default();
            let error = contexts.add(text.as_bytes(), "file_contexts", "").expect_err(text).to_string();
            assert!(error.contains(said), "{error}");
        }
        let late = contexts("/usr/(.*\n/usr/((x u:x\n".replace("(.*\n", "x u:x\n").as_str());
        let error = late.label(b"/usr/", FileKind::File).expect_err("it cannot be compiled").to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
