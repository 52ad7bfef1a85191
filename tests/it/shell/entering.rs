//! Going in, leaving, coming back: what is kept, and that the host is as it was.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::kernel::{Lab, command, names_in};

/// With the host in view, and without.
const WAYS: [&[&str]; 2] = [&["shell", "-q"], &["shell", "-q", "--isolate"]];

#[test]
fn a_named_overlay_is_as_it_was_left() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "echo new >/etc/new; echo changed >/etc/file; rm /bin/true; mkdir -p /srv/x/y").ok();
    let seen = lab.shell("a", "cat /etc/new /etc/file; ls /bin/true /srv/x 2>&1").text();
    assert_eq!(seen, "new\nchanged\nls: /bin/true: No such file or directory\n/srv/x:\ny\n");
    assert_eq!(fs::read_to_string(lab.tree.join("etc/file")).expect("there"), "old\n");
    assert_eq!(names_in(&lab.tree.join("etc")), ["file", "os-release"]);
    assert!(lab.tree.join("bin/true").is_symlink() && names_in(&lab.tree.join("srv")).is_empty());
    assert_eq!(lab.shell("b", "cat /etc/file; ls /etc/new || :").ok(), "old\n", "another overlay");
    lab.onlay(&["rm", "a", "b"]).run().ok();
    assert_eq!(lab.kept(), [".lock"]);
}

#[test]
fn what_is_new_is_told_from_what_was_there() {
    let Some(lab) = Lab::open() else { return };
    let said = |words: &[&str]| {
        let ran = lab.onlay(&[&["shell"], words, &["--", "true"]].concat()).run();
        ran.ok();
        ran.stderr
    };
    assert!(said(&["web"]).starts_with("onlay: made overlay 'web'; "));
    assert!(said(&["web"]).starts_with("onlay: entered overlay 'web'; "));
    assert!(said(&["--isolate", "wbe"]).starts_with("onlay: made overlay 'wbe'; "), "a typo is noticed");
    assert!(said(&["--temp", "t"]).starts_with("onlay: made overlay 't' in RAM; "));
    let homes = "/home and /root are the host's own, other files are private";
    for (way, homes) in [
        (&["web"][..], homes),
        (&["--isolate", "shut"], homes),
        (&["--no-home", "x"], "all files are private"),
    ] {
        let inside = lab.stay(way);
        let name = way.last().expect("a name");
        assert!(said(&[name]).starts_with(&format!("onlay: joined overlay '{name}'; {homes}; ")), "{way:?}");
        inside.finish().ok();
    }
}

#[test]
fn a_directory_that_is_not_there_inside_is_told() {
    let Some(lab) = Lab::open() else { return };
    let outside = tempfile::tempdir_in("/tmp").expect("/tmp");
    let (here, there) = (outside.path().display().to_string(), lab.path("").display().to_string());
    let told = |directory: &str, words: &[&str]| {
        let cd = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", directory];
        let ran = lab.on_host(&[&["shell"], words, &["--", "pwd"]].concat()).through(&cd).run();
        let said = ran.stderr.contains(&format!("onlay: '{directory}' is not there inside; starting in /\n"));
        assert_eq!(ran.ok() == "/\n", said, "{}", ran.story());
        said
    };
    for way in [&["a"][..], &["--isolate", "b"], &["--temp"]] {
        assert!(told(&here, way) && !told(&there, way), "{way:?}");
    }
    let words = ["shell", "-q", "c", "--", "sh", "-c", "echo inside; read -r line || true"];
    let inside = lab.on_host(&words).start();
    inside.wait_for("inside");
    assert!(told(&here, &["c"]) && !told(&there, &["c"]), "also who joins");
    inside.finish().ok();
    let removed = ["/bin/sh", "-c", "cd \"$0\" && mkdir x && cd x && rmdir ../x && exec \"$@\"", &there];
    let ran = lab.on_host(&["shell", "--temp", "--", "pwd"]).through(&removed).run();
    assert!(ran.ok() == "/\n" && ran.stderr.contains("x (deleted)' is not there inside"), "{}", ran.story());
}

#[test]
fn without_a_name_it_is_the_default() {
    let Some(lab) = Lab::open() else { return };
    let run = |script| lab.onlay(&["shell", "-q", "--", "sh", "-c", script]).run().ok();
    assert_eq!(run("echo x >/etc/x; echo $ONLAY_OVERLAY $debian_chroot"), "default onlay:default\n");
    assert_eq!(run("cat /etc/x /run/onlay/inside"), "x\ndefault\n");
    assert_eq!(lab.kept(), [".lock", "default"]);
}

#[test]
fn a_temporary_overlay_leaves_nothing() {
    let Some(lab) = Lab::open() else { return };
    let script = "echo x >/etc/x; cat /etc/x; echo $ONLAY_OVERLAY";
    let seen = lab.onlay(&["shell", "-q", "--temp", "--", "sh", "-c", script]).run().ok();
    assert!(seen.starts_with("x\ntemp-"), "{seen}");
    let named = lab.onlay(&["shell", "--temp", "t", "--", "true"]).run();
    named.ok();
    assert!(named.stderr.contains("'t'; it was in RAM and is gone"), "{}", named.stderr);
    assert!(names_in(&lab.state).is_empty());
    assert_eq!(lab.onlay(&["list", "--json"]).run().ok(), "[]\n");
}

#[test]
fn a_temporary_overlay_is_as_large_as_asked_for() {
    let Some(lab) = Lab::open() else { return };
    let script = "head -c 3m /dev/zero >/srv/zeros; stat -c %s /srv/zeros";
    let script = script.replace("head -c 3m /dev/zero", "cat /bin/busybox /bin/busybox");
    let run = |size| lab.onlay(&["shell", "-q", "--temp", "--size", size, "--", "sh", "-c", &script]).run();
    run("64m").ok();
    let full = run("1m");
    assert!(full.stderr.contains("No space left on device"), "{}", full.story());
}

#[test]
fn the_host_is_seen_and_stays_as_it_is() {
    let Some(lab) = Lab::open() else { return };
    let mark = lab.path("mark");
    fs::write(&mark, "host\n").expect("a file");
    let script = "cat $MARK; echo inside >$MARK; cat $MARK; echo x >/usr/x; echo x >/etc/onlay-x; ls /usr/x";
    let ran =
        lab.on_host(&["shell", "-q", "--", "sh", "-c", script]).environment("MARK", mark.as_os_str()).run();
    assert_eq!(ran.ok(), "host\ninside\n/usr/x\n");
    assert_eq!(fs::read_to_string(&mark).expect("there"), "host\n");
    assert!(!fs::exists("/usr/x").expect("a look") && !fs::exists("/etc/onlay-x").expect("a look"));
}

#[test]
fn homes_are_the_hosts_own_unless_asked_otherwise() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "echo shared >/home/user/x; cat /root/own").ok();
    assert_eq!(fs::read_to_string(lab.tree.join("home/user/x")).expect("there"), "shared\n");
    let private = ["shell", "-q", "--no-home", "b", "--", "sh", "-c", "cat /root/own; echo b >/root/own"];
    assert_eq!(lab.onlay(&private).run().ok(), "home\n");
    assert_eq!(fs::read_to_string(lab.tree.join("root/own")).expect("there"), "home\n");
    assert_eq!(lab.onlay(&["shell", "-q", "--no-home", "b", "--", "cat", "/root/own"]).run().ok(), "b\n");
}

#[test]
fn tmp_is_private_and_empty() {
    let Some(lab) = Lab::open() else { return };
    fs::write(lab.tree.join("tmp/host"), "").expect("a file");
    assert_eq!(lab.shell("a", "ls /tmp; echo x >/tmp/x; stat -c %a /tmp").ok(), "1777\n");
    assert_eq!(lab.shell("a", "ls /tmp").ok(), "", "gone with the session");
    assert_eq!(names_in(&lab.tree.join("tmp")), ["host"]);
}

#[test]
fn the_state_is_not_seen_inside() {
    let Some(lab) = Lab::open() else { return };
    lab.host_shell("a", "true").ok();
    let above = lab.path("above");
    symlink(lab.path(""), &above).expect("a link");
    let link = above.join("link");
    symlink("state", &link).expect("a link");
    let script = "ls -A $STATE; touch $STATE/x 2>/dev/null || echo refused";
    // It is hidden where it is, however it is named.
    for state in [&lab.state, &above.join("state"), &link] {
        for way in [&["a"][..], &["--temp"], &["--temp", "--isolate"]] {
            let words = [&["shell", "-q"], way, &["--", "sh", "-c", script]].concat();
            let ran = lab.on_host(&words).state(state).environment("STATE", lab.state.as_os_str()).run();
            assert_eq!(ran.ok(), "refused\n", "{}", ran.story());
        }
    }
}

#[test]
fn the_commands_code_is_the_programs() {
    let Some(lab) = Lab::open() else { return };
    for (script, code) in [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("nosuchcommand", 127)] {
        assert_eq!(lab.shell("a", script).code(), Some(code), "{script}");
    }
    for way in WAYS {
        let run = |command: &str| lab.onlay(&[way, &["b", "--", command]].concat()).run();
        run("/no/such/command").failed(127, &["cannot execute '/no/such/command'", "No such file"]);
        run("nosuchcommand").failed(127, &["cannot execute 'nosuchcommand'"]);
        run("/etc/file").failed(126, &["cannot execute '/etc/file'", "Permission denied"]);
        run("/etc").failed(126, &["Permission denied"]);
        assert!(!run("/etc").stderr.contains("os error"), "{way:?}");
    }
}

#[test]
fn a_signal_that_ends_the_command_ends_the_program() {
    let Some(lab) = Lab::open() else { return };
    for (name, number) in [("TERM", libc::SIGTERM), ("KILL", libc::SIGKILL), ("SEGV", libc::SIGSEGV)] {
        for way in WAYS {
            let script = format!("kill -{name} $$");
            let ran = lab.onlay(&[way, &["a", "--", "sh", "-c", &script]].concat()).run();
            assert_eq!(ran.killed_by(), Some(number), "{}", ran.story());
        }
    }
}

#[test]
fn megabytes_go_through_pipes_unharmed() {
    let Some(lab) = Lab::open() else { return };
    let sent: Vec<u8> = (0..1_250_000u32).flat_map(u32::to_le_bytes).collect();
    for way in WAYS {
        let words = lab.onlay(&[way, &["--temp", "--", "cat"]].concat()).words();
        let mut program = command(&words[0]);
        program.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = program.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut stdout = child.stdout.take().expect("a pipe");
        let mut received = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stdin.write_all(&sent).expect("it reads");
                drop(stdin);
            });
            stdout.read_to_end(&mut received).expect("it writes");
        });
        assert!(child.wait().expect("it ends").success());
        assert!(received == sent, "{way:?}: {} of {} bytes", received.len(), sent.len());
    }
}

#[test]
fn stdout_and_stderr_stay_apart() {
    let Some(lab) = Lab::open() else { return };
    for way in WAYS {
        let script = "echo out; echo err >&2; cat";
        let ran = lab.onlay(&[way, &["--temp", "--", "sh", "-c", script]].concat()).input(b"in\n").run();
        assert_eq!((ran.text().as_str(), ran.stderr.as_str()), ("out\nin\n", "err\n"), "{way:?}");
    }
}

#[test]
fn the_directory_and_the_environment_come_along() {
    let Some(lab) = Lab::open() else { return };
    let words =
        lab.on_host(&["shell", "-q", "--", "sh", "-c", "pwd; echo $MINE; echo $SYSTEMD_OFFLINE"]).words();
    let mut program = command(&words[0]);
    program.args(&words[1..]).current_dir(lab.path("")).env("MINE", OsStr::new("a b"));
    let output = program.output().expect("the program starts");
    let directory = lab.path("").display().to_string();
    let expected = format!("{}\na b\n1\n", directory.trim_end_matches('/'));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    program.current_dir("/tmp");
    let output = program.output().expect("the program starts");
    assert!(output.stdout.starts_with(b"/tmp\n"), "every view has one");
}

#[test]
fn an_overlay_does_not_nest() {
    let Some(lab) = Lab::open() else { return };
    let program = lab.program_inside();
    let script = "$PROGRAM --state $STATE shell b -- true; echo $?; $PROGRAM --state $STATE status --json";
    let ran = lab
        .on_host(&["shell", "-q", "a", "--", "sh", "-c", script])
        .environment("PROGRAM", program.as_os_str())
        .environment("STATE", lab.path("other").as_os_str())
        .run();
    assert!(ran.text().starts_with("1\n"), "{}", ran.story());
    assert!(ran.stderr.contains("this is overlay 'a' already\nhint: leave it first"), "{}", ran.stderr);
    assert!(ran.text().contains("\"inside\": \"a\""), "{}", ran.text());
    let script = "$PROGRAM --state $STATE list; $PROGRAM --state $STATE rm a; true";
    let ran = lab
        .on_host(&["shell", "-q", "a", "--", "sh", "-c", script])
        .environment("PROGRAM", program.as_os_str())
        .environment("STATE", lab.state.as_os_str())
        .run();
    let said = "this is inside overlay 'a', where overlays cannot be seen\n";
    assert_eq!(ran.stderr, format!("onlay: {said}onlay: there is no overlay 'a'\nhint: {said}"));
}

#[test]
fn a_caller_that_ignores_its_children_learns_the_code() {
    let Some(lab) = Lab::open() else { return };
    let onlay = env!("CARGO_BIN_EXE_onlay");
    let state = lab.state.display();
    for mode in ["", "--isolate"] {
        let script = format!(
            "trap '' CHLD; exec '{onlay}' --state '{state}' shell -q --temp {mode} -- sh -c 'exit 7'"
        );
        let status = command("bash").args(["-c", &script]).status().expect("bash starts");
        assert_eq!(status.code(), Some(7), "{mode}");
    }
}

#[test]
fn an_overlay_stays_with_its_root() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "true").ok();
    let ran = lab.on_host(&["shell", "a", "--", "true"]).run();
    ran.failed(1, &["overlay 'a' lies over", "hint: give --root"]);
    lab.on_host(&["diff", "a"]).run().failed(1, &["overlay 'a' lies over"]);
}
