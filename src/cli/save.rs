//! `onlay save`, and `onlay build --from`: what an overlay changes, or the unlocked host, as an extension; or its packages as layers.

mod layer;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::arguments::Place;
use super::build::{Making, Report, make, show, source_date_epoch};
use super::db;
use super::ext;
use super::image_options::Options;
use super::output;
use super::report::Error;
use super::unlock::{refuse_other_root, unlocked};
use crate::event::counted;
use crate::extension::build::{
    self, Base, Changes, ExtensionName, InvalidName, Recipe, Seen, Source, Untaken, Weight,
};
use crate::extension::{with_base, with_stackable};
use crate::host::Host;
use crate::live::{self, Record};
use crate::overlay::changes::Change;
use crate::overlay::{
    self, Overlay, OverlayName, Overlays, Packages, Standing, diff, diff_itself, leave_out_copies,
    packages_of_view, standing, view_alone,
};
use crate::sys::{Root, with_causes};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The overlay [default: default]
    name: Option<OverlayName>,
    /// What was changed on the host since it was unlocked, instead of an overlay
    #[arg(long, conflicts_with = "name")]
    live: bool,
    /// The extension's name
    #[arg(long, value_name = "NAME", required_unless_present = "layer")]
    ext: Option<String>,
    /// Ask for the overlay's packages in the host's next boot, instead of making an extension
    #[arg(long, conflicts_with_all = [
        "ext", "live", "add", "output", "version", "matching", "drop", "keep", "replace", "reload", "restart",
        "selinux", "compression", "format", "key", "certificate", "unfit",
    ])]
    layer: bool,
    #[command(flatten)]
    layers: layer::Layering,
    /// Add it to this host, as 'onlay ext add' does: it is merged now and at boot
    #[arg(long, conflicts_with_all = ["live", "dry_run"])]
    add: bool,
    #[command(flatten)]
    options: Options,
}

/// What `--json` says of changes.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    /// Whose they are.
    from: String,
    /// What goes in: where it is, and where it is in the image.
    taken: Vec<[PathText; 2]>,
    /// What does not.
    left: Vec<Left>,
    /// Users and groups that are made where the extension is.
    users: Vec<String>,
    /// Packages of the base that were removed, and are there all the same.
    removed_packages: Vec<String>,
}

/// What does not go in for one reason.
#[derive(Debug, Serialize)]
struct Left {
    why: &'static str,
    weight: Weight,
    paths: Vec<PathText>,
}

/// A path, with what is no text in it escaped.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct PathText(String);

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    let overlay = arguments.name.clone().unwrap_or_else(|| "default".parse().expect("a good name"));
    let Some(name) = arguments.ext.as_ref().filter(|_| !arguments.layer) else {
        let Options { dry_run, json, .. } = arguments.options;
        return layer::save(place, &overlay, &arguments.layers, (dry_run, json));
    };
    let name: ExtensionName = name.parse().map_err(|error: InvalidName| Error::Words(error.to_string()))?;
    let recipe = arguments.options.over(Recipe::default());
    recipe.check().map_err(Error::Words)?;
    let report = if arguments.live {
        of_live(place, &arguments.options, &name, &recipe)?
    } else {
        of_overlay(place, &arguments.options, &name, &recipe, &overlay)?
    };
    if arguments.options.json {
        output::print_json(&report)?;
    }
    match &report.image {
        Some(image) if arguments.add => return ext::add(place, image),
        Some(image) if !arguments.options.json => tell_next(place, image, arguments.live),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person does next.
fn tell_next(place: &Place, image: &Path, is_live: bool) {
    if is_live {
        let (onlay, image) = (output::program(), output::path(image));
        output::say(&format!(
            "onlay: to have it there instead of what is unlocked: '{onlay} lock --discard', then '{onlay} ext add {image}'"
        ));
    } else if place.root == Path::new("/") {
        tell_add(&[image]);
    }
}

/// How images come to this host.
pub(super) fn tell_add(images: &[&Path]) {
    let words: Vec<String> = images.iter().map(|image| output::shell_word(image)).collect();
    let it = if images.len() == 1 { "it" } else { "them" };
    if !images.is_empty() {
        let (onlay, words) = (output::program(), words.join(" "));
        output::say(&format!("onlay: to have {it} on this host: '{onlay} ext add {words}'"));
    }
}

/// Makes an extension of what an overlay changes.
pub(super) fn of_overlay(
    place: &Place,
    options: &Options,
    name: &ExtensionName,
    recipe: &Recipe,
    overlay: &OverlayName,
) -> Result<Report, Error> {
    over_base(place, overlay, |overlay, base, shown| {
        save_over(place, options, (name, recipe), overlay, base, shown)
    })
}

/// Looks at an overlay that is level with its base, beside a base without extensions, and with what the overlay changes of that with those
/// that are merged, where any are.
fn over_base<T: Send>(
    place: &Place,
    name: &OverlayName,
    look: impl FnOnce(&Overlay, &Host, Option<&[Change]>) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    // Where the host is unlocked, an overlay still lies over what is below that.
    match unlocked(place) {
        Some(record) => live::below(&record, || over_host(place, name, look))?,
        None => over_host(place, name, look),
    }
}

fn over_host<T: Send>(
    place: &Place,
    name: &OverlayName,
    look: impl FnOnce(&Overlay, &Host, Option<&[Change]>) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let not_found = || overlay::Error::NotFound { name: name.clone() };
    let overlay = Overlays::open(&place.state)?.ok_or_else(not_found)?.get(name)?;
    let host = Host::open(&place.root)?;
    with_stackable(&host, |host| {
        if !matches!(standing(&overlay, host, &host.base())?, Standing::Level | Standing::Touched) {
            return Err(live::Error::Behind { name: overlay.name.clone() }.into());
        }
        // Of what is merged nothing is in it, and what it is looked at beside is the base below.
        let shown = if host.merged_extensions().is_empty() { None } else { Some(diff(&overlay, host)?) };
        with_base(host, |bare| look(&overlay, bare, shown.as_deref()))?
    })?
}

/// What an overlay changes of a base without extensions.
fn changes_of(overlay: &Overlay, base: &Host, shown: Option<&[Change]>) -> Result<Vec<Change>, Error> {
    Ok(if shown.is_some() { diff_itself(overlay, base, shown)? } else { diff(overlay, base)? })
}

/// Makes an extension of what an overlay changes of a base without extensions; `shown` is what it changes of that with those that are
/// merged, where any are.
fn save_over(
    place: &Place,
    options: &Options,
    (name, recipe): (&ExtensionName, &Recipe),
    overlay: &Overlay,
    base: &Host,
    shown: Option<&[Change]>,
) -> Result<Report, Error> {
    let output = Root::open(&options.output)?;
    let what = format!("overlay '{}'", overlay.name);
    view_alone(overlay, base, &place.state, |view, host| {
        let changes = changes_of(overlay, host, shown)?;
        let packages = match packages_of_view(view, host, &changes) {
            Err(error) => {
                output::say(&format!("onlay: packages are not told: {}", with_causes(&error)));
                None
            }
            Ok(Some(mut packages)) if shown.is_some() => {
                leave_out_copies(&mut packages, overlay)?;
                Some(packages)
            }
            Ok(packages) => packages,
        };
        let found = Found { what, view, host, changes: &changes, packages: packages.as_ref() };
        build_from(options, name, recipe, found, output)
    })?
}

/// Makes an extension of what was changed on the unlocked host.
fn of_live(place: &Place, options: &Options, name: &ExtensionName, recipe: &Recipe) -> Result<Report, Error> {
    refuse_other_root(place, "save --live")?;
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let record = Record::read()?.ok_or(live::Error::NotUnlocked)?;
    let output = Root::open(&options.output)?;
    live::with_changes(&record, |view, host, changes| {
        let live::Changes { files, packages, .. } = changes;
        let what = "what is unlocked".to_owned();
        let found = Found { what, view, host, changes: &files, packages: packages.as_ref() };
        build_from(options, name, recipe, found, output)
    })?
}

/// What there is to build from.
struct Found<'a> {
    what: String,
    view: &'a Root,
    host: &'a Host,
    changes: &'a [Change],
    packages: Option<&'a Packages>,
}

fn build_from(
    options: &Options,
    name: &ExtensionName,
    recipe: &Recipe,
    found: Found<'_>,
    output: Root,
) -> Result<Report, Error> {
    let Found { what, view, host, changes, packages } = found;
    if changes.is_empty() {
        return Err(build::Error::Unchanged { what, name: name.to_string() }.into());
    }
    for (count, whose) in
        packages.map(|found| found.unreadable).unwrap_or_default().into_iter().zip(["the host", &what])
    {
        db::tell_unreadable(count, whose);
    }
    let seen = Seen { name: what, view, base: &host.root, changes, packages, recipe };
    let changes = Changes::of(&seen)?;
    if !options.replace && !changes.replaced().is_empty() {
        return Err(Error::Replaces { name: name.to_string(), packages: changes.replaced().to_vec() });
    }
    let report = Told::of(&changes);
    let (packages, told) = (changes.packages().to_vec(), changes.untaken().keys().map(|why| why.words()));
    let told = told.collect();
    let words = if options.dry_run { plan(&changes) } else { in_words(&changes) };
    let sources = vec![Source::Changes(Box::new(changes))];
    if options.dry_run {
        if !options.json {
            output::print(&words)?;
        }
        let version = Some(build::version(name, recipe, None, &sources)?);
        if !options.json {
            output::print(&format!("would build '{name}' {}\n", version.as_deref().unwrap_or_default()))?;
        }
        let (name, changes) = (name.to_string(), Some(report));
        return Ok(Report { name, version, packages, changes, ..Report::default() });
    }
    if !options.json {
        output::say_lines(&words);
    }
    let (base, time) = (Base::of(host)?, source_date_epoch()?);
    let making = Making { name, recipe, base: &base, output, time, sources, told };
    let done = show(options, make(options, making)?)?;
    Ok(Report { changes: Some(report), ..done })
}

impl Told {
    fn of(changes: &Changes) -> Told {
        let left = changes.untaken().iter().map(|(why, paths)| Left {
            why: why.words(),
            weight: why.weight(),
            paths: paths.iter().map(|path| PathText(named(*why, path))).collect(),
        });
        Told {
            from: changes.name().to_owned(),
            taken: changes
                .taken()
                .map(|(path, to)| [path, &to].map(|path| PathText(absolute(path))))
                .collect(),
            left: left.collect(),
            users: changes.users().map(|name| output::path(Path::new(name))).collect(),
            removed_packages: changes.removed_packages().to_vec(),
        }
    }
}

/// Everything, line by line: what would go where.
fn plan(changes: &Changes) -> String {
    let row = |word: &str, place: String, note: &str| vec![word.to_owned(), place, note.to_owned()];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for package in changes.packages() {
        rows.push(row("package", output::visible(&package.name), &output::visible(&package.version)));
    }
    rows.extend(changes.users().map(|name| row("user", output::path(Path::new(name)), "made by sysusers.d")));
    for (path, to) in changes.taken() {
        let note = if path == to { String::new() } else { format!("-> {}", absolute(&to)) };
        rows.push(row("in", absolute(path), &note));
    }
    for (why, paths) in changes.untaken() {
        rows.extend(paths.iter().map(|path| row("not in", named(*why, path), why.words())));
    }
    let removed = changes.removed_packages().iter();
    rows.extend(
        removed
            .map(|name| row("not in", output::visible(name), "a package that is removed: the base's stays")),
    );
    output::table(&rows)
}

/// What a person should know of an overlay's changes, before they are built.
fn in_words(changes: &Changes) -> String {
    let mut text = String::new();
    for (why, paths) in changes.untaken().iter().filter(|(why, _)| why.weight() != Weight::NoLoss) {
        let _ = writeln!(text, "onlay: not in it: {}: {}", why.words(), few(*why, paths));
    }
    if !changes.removed_packages().is_empty() {
        let names = changes.removed_packages().iter().map(PathBuf::from).collect::<Vec<_>>();
        let _ = writeln!(
            text,
            "onlay: not in it: removed packages of the base: {}",
            few(Untaken::Account, &names)
        );
    }
    let no_loss = changes.untaken().iter().filter(|(why, _)| why.weight() == Weight::NoLoss);
    let count: usize = no_loss.map(|(_, paths)| paths.len()).sum();
    if count > 0 {
        let count = counted(count as u64, "file");
        let _ = writeln!(
            text,
            "onlay: {count} of package managers, caches and logs are not in it, which nobody misses"
        );
    }
    let users: Vec<PathBuf> = changes.users().map(PathBuf::from).collect();
    if !users.is_empty() {
        let _ = writeln!(
            text,
            "onlay: users and groups are made by sysusers.d: {}",
            few(Untaken::Account, &users)
        );
    }
    let moved: Vec<PathBuf> = changes
        .taken()
        .filter(|(path, to)| path.starts_with("etc") && !to.starts_with("usr/share/factory"))
        .map(|(path, _)| path.to_owned())
        .collect();
    if !moved.is_empty() {
        let words = few(Untaken::Edited, &moved);
        let _ = writeln!(text, "onlay: what belongs to units is below /usr/lib/systemd in it: {words}");
    }
    let straight: Vec<PathBuf> = changes.straightened().map(Path::to_owned).collect();
    if !straight.is_empty() {
        let words = few(Untaken::Edited, &straight);
        let _ = writeln!(text, "onlay: links of alternatives lead straight to what was chosen: {words}");
    }
    text
}

/// The first of several.
fn few(why: Untaken, paths: &[PathBuf]) -> String {
    const FEW: usize = 4;
    let mut text = paths.iter().take(FEW).map(|path| named(why, path)).collect::<Vec<_>>().join(", ");
    if paths.len() > FEW {
        let _ = write!(text, " and {} more", paths.len() - FEW);
    }
    text
}

/// A path, or the name of a user.
fn named(why: Untaken, path: &Path) -> String {
    match why {
        Untaken::Account | Untaken::Person => output::path(path),
        _ => absolute(path),
    }
}

fn absolute(path: &Path) -> String {
    output::path(&Path::new("/").join(path))
}
