//! Layers that wait for the next boot, kept from being dropped by `ostree admin upgrade`.
//!
//! ostree goes by the origin of the deployment that runs (`ostree_sysroot_get_merge_deployment`), whatever is staged, and what it makes takes
//! the place of what was staged. So while what boots next has layers, and what runs has none, the origin of what runs says so
//! (`unconfigured-state`), and ostree refuses with these words. What is booted later is judged anew at each change.

use super::deployments::LAYERED;
use super::disk::write_origin;
use super::sysroot::{Deployment, Standing};
use crate::layer::Error;
use crate::sys::Root;

/// What `ostree admin upgrade` says then.
pub(super) const WORDS: &str =
    "the next boot has layers, which would be lost: 'onlay layer upgrade' takes them to a newer base";

/// What tells our words from those of whoever made the system, also where another version of ours wrote them.
const MARK: &str = "'onlay layer ";

/// Writes the origins of a running system's deployments, as far as they say another thing than they should; `wait` says whether layers wait.
pub(super) fn settle(disk: &Root, trees: &[Deployment], wait: bool) -> Result<(), Error> {
    for tree in trees.iter().filter(|tree| !is_layered(tree)) {
        let said = tree.origin.unconfigured();
        let is_wanted = wait && tree.standing == Standing::Booted && tree.origin.refspec().is_some();
        let origin = match (&said, is_wanted) {
            (None, true) => tree.origin.saying(Some(WORDS)),
            (Some(words), false) if words.contains(MARK) => tree.origin.saying(None),
            _ => continue,
        };
        write_origin(disk, tree, &origin)?;
    }
    Ok(())
}

/// Whether what boots next has layers.
pub(super) fn wait(trees: &[Deployment]) -> bool {
    trees.first().is_some_and(is_layered)
}

/// Whether it is one of ours with layers, by its origin.
fn is_layered(tree: &Deployment) -> bool {
    tree.origin.refspec().is_some_and(|refspec| refspec.starts_with(LAYERED))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::layer::ostree::{Checksum, Origin};

    fn tree(name: &str, standing: Standing, origin: &str) -> Deployment {
        Deployment {
            index: 0,
            os: "debian".to_owned(),
            checksum: Checksum::of(name.as_bytes()),
            serial: 0,
            path: name.into(),
            standing,
            pinned: false,
            unlocked: None,
            origin: Origin::parse(origin).expect("an origin"),
            options: None,
        }
    }

    #[test]
    fn only_what_runs_without_layers_before_some_says_so() {
        let place = tempfile::tempdir().expect("a directory");
        let disk = Root::open(place.path()).expect("it opens");
        let layered =
            "[origin]\nrefspec=onlay/layered/debian\nunconfigured-state='onlay layer upgrade' does\n";
        let trees = [
            tree("next", Standing::Staged, layered),
            tree("base", Standing::Booted, "[origin]\nrefspec=a:b\n"),
            tree("older", Standing::Rollback, "[origin]\nrefspec=a:b\nunconfigured-state='onlay layer x'\n"),
            tree("maker", Standing::Other, "[origin]\nrefspec=a:b\nunconfigured-state=subscribe\n"),
        ];
        assert!(wait(&trees) && !wait(&trees[1..]));
        settle(&disk, &trees, true).expect("there is room");
        let read = |name: &str| fs::read_to_string(place.path().join(name)).ok();
        assert_eq!(
            read("base.origin").as_deref(),
            Some(&*format!("[origin]\nrefspec=a:b\nunconfigured-state={WORDS}\n"))
        );
        assert_eq!(read("older.origin").as_deref(), Some("[origin]\nrefspec=a:b\n"));
        assert_eq!((read("next.origin"), read("maker.origin")), (None, None));
        // Taken back, also from one that is the next again.
        let marked = tree("base", Standing::Booted, &read("base.origin").expect("it was written"));
        settle(&disk, &[marked], false).expect("there is room");
        assert_eq!(read("base.origin").as_deref(), Some("[origin]\nrefspec=a:b\n"));
    }
}
