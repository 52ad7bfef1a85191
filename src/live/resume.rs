//! Laying again at boot what is kept, over the same base or over another one that it then follows; and taking it off at
//! shutdown.
//!
//! Another base is followed as a named overlay does it ([`Rebase`]): the layers are changed wholly or not at all, in one
//! exchange, before anything is mounted. Where that cannot be done, or would leave something behind that somebody must
//! mend, all is held back: nothing is laid, nothing is lost, and it is said why.

use std::ffi::OsStr;
use std::path::Path;

use super::boot;
use super::holders::Marks;
use super::kept;
use super::lock::{take_off, uncover};
use super::namespace::{go_to_host, in_workshop};
use super::places;
use super::record::Live;
use super::unlock::{check_caller, clear, lay, put_all_together};
use super::{Changes, Error, Record, traces};
use crate::host::{Base, Host};
use crate::overlay::{
    Of, Overlay, Rebase, Standing, When, Wishes, clear_draft, diff, forget_pending, note_base_of,
    packages_of_view, pending, run_directory, standing,
};
use crate::sys::{
    MountFlags, MountTable, Pid, Root, Tree, attach, clone_tree, detach_path, new_filesystem, with_causes,
};
use crate::tool::cache_makers;
use crate::tool::systemctl::Systemctl;

/// What was laid again.
#[derive(Debug)]
pub struct Resumed {
    /// What is unlocked now.
    pub record: Record,
    /// Why the base was followed, and what a person should know of that; nothing where it is as it was.
    pub followed: Vec<String>,
    /// Processes in whose mount namespaces it is not seen.
    pub unreached: Vec<Pid>,
}

/// When something is laid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// While the host boots, when nobody can be asked: another base is followed only where nothing breaks by it.
    Boot,
    /// When somebody wants it.
    Asked,
}

/// Lays again what is kept in a state directory; `None` where nothing is, or it is laid already.
pub fn resume(state: &Path, moment: Moment) -> Result<Option<Resumed>, Error> {
    check_caller()?;
    let live = Live::open()?;
    if let Some(record) = live.record()? {
        if record.is_whole(&MountTable::read()?) {
            return Ok(None);
        }
        if !record.persistent {
            return Err(Error::Unlocked { since: record.since, by: record.by });
        }
        // Somebody who laid it was killed.
        live.write_former(&Marks::of(&record.places, &MountTable::read()?))?;
        take_off(&record)?;
        live.forget()?;
    }
    let resumed = kept::read(state)
        .and_then(|kept| kept.map(|record| resume_kept(&live, state, &record, moment)).transpose());
    if let Err(error) = &resumed {
        live.hold_back(&with_causes(error))?;
    }
    resumed
}

fn resume_kept(live: &Live, state: &Path, record: &Record, moment: Moment) -> Result<Resumed, Error> {
    refuse_survivors(live)?;
    let host = Host::open(Path::new("/"))?;
    places::refuse_covered_again(&host, &record.places)?;
    let layers = record.overlay()?;
    clear_draft(&layers.dir)?;
    let mut followed = Vec::new();
    let mut now = Record { base: host.base(), ..record.clone() };
    if let Some(why) = reason_to_follow(&layers, &host, &now.base)? {
        let lines;
        (now.base, lines) = follow(record, moment)?;
        followed = [vec![why], lines].concat();
    }
    if now == *record {
        // What a power cut kept the last shutdown from noting.
        let _ = in_workshop(|| Ok(note_base_of(&now.overlay()?, &Host::open(Path::new("/"))?)?));
    } else {
        kept::write(state, &now)?;
    }
    let unreached = lay_again(&host, &now, live)?;
    boot::take_off_at_shutdown(&host, state);
    match moment {
        Moment::Boot => start_what_is_new(),
        // Where it cannot be told, it is laid all the same.
        Moment::Asked => drop(boot::tell_of_resumption()),
    }
    Ok(Resumed { record: now, followed, unreached })
}

/// What layers that nobody lays have to follow, in words: another base, or files of the same one that were edited while the
/// layers did not cover them.
fn reason_to_follow(layers: &Overlay, host: &Host, base: &Base) -> Result<Option<String>, Error> {
    Ok(match standing(layers, host, base)? {
        Standing::Level | Standing::Touched => None,
        Standing::Edited(paths) => Some(match &paths[..] {
            [path] => format!("the base was edited since it was unlocked: {}", path.display()),
            paths => format!("the base was edited since it was unlocked: {} and others", paths[0].display()),
        }),
        Standing::Behind => Some("the base has changed since it was unlocked".to_owned()),
    })
}

/// Lays it, or nothing; what is kept stays.
fn lay_again(host: &Host, record: &Record, live: &Live) -> Result<Vec<Pid>, Error> {
    live.write(record)?;
    match lay(host, record, live, None) {
        Ok(unreached) => {
            live.forget_hold()?;
            let layers = Root::open(record.directory())?;
            cache_makers::run(&pending(&layers)?);
            forget_pending(&layers)?;
            Ok(unreached)
        }
        Err(error) => {
            // It may have come up in a namespace that could not be left.
            if go_to_host().and_then(|()| take_off(record)).is_ok() {
                live.forget()?;
            }
            Err(error)
        }
    }
}

/// Units that only what was laid brings: systemd has not seen them when it decided what to start.
fn start_what_is_new() {
    // Where it cannot be told, services of the base are started, which is what they were without us.
    let _ = Systemctl::find().and_then(|systemctl| systemctl.take_in_new_units());
}

/// Lets the layers follow the base that the host has now. Gives that, and what a person should know.
fn follow(record: &Record, moment: Moment) -> Result<(Base, Vec<String>), Error> {
    let rebase = plan(record)?;
    let breaks = rebase.breaks();
    if moment == Moment::Boot && !breaks.is_empty() {
        return Err(Error::Unsound { breaks });
    }
    in_workshop(|| Ok(rebase.apply(&record.overlay()?, &Host::open(Path::new("/"))?)?))?;
    Ok((rebase.base().clone(), rebase.lines(When::Done, Of::Host)))
}

/// What following the base that the host has now comes to.
fn plan(record: &Record) -> Result<Rebase, Error> {
    with_view(record, |layers, host, view| Ok(Rebase::plan(layers, host, view, &Wishes::default())?))
}

/// What laying again what is kept in a state directory would come to, in words; nothing where the base is as it was.
pub fn preview(state: &Path) -> Result<Vec<String>, Error> {
    let (_live, record) = open_held(state)?;
    let host = Host::open(Path::new("/"))?;
    let Some(why) = reason_to_follow(&record.overlay()?, &host, &host.base())? else { return Ok(Vec::new()) };
    Ok([vec![why], plan(&record)?.lines(When::Planned, Of::Host)].concat())
}

/// What the layers that are held back change of the host as it is.
pub fn changes_held(state: &Path) -> Result<Changes, Error> {
    let (_live, record) = open_held(state)?;
    with_view(&record, |layers, host, view| {
        let files = diff(layers, host)?;
        let packages = packages_of_view(view, host, &files)?;
        let is_behind = reason_to_follow(layers, host, &host.base())?.is_some();
        Ok(Changes { files, packages, is_behind })
    })
}

/// What is held back in a state directory, which nobody lays meanwhile.
fn open_held(state: &Path) -> Result<(Live, Record), Error> {
    check_caller()?;
    let live = Live::open()?;
    if let Some(record) = live.record()? {
        return Err(Error::Unlocked { since: record.since, by: record.by });
    }
    let record = kept::read(state)?.ok_or(Error::NotUnlocked)?;
    refuse_survivors(&live)?;
    Ok((live, record))
}

fn refuse_survivors(live: &Live) -> Result<(), Error> {
    match live.survivors().into_iter().next() {
        Some(holder) => Err(Error::StillUsed { pid: holder.pid, command: holder.command }),
        None => Ok(()),
    }
}

/// Reads layers, the host that they are over, and the whole as it is seen with them on it, while nobody lays them. They
/// are mounted by nobody after that.
fn with_view<T>(
    record: &Record,
    read: impl FnOnce(&Overlay, &Host, &Root) -> Result<T, Error>,
) -> Result<T, Error> {
    let host = Host::open(Path::new("/"))?;
    let trees = put_all_together(&host, record, &Root::open(record.directory())?, None)?;
    in_workshop(|| {
        let view = View::put_together(record, trees)?;
        let done = read(&record.overlay()?, &Host::open(Path::new("/"))?, &view.root);
        view.take_down()?;
        done
    })
}

/// The whole host as it is seen with the layers on it, in a mount namespace of our own.
struct View {
    root: Root,
    place: Root,
}

const VIEW: &str = "view";

impl View {
    fn put_together(record: &Record, trees: Vec<Tree>) -> Result<View, Error> {
        let whole = clone_tree(Root::open("/")?, Path::new("/"), true)?;
        let place = run_directory()?;
        let ram = new_filesystem("tmpfs", &[("mode", "0700")], MountFlags::default())?;
        attach(&ram, &place, place.path())?;
        let ram = Root::from_fd(ram.into_fd(), place.path());
        ram.make_dir(VIEW, 0o700)?;
        attach(&whole, ram.open_child(OsStr::new(VIEW))?, Path::new("/"))?;
        let root = Root::from_fd(whole.into_fd(), "live:/");
        for (point, tree) in record.places.iter().zip(trees) {
            attach(&tree, root.open_exact(point)?, point)?;
        }
        Ok(View { root, place })
    }

    fn take_down(self) -> Result<(), Error> {
        let View { root, place } = self;
        drop(root);
        detach_path(&place.path().join(VIEW))?;
        Ok(detach_path(place.path())?)
    }
}

/// Takes off what is laid, since the host goes down: for good, or until the next boot where it is kept. Nothing to do is
/// as good as done. What packages that go have left in /var is noted in the state directory.
pub fn suspend(state: &Path) -> Result<(), Error> {
    check_caller()?;
    let live = Live::open()?;
    boot::off_duty()?;
    let Some(record) = live.record()? else { return Ok(()) };
    if record.persistent {
        // Who boots another base then must know what this one had. Where it cannot be noted, following asks more.
        let _ = in_workshop(|| {
            let layers = record.overlay()?;
            uncover(&record.places)?;
            Ok(note_base_of(&layers, &Host::open(Path::new("/"))?)?)
        });
        // Over a soft-reboot, processes may live that want to.
        live.write_former(&Marks::of(&record.places, &MountTable::read()?))?;
    }
    let traces = if record.persistent { None } else { traces(&record).ok() };
    take_off(&record)?;
    live.forget()?;
    if record.persistent {
        live.hold_back("it was taken off, as the host went down")?;
    } else {
        clear(&record)?;
        kept::note_left(state, &traces.map(|traces| traces.left()).unwrap_or_default())?;
    }
    Ok(())
}
