//! The command line by itself: help, what is said of words that make no sense, streams.

use std::process::Stdio;

use crate::kernel::command;

/// Runs the program; its exit code, stdout and stderr.
fn onlay(words: &[&str], stdout: Stdio) -> (Option<i32>, String, String) {
    let mut program = command(env!("CARGO_BIN_EXE_onlay"));
    program.args(words).env_remove("ONLAY_STATE").stdin(Stdio::null()).stdout(stdout);
    let output = program.stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
    let output = output.expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_makes_no_sense_is_said_once_and_with_what_helps() {
    let shell = "usage: onlay shell [OPTIONS] [NAME] [-- <COMMAND>...]\n";
    let more = "hint: 'onlay shell --help' says more\n";
    let name = "only letters, digits, '.', '_' and '-' are allowed";
    let cases: &[(&[&str], String)] = &[
        (&["shel"], "there is no command 'shel'\nhint: did you mean 'shell'?\n".into()),
        (&["nonsense"], "there is no command 'nonsense'\nhint: 'onlay help' lists the commands\n".into()),
        (&["bogus", "status"], "there is no command 'bogus'\nhint: 'onlay help' lists the commands\n".into()),
        (&["ext", "install"], "there is no command 'install'\nhint: did you mean 'add'?\n".into()),
        (&["ext", "del", "x"], "there is no command 'del'\nhint: did you mean 'remove'?\n".into()),
        (&["ext", "ls"], "there is no command 'ls'\nhint: did you mean 'list'?\n".into()),
        (&["remove", "x"], "there is no command 'remove'\nhint: did you mean 'rm'?\n".into()),
        (&["db", "lst"], "there is no command 'lst'\nhint: did you mean 'list'?\n".into()),
        (&["db", "nonsense"], "there is no command 'nonsense'\nhint: 'onlay db help' lists the commands\n".into()),
        (&["db", "import", "a"], "<DB> is missing\nusage: onlay db import [OPTIONS] <DIR> <DB>\nhint: 'onlay db import --help' says more\n".into()),
        (&["help", "x"], "there is no command 'x'\nhint: 'onlay help' lists the commands\n".into()),
        (&["shell", "x y"], format!("'x y' is not an overlay name: {name}\n{more}")),
        (&["shell", "\u{1b}[2J\n"], format!("'\\x1b[2J\\n' is not an overlay name: it must begin with a letter or digit\n{more}")),
        (&["rm"], "<NAME>... is missing\nusage: onlay rm [OPTIONS] <NAME>...\nhint: 'onlay rm --help' says more\n".into()),
        (&["shell", "a", "true"], format!("unexpected argument 'true'\n{shell}hint: what is to run inside comes after '--', as in 'onlay shell -- ls'\n")),
        (&["shell", "--isolat"], format!("unexpected argument '--isolat'\n{shell}hint: did you mean '--isolate'?\n")),
        (&["shell", "--size"], format!("--size <SIZE> needs a value\n{more}")),
        (&["shell", "--size", "101%"], format!("'101%' is not a size: a share of RAM is from 1% to 100%\n{more}")),
        (&["shell", "--boot", "--isolate"], format!("the argument '--boot' cannot be used with '--isolate'\n{shell}{more}")),
        (&["--json", "list"], "unexpected argument '--json'\nusage: onlay list [OPTIONS]\nhint: --json comes after 'onlay list'\n".into()),
        (&["--state", "", "list"], "no state directory is given: --state or ONLAY_STATE is empty\nhint: 'onlay list --help' says more\n".into()),
        (&["completion", "tcsh"], "invalid value 'tcsh' for '<SHELL>' [possible values: bash, elvish, fish, powershell, zsh]\nhint: did you mean 'zsh'?\n".into()),
    ];
    for (words, said) in cases {
        let (code, stdout, stderr) = onlay(words, Stdio::piped());
        assert_eq!((code, stdout.as_str(), stderr), (Some(2), "", format!("onlay: {said}")), "{words:?}");
    }
}

#[test]
fn help_is_there_however_it_is_asked_for() {
    for (asked, same) in [(&["help"][..], &["--help"][..]), (&["help", "shell"], &["shell", "--help"])] {
        let help = onlay(asked, Stdio::piped());
        assert_eq!((help.0, help.2.as_str()), (Some(0), ""), "{asked:?}");
        assert_eq!(help, onlay(same, Stdio::piped()));
    }
    let (code, stdout, stderr) = onlay(&[], Stdio::piped());
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("Usage: onlay [OPTIONS] <COMMAND>"), "{stderr}");
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("every machine has it");
    for words in [&["--help"][..], &["help", "shell"], &["--version"], &["completion", "bash"]] {
        let (code, _, stderr) = onlay(words, full().into());
        let said = "onlay: cannot write the output: No space left on device\n";
        assert_eq!((code, stderr.as_str()), (Some(1), said), "{words:?}");
    }
}
