//! Labels of SELinux, as libselinux finds them: matchpathcon(8) of the same lists, for the same paths. `ONLAY_TEST_POLICY` may name a
//! list to compare with besides, such as a distribution's `file_contexts`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use onlay::host::selinux;
use onlay::sys::{FileKind, Root};

use crate::debian::{command, expect_success, place, skip, words};

/// Everything that patterns of real policies have, and what they have not, but PCRE2 knows.
const LIST: &str = "\
# comment
/.*\tsystem_u:object_r:default_t:s0
/\t-d\tsystem_u:object_r:root_t:s0
/usr(/.*)?\tsystem_u:object_r:usr_t:s0
/usr/(.*/)?lib(/.*)?\tsystem_u:object_r:lib_t:s0
/usr/(.*/)?s?bin(/.*)?\tsystem_u:object_r:bin_t:s0
/usr/(.*/)?bin/python.*\t--\tsystem_u:object_r:python_t:s0
/usr/lib/.+\\.so(\\.[^/]*)*\t--\tsystem_u:object_r:so_t:s0
/usr/lib/[^/]*/ld[^/]*\\.so(\\.[^/]*)*\t--\tsystem_u:object_r:ld_so_t:s0
/usr/lib/systemd/system/[^/]*\\.(service|socket)\tsystem_u:object_r:unit_t:s0
/usr/lib/systemd/systemd-(machined|logind|user.*)\t--\tsystem_u:object_r:exec_t:s0
/usr/lib/modules/[0-9]{1,2}\\.[[:digit:]]+(-[a-z]+)?(/.*)?\tsystem_u:object_r:modules_t:s0
/usr/bin/fusermount3?\t--\tsystem_u:object_r:fuse_t:s0
/usr/bin/x\\+\\+\t--\tsystem_u:object_r:escaped_t:s0
/usr/bin/ls\t--\tsystem_u:object_r:ls_t:s0
/usr/bin/ls\t-l\tsystem_u:object_r:ls_link_t:s0
/usr/share/doc(/.*)?\t<<none>>
/usr/share/doc/kept(/.*)?\tsystem_u:object_r:kept_t:s0
/usr/share/.*\\.py[co]?\t--\tsystem_u:object_r:py_t:s0
/usr/share/fonts/(a|b)+/x{2,}\tsystem_u:object_r:fonts_t:s0
/usr/share/odd/\\d+\\w\\s?\tsystem_u:object_r:odd_t:s0
/usr/share/[[:alpha:]_-]+/[^[:space:]]+\\.html?\tsystem_u:object_r:html_t:s0
/usr/share/lazy/.*?x\tsystem_u:object_r:lazy_t:s0
/usr/share/(?:not|kept)/caught\tsystem_u:object_r:group_t:s0
/opt/(.*/)?var(/.*)?\tsystem_u:object_r:var_t:s0
/opt/[^/]+/bin/.*\t-d\tsystem_u:object_r:dir_t:s0
/opt/fixed\tsystem_u:object_r:fixed_t:s0
";

const LOCAL: &str =
    "/opt/local(/.*)?\tsystem_u:object_r:local_t:s0\n/usr/bin/l.\tsystem_u:object_r:shadowed_t:s0\n";

const SUBSTITUTIONS: &str = "/usr/lib64 /usr/lib\n/lib /usr/lib\n/bin /usr/bin\n/opt/alias /opt\n";

/// Of these, paths are made.
const PARTS: &[&str] = &[
    "usr",
    "lib",
    "lib64",
    "bin",
    "sbin",
    "share",
    "opt",
    "var",
    "doc",
    "kept",
    "systemd",
    "system",
    "modules",
    "fonts",
    "odd",
    "local",
    "fixed",
    "alias",
    "python3",
    "python",
    "ls",
    "lx",
    "x++",
    "fusermount",
    "fusermount3",
    "libx.so",
    "libx.so.1.2",
    "ld.so.2",
    "a.service",
    "b.socket.d",
    "systemd-machined",
    "systemd-userdbd",
    "6.12",
    "6.1-amd",
    "123.4",
    "x.py",
    "y.pyc",
    "y.pyx",
    "abab",
    "xx",
    "x",
    "12a",
    "7z ",
    "either1",
    "or2",
    "index.html",
    "page.htm",
    "a b.html",
    "lazyx",
    "lazy",
    "not",
    "caught",
    "\u{e4}.so",
    "\u{1f980}",
];

const KINDS: &[(&str, FileKind)] = &[
    ("file", FileKind::File),
    ("dir", FileKind::Directory),
    ("lnk_file", FileKind::Symlink),
    ("pipe", FileKind::Fifo),
];

/// matchpathcon(8), which lies where only root looks.
fn matchpathcon() -> Option<&'static str> {
    let found =
        ["/usr/sbin/matchpathcon", "/sbin/matchpathcon"].into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        skip("no matchpathcon; scripts/install-test-tools installs it");
    }
    found
}

/// The labels of paths, by their lines.
fn theirs(program: &str, list: &Path, kind: &str, paths: &[String]) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for some in paths.chunks(500) {
        let mut matchpathcon = command(program);
        let output = expect_success(matchpathcon.arg("-f").arg(list).args(["-m", kind]).args(some));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.lines().count(), some.len(), "{}", words(&output));
        for (path, line) in some.iter().zip(text.lines()) {
            let label = line.strip_prefix(path.as_str()).unwrap_or_else(|| panic!("{path}: {line}"));
            labels.insert(path.clone(), label.trim().to_owned());
        }
    }
    labels
}

fn compare(program: &str, list: &Path, paths: &[String]) {
    let root = Root::open(list.parent().expect("a file")).expect("it opens");
    let contexts = selinux::read(&root, Path::new(list.file_name().expect("a file"))).expect("it is read");
    for (word, kind) in KINDS {
        let theirs = theirs(program, list, word, paths);
        for path in paths {
            let ours = contexts.label(path.as_bytes(), *kind).expect("it can be looked up");
            let expected = theirs.get(path).filter(|label| *label != "<<none>>").map(String::as_str);
            assert_eq!(ours.as_deref(), expected, "{word} {path}");
        }
    }
}

fn made_up_paths(count: usize) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(7);
    let path = |random: &mut fastrand::Rng| {
        let depth = random.usize(1..6);
        let mut path = String::new();
        for level in 0..depth {
            // Most begin as real ones do.
            let most = if level == 0 && random.u8(..10) > 0 { 2 } else { PARTS.len() };
            let part = if level == 0 && most == 2 { ["/usr", "/opt"][random.usize(..2)] } else { "" };
            path += part;
            if part.is_empty() {
                path += "/";
                path += PARTS[random.usize(..PARTS.len())];
            }
        }
        path
    };
    let mut paths: Vec<String> = (0..count).map(|_| path(&mut random)).collect();
    paths.push("/".to_owned());
    paths.sort();
    paths.dedup();
    paths
}

#[test]
fn labels_are_those_of_libselinux() {
    let Some(program) = matchpathcon() else { return };
    let place = place();
    let list = place.path().join("file_contexts");
    for (ending, text) in [("", LIST), (".local", LOCAL), (".subs_dist", SUBSTITUTIONS)] {
        let mut name = list.clone().into_os_string();
        name.push(ending);
        fs::write(name, text).expect("ours");
    }
    compare(program, &list, &made_up_paths(3000));
    if let Some(policy) = std::env::var_os("ONLAY_TEST_POLICY").map(PathBuf::from) {
        let mut paths: Vec<String> = files_of(Path::new("/usr")).into_iter().step_by(9).collect();
        paths.extend(files_of(Path::new("/etc")));
        paths.extend(made_up_paths(3000));
        compare(program, &policy, &paths);
    }
}

/// All paths below a directory that a line can hold.
fn files_of(top: &Path) -> Vec<String> {
    let output = expect_success(command("find").arg(top).args(["-xdev", "-not", "-name", "*\n*"]));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
