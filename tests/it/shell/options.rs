//! What may be asked for, what is refused, and what is only said.

use std::fs;
use std::path::Path;

use crate::kernel::{Lab, names_in, sh};

#[test]
fn options_that_exclude_each_other_are_refused() {
    let Some(lab) = Lab::open() else { return };
    let cases: &[(&[&str], &str)] = &[
        (&["--no-net"], "--no-net needs --isolate or --boot"),
        (&["--isolate", "--unguarded"], "--unguarded does not go with --isolate or --boot"),
        (&["--boot", "--unguarded"], "--unguarded does not go with --isolate or --boot"),
        (&["--boot", "--isolate"], "cannot be used with"),
        (&["--size", "5m"], "--size needs --temp"),
        (&["--temp", "--size", "0"], "'0' is not a size: the least is 1m"),
        (&["--temp", "--size", "much"], "'much' is not a size: it is a whole number"),
        (&["--temp", "--size=-1m"], "'-1m' is not a size: it is a whole number"),
        (&["--temp", "--size", "9000t"], "--size 9000t is more than this machine has: RAM and swap are"),
        (&["a", "b"], "unexpected argument 'b'"),
        (&["--nonsense"], "unexpected argument '--nonsense'"),
    ];
    for (options, words) in cases {
        let ran = lab.onlay(&[&["shell"], *options, &["--", "true"]].concat()).run();
        ran.failed(2, &[words]);
        assert!(ran.stdout.is_empty(), "{}", ran.story());
    }
    lab.onlay(&["shell", "--boot", "--", "true"]).run().failed(2, &["--boot takes no command"]);
    for words in [&["rm"][..], &["nonsense"], &[]] {
        assert_eq!(lab.onlay(words).run().code(), Some(2), "{words:?}");
    }
    assert!(names_in(&lab.state).is_empty(), "nothing was made");
}

#[test]
fn bad_names_are_refused_with_the_rule() {
    let Some(lab) = Lab::open() else { return };
    let long = "x".repeat(300);
    let cases = [
        ("../x", "it must begin with a letter or digit"),
        ("..", "it must begin with a letter or digit"),
        ("", "it is empty"),
        (long.as_str(), "it is longer than 64 bytes"),
        ("a/b", "only letters, digits, '.', '_' and '-' are allowed"),
        ("a b", "only letters, digits, '.', '_' and '-' are allowed"),
        ("a\nb", "only letters, digits, '.', '_' and '-' are allowed"),
        (".hidden", "it must begin with a letter or digit"),
    ];
    for (name, rule) in cases {
        for words in [&["shell", name][..], &["rm", name], &["diff", name]] {
            lab.onlay(words).run().failed(2, &[rule]);
        }
    }
    for words in [&["shell", "-x"][..], &["rm", "-x"], &["diff", "-x"]] {
        lab.onlay(words).run().failed(2, &["unexpected argument '-x'"]);
    }
    lab.onlay(&["rm", "--", "-x"]).run().failed(2, &["it must begin with a letter or digit"]);
    assert!(names_in(&lab.state).is_empty(), "nothing was made");
}

#[test]
fn any_good_name_will_do() {
    let Some(lab) = Lab::open() else { return };
    let long = "x".repeat(64);
    for name in ["entry", "entry.lock", "a.json", "a.lock", "layers", "9", long.as_str()] {
        assert_eq!(lab.shell(name, "echo $ONLAY_OVERLAY").ok(), format!("{name}\n"));
        let inside = lab.stay(&[name]);
        assert_eq!(lab.shell(name, "echo joined").ok(), "joined\n");
        lab.onlay(&["rm", name]).run().failed(1, &["in use"]);
        inside.finish().ok();
        lab.onlay(&["rm", name]).run().ok();
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    let Some(lab) = Lab::open() else { return };
    let state = lab.path("new/state");
    let plan = lab.onlay(&["shell", "--dry-run", "a", "--", "touch", "/etc/x"]).state(&state).run().ok();
    assert!(plan.starts_with("would make 'a' over tiny\n"), "{plan}");
    assert!(plan.contains("  /         writable, kept with the overlay\n"), "{plan}");
    assert!(plan.contains("  /tmp      empty, in RAM\n"), "{plan}");
    let isolated = lab.onlay(&["shell", "--dry-run", "--isolate", "a"]).state(&state).run().ok();
    assert!(isolated.contains("  /dev   its own\n  /home  the host's own\n"), "{isolated}");
    let ran = lab.onlay(&["shell", "--temp", "--dry-run", "--", "true"]).state(&state).run();
    assert!(ran.ok().contains("in RAM over tiny"));
    assert!(!lab.path("new").exists(), "no state was made");
    lab.shell("a", "echo x >/etc/x").ok();
    let plan = lab.onlay(&["shell", "--dry-run", "a", "--", "rm", "/etc/x"]).run().ok();
    assert!(plan.starts_with("would enter 'a' over tiny\n"), "{plan}");
    assert_eq!(lab.onlay(&["rm", "--dry-run", "a"]).run().ok(), "would remove 'a'\n");
    assert_eq!(lab.shell("a", "cat /etc/x").ok(), "x\n");
    let inside = lab.stay(&["a"]);
    let plan = lab.onlay(&["shell", "--dry-run", "a"]).run().ok();
    assert!(plan.starts_with(&format!("would join 'a' through process {} (onlay ", inside.pid())), "{plan}");
    lab.onlay(&["rm", "--dry-run", "a"]).run().failed(1, &["in use"]);
    inside.finish().ok();
}

#[test]
fn who_only_looks_makes_nothing() {
    let Some(lab) = Lab::with_private_mounts() else { return };
    lab.shell("a", "true").ok();
    let looks: [&[&str]; 8] = [
        &["list"],
        &["list", "--names"],
        &["status"],
        &["diff", "a"],
        &["diff", "missing"],
        &["rm", "--dry-run", "a"],
        &["shell", "--dry-run", "a"],
        &["shell", "--dry-run", "--temp"],
    ];
    // As after a boot, for a state that is there and one that is not.
    lab.mount_tmpfs("size=1m,mode=0755", Path::new("/run"));
    for state in [lab.state.clone(), lab.path("nowhere")] {
        for words in looks {
            let ran = lab.onlay(words).state(&state).run();
            assert!(matches!(ran.code(), Some(0 | 1)), "{}", ran.story());
            assert!(names_in(Path::new("/run")).is_empty(), "{}", ran.story());
        }
    }
    assert!(!lab.path("nowhere").exists());
    sh("umount /run", &[]);
    assert_eq!(names_in(lab.folder()), [".entry.lock"]);
    for words in looks {
        lab.onlay(words).run();
        assert_eq!(names_in(lab.folder()), [".entry.lock"], "{words:?}");
    }
}

#[test]
fn lists_have_the_documented_fields() {
    let Some(lab) = Lab::open() else { return };
    assert_eq!(lab.onlay(&["list", "--json"]).run().ok(), "[]\n");
    assert!(lab.onlay(&["list"]).run().stderr.starts_with("onlay: no overlays; 'onlay --state /"));
    lab.shell("disk", "true").ok();
    let in_ram = lab.stay(&["--temp", "ram"]);
    let isolated = lab.stay(&["--isolate", "shut"]);
    let open = lab.stay(&["--unguarded", "wide"]);
    let list = lab.onlay(&["list", "--json"]).run().json();
    let fields = |row: &serde_json::Value| -> Vec<String> {
        row.as_object().expect("an object").keys().cloned().collect()
    };
    let on_disk = ["base", "bytes", "created", "entries", "last_used", "name", "state", "storage"];
    assert_eq!(fields(&list[0]), on_disk);
    assert_eq!((&list[0]["name"], &list[0]["state"]), (&"disk".into(), &"idle".into()));
    assert_eq!(list[0]["base"], serde_json::json!({ "kind": "plain", "os": "tiny" }));
    for field in ["created", "last_used"] {
        let time = list[0][field].as_str().expect("a time");
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
    }
    assert_eq!((&list[1]["name"], &list[1]["state"]), (&"shut".into(), &"isolated".into()));
    assert!(list[1].get("guarded").is_none(), "{list}");
    assert_eq!((&list[2]["name"], &list[2]["guarded"]), (&"wide".into(), &false.into()));
    assert_eq!(fields(&list[3]), ["command", "guarded", "name", "pid", "state", "storage"]);
    assert_eq!((&list[3]["storage"], &list[3]["pid"]), (&"ram".into(), &in_ram.pid().into()));
    assert_eq!((&list[3]["guarded"], &list[3]["command"][1]), (&true.into(), &"--state".into()));
    let table = lab.onlay(&["list"]).run().ok();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("NAME  STATE            PROCESS"), "{table}");
    for (line, words) in lines[1..].iter().zip([
        "disk  idle  ",
        "shut  isolated  ",
        "wide  host, UNGUARDED  ",
        "ram   host, guarded  ",
    ]) {
        assert!(line.starts_with(words), "{table}");
    }
    assert!(lines[3].contains(&format!(" {} (onlay --state", open.pid())), "{table}");
    assert!(lines[1].contains("  0 B      tiny") && lines[4].ends_with("  in RAM"), "{table}");
    assert_eq!(lab.onlay(&["list", "--names"]).run().ok(), "disk\nram\nshut\nwide\n");
    for stays in [in_ram, isolated, open] {
        stays.finish().ok();
    }
    assert!(!lab.onlay(&["list"]).run().ok().contains("PROCESS"), "nobody is in any");
    assert_eq!(lab.onlay(&["diff", "disk", "--json"]).run().json(), serde_json::json!([]));
    assert_eq!(lab.onlay(&["diff", "disk"]).run().stderr, "onlay: 'disk' changes nothing\n");
    lab.onlay(&["diff", "nowhere", "--json"]).run().failed(1, &["there is no overlay 'nowhere'"]);
}

#[test]
fn status_has_the_documented_fields() {
    let Some(lab) = Lab::open() else { return };
    lab.shell("a", "true").ok();
    let status = lab.onlay(&["status", "--json"]).run().json();
    assert_eq!((&status["os_id"], &status["base"]["os"]), (&"tiny".into(), &"tiny".into()));
    assert_eq!(status["overlays"][0]["name"], "a");
    assert!(status["architecture"].is_string() && status["writable"]["/"] == true, "{status}");
    assert!(status.get("inside").is_none() && status.get("packages").is_none(), "{status}");
    let host = lab.on_host(&["status", "--json"]).run().json();
    for field in ["base", "os_id", "architecture", "writable", "overlays"] {
        assert!(host.get(field).is_some(), "{field}: {host}");
    }
    assert!(lab.onlay(&["status"]).run().ok().contains("Base:"));
}

#[test]
fn several_overlays_are_removed_and_each_failure_told() {
    let Some(lab) = Lab::open() else { return };
    lab.onlay(&["rm", "a"]).run().failed(1, &["there is no overlay 'a'"]);
    lab.shell("a", "echo x >/etc/x").ok();
    lab.shell("b", "echo x >/etc/x").ok();
    let inside = lab.stay(&["c"]);
    let ran = lab.onlay(&["rm", "a", "missing", "c", "b"]).run();
    ran.failed(
        1,
        &[
            "removed 'a'",
            "removed 'b'",
            "no overlay 'missing'",
            "'c' is in use by process",
            "2 of 4 overlays",
        ],
    );
    assert_eq!(lab.kept(), [".lock", "c"]);
    inside.finish().ok();
}

#[test]
fn the_state_may_be_named_by_a_link_or_relatively() {
    let Some(lab) = Lab::open() else { return };
    let link = lab.path("link");
    std::os::unix::fs::symlink(&lab.state, &link).expect("a link");
    lab.onlay(&["shell", "-q", "a", "--", "touch", "/etc/x"]).state(&link).run().ok();
    let inside = lab.stay(&["a"]);
    let joined = lab.onlay(&["shell", "a", "--", "ls", "/etc/x"]).state(&link).run();
    assert!(joined.stderr.contains("joined"), "{}", joined.story());
    inside.finish().ok();
    let mut program = crate::kernel::command(env!("CARGO_BIN_EXE_onlay"));
    program.current_dir(lab.path("")).args(["--state", "state", "--root", "tree", "shell", "-q", "a"]);
    let output = program.args(["--", "ls", "/etc/x"]).output().expect("the program starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/etc/x\n", "{output:?}");
    assert!(fs::exists(lab.overlay("a")).expect("a look"));
}

#[test]
fn a_state_directory_is_not_made_or_missed_silently() {
    let Some(mut lab) = Lab::open() else { return };
    let state = lab.path("deep/er/state");
    let none = format!("no overlays (there is no directory {}); 'onlay --state ", state.display());
    for words in [&["list"][..], &["status"]] {
        let ran = lab.onlay(words).state(&state).run();
        assert!((ran.ok() + &ran.stderr).contains(&none), "{}", ran.story());
    }
    assert!(!lab.path("deep").exists(), "who reads makes nothing");
    let made = lab.onlay(&["shell", "a", "--", "true"]).state(&state).run();
    let said = format!("onlay: made the state directory {}\nonlay: made overlay 'a'; ", state.display());
    assert!(made.stderr.starts_with(&said), "{}", made.story());
    let again = lab.onlay(&["shell", "a", "--", "true"]).state(&state).run();
    assert!(!again.stderr.contains("state directory"), "{}", again.story());
    let cd = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", lab.tree.to_str().expect("our path")];
    let hint = lab.onlay(&["rm", "b"]).state(Path::new("../deep/er/state")).through(&cd).run();
    hint.failed(1, &[&format!("hint: 'onlay --state {}/../deep/er/state", lab.tree.display())]);
    lab.uses(&state);
}

#[test]
fn streams_that_cannot_be_written_stop_no_work() {
    let Some(lab) = Lab::open() else { return };
    let through = |redirection: &str| -> Vec<String> {
        vec!["/bin/sh".into(), "-c".into(), format!("exec \"$@\" {redirection}"), "sh".into()]
    };
    for redirection in ["2>/dev/full", "2>&-"] {
        let wrapper = through(redirection);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let ran =
            lab.onlay(&["shell", "a", "--", "sh", "-c", "echo x >/etc/x; exit 7"]).through(&wrapper).run();
        assert_eq!(ran.code(), Some(7), "{redirection}: {}", ran.story());
        assert_eq!(lab.onlay(&["rm", "b"]).through(&wrapper).run().code(), Some(1), "{redirection}");
        lab.onlay(&["rm", "a"]).through(&wrapper).run().ok();
    }
    lab.onlay(&["list", "--json"])
        .through(&["/bin/sh", "-c", "exec \"$@\" >/dev/full", "sh"])
        .run()
        .failed(1, &["cannot write the output: No space left on device"]);
}
