//! Of overlays, the unlocked host and layers.

use std::path::Path;

use super::extensions::{activate_hint, build_hint};
use super::{io_hint, layer_hint, mount_hint, packages_hint};
use crate::cli::output::{program, size};
use crate::event::counted;
use crate::sys::MountError;
use crate::{hooks, layer, live, overlay, pkgdb, shell, tool};

pub(super) fn shell_hint(error: &shell::Error) -> Option<String> {
    let onlay = program();
    match error {
        shell::Error::NoCapability => Some(
            "in a container, give it CAP_SYS_ADMIN; in a systemd unit, see CapabilityBoundingSet=".into(),
        ),
        shell::Error::Unnamed { path } => Some(taken_off(path)),
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

pub(super) fn live_hint(error: &live::Error) -> Option<String> {
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
        live::Error::Covered { path, whose } if whose.contains("ostree admin unlock") => Some(taken_off(path)),
        live::Error::Overlay(error) => overlay_hint(error),
        live::Error::Io(error) => io_hint(error),
        live::Error::Tool(tool::Error::Missing { program: "systemctl" }) => {
            Some("without systemd, nobody can restart them".into())
        }
        _ => None,
    }
}

fn taken_off(path: &Path) -> String {
    format!(
        "'umount --lazy {}' takes that off, with what was changed since; a reboot does so, too",
        path.display()
    )
}

pub(super) fn hooks_hint(error: &hooks::Error) -> Option<String> {
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

pub(super) fn overlay_hint(error: &overlay::Error) -> Option<String> {
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
    let size = size(room.bytes);
    room.files.map_or_else(|| size.clone(), |files| format!("{size} and {}", counted(files, "file")))
}

pub(super) fn layers_hint(error: &layer::Error) -> Option<String> {
    use layer::Error as E;
    let onlay = program();
    match error {
        E::Busy { .. } => Some("wait until it is done".into()),
        E::NoManager | E::NoBackend { .. } | E::Ostree(layer::ostree::Error::Demanding { .. }) => Some(format!(
            "'{onlay} shell' tries packages on any host, and '{onlay} ext' keeps them as extensions"
        )),
        E::OfImage { .. } => Some(format!(
            "'{onlay} layer add PACKAGE >Containerfile' writes one, 'podman build --tag localhost/host .' makes the image, 'bootc switch \
             --transport containers-storage localhost/host' boots it next; at once, '{onlay} shell' tries packages, and '{onlay} ext' \
             keeps them as extensions"
        )),
        E::NotNow { .. } => Some("without --apply-now, it comes with the next boot".into()),
        E::Build(error) => build_hint(error),
        E::Activate(error) => activate_hint(error),
        E::LayersOfOthers => Some(format!("'{onlay} layer import' takes over what was asked for there")),
        E::Barred { .. } => {
            Some("'--package-file FILE' gives the file of one, '--without NAME' goes on without one".into())
        }
        E::NothingTried { name } => Some(format!("'{onlay} diff {name}' lists what it changes")),
        E::Blocked { is_upgrade: false, .. } => {
            Some("nothing was changed; the rest can be had without ('--without NAME' of 'save --layer' and 'layer import')".into())
        }
        E::Blocked { blocked, .. } => {
            let drops: Vec<String> = blocked.iter().map(|(name, _)| format!(" --drop {name}")).collect();
            Some(format!("'{onlay} layer upgrade{}' goes on without", drops.concat()))
        }
        E::Removes { packages } => Some(format!(
            "'{onlay} layer override remove {}' takes out what is in the way",
            packages.join(" ")
        )),
        E::Kernels { kernels } if kernels.len() > 1 => Some(format!(
            "'{onlay} layer override remove PACKAGE --add PACKAGE' puts one in the place of the base's"
        )),
        E::Kernels { .. } => Some(format!(
            "'{onlay} layer override reset PACKAGE --remove PACKAGE' has the base's again in the same step"
        )),
        E::EncryptedBoot { .. } => Some(WITH_KERNEL.into()),
        E::FilesGone { .. } => Some(format!(
            "give them again, as before: '{onlay} layer add FILE', '{onlay} layer override replace FILE'"
        )),
        E::NotRequested { of_base, .. } if !of_base.is_empty() => Some(format!(
            "'{onlay} layer override remove {}' takes packages of the base out",
            of_base.join(" ")
        )),
        E::NotRequested { unknown, needed, .. } => {
            let more = if needed.is_empty() && !unknown.is_empty() { "; --if-needed goes on without it" } else { "" };
            Some(format!("'{onlay} layer list' shows what was asked for{more}"))
        }
        E::Refused { words, reason, .. }
            if [words, reason].iter().any(|said| said.contains("No space left on device")) =>
        {
            Some("nothing was changed; packages are put in below the state directory (--state), whose disk is full".into())
        }
        E::Refused { is_install: true, .. } => {
            Some("nothing was changed; what its scripts need may not be there without network".into())
        }
        E::TooSlow { .. } => Some("nothing was changed; --timeout gives them longer".into()),
        E::Snapper(error) => snapshots_hint(error),
        E::Shell(error) => shell_hint(error),
        E::Io(error) => io_hint(error),
        _ => deployments_hint(error),
    }
}

fn deployments_hint(error: &layer::Error) -> Option<String> {
    use layer::Error as E;
    let onlay = program();
    match error {
        E::LeftBehind { .. } => Some(format!(
            "'{onlay} layer upgrade' puts them on it, '{onlay} layer rollback' goes back to what runs, '{onlay} layer remove --all' goes on \
             without them"
        )),
        E::NotKnown { .. } => Some(format!(
            "'{onlay} layer rollback DEPLOYMENT' boots another one next; the version of Onlay that made it knows it"
        )),
        E::Ostree(layer::ostree::Error::Moved { .. }) => {
            Some("nothing was changed; try again when others are done".into())
        }
        E::OlderBase { .. } => Some(format!(
            "nothing was changed; until it leads to a newer one, '{onlay} layer add' and 'remove' go on with the base that is there"
        )),
        E::Ostree(layer::ostree::Error::NoRoom { needed, free, reserved, .. }) => Some(format!(
            "nothing was changed; it takes {}, and {} is free besides {} that is to stay so (min-free-space in the repository's config); \
             '{onlay} layer cleanup --rollback' removes what was booted before",
            size(*needed),
            size(*free),
            size(*reserved)
        )),
        E::Ostree(layer::ostree::Error::Tool(_)) | E::Tool(_) => Some(format!(
            "'{onlay} layer status' shows what is booted next, which is as it was where that is not in it"
        )),
        E::NoDeployment { .. } | E::Ambiguous { .. } => Some(format!("'{onlay} layer status' lists them")),
        _ => None,
    }
}

/// Who brings a kernel where we do not.
const WITH_KERNEL: &str = "nothing was changed; 'transactional-update dup' and its like bring a kernel, and what is layered goes along";

fn snapshots_hint(error: &layer::snapper::Error) -> Option<String> {
    use layer::snapper::Error as E;
    let onlay = program();
    match error {
        E::Kernel { .. } => Some(WITH_KERNEL.into()),
        E::List { .. } | E::Unlisted { .. } => {
            Some("nothing was changed; what is booted next has its own list, as it was".into())
        }
        E::Moved { .. } | E::Busy { .. } => {
            Some("nothing was changed; try again when others are done".into())
        }
        E::OfOthers { number } => Some(format!("'snapper delete {number}' removes it")),
        E::NoDefault | E::Writable { .. } | E::EtcOverlay | E::VarInside => Some(format!(
            "'{onlay} shell' tries packages on any host, and '{onlay} ext' keeps them as extensions"
        )),
        E::Io(error) if matches!(error.errno(), Some(libc::ENOSPC | libc::EDQUOT)) => {
            Some("nothing was changed; 'snapper delete NUMBER' removes a snapshot that nobody needs".into())
        }
        E::Io(error) => io_hint(error),
        E::Labels(_) | E::Mount(_) | E::Tool(_) => None,
    }
}
