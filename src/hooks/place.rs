//! Hooks on disk: which there are, writing them, and taking them away.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags};

use super::file::{Content, is_ours, made_for, plain};
use super::manager::actions_plugin;
use super::{Error, Manager};
use crate::live;
use crate::sys::{Context, IoError, MountTable, Root, replace_public};

/// A package manager of a root, and its hook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Whose it is.
    pub manager: Manager,
    /// Its file, from the root.
    pub path: PathBuf,
    /// Whether it is there.
    pub state: State,
    /// Whether it is where the host is unlocked, and goes when that is locked.
    pub temporary: bool,
    /// Directories that were made for it.
    made: Vec<PathBuf>,
    /// Whether it can stop an installation, where that is not known of the package manager.
    stops: bool,
}

/// Whether a hook is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is not.
    Absent,
    /// It is, as this program would write it.
    Installed,
    /// It is, as another version wrote it, or for a program at another place.
    Outdated,
    /// A file that is not ours is in its place.
    Foreign,
    /// The package manager lacks what runs hooks.
    Unable(&'static str),
}

/// More than any hook's file.
const LARGEST: u64 = 64 << 10;

/// The hooks of every package manager that a root has, and those that were left of one.
pub fn find(root: &Root, program: &Path) -> Result<Vec<Hook>, Error> {
    let program = plain(program)?;
    let mounts = MountTable::read()?;
    let mut found = Vec::new();
    for manager in Manager::ALL {
        for path in manager.places(root) {
            let hook = look(root, manager, &path, program, &mounts)?;
            let is_left = !matches!(hook.state, State::Absent | State::Unable(_) | State::Foreign);
            if is_left || manager.is_there(root) {
                found.push(hook);
            }
        }
    }
    Ok(found)
}

fn look(
    root: &Root,
    manager: Manager,
    path: &Path,
    program: &str,
    mounts: &MountTable,
) -> Result<Hook, Error> {
    let found = read(root, path)?;
    let made = found.as_deref().map(|text| made_for(text, path)).unwrap_or_default();
    let stops = manager == Manager::Dnf5 && can_stop(root);
    let text = Content { manager, program, made: &made, stops }.text();
    let state = match (&found, manager.lack(root)) {
        (Some(found), _) if !is_ours(found) => State::Foreign,
        (Some(found), _) if *found == text => State::Installed,
        (Some(_), _) => State::Outdated,
        (None, Some(reason)) => State::Unable(reason),
        (None, None) => State::Absent,
    };
    let temporary = live::is_laid(mounts, &root.join(nearest(root, path)));
    Ok(Hook { manager, path: path.to_owned(), state, temporary, made, stops })
}

fn read(root: &Root, path: &Path) -> Result<Option<String>, IoError> {
    match root.read(path, LARGEST) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether libdnf5's plugin knows the option that lets an action stop a transaction. It is an error in all its settings
/// where it does not, and the plugin tells its version to nobody but actions.
fn can_stop(root: &Root) -> bool {
    const OPTION: &[u8] = b"raise_error";
    let Some(content) = actions_plugin(root).and_then(|plugin| root.read(plugin, 64 << 20).ok()) else {
        return false;
    };
    content.windows(OPTION.len()).any(|bytes| bytes == OPTION)
}

/// Writes the hooks of these package managers, or of all that can have one; all of them, or none. Gives those that were
/// written.
pub fn install(root: &Root, program: &Path, asked: &[Manager], dry_run: bool) -> Result<Vec<Hook>, Error> {
    let found = find(root, program)?;
    check_owner(root, program)?;
    for manager in asked {
        if !found.iter().any(|hook| hook.manager == *manager) {
            return Err(Error::Unable { manager: *manager, reason: "it is not installed" });
        }
    }
    let is_asked = |hook: &Hook| match hook.state {
        State::Unable(_) => asked.contains(&hook.manager),
        _ => asked.is_empty() || asked.contains(&hook.manager),
    };
    let wanted: Vec<Hook> = found.into_iter().filter(is_asked).collect();
    if wanted.is_empty() {
        return Err(Error::NoManager);
    }
    let missing: Vec<Hook> = wanted.into_iter().filter(|hook| hook.state != State::Installed).collect();
    for hook in &missing {
        match hook.state {
            State::Foreign => return Err(Error::Foreign(hook.path.clone())),
            State::Unable(reason) => return Err(Error::Unable { manager: hook.manager, reason }),
            _ => check_writable(root, hook)?,
        }
    }
    if !dry_run {
        for hook in &missing {
            write(root, program, hook)?;
        }
    }
    Ok(missing)
}

/// Whoever could put another program in its place would have the package manager run that as root. One that is not there
/// yet, in a tree that is to be an image, cannot be judged.
fn check_owner(root: &Root, program: &Path) -> Result<(), Error> {
    let Ok(resolved) = root.resolve(program) else { return Ok(()) };
    for path in program.ancestors().chain(resolved.ancestors()) {
        let stat = root.stat(path)?;
        if stat.st_uid != 0 || stat.st_mode & 0o002 != 0 {
            let reason = "others than root could put another in its place";
            return Err(Error::Program { path: program.to_owned(), reason });
        }
    }
    Ok(())
}

/// Takes the hooks of these package managers away, or of all; all of them, or none. Gives those that were there.
pub fn remove(root: &Root, program: &Path, asked: &[Manager], dry_run: bool) -> Result<Vec<Hook>, Error> {
    let is_ours = |hook: &Hook| matches!(hook.state, State::Installed | State::Outdated);
    let is_asked = |hook: &Hook| asked.is_empty() || asked.contains(&hook.manager);
    let hooks: Vec<Hook> =
        find(root, program)?.into_iter().filter(|hook| is_ours(hook) && is_asked(hook)).collect();
    for hook in &hooks {
        check_writable(root, hook)?;
    }
    if !dry_run {
        for hook in &hooks {
            take_away(root, hook)?;
        }
    }
    Ok(hooks)
}

/// Of the directories above a path the nearest that is there.
fn nearest<'a>(root: &Root, path: &'a Path) -> &'a Path {
    let above = path.ancestors().skip(1);
    above.into_iter().find(|directory| root.open_dir(directory).is_ok()).unwrap_or(Path::new("/"))
}

fn check_writable(root: &Root, hook: &Hook) -> Result<(), Error> {
    let directory = nearest(root, &hook.path);
    let opened = root.open_dir(directory)?;
    let refused = |source| Error::ReadOnly { manager: hook.manager, directory: directory.to_owned(), source };
    rustix::fs::accessat(&opened, ".", Access::WRITE_OK, AtFlags::EACCESS)
        .context("write to", opened.path())
        .map_err(refused)
}

/// Writes one hook, with the directories that it needs.
fn write(root: &Root, program: &Path, hook: &Hook) -> Result<(), Error> {
    let folder = hook.path.parent().unwrap_or(Path::new("/"));
    let there = nearest(root, &hook.path);
    let missing = folder.ancestors().take_while(|directory| *directory != there);
    let mut made: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    for directory in made.iter().rev() {
        let (Some(above), Some(name)) = (directory.parent(), directory.file_name()) else { continue };
        root.open_dir(above)?.make_dir(name, 0o755)?;
    }
    made.extend(hook.made.iter().cloned());
    let text =
        Content { manager: hook.manager, program: plain(program)?, made: &made, stops: hook.stops }.text();
    let name = hook.path.file_name().and_then(|name| name.to_str()).expect("our own names are text");
    let mode = if hook.manager == Manager::Zypper { 0o755 } else { 0o644 };
    Ok(replace_public(&root.open_dir(folder)?, name, mode, text.as_bytes())?)
}

/// Takes one hook away, with what Python made of it, and the directories that were made for it, unless others use them.
fn take_away(root: &Root, hook: &Hook) -> Result<(), Error> {
    let (Some(folder), Some(name)) = (hook.path.parent(), hook.path.file_name()) else { return Ok(()) };
    let opened = root.open_dir(folder)?;
    rustix::fs::unlinkat(&opened, name, AtFlags::empty()).context("remove", opened.join(name))?;
    if hook.manager == Manager::Dnf {
        clear_compiled(&opened)?;
    }
    for directory in &hook.made {
        // Others may have come to use it.
        let _ = remove_empty(root, directory);
    }
    Ok(())
}

/// What Python keeps of a module that it has read.
fn clear_compiled(folder: &Root) -> Result<(), IoError> {
    const CACHE: &str = "__pycache__";
    let Ok(cache) = folder.open_dir(CACHE) else { return Ok(()) };
    for entry in cache.entries()? {
        if entry.name.to_string_lossy().starts_with("onlay.cpython-") {
            rustix::fs::unlinkat(&cache, &entry.name, AtFlags::empty())
                .context("remove", cache.join(&entry.name))?;
        }
    }
    // Unless it has other modules.
    let _ = rustix::fs::unlinkat(folder, CACHE, AtFlags::REMOVEDIR);
    Ok(())
}

fn remove_empty(root: &Root, directory: &Path) -> Result<(), IoError> {
    let (Some(above), Some(name)) = (directory.parent(), directory.file_name()) else { return Ok(()) };
    let above = root.open_dir(above)?;
    rustix::fs::unlinkat(&above, name, AtFlags::REMOVEDIR).context("remove", above.join(name))
}
