//! What must hold of lists of blocks and of patches, whatever their bytes.

use std::path::Path;

use onlay::store::delta::check_list;
use onlay::store::delta::list::List;
use onlay::store::delta::patch::{LIMIT, Operation, Patch, apply};

/// Larger older images are not made here.
const MOST: u64 = 1 << 20;

/// Reading ends, without a panic. A list that is read has pieces that are its image, and comes back when it is written.
pub(crate) fn list(bytes: &[u8]) {
    let Ok(list) = List::parse(bytes) else { return };
    assert_eq!(list.pieces.iter().map(|(length, _)| u64::from(*length)).sum::<u64>(), list.size);
    let again = list.to_bytes().ok().and_then(|bytes| List::parse(&bytes).ok());
    assert_eq!(again.as_ref(), Some(&list));
    if list.size < MOST {
        let _ = check_list(bytes, &vec![0; list.size as usize], list.sha256);
    }
}

/// Reading ends, without a panic. A patch that is read wants nothing outside of the older image, and comes back when it is
/// written. What it makes is never longer than it says, and as long where nothing went wrong.
pub(crate) fn patch(bytes: &[u8]) {
    let Ok(patch) = Patch::parse(bytes) else { return };
    let size = patch.head.old_size;
    for group in &patch.groups {
        assert!(group.raw as usize <= LIMIT);
        for reference in &group.references {
            assert!(reference.at + u64::from(reference.stored) <= size);
        }
        for operation in &group.operations {
            let Operation::Copy { at, length } = *operation else { continue };
            assert!(at + length <= size);
        }
    }
    let again = patch.to_bytes().ok().and_then(|bytes| Patch::parse(&bytes).ok());
    assert_eq!(again.as_ref(), Some(&patch));
    if size < MOST && patch.head.new_size < MOST {
        let mut made = Vec::new();
        let done = apply(&patch, &vec![0; size as usize], &mut made, Path::new("image"));
        assert!(made.len() as u64 <= patch.head.new_size);
        assert!(done.is_err() || made.len() as u64 == patch.head.new_size);
    }
}
