//! What there is of extensions on a root, and which of them fit its base and each other. Only reads, but for the verdicts that
//! are kept for the next time.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::enabled::Enabled;
use super::images::open_to_read;
use super::judge::{Ours, Subject, judge};
use super::others::{Others, Stranger, Trouble, others};
use super::record::{Active, HeldBack, Record, Stamp};
use super::verdicts::{Unfit, Verdicts};
use super::witness::Witness;
use super::{Actions, Error, Images, enabled, identity, sound};
use crate::extension::matching::HostFacts;
use crate::extension::{Contents, Directory, ImageFiles, SystemdVersion, with_base};
use crate::host::Host;
use crate::overlay::RUN;
use crate::sys::{Context, with_causes};

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// By whose rules; `None` where no systemd is installed, and the newest rules were taken.
    pub systemd: Option<SystemdVersion>,
    /// What is enabled and fits, in the order of names.
    pub fit: Vec<Active>,
    /// What is enabled and does not, in the order of names.
    pub held: Vec<HeldBack>,
    /// What others have put where systemd looks, and is merged beside ours.
    pub strangers: Vec<Stranger>,
    /// What of that keeps systemd from merging anything.
    pub troubles: Vec<Trouble>,
}

impl Survey {
    /// Refuses where somebody else's extension keeps systemd from merging anything, and cannot be masked.
    pub(super) fn refuse_blocked(&self) -> Result<(), Error> {
        let Some(trouble) = self.troubles.iter().find(|trouble| !trouble.can_be_masked) else {
            return Ok(());
        };
        let (path, why) = (Path::new("/").join(&trouble.path), trouble.why.clone());
        Err(Error::Blocked { path, why })
    }
}

/// An image that is not in the folder yet, as if it were there and enabled.
#[derive(Debug)]
pub(super) struct New<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// Where it will be.
    pub(super) path: PathBuf,
    pub(super) file: &'a File,
}

/// Looks at what a root has enabled. `state` is where images are.
pub fn survey(host: &Host, state: &Path) -> Result<Survey, Error> {
    survey_with(host, state, &[], &[])
}

/// The same with new images, each in place of what is enabled by its name, and without what some names stand for.
pub(super) fn survey_with(
    host: &Host,
    state: &Path,
    news: &[New<'_>],
    gone: &[&str],
) -> Result<Survey, Error> {
    with_base(host, |base| {
        let base_contents = Directory::new(base.root.try_clone()?);
        let systemd = SystemdVersion::of(&base_contents)?;
        let facts = HostFacts::read(base, &base_contents, Some(systemd.unwrap_or(SystemdVersion::LAST)))?;
        let images = Images::open(state)?;
        let verdicts = images.as_ref().map(|images| Verdicts::read(images, &base.root)).transpose()?;
        let verdicts = verdicts.unwrap_or_default();
        let mut surveyor =
            Surveyor { host: base, systemd, facts, state, verdicts, found: Vec::new(), held: Vec::new() };
        surveyor.look_at_enabled(news, gone)?;
        let survey = surveyor.judge()?;
        if let Some(images) = &images {
            surveyor.verdicts.write(images);
        }
        Ok(survey)
    })?
}

/// Whether an entry where systemd looks is ours: a link to an image of a state directory or to what is generated, or a mask.
pub(super) fn is_ours(host: &Host, state: &Path, masked: &[String], path: &Path) -> bool {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
    if parent != Path::new("run/extensions") {
        return false;
    }
    if masked.iter().any(|masked| name == &**masked) {
        return true;
    }
    let target = host.root.open_dir(parent).and_then(|directory| directory.read_link(name));
    target.is_ok_and(|target| {
        [state, Path::new(RUN)].into_iter().any(|ours| Path::new(&target).starts_with(ours))
    })
}

/// One image that can be used.
struct Found {
    active: Active,
    since: (i64, i64),
    contents: ImageFiles,
}

struct Surveyor<'a> {
    host: &'a Host,
    systemd: Option<SystemdVersion>,
    facts: HostFacts,
    state: &'a Path,
    verdicts: Verdicts,
    found: Vec<Found>,
    held: Vec<HeldBack>,
}

impl Surveyor<'_> {
    fn look_at_enabled(&mut self, news: &[New<'_>], gone: &[&str]) -> Result<(), Error> {
        for link in enabled(&self.host.root)? {
            if news.iter().any(|new| new.name == link.name) || gone.contains(&&*link.name) {
                continue;
            }
            let place = Images::place(self.state);
            let looked = match open_to_read(&link.image) {
                // Nobody judges before it is there, and links to it would be nobody's.
                _ if link.image.parent() != Some(&place) && !link.until_reboot => {
                    Err(format!("its image is not in {}: 'onlay ext add' puts it there", place.display()))
                }
                Ok(file) => self.look_at(&link, &file, link.version())?,
                Err(error) if error.is_not_found() => {
                    Err("its image is gone: 'onlay ext update' fetches it, if a store has it".to_owned())
                }
                Err(error) => Err(with_causes(&error)),
            };
            self.keep(&link, looked);
        }
        for new in news {
            let (name, image) = (new.name.to_owned(), new.path.clone());
            let link = Enabled { name, image, since: (i64::MAX, 0), until_reboot: false };
            let looked = self.look_at(&link, new.file, new.version.to_owned())?;
            self.keep(&link, looked);
        }
        self.found.sort_by(|one, other| one.active.name.cmp(&other.active.name));
        Ok(())
    }

    fn keep(&mut self, link: &Enabled, looked: Result<Found, String>) {
        match looked {
            Ok(found) => self.found.push(found),
            Err(why) => {
                self.held.push(HeldBack::unfit(&link.name, &link.image, why));
            }
        }
    }

    /// Opens one image; gives why it cannot be used.
    fn look_at(
        &mut self,
        link: &Enabled,
        file: &File,
        version: String,
    ) -> Result<Result<Found, String>, Error> {
        let path = &link.image;
        let stamp = Stamp::of(&file.metadata().context("examine", path)?);
        if !self.verdicts.is_sound(path, &stamp) {
            if let Some(flaw) = sound::flaw(file, path, &self.host.root) {
                return Ok(Err(flaw));
            }
            self.verdicts.note_sound(path, stamp);
        }
        let look = || -> Result<Result<Found, String>, crate::extension::Error> {
            let contents = ImageFiles::of(file, path)?;
            let merged_as = match identity::merged_as(&contents, path) {
                Ok(name) => name,
                Err(why) => return Ok(Err(why.to_owned())),
            };
            let actions = Actions::of(&contents, &merged_as)?;
            let (name, path) = (link.name.clone(), path.clone());
            let active = Active { name, version, merged_as, path, stamp, actions };
            Ok(Ok(Found { active, since: link.since, contents }))
        };
        Ok(look().unwrap_or_else(|error| Err(with_causes(&error))))
    }

    fn judge(&mut self) -> Result<Survey, Error> {
        let masked = if self.host.is_running { Record::read()?.masked } else { Vec::new() };
        let is_ours = |path: &Path| is_ours(self.host, self.state, &masked, path);
        let Others { strangers, troubles } = others(self.host, &self.facts, &is_ours)?;
        self.hold_doubles(&strangers);
        let found = std::mem::take(&mut self.found);
        let names: Vec<&Stranger> = strangers.iter().map(|(stranger, _)| stranger).collect();
        let key = Verdicts::key(
            self.host,
            &self.facts,
            &found.iter().map(|one| &one.active).collect::<Vec<_>>(),
            &names,
        );
        let unfit = match self.verdicts.unfit(&key, &self.host.root) {
            Some(known) => known,
            None => self.judge_anew(key, &found, &strangers)?,
        };
        let mut fit = Vec::new();
        for Found { active, .. } in found {
            match unfit.get(&active.path) {
                Some(why) => {
                    self.held.push(HeldBack::unfit(&active.name, &active.path, why.clone()));
                }
                None => fit.push(active),
            }
        }
        self.held.sort_by(|one, other| one.name.cmp(&other.name));
        let systemd = self.systemd;
        let strangers = strangers.into_iter().map(|(stranger, _)| stranger).collect();
        Ok(Survey { systemd, fit, held: std::mem::take(&mut self.held), strangers, troubles })
    }

    fn judge_anew(
        &mut self,
        key: String,
        found: &[Found],
        strangers: &[(Stranger, Option<Box<dyn Contents>>)],
    ) -> Result<Unfit, Error> {
        let witness = Witness::of(&self.host.root)?;
        let unfit = judge(&self.facts, &witness, subjects(found, strangers))?;
        let unfit = unfit.into_iter().map(|(index, why)| (found[index].active.path.clone(), why)).collect();
        self.verdicts.note_unfit(key, &unfit, witness.seen());
        Ok(unfit)
    }

    /// Of several that would be merged by one name, or are one extension, none of ours may be beside another.
    fn hold_doubles(&mut self, strangers: &[(Stranger, Option<Box<dyn Contents>>)]) {
        let mut kept: Vec<Found> = Vec::new();
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|one| one.since);
        for one in found {
            let active = &one.active;
            let same = |stranger: &&(Stranger, _)| {
                let stranger = &stranger.0;
                [&active.name, &active.merged_as].into_iter().any(|name| *name == stranger.extension)
                    || stranger.name == active.merged_as
            };
            let why = match strangers.iter().find(same) {
                Some((stranger, _)) => Some(format!(
                    "somebody else has put '{}' there, which is the same extension",
                    Path::new("/").join(&stranger.path).display()
                )),
                None => kept.iter().find(|other| other.active.merged_as == active.merged_as).map(|other| {
                    format!("'{}' is merged by the same name, '{}'", other.active.name, active.merged_as)
                }),
            };
            match why {
                None => kept.push(one),
                Some(why) => {
                    self.held.push(HeldBack::unfit(&active.name, &active.path, why));
                }
            }
        }
        kept.sort_by(|one, other| one.active.name.cmp(&other.active.name));
        self.found = kept;
    }
}

fn subjects<'a>(
    found: &'a [Found],
    strangers: &'a [(Stranger, Option<Box<dyn Contents>>)],
) -> Vec<Subject<'a>> {
    let ours = found.iter().enumerate().map(|(index, one)| Subject {
        merged_as: &one.active.merged_as,
        contents: &one.contents,
        ours: Some(Ours { index, since: one.since }),
    });
    let theirs = strangers.iter().filter_map(|(stranger, contents)| {
        Some(Subject { merged_as: &stranger.name, contents: contents.as_deref()?, ours: None })
    });
    ours.chain(theirs).collect()
}
