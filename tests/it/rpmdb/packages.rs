//! Packages to install: built once, of all kinds, in two versions.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use onlay::package::Identity;

use super::lab::rpm;
use crate::debian::expect_success;

/// How many plain packages there are: p0, p1 and so on.
pub(super) const PLAIN: usize = 30;

/// Relations of all kinds, rich ones among them, and scripts that need some.
const RELATIONS: &str = "\
Name: relations
Version: 1.0~rc1
Release: 2^post
Epoch: 3
Group: System/Tools
Provides: capability = 3, other
Requires: (beta >= 1 if gamma else delta), (a and (b or c)), /bin/sh, plain > 2:1-3
Requires: ((x with y) or z)
Requires(post): only-post
Requires(preun): preun
Requires(pre,postun): both
Requires(meta): meta
Recommends: (r1 or r2), r3
Suggests: suggested
Supplements: (s1 and s2)
Enhances: enhanced >= 3
Conflicts: (c1 with c2 > 3), c3 < 2, (m unless n)
Obsoletes: obsoleted < 1
";

/// Files of all kinds.
const FILES: &str = "\
%files
%dir /
%dir /opt/files
/opt/files/plain
/opt/files/hard
/opt/files/link
%attr(4711,nobody,daemon) /opt/files/suid
%config /etc/edited
%config(noreplace) /etc/kept
%config(missingok) %ghost /etc/ghost
%doc /usr/share/doc/files/README
%license /usr/share/doc/files/COPYING
\"/opt/files/with blank\"
/opt/files/große
";

const MAKE_FILES: &str = "\
%install
mkdir -p %{buildroot}/opt/files %{buildroot}/etc %{buildroot}/usr/share/doc/files
cd %{buildroot}
echo plain%{version} >opt/files/plain
ln opt/files/plain opt/files/hard
ln -s plain opt/files/link
for file in opt/files/suid etc/edited etc/kept usr/share/doc/files/README usr/share/doc/files/COPYING \\
    'opt/files/with blank' opt/files/große
do echo \"$file\" >\"$file\"; done
";

const TRIGGERS: &str = "\
Name: triggers
Version: 1
Release: 1
%files
%triggerin -- t1, t2 > 3
true
%triggerun -- t1
true
%filetriggerin -- /usr/lib /usr/share
true
%filetriggerun -- /opt
true
%transfiletriggerin -- /etc /srv
true
%transfiletriggerpostun -- /lib
true
";

/// Fast, of today, and each by its own name.
const MACROS: &[&str] = &[
    "_binary_payload w0.ufdio",
    "use_source_date_epoch_as_buildtime 0",
    "__os_install_post %{nil}",
    "_rpmfilename %%{NAME}-%%{VERSION}.rpm",
];

/// The directory with all packages, each as `NAME-VERSION.rpm`.
pub(super) fn built() -> PathBuf {
    let specs = specs();
    let recipe: String =
        specs.iter().flat_map(|(_, spec, definition)| [spec, "\0", definition, "\0"]).collect();
    let key = Identity::of((recipe + &MACROS.join(" ")).as_bytes()).to_string();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rpms-{}", &key[..16]));
    let lock = File::create(place.with_extension("lock")).expect("our directory");
    lock.lock().expect("a lock");
    if !place.exists() {
        let work = crate::debian::place();
        for (name, spec, definition) in &specs {
            build(work.path(), name, spec, definition);
        }
        fs::rename(work.path().join("packages"), &place).expect("a new name");
    }
    place
}

fn specs() -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("relations", with_head(RELATIONS, "%files\n%post\ntrue\n%preun -p /sbin/ldconfig\n"), ""),
        ("triggers", with_head(TRIGGERS, ""), ""),
        ("files-1", files("files", 1), ""),
        ("files-2", files("files", 2), ""),
        ("md5", files("md5", 1), "_binary_filedigest_algorithm 1"),
        ("sha1", files("sha1", 1), "_binary_filedigest_algorithm 2"),
        ("sha512", files("sha512", 1), "_binary_filedigest_algorithm 10"),
        ("plain-1", plain(1), ""),
        ("plain-2", plain(2), ""),
        ("kernel-1", kernel(1), ""),
        ("kernel-2", kernel(2), ""),
    ]
}

fn with_head(preamble: &str, rest: &str) -> String {
    let (tags, sections) = match preamble.find("%files") {
        Some(files) => preamble.split_at(files),
        None => (preamble, rest),
    };
    format!("Summary: A package\nLicense: MIT\nBuildArch: noarch\n{tags}%description\nOne.\n{sections}")
}

fn files(name: &str, version: u32) -> String {
    let tags = format!("Name: {name}\nVersion: {version}\nRelease: 1\n");
    with_head(&tags, &format!("{MAKE_FILES}{FILES}"))
}

fn kernel(version: u32) -> String {
    let tags = format!("Name: linux\nVersion: {version}\nRelease: 1\nProvides: installonlypkg(kernel)\n");
    with_head(&tags, "%files\n")
}

/// Many packages that share names, capabilities and directories.
fn plain(version: u32) -> String {
    let mut spec = with_head(&format!("Name: plain\nVersion: {version}\nRelease: 1\n"), "");
    for number in 0..PLAIN {
        let (own, others) = (number % 5, (number + 1) % 5);
        let _ = write!(
            spec,
            "%package -n p{number}\nSummary: Package {number}\nProvides: cap{own} = {version}.{number}\n\
             Requires: cap{others}\n%description -n p{number}\nOne.\n\
             %files -n p{number}\n/usr/share/plain/p{number}\n/usr/share/p{number}\n"
        );
    }
    let _ = write!(
        spec,
        "%install\nfor i in $(seq 0 {}); do mkdir -p %{{buildroot}}/usr/share/plain %{{buildroot}}/usr/share/p$i\n\
         for f in plain/p$i p$i/same p$i/other-%{{version}}\n\
         do echo $i >%{{buildroot}}/usr/share/$f; done; done\n",
        PLAIN - 1
    );
    spec
}

fn build(work: &Path, name: &str, spec: &str, definition: &str) {
    let file = work.join(format!("{name}.spec"));
    fs::write(&file, spec).expect("our directory");
    let mut command = rpm("rpmbuild", work);
    command.args(["-bb", "--quiet"]);
    command.args(MACROS.iter().flat_map(|definition| ["--define", definition]));
    command.arg("--define").arg(format!("_topdir {}", work.display()));
    command.arg("--define").arg(format!("_rpmdir {}/packages", work.display()));
    if !definition.is_empty() {
        command.args(["--define", definition]);
    }
    expect_success(command.arg(file));
}
