//! The memory that a program needs at most.

use std::process::Command;

/// Asks Python, whose own memory is small: what a program has from whoever started it counts as well (getrusage(2)).
const SCRIPT: &str = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); \
                      print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";

/// Runs a command, and says how much memory it had at most, in MiB; `None` without Python.
pub(crate) fn at_most(command: &Command) -> Option<u64> {
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).arg(command.get_program()).args(command.get_args());
    let output = python.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).ok()?.lines().last()?.parse::<u64>().ok().map(|kib| kib.div_ceil(1024))
}

pub(crate) fn print(what: &str, command: &Command) {
    match at_most(command) {
        Some(most) => println!("{what}: at most {most} MiB of memory"),
        None => println!("{what}: its memory is not known: no python3"),
    }
}
