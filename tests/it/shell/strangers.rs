//! Joining those who are not trusted: who comes into an isolated overlay is seen by them before the
//! command is executed, and shows them nothing.

use std::os::unix::fs::MetadataExt;

use crate::kernel::{Lab, Onlay, Started};

const PYTHON: &str = "/usr/bin/python3";

/// Looks at every process that appears, until a line is typed, and tells what it could learn of each
/// while it was still the program that joins.
const WATCHER: &str = "
import ctypes, os, select, sys
libc = ctypes.CDLL(None, use_errno=True)

def read(pid, name):
    try:
        with open(f'/proc/{pid}/{name}', 'rb') as file: return file.read(4096)
    except OSError: return None

def rights(pid):
    lines = (read(pid, 'status') or b'').decode().splitlines()
    return [line.split()[1] for line in lines if line.startswith(('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'Seccomp:'))]

def is_early(pid):
    return (read(pid, 'cmdline') or b'').split(b'\\0')[0].endswith(b'/onlay')

def links(pid):
    found = ['exe', 'cwd', 'root', 'ns/mnt', 'ns/pid']
    try: return found + ['fd/' + fd for fd in os.listdir(f'/proc/{pid}/fd')]
    except OSError: return found

def look(pid):
    for name in links(pid):
        try: yield f'{name} -> ' + os.readlink(f'/proc/{pid}/{name}')
        except OSError: pass
    for name in ['mem', 'maps', 'environ', 'auxv', 'syscall']:
        if read(pid, name): yield name
    if libc.ptrace(0x4206, pid, 0, 0) == 0: yield 'traced'

known = set(os.listdir('/proc'))
own = rights('self')
seen = set()
print('ready', flush=True)
while not select.select([0], [], [], 0)[0]:
    for pid in set(os.listdir('/proc')) - known:
        if not pid.isdigit(): continue
        first = rights(pid)
        if not is_early(pid): continue
        if first and first != own and is_early(pid): print('rights', first, own)
        for found in look(int(pid)):
            if is_early(pid): print('found', found)
        if is_early(pid): seen.add(pid)
print('saw', len(seen), flush=True)
";

/// Holds a process up at its first steps and before it executes, for as long as it takes to be looked at.
const SLOWLY: &[&str] = &[
    "/usr/bin/strace",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=prctl,execve",
    "-e",
    "inject=prctl:delay_enter=20000",
    "-e",
    "inject=execve:delay_enter=500000",
];

fn watched(lab: &Lab, script: &str) -> Started {
    let words = ["shell", "-q", "--isolate", "a", "--", PYTHON, "-c", script];
    let started = lab.on_host(&words).start();
    started.wait_for("ready");
    started
}

fn joining<'a>(lab: &'a Lab, command: &[&'a str]) -> Onlay<'a> {
    lab.on_host(&[&["shell", "-q", "a", "--"], command].concat())
}

#[test]
fn who_comes_in_shows_nothing() {
    let Some(lab) = Lab::open() else { return };
    let mut watcher = watched(&lab, WATCHER);
    let slowly = joining(&lab, &["/bin/sh", "-c", "exit 5"]).through(SLOWLY);
    assert_eq!(slowly.run().code(), Some(5));
    let descriptors = ["/bin/bash", "-c", "exec \"$@\" 5</ 6</etc", "bash"];
    let slowly = joining(&lab, &["/bin/true"]).through(&[&descriptors, SLOWLY].concat());
    slowly.run().ok();
    watcher.say("stop");
    assert_eq!(watcher.finish().ok(), "ready\nsaw 2\n");
}

/// Opens the program of every process that appears, and tells whether it is the one with this inode
/// and could be written through what was opened, once nobody runs it any more.
const GRABBER: &str = "
import os, select
inode = INODE
known = set(os.listdir('/proc'))
found = {}
print('ready', flush=True)
while not select.select([0], [], [], 0)[0]:
    for pid in set(os.listdir('/proc')) - known:
        try: file = os.open(f'/proc/{pid}/exe', os.O_RDONLY)
        except OSError: continue
        if pid not in found and os.fstat(file).st_ino == inode:
            found[pid] = bool(os.fstatvfs(file).f_flag & os.ST_RDONLY)
        os.close(file)
print('read-only', list(found.values()), flush=True)
";

/// Strangers who put `#!/proc/self/exe` where a command is have the program itself executed, which
/// then may be looked into.
#[test]
fn the_program_is_not_written_through_who_executes_it() {
    let Some(lab) = Lab::open() else { return };
    let program = std::fs::metadata(env!("CARGO_BIN_EXE_onlay")).expect("the program");
    let script = GRABBER.replace("INODE", &program.ino().to_string());
    let script = format!(
        "open('/usr/local/bin/trap', 'w').write('#!/proc/self/exe\\n')\nimport os; os.chmod('/usr/local/bin/trap', 0o755)\n{script}"
    );
    let mut grabber = watched(&lab, &script);
    let slowly = ["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=execve"];
    let slowly = [&slowly[..], &["-e", "inject=execve:delay_exit=500000"]].concat();
    // What it then says of its arguments does not matter.
    joining(&lab, &["/usr/local/bin/trap"]).through(&slowly).run();
    grabber.say("stop");
    assert_eq!(grabber.finish().ok(), "ready\nread-only [True]\n");
}
