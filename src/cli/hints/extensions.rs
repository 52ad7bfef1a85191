//! Of extensions and stores.

use std::path::{Path, PathBuf};

use super::overlays::live_hint;
use super::{io_hint, is_package};
use crate::cli::output::{self, program};
use crate::cli::store::{TRUSTED, directory};
use crate::extension::finding::{Fault, Weight};
use crate::extension::fit::Fitness;
use crate::extension::{activate, build};
use crate::store::{self, client, publish};
use crate::{extension, fetch, tool};

pub(super) fn store_hint(error: &store::Error) -> Option<String> {
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
    directory().unwrap_or_default()
}

fn rebuild(store: &Path) -> String {
    format!("'{} store rebuild {}' makes its index anew of the images there", program(), store.display())
}

pub(super) fn client_hint(error: &client::Error) -> Option<String> {
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
        S::Fetch(fetch::Error::Failed { problem: fetch::Problem::Proxy { status, .. }, .. }) => {
            Some(match status {
                407 | 401 => {
                    "say them in onlay.toml(5), as proxy = \"http://NAME:PASSWORD@HOST:PORT\", or in the environment"
                }
                _ => "'no_proxy' of the environment, or proxy = \"\" in onlay.toml(5), goes around it",
            })
        }
        S::Lie { .. } | S::Image { .. } => Some("tell who publishes it; nothing was installed"),
        S::Key { .. } => Some("put the certificate of whoever signs it into /etc/onlay/keys, as NAME.asc"),
        S::Older { .. } | S::OlderList { .. } => Some(
            "somebody may show you an old copy of it; where it was made anew, configure it by another name",
        ),
        _ => None,
    }
}

fn is_another_file(problem: &fetch::Problem) -> bool {
    use fetch::Problem as P;
    matches!(problem, P::Digest { .. } | P::Length { .. } | P::NotThere)
}

pub(super) fn publish_hint(error: &publish::Error) -> Option<String> {
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
        E::TooLarge { .. } => {
            "a web server (https://…) or a registry (oci://…) may take it; nothing was sent"
        }
        E::Unequal(_) => "'onlay store verify' tells what is wrong with it",
        E::Io(error) => return io_hint(error),
        _ => return None,
    };
    Some(hint.to_owned())
}

pub(super) fn build_hint(error: &build::Error) -> Option<String> {
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

/// Whether something is not found that another package has.
fn lacks_library(fitness: &Fitness) -> bool {
    let problems = fitness.findings.iter().filter(|finding| finding.weight == Weight::Problem);
    problems.map(|finding| &finding.fault).any(|fault| {
        matches!(fault, Fault::MissingLibrary { .. } | Fault::MissingInterpreter(_) | Fault::MissingRunner(_))
    })
}

pub(super) fn activate_hint(error: &activate::Error) -> Option<String> {
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
