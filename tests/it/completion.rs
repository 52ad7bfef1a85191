//! Completion, in the shells themselves: names of overlays come where one is expected, and nothing
//! comes for who may not list them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::kernel::{Lab, Screen, command, tool_or_skip};

/// A lab with overlays in its own state and one in another, and the program as `onlay` in PATH.
struct Bench {
    lab: Lab,
    environment: String,
}

impl Bench {
    fn open(shell: &str) -> Option<Bench> {
        let mut lab = Lab::open()?;
        if !tool_or_skip(shell) {
            return None;
        }
        for name in ["web-1", "db", "host"] {
            lab.shell(name, "true").ok();
        }
        // Of an image, the name is all that is looked at here.
        for image in ["gdb_1_any.raw", "gdb_2_any.raw", "strace_6.13-1_x86-64.raw"] {
            fs::create_dir_all(lab.path("state/images")).expect("our directory");
            fs::write(lab.path("state/images").join(image), "").expect("ours");
        }
        let other = lab.path("other");
        lab.onlay(&["shell", "-q", "elsewhere", "--", "true"]).state(&other).run().ok();
        lab.uses(&other);
        for directory in ["", "bin", "home"] {
            fs::create_dir_all(lab.path(directory)).expect("our directory");
            fs::set_permissions(lab.path(directory), fs::Permissions::from_mode(0o755)).expect("ours");
        }
        fs::copy(env!("CARGO_BIN_EXE_onlay"), lab.path("bin/onlay")).expect("a copy that everybody may run");
        let place = |name| lab.path(name).display().to_string();
        // What a store has is known from when it was asked last.
        let (root, store) = (lab.path("root"), lab.path("store"));
        fs::create_dir_all(root.join("etc/onlay")).and_then(|()| fs::create_dir(&store)).expect("ours");
        let config = format!("[store.main]\nurl = '{}'\nsignature = 'none'\n", store.display());
        fs::write(root.join("etc/onlay/onlay.toml"), config).expect("ours");
        fs::write(store.join("SHA256SUMS"), format!("{} *of-a-store_1_any.raw\n", "0".repeat(64)))
            .expect("ours");
        lab.onlay(&["ext", "search", "--names"]).root(&root).run().ok();
        fs::remove_dir_all(store).expect("ours");
        let environment = format!(
            "cd {} && export PATH={}:/usr/sbin:/usr/bin:/sbin:/bin ONLAY_STATE={} HOME={} TERM=vt100 LC_ALL=C",
            place("home"),
            place("bin"),
            place("state"),
            place("home")
        );
        Some(Bench { lab, environment })
    }

    /// What to type before the key that completes, and what then stands on the line.
    fn cases(&self) -> Vec<(String, String)> {
        let other = self.lab.path("other").display().to_string();
        let store = self.lab.path("root").display().to_string();
        let plain = [
            ("onlay rm d", "onlay rm db"),
            ("onlay rm web-1 --dry-run h", "onlay rm web-1 --dry-run host"),
            ("onlay shell w", "onlay shell web-1"),
            ("onlay shell --temp --size 5m w", "onlay shell --temp --size 5m web-1"),
            ("onlay diff --json h", "onlay diff --json host"),
            ("onlay shell web-1 d", "onlay shell web-1 d"),
            ("onlay rm q", "onlay rm q"),
            ("onlay list d", "onlay list d"),
            ("onlay stat", "onlay status"),
            ("onlay ext remove g", "onlay ext remove gdb"),
            ("onlay ext disable gdb s", "onlay ext disable gdb strace"),
            ("onlay ext enable --dry-run s", "onlay ext enable --dry-run strace"),
            ("onlay ext check --systemd 252 s", "onlay ext check --systemd 252 strace"),
            ("onlay ext list s", "onlay ext list s"),
            ("onlay ext update s", "onlay ext update strace"),
            ("onlay ext pin gdb s", "onlay ext pin gdb strace"),
            ("onlay ext rollback g", "onlay ext rollback gdb"),
        ];
        let mut cases: Vec<(String, String)> =
            plain.map(|(typed, line)| (typed.to_owned(), line.to_owned())).to_vec();
        for verb in ["add", "info"] {
            let line = format!("onlay --root {store} ext {verb}");
            cases.push((format!("{line} of-a-s"), format!("{line} of-a-store")));
        }
        for place in [format!("--state {other}"), format!("--state={other}")] {
            cases.push((format!("onlay {place} rm e"), format!("onlay {place} rm elsewhere")));
            cases.push((format!("onlay shell {place} e"), format!("onlay shell {place} elsewhere")));
        }
        cases
    }

    /// Runs an interactive shell on a terminal and types each line, completes it, and echoes it.
    fn type_all(&self, shell: &str, setup: &str, as_nobody: bool, cases: &[(String, String)]) {
        let who = if as_nobody { "setpriv --reuid=65534 --regid=65534 --clear-groups" } else { "" };
        let script = format!("{} && exec {who} {shell}", self.environment);
        let mut screen =
            Screen::start(&self.lab.onlay(&[]).through(&["/bin/sh", "-c", &script, "sh"]), (24, 200));
        screen.type_keys(&format!("{setup}; PS1='>'; echo rea''dy\r"));
        screen.wait_for("ready\r\n");
        for (typed, line) in cases {
            // To the line's beginning, and back to its end.
            screen.type_keys(&format!("{typed}\t\u{1}echo li''ne: \u{5} .\r"));
            screen.wait_for(&format!("line: {line} .\r\n"));
        }
        screen.type_keys("exit\r");
        let (_, shown) = screen.finish();
        assert!(!shown.contains("only root may"), "{shown}");
    }
}

#[test]
fn bash_completes_names() {
    let Some(bench) = Bench::open("/bin/bash") else { return };
    let mut cases = bench.cases();
    cases.push(("onlay shell -- setpri".into(), "onlay shell -- setpriv".into()));
    let (typed, line) = (bench.lab.path("oth"), bench.lab.path("other"));
    cases.push((format!("onlay --state {}", typed.display()), format!("onlay --state {}/", line.display())));
    bench.type_all("bash --norc --noprofile -i", "source <(onlay completion bash)", false, &cases);
    let nothing = [("onlay rm d".to_owned(), "onlay rm d".to_owned())];
    bench.type_all("bash --norc --noprofile -i", "source <(onlay completion bash)", true, &nothing);
}

#[test]
fn zsh_completes_names() {
    let Some(bench) = Bench::open("/bin/zsh") else { return };
    let setup = "autoload -Uz compinit; compinit -D -u; source <(onlay completion zsh)";
    let mut cases = bench.cases();
    // Zsh takes the slash away again when the cursor leaves.
    let (typed, line) = (bench.lab.path("ot"), bench.lab.path("other"));
    for words in ["onlay shell --", "onlay shell web-1 --"] {
        cases.push((format!("{words} setpri"), format!("{words} setpriv")));
        cases.push((format!("{words} ls {}", typed.display()), format!("{words} ls {}", line.display())));
    }
    bench.type_all("zsh -f -i", setup, false, &cases);
    let nothing = [("onlay rm d".to_owned(), "onlay rm d".to_owned())];
    bench.type_all("zsh -f -i", setup, true, &nothing);
}

#[test]
fn fish_completes_names() {
    let Some(bench) = Bench::open("/usr/bin/fish") else { return };
    let offered = |typed: &str, who: &[&str]| -> String {
        let ask = "onlay completion fish | source; complete --do-complete $argv[1] | string split -f1 \\t";
        let script = format!("{} && exec \"$@\"", bench.environment);
        let mut shell = command("/bin/sh");
        shell.args(["-c", &script, "sh"]).args(who).args(["fish", "--no-config", "-c", ask, typed]);
        let output = shell.output().expect("fish starts");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (typed, line) in bench.cases() {
        let last = typed.rsplit(' ').next().expect("a word");
        let completed = line.rsplit(' ').next().expect("a word");
        let wanted = if completed == last { String::new() } else { format!("{completed}\n") };
        assert_eq!(offered(&typed, &[]), wanted, "{typed}");
    }
    assert_eq!(offered("onlay rm ", &[]), "db\nhost\nweb-1\n");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    assert_eq!(offered("onlay rm ", &nobody), "");
}
