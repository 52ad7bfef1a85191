//! What must hold for any bytes that come as an object of a repository of OSTree's.

use onlay::layer::ostree::{Commit, DirTree, Metadata};

/// Reading ends, without a panic. What is read comes back when it is written; names in a directory lead nowhere else. Says how many kinds of object
/// the bytes are.
pub(crate) fn object(bytes: &[u8]) -> usize {
    let mut kinds = 0;
    if let Ok(tree) = DirTree::parse(bytes) {
        assert!(tree.0.keys().all(|name| !name.contains(['/', '\0']) && !matches!(&**name, "" | "." | "..")));
        assert_eq!(DirTree::parse(&tree.to_bytes()), Ok(tree));
        kinds += 1;
    }
    if let Ok(metadata) = Metadata::parse(bytes) {
        assert_eq!(Metadata::parse(&metadata.to_bytes()), Ok(metadata));
        kinds += 1;
    }
    if let Ok(commit) = Commit::parse(bytes) {
        for value in commit.metadata.values() {
            let _ = (value.as_text(), value.as_texts(), value.as_flag());
        }
        assert_eq!(Commit::parse(&commit.to_bytes()), Ok(commit));
        kinds += 1;
    }
    kinds
}
