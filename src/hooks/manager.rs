//! The package managers that can have hooks, and where theirs are.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::sys::Root;

/// A package manager that can have a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// apt, and all that work by its library: a file of its settings (apt.conf(5)).
    Apt,
    /// dnf 4: a plugin in Python, beside dnf's own library.
    Dnf,
    /// dnf 5, and all that work by libdnf5: a file for its plugin `actions` (libdnf5-actions(8)).
    Dnf5,
    /// zypper, and all that work by libzypp: a commit plugin.
    Zypper,
}

impl Manager {
    /// All of them.
    pub const ALL: [Manager; 4] = [Manager::Apt, Manager::Dnf, Manager::Dnf5, Manager::Zypper];

    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Manager::Apt => "apt",
            Manager::Dnf => "dnf",
            Manager::Dnf5 => "dnf5",
            Manager::Zypper => "zypper",
        }
    }

    /// Whether a root has it.
    pub fn is_there(self, root: &Root) -> bool {
        match self {
            Manager::Apt => root.exists("usr/bin/apt-get"),
            Manager::Dnf => python_folders(root).iter().any(|folder| root.exists(folder.join("dnf/base.py"))),
            Manager::Dnf5 => root.exists("usr/bin/dnf5") || actions_plugin(root).is_some(),
            Manager::Zypper => root.exists("usr/bin/zypper"),
        }
    }

    /// Why it cannot have a hook though it is there.
    pub(super) fn lack(self, root: &Root) -> Option<&'static str> {
        let lacks = self == Manager::Dnf5 && actions_plugin(root).is_none();
        lacks.then_some("its plugin 'actions' is not installed (package libdnf5-plugin-actions)")
    }

    /// Where its hook is or would be, from the root; several where a root has several of it.
    pub(super) fn places(self, root: &Root) -> Vec<PathBuf> {
        match self {
            // Before the files of other packages: what stops an installation should do so before they ask.
            Manager::Apt => vec!["/etc/apt/apt.conf.d/10onlay".into()],
            Manager::Dnf => {
                let folders = python_folders(root).into_iter();
                folders.map(|folder| folder.join("dnf-plugins/onlay.py")).collect()
            }
            Manager::Dnf5 => vec!["/etc/dnf/libdnf5-plugins/actions.d/onlay.actions".into()],
            // The only directory that libzypp reads; it is no setting.
            Manager::Zypper => vec!["/usr/lib/zypp/plugins/commit/onlay".into()],
        }
    }
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where dnf 4 and its plugins are, in each Python that has them.
fn python_folders(root: &Root) -> Vec<PathBuf> {
    let names = names_in(root, Path::new("/usr/lib"));
    let pythons = names.iter().filter(|name| name.starts_with("python3"));
    let folders = pythons.flat_map(|python| {
        ["dist-packages", "site-packages"].map(|packages| Path::new("/usr/lib").join(python).join(packages))
    });
    folders
        .filter(|folder| root.exists(folder.join("dnf")) || root.exists(folder.join("dnf-plugins")))
        .collect()
}

/// The file of libdnf5's plugin, which Debian has in a directory of its architecture.
pub(super) fn actions_plugin(root: &Root) -> Option<PathBuf> {
    const PLUGIN: &str = "libdnf5/plugins/actions.so";
    let mut libraries: Vec<PathBuf> = ["/usr/lib64", "/usr/lib"].map(PathBuf::from).to_vec();
    libraries
        .extend(names_in(root, Path::new("/usr/lib")).iter().map(|name| Path::new("/usr/lib").join(name)));
    libraries.into_iter().map(|library| library.join(PLUGIN)).find(|plugin| root.exists(plugin))
}

fn names_in(root: &Root, directory: &Path) -> Vec<String> {
    let entries = root.open_dir(directory).and_then(|directory| directory.entries()).unwrap_or_default();
    let text = |name: &OsStr| name.to_str().map(str::to_owned);
    let mut names: Vec<String> = entries.iter().filter_map(|entry| text(&entry.name)).collect();
    names.sort();
    names
}
