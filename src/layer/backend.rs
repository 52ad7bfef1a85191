//! What a kind of host has to offer for layers.

use std::path::PathBuf;
use std::time::Duration;

use crate::host::Host;
use crate::sys::Root;

use super::{BaseNote, Composed, Error, Import, Lower, Manifest, Requests};

/// A system that can be booted, or is.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Its backend's name for it; its beginning is enough where no other begins alike.
    pub id: String,
    /// What it is, or what it was made from.
    pub base: BaseNote,
    /// What is layered in it; nothing where it is its base, or nobody knows.
    pub manifest: Option<Manifest>,
    /// Why nobody knows what is layered in it: another version wrote that down, or it is damaged.
    pub fault: Option<String>,
    /// Whether it runs.
    pub is_booted: bool,
    /// Whether it is booted next.
    pub is_next: bool,
    /// Whether it comes before the one that runs.
    pub is_pending: bool,
    /// Whether it is the first after the one that runs.
    pub is_rollback: bool,
    /// Whether it is only finished at shutdown.
    pub is_staged: bool,
    /// Whether it stays until it is unpinned.
    pub is_pinned: bool,
    /// Whether others have made it, who remove it in their own time.
    pub is_of_others: bool,
}

impl Deployment {
    /// Refuses where nobody knows what is layered in it.
    pub fn check(&self) -> Result<(), Error> {
        let problem = self.fault.clone();
        problem.map_or(Ok(()), |problem| Err(Error::NotKnown { id: self.id.clone(), problem }))
    }

    /// What was asked for.
    pub fn requests(&self) -> Requests {
        self.manifest.clone().unwrap_or_default().requests
    }
}

/// What is layered in a tree, and why nobody knows.
pub(super) fn layers_in(tree: &Root) -> Result<(Option<Manifest>, Option<String>), Error> {
    match Manifest::read(tree) {
        Err(error @ Error::Manifest { .. }) => Ok((None, Some(error.to_string()))),
        other => Ok((other?, None)),
    }
}

/// What may be removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// What is to be booted next and does not run.
    pub pending: bool,
    /// What was booted before.
    pub rollback: bool,
}

impl Cleanup {
    /// Whether a deployment goes by that.
    pub fn removes(self, deployment: &Deployment) -> bool {
        self.names(deployment) && !deployment.is_pinned && !deployment.is_of_others
    }

    /// Whether a deployment is one of those that are meant, whether it goes or not.
    pub fn names(self, deployment: &Deployment) -> bool {
        deployment.is_pending && self.pending || deployment.is_rollback && self.rollback
    }
}

/// A kind of host.
pub trait Backend: std::fmt::Debug + Sync {
    /// What the history of layers knows the system by, of which several may have one: `/` is the one that runs.
    fn system(&self) -> PathBuf;

    /// All deployments, the one that is booted next first.
    fn deployments(&self) -> Result<Vec<Deployment>, Error>;

    /// Takes back what an earlier change has said of a deployment that never came, since the power went.
    fn recover(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Bases without layers, from which each deployment is made anew. Nothing where each is made from the one before, layers and all.
    fn bases(&self) -> Option<&dyn Bases>;

    /// What a change is planned on. It is seen as long as nobody asks for another.
    fn lower(&self, base: &BaseNote) -> Result<Lower, Error>;

    /// Refuses where a base with layers in it would not boot.
    fn check(&self, _: &Lower) -> Result<(), Error> {
        Ok(())
    }

    /// Begins a deployment that is to come after another one. `planned` is what it was planned on.
    fn begin(&self, from: &Deployment, base: &BaseNote, planned: Lower)
    -> Result<Box<dyn Draft + '_>, Error>;

    /// Makes a deployment that is there the one that is booted next.
    fn make_next(&self, id: &str) -> Result<(), Error>;

    /// Keeps a deployment until it is unpinned, or no longer.
    fn pin(&self, id: &str, is_pinned: bool) -> Result<(), Error>;

    /// Removes deployments that nobody needs, and what they alone have.
    fn clean_up(&self, what: Cleanup) -> Result<(), Error>;

    /// What was asked for in what runs, where others have since made the next one without it, of a newer base.
    fn left_behind(&self, _: &Deployment) -> Result<Option<Requests>, Error> {
        Ok(None)
    }

    /// The container image that the host boots, where it does: packages come into it by another image.
    fn image(&self) -> Result<Option<String>, Error> {
        Ok(None)
    }

    /// What other programs of this kind have put into the deployment that is booted next, and would be lost.
    fn requests_of_others(&self) -> Result<Option<Import>, Error> {
        Ok(None)
    }
}

/// A deployment that is being made. Given up, it leaves nothing.
pub trait Draft: std::fmt::Debug {
    /// What packages are put into.
    fn lower(&self) -> &Lower;

    /// Puts layers into it and makes it the one that is booted next.
    fn deploy(self: Box<Self>, composed: &Composed) -> Result<Made, Error>;
}

/// A deployment that was made.
#[derive(Debug)]
pub struct Made {
    /// Its name.
    pub id: String,
    /// What it took to write what is in it.
    pub writing: Duration,
    /// What it took to make it the one that is booted next.
    pub deploying: Duration,
    /// What people are to know of it: sentences without an end.
    pub remarks: Vec<String>,
}

/// Where bases come from, and how they are by themselves.
pub trait Bases {
    /// The newest base from where this one came; this one itself where there is none, or nothing may be fetched.
    fn newest(&self, base: &BaseNote, offline: bool) -> Result<BaseNote, Error>;

    /// Makes a base by itself the one that is booted next; its name.
    fn deploy_base(&self, base: &BaseNote) -> Result<String, Error>;
}

/// What keeps deployments on a host.
pub fn backend_of(host: &Host) -> Result<Box<dyn Backend>, Error> {
    if let Some(ostree) = super::ostree::Deployments::find(host)? {
        return Ok(Box::new(ostree));
    }
    if let Some(image) = super::image_of(host)? {
        return Err(Error::OfImage { image });
    }
    Ok(Box::new(super::snapper::Snapshots::find(host)?))
}
