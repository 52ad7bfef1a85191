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
