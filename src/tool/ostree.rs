//! ostree(1): deployments, boot loaders and what of /etc is whose, which are its own.
//!
//! It is never killed, and does not get the signals of our terminal: while it writes the boot loader's entries it freezes the file system of
//! /boot for a moment, and one that ends within that moment leaves it frozen (`fsfreeze --unfreeze` helps then).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;

const PROGRAM: &str = "ostree";

/// The installed program, for one system.
#[derive(Debug)]
pub struct Ostree {
    path: PathBuf,
    sysroot: PathBuf,
}

/// A tree that is to be deployed.
#[derive(Debug, Clone, Copy)]
pub struct Deploy<'a> {
    /// The name of the system that it is one of.
    pub os: &'a str,
    /// Its commit, or a name that leads to it.
    pub revision: &'a str,
    /// A file with the origin that it is to have. Without one, ostree makes `revision` one.
    pub origin: Option<&'a Path>,
    /// Whether it is finished at shutdown only, with the /etc of then. Only the system that runs can do that.
    pub stage: bool,
    /// What the kernel is to be told besides what it is told now.
    pub append: &'a [&'a str],
}

impl Ostree {
    /// Finds it, for the system with this top (`/` for the one that runs).
    pub fn find(sysroot: impl Into<PathBuf>) -> Result<Ostree, Error> {
        Ok(Ostree { path: super::find(PROGRAM)?, sysroot: sysroot.into() })
    }

    /// Deploys a tree, which boots next. What was before it stays, but for those that ostree takes away in turn: neither the one that runs, nor the
    /// one to go back to, nor pinned ones.
    pub fn deploy(&self, deploy: &Deploy<'_>) -> Result<(), Error> {
        let mut arguments = vec![option("--os=", deploy.os)];
        arguments.extend(deploy.origin.map(|path| option("--origin-file=", path)));
        arguments.extend(deploy.stage.then(|| "--stage".into()));
        arguments.extend(deploy.append.iter().map(|argument| option("--karg-append=", argument)));
        arguments.push(deploy.revision.into());
        self.admin("deploy", arguments)
    }

    /// Whether it can make a deployment that is there the one that boots next; older versions cannot.
    pub fn can_set_default(&self) -> Result<bool, Error> {
        let mut command = Command::new(&self.path);
        command.args(["admin", "--help"]).stdin(Stdio::null());
        let output = command.output().map_err(|source| Error::NotStarted { program: PROGRAM, source })?;
        Ok(String::from_utf8_lossy(&output.stdout).contains("set-default"))
    }

    /// Makes a deployment that is there the one that boots next.
    pub fn set_default(&self, index: usize) -> Result<(), Error> {
        self.admin("set-default", [index.to_string().into()])
    }

    /// Takes a deployment away.
    pub fn undeploy(&self, index: usize) -> Result<(), Error> {
        self.admin("undeploy", [index.to_string().into()])
    }

    /// Keeps a deployment from being taken away in turn, or lets it go again.
    pub fn pin(&self, index: usize, pinned: bool) -> Result<(), Error> {
        let unpin = (!pinned).then(|| OsString::from("--unpin"));
        self.admin("pin", unpin.into_iter().chain([index.to_string().into()]))
    }

    /// Removes deployments that no entry leads to, and objects that nothing needs.
    pub fn cleanup(&self) -> Result<(), Error> {
        self.admin("cleanup", [])
    }

    /// Fetches what a ref of a remote names now (`debian` of `origin`), by its own rules of signatures.
    pub fn pull(&self, remote: &str, name: &str) -> Result<(), Error> {
        let mut repository = OsString::from("--repo=");
        repository.push(self.sysroot.join("ostree/repo"));
        self.run(["pull".into(), repository, remote.into(), name.into()])
    }

    fn admin(&self, verb: &str, arguments: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
        let mut sysroot = OsString::from("--sysroot=");
        sysroot.push(&self.sysroot);
        self.run(["admin".into(), verb.into(), sysroot].into_iter().chain(arguments))
    }

    fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        super::run_to_its_end(PROGRAM, &self.path, &arguments).map(drop)
    }
}

fn option(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}
