//! A host that is changed as its owner does, by its real package manager, and an overlay over it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::debian;
use crate::kernel::{Lab, sh};

/// A package system, and how it is used.
pub(super) struct Kind {
    /// The tree that scripts/test-trees makes.
    tree: &'static str,
    /// Makes a package from a directory with its files: `$1` the directory, `$2` the file to make, and NAME, VERSION,
    /// NEEDS and CONFIG in the environment.
    make: &'static str,
    extension: &'static str,
    pub(super) install: &'static str,
    pub(super) remove: &'static str,
    /// Prints `NAME=VERSION` for those of our packages that are installed.
    list: &'static str,
    /// Prints what the package manager has to say against what is seen.
    sound: &'static str,
    /// Makes the base another one without changing a package.
    touch: &'static str,
    pub(super) saved: &'static str,
    pub(super) offered: &'static str,
}

pub(super) const DPKG: Kind = Kind {
    tree: "trixie",
    make: r#"cd "$1"; mkdir DEBIAN; [ -z "$CONFIG" ] || echo "$CONFIG" >DEBIAN/conffiles
        find usr -type f -exec md5sum {} + >DEBIAN/md5sums
        printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: a <a@b>\nDescription: a\n' "$NAME" "$VERSION" >DEBIAN/control
        [ -z "$NEEDS" ] || echo "Depends: $NEEDS" | sed 's/ \(>= .*\)/ (\1)/' >>DEBIAN/control
        [ -z "$BEFORE" ] || { printf '#!/bin/sh\n%s\n' "$BEFORE" >DEBIAN/preinst; chmod 755 DEBIAN/preinst; }
        find . -type d -exec chmod 755 {} +; find . -exec touch -d "@160000000$VERSION" {} +; dpkg-deb --root-owner-group --build . "$2" >/dev/null"#,
    extension: "deb",
    install: "dpkg --force-confold --install",
    remove: "dpkg --purge",
    list: "dpkg-query -W -f '${Package}=${Version}:${db:Status-Abbrev}\\n' foo bar baz 2>/dev/null | grep :ii | sed 's/:ii //'",
    sound: "dpkg --audit; dpkg --verify | grep -v ' c /etc/foo.conf' || true; apt-get -qq check",
    touch: "touch /var/lib/dpkg/status",
    saved: ".dpkg-old",
    offered: ".dpkg-dist",
};

const RPM_MAKE: &str = r#"top=$(mktemp -d); find "$1" -type d -exec chmod 755 {} +; cd "$1"
    { printf 'Name: %s\nVersion: %s\nRelease: 1\nSummary: a\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n' "$NAME" "$VERSION"
      [ -z "$NEEDS" ] || echo "Requires: $NEEDS"
      [ -z "$BEFORE" ] || printf '%%pre\n%s\n' "$BEFORE"
      printf '%%description\na\n%%install\ncp -a "%s/." %%{buildroot}\n%%files\n' "$1"
      find . -mindepth 2 -type d | grep -v -x -e ./usr/lib -e ./usr/share -e ./etc | sed 's/^\./%dir /'
      find . -type f | sed 's/^\.//; s/^\/etc/%config(noreplace) \/etc/'
    } >"$top/spec"
    rpmbuild --quiet -bb --define "_topdir $top" --define "_tmppath $top" --define '_binary_payload w0.ufdio' --define '_build_id_links none' "$top/spec" >"$top/log" 2>&1 ||
      { cat "$top/log" >&2; exit 1; }
    mv "$top"/RPMS/noarch/*.rpm "$2"; rm -r "$top""#;

pub(super) const RPM: Kind = Kind {
    tree: "rpm-sqlite",
    make: RPM_MAKE,
    extension: "rpm",
    install: "rpm --upgrade --oldpackage --nosignature",
    remove: "rpm --erase",
    list: "rpm --query --queryformat '%{NAME}=%{VERSION}\\n' foo bar baz | grep =",
    sound: "rpmdb --verifydb; rpm --verify --nofiles --all; \
            for p in foo bar baz; do rpm --quiet --query $p && rpm --verify --nodeps $p | grep -v ' c /etc/foo.conf'; done || true",
    touch: "touch /usr/lib/sysimage/rpm/rpmdb.sqlite",
    saved: ".rpmsave",
    offered: ".rpmnew",
};

pub(super) const NDB: Kind =
    Kind { tree: "rpm-ndb", touch: "touch /usr/lib/sysimage/rpm/Packages.db", ..RPM };

pub(super) const UNSTABLE: Kind = Kind { tree: "rpm-unstable", ..RPM };

pub(super) struct Bed {
    pub(super) lab: Lab,
    pub(super) kind: &'static Kind,
    host: PathBuf,
}

impl Bed {
    /// Makes one, with packages already there.
    pub(super) fn new(kind: &'static Kind, packages: &[&str]) -> Option<Bed> {
        let tree = debian::tree(kind.tree)?;
        let lab = Lab::with_private_mounts()?;
        let host = lab.path("host");
        let script = "mkdir -p \"$2/up\" \"$2/work\" \"$3\"; mount -t overlay -o \
                      \"lowerdir=$1,upperdir=$2/up,workdir=$2/work\" bed \"$3\"";
        sh(script, &[&tree, &lab.path("disk"), &host]);
        let bed = Bed { lab, kind, host };
        fs::create_dir_all(bed.host.join("srv/made")).expect("ours");
        bed.make_all();
        bed.on_host(&bed.install(packages));
        Some(bed)
    }

    /// `foo` in three versions, with configuration, a file that stays and one of each version; `bar` that needs it,
    /// `baz` that stands alone.
    fn make_all(&self) {
        for version in ["1", "2", "3"] {
            let own = format!("usr/lib/foo/only-{version}");
            let own_dir = format!("usr/share/foo-{version}/file");
            let files = ["usr/lib/foo/file", "etc/foo.conf", &own, &own_dir];
            self.make("foo", version, "", &files);
        }
        self.make("bar", "1", "foo >= 1", &["usr/lib/bar/file"]);
        self.make("bar", "2", "foo >= 2", &["usr/lib/bar/file"]);
        self.make("baz", "1", "", &["usr/lib/baz/file"]);
    }

    /// Makes a package whose files have its version as their content.
    pub(super) fn make(&self, name: &str, version: &str, needs: &str, files: &[&str]) {
        self.make_with(name, version, needs, files, "");
    }

    /// Makes a package that runs a script before it is unpacked.
    pub(super) fn make_with(&self, name: &str, version: &str, needs: &str, files: &[&str], before: &str) {
        let place = self.lab.path(format!("made-{name}-{version}"));
        for file in files {
            let path = place.join(file);
            fs::create_dir_all(path.parent().expect("a directory")).expect("ours");
            fs::write(&path, format!("{version}\n")).expect("ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
        }
        let config = files.iter().find(|file| file.starts_with("etc/")).map(|file| format!("/{file}"));
        let target = self.host.join("srv/made").join(format!("{name}_{version}.{}", self.kind.extension));
        let script = format!(
            "export NAME={name} VERSION={version} NEEDS='{needs}' CONFIG='{}' BEFORE='{before}'; {}",
            config.unwrap_or_default(),
            self.kind.make
        );
        sh(&script, &[&place, &target]);
    }

    /// The command that installs packages.
    pub(super) fn install(&self, packages: &[&str]) -> String {
        let file = |name: &&str| format!("/srv/made/{name}.{}", self.kind.extension);
        let files: Vec<String> = packages.iter().map(file).collect();
        if files.is_empty() {
            "true".into()
        } else {
            format!("{} {} >/dev/null", self.kind.install, files.join(" "))
        }
    }

    /// Runs a script as root of the host.
    pub(super) fn on_host(&self, script: &str) {
        sh("chroot \"$1\" sh -ec \"$2\" >/dev/null", &[&self.host, Path::new(script)]);
    }

    /// Runs a script in the overlay.
    pub(super) fn inside(&self, script: &str) -> String {
        let script = format!("set -e; export DEBIAN_FRONTEND=noninteractive; {script}");
        let ran = self.lab.onlay(&["shell", "-q", "a", "--", "sh", "-c", &script]).root(&self.host).run();
        ran.ok().clone()
    }

    /// Enters the overlay, which follows; what is said of it.
    pub(super) fn follow(&self) -> String {
        self.lab.wait_until_free(&self.host);
        let ran = self.lab.onlay(&["shell", "a", "--", "true"]).root(&self.host).run();
        ran.ok();
        ran.stderr
    }

    /// Makes the base another one, in name only.
    pub(super) fn touch(&self) {
        self.on_host(self.kind.touch);
    }

    /// The host's root.
    pub(super) fn host(&self) -> &Path {
        &self.host
    }

    /// The packages and the files of ours that are seen inside, sorted: `/usr/lib/foo/file=2 foo=2 …`.
    pub(super) fn seen(&self) -> String {
        let script = format!(
            "{}; for f in $(find /usr/lib/foo /usr/lib/bar /usr/lib/baz /usr/share/foo-* /etc/foo.conf* -type f 2>/dev/null); \
             do echo \"$f=$(cat $f)\"; done",
            self.kind.list
        );
        let mut words: Vec<String> =
            self.inside(&format!("set +e; {script}; true")).split_whitespace().map(str::to_owned).collect();
        words.sort();
        words.join(" ")
    }

    /// The package manager has nothing to say against what is seen.
    pub(super) fn assert_sound(&self) {
        let said = self.inside(&format!("set +e; {{ {}; }} 2>&1; true", self.kind.sound));
        assert_eq!(said, "", "what the package manager says");
    }
}
