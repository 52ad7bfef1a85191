//! Three roots of one tree: a host, an overlay over it, and a plain root where the same is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::packages::{self, Package, System};
use crate::debian;
use crate::kernel::{Lab, sh};

/// A package system with its programs.
pub(super) struct Flavour {
    /// The tree that scripts/test-trees makes.
    pub(super) tree: &'static str,
    pub(super) system: System,
    /// Makes the packages known to all programs.
    publish: &'static str,
    /// Prints `== WHAT` and then a line for each thing of the kind.
    look: &'static str,
    /// Prints what solvers have to say against the packages that are there.
    pub(super) solve: &'static str,
    /// Prints files that differ from what their packages brought, of all packages.
    pub(super) verify: &'static str,
    /// Makes the base another one without changing a package.
    touch: &'static str,
}

pub(super) const DPKG: Flavour = Flavour {
    tree: "trixie",
    system: System::Dpkg,
    publish: "echo 'deb [trusted=yes] file:/srv/made ./' >/etc/apt/sources.list
        echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/fast; echo force-confold >>/etc/dpkg/dpkg.cfg.d/fast
        printf 'Dir::Cache::pkgcache \"\";\\nDir::Cache::srcpkgcache \"\";\\n' >/etc/apt/apt.conf.d/fresh; apt-get -qq update",
    look: "echo == packages; dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n'
        echo == verify; dpkg --verify $(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' 'lx-*' | sed -n 's/^.i  *//p')
        echo == held; apt-mark showhold; echo == auto; apt-mark showauto 'lx-*'
        echo == alternatives; update-alternatives --query lx-view
        echo == diverted; dpkg-divert --list '/usr/lib/lx/*'; echo == audit; dpkg --audit",
    solve: "apt-get -qq check",
    verify: "dpkg --verify",
    touch: "touch /var/lib/dpkg/status",
};

pub(super) const RPM: Flavour = Flavour {
    tree: "rpm-sqlite",
    system: System::Rpm,
    publish: "createrepo_c --quiet /srv/made
        printf '[made]\\nname=made\\nbaseurl=file:///srv/made\\nenabled=1\\ngpgcheck=0\\n' >/etc/zypp/repos.d/onlaylab.repo
        cp /etc/zypp/repos.d/onlaylab.repo /etc/yum.repos.d/onlaylab.repo
        sed -i s/clean_requirements_on_remove=True/clean_requirements_on_remove=False/ /etc/dnf/dnf.conf
        zypper -n -q refresh; dnf -q makecache",
    look: "echo == packages; rpm --query --all --queryformat 'ii  %{NAME} %{VERSION}\\n'
        echo == verify; rpm --verify --nodeps $(rpm --query --all 'lx-*') -f /usr",
    solve: "rpm --verify --all --nofiles; dnf -C check; zypper -n --no-refresh verify --dry-run | grep -v '^Loading\\|^Reading\\|^$\\|are satisfied'",
    verify: "rpm --verify --all --nodeps",
    touch: "touch /usr/lib/sysimage/rpm/rpmdb.sqlite",
};

pub(super) const NDB: Flavour =
    Flavour { tree: "rpm-ndb", touch: "touch /usr/lib/sysimage/rpm/Packages.db", ..RPM };

/// Where the packages are, in each root.
pub(super) const MADE: &str = "/srv/made";

/// Prints what is seen of the files that packages, their scripts and people make.
const LOOK_AT_FILES: &str = "set -- $(ls -d /usr/lib/lx /usr/share/lx /etc/lx /etc/lx-* /usr/bin/lx-* /var/lib/lx /etc/alternatives/lx-* 2>/dev/null)
    echo == files; find \"$@\" -printf '%p %y %#m %U:%G %l\\n'; echo == digests; find \"$@\" -type f -exec md5sum {} +
    echo == users; cut -d: -f1,3 /etc/passwd; echo == groups; cut -d: -f1,3,4 /etc/group";

/// All that is looked at in a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Those that are there, by name (and version, where several may be there), with their versions.
    pub(super) packages: BTreeMap<String, String>,
    /// Files by path: kind, mode, owner, and content or target.
    pub(super) files: BTreeMap<String, String>,
    /// What else there is, by kind.
    pub(super) rest: BTreeMap<String, Vec<String>>,
}

impl Look {
    fn read(text: &str, multiple: &[String]) -> Look {
        let mut look = Look::default();
        let mut kind = String::new();
        for line in text.lines() {
            if let Some(next) = line.strip_prefix("== ") {
                next.clone_into(&mut kind);
                look.rest.insert(kind.clone(), Vec::new());
                continue;
            }
            match &*kind {
                "packages" => look.add_package(line, multiple),
                "files" => {
                    let (path, what) = line.split_once(' ').expect("find prints it so");
                    look.files.insert(path.to_owned(), what.trim_end().to_owned());
                }
                "digests" => {
                    let (digest, path) = line.split_once("  ").expect("md5sum prints it so");
                    let what = look.files.get_mut(path).expect("find has seen it");
                    *what = format!("{what} {digest}");
                }
                _ => look.rest.entry(kind.clone()).or_default().push(line.to_owned()),
            }
        }
        look.rest.values_mut().for_each(|lines| lines.sort());
        look
    }

    fn add_package(&mut self, line: &str, multiple: &[String]) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [status, name, version] = words[..] else { return };
        let is_there = status.ends_with('i');
        if is_there {
            let is_multiple = name == "gpg-pubkey" || multiple.iter().any(|other| other == name);
            let key = if is_multiple { format!("{name} {version}") } else { name.to_owned() };
            self.packages.insert(key, version.to_owned());
        }
        // Remainders of configuration, and what is broken.
        if !is_there || status.len() != 2 {
            let remainders = self.rest.entry("remainders".into()).or_default();
            remainders.push(format!("{} {name}", &status[1..]));
        }
    }

    pub(super) fn lines(&self, kind: &str) -> &[String] {
        self.rest.get(kind).map_or(&[], Vec::as_slice)
    }
}

pub(super) struct Roots {
    pub(super) flavour: &'static Flavour,
    pub(super) packages: Vec<Package>,
    lab: Lab,
    multiple: Vec<String>,
}

const LAY: &str = "mkdir -p \"$3/up\" \"$3/work\" \"$4\"; mount -t overlay -o \
    \"index=off,lowerdir=$2$1,upperdir=$3/up,workdir=$3/work\" bed \"$4\"";

const ENTER: &str = "export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
    root=$1 script=$2; exec unshare --mount sh -ec 'mount -t proc proc \"$0/proc\"; exec chroot \"$0\" sh -c \"$1\"' \"$root\" \"$script\" 2>&1";

impl Roots {
    /// Makes the packages, and what all scenarios begin with.
    pub(super) fn new(flavour: &'static Flavour) -> Option<Roots> {
        let tree = debian::tree(flavour.tree)?;
        let mut lab = Lab::with_private_mounts()?;
        let ram = lab.path("ram");
        lab.mount_tmpfs("mode=755,size=75%", &ram);
        let packages = packages::all(flavour.system);
        let multiple = packages.iter().filter(|package| package.is_multiple);
        let multiple = multiple.map(|package| package.name.clone()).collect();
        sh(LAY, &[&tree, Path::new(""), &ram.join("first"), &ram.join("prepared")]);
        let prepared = ram.join("prepared");
        let made = prepared.join(MADE.trim_start_matches('/'));
        packages::make(flavour.system, &packages, &ram.join("scratch"), &made);
        let script = format!("(set -e; {}) && echo published; true", flavour.publish);
        let said = sh(ENTER, &[&prepared, Path::new(&script)]);
        assert!(said.ends_with("published\n"), "{said}");
        sh("umount \"$1\"", &[&prepared]);
        lab.state = ram.join("state");
        crate::kernel::make_dir(&lab.state, 0o700);
        lab.uses(&lab.state.clone());
        Some(Roots { flavour, packages, lab, multiple })
    }

    /// Begins anew: host and plain root as they were, and no overlay.
    pub(super) fn begin(&self) {
        let tree = debian::tree(self.flavour.tree).expect("it was there");
        let first = format!("{}:", self.ram().join("first/up").display());
        for name in ["host", "plain"] {
            let (disk, root) = (self.ram().join(format!("disk-{name}")), self.root(name));
            sh("! mountpoint -q \"$2\" || umount \"$2\"; rm -rf \"$1\"", &[&disk, &root]);
            sh(LAY, &[&tree, Path::new(&first), &disk, &root]);
        }
        sh("rm -rf \"$1\"", &[&self.lab.overlay("a")]);
    }

    fn ram(&self) -> PathBuf {
        self.lab.path("ram")
    }

    fn root(&self, name: &str) -> PathBuf {
        self.ram().join(name)
    }

    /// Runs a script as root of the host, or of the plain root; what it says. It may fail.
    pub(super) fn run(&self, root: &str, script: &str) -> String {
        if root == "overlay" {
            return self.inside(script);
        }
        sh(ENTER, &[&self.root(root), Path::new(&format!("{script}\ntrue"))])
    }

    /// Runs a script in the overlay.
    fn inside(&self, script: &str) -> String {
        let script = format!(
            "export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin; {{ {script}\n}} 2>&1; true"
        );
        let root = self.root("host");
        self.lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", &script]).root(&root).run().ok()
    }

    pub(super) fn look(&self, root: &str) -> Look {
        let script = format!("{LOOK_AT_FILES}\n{}", self.flavour.look);
        Look::read(&self.run(root, &script), &self.multiple)
    }

    /// Makes the host another one, and lets the overlay follow; what is said of that.
    pub(super) fn follow(&self) -> String {
        self.run("host", self.flavour.touch);
        let root = self.root("host");
        self.lab.wait_until_free(&root);
        let ran = self.lab.onlay(&["shell", "a", "--", "true"]).root(&root).run();
        ran.ok();
        ran.stderr
    }

    /// Whether the overlay has anything.
    pub(super) fn is_there(&self) -> bool {
        self.lab.overlay("a").exists()
    }

    /// Every file of the host, as far as it can be changed.
    pub(super) fn listing(&self) -> String {
        sh("cd \"$1\"; find . -xdev -printf '%P %y %m %U:%G %s %T@ %l\\n' | sort", &[&self.root("host")])
    }

    /// Brings files from one root to the plain one; what is not there goes there, too.
    pub(super) fn adopt(&self, from: &str, paths: &[String]) {
        let archive = self.ram().join("adopted.tar");
        let words = paths.join(" ");
        let script = format!(
            "tar -C / -c --no-recursion -f /run/a.tar $(for f in {words}; do [ ! -e $f -a ! -L $f ] || echo ${{f#/}}; done) -T /dev/null; cat /run/a.tar; rm /run/a.tar"
        );
        let bytes = if from == "overlay" {
            let script = script.replace("/run/a.tar", "/var/tmp/a.tar");
            let (state, host) = (&self.lab.state, self.root("host"));
            let ran = self
                .lab
                .onlay(&["shell", "-q", "a", "--", "sh", "-c", &script])
                .state(state)
                .root(&host)
                .run();
            ran.ok();
            ran.stdout
        } else {
            let inner = script.replace("/run/a.tar", "/var/tmp/a.tar");
            sh("chroot \"$1\" sh -c \"$2\" >\"$3\"", &[&self.root(from), Path::new(&inner), &archive]);
            std::fs::read(&archive).expect("it was written")
        };
        std::fs::write(&archive, bytes).expect("a place in RAM");
        let script = format!(
            "cd \"$1\"; for f in {words}; do [ -d .$f -a ! -L .$f ] || rm -f .$f; done
             for f in $(printf '%s\\n' {words} | sort -r); do [ ! -d .$f -o -L .$f ] || rmdir .$f 2>/dev/null || true; done
             tar -xp --overwrite --keep-directory-symlink -f \"$2\""
        );
        sh(&script, &[&self.root("plain"), &archive]);
    }
}
