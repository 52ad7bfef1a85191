//! `onlay completion`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use super::report::Error;

/// Print a shell's completion script
///
/// For bash, for example:
/// onlay completion bash > /etc/bash_completion.d/onlay
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell to print it for
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::definition(), "onlay", &mut script);
    std::io::stdout().write_all(&script).map_err(Error::Output)?;
    Ok(ExitCode::SUCCESS)
}
