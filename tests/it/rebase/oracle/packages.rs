//! The packages that are played with: what packages.txt says of them, and how dpkg-deb and rpmbuild make them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::kernel::sh;

/// Before the name of each.
pub(super) const PREFIX: &str = "lx-";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Dpkg,
    Rpm,
}

/// A version of a package.
#[derive(Debug, Default)]
pub(super) struct Package {
    /// With [`PREFIX`].
    pub(super) name: String,
    pub(super) version: String,
    pub(super) needs: Vec<Relation>,
    pub(super) provides: Vec<String>,
    pub(super) conflicts: Vec<Relation>,
    replaces: Vec<Relation>,
    takes: Vec<Relation>,
    pub(super) files: BTreeMap<String, File>,
    pub(super) is_multiple: bool,
    users: Vec<String>,
    is_traced: bool,
    alternatives: Vec<(String, String)>,
    becomes: Vec<(bool, String, String)>,
    /// Paths of others' files, where those go instead, and whether they do so or do so no more.
    pub(super) diverts: Vec<(String, String, bool)>,
}

/// `NAME`, or `NAME OPERATOR VERSION`.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) version: Option<(String, String)>,
}

#[derive(Debug)]
pub(super) enum File {
    Regular { content: String, mode: u32, is_config: bool },
    Link(String),
}

impl Package {
    /// What a relation could mean.
    pub(super) fn meets(&self, relation: &Relation) -> bool {
        let is_meant = |(operator, version): &(String, String)| match &**operator {
            "=" => self.version == *version,
            "<" => self.version < *version,
            _ => self.version >= *version,
        };
        (self.name == relation.name && relation.version.as_ref().is_none_or(is_meant))
            || self.provides.contains(&relation.name)
    }

    /// Whether two cannot be there together.
    pub(super) fn clashes(&self, other: &Package) -> bool {
        let all = [&self.conflicts, &self.replaces, &self.takes];
        all.into_iter().flatten().any(|relation| other.name == relation.name && other.meets(relation))
    }
}

impl Relation {
    fn parse(words: &[&str]) -> Relation {
        let version = words.get(1).zip(words.get(2));
        Relation {
            name: format!("{PREFIX}{}", words[0]),
            version: version.map(|(operator, version)| ((*operator).to_owned(), (*version).to_owned())),
        }
    }

    fn of_dpkg(&self) -> String {
        match &self.version {
            None => self.name.clone(),
            Some((operator, version)) if operator == "<" => format!("{} (<< {version})", self.name),
            Some((operator, version)) => format!("{} ({operator} {version})", self.name),
        }
    }

    fn of_rpm(&self) -> String {
        match &self.version {
            None => self.name.clone(),
            Some((operator, version)) => format!("{} {operator} {version}", self.name),
        }
    }
}

/// All packages of a system.
pub(super) fn all(system: System) -> Vec<Package> {
    let mut all: Vec<Package> = Vec::new();
    let mut is_meant = true;
    let lines = include_str!("packages.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let own = if system == System::Dpkg { "dpkg" } else { "rpm" };
        let is_for_one = matches!(words.first(), Some(&"dpkg" | &"rpm"));
        let is_ours = !is_for_one || words[0] == own;
        if is_for_one {
            words.remove(0);
        }
        match &words[..] {
            ["package", name, version] => {
                is_meant = is_ours;
                if is_meant {
                    all.push(Package {
                        name: format!("{PREFIX}{name}"),
                        version: (*version).to_owned(),
                        ..Package::default()
                    });
                }
            }
            [what, rest @ ..] if is_meant && is_ours => {
                all.last_mut().expect("a package stands above").add(what, rest);
            }
            _ => {}
        }
    }
    all
}

impl Package {
    /// Whether it diverts files, or has some that another of these packages does.
    pub(super) fn meets_diversions(&self, all: &[Package]) -> bool {
        let mut diverted = all.iter().flat_map(|package| &package.diverts);
        !self.diverts.is_empty() || diverted.any(|(path, ..)| self.files.contains_key(path))
    }

    fn add(&mut self, what: &str, words: &[&str]) {
        match what {
            "file" | "conf" => {
                let own = || format!("{} {} {}", self.name, self.version, words[0]);
                let content =
                    words.get(1).filter(|word| **word != "-").map_or_else(own, |word| (*word).into());
                let mode = words.get(2).map_or(0o644, |mode| u32::from_str_radix(mode, 8).expect("octal"));
                let file = File::Regular { content: content + "\n", mode, is_config: what == "conf" };
                self.files.insert(words[0].to_owned(), file);
            }
            "link" => {
                self.files.insert(words[0].to_owned(), File::Link(words[1].to_owned()));
            }
            "need" => self.needs.push(Relation::parse(words)),
            "provide" => self.provides.push(format!("{PREFIX}{}", words[0])),
            "conflict" => self.conflicts.push(Relation::parse(words)),
            "replace" => self.replaces.push(Relation::parse(words)),
            "take" => self.takes.push(Relation::parse(words)),
            "multiple" => self.is_multiple = true,
            "user" => self.users.push(words[0].to_owned()),
            "trace" => self.is_traced = true,
            "alternative" => self.alternatives.push((words[0].to_owned(), words[1].to_owned())),
            "divert" | "undivert" => {
                self.diverts.push((words[0].to_owned(), words[1].to_owned(), what == "divert"));
            }
            "becomes-link" | "becomes-dir" => {
                let is_link = what == "becomes-link";
                self.becomes.push((is_link, words[0].to_owned(), words[1].to_owned()));
            }
            _ => panic!("'{what}' in packages.txt"),
        }
    }

    fn lay_out(&self, place: &Path) {
        for (path, file) in &self.files {
            let path = place.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().expect("a directory")).expect("ours");
            match file {
                File::Link(target) => symlink(target, &path).expect("ours"),
                File::Regular { content, mode, .. } => {
                    fs::write(&path, content).expect("ours");
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("ours");
                }
            }
        }
    }

    fn config(&self) -> impl Iterator<Item = &str> {
        let is_config = |(_, file): &(&String, &File)| matches!(file, File::Regular { is_config: true, .. });
        self.files.iter().filter(is_config).map(|(path, _)| path.as_str())
    }

    /// What is run after it was unpacked, on either system.
    fn after(&self) -> String {
        let mut script = String::new();
        for user in &self.users {
            let _ = writeln!(
                script,
                "getent passwd {user} >/dev/null || useradd --system --no-create-home --shell /bin/false {user}"
            );
        }
        for (name, path) in &self.alternatives {
            let _ = writeln!(
                script,
                "update-alternatives --quiet --install /usr/bin/{name} {name} {path} 10{}",
                self.version
            );
        }
        script
    }

    fn control(&self) -> String {
        let mut text = format!(
            "Package: {}\nVersion: {}\nArchitecture: all\nMaintainer: a <a@b>\nDescription: a\n",
            self.name, self.version
        );
        let mut field = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                let _ = writeln!(text, "{name}: {}", values.join(", "));
            }
        };
        let of = |relations: &[Relation]| relations.iter().map(Relation::of_dpkg).collect::<Vec<_>>();
        field("Depends", of(&self.needs));
        field("Provides", self.provides.clone());
        field("Conflicts", [of(&self.conflicts), of(&self.replaces)].concat());
        field("Replaces", [of(&self.replaces), of(&self.takes)].concat());
        field("Breaks", of(&self.takes));
        text
    }

    /// The maintainer scripts of a Debian package, by name.
    fn scripts_of_dpkg(&self) -> BTreeMap<&'static str, String> {
        let mut scripts = BTreeMap::new();
        let mut add = |name: &'static str, text: String| {
            scripts.entry(name).or_insert_with(|| "#!/bin/sh\nset -e\n".to_owned()).push_str(&text);
        };
        for name in ["preinst", "postinst", "prerm", "postrm"] {
            if self.is_traced {
                let mark = format!("mkdir -p /var/lib/lx; touch /var/lib/lx/{}-{name}-$1\n", self.version);
                add(name, mark);
            }
            for (is_link, path, target) in self.becomes.iter().filter(|_| name != "prerm") {
                let verb = if *is_link { "dir_to_symlink" } else { "symlink_to_dir" };
                add(name, format!("dpkg-maintscript-helper {verb} {path} {target} -- \"$@\"\n"));
            }
        }
        let after = self.after();
        if !after.is_empty() {
            add("postinst", after);
        }
        for (path, target, is_diverted) in &self.diverts {
            let own = format!("dpkg-divert --quiet --package {} --rename --divert {target}", self.name);
            if *is_diverted {
                add("preinst", format!("{own} --add {path}\n"));
                add("postrm", format!("[ \"$1\" != remove ] || {own} --remove {path}\n"));
            } else {
                add("postinst", format!("{own} --remove {path}\n"));
            }
        }
        for (name, path) in &self.alternatives {
            let text = format!("update-alternatives --quiet --remove {name} {path}");
            add("prerm", format!("[ \"$1\" != remove ] || {text}\n"));
        }
        scripts
    }

    fn make_deb(&self, place: &Path) {
        self.lay_out(place);
        let control = place.join("DEBIAN");
        fs::create_dir_all(&control).expect("ours");
        fs::write(control.join("control"), self.control()).expect("ours");
        let config: Vec<&str> = self.config().collect();
        if !config.is_empty() {
            fs::write(control.join("conffiles"), config.join("\n") + "\n").expect("ours");
        }
        for (name, text) in self.scripts_of_dpkg() {
            fs::write(control.join(name), text).expect("ours");
            fs::set_permissions(control.join(name), fs::Permissions::from_mode(0o755)).expect("ours");
        }
    }

    /// The part of a spec file that is about it.
    fn spec(&self) -> String {
        let Package { name, version, .. } = self;
        let mut text = format!("%package -n {name}\nVersion: {version}\nSummary: a\n");
        let mut field = |tag: &str, relations: &[Relation]| {
            for relation in relations {
                let _ = writeln!(text, "{tag}: {}", relation.of_rpm());
            }
        };
        field("Requires", &self.needs);
        field("Conflicts", &self.conflicts);
        field("Conflicts", &self.takes);
        field("Obsoletes", &self.replaces);
        for provided in &self.provides {
            let _ = writeln!(text, "Provides: {provided}");
        }
        if self.is_multiple {
            text.push_str("Provides: installonlypkg(kernel), multiversion(kernel)\n");
        }
        let _ = writeln!(text, "%description -n {name}\na");
        let mut before = String::new();
        for (is_link, path, _) in &self.becomes {
            let kind = if *is_link { "[ -L {} ] || rm -rf {}" } else { "[ ! -L {} ] || rm {}" };
            before += &(kind.replace("{}", path) + "\n");
        }
        let mark = |what: &str| {
            let text = format!("mkdir -p /var/lib/lx; touch /var/lib/lx/{version}-{what}-$1\n");
            if self.is_traced { text } else { String::new() }
        };
        for (section, script) in [
            ("pre", before + &mark("pre")),
            ("post", self.after() + &mark("post")),
            ("preun", mark("preun")),
            ("postun", mark("postun")),
        ] {
            if !script.is_empty() {
                let _ = writeln!(text, "%{section} -n {name}\n{script}");
            }
        }
        let _ = writeln!(text, "%files -n {name}");
        text + &self.files_of_rpm()
    }

    fn files_of_rpm(&self) -> String {
        let mut text = String::new();
        let mut directories = std::collections::BTreeSet::new();
        for (path, file) in &self.files {
            let is_config = matches!(file, File::Regular { is_config: true, .. });
            let _ = writeln!(text, "{}{path}", if is_config { "%config(noreplace) " } else { "" });
            let parents = Path::new(path).ancestors().skip(1);
            directories.extend(parents.filter(|parent| parent.to_string_lossy().contains("/lx")));
        }
        for directory in directories {
            let _ = writeln!(text, "%dir {}", directory.display());
        }
        text
    }
}

/// Makes all of them into a directory of packages, named `NAME_VERSION.deb` or `.rpm`.
pub(super) fn make(system: System, all: &[Package], scratch: &Path, made: &Path) {
    fs::create_dir_all(made).expect("ours");
    match system {
        System::Dpkg => make_debs(all, scratch, made),
        System::Rpm => make_rpms(all, scratch, made),
    }
}

fn make_debs(all: &[Package], scratch: &Path, made: &Path) {
    for package in all {
        package.make_deb(&scratch.join(format!("{}_{}", package.name, package.version)));
    }
    let script = r#"cd "$1"; find . -type d -exec chmod 755 {} +
        for p in *; do
            (cd "$p" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0r md5sum >DEBIAN/md5sums)
            dpkg-deb --root-owner-group -Znone --build "$p" "$2/$p.deb" >/dev/null
        done
        cd "$2"; dpkg-scanpackages --multiversion . >Packages 2>/dev/null"#;
    sh(script, &[scratch, made]);
}

/// One call of rpmbuild for each version, for it takes its time.
fn make_rpms(all: &[Package], scratch: &Path, made: &Path) {
    for version in ["1", "2", "3"] {
        let top = scratch.join(version);
        let mut spec = "Name: lx\nVersion: 1\nRelease: 1\nSummary: a\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n%description\na\n".to_owned();
        for package in all.iter().filter(|package| package.version == version) {
            package.lay_out(&top.join("files"));
            spec += &package.spec();
        }
        let _ = writeln!(spec, "%install\ncp -a \"{}/.\" %{{buildroot}}", top.join("files").display());
        fs::write(top.join("spec"), spec).expect("ours");
        let script = r#"find "$1/files" -type d -exec chmod 755 {} +
            rpmbuild --quiet -bb --define "_topdir $1" --define '_binary_payload w0.ufdio' --define '_build_id_links none' \
                --define '_rpmfilename %%{NAME}_%%{VERSION}.rpm' "$1/spec" >"$1/log" 2>&1 || { cat "$1/log" >&2; exit 1; }
            mv "$1"/RPMS/*.rpm "$2""#;
        sh(script, &[&top, made]);
    }
}
