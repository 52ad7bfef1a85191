//! systemd-nspawn(1): boots a directory as a container.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

const PROGRAM: &str = "systemd-nspawn";

/// A container to boot.
#[derive(Debug)]
pub struct Container<'a> {
    /// Its root directory.
    pub directory: &'a Path,
    /// Its name.
    pub name: &'a str,
    /// Whether it gets a network of its own, with nothing in it but `lo`.
    pub private_network: bool,
    /// Whether systemd manages this machine: it then gives the container a scope, and machined
    /// lists it.
    pub managed: bool,
}

/// The installed program.
#[derive(Debug)]
pub struct Nspawn {
    path: PathBuf,
}

impl Nspawn {
    /// Finds it.
    pub fn find() -> Result<Nspawn, Error> {
        super::find(PROGRAM).map(|path| Nspawn { path })
    }

    /// Becomes it. Returns only when that failed.
    pub fn execute(&self, container: &Container<'_>) -> Error {
        let mut command = self.of(container);
        command.args(["--boot", "--resolv-conf=bind-host"]);
        if container.private_network {
            command.arg("--private-network");
        }
        if !container.managed {
            // Nobody to register with, and nobody to make a scope (`sd_booted` says no).
            command.args(["--register=no", "--keep-unit"]);
        }
        Error::NotStarted { program: PROGRAM, source: command.exec() }
    }

    /// Becomes one in which nothing is booted, but a program of the container's runs, without a network. Returns only
    /// when that failed.
    pub fn execute_program(&self, container: &Container<'_>, words: &[String]) -> Error {
        let mut command = self.of(container);
        command.args(["--as-pid2", "--console=pipe", "--private-network", "--register=no"]);
        if !container.managed {
            command.arg("--keep-unit");
        }
        command.arg("--").args(words);
        Error::NotStarted { program: PROGRAM, source: command.exec() }
    }

    fn of(&self, container: &Container<'_>) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("--quiet").arg("--directory").arg(container.directory);
        command.arg(format!("--machine={}", machine_name(container.name)));
        // The tree has the host's journal; one shared with the container would mix them.
        command.args(["--link-journal=no", "--timezone=off"]);
        command
    }
}

/// Machine names are host names: no underscore, and no dot or dash at the end.
fn machine_name(name: &str) -> String {
    let name: String = name.chars().map(|letter| if letter == '_' { '-' } else { letter }).collect();
    name.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_host_names() {
        assert_eq!(machine_name("web_1"), "web-1");
        assert_eq!(machine_name("a-."), "a");
    }
}
