//! What the cost follows: how many packages changed, and how many there are.

use std::path::Path;

use onlay::pkgdb::rpm::Backend;

use super::PACKAGES;
use super::merging::{add_copies, add_own};
use super::rounds::Rounds;
use super::scene::Scene;

pub(crate) fn run(place: &Path) {
    for (packages, changed) in
        [(500, 1), (500, 20), (500, 200), (PACKAGES, 1), (PACKAGES, 20), (PACKAGES, 200)]
    {
        let scene =
            Scene::make(place.join(format!("{packages}-{changed}")), Backend::Sqlite, packages, changed);
        let mut rounds = Rounds::new(place);
        add_copies(&mut rounds, &scene);
        add_own(&mut rounds, &scene);
        rounds.run().print(&format!("{packages} packages, {changed} changed on either side"), &[]);
        let _ = std::fs::remove_dir_all(&scene.place);
    }
}
