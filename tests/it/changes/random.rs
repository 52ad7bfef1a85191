//! Random work in a real overlay, whose changes must lead from its lower to what it shows.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags};

use super::mounted::{Overlay, Tmpfs, scratch_or_skip};
use super::tree::{odd_name, read_tree, verify};
use super::{lines, read};

/// How many seeds each set of options is tried with; ONLAY_TEST_SEEDS=FIRST-END tries others.
const SEEDS: std::ops::Range<u64> = 0..12;
const OPERATIONS: usize = 300;

const PLAIN: &str = "index=off,redirect_dir=off,metacopy=off,xino=off";

#[test]
fn plain() {
    run(PLAIN, false);
}

#[test]
fn index() {
    run("index=on,redirect_dir=off,metacopy=off", false);
}

#[test]
fn redirect_dir() {
    run("index=off,redirect_dir=on,metacopy=off", false);
}

#[test]
fn metacopy() {
    run("index=off,redirect_dir=on,metacopy=on", false);
}

#[test]
fn everything() {
    run("index=on,redirect_dir=on,metacopy=on,xino=on", false);
}

#[test]
fn volatile() {
    run("volatile,index=off,redirect_dir=off,metacopy=off,xino=on", false);
}

#[test]
fn userxattr() {
    run("userxattr", false);
}

#[test]
fn upper_on_another_file_system() {
    run(PLAIN, true);
}

fn run(options: &str, on_tmpfs: bool) {
    let Some(scratch) = scratch_or_skip() else { return };
    for seed in seeds(SEEDS) {
        let dir = scratch.path().join(seed.to_string());
        let _tmpfs = on_tmpfs.then(|| Tmpfs::mount(&dir));
        let mut overlay = Overlay::new(&dir, options).expect("directories can be made");
        if on_tmpfs {
            overlay.lower = scratch.path().join(format!("lower{seed}"));
            fs::create_dir(&overlay.lower).expect("a directory can be made");
        }
        if let Err(complaint) = try_seed(&mut overlay, seed, options.contains("userxattr")) {
            panic!("{options}, seed {seed}: {complaint}");
        }
    }
}

/// Those that are asked for, or else the usual ones.
pub(crate) fn seeds(usual: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(wanted) = std::env::var("ONLAY_TEST_SEEDS") else { return usual };
    let (first, end) = wanted.split_once('-').expect("ONLAY_TEST_SEEDS is FIRST-END");
    let parse = |text: &str| text.parse().expect("a seed is a number");
    parse(first)..parse(end)
}

fn try_seed(overlay: &mut Overlay, seed: u64, userxattr: bool) -> Result<(), String> {
    // With an index, a change under one name shows under all names that the file had in the lower,
    // also under those that the upper does not mention: see `index_shows_more_than_the_upper_says`.
    let links = !overlay.options().contains("index=on");
    let mut worker = Worker::new(seed, &overlay.lower);
    worker.links = links;
    worker.furnish();
    let base = read_tree(&overlay.lower);
    overlay.mount().map_err(|error| error.to_string())?;
    worker.root.clone_from(&overlay.merged);
    (worker.done, worker.links) = (0, true);
    for step in 0..OPERATIONS {
        worker.work();
        if step == OPERATIONS / 3 || step == OPERATIONS * 2 / 3 {
            overlay.unmount();
            overlay.mount().map_err(|error| error.to_string())?;
        }
    }
    if worker.done < OPERATIONS / 2 {
        return Err(format!("only {} of {OPERATIONS} operations worked", worker.done));
    }
    let merged = read_tree(&overlay.merged);
    let changes = read(overlay, "/", userxattr);
    overlay.unmount();
    if read_tree(&overlay.lower) != base {
        return Err("the lower has changed".to_owned());
    }
    if read(overlay, "/", userxattr) != changes {
        return Err("a second reading gives another list".to_owned());
    }
    verify(&base, &merged, &changes).map_err(|complaint| format!("{complaint}\n{:#?}", lines(&changes)))
}

/// Somebody who does things at random.
pub(crate) struct Worker {
    rng: Rng,
    /// Where.
    pub(crate) root: PathBuf,
    /// Whether hard links may be made.
    links: bool,
    /// Whether only what OSTree takes may be made: no devices and pipes, and names in UTF-8.
    pub(crate) for_ostree: bool,
    /// How many of them worked.
    pub(crate) done: usize,
}

impl Worker {
    pub(crate) fn new(seed: u64, root: &Path) -> Worker {
        Worker { rng: Rng::with_seed(seed), root: root.to_owned(), links: true, for_ostree: false, done: 0 }
    }

    /// Makes a first tree, with some age.
    pub(crate) fn furnish(&mut self) {
        for _ in 0..30 {
            let _ = self.make_dir();
        }
        for _ in 0..150 {
            let _ = match self.rng.u8(..12) {
                0 => self.make_link(),
                1 => self.make_fifo(),
                2 => self.make_device(),
                3 => self.hard_link(),
                4 => self.make_dir(),
                _ => self.make_file(),
            };
        }
        for _ in 0..40 {
            let _ = match self.rng.u8(..3) {
                0 => self.change_mode(),
                1 => self.change_owner(),
                _ => self.set_xattr(),
            };
        }
        for path in self.paths() {
            let _ = set_modified(&path, self.rng.u64(1_000_000_000..1_100_000_000));
        }
    }

    pub(crate) fn work(&mut self) {
        // What destroys much is rare, or little would be left to look at.
        let result = match self.rng.u8(..100) {
            0..=7 => self.make_file(),
            8..=11 => self.make_dir(),
            12..=14 => self.overwrite(),
            15..=17 => self.append(),
            18..=20 => self.truncate(),
            21..=24 => self.change_mode(),
            25..=27 => self.change_owner(),
            28..=30 => self.touch(),
            31..=35 => self.set_xattr(),
            36..=38 => self.remove_xattr(),
            39..=41 => self.hard_link(),
            42..=45 => self.pick(FileKind::Other).and_then(fs::remove_file),
            46..=52 => self.rename(),
            53..=60 => self.move_file(),
            61..=64 => self.move_dir(),
            65 => self.rename_over(),
            66..=67 => self.exchange(),
            68..=70 => self.away_and_back(),
            71..=73 => self.pick(FileKind::Directory).and_then(fs::remove_dir),
            74 => self.pick(FileKind::Directory).and_then(fs::remove_dir_all),
            75 => self.dir_to_file(),
            76..=78 => self.file_to_dir(),
            79..=80 => self.make_link(),
            81 => self.make_fifo(),
            82 => self.make_device(),
            83..=86 => self.open_for_writing(),
            87..=89 => self.make_again(),
            90..=91 => self.replace_file(),
            _ => self.rename_and_change(),
        };
        self.done += usize::from(result.is_ok());
    }

    fn paths(&self) -> Vec<PathBuf> {
        let mut found = vec![self.root.clone()];
        let mut next = 0;
        while let Some(path) = found.get(next).cloned() {
            next += 1;
            if path.symlink_metadata().is_ok_and(|status| status.is_dir()) {
                let mut inside: Vec<PathBuf> = fs::read_dir(&path)
                    .expect("a directory can be read")
                    .map(|entry| entry.expect("an entry can be read").path())
                    .collect();
                // The order of a directory differs from one file system to the next.
                inside.sort();
                found.extend(inside);
            }
        }
        found
    }

    fn pick(&mut self, kind: FileKind) -> io::Result<PathBuf> {
        let mut paths = self.paths();
        paths.retain(|path| match (kind, path.symlink_metadata()) {
            (FileKind::Any, Ok(_)) => true,
            (FileKind::Directory, Ok(status)) => status.is_dir() && *path != self.root,
            (FileKind::Regular, Ok(status)) => status.is_file(),
            (FileKind::Other, Ok(status)) => !status.is_dir(),
            (_, Err(_)) => false,
        });
        if paths.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(paths.swap_remove(self.rng.usize(..paths.len())))
    }

    fn new_path(&mut self) -> PathBuf {
        let name = match self.rng.u8(..16) {
            0 if self.for_ostree => OsString::from("\u{fc}mlaut"),
            0 => odd_name(),
            1 => OsString::from("a b"),
            n => OsString::from(char::from(b'a' + n).to_string()),
        };
        let parent = match self.pick(FileKind::Directory) {
            // Not too deep, so that names meet.
            Ok(path)
                if path.components().count() < self.root.components().count() + 4 && self.rng.u8(..4) > 0 =>
            {
                path
            }
            _ => self.root.clone(),
        };
        parent.join(name)
    }

    fn content(&mut self) -> Vec<u8> {
        let length = match self.rng.u8(..10) {
            0 => 0,
            1 => 200_000,
            2 => self.rng.usize(4096..20_000),
            _ => self.rng.usize(1..40),
        };
        let byte = self.rng.u8(b'a'..=b'c');
        vec![byte; length]
    }

    fn make_file(&mut self) -> io::Result<()> {
        let path = self.new_path();
        let content = self.content();
        OpenOptions::new().write(true).create_new(true).open(path)?.write_all(&content)
    }

    fn make_dir(&mut self) -> io::Result<()> {
        fs::create_dir(self.new_path())
    }

    fn make_link(&mut self) -> io::Result<()> {
        let target = self.rng.choice(["../a", "/", "nothing", "d/e"]).unwrap_or("a");
        symlink(target, self.new_path())
    }

    fn make_fifo(&mut self) -> io::Result<()> {
        if self.for_ostree {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(rustix::fs::mknodat(CWD, self.new_path(), FileType::Fifo, Mode::RUSR, 0)?)
    }

    fn make_device(&mut self) -> io::Result<()> {
        if self.for_ostree {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let minor = self.rng.u32(3..6);
        let device = rustix::fs::makedev(1, minor);
        Ok(rustix::fs::mknodat(CWD, self.new_path(), FileType::CharacterDevice, Mode::RUSR, device)?)
    }

    /// Other content of the same length, with the same time: only reading it shows the difference.
    fn overwrite(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Regular)?;
        let modified = path.metadata()?.modified()?;
        let mut content = fs::read(&path)?;
        if let Some(byte) = content.last_mut() {
            *byte ^= self.rng.u8(0..2);
        }
        let file = OpenOptions::new().write(true).open(&path)?;
        (&file).write_all(&content)?;
        file.set_times(FileTimes::new().set_modified(modified))
    }

    fn append(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Regular)?;
        OpenOptions::new().append(true).open(path)?.write_all(b"more")
    }

    fn truncate(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Regular)?;
        let length = self.rng.u64(..30);
        OpenOptions::new().write(true).open(path)?.set_len(length)
    }

    fn open_for_writing(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Regular)?;
        OpenOptions::new().read(true).write(true).open(path).map(drop)
    }

    fn change_mode(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Any)?;
        if path.is_symlink() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mode = self.rng.choice([0o755, 0o644, 0o700, 0o4755, 0o1777]).unwrap_or(0o600);
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    fn change_owner(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Any)?;
        std::os::unix::fs::lchown(path, Some(self.rng.u32(0..3)), Some(self.rng.u32(0..3)))
    }

    fn touch(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Any)?;
        set_modified(&path, self.rng.u64(1_200_000_000..1_300_000_000))
    }

    fn set_xattr(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Any)?;
        let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let value = [b'a' + self.rng.u8(0..2)];
        let (name, value): (&str, &[u8]) = match self.rng.u8(..6) {
            0 | 1 => ("user.one", &value),
            2 => ("security.capability", capability),
            3 => ("trusted.two", &value),
            // In an overlay these are escaped, or somebody else's; in a lower, they would not be plain content.
            4 if self.root.ends_with("merged") && !self.for_ostree => ("trusted.overlay.opaque", b"y"),
            _ if self.root.ends_with("merged") => ("user.overlay.opaque", b"y"),
            _ => ("user.three", &value),
        };
        Ok(rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())?)
    }

    fn remove_xattr(&mut self) -> io::Result<()> {
        let names =
            ["user.one", "security.capability", "trusted.two", "trusted.overlay.opaque", "user.three"];
        let name = self.rng.choice(names).unwrap_or("user.one");
        let mut paths = self.paths();
        paths.retain(|path| rustix::fs::lgetxattr(path, name, &mut [0; 64][..]).is_ok());
        if paths.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(rustix::fs::lremovexattr(&paths[self.rng.usize(..paths.len())], name)?)
    }

    fn hard_link(&mut self) -> io::Result<()> {
        if !self.links {
            return Err(io::ErrorKind::Unsupported.into());
        }
        fs::hard_link(self.pick(FileKind::Other)?, self.new_path())
    }

    fn rename(&mut self) -> io::Result<()> {
        fs::rename(self.pick(FileKind::Any)?, self.new_path())
    }

    fn move_file(&mut self) -> io::Result<()> {
        fs::rename(self.pick(FileKind::Other)?, self.new_path())
    }

    fn move_dir(&mut self) -> io::Result<()> {
        fs::rename(self.pick(FileKind::Directory)?, self.new_path())
    }

    /// As editors and package managers write a file.
    fn replace_file(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Regular)?;
        let aside = path.with_extension("new");
        fs::write(&aside, self.content())?;
        fs::rename(aside, path)
    }

    fn rename_and_change(&mut self) -> io::Result<()> {
        let (from, to) = (self.pick(FileKind::Any)?, self.new_path());
        fs::rename(&from, &to)?;
        match self.rng.u8(..4) {
            0 => std::os::unix::fs::lchown(to, Some(7), None),
            1 if to.is_file() => OpenOptions::new().append(true).open(to)?.write_all(b"more"),
            2 => self.make_file(),
            _ => Ok(()),
        }
    }

    fn rename_over(&mut self) -> io::Result<()> {
        let kind = if self.rng.bool() { FileKind::Directory } else { FileKind::Other };
        let (from, to) = (self.pick(kind)?, self.pick(kind)?);
        if kind == FileKind::Directory && !from.starts_with(&to) && !to.starts_with(&from) {
            fs::remove_dir_all(&to)?;
            fs::create_dir(&to)?;
        }
        fs::rename(from, to)
    }

    fn exchange(&mut self) -> io::Result<()> {
        let (one, other) = (self.pick(FileKind::Any)?, self.pick(FileKind::Any)?);
        Ok(rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
    }

    /// Moves something away, and back at once or after something else was there.
    fn away_and_back(&mut self) -> io::Result<()> {
        let (path, away) = (self.pick(FileKind::Any)?, self.new_path());
        fs::rename(&path, &away)?;
        if self.rng.bool() {
            fs::create_dir(&path)?;
            fs::remove_dir(&path)?;
        }
        if self.rng.u8(..4) > 0 {
            fs::rename(&away, &path)?;
        }
        Ok(())
    }

    fn dir_to_file(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Directory)?;
        fs::remove_dir_all(&path)?;
        fs::write(path, "was a directory")
    }

    fn file_to_dir(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Other)?;
        fs::remove_file(&path)?;
        fs::create_dir(&path)?;
        fs::write(path.join("b"), "in what was a file")
    }

    /// Moves some of a directory out, and the rest away with it; then makes it anew and moves some back.
    fn make_again(&mut self) -> io::Result<()> {
        let path = self.pick(FileKind::Directory)?;
        let mode = path.metadata()?.permissions();
        let names: Vec<OsString> =
            fs::read_dir(&path)?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        let kept = self.new_path();
        let moved = names
            .first()
            .is_some_and(|name| !kept.starts_with(&path) && fs::rename(path.join(name), &kept).is_ok());
        let away = self.new_path();
        if self.rng.bool() || away.starts_with(&path) || fs::rename(&path, &away).is_err() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path)?;
        fs::set_permissions(&path, mode)?;
        for name in &names {
            match self.rng.u8(..4) {
                0 => fs::create_dir(path.join(name))?,
                1 => drop(File::create(path.join(name))?),
                2 if away.join(name).exists() => drop(fs::rename(away.join(name), path.join(name))),
                _ => {}
            }
        }
        if moved && self.rng.bool() {
            let name = names.first().map_or_else(odd_name, Clone::clone);
            let _ = fs::rename(kept, path.join(name));
        }
        Ok(())
    }
}

/// What to pick among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Any,
    Regular,
    Directory,
    /// Anything but a directory.
    Other,
}

fn set_modified(path: &Path, seconds: u64) -> io::Result<()> {
    let status = path.symlink_metadata()?;
    if !status.is_file() && !status.is_dir() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path)?.set_times(FileTimes::new().set_modified(time))
}
