//! Names that are taken for others before their label is looked up (file_contexts.subs(5), file_contexts.subs_dist(5)).

/// One list of them.
#[derive(Debug, Default)]
pub(super) struct Substitutions(Vec<(Vec<u8>, Vec<u8>)>);

impl Substitutions {
    /// Reads a list: two words on each line.
    pub(super) fn parse(text: &[u8]) -> Substitutions {
        let pair = |line: &[u8]| {
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let (from, to) = (words.next().filter(|word| !word.starts_with(b"#"))?, words.next()?);
            Some((from.to_vec(), to.to_vec()))
        };
        Substitutions(text.split(|&byte| byte == b'\n').filter_map(pair).collect())
    }

    /// The name that a path is taken for; `None` where that is its own. The first in the list that is the path or a directory above
    /// it counts.
    pub(super) fn apply(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.0.iter().find_map(|(from, to)| {
            let rest = path.strip_prefix(from.as_slice())?;
            match rest.first() {
                Some(b'/') if to == b"/" => Some(rest.to_vec()),
                None | Some(b'/') => Some([to.as_slice(), rest].concat()),
                Some(_) => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_are_taken_for_others() {
        let list = Substitutions::parse(b"# a /b\n/lib64 /usr/lib\n/sysroot /\n  /x\t/y z\n/one\n");
        for (path, expected) in [
            ("/lib64", Some("/usr/lib")),
            ("/lib64/x", Some("/usr/lib/x")),
            ("/lib645/x", None),
            ("/sysroot/etc", Some("/etc")),
            ("/sysroot", Some("/")),
            ("/x/a", Some("/y/a")),
            ("/one/a", None),
            ("/else", None),
        ] {
            let found = list.apply(path.as_bytes()).map(|path| String::from_utf8(path).expect("text"));
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }
}
