//! What the owner of the host and the user of the overlay do, at random.

use fastrand::Rng;

use super::packages::{PREFIX, Package, System};
use super::roots::{Look, MADE};

/// Something that is done in a root.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) script: String,
    /// The file that a person changes, or removes.
    pub(super) file: Option<String>,
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Host,
    Overlay,
}

impl Deed {
    fn program(script: String) -> Deed {
        Deed { script, file: None }
    }

    fn file(path: &str, command: &str) -> Deed {
        Deed { script: command.replace("{}", path), file: Some(path.to_owned()) }
    }
}

/// What is there at first: some packages, of random versions.
pub(super) fn first(rng: &mut Rng, system: System, packages: &[Package]) -> Deed {
    let mut chosen: Vec<&Package> = packages.iter().filter(|_| rng.u8(..3) == 0).collect();
    rng.shuffle(&mut chosen);
    let each = chosen.into_iter().map(|package| install(rng, system, package));
    // The first that is to be there stays.
    Deed::program(each.collect::<Vec<_>>().join("\n"))
}

/// The next thing that somebody does who sees this.
pub(super) fn next(rng: &mut Rng, system: System, packages: &[Package], seen: &Look, who: Who) -> Deed {
    let number = rng.u16(..);
    let files: Vec<&String> = seen.files.keys().filter(|path| is_edited(seen, path)).collect();
    let config: Vec<&String> = files.iter().filter(|path| path.starts_with("/etc/")).copied().collect();
    let any = |rng: &mut Rng, files: &[&String]| {
        (!files.is_empty()).then(|| files[rng.usize(..files.len())].clone())
    };
    match rng.u8(..20) {
        0..=7 => Deed::program(install_any(rng, system, packages)),
        8..=10 => Deed::program(remove(rng, system, seen, packages)),
        11 => Deed::program(upgrade(rng, system).into()),
        12 => Deed::program(again(rng, system, seen)),
        13 => Deed::program(other(rng, system, packages, who)),
        14..=15 => match any(rng, &config) {
            Some(path) => Deed::file(&path, &format!("echo {who:?} {number} >>{{}}")),
            None => Deed::program(add_user(number)),
        },
        16 if who == Who::Host => Deed::program(add_user(number)),
        _ if who == Who::Host => Deed::program(install_any(rng, system, packages)),
        _ => match any(rng, &files) {
            Some(path) => Deed::file(
                &path,
                match rng.u8(..6) {
                    0 => "rm {}",
                    1 => "chmod 600 {}",
                    2 => "touch {}",
                    3 => ": >>{}",
                    _ => "echo Overlay >>{}",
                },
            ),
            None => Deed::program(add_user(number)),
        },
    }
}

/// Whether a file is one that people change.
fn is_edited(seen: &Look, path: &str) -> bool {
    let is_file = seen.files.get(path).is_some_and(|what| what.starts_with("f "));
    is_file && !path.starts_with("/var/") && !path.contains(".dpkg-") && !path.contains(".rpm")
}

fn add_user(number: u16) -> String {
    format!("useradd --system --no-create-home --shell /bin/false lx-user{number}")
}

fn install_any(rng: &mut Rng, system: System, packages: &[Package]) -> String {
    // Packages of which one diverts others' files meet often enough only where they are sought.
    let meet: Vec<&Package> = packages.iter().filter(|package| package.meets_diversions(packages)).collect();
    let package = match rng.choice(meet).filter(|_| rng.u8(..3) == 0) {
        Some(package) => package,
        None => &packages[rng.usize(..packages.len())],
    };
    install(rng, system, package)
}

fn install(rng: &mut Rng, system: System, package: &Package) -> String {
    let Package { name, version, .. } = package;
    match (system, rng.u8(..4)) {
        (System::Dpkg, 0) => format!("dpkg --install {MADE}/{name}_{version}.deb; apt-get -qy -f install"),
        (System::Dpkg, _) => {
            format!("apt-get -qy --allow-downgrades --allow-change-held-packages install {name}={version}")
        }
        (System::Rpm, 0) => format!("rpm --upgrade --oldpackage --nosignature {MADE}/{name}_{version}.rpm"),
        (System::Rpm, 1) => format!("dnf -qyC --allowerasing install {name}-{version}"),
        (System::Rpm, _) => {
            format!("zypper -n --no-refresh install --oldpackage --force-resolution {name}={version}")
        }
    }
}

fn remove(rng: &mut Rng, system: System, seen: &Look, packages: &[Package]) -> String {
    let installed = named(seen);
    let name = match rng.choice(installed) {
        Some(name) => name,
        None => packages[rng.usize(..packages.len())].name.clone(),
    };
    match (system, rng.u8(..4)) {
        (System::Dpkg, 0) => format!("dpkg --remove {name}"),
        (System::Dpkg, 1) => format!("dpkg --purge {name}"),
        (System::Dpkg, 2) => format!("apt-get -qy remove {name}"),
        (System::Dpkg, _) => format!("apt-get -qy purge {name}"),
        (System::Rpm, 0) => format!("rpm --erase {name}"),
        (System::Rpm, 1) => format!("dnf -qyC remove {name}"),
        (System::Rpm, _) => format!("zypper -n --no-refresh remove {name}"),
    }
}

fn upgrade(rng: &mut Rng, system: System) -> &'static str {
    match (system, rng.bool()) {
        (System::Dpkg, false) => "apt-get -qy upgrade",
        (System::Dpkg, true) => "apt-get -qy dist-upgrade",
        (System::Rpm, false) => "zypper -n --no-refresh update",
        (System::Rpm, true) => "dnf -qyC upgrade",
    }
}

fn again(rng: &mut Rng, system: System, seen: &Look) -> String {
    let Some(name) = rng.choice(named(seen)) else { return "true".to_owned() };
    match (system, rng.bool()) {
        (System::Dpkg, _) => format!("apt-get -qy --allow-downgrades install --reinstall {name}"),
        (System::Rpm, false) => {
            format!("zypper -n --no-refresh install --force {name}={}", seen.version(&name))
        }
        (System::Rpm, true) => format!("dnf -qyC reinstall {name}"),
    }
}

/// What only some package systems have.
fn other(rng: &mut Rng, system: System, packages: &[Package], who: Who) -> String {
    let name = &packages[rng.usize(..packages.len())].name;
    let own = "dpkg-divert --local --rename --divert /usr/lib/lx/base/program.own";
    match (system, rng.u8(..if who == Who::Host { 3 } else { 6 })) {
        (System::Dpkg, 0) => "apt-get -qy autoremove".to_owned(),
        (System::Dpkg, 1) => format!("apt-mark hold {name}"),
        (System::Dpkg, 2) => format!("apt-mark unhold {name}"),
        (System::Dpkg, 3) => format!("{own} --add /usr/lib/lx/base/program"),
        (System::Dpkg, 4) => format!("{own} --remove /usr/lib/lx/base/program"),
        (System::Dpkg, _) => "update-alternatives --set lx-view /usr/bin/lx-view-a".to_owned(),
        (System::Rpm, _) => "rpmdb --verifydb".to_owned(),
    }
}

/// Our packages that are there.
fn named(seen: &Look) -> Vec<String> {
    let names = seen.packages.keys().filter(|key| key.starts_with(PREFIX));
    names.map(|key| key.split(' ').next().unwrap_or(key).to_owned()).collect()
}

impl Look {
    fn version(&self, name: &str) -> &str {
        let is_it = |(key, _): &(&String, &String)| key.split(' ').next() == Some(name);
        self.packages.iter().find(is_it).map_or("1", |(_, version)| version)
    }
}
