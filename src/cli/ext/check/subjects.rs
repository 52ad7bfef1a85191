//! What `onlay ext check` judges: extensions that are asked for, those that lie beside them, and what cannot be looked into.

use std::path::{Path, PathBuf};

use crate::cli::report::Error;
use crate::extension::activate::{self, enabled, merged_as};
use crate::extension::fit::Extension;
use crate::extension::matching::{HostFacts, judge};
use crate::extension::places::{Candidate, Form, candidates};
use crate::extension::release::{self, Release};
use crate::extension::{self, Class, Contents, Directory, ImageFiles, SystemdVersion, order};
use crate::host::Host;
use crate::sys::{Context, Root, with_causes};

/// An extension that is judged, or only lies beside those that are.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) class: Class,
    pub(super) contents: Box<dyn Contents>,
    pub(super) is_asked_for: bool,
    /// Whether it is merged now.
    pub(super) is_merged: bool,
}

/// What is named on the command line.
pub(super) enum Given {
    /// A file, by its path.
    File(PathBuf),
    /// The image of one that was added.
    Added(PathBuf),
}

/// What a host has in its places for extensions.
pub(super) struct Places {
    /// Those that count.
    pub(super) merged: Vec<Subject>,
    /// What is not judged.
    pub(super) others: Vec<Unjudged>,
}

/// An entry of a place for extensions that is not judged.
pub(super) struct Unjudged {
    pub(super) candidate: Candidate,
    pub(super) class: Class,
    /// Why it cannot be looked into, where it should be.
    pub(super) trouble: Option<String>,
}

impl Places {
    pub(super) fn of(host: &Host, facts: &HostFacts) -> Result<Places, Error> {
        let mut places = Places { merged: Vec::new(), others: Vec::new() };
        for class in [Class::Sysext, Class::Confext] {
            for candidate in candidates(&host.root, class, facts.systemd)? {
                let is_judged = matches!(candidate.form, Form::Directory | Form::Image);
                if candidate.hidden_by.is_some() || !is_judged {
                    places.others.push(Unjudged { candidate, class, trouble: None });
                    continue;
                }
                let path = host.root.join(host.root.resolve(&candidate.path)?);
                match contents_of(&path) {
                    Ok(contents) => {
                        let name = candidate.name;
                        let (is_asked_for, is_merged) = (false, false);
                        places.merged.push(Subject { name, path, class, contents, is_asked_for, is_merged });
                    }
                    Err(error) => {
                        let trouble = Some(with_causes(&error));
                        places.others.push(Unjudged { candidate, class, trouble });
                    }
                }
            }
        }
        Ok(places)
    }

    /// What is enabled and has no link where systemd looks: it is held back, or that of a root that does not run.
    pub(super) fn add_enabled(&mut self, host: &Host) -> Result<(), Error> {
        for link in enabled(&host.root)? {
            if self.merged.iter().any(|subject| subject.path == link.image) {
                continue;
            }
            match Subject::added(&link.image) {
                Ok(subject) if self.merged.iter().any(|other| other.is_of(&subject)) => {}
                Ok(subject) => self.merged.push(subject),
                Err(error) => self.others.push(Unjudged::damaged(&link.image, Class::Sysext, &error)),
            }
        }
        Ok(())
    }
}

/// Those that are asked for, and beside them what the host has under other names; in the order in which they are laid. What
/// cannot be looked into is told of the one that it is, and keeps nobody from judging the rest.
pub(super) fn asked_for(
    facts: &HostFacts,
    merged: Vec<Subject>,
    given: &[Given],
    unjudged: &mut Vec<Unjudged>,
) -> Result<Vec<Subject>, Error> {
    let mut subjects: Vec<Subject> = Vec::new();
    for one in given {
        let opened = match one {
            Given::File(path) => Subject::open(path, facts.systemd),
            Given::Added(path) => Subject::added(path),
        };
        let subject = match opened {
            Ok(subject) => subject,
            Err(error) if given.len() == 1 => return Err(error),
            Err(error) => {
                let (Given::File(path) | Given::Added(path)) = one;
                unjudged.push(Unjudged::damaged(path, Class::Sysext, &error));
                continue;
            }
        };
        if let Some(same) = subjects.iter().find(|same| same.is_of(&subject)) {
            let (one, other) = (same.path.clone(), subject.path);
            return Err(extension::Error::SameName { one, other }.into());
        }
        let is_merged = merged.iter().any(|one| one.is_merged && one.path == subject.path);
        subjects.push(Subject { is_asked_for: true, is_merged, ..subject });
    }
    for subject in merged {
        let subject = Subject { is_asked_for: given.is_empty(), ..subject };
        if !subjects.iter().any(|same| same.is_of(&subject) || same.path == subject.path) {
            subjects.push(subject);
        }
    }
    subjects.sort_by(|one, other| order::compare(&one.name, &other.name));
    Ok(subjects)
}

impl Unjudged {
    /// One that was named, or could be looked into at first.
    pub(super) fn damaged(path: &Path, class: Class, error: &Error) -> Unjudged {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let candidate = Candidate { name, path: path.to_owned(), form: Form::Image, hidden_by: None };
        Unjudged { candidate, class, trouble: Some(with_causes(error)) }
    }
}

/// The files of an extension, which is a directory or an image.
pub(in crate::cli::ext) fn contents_of(path: &Path) -> Result<Box<dyn Contents>, Error> {
    if path.is_dir() {
        Ok(Box::new(Directory::new(Root::open(path)?)))
    } else {
        Ok(Box::new(ImageFiles::open_checked(path)?))
    }
}

impl Subject {
    fn open(path: &Path, systemd: SystemdVersion) -> Result<Subject, Error> {
        let path = std::path::absolute(path).context("find", path)?;
        let contents = contents_of(&path)?;
        let class = Class::of(&*contents)?;
        let file = path.file_name().and_then(|name| name.to_str());
        let name = file.and_then(|file| release::name_of(file, !path.is_dir(), class, systemd));
        let Some(name) = name else { return Err(extension::Error::Unnamed(path).into()) };
        let (is_asked_for, is_merged) = (false, false);
        Ok(Subject { name, path, class, contents, is_asked_for, is_merged })
    }

    /// One of our images, by the name by which it is merged.
    fn added(image: &Path) -> Result<Subject, Error> {
        let path = image.to_owned();
        let contents = contents_of(&path)?;
        let name = merged_as(&*contents, &path)
            .map_err(|why| activate::Error::Unusable { path: path.clone(), why: why.to_owned() })?;
        let (is_asked_for, is_merged) = (false, false);
        Ok(Subject { name, path, class: Class::Sysext, contents, is_asked_for, is_merged })
    }

    pub(super) fn extension(&self) -> Extension<'_> {
        Extension { name: &self.name, class: self.class, contents: &*self.contents }
    }

    fn is_of(&self, other: &Subject) -> bool {
        (&self.name, self.class) == (&other.name, other.class)
    }

    pub(super) fn matches(&self, facts: &HostFacts) -> Result<bool, Error> {
        let release = Release::find(&*self.contents, self.class, &self.name, facts.systemd)?;
        let has_os_release = self.contents.look(Path::new("usr/lib/os-release"))?.is_some();
        Ok(judge(facts, self.class, &release, has_os_release).is_ok())
    }
}
