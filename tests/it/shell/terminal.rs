//! A terminal: the command has one, of the right size, and the caller gets his own back.

use crate::kernel::{Lab, Screen};

const WAYS: [&[&str]; 2] = [&["shell", "-q", "a"], &["shell", "-q", "--isolate", "a"]];

/// Prints the size of the terminal at its beginning and whenever it changes, until a key is typed. It
/// waits in steps: a signal that comes just before a read would be seen only after it.
const SIZES: &str = "import fcntl, os, select, signal, struct, termios
def show(*_):
    size = struct.unpack('HHHH', fcntl.ioctl(0, termios.TIOCGWINSZ, b'\\0' * 8))
    os.write(1, b'size %d %d\\n' % size[:2])
signal.signal(signal.SIGWINCH, show)
show()
while not select.select([0], [], [], 0.01)[0]:
    pass
";

const PYTHON: &str = "/usr/bin/python3";

#[test]
fn a_change_of_the_window_reaches_the_command() {
    let Some(lab) = Lab::open() else { return };
    for way in WAYS {
        let words = [way, &["--", PYTHON, "-c", SIZES]].concat();
        let mut screen = Screen::start(&lab.on_host(&words), (24, 80));
        screen.wait_for("size 24 80");
        screen.resize((50, 132));
        screen.wait_for("size 50 132");
        screen.resize((10, 20));
        screen.wait_for("size 10 20");
        screen.type_keys("\n");
        let (status, shown) = screen.finish();
        assert!(status.success(), "{way:?}: {status}: {shown}");
    }
}

#[test]
fn an_isolated_command_has_a_terminal_of_its_own() {
    let Some(lab) = Lab::open() else { return };
    let script = "test -t 0 && test -t 1 && test -t 2 && readlink /proc/self/fd/0; ls /dev/pts";
    let words = ["shell", "-q", "--isolate", "a", "--", "sh", "-c", script];
    let (status, shown) = Screen::start(&lab.onlay(&words), (24, 80)).finish();
    assert!(status.success(), "{status}: {shown}");
    let shown: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(shown, ["/dev/pts/0", "0", "ptmx"]);
}

#[test]
fn who_joins_an_isolated_overlay_has_a_terminal_with_job_control() {
    let Some(lab) = Lab::open() else { return };
    let mut first = lab.on_host(&["shell", "-q", "--isolate", "a", "--", "cat"]).start();
    first.say("ready");
    first.wait_for("ready");
    let mut screen =
        Screen::start(&lab.on_host(&["shell", "-q", "a", "--", "bash", "--norc", "-i"]), (24, 80));
    screen.type_keys("PS1='$ '; stty size; tty\n");
    screen.wait_for("24 80");
    screen.wait_for("/dev/pts/");
    let job = "trap \"echo go$((2+1))\" CONT; echo run$((1+1)); while :; do sleep 0.02; done";
    // Not dash, which waits in vfork(2) for children that may have been stopped.
    screen.type_keys(&format!("bash -c '{job}'\n"));
    screen.wait_for("run2");
    screen.type_keys("\u{1a}");
    screen.wait_for("Stopped");
    screen.type_keys("fg\n");
    screen.wait_for("go3");
    screen.type_keys("\u{3}");
    screen.type_keys("echo code $?\n");
    screen.wait_for("code 130");
    screen.resize((50, 132));
    screen.type_keys("stty size\n");
    screen.wait_for("50 132");
    screen.type_keys("exit 4\n");
    let (status, shown) = screen.finish();
    assert_eq!(status.code(), Some(4), "{shown}");
    first.finish().ok();
}

/// More than a terminal takes in where nobody reads (some 14 KB), but not more than two.
const LENGTH: usize = 24_000;

#[test]
fn a_paste_that_nobody_reads_holds_nothing_up() {
    let Some(lab) = Lab::open() else { return };
    let script = format!(
        "import os, signal, termios, tty\n\
         tty.setraw(0)\n\
         signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])\n\
         os.write(1, b'ready\\r\\n')\n\
         signal.sigwait([signal.SIGUSR1])\n\
         os.write(1, b'got the signal\\r\\n')\n\
         signal.sigwait([signal.SIGUSR2])\n\
         rest = {LENGTH}\n\
         good = True\n\
         while rest:\n    piece = os.read(0, 65536)\n    good &= piece == b'x' * len(piece)\n    rest -= len(piece)\n\
         os.write(1, b'all read ' + str(good).encode() + b'\\r\\n')\n"
    );
    let words = ["shell", "-q", "--isolate", "a", "--", PYTHON, "-c", &script];
    let mut screen = Screen::start(&lab.on_host(&words), (24, 80));
    screen.wait_for("ready");
    screen.type_keys(&"x".repeat(LENGTH));
    // The program hands signals on all the same, and shows what comes.
    screen.signal(libc::SIGUSR1);
    screen.wait_for("got the signal");
    screen.signal(libc::SIGUSR2);
    screen.wait_for("all read True");
    let (status, shown) = screen.finish();
    assert!(status.success(), "{status}: {shown}");
}

#[test]
fn what_writes_for_ever_does_not_hold_the_end_up() {
    let Some(lab) = Lab::open() else { return };
    let mut first = lab.on_host(&["shell", "-q", "--isolate", "a", "--", "cat"]).start();
    first.say("ready");
    first.wait_for("ready");
    let script = "trap '' HUP; echo first; yes & \
        sleep 0.3; exit 6";
    let words = ["shell", "-q", "a", "--", "sh", "-c", script];
    let (status, shown) = Screen::start(&lab.on_host(&words), (24, 80)).finish();
    assert_eq!(status.code(), Some(6));
    assert!(shown.starts_with("first\r\n"), "{}", &shown[..100]);
    // What was written before the end is shown, also where much of it still was on its way.
    let script = "trap '' HUP; i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; echo the last; \
        yes & exit 8";
    let (status, shown) =
        Screen::start(&lab.on_host(&["shell", "-q", "a", "--", "sh", "-c", script]), (24, 80)).finish();
    assert_eq!(status.code(), Some(8));
    assert!(shown.contains("line 4999\r\nthe last\r\n"), "not all was shown");
    first.finish().ok();
}

#[test]
fn the_last_words_of_an_isolated_command_are_shown() {
    let Some(lab) = Lab::open() else { return };
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo the last";
    let words = ["shell", "-q", "--isolate", "a", "--", "sh", "-c", script];
    let (status, shown) = Screen::start(&lab.onlay(&words), (24, 80)).finish();
    assert!(status.success());
    assert_eq!(shown.lines().count(), 3001);
    assert!(shown.ends_with("the last\r\n"), "{shown}");
}

#[test]
fn the_terminals_mode_comes_back() {
    let Some(lab) = Lab::open() else { return };
    let words = |way: &[&str], script: &str| -> Vec<String> {
        let run = lab.onlay(&[way, &["--", "sh", "-c", script]].concat());
        run.words().iter().map(|word| word.to_string_lossy().into_owned()).collect()
    };
    for way in WAYS {
        for script in ["true", "kill -9 $$", "exit 3"] {
            let through = ["/bin/sh", "-c", "stty -g; \"$@\"; stty -g; echo done", "sh"];
            let inner = words(way, script);
            let mut all: Vec<&str> = through.to_vec();
            all.extend(inner.iter().map(String::as_str));
            let run = lab.onlay(&[]).through(&all);
            let (_, shown) = Screen::start(&run, (24, 80)).finish();
            let modes: Vec<&str> = shown.lines().filter(|line| line.contains(':')).collect();
            let modes: Vec<&str> = modes.into_iter().filter(|line| line.matches(':').count() > 20).collect();
            assert_eq!(modes.len(), 2, "{way:?} {script}: {shown}");
            assert_eq!(modes[0], modes[1], "{way:?} {script}");
        }
    }
}
