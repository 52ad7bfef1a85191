//! Layers that wait for the next boot, kept from being dropped by `ostree admin upgrade`.
//!
//! ostree goes by the origin of the deployment that runs (`ostree_sysroot_get_merge_deployment`), whatever is staged, and what it makes takes
//! the place of what was staged. So while what boots next has layers, and what runs has none, the origin of what runs says so
//! (`unconfigured-state`), and ostree refuses with these words. What is booted later is judged anew at each change, and at boot.

use super::origin::Origin;
use super::sysroot::{Deployment, Standing};

/// What `ostree admin upgrade` says then.
pub(super) const WORDS: &str =
    "the next boot has layers, which would be lost: 'onlay layer upgrade' takes them to a newer base";

/// What tells our words from those of whoever made the system, also where another version of ours wrote them.
const MARK: &str = "'onlay layer ";

/// What origins of a running system's deployments are to be, where they say another thing than they should; `wait` says whether layers wait.
pub(super) fn origins(trees: &[Deployment], wait: bool) -> Vec<(&Deployment, Origin)> {
    let plain = trees.iter().filter(|tree| !tree.origin.is_layered());
    let changed = plain.filter_map(|tree| {
        let said = tree.origin.unconfigured();
        match (&said, wait && is_followed(tree)) {
            (None, true) => Some((tree, tree.origin.saying(Some(WORDS)))),
            (Some(words), false) if words.contains(MARK) => Some((tree, tree.origin.saying(None))),
            _ => None,
        }
    });
    changed.collect()
}

/// Whether what runs is to say so.
pub(super) fn is_refusing(trees: &[Deployment], wait: bool) -> bool {
    wait && trees.iter().any(|tree| !tree.origin.is_layered() && is_followed(tree))
}

/// Whether it is what `ostree admin upgrade` goes by.
fn is_followed(tree: &Deployment) -> bool {
    tree.standing == Standing::Booted && tree.origin.refspec().is_some()
}

/// Whether what boots next has layers.
pub(super) fn wait(trees: &[Deployment]) -> bool {
    trees.first().is_some_and(|tree| tree.origin.is_layered())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::ostree::Checksum;

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
        let layered =
            "[origin]\nrefspec=onlay/layered/debian\nunconfigured-state='onlay layer upgrade' does\n";
        let trees = [
            tree("next", Standing::Staged, layered),
            tree("base", Standing::Booted, "[origin]\nrefspec=a:b\n"),
            tree("older", Standing::Rollback, "[origin]\nrefspec=a:b\nunconfigured-state='onlay layer x'\n"),
            tree("maker", Standing::Other, "[origin]\nrefspec=a:b\nunconfigured-state=subscribe\n"),
        ];
        assert!(wait(&trees) && !wait(&trees[1..]));
        assert!(is_refusing(&trees, true) && !is_refusing(&trees, false) && !is_refusing(&trees[2..], true));
        let said = |trees: &[Deployment], wait: bool| -> Vec<(String, String)> {
            let name = |tree: &Deployment| tree.path.display().to_string();
            origins(trees, wait).iter().map(|(tree, origin)| (name(tree), origin.to_string())).collect()
        };
        let marked = format!("[origin]\nrefspec=a:b\nunconfigured-state={WORDS}\n");
        let (base, plain) = ("base".to_owned(), "[origin]\nrefspec=a:b\n".to_owned());
        let older = ("older".to_owned(), plain.clone());
        assert_eq!(said(&trees, true), [(base.clone(), marked.clone()), older]);
        // Taken back, also from one that is the next again, or where nothing waits any more.
        let marked = tree("base", Standing::Booted, &marked);
        assert_eq!(said(&[marked], false), [(base, plain)]);
        assert_eq!(said(&trees[1..2], false), []);
    }
}
