//! New packages at once, in the system that runs, until the reboot brings them for good.
//!
//! They are merged as an extension, of the very package files that the next deployment is made from, and image and link are in RAM: the
//! next boot begins without. An unlocked /usr would do as well, but outlives nothing better, hides what systemd-sysext merges, and has
//! scripts run on the host; an extension is judged before it is seen, and taken off by one command.
//!
//! That is safe where packages only come, with files that an extension has in their places. What is in /etc would be there before the next
//! deployment's defaults are, and so be taken for a person's for ever.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{Backend, BaseNote, Deployment, Error, Installed, Manifest, Workshop};
use crate::extension::activate::{self, Report};
use crate::extension::build::{self, Base, Envelope, ExtensionName, Recipe, Request, Source};
use crate::extension::with_base;
use crate::host::Host;
use crate::image::Format;
use crate::image::squashfs::Compression;
use crate::package::archive::{self, Kind, Limits, PackageFile};
use crate::sys::Root;

/// The extension's name.
pub const NAME: &str = "layers-until-reboot";

/// What can be there at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Now {
    /// The files of its packages.
    files: Vec<PathBuf>,
    /// The packages, with their versions.
    pub packages: Vec<String>,
    /// What only the reboot brings, in words.
    pub later: Vec<String>,
}

/// What of a deployment that is to be booted next can be there at once; an error with all reasons where anything of it cannot.
pub fn plan_now(
    backend: &dyn Backend,
    workshop: &Workshop,
    base: &BaseNote,
    next: &Manifest,
) -> Result<Now, Error> {
    let running = backend.deployments()?.into_iter().find(|deployment| deployment.is_booted);
    let Some(running) = running else {
        return Err(Error::NotNow { why: vec!["the system that it is for does not run".to_owned()] });
    };
    let (mut why, new) = differences(&running, base, next);
    let mut now = Now::default();
    if why.is_empty() {
        let found = found(&workshop.cache()?, &new)?;
        for package in &new {
            let Some(file) = found.iter().find(|file| is_of(file, package)) else {
                why.push(format!("the file of {} {} was not kept", package.name, package.version));
                continue;
            };
            let seen = look(file)?;
            why.extend(seen.why);
            now.later.extend(seen.later);
            now.files.push(file.path().to_owned());
            now.packages.push(format!("{} {}", package.name, package.version));
        }
    }
    if why.is_empty() { Ok(now) } else { Err(Error::NotNow { why }) }
}

/// Merges it. An error leaves the system as it was.
pub fn apply_now(state: &Path, now: &Now) -> Result<Report, Error> {
    let name: ExtensionName = NAME.parse().expect("a good name");
    let output = activate::folder()?;
    let host = Host::open(Path::new("/"))?;
    // The one that is there stays until the other one has taken its place.
    let before = activate::image_until_reboot(NAME)?;
    let version = if before.as_deref().is_some_and(is_first) { "2" } else { "1" };
    let built = with_base(&host, |base| {
        let recipe = Recipe { version: Some(version.to_owned()), ..Recipe::default() };
        let sources = now.files.iter().map(|file| build::open(file)).collect::<Result<Vec<Source>, _>>()?;
        build::build(&Request {
            name: name.clone(),
            recipe: &recipe,
            first: None,
            sources,
            base: &Base::of(base)?,
            output,
            format: Format::Squashfs,
            // It goes with the reboot: it is to be there soon.
            compression: Compression::Zstd(1),
            envelope: Envelope::None,
            time: None,
            unfit: false,
        })
    });
    let built = built.map_err(build::Error::from).and_then(|built| built).map_err(Box::new)?;
    let merged = activate::merge_until_reboot(state, NAME, &built.path)?;
    merged.map_err(|why| Error::NotNow { why: vec![why] })
}

/// Whether an image of this name has version 1 (`NAME_VERSION_ARCHITECTURE.raw`).
fn is_first(image: &Path) -> bool {
    image.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{NAME}_1_")))
}

/// Why the system that runs cannot become that, and which packages it lacks.
fn differences(running: &Deployment, base: &BaseNote, next: &Manifest) -> (Vec<String>, Vec<Installed>) {
    let old = running.manifest.clone().unwrap_or_default();
    let mut why = Vec::new();
    if running.base.id != base.id {
        why.push("the base is another one".to_owned());
    }
    let find = |name: &str| old.packages.iter().find(|package| package.name == name);
    let gone =
        old.packages.iter().filter(|package| !next.packages.iter().any(|new| new.name == package.name));
    why.extend(gone.map(|package| format!("{} goes", package.name)));
    let without = |name: &&String| !old.without.contains(*name);
    why.extend(next.without.iter().filter(without).map(|name| format!("{name} goes from the base")));
    let mut new = Vec::new();
    for package in &next.packages {
        match find(&package.name) {
            Some(known) if known.version == package.version => {}
            Some(_) => why.push(format!("{} becomes another version", package.name)),
            None if package.instead_of.is_some() => {
                why.push(format!("{} takes the place of the base's", package.name));
            }
            None => new.push(package.clone()),
        }
    }
    (why, new)
}

/// All package files below a directory that may be of these packages.
fn found(dir: &Root, packages: &[Installed]) -> Result<Vec<PackageFile>, Error> {
    let mut found = Vec::new();
    let mut ahead = vec![dir.try_clone()?];
    while let Some(dir) = ahead.pop() {
        for entry in dir.entries()? {
            let path = dir.join(&entry.name);
            if dir.is_dir(&entry.name)? {
                ahead.push(dir.open_child(&entry.name)?);
            } else if path.extension().is_some_and(|end| end == "deb" || end == "rpm") {
                // One that was cut off while it was downloaded is none.
                found.extend(
                    PackageFile::open(path).ok().filter(|file| packages.iter().any(|one| is_of(file, one))),
                );
            }
        }
    }
    Ok(found)
}

fn is_of(file: &PackageFile, package: &Installed) -> bool {
    file.name() == *package.name
        && file.version() == package.version
        && (package.architecture.is_empty() || file.architecture() == *package.architecture)
}

/// What of a package is in the way, and what waits.
#[derive(Debug, Default)]
struct Seen {
    why: Vec<String>,
    later: Vec<String>,
}

fn look(file: &PackageFile) -> Result<Seen, archive::Error> {
    let name = file.name().into_owned();
    let (mut settings, mut beyond, mut modules) = (BTreeSet::new(), BTreeSet::new(), false);
    let mut units = BTreeSet::new();
    file.visit(&Limits::default(), |entry, _| -> Result<(), archive::Error> {
        let path = &entry.path;
        if entry.kind == Kind::Directory {
            return Ok(());
        }
        let top = path.iter().next().unwrap_or_default();
        match top.to_str() {
            Some("etc") => drop(settings.insert(path.clone())),
            Some("usr" | "opt" | "bin" | "sbin" | "lib" | "lib64") => {}
            _ => drop(beyond.insert(top.to_owned())),
        }
        modules |= path.starts_with("usr/lib/modules") || path.starts_with("lib/modules");
        if is_unit(path) {
            units.extend(path.file_name().map(OsStr::to_owned));
        }
        Ok(())
    })?;
    let mut seen = Seen::default();
    if let Some(first) = settings.first() {
        seen.why.push(format!("{name} has settings ({})", Path::new("/").join(first).display()));
    }
    if modules {
        seen.why.push(format!("{name} has modules of the kernel"));
    }
    if !beyond.is_empty() {
        let places: Vec<String> = beyond.iter().map(|top| format!("/{}", top.to_string_lossy())).collect();
        seen.later.push(format!("what {name} has in {}", places.join(", ")));
    }
    if !units.is_empty() {
        let units: Vec<_> = units.iter().map(|unit| unit.to_string_lossy()).collect();
        seen.later.push(format!("{name}'s {}, which nobody starts before", units.join(", ")));
    }
    if !file.scripts().is_empty() {
        seen.later.push(format!("what {name}'s scripts do"));
    }
    Ok(seen)
}

/// Whether it is a service or a timer of the system.
fn is_unit(path: &Path) -> bool {
    let is_there = ["usr/lib/systemd/system", "lib/systemd/system"]
        .iter()
        .any(|place| path.parent() == Some(Path::new(place)));
    is_there && path.extension().is_some_and(|end| end == "service" || end == "socket" || end == "timer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> Installed {
        Installed { name: name.to_owned(), version: version.to_owned(), ..Installed::default() }
    }

    fn deployment(base: &str, packages: Vec<Installed>) -> Deployment {
        let base = BaseNote { id: base.to_owned(), ..BaseNote::default() };
        let manifest = Some(Manifest { packages, ..Manifest::default() });
        let (is_next, is_pending, is_rollback, is_staged, is_pinned) = (true, false, false, false, false);
        let id = "1.0".to_owned();
        Deployment {
            id,
            base,
            manifest,
            fault: None,
            is_booted: true,
            is_next,
            is_pending,
            is_rollback,
            is_staged,
            is_pinned,
            is_of_others: false,
        }
    }

    #[test]
    fn only_what_is_new_can_come_at_once() {
        let running = deployment("b", vec![package("old", "1")]);
        let check = |packages: Vec<Installed>, without: &[&str], base: &str| {
            let without = without.iter().map(|&name| name.to_owned()).collect();
            let next = Manifest { packages, without, ..Manifest::default() };
            let base = BaseNote { id: base.to_owned(), ..BaseNote::default() };
            let (why, new) = differences(&running, &base, &next);
            (why, new.into_iter().map(|package| package.name).collect::<Vec<_>>())
        };
        let old = || package("old", "1");
        assert_eq!(check(vec![old(), package("new", "1")], &[], "b"), (Vec::new(), vec!["new".to_owned()]));
        let instead = Installed { instead_of: Some("1".to_owned()), ..package("bash", "2") };
        let (why, _) = check(vec![package("old", "2"), instead], &["nano"], "c");
        assert_eq!(
            why,
            [
                "the base is another one",
                "nano goes from the base",
                "old becomes another version",
                "bash takes the place of the base's",
            ]
        );
        assert_eq!(check(Vec::new(), &[], "b").0, ["old goes"]);
    }

    #[test]
    fn units_of_the_system_are_known() {
        for (path, is) in [
            ("usr/lib/systemd/system/a.service", true),
            ("lib/systemd/system/a.timer", true),
            ("usr/lib/systemd/user/a.service", false),
            ("usr/lib/systemd/system/a.service.d/x.conf", false),
            ("usr/bin/a.service", false),
        ] {
            assert_eq!(is_unit(Path::new(path)), is, "{path}");
        }
    }
}
