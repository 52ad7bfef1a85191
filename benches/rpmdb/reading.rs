//! Reading a large database, and replacing it by a changed copy, without a program's start and end.

use std::path::Path;
use std::time::Duration;

use onlay::package::header::DependencyKind;
use onlay::pkgdb::rpm::{Access, Backend, Database, Delta, Opening, check, prepare};
use onlay::sys::Root;

use super::made::{make, package, path_of};
use super::rounds::Rounds;
use super::{CHANGED, PACKAGES};

pub(crate) fn run(place: &Path) {
    for backend in [Backend::Sqlite, Backend::Ndb] {
        let base = place.join(format!("{backend:?}"));
        make(backend, PACKAGES, |_| 1, &base);
        measure(backend, &base, place);
    }
}

fn measure(backend: Backend, base: &Path, place: &Path) {
    let opening = Opening { scratch: place, patience: Duration::ZERO, access: Access::Read };
    let directory = || Root::open(base).expect("our directory");
    let open = || Database::open_in(directory(), backend, &opening).expect("it opens");
    let known = open();
    let stored = known.identities().expect("it can be read");
    let remove = stored.iter().step_by(PACKAGES / CHANGED).take(CHANGED).copied().collect();
    let add = (0..CHANGED).map(|number| package(number * (PACKAGES / CHANGED), 2)).collect();
    let delta = Delta { remove, add, above: known.highest().expect("it can be read"), ..Delta::default() };
    let target = place.join(format!("target-{backend:?}"));
    std::fs::create_dir(&target).expect("our directory");
    let target = Root::open(target).expect("our directory");
    let mut rounds = Rounds::new(place);
    rounds.add("open", || drop(open()));
    rounds.add("open, identities of all", || drop(open().identities().expect("it can be read")));
    rounds.add("open, names of all", || drop(open().packages().expect("it can be read")));
    rounds.add("open, owners of a path", || {
        let path = path_of(1234, 7);
        assert_eq!(open().owners(Path::new(&path)).expect("it can be read").len(), 1);
    });
    rounds.add("open, who requires a name", || {
        let mut count = 0;
        let mut visit = |_, _: &[u8]| {
            count += 1;
            Ok(())
        };
        open().each_with(DependencyKind::Requires, ["capability7"], &mut visit).expect("it can be read");
        assert!(count > 0);
    });
    rounds.add("a changed copy, put in place and synced", || {
        let prepared = prepare(&known, &delta, &target, &opening).expect("there is room");
        prepared.commit().expect("there is room");
    });
    rounds.add("all checks", || assert!(check(&known).expect("it can be read").is_empty()));
    rounds.run().print(&format!("reading, {backend:?}"), &[]);
}
