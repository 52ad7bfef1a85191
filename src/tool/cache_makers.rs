//! Programs that make files from what many packages bring: ldconfig(8), update-ca-certificates(8) and the like.

use std::process::{Command, Stdio};

/// Runs such commands one after the other. What is not installed has nothing to make, and what goes wrong leaves a file
/// that is not new: both are in nobody's way.
pub fn run(commands: &[Vec<String>]) {
    for words in commands {
        let Some((program, arguments)) = words.split_first() else { continue };
        let Some(path) = super::find_any(program) else { continue };
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = command.status();
    }
}
