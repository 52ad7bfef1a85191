//! Deployments of OSTree's as places for layers.
//!
//! | ref | what it keeps |
//! |---|---|
//! | `onlay/layered/OS` | the commit that was made last |
//! | `onlay/base/CHECKSUM` | a base that some deployment has layers on, and that no deployment is by itself |

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Instant;

use super::at_boot;
use super::checksum::Checksum;
use super::disk;
use super::error::Error as OstreeError;
use super::integrity::{Sealing, sealing};
use super::object::{Commit, Value};
use super::origin::{LAYERED, Origin};
use super::repo::Repository;
use super::sysroot::{Deployment as Tree, Standing, Sysroot};
use super::view::lay;
use super::waiting;
use crate::host::Host;
use crate::layer::{
    Backend, BaseNote, Bases, Cleanup, Composed, Deployment, Draft, Error, Import, Lower, Made, Requests,
    Shape, image_name, layers_in, seconds_now,
};
use crate::overlay::clear_tree;
use crate::sys::replace_volatile;
use crate::tool::ostree::{Deploy, Ostree};

/// What `ostree admin upgrade` says on a host with layers, instead of dropping them.
const WORDS: &str = "this deployment has layers: 'onlay layer upgrade' takes them to a newer base";

/// Refs of ours, besides those of layers.
const BASES: &str = "onlay/base";

/// In a commit with layers: the checksum of what they are on.
const BASE: &str = "onlay.base";

/// In the repository's tmp: what is laid over a deployment to show another base.
const VIEW: &str = "onlay-base";
const ABOVE: &str = "above";

/// There, too: the origin that a deployment is to have.
const ORIGIN: &str = "onlay-origin";

/// The deployments of one system.
#[derive(Debug)]
pub struct Deployments {
    sysroot: Sysroot,
    os: String,
}

impl Deployments {
    /// Those of a host; `None` where it has none. Another root is the top of a disk, or a deployment on one.
    pub fn find(host: &Host) -> Result<Option<Deployments>, Error> {
        let sysroot = if host.is_running {
            Sysroot::running()?
        } else if host.root.exists("ostree/repo") {
            Some(Sysroot::at(host.root.path())?)
        } else {
            let top = disk::of_deployment(host.root.path()).filter(|top| top.join("ostree/repo").is_dir());
            top.map(Sysroot::at).transpose()?
        };
        let Some(sysroot) = sysroot else { return Ok(None) };
        let trees = sysroot.deployments()?;
        let first = trees.iter().find(|tree| tree.standing == Standing::Booted).or_else(|| trees.first());
        let named = disk::system_of_deployment(host.root.path()).filter(|_| !host.is_running);
        let Some(os) = named.or_else(|| first.map(|tree| tree.os.clone())) else { return Ok(None) };
        Ok(Some(Deployments { sysroot, os }))
    }

    /// Those of this system alone, as ostree lists them.
    fn trees(&self) -> Result<Vec<Tree>, Error> {
        let mut trees = self.sysroot.deployments()?;
        trees.retain(|tree| tree.os == self.os);
        Ok(trees)
    }

    fn next(&self) -> Result<Tree, Error> {
        let first = self.trees()?.into_iter().next();
        first.ok_or_else(|| Error::NoDeployment { id: "next".to_owned() })
    }

    fn find_tree(&self, id: &str) -> Result<Tree, Error> {
        let found = self.trees()?.into_iter().find(|tree| name(tree) == id);
        found.ok_or_else(|| Error::NoDeployment { id: id.to_owned() })
    }

    fn tool(&self) -> Result<Ostree, Error> {
        Ok(Ostree::find(self.sysroot.root().path())?)
    }

    /// The repository, where objects can be written to.
    fn repository_to_write(&self) -> Result<Repository, Error> {
        if !self.sysroot.is_running() {
            return Ok(self.sysroot.repository()?);
        }
        Ok(Repository::of_sysroot(&disk::to_write()?)?)
    }

    /// Has `ostree admin upgrade` refuse where it would drop layers: by what is there, or is about to be.
    fn settle(&self, wait: Option<bool>) -> Result<(), Error> {
        if !self.sysroot.is_running() {
            // Without one that runs, ostree goes by what boots next, which says it by itself.
            return Ok(());
        }
        let host = Host::open(self.sysroot.root().path())?;
        let trees = self.trees()?;
        let wait = wait.unwrap_or_else(|| waiting::wait(&trees));
        let is_refusing = waiting::is_refusing(&trees, wait);
        // There as long as anything says so, whenever the power is cut.
        if is_refusing {
            at_boot::keep(&host, true)?;
        }
        let origins = waiting::origins(&trees, wait);
        if !origins.is_empty() {
            let disk = disk::to_write()?;
            origins.iter().try_for_each(|(tree, origin)| disk::write_origin(&disk, tree, origin))?;
        }
        if is_refusing { Ok(()) } else { at_boot::keep(&host, false) }
    }

    /// What is done with files of layers on a base.
    fn sealing(&self, lower: &Lower) -> Result<Sealing, Error> {
        // What is only finished at shutdown gets them from the one that runs.
        let trees = self.trees()?;
        let options = trees.iter().find_map(|tree| tree.options.as_deref()).unwrap_or_default();
        Ok(sealing(&self.sysroot.repository()?, lower, options)?)
    }

    /// The commit that a deployment's base is: its own, but where we or rpm-ostree has made it of another one, its parent.
    fn base_of(repository: &Repository, tree: &Tree) -> Result<Checksum, Error> {
        let commit = repository.commit(tree.checksum)?;
        if let Some(base) = commit.text(BASE).and_then(|base| base.parse().ok()) {
            return Ok(base);
        }
        let is_layered = commit.metadata.contains_key("rpmostree.clientlayer");
        // atomic-pkglayer has written it down.
        let noted = tree.origin.file().get("origin", "from-commit").and_then(|base| base.parse().ok());
        let base = if is_layered { commit.parent } else { noted };
        Ok(base.filter(|base| repository.commit(*base).is_ok()).unwrap_or(tree.checksum))
    }

    /// Deploys a commit, which is then the one that boots next.
    fn deploy_commit(&self, commit: Checksum, origin: &Origin) -> Result<String, Error> {
        let dir = self.repository_to_write()?.root().open_dir("tmp")?;
        replace_volatile(&dir, ORIGIN, origin.to_string().as_bytes())?;
        let path = dir.join(ORIGIN);
        // Whoever cuts the power in between finds layers that nobody drops.
        if origin.is_layered() {
            self.settle(Some(true))?;
        }
        let deployed = self.tool()?.deploy(&Deploy {
            os: &self.os,
            revision: &commit.to_string(),
            origin: Some(&path),
            stage: self.sysroot.is_running(),
            append: &[],
        });
        self.settle(None)?;
        deployed?;
        Ok(name(&self.next()?))
    }

    /// Makes a deployment of a base and layers the one that is booted next.
    fn deploy_layers(
        &self,
        from: &str,
        base: &BaseNote,
        composed: &Composed,
        sealing: Sealing,
    ) -> Result<Made, Error> {
        let begun = Instant::now();
        let before = self.next()?;
        if name(&before) != from {
            return Err(OstreeError::Moved { expected: from.to_owned(), found: name(&before) }.into());
        }
        let repository = self.repository_to_write()?;
        let id = checksum(&base.id)?;
        let of_base = repository.commit(id)?;
        let local = format!("{LAYERED}/{}", self.os);
        // Before anything refers to it: whoever prunes meanwhile must not take it for nobody's.
        repository.set_ref(&format!("{BASES}/{id}"), id)?;
        let mut transaction = repository.begin_sealing(sealing)?;
        let root = transaction.compose_layers(of_base.root, &composed.layers)?;
        let subject = format!("layers: {}", composed.manifest.requests.in_words());
        let kernel =
            composed.boot.kernel.iter().map(|kernel| ("ostree.linux".to_owned(), Value::text(kernel)));
        let metadata = kernel.chain([(BASE.to_owned(), Value::text(&base.id))]);
        let commit = Commit::upon((id, &of_base), root, &subject, seconds_now(), metadata);
        let commit = transaction.write_commit(commit, &local)?;
        let last = repository.resolve(&local).ok();
        transaction.finish(&local, commit)?;
        let writing = begun.elapsed();
        let deployed = self.deploy_commit(commit, &before.origin.layered(&local, WORDS));
        let id = deployed.inspect_err(|_| self.forget_commit(&repository, commit, &local, last))?;
        self.forget_bases(&repository)?;
        clear_view(&repository)?;
        let deploying = begun.elapsed().saturating_sub(writing);
        Ok(Made { id, writing, deploying, remarks: Vec::new() })
    }

    /// Has nothing stay of a commit that could not be deployed, as on a full disk; unless it is the next one all the same. The first error is the one to
    /// tell, and what resists here goes with the next change.
    fn forget_commit(&self, repository: &Repository, commit: Checksum, name: &str, last: Option<Checksum>) {
        if self.next().is_ok_and(|next| next.checksum == commit) {
            return;
        }
        // In this order, since there may be no room for anything before.
        let _ = repository.remove_ref(name);
        let _ = self.tool().map(|tool| tool.cleanup());
        let _ = last.map(|last| repository.set_ref(name, last));
    }

    /// Removes refs of bases that no deployment has layers on.
    fn forget_bases(&self, repository: &Repository) -> Result<(), Error> {
        // Also those of other systems on the disk.
        let mut used = BTreeSet::new();
        for tree in self.sysroot.deployments()? {
            used.extend(repository.commit(tree.checksum)?.text(BASE).map(str::to_owned));
        }
        for (name, commit) in repository.refs_below(BASES)? {
            if !used.contains(&commit.to_string()) {
                repository.remove_ref(&name)?;
            }
        }
        Ok(())
    }
}

impl Backend for Deployments {
    fn system(&self) -> PathBuf {
        if self.sysroot.is_running() {
            return PathBuf::from("/");
        }
        let top = self.sysroot.root().path();
        top.canonicalize().unwrap_or_else(|_| top.to_owned()).join("ostree/deploy").join(&self.os)
    }

    fn deployments(&self) -> Result<Vec<Deployment>, Error> {
        let repository = self.sysroot.repository()?;
        let mut found = Vec::new();
        for tree in self.trees()? {
            let (manifest, fault) = layers_in(&self.sysroot.root().open_dir(&tree.path)?)?;
            let base = match &manifest {
                Some(manifest) => manifest.base.clone(),
                None => note(&repository, tree.origin.base_refspec(), Self::base_of(&repository, &tree)?)?,
            };
            found.push(Deployment {
                id: name(&tree),
                base,
                manifest,
                fault,
                is_booted: tree.standing == Standing::Booted,
                is_next: tree.index == 0,
                is_pending: matches!(tree.standing, Standing::Staged | Standing::Pending),
                is_rollback: tree.standing == Standing::Rollback,
                is_staged: tree.standing == Standing::Staged,
                is_pinned: tree.pinned,
                is_of_others: false,
            });
        }
        Ok(found)
    }

    /// What was only to be finished at shutdown is gone with the power, and what was said for its sake would keep ostree from upgrading for good.
    fn recover(&self) -> Result<(), Error> {
        self.settle(None)
    }

    fn bases(&self) -> Option<&dyn Bases> {
        Some(self)
    }

    fn lower(&self, base: &BaseNote) -> Result<Lower, Error> {
        let wanted = checksum(&base.id)?;
        let trees = self.trees()?;
        let open = |tree: &Tree| self.sysroot.root().open_dir(&tree.path);
        if let Some(tree) = trees.iter().find(|tree| tree.checksum == wanted) {
            return Ok(Lower { tree: open(tree)?, above: None, keeper: None, shape: Shape::Deployment });
        }
        let near = trees.first().ok_or_else(|| Error::NoDeployment { id: "next".to_owned() })?;
        let repository = self.repository_to_write()?;
        let keeper = repository.share()?;
        let after = repository.commit(wanted)?.root;
        let before = repository.commit(near.checksum)?.root;
        let place = repository.root().open_dir("tmp")?;
        clear_tree(&place, OsStr::new(VIEW))?;
        // ostree clears there, after each transaction, what has not been written to for a day; and what is laid has the times of its files.
        place.make_dir(VIEW, 0o700)?;
        let outer = place.open_child(OsStr::new(VIEW))?;
        outer.make_dir(ABOVE, 0o755)?;
        let above = outer.open_child(OsStr::new(ABOVE))?;
        lay(&repository, before, after, &above)?;
        Ok(Lower { tree: open(near)?, above: Some(above), keeper, shape: Shape::Deployment })
    }

    fn check(&self, lower: &Lower) -> Result<(), Error> {
        self.sealing(lower).map(drop)
    }

    fn begin(
        &self,
        from: &Deployment,
        base: &BaseNote,
        planned: Lower,
    ) -> Result<Box<dyn Draft + '_>, Error> {
        let (from, base, sealing) = (from.id.clone(), base.clone(), self.sealing(&planned)?);
        Ok(Box::new(Beginning { deployments: self, from, base, lower: planned, sealing }))
    }

    fn make_next(&self, id: &str) -> Result<(), Error> {
        if self.find_tree(id)?.index == 0 {
            return Ok(());
        }
        let (tool, first) = (self.tool()?, self.next()?);
        // What is only finished at shutdown goes before all others, and no order of others changes that.
        if first.standing == Standing::Staged {
            tool.undeploy(first.index)?;
        }
        let target = self.find_tree(id)?;
        if target.index == 0 {
            return self.settle(None);
        }
        if tool.can_set_default()? {
            tool.set_default(target.index)?;
            return self.settle(None);
        }
        // An older one can only deploy the same commit once more.
        self.deploy_commit(target.checksum, &target.origin)?;
        Ok(())
    }

    fn pin(&self, id: &str, is_pinned: bool) -> Result<(), Error> {
        Ok(self.tool()?.pin(self.find_tree(id)?.index, is_pinned)?)
    }

    fn clean_up(&self, what: Cleanup) -> Result<(), Error> {
        let tool = self.tool()?;
        let goes: Vec<String> =
            self.deployments()?.iter().filter(|one| what.removes(one)).map(|one| one.id.clone()).collect();
        for id in goes {
            // Each that goes has those after it count anew.
            tool.undeploy(self.find_tree(&id)?.index)?;
        }
        let repository = self.repository_to_write()?;
        clear_view(&repository)?;
        self.forget_bases(&repository)?;
        self.settle(None)?;
        Ok(tool.cleanup()?)
    }

    fn left_behind(&self, next: &Deployment) -> Result<Option<Requests>, Error> {
        let trees = self.trees()?;
        let booted = trees.iter().find(|tree| tree.standing == Standing::Booted);
        let (Some(booted), Some(first)) = (booted, trees.first()) else { return Ok(None) };
        if next.manifest.is_some() || first.origin.is_wanted_plain() {
            return Ok(None);
        }
        let (manifest, _) = layers_in(&self.sysroot.root().open_dir(&booted.path)?)?;
        let Some(manifest) = manifest.filter(|manifest| !manifest.requests.is_empty()) else {
            return Ok(None);
        };
        // Whoever goes back to an older one, by whatever program, goes back to what was asked for then.
        let repository = self.sysroot.repository()?;
        let time = |commit| repository.commit(commit).map_or(0, |commit| commit.timestamp);
        let base = checksum(&manifest.base.id)?;
        // Two may have been made in one second.
        let is_newer = first.checksum != base && time(first.checksum) >= time(base);
        Ok(is_newer.then_some(manifest.requests))
    }

    fn image(&self) -> Result<Option<String>, Error> {
        Ok(self.next()?.origin.container().map(|reference| image_name(&reference)))
    }

    fn requests_of_others(&self) -> Result<Option<Import>, Error> {
        let origin = self.next()?.origin;
        Ok(origin.has_requests_of_others().then(|| Import::of(&origin)))
    }
}

impl Bases for Deployments {
    fn newest(&self, base: &BaseNote, offline: bool) -> Result<BaseNote, Error> {
        let Some(refspec) = &base.refspec else { return Ok(base.clone()) };
        if let (Some((remote, name)), false) = (refspec.split_once(':'), offline) {
            self.tool()?.pull(remote, name)?;
        }
        let repository = self.sysroot.repository()?;
        let commit = match repository.resolve(refspec) {
            // The base was deployed without its ref: nothing tells of a newer one.
            Err(OstreeError::NoRef { .. }) if offline => return Ok(base.clone()),
            other => other?,
        };
        if commit.to_string() == base.id {
            return Ok(base.clone());
        }
        let time = |commit: Checksum| repository.commit(commit).map(|commit| commit.timestamp);
        // Which is there no more may be older than any.
        let known = time(checksum(&base.id)?).unwrap_or_default();
        if time(commit)? < known {
            return Err(Error::OlderBase { refspec: refspec.clone() });
        }
        note(&repository, Some(refspec.clone()), commit)
    }

    fn deploy_base(&self, base: &BaseNote) -> Result<String, Error> {
        let before = self.next()?;
        let named = self.deploy_commit(checksum(&base.id)?, &before.origin.plain().wanted_plain())?;
        self.forget_bases(&self.repository_to_write()?)?;
        Ok(named)
    }
}

/// A deployment of which there is nothing yet but what it will be made from.
#[derive(Debug)]
struct Beginning<'a> {
    deployments: &'a Deployments,
    /// What was next when it began.
    from: String,
    base: BaseNote,
    lower: Lower,
    sealing: Sealing,
}

impl Draft for Beginning<'_> {
    fn lower(&self) -> &Lower {
        &self.lower
    }

    fn deploy(self: Box<Self>, composed: &Composed) -> Result<Made, Error> {
        let Beginning { deployments, from, base, lower, sealing } = *self;
        // Who deploys prunes what nobody needs, which the base's keeper would not let happen.
        drop(lower);
        deployments.deploy_layers(&from, &base, composed, sealing)
    }
}

fn note(repository: &Repository, refspec: Option<String>, commit: Checksum) -> Result<BaseNote, Error> {
    let version = repository.commit(commit)?.text("version").map(str::to_owned);
    Ok(BaseNote { refspec, id: commit.to_string(), version })
}

fn clear_view(repository: &Repository) -> Result<(), Error> {
    Ok(clear_tree(&repository.root().open_dir("tmp")?, OsStr::new(VIEW))?)
}

fn name(tree: &Tree) -> String {
    format!("{}.{}", tree.checksum, tree.serial)
}

fn checksum(id: &str) -> Result<Checksum, Error> {
    id.parse().map_err(|_| Error::NoDeployment { id: id.to_owned() })
}
