//! Which package files make a request true on a base: the base's own package manager is asked, by its own rules and
//! repositories, and downloads them and checks their signatures. It runs in an overlay in RAM, so that neither the base nor
//! its lists of packages change, whatever it does; and it may not remove what the base has.

mod apt;
mod dnf;
mod scratch;
pub(crate) mod zypper;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::event::Events;
use crate::host::{Host, PackageSystem};
use crate::overlay::Mode;
use crate::shell::{self, SHARED};
use crate::sys::{Forked, IoError, Root, exit_now, fork, replace_file, wait, with_causes};
use scratch::Scratch;

/// What is wanted on a base.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Packages, in the words that the base's package manager takes: names, `NAME=VERSION` (apt), files.
    pub packages: Vec<String>,
    /// Who is asked, where that is not to be the one that [`Manager::of`] finds.
    pub manager: Option<Manager>,
    /// Take packages, too, that are only recommended.
    pub recommends: bool,
    /// The root of the base.
    pub root: PathBuf,
    /// Where Onlay keeps its state: the files are below it while they are needed.
    pub state: PathBuf,
}

/// The package files that the base lacks. They go with this.
#[derive(Debug)]
pub struct Resolved {
    /// Who was asked.
    pub manager: Manager,
    /// The files, by path; none where the base has all that was asked for.
    pub files: Vec<PathBuf>,
    _scratch: Scratch,
}

/// A package manager that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Manager {
    /// apt-get(8).
    Apt,
    /// dnf 4 (dnf(8)).
    Dnf,
    /// dnf 5 (dnf5(8)).
    Dnf5,
    /// zypper(8).
    Zypper,
}

/// Why there are no package files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no package manager in the base.
    #[error("there is no apt, dnf or zypper in '{}' that could be asked for packages", root.display())]
    NoManager {
        /// The base.
        root: PathBuf,
    },
    /// What is no name of a package would be an option or several words.
    #[error("'{name}' is no name of a package")]
    BadName {
        /// The word.
        name: String,
    },
    /// The package manager finds no way, or could not download.
    #[error("{manager} cannot do that: {words}")]
    Refused {
        /// Who.
        manager: Manager,
        /// What it said.
        words: String,
    },
    /// It could only be done by removing what the base has.
    #[error("{manager} would remove packages of the base: {packages}", packages = packages.join(", "))]
    Removes {
        /// Who.
        manager: Manager,
        /// What would go.
        packages: Vec<String>,
    },
    /// The overlay could not be entered.
    #[error("cannot ask the base's package manager: {words}")]
    NotEntered {
        /// Why.
        words: String,
    },
    /// It makes no sense to enter it.
    #[error(transparent)]
    Shell(#[from] shell::Error),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl Manager {
    /// The one that a base's packages are installed with; of several, the one that looks after its database of automatic
    /// installations: zypper where it is there, since no distribution brings it beside another.
    pub fn of(host: &Host) -> Option<Manager> {
        let has = |program: &str| host.root.exists(Path::new("usr/bin").join(program));
        let candidates: &[(Manager, &str)] = match host.package_system()? {
            PackageSystem { kind: "dpkg", .. } => &[(Manager::Apt, "apt-get")],
            PackageSystem { kind: "rpm", .. } => {
                &[(Manager::Zypper, "zypper"), (Manager::Dnf5, "dnf5"), (Manager::Dnf, "dnf")]
            }
            _ => &[],
        };
        candidates.iter().find(|(_, program)| has(program)).map(|&(manager, _)| manager)
    }

    /// The name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Manager::Apt => "apt-get",
            Manager::Dnf => "dnf",
            Manager::Dnf5 => "dnf5",
            Manager::Zypper => "zypper",
        }
    }

    /// How the names of its package files end.
    pub fn suffix(self) -> &'static str {
        if self == Manager::Apt { "deb" } else { "rpm" }
    }

    /// A shell script that leaves the package files below [`SHARED`], what it says in `words` there and its plan in `plan`.
    /// Its arguments are the packages.
    fn script(self, recommends: bool) -> String {
        match self {
            Manager::Apt => apt::script(recommends),
            Manager::Dnf => dnf::script_4(recommends),
            Manager::Dnf5 => dnf::script_5(recommends),
            Manager::Zypper => zypper::script(recommends),
        }
    }

    /// The packages that its plan removes.
    fn removed(self, plan: &str) -> Vec<String> {
        match self {
            Manager::Apt => apt::removed(plan),
            Manager::Dnf => Vec::new(),
            Manager::Dnf5 => dnf::removed(plan),
            Manager::Zypper => zypper::removed(plan),
        }
    }

    /// What a failed run said that a person should read: of its words, and of the plan that it printed.
    pub fn reason(self, words: &str, plan: &str) -> String {
        match self {
            Manager::Apt => apt::reason(words, plan),
            Manager::Dnf | Manager::Dnf5 => dnf::reason(words),
            Manager::Zypper => zypper::reason(plan),
        }
    }
}

/// How apt, dnf and zypper begin, in English, to say that files could not be downloaded.
const OF_DOWNLOADS: &[&str] = &[
    "Failed to fetch",
    "Unable to fetch some archives",
    "Some index files failed to download",
    "Failed to download",
    "Cannot download",
    "Curl error",
    "Download (curl) error",
    "Could not resolve host",
    "No more mirrors to try",
];

/// Whether a package manager says that files could not be downloaded.
pub fn is_of_downloads(words: &str) -> bool {
    OF_DOWNLOADS.iter().any(|begin| words.contains(begin))
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Asks the base's package manager for what is wanted, and downloads what the base lacks of it.
pub fn resolve(wanted: &Wanted, events: &mut dyn Events) -> Result<Resolved, Error> {
    if let Some(name) = wanted.packages.iter().find(|name| !is_name(name)) {
        return Err(Error::BadName { name: name.clone() });
    }
    let host = Host::open(&wanted.root)?;
    let manager = wanted
        .manager
        .or_else(|| Manager::of(&host))
        .ok_or_else(|| Error::NoManager { root: wanted.root.clone() })?;
    let scratch = Scratch::make(&wanted.state, events)?;
    let ended = run(wanted, manager, &scratch)?;
    let text = |name: &str| match scratch.dir().read(name, LIMIT) {
        Err(error) if error.is_not_found() => Ok(String::new()),
        bytes => bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    let failure = text(FAILURE)?;
    if !failure.is_empty() {
        return Err(Error::NotEntered { words: failure });
    }
    let (words, plan) = (text("words")?, text("plan")?);
    let removed = manager.removed(&plan);
    if !removed.is_empty() {
        return Err(Error::Removes { manager, packages: removed });
    }
    if ended != 0 {
        let words = match manager.reason(&words, &plan) {
            nothing if nothing.is_empty() => format!("it ended with {ended}"),
            words => words,
        };
        return Err(Error::Refused { manager, words });
    }
    Ok(Resolved { manager, files: files(scratch.dir())?, _scratch: scratch })
}

/// The file in which it is said why the overlay could not be entered.
const FAILURE: &str = "failure";

/// How much of a package manager's words is read, in bytes.
const LIMIT: u64 = 16 << 20;

/// Whether a word can be the name of a package. Options would be taken for such, a minus at the end for a wish to remove, and a word
/// with a space or a quote in it is none that a package manager knows.
pub fn is_name(word: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\'' | '"' | '`' | '$' | '\\');
    !word.is_empty() && !word.starts_with('-') && !word.ends_with('-') && !word.contains(is_odd)
}

/// Runs the script in an overlay in RAM; its exit code.
fn run(wanted: &Wanted, manager: Manager, scratch: &Scratch) -> Result<u8, Error> {
    let script = ["/bin/sh", "-c", &manager.script(wanted.recommends), "sh"].map(OsString::from);
    let packages = wanted.packages.iter().map(OsString::from);
    let request = shell::Request {
        name: None,
        temporary: true,
        size: None,
        private_home: true,
        // What it leaves running, an agent for keys perhaps, ends with it.
        mode: Mode::Isolated,
        private_network: false,
        no_rebase: false,
        unguarded: false,
        shared: Some(scratch.dir().path().to_owned()),
        command: script.into_iter().chain(packages).collect(),
        state: wanted.state.clone(),
        root: wanted.root.clone(),
    };
    let plan = shell::plan(request)?;
    // In a process of its own: who was in an isolated overlay stays in some of its namespaces.
    match fork()? {
        Forked::Child => {
            let code = match shell::enter(plan, &mut ()) {
                Ok(outcome) => outcome.ended.shell_code(),
                Err(error) => {
                    // Told by what it was to find there.
                    let _ = replace_file(scratch.dir(), FAILURE, with_causes(&error).as_bytes());
                    1
                }
            };
            exit_now(code)
        }
        Forked::Parent(child) => Ok(wait(child)?.shell_code()),
    }
}

/// All package files below a directory, by path.
fn files(dir: &Root) -> Result<Vec<PathBuf>, IoError> {
    let mut found = Vec::new();
    let mut ahead = vec![dir.try_clone()?];
    while let Some(dir) = ahead.pop() {
        for entry in dir.entries()? {
            let path = dir.join(&entry.name);
            if dir.is_dir(&entry.name)? {
                ahead.push(dir.open_child(&entry.name)?);
            } else if path.extension().is_some_and(|extension| extension == "deb" || extension == "rpm") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The first lines of a script: where it works, and that its words are in the language that is read here.
fn preamble() -> String {
    format!("cd {SHARED} || exit\nexport LC_ALL=C\nexec </dev/null 2>words\n")
}

/// The lines that match, without what marks them, as one sentence.
fn lines_after<'a>(text: &'a str, marks: &[&str]) -> Vec<&'a str> {
    let after = |line: &'a str| marks.iter().find_map(|mark| line.trim().strip_prefix(mark)).map(str::trim);
    text.lines().filter_map(after).filter(|line| !line.is_empty()).collect()
}

/// The last lines that were said, where none is marked as an error.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}
