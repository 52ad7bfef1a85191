//! What a kind of host has to offer for layers.

use crate::host::Host;

use super::{BaseNote, Composed, Error, Import, Lower, Manifest};

/// A system that can be booted, or is.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Its backend's name for it; its beginning is enough where no other begins alike.
    pub id: String,
    /// What it is, or what it was made from.
    pub base: BaseNote,
    /// What is layered in it; nothing where it is its base.
    pub manifest: Option<Manifest>,
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
        let is_meant = deployment.is_pending && self.pending || deployment.is_rollback && self.rollback;
        is_meant && !deployment.is_pinned
    }
}

/// A kind of host.
pub trait Backend: std::fmt::Debug {
    /// All deployments, the one that is booted next first.
    fn deployments(&self) -> Result<Vec<Deployment>, Error>;

    /// The newest base from where this one came; this one itself where there is none, or nothing may be fetched.
    fn newest(&self, base: &BaseNote, offline: bool) -> Result<BaseNote, Error>;

    /// A base, to be composed on. It is seen as long as nobody asks for another.
    fn lower(&self, base: &BaseNote) -> Result<Lower, Error>;

    /// Makes a deployment of a base and layers the one that is booted next; its name.
    fn deploy(&self, base: &BaseNote, composed: &Composed) -> Result<String, Error>;

    /// Makes a base by itself the one that is booted next; its name.
    fn deploy_base(&self, base: &BaseNote) -> Result<String, Error>;

    /// Makes a deployment that is there the one that is booted next.
    fn make_next(&self, id: &str) -> Result<(), Error>;

    /// Keeps a deployment until it is unpinned, or no longer.
    fn pin(&self, id: &str, is_pinned: bool) -> Result<(), Error>;

    /// Removes deployments that nobody needs, and what they alone have.
    fn clean_up(&self, what: Cleanup) -> Result<(), Error>;

    /// The container image that the host boots, where it does: packages come into it by another image.
    fn image(&self) -> Result<Option<String>, Error> {
        Ok(None)
    }

    /// What other programs of this kind have put into the deployment that is booted next, and would be lost.
    fn requests_of_others(&self) -> Result<Option<Import>, Error> {
        Ok(None)
    }
}

/// What keeps deployments on a host.
pub fn backend_of(host: &Host) -> Result<Box<dyn Backend>, Error> {
    if let Some(ostree) = super::ostree::Deployments::find(host)? {
        return Ok(Box::new(ostree));
    }
    if let Some(image) = super::image_of(host)? {
        return Err(Error::OfImage { image });
    }
    let why = "it does not boot by OSTree".to_owned();
    Err(Error::NoBackend { why })
}
