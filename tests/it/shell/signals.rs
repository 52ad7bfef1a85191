//! Signals: who gets them, and who does not.

use std::os::unix::process::ExitStatusExt;

use crate::kernel::{Lab, Screen, Started, command, output};

/// A command that says which signals it got, until one ends it.
const TELLS: &str = "for name in HUP INT QUIT USR1 USR2; do trap \"echo got $name\" $name; done; \
    trap 'echo got TERM; exit 7' TERM; echo ready; while :; do sleep 0.01; done";

const WAYS: [&[&str]; 2] = [&["shell", "-q", "a"], &["shell", "-q", "--isolate", "a"]];

fn telling(lab: &Lab, way: &[&str]) -> Started {
    let started = lab.onlay(&[way, &["--", "sh", "-c", TELLS]].concat()).start();
    started.wait_for("ready");
    started
}

#[test]
fn signals_sent_to_the_program_reach_the_command() {
    let Some(lab) = Lab::open() else { return };
    for way in WAYS {
        let started = telling(&lab, way);
        for (signal, name) in [
            (libc::SIGHUP, "HUP"),
            (libc::SIGINT, "INT"),
            (libc::SIGQUIT, "QUIT"),
            (libc::SIGUSR1, "USR1"),
            (libc::SIGUSR2, "USR2"),
            (libc::SIGTERM, "TERM"),
        ] {
            started.signal(signal);
            started.wait_for(&format!("got {name}"));
        }
        assert_eq!(started.finish().code(), Some(7), "{way:?}");
    }
}

#[test]
fn a_signal_to_the_own_group_comes_once() {
    let Some(lab) = Lab::open() else { return };
    // The program is in the group, too. Whoever gets the signal twice tells so before the third one ends it.
    let command = "trap 'echo one' USR1; trap 'echo end; exit 0' USR2; kill -USR1 0; \
        i=0; while [ $i -lt 30 ]; do sleep 0.01; i=$((i + 1)); done; kill -USR2 0; sleep 5";
    let ran =
        lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", command]).through(&["/usr/bin/setsid", "-w"]).run();
    assert_eq!(ran.ok(), "one\nend\n");
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let Some(lab) = Lab::open() else { return };
    for way in WAYS {
        // The program hands it on, and the command does not care.
        let words = [way, &["--", "sh", "-c", "echo ready; read -r line; echo $line"]].concat();
        let mut started = lab.onlay(&words).through(&["/usr/bin/nohup"]).start();
        started.wait_for("ready");
        started.signal(libc::SIGHUP);
        started.say("alive");
        let ran = started.finish();
        assert!(ran.ok().ends_with("alive\n"), "{way:?}");
    }
}

#[test]
fn a_command_begins_with_the_callers_signals() {
    let Some(lab) = Lab::open() else { return };
    let reference = output("/bin/sed", &["-n", "/^Sig[BI][lg][kn]/p", "/proc/self/status"]);
    assert!(reference.starts_with("SigBlk:\t0000000000000000\nSigIgn:"), "{reference}");
    for way in WAYS {
        let words = [way, &["--", "sed", "-n", "/^Sig[BI][lg][kn]/p", "/proc/self/status"]].concat();
        assert_eq!(lab.onlay(&words).run().ok(), reference, "{way:?}");
    }
}

#[test]
fn a_pipe_whose_reader_has_gone_ends_the_command() {
    let Some(lab) = Lab::open() else { return };
    for way in WAYS {
        let words = lab.onlay(&[way, &["--", "sh", "-c", "while :; do echo x; done"]].concat()).words();
        let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let mut shell = command("/usr/bin/timeout");
        shell.args(["120", "/bin/bash", "-c", "\"$@\" | head -1; echo ${PIPESTATUS[0]}", "bash"]).args(words);
        let output = shell.output().expect("bash starts");
        // Death by SIGPIPE, as bash counts it.
        assert_eq!(String::from_utf8_lossy(&output.stdout), "x\n141\n", "{way:?}");
    }
}

#[test]
fn a_key_that_interrupts_does_not_end_the_program_before_the_command() {
    let Some(lab) = Lab::open() else { return };
    // A shell that comes to `read` just after the signal need not look at its trap again.
    let script = "trap 'echo interrupted; seen=yes' INT; echo ready; until [ $seen ]; do sleep 0.01; done; \
        read -r line; echo got $line";
    for way in WAYS {
        let mut screen = Screen::start(&lab.onlay(&[way, &["--", "sh", "-c", script]].concat()), (24, 80));
        screen.wait_for("ready");
        screen.type_keys("\u{3}");
        screen.wait_for("interrupted");
        screen.type_keys("one\n");
        let (status, shown) = screen.finish();
        assert!(status.success(), "{way:?}: {status}: {shown}");
        assert!(shown.contains("got one"), "{shown}");
        assert_eq!(shown.matches("interrupted").count(), 1, "once, not also by hand: {shown}");
    }
}

#[test]
fn a_key_that_interrupts_ends_a_command_that_does_not_care() {
    let Some(lab) = Lab::open() else { return };
    for way in WAYS {
        let words = [way, &["--", "sh", "-c", "echo ready; exec sleep 1000"]].concat();
        let mut screen = Screen::start(&lab.onlay(&words), (24, 80));
        screen.wait_for("ready");
        screen.type_keys("\u{3}");
        let (status, shown) = screen.finish();
        assert_eq!(status.signal(), Some(libc::SIGINT), "{way:?}: {status}: {shown}");
    }
}
