//! SELinux labels: what a base's policy says that files are to be labelled with (file_contexts(5)).
//!
//! The rules are libselinux's, as matchpathcon(8) and setfiles(8) have them, so that files which a policy knows get the same label
//! here, where no policy is loaded. Only the text files are read: the `.bin` beside one is a cache of it.

mod contexts;
mod pattern;
mod substitution;

use std::path::{Path, PathBuf};

pub use contexts::{BadContexts, FileContexts};

use crate::sys::{IoError, Root};

/// The extended attribute that has a file's label.
pub const LABEL: &str = "security.selinux";

/// Where a system says which policy it has.
const CONFIG: &str = "etc/selinux/config";

/// Larger ones are no lists of labels.
pub const LARGEST: u64 = 64 << 20;

/// Why there are no labels.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lists make no sense.
    #[error(transparent)]
    Bad(#[from] BadContexts),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// The list of labels of a root's policy, by its path there; `None` where it has no policy, or none that is used.
pub fn policy(root: &Root) -> Result<Option<PathBuf>, IoError> {
    let text = match root.read(CONFIG, LARGEST) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    Ok(list_of(&text).filter(|path| root.exists(path)))
}

/// The labels of the policy that a system has, where its files are not below a root: `file` reads one by its path from there, where it is
/// there, and never more than [`LARGEST`] of it.
pub fn find<E: From<Error>>(
    file: impl Fn(&Path) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<FileContexts>, E> {
    let Some(path) = file(Path::new(CONFIG))?.as_deref().and_then(list_of) else { return Ok(None) };
    match file(&path)? {
        Some(list) => gather(list, &path, &path.to_string_lossy(), file).map(Some),
        None => Ok(None),
    }
}

/// The path of the list of labels, by what a system says of its policy.
fn list_of(config: &[u8]) -> Option<PathBuf> {
    let value = |key: &str| value(config, key);
    if value("SELINUX").is_some_and(|mode| mode == "disabled") {
        return None;
    }
    // Without a word of it, libselinux takes this one.
    let kind = value("SELINUXTYPE").unwrap_or_else(|| "targeted".to_owned());
    let is_name = !kind.is_empty() && !kind.contains('/') && kind != "..";
    is_name.then(|| Path::new("etc/selinux").join(&kind).join("contexts/files/file_contexts"))
}

/// The last that is assigned to a key.
fn value(text: &[u8], key: &str) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let assigned =
        |line: &str| Some(line.trim_start().strip_prefix(key)?.strip_prefix('=')?.trim().to_owned());
    text.lines().filter_map(assigned).next_back()
}

/// Reads a list, with what lies beside it: labels of home directories, an administrator's own, and names that are taken for
/// others.
pub fn read(root: &Root, path: &Path) -> Result<FileContexts, Error> {
    let file = |path: &Path| match root.read(path, LARGEST) {
        Err(error) if error.is_not_found() => Ok(None),
        other => Ok(Some(other?)),
    };
    gather(root.read(path, LARGEST)?, path, &root.join(path).to_string_lossy(), file)
}

/// A list with what lies beside it.
fn gather<E: From<Error>>(
    list: Vec<u8>,
    path: &Path,
    shown: &str,
    file: impl Fn(&Path) -> Result<Option<Vec<u8>>, E>,
) -> Result<FileContexts, E> {
    let beside = |ending: &str| -> Result<Vec<u8>, E> {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        Ok(file(Path::new(&name))?.unwrap_or_default())
    };
    let mut contexts = FileContexts::default();
    for (text, ending) in [(list, ""), (beside(".homedirs")?, ".homedirs"), (beside(".local")?, ".local")] {
        contexts.add(&text, shown, ending).map_err(Error::from)?;
    }
    contexts.substitute(&beside(".subs")?, &beside(".subs_dist")?);
    Ok(contexts)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sys::FileKind;

    #[test]
    fn the_policy_that_is_named_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::open(dir.path()).expect("it opens");
        assert_eq!(policy(&root).expect("it is looked for"), None);
        let files = dir.path().join("etc/selinux/lab/contexts/files");
        fs::create_dir_all(&files).expect("ours");
        let put = |name: &str, text: &str| fs::write(files.join(name), text).expect("ours");
        put("file_contexts", "/.*  u:o:default:s0\n/usr/x  --  u:o:x:s0\n");
        put("file_contexts.local", "/usr/y -- u:o:y:s0\n");
        put("file_contexts.subs_dist", "/opt/x /usr\n");
        let say = |text: &str| fs::write(dir.path().join(CONFIG), text).expect("ours");
        say("# SELINUXTYPE=none\nSELINUX=enforcing\nSELINUXTYPE=lab\n");
        let path = policy(&root).expect("it is looked for").expect("there is one");
        let contexts = read(&root, &path).expect("it is read");
        let label =
            |path: &str| contexts.label(path.as_bytes(), FileKind::File).expect("it can be looked up");
        assert_eq!(label("/usr/x").as_deref(), Some("u:o:x:s0"));
        assert_eq!(label("/opt/x/y").as_deref(), Some("u:o:y:s0"));
        assert_eq!(label("/else").as_deref(), Some("u:o:default:s0"));
        for text in ["SELINUX=disabled\nSELINUXTYPE=lab\n", "SELINUXTYPE=other\n", "SELINUXTYPE=../lab\n"] {
            say(text);
            assert_eq!(policy(&root).expect("it is looked for"), None, "{text}");
        }
    }
}
