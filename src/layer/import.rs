//! What others were asked for, to be asked for here: as origins of deployments have it.
//!
//! | rpm-ostree (its `origin.rs`) | here |
//! |---|---|
//! | `[packages] requested` | packages |
//! | `[packages] requested-local`, `requested-local-fileoverride`: `SHA256:NAME-VERSION-RELEASE.ARCHITECTURE`, of a header | package files, which must be given: it keeps none |
//! | `[overrides] remove` | packages of the base that are to be gone |
//! | `[overrides] replace-local`, likewise | package files in the place of the base's |
//! | `[overrides] replace` (`repo=NAME,PACKAGE,…`), `[modules]`, `[rpmostree]`, `override-commit` | nothing: told |
//!
//! atomic-pkglayer has `packages` in `[origin]`: names in its first form, names of package files in its second one, with blanks between them.

use std::collections::{BTreeMap, BTreeSet};

use super::ostree::Origin;
use super::{Edit, LocalFile};

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Import {
    /// Packages to be there, by name.
    pub packages: BTreeSet<String>,
    /// Packages of the base that are to be gone.
    pub removed: BTreeSet<String>,
    /// Packages that came from files.
    pub files: Vec<WantedFile>,
    /// What cannot be asked for here, each in words.
    pub untaken: Vec<String>,
}

/// A package that came from a file, which must be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFile {
    /// `NAME-[EPOCH:]VERSION-RELEASE.ARCHITECTURE`.
    pub what: String,
    /// Whether it is in the place of the base's package.
    pub is_instead: bool,
}

/// Package files that were given, by the name of their package.
pub type GivenFiles = BTreeMap<String, LocalFile>;

impl Import {
    /// What an origin has.
    pub fn of(origin: &Origin) -> Import {
        let file = origin.file();
        let mut import = Import {
            packages: file.list("packages", "requested").into_iter().collect(),
            removed: file.list("overrides", "remove").into_iter().collect(),
            ..Import::default()
        };
        for (group, key, is_instead) in [
            ("packages", "requested-local", false),
            ("packages", "requested-local-fileoverride", false),
            ("overrides", "replace-local", true),
        ] {
            let what = |item: String| item.split_once(':').map_or(item.clone(), |(_, what)| what.to_owned());
            let found =
                file.list(group, key).into_iter().map(|item| WantedFile { what: what(item), is_instead });
            import.files.extend(found);
        }
        import.take_old(&file.get("origin", "packages").unwrap_or_default());
        import.tell(origin);
        import
    }

    /// Takes over what atomic-pkglayer notes.
    fn take_old(&mut self, words: &str) {
        let names =
            words.split(|c: char| c.is_whitespace() || c == ';' || c == ',').filter(|name| !name.is_empty());
        for name in names {
            match name.strip_suffix(".rpm") {
                Some(what) => self.files.push(WantedFile { what: what.to_owned(), is_instead: false }),
                None => {
                    self.packages.insert(name.to_owned());
                }
            }
        }
    }

    /// Says what there is no word for here.
    fn tell(&mut self, origin: &Origin) {
        let file = origin.file();
        for replaced in file.list("overrides", "replace") {
            let mut words = replaced.split(',');
            let from = words.next().unwrap_or_default().trim_start_matches("repo=").to_owned();
            let packages: Vec<&str> = words.collect();
            self.untaken.push(format!(
                "{} from the repository '{from}' in the place of the base's",
                packages.join(", ")
            ));
        }
        for (key, words) in [("enable", "enabled"), ("install", "installed")] {
            self.untaken.extend(
                file.list("modules", key).into_iter().map(|module| format!("module {module}, {words}")),
            );
        }
        if file.flag("rpmostree", "regenerate-initramfs") == Some(true) {
            self.untaken.push("an initramfs made on this host".to_owned());
        }
        for (key, words) in
            [("initramfs-args", "of dracut's"), ("initramfs-etc", "as a file in the initramfs")]
        {
            self.untaken
                .extend(file.list("rpmostree", key).into_iter().map(|value| format!("{value}, {words}")));
        }
        if let Some(commit) = file.get("origin", "override-commit") {
            self.untaken.push(format!("the base held at {commit}"));
        }
    }

    /// What is to be asked for, with these package files; who misses one, and which files nobody asked for, in words.
    pub fn edit(&self, given: &GivenFiles) -> (Edit, Vec<String>) {
        let (mut edit, mut words) = (Edit::default(), self.untaken.clone());
        edit.add.clone_from(&self.packages);
        edit.override_remove.clone_from(&self.removed);
        for wanted in &self.files {
            let Some((name, file)) = given.iter().find(|(name, file)| wanted.is(name, file)) else {
                words.push(format!("{}, which came from a file", wanted.what));
                continue;
            };
            let files = if wanted.is_instead { &mut edit.override_replace } else { &mut edit.add_files };
            files.insert(name.clone(), file.clone());
        }
        let is_asked =
            |name: &String, file: &LocalFile| self.files.iter().any(|wanted| wanted.is(name, file));
        let others = given.iter().filter(|(name, file)| !is_asked(name, file));
        words.extend(
            others.map(|(name, file)| format!("the file of {name} {}, which is not asked for", file.version)),
        );
        (edit, words)
    }
}

impl WantedFile {
    /// Whether a file has this package. Where the name has no epoch, any does.
    fn is(&self, name: &str, file: &LocalFile) -> bool {
        let version = file.version.split_once(':').map_or(&*file.version, |(_, version)| version);
        let called = |version: &str| format!("{name}-{version}.{}", file.architecture);
        self.what == called(&file.version) || self.what == called(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: &str) -> LocalFile {
        LocalFile {
            version: version.to_owned(),
            architecture: "x86_64".to_owned(),
            sha256: version.to_owned(),
        }
    }

    fn import(text: &str) -> Import {
        Import::of(&Origin::parse(text).expect("an origin"))
    }

    #[test]
    fn what_rpm_ostree_has_is_taken_over_or_told() {
        let import = import(
            "[origin]\nbaserefspec=fedora:fedora/40/x86_64/silverblue\noverride-commit=41af\n\n\
             [packages]\nrequested=libvirt;fish;\nrequested-local=4ed7:foo-1.2-3.x86_64;\n\n\
             [modules]\nenable=foo:2.0;\ninstall=baz:next/development;\n\n\
             [overrides]\nremove=docker;\nreplace-local=0c70:bar-libs-2:1-2.x86_64;648a:bar-2:1-2.x86_64;\nreplace=repo=vanilla,kernel,kernel-core;\n\n\
             [rpmostree]\nregenerate-initramfs=true\ninitramfs-args=-I;\ninitramfs-etc=/etc/x.conf;\n",
        );
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(import.packages, names(&["fish", "libvirt"]));
        assert_eq!(import.removed, names(&["docker"]));
        let given: GivenFiles = [("foo", "1.2-3"), ("bar", "2:1-2"), ("bar-libs", "2:9-9")]
            .map(|(name, version)| (name.to_owned(), file(version)))
            .into();
        let (edit, untaken) = import.edit(&given);
        assert_eq!(edit.add_files.keys().collect::<Vec<_>>(), ["foo"]);
        assert_eq!(edit.override_replace.keys().collect::<Vec<_>>(), ["bar"]);
        assert_eq!(
            untaken,
            [
                "kernel, kernel-core from the repository 'vanilla' in the place of the base's",
                "module foo:2.0, enabled",
                "module baz:next/development, installed",
                "an initramfs made on this host",
                "-I, of dracut's",
                "/etc/x.conf, as a file in the initramfs",
                "the base held at 41af",
                "bar-libs-2:1-2.x86_64, which came from a file",
                "the file of bar-libs 2:9-9, which is not asked for",
            ]
        );
    }

    #[test]
    fn what_atomic_pkglayer_has_is_names_or_files() {
        let first = import("[origin]\nbase_refspec=a:b\npackages=strace gdb\n");
        assert_eq!(first.packages.iter().collect::<Vec<_>>(), ["gdb", "strace"]);
        let second =
            import("[origin]\nfrom-commit=abc\npackages=kernel-debug-3.10-1.x86_64.rpm foo-1-1.noarch.rpm\n");
        assert!(second.packages.is_empty());
        let (edit, untaken) = second.edit(&[("kernel-debug".to_owned(), file("1:3.10-1"))].into());
        assert_eq!(edit.add_files.len(), 1);
        assert_eq!(untaken, ["foo-1-1.noarch, which came from a file"]);
    }
}
