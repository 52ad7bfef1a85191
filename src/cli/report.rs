//! How an error is told: what failed, why, what helps, and the exit code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::output;
use super::output::program;
use super::store::TRUSTED;
use crate::event::counted;
use crate::extension::finding::{Fault, Weight};
use crate::extension::fit::Fitness;
use crate::extension::{activate, build};
use crate::store::client;
use crate::sys::{IoError, MountError, with_causes};
use crate::{
    extension, fetch, hooks, image, live, overlay, pkgdb, resolve, shell,
    store::{self, publish},
    tool,
};

/// Could not.
pub(super) const FAILED: u8 = 1;
/// The words on the command line make no sense.
pub(super) const USAGE: u8 = 2;
/// This host cannot do that.
pub(super) const UNABLE: u8 = 3;

/// Any error of a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Shell(#[from] shell::Error),
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    #[error(transparent)]
    Io(#[from] IoError),
    #[error(transparent)]
    Packages(#[from] pkgdb::Error),
    #[error("'{}' and '{}' are of different package systems", one.display(), other.display())]
    OtherSystem { one: PathBuf, other: PathBuf },
    #[error("the directory '{}' is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("there is no header of rpm's in '{}'", .0.display())]
    NothingToImport(PathBuf),
    #[error("there is a package database already: '{}'", .0.display())]
    DatabaseExists(PathBuf),
    #[error("only root may do that")]
    NotRoot,
    #[error("'{0}' is about the running host, not about another root")]
    RunningOnly(&'static str),
    #[error("something was changed, and it was not said that it may go")]
    NotAgreed,
    #[error(transparent)]
    Live(#[from] live::Error),
    #[error(transparent)]
    Hooks(#[from] hooks::Error),
    #[error(transparent)]
    Extension(#[from] extension::Error),
    #[error(transparent)]
    Activate(#[from] activate::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error("no store can be used")]
    NoStore,
    #[error("'{name}' is pinned to {version}, and would become {newest}")]
    Pinned { name: String, version: String, newest: String },
    #[error("'{name}' {wanted} is not enabled: {enabled} is")]
    OtherEnabled { name: String, wanted: String, enabled: String },
    #[error("no store has '{0}'")]
    NotInStores(String),
    #[error("'{name}': {nothing}")]
    NotThatVersion { name: String, nothing: Box<client::Nothing> },
    #[error(transparent)]
    Publish(#[from] publish::Error),
    #[error("overlay '{0}' lives in RAM and cannot be looked into from outside")]
    InRam(overlay::OverlayName),
    #[error("{failed} of {all} overlays could not be removed")]
    Some { failed: usize, all: usize },
    #[error("{0}")]
    Words(String),
    #[error("the base has other versions of what would go into '{name}': {packages}", packages = packages.join(", "))]
    Replaces { name: String, packages: Vec<String> },
    #[error("the base has all of it already: {packages}", packages = packages.join(", "))]
    HasAll { packages: Vec<String> },
    #[error(transparent)]
    Build(#[from] build::Error),
    #[error("cannot sign with '{}': {problem}", key.display())]
    Key { key: PathBuf, problem: image::ddi::KeyProblem },
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
}

/// Prints an error with its causes and a hint, and gives its exit code.
pub(super) fn show(error: &Error) -> ExitCode {
    let reader_has_gone =
        matches!(error, Error::Output(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe);
    if reader_has_gone {
        return ExitCode::SUCCESS;
    }
    output::complain(&format!("onlay: {}", with_causes(error)));
    if let Some(hint) = hint(error) {
        output::complain(&format!("hint: {hint}"));
    }
    ExitCode::from(code(error))
}

fn code(error: &Error) -> u8 {
    match error {
        Error::Words(_)
        | Error::Publish(publish::Error::Address { .. } | publish::Error::Credentials(_))
        | Error::Shell(shell::Error::Conflict { .. } | shell::Error::TooLarge { .. }) => USAGE,
        Error::Shell(shell::Error::Command { source, .. }) => {
            shell::exec_failure_code(source.raw_os_error().unwrap_or_default())
        }
        Error::Resolve(resolve::Error::NoManager { .. })
        | Error::Shell(
            shell::Error::NoCapability
            | shell::Error::NoInit { .. }
            | shell::Error::Tool(tool::Error::Missing { .. }),
        )
        | Error::Live(live::Error::NoSystemd)
        | Error::Activate(
            activate::Error::NoSystemd
            | activate::Error::TooOld(_)
            | activate::Error::Tool(tool::Error::Missing { .. }),
        )
        | Error::Hooks(hooks::Error::NoManager | hooks::Error::Unable { .. })
        | Error::Packages(pkgdb::Error::Unsupported { .. }) => UNABLE,
        Error::Shell(shell::Error::Overlay(inner)) | Error::Overlay(inner) => overlay_code(inner),
        _ => FAILED,
    }
}

fn overlay_code(error: &overlay::Error) -> u8 {
    match error {
        overlay::Error::NoSuchPackage { .. } => USAGE,
        overlay::Error::UnsuitableState { .. }
        | overlay::Error::Mount(
            MountError::NotPermitted
            | MountError::NoOverlayfs
            | MountError::UnsuitableUpper { .. }
            | MountError::TooDeep { .. },
        )
        | overlay::Error::Packages(pkgdb::Error::Unsupported { .. }) => UNABLE,
        _ => FAILED,
    }
}

fn hint(error: &Error) -> Option<String> {
    let onlay = program();
    match error {
        Error::NotRoot | Error::Shell(shell::Error::NotRoot) => Some("try again with sudo".into()),
        Error::Shell(error) => shell_hint(error),
        Error::Overlay(error) => overlay_hint(error),
        Error::Io(error) | Error::Extension(extension::Error::Io(error)) => io_hint(error),
        Error::Store(error) | Error::Publish(publish::Error::Store(error)) => store_hint(error),
        Error::Publish(error) => publish_hint(error),
        Error::Client(error) => client_hint(error),
        Error::NotInStores(_) | Error::NotThatVersion { .. } => {
            Some(format!("'{onlay} ext search' lists what they have"))
        }
        Error::Pinned { name, newest, .. } => Some(format!(
            "'{onlay} ext unpin {name}' lets it be updated again; '{onlay} ext add {name}={newest}' makes it that, and keeps it so"
        )),
        Error::OtherEnabled { name, wanted, .. } => Some(format!(
            "'{onlay} ext enable {name}={wanted}' enables one that is here, '{onlay} ext add {name}={wanted}' brings one"
        )),
        Error::InRam(name) => Some(format!("'{onlay} shell {name}' joins it while it runs")),
        Error::Packages(error) => packages_hint(error),
        Error::NotEmpty(_) => Some("give a directory that is not there yet".into()),
        Error::NothingToImport(_) => Some(format!("give the directory that '{onlay} db export' filled")),
        Error::DatabaseExists(_) => Some("give a directory without one".into()),
        Error::NotAgreed => Some(format!(
            "'{onlay} diff --live' lists it; '{onlay} lock --save NAME' keeps it as an overlay, '{onlay} lock --discard' discards it"
        )),
        Error::Live(error) => live_hint(error),
        Error::Hooks(error) => hooks_hint(error),
        Error::Replaces { .. } => Some("--replace lets them hide the base's".into()),
        Error::Resolve(error) => resolve_hint(error),
        Error::Build(error) => build_hint(error),
        Error::Activate(error) => activate_hint(error),
        Error::Some { .. }
        | Error::NoStore
        | Error::Words(_)
        | Error::HasAll { .. }
        | Error::Key { .. }
        | Error::Image(_)
        | Error::Output(_)
        | Error::OtherSystem { .. }
        | Error::RunningOnly(_)
        | Error::Extension(_) => None,
    }
}

fn resolve_hint(error: &resolve::Error) -> Option<String> {
    match error {
        resolve::Error::NoManager { .. } => Some("give package files, by paths with a '/' in them".into()),
        resolve::Error::Shell(error) => shell_hint(error),
        resolve::Error::Io(error) => io_hint(error),
        _ => None,
    }
}

fn store_hint(error: &store::Error) -> Option<String> {
    match error {
        store::Error::None(path) => Some(format!("'{} store init {}' makes one", program(), path.display())),
        store::Error::Exists(path) => {
            Some(format!("'{} store list {}' shows what is in it", program(), path.display()))
        }
        store::Error::Lost(path) => Some(rebuild(path)),
        store::Error::Index { path, .. } => Some(rebuild(path.parent()?)),
        store::Error::Unproven { path, .. } => Some(format!(
            "put SHA256SUMS and its signature back, or index.json, from where the store is published; or, where all images there are yours, \
             '{} store rebuild --replace --key FILE {}' signs them",
            program(),
            path.display()
        )),
        store::Error::NotOurPage(_) => {
            Some("give another directory, or move it away; --force writes over what is there".into())
        }
        store::Error::Published { .. } => {
            Some("give it another version; or remove the one that is there, which clients may have".into())
        }
        store::Error::Unnamed(_) => {
            Some("rename it; or have its manifest beside it, as NAME….raw.json".into())
        }
        store::Error::KeyMissing { key } => Some(format!(
            "give it with --key, or put it where keys are, as {}; --unsigned leaves the store without signatures",
            key_directory().join(format!("{key}.key")).display()
        )),
        store::Error::KeyOfName { place, .. } => Some(format!(
            "'{0} store key show {1}' shows it; '{0} store key rotate' goes over to another; --output FILE makes one more",
            program(),
            place.display()
        )),
        store::Error::KeyIsThere(_) => Some("give another name; a key that stores are signed with is not made twice".into()),
        store::Error::NoCertificate { .. } => Some(format!(
            "--key takes the file of its certificate, too; a fingerprint is looked for in the store's key.asc, in {}, {} and {}",
            key_directory().display(),
            TRUSTED[0],
            TRUSTED[1]
        )),
        store::Error::OtherKey { keys, .. } => Some(format!(
            "without --key, {1} is used; '{0} store key rotate' goes over to another key, '{0} store sign --replace' lets it sign at once",
            program(),
            key_directory().join(format!("{}.key", keys.first()?)).display()
        )),
        store::Error::Altered { .. } => Some(format!(
            "put back what was signed; or, where all that it lists is yours, '{} store sign --replace --key FILE' signs it",
            program()
        )),
        store::Error::NotSigned => {
            Some(format!("look at what it lists; '{} store sign --key FILE' signs all of that", program()))
        }
        store::Error::NoKey => {
            Some(format!("'{} store key make NAME' makes one; --key gives it", program()))
        }
        store::Error::OnlyKey(_) => Some(format!("'{} store key rotate' gives it another one first", program())),
        store::Error::Exposed(path) => Some(format!("'chmod 600 {}' ends that", path.display())),
        store::Error::InStore(_) => Some("move it away; if others could see it, make another one".into()),
        store::Error::Over(_) => {
            Some("say with --best-before until when it is to be believed: a day, or a number of days".into())
        }
        store::Error::Key { source: store::openpgp::SignError::NotHeld, .. } => Some(
            "'gpg-connect-agent --no-autostart /bye' says whether an agent answers; $GNUPGHOME says which one".into(),
        ),
        store::Error::Key { path, source: store::openpgp::SignError::Key(store::openpgp::BadKey::Secret) } => {
            Some(format!("'{} store key show --certificate {}' gives that", program(), path.display()))
        }
        store::Error::OtherVersion { .. } => {
            Some("give it the name back that it was built with; or build it anew with --version".into())
        }
        store::Error::Io(error) => io_hint(error),
        _ => None,
    }
}

fn key_directory() -> PathBuf {
    super::store::directory().unwrap_or_default()
}

fn rebuild(store: &Path) -> String {
    format!("'{} store rebuild {}' makes its index anew of the images there", program(), store.display())
}

fn client_hint(error: &client::Error) -> Option<String> {
    use client::{Error as E, Nothing};
    let onlay = program();
    match error {
        E::NoStores(_) => {
            Some("name one there: [store.NAME], its url and its keys; onlay.toml(5) says more".into())
        }
        E::Nothing { name, nothing } => Some(match **nothing {
            Nothing::Unfit { .. } => format!(
                "'{onlay} ext info {name}' says it of all versions; --unfit adds the newest all the same"
            ),
            _ => format!("'{onlay} ext search' lists what they have"),
        }),
        E::Store { problem, .. } => of_store_hint(problem).map(str::to_owned),
        E::Activate(error) => activate_hint(error),
        E::Io(error) | E::Extension(extension::Error::Io(error)) => io_hint(error),
        _ => None,
    }
}

/// Where a store is not believed, or has not what it says.
fn of_store_hint(problem: &client::StoreError) -> Option<&'static str> {
    use client::StoreError as S;
    match problem {
        S::Signature { refusal: store::openpgp::Refusal::Stranger { .. }, .. } => Some(
            "where that is who publishes it now, compare the fingerprint by another way than the store's; \
             then put its certificate into /etc/onlay/keys, and name it in 'keys'",
        ),
        S::Unseen => Some("without --offline, it is asked"),
        S::Fetch(fetch::Error::Failed { problem, .. }) if is_another_file(problem) => Some(
            "what is there is not what was signed: whoever publishes it may be at it, or somebody has changed it; \
             try again later, and tell who publishes it if it stays so",
        ),
        S::Lie { .. } | S::Image { .. } => Some("tell who publishes it; nothing was installed"),
        S::Key { .. } => Some("put the certificate of whoever signs it into /etc/onlay/keys, as NAME.asc"),
        S::Older { .. } => Some(
            "somebody may show you an old copy of it; where it was made anew, configure it by another name",
        ),
        _ => None,
    }
}

fn is_another_file(problem: &fetch::Problem) -> bool {
    use fetch::Problem as P;
    matches!(problem, P::Digest { .. } | P::Length { .. } | P::NotThere)
}

fn publish_hint(error: &publish::Error) -> Option<String> {
    use publish::Error as E;
    let hint = match error {
        E::Address { .. } => {
            "a directory, https://…, s3://BUCKET/PREFIX and oci://REGISTRY/REPOSITORY are places"
        }
        E::Newer { .. } | E::Another(_) => {
            "publish from a copy of what is there; --force puts this store in its place"
        }
        E::NotOurPage(_) => {
            "--force puts the store's in its place; without index.html in the store, no pages are sent"
        }
        E::StalePages(_) => "'onlay store export html STORE STORE' makes them anew",
        E::NotOurs(_) => "--force puts this store in its place",
        E::ChangedMeanwhile | E::Gone(_) => "try again",
        E::Refused { status: 401 | 403, .. } => {
            "say who publishes: --header-file for a web server, AWS_… for an object store, podman-login(1) for a registry"
        }
        E::Unequal(_) => "'onlay store verify' tells what is wrong with it",
        E::Io(error) => return io_hint(error),
        _ => return None,
    };
    Some(hint.to_owned())
}

fn build_hint(error: &build::Error) -> Option<String> {
    match error {
        build::Error::NoVersion { .. } => Some("say it with --version".into()),
        build::Error::Unfit { fitness, .. } if lacks_library(fitness) => Some(
            "with 'onlay build', '-p PACKAGE' puts in the package that has what is missing; --unfit makes the image all the same".into(),
        ),
        build::Error::Unfit { .. } => Some("--unfit makes the image all the same".into()),
        build::Error::Twice { .. } => Some("--drop leaves it out of all".into()),
        _ => None,
    }
}

/// Whether a file is called as packages are.
fn is_package(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "deb" || end == "rpm")
}

/// Whether something is not found that another package has.
fn lacks_library(fitness: &Fitness) -> bool {
    let problems = fitness.findings.iter().filter(|finding| finding.weight == Weight::Problem);
    problems.map(|finding| &finding.fault).any(|fault| {
        matches!(fault, Fault::MissingLibrary { .. } | Fault::MissingInterpreter(_) | Fault::MissingRunner(_))
    })
}

fn activate_hint(error: &activate::Error) -> Option<String> {
    use activate::Error as E;
    let onlay = program();
    match error {
        E::NotRoot => Some("try again with sudo".into()),
        E::NoSuch(_) => Some(format!("'{onlay} ext list' shows those there are")),
        E::NoSuchVersion { name, version } => Some(format!(
            "'{onlay} ext list' shows those there are; '{onlay} ext add {name}={version}' brings one from a store"
        )),
        E::OtherContent { .. } => Some("build it with a version of its own".into()),
        E::NothingBefore { name, .. } => {
            Some(format!("'{onlay} ext add {name}=VERSION' brings another one from a store"))
        }
        E::NotEnabled(name) => Some(format!(
            "'{onlay} ext enable {name}' enables one that is here, '{onlay} ext add {name}' brings one"
        )),
        E::NoSystemd | E::Tool(tool::Error::Missing { program: "systemd-sysext" }) => {
            Some("it comes with systemd; on some hosts in the package 'systemd-container'".into())
        }
        E::Unlocked(_) | E::Under(_) => Some(format!(
            "'{onlay} lock' locks the host; with '--save NAME' it keeps what was changed as an overlay"
        )),
        E::Blocked { .. } => Some(
            "move it away, or mend it; whoever put it there knows what for. With --no-refresh, what is enabled is changed all the same, \
             and nothing is merged"
                .into(),
        ),
        E::Unusable { path, .. } if is_package(path) => Some(format!(
            "it is a package: '{onlay} build NAME --package {}' makes an image of it",
            output::shell_word(path)
        )),
        E::Gone { name, .. } => Some(format!(
            "'{onlay} ext add FILE' puts it there again, '{onlay} ext disable {name}' forgets it"
        )),
        E::Refused { .. } => Some(format!(
            "'{onlay} ext check' says what it knows of them; 'SYSTEMD_LOG_LEVEL=debug systemd-sysext merge' says more"
        )),
        E::Exposed { .. } => Some(
            "what runs at boot lies where only root may write: copy it to /usr/local/bin, for example".into(),
        ),
        E::ReadOnly(_) => {
            Some("what is enabled is kept in /etc; give --root a root whose /etc can be written".into())
        }
        E::Live(error) => live_hint(error),
        E::Io(error) | E::Extension(extension::Error::Io(error)) => io_hint(error),
        _ => None,
    }
}

fn shell_hint(error: &shell::Error) -> Option<String> {
    let onlay = program();
    match error {
        shell::Error::NoCapability => Some(
            "in a container, give it CAP_SYS_ADMIN; in a systemd unit, see CapabilityBoundingSet=".into(),
        ),
        shell::Error::Inside { .. } => Some("leave it first; overlays do not nest".into()),
        shell::Error::HostUnlocked => Some(format!(
            "'{onlay} lock' locks it ('--save NAME' keeps what was changed as an overlay); '{onlay} shell --temp' goes over the host as it is"
        )),
        shell::Error::OtherMode { name, .. } => {
            Some(format!("'{onlay} shell {name}' joins it as it is; or wait until it is left"))
        }
        shell::Error::Command { command, .. } if command.to_string_lossy().contains(' ') => {
            Some("the words of a command come one by one: -- ls -l; a whole line: -- sh -c 'ls -l'".into())
        }
        shell::Error::NoInit { .. } => Some("only a base with systemd can be booted".into()),
        shell::Error::Tool(tool::Error::Missing { program: "systemd-nspawn" }) => {
            Some("it comes in the package 'systemd-container'".into())
        }
        shell::Error::Overlay(error) => overlay_hint(error),
        shell::Error::Io(error) => layer_hint(error),
        _ => None,
    }
}

fn live_hint(error: &live::Error) -> Option<String> {
    let onlay = program();
    match error {
        live::Error::NotPersistent { .. } => Some(
            "what runs at boot, this program too, lies where only root may write: in /usr/local/bin, for example".into(),
        ),
        live::Error::NotRoot => Some("try again with sudo".into()),
        live::Error::Inside { .. } => Some("leave it first".into()),
        live::Error::Unlocked { .. } => Some(format!(
            "'{onlay} lock' locks it; '{onlay} status' shows more; to unlock it otherwise and keep what was changed: \
             '{onlay} lock --save NAME', then '{onlay} unlock --from NAME'"
        )),
        live::Error::Held { .. } | live::Error::Unsound { .. } => Some(format!(
            "'{onlay} unlock --resume' unlocks it as far as that can be done, with --dry-run it says what that comes to; \
             '{onlay} lock --save NAME' makes it an overlay, '{onlay} lock --discard' discards it"
        )),
        live::Error::Damaged { .. } => Some(format!(
            "'{onlay} lock --save NAME' makes what it was about an overlay, '{onlay} lock --discard' discards it"
        )),
        live::Error::Unclear { .. } => Some(format!(
            "what is to be saved is in 'layers/*/upper' of a directory there; '{onlay} lock --discard' discards all of them"
        )),
        live::Error::StillUsed { .. } => {
            Some(format!("end it, and then '{onlay} unlock --resume'; or reboot"))
        }
        live::Error::NoSystemd => Some("without --persistent, it lasts until the next boot".into()),
        live::Error::Fleeting { what: "this program", .. } => {
            Some("copy it to /usr/local/bin, or wherever it is there at boot".into())
        }
        live::Error::Broken { .. } | live::Error::BrokenOff { .. } => {
            Some(format!("'{onlay} lock' takes off what is left of it"))
        }
        live::Error::NotUnlocked => Some(format!("'{onlay} unlock' unlocks it")),
        live::Error::NoHost(_) | live::Error::NotTheHost => {
            Some("run it on the host itself, not in a container or a chroot".into())
        }
        live::Error::Exists { name } => Some(format!("give another name, or '{onlay} rm {name}' first")),
        live::Error::Behind { name } => Some(format!("'{onlay} rebase {name}' lets it follow")),
        live::Error::Covered { path, whose } if whose.contains("ostree admin unlock") => Some(format!(
            "'umount --lazy {}' takes that off, with what was changed since; a reboot does so, too",
            path.display()
        )),
        live::Error::Overlay(error) => overlay_hint(error),
        live::Error::Io(error) => io_hint(error),
        live::Error::Tool(tool::Error::Missing { program: "systemctl" }) => {
            Some("without systemd, nobody can restart them".into())
        }
        _ => None,
    }
}

fn hooks_hint(error: &hooks::Error) -> Option<String> {
    let onlay = program();
    match error {
        hooks::Error::Foreign(_) => Some("look what it is, and move it away".into()),
        hooks::Error::ReadOnly { source, .. } if source.errno() == Some(libc::EROFS) => Some(format!(
            "name the package managers whose hooks can be written, as '{onlay} hooks status' lists them; \
             '{onlay} unlock' makes it writable for a while, and the hook goes with that"
        )),
        hooks::Error::ReadOnly { .. } => Some("try again with sudo".into()),
        hooks::Error::Program { .. } => {
            Some("copy it to a place like /usr/local/bin, or give another with --program".into())
        }
        hooks::Error::Io(error) => io_hint(error),
        hooks::Error::NoManager | hooks::Error::Unable { .. } => None,
    }
}

fn overlay_hint(error: &overlay::Error) -> Option<String> {
    use overlay::Error as E;
    let onlay = program();
    match error {
        E::NotFound { .. } => Some(match shell::inside() {
            Some(name) => format!("this is inside overlay '{name}', where overlays cannot be seen"),
            None => format!("'{onlay} list' shows those there are"),
        }),
        E::InUse { name, .. } => {
            Some(format!("it is free when the last one has left; '{onlay} shell {name}' joins it"))
        }
        E::Newer { .. } => Some("use a newer onlay".into()),
        E::Damaged { name, .. } => Some(format!(
            "its files are untouched in its directory; '{onlay} rm {name}' removes it with them"
        )),
        E::Replaced { .. } => Some("try again".into()),
        E::OtherRoot { root, .. } => Some(format!("give --root {root}, or another name")),
        E::NotTemporary { name } => Some(format!("leave out --temp, or '{onlay} rm {name}' first")),
        E::UnsafeState { .. } => Some("give --state a directory that only root may write".into()),
        E::UnsuitableState { .. } | E::Mount(MountError::UnsuitableUpper { .. }) => {
            Some("give --state a directory on ext4, xfs or btrfs; or use --temp, which needs no disk".into())
        }
        E::NotADirectory { .. } => Some("name directories that the overlay has".into()),
        E::BaseChanged { .. } => Some("try again when the host's update is done".into()),
        E::NoRoom { path, needed, free, .. } => Some(format!(
            "it takes about {} on the file system of '{}', which has {} free; \
             'shell --no-rebase' enters it as it is",
            room(*needed),
            path.display(),
            room(*free),
        )),
        E::NoSuchPackage { .. } => Some(
            "a package is NAME, NAME:ARCH (dpkg) or NAME.ARCH (rpm); several have commas between them".into(),
        ),
        E::PackagesGone { .. } => {
            Some("is a file system not mounted? 'shell --no-rebase' enters the overlay as it is".into())
        }
        E::Packages(pkgdb::Error::InUse { .. }) => Some(
            "try again when the package manager is done; 'shell --no-rebase' enters the overlay as it is"
                .into(),
        ),
        E::Packages(error) => packages_hint(error)
            .or_else(|| Some("'shell --no-rebase' enters an overlay without merging packages".into())),
        E::Mount(error) => mount_hint(error),
        E::Io(error) => layer_hint(error),
    }
}

fn room(room: overlay::Room) -> String {
    let size = output::size(room.bytes);
    room.files.map_or_else(|| size.clone(), |files| format!("{size} and {}", counted(files, "file")))
}

fn packages_hint(error: &pkgdb::Error) -> Option<String> {
    match error {
        pkgdb::Error::InUse { .. } => Some("try again when the package manager is done".into()),
        pkgdb::Error::Missing { .. } => {
            Some("a database is found by the root of its system, or by its own directory or file".into())
        }
        pkgdb::Error::Io(error) => io_hint(error),
        _ => None,
    }
}

fn mount_hint(error: &MountError) -> Option<String> {
    match error {
        MountError::NotPermitted => {
            Some("in a container, give it CAP_SYS_ADMIN and no seccomp filter on mounts".into())
        }
        MountError::TooDeep { .. } => Some(
            "where extensions are merged over it, 'systemd-sysext unmerge' takes them off for a while".into(),
        ),
        MountError::NoOverlayfs => Some("'modprobe overlay' may load it".into()),
        MountError::Full { .. } => Some("free some space, give --state another place, or use --temp".into()),
        MountError::ReadOnlyUpper { .. } => Some("give --state a writable directory, or use --temp".into()),
        _ => None,
    }
}

/// Where changes of an overlay could be in RAM instead.
fn layer_hint(error: &IoError) -> Option<String> {
    match error.errno() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            Some("free some space, give --state another place, or use --temp".into())
        }
        Some(libc::EROFS) => Some("give --state a writable directory, or use --temp".into()),
        _ => io_hint(error),
    }
}

fn io_hint(error: &IoError) -> Option<String> {
    match error.errno() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            Some("free some space there, or give another place ('--state DIR', '--output DIR')".into())
        }
        Some(libc::EPERM) if ["link", "move", "remove"].contains(&error.operation) => Some(format!(
            "'lsattr' shows whether it is immutable or append-only, and 'chattr -ia {}' ends that",
            error.path.display()
        )),
        Some(libc::EROFS) => Some("give a place that can be written ('--state DIR', '--output DIR')".into()),
        _ => None,
    }
}
