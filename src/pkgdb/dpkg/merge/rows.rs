//! Every row of the merge, on small databases.

use std::path::Path;

use super::*;
use crate::pkgdb::dpkg::triggers::{Declared, Interest};
use crate::pkgdb::dpkg::{
    Alternative, AutoInstalled, InfoFiles, StatOverride, diversions, parse_status, stem,
};
use crate::pkgdb::merge::Reason;

/// A database with the paths of its packages.
#[derive(Clone, Default)]
pub(super) struct Fake {
    pub(super) contents: Contents,
    pub(super) paths: BTreeMap<Key, Vec<String>>,
}

impl Paths for Fake {
    /// The content of all files is their package's name.
    fn each_file(&self, entry: &Entry, call: &mut dyn FnMut(&[u8], &str)) -> Result<(), Error> {
        self.each_path(entry, &mut |path| call(path, &entry.key.name))
    }

    fn each_path(&self, entry: &Entry, call: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.paths.get(&entry.key).into_iter().flatten().for_each(|path| call(path.as_bytes()));
        Ok(())
    }
}

impl Fake {
    /// A database of packages: `NAME VERSION` with fields after semicolons. A Status field replaces the usual one.
    pub(super) fn of(packages: &[&str]) -> Fake {
        let stanzas: Vec<String> = packages.iter().map(|package| stanza(package)).collect();
        let entries = parse_status(stanzas.concat().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let mut fake = Fake::default();
        let names = entries
            .values()
            .flat_map(|entry| ["list", "md5sums"].map(|kind| format!("{}.{kind}", stem(entry)).into()));
        fake.contents.info = InfoFiles::of(names);
        fake.contents.entries = entries;
        fake.contents.native = "amd64".to_owned();
        fake
    }

    pub(super) fn input(&self) -> Input<'_> {
        Input { contents: &self.contents, paths: self }
    }

    /// Gives a package a path.
    fn path(mut self, name: &str, path: &str) -> Fake {
        self.paths.entry(key(name)).or_default().push(path.to_owned());
        self
    }

    fn change(mut self, change: impl FnOnce(&mut Contents)) -> Fake {
        change(&mut self.contents);
        self
    }
}

fn stanza(package: &str) -> String {
    let mut parts = package.split(';');
    let (name, version) = parts.next().and_then(|first| first.split_once(' ')).expect("a name and a version");
    let (name, arch) = name.split_once(':').unwrap_or((name, "amd64"));
    let fields: Vec<&str> = parts.map(str::trim).collect();
    let has = |field: &str| fields.iter().any(|line| line.starts_with(field));
    let status = if has("Status:") { "" } else { "Status: install ok installed\n" };
    let fields: Vec<String> = fields.iter().map(|line| format!("{}\n", line.replace('^', "\n "))).collect();
    format!("Package: {name}\n{status}Architecture: {arch}\nVersion: {version}\n{}\n", fields.concat())
}

pub(super) fn key(name: &str) -> Key {
    let (name, arch) = name.split_once(':').unwrap_or((name, "amd64"));
    Key { name: name.to_owned(), arch: arch.to_owned() }
}

pub(super) fn planned(base: &Fake, ours: &Fake, theirs: &Fake) -> Plan {
    let base = Base::of(&base.contents);
    plan(&base, ours.input(), theirs.input(), &Wishes::default()).expect("nothing is read")
}

fn of(base: &[&str], ours: &[&str], theirs: &[&str]) -> Plan {
    planned(&Fake::of(base), &Fake::of(ours), &Fake::of(theirs))
}

/// `status` in short: name, version and Status of each.
fn status(plan: &Plan) -> Vec<String> {
    let line = |entry: &Entry| {
        let version = entry.version.as_ref().map(DebianVersion::to_string).unwrap_or_default();
        format!("{} {version} {}", entry.key.name, entry.status)
    };
    plan.entries.values().map(line).collect()
}

fn outcome(plan: &Plan, name: &str) -> (Decision, Reason) {
    let found = plan.packages.iter().find(|decided| decided.key == key(name)).expect("it was decided");
    (found.outcome.decision, found.outcome.reason)
}

/// Base, ours, theirs; what becomes of `a`, why, and what the new `status` has.
type Row = (
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
    Decision,
    Reason,
    &'static [&'static str],
);

#[test]
fn packages_go_as_the_table_says() {
    const INSTALLED: &str = "install ok installed";
    let decision = |base: &[&str], ours: &[&str], theirs: &[&str]| {
        let plan = of(base, ours, theirs);
        (outcome(&plan, "a"), status(&plan))
    };
    let rows: &[Row] = &[
        (&["a 1"], &["a 1"], &["a 2"], Decision::TakeTheirs, Reason::OnlyHostChanged, &["a 2"]),
        (&[], &[], &["a 1"], Decision::TakeTheirs, Reason::OnlyHostChanged, &["a 1"]),
        (&["a 1"], &["a 1"], &[], Decision::Remove, Reason::OnlyHostChanged, &[]),
        (&["a 1"], &["a 2"], &["a 1"], Decision::KeepOurs, Reason::OnlyOverlayChanged, &["a 2"]),
        (&[], &["a 1"], &[], Decision::KeepOurs, Reason::OnlyOverlayChanged, &["a 1"]),
        (&["a 1"], &[], &["a 1"], Decision::StayRemoved, Reason::OnlyOverlayChanged, &[]),
        (&["a 1"], &["a 2"], &["a 2"], Decision::BothSame, Reason::Agreed, &["a 2"]),
        (&["a 1"], &[], &["a 2"], Decision::StayRemoved, Reason::RemovedInOverlay, &[]),
        (&["a 1"], &["a 2"], &[], Decision::KeepOurs, Reason::RemovedFromHost, &["a 2"]),
        (&["a 1"], &["a 2"], &["a 2;X: y"], Decision::TakeTheirs, Reason::SameVersion, &["a 2"]),
        (&["a 1"], &["a 2"], &["a 1:0"], Decision::TakeTheirs, Reason::HostIsNewer, &["a 1:0"]),
        (&["a 1"], &["a 2"], &["a 2~rc1"], Decision::KeepOurs, Reason::OverlayIsNewer, &["a 2"]),
    ];
    for (base, ours, theirs, expected, reason, packages) in rows {
        let packages: Vec<String> = packages.iter().map(|package| format!("{package} {INSTALLED}")).collect();
        assert_eq!(
            decision(base, ours, theirs),
            ((*expected, *reason), packages),
            "{base:?} {ours:?} {theirs:?}"
        );
    }
}

#[test]
fn unfinished_and_held_packages_go_as_the_table_says() {
    for (ours, theirs, expected, reason) in [
        ("a 2;Status: hold ok installed", "a 3", Decision::KeepOurs, Reason::Held),
        (
            "a 3;Status: install reinstreq half-installed",
            "a 2",
            Decision::TakeTheirs,
            Reason::OverlayIsBroken,
        ),
        ("a 2", "a 3;Status: install reinstreq unpacked", Decision::KeepOurs, Reason::HostIsBroken),
        ("a 3;Status: install ok unpacked", "a 2", Decision::KeepOurs, Reason::OverlayIsNewer),
        ("a 2;Status: install ok half-configured", "a 3", Decision::TakeTheirs, Reason::HostIsNewer),
    ] {
        let plan = of(&["a 1"], &[ours], &[theirs]);
        assert_eq!(outcome(&plan, "a"), (expected, reason), "{ours} {theirs}");
    }
    let plan = of(&["a 1"], &["a 3;Status: install ok unpacked"], &["a 2"]);
    assert!(plan.findings.is_empty(), "it was so before: {:?}", plan.findings);
}

#[test]
fn a_hold_is_a_difference_of_its_own() {
    let held = "a 1;Status: hold ok installed";
    assert_eq!(status(&of(&["a 1"], &[held], &["a 1"])), ["a 1 hold ok installed"]);
    assert_eq!(status(&of(&["a 1"], &["a 1"], &[held])), ["a 1 hold ok installed"]);
    assert_eq!(status(&of(&[held], &["a 1"], &[held])), ["a 1 install ok installed"]);
    // The host's upgrade comes; the hold stays.
    let plan = of(&["a 1"], &[held], &["a 2"]);
    assert_eq!(status(&plan), ["a 2 hold ok installed"]);
    // It may be on a package that only the other has.
    let absent = "a 1;Status: hold ok config-files";
    assert_eq!(status(&of(&[], &["a 1"], &[absent])), ["a 1 hold ok installed"]);
    assert_eq!(status(&of(&[], &[absent], &["a 1"])), ["a 1 hold ok installed"]);
    assert_eq!(status(&of(&[absent], &["a 1"], &[absent])), ["a 1 install ok installed"]);
    // Without knowing who did it, a hold is kept.
    let (ours, theirs) = (Fake::of(&["a 1"]), Fake::of(&[held]));
    let base = Base::of_packages(&[ours.contents.entries[&key("a")].package()]);
    let plan = plan_of(&base, &ours, &theirs);
    assert_eq!(status(&plan), ["a 1 hold ok installed"]);
}

fn plan_of(base: &Base, ours: &Fake, theirs: &Fake) -> Plan {
    plan(base, ours.input(), theirs.input(), &Wishes::default()).expect("nothing is read")
}

#[test]
fn progress_and_conffiles_are_differences_of_their_own() {
    let pending = "a 1;Status: install ok triggers-pending;Triggers-Pending: x";
    assert_eq!(status(&of(&["a 1"], &[pending], &["a 1"])), ["a 1 install ok triggers-pending"]);
    assert_eq!(status(&of(&["a 1"], &["a 1"], &[pending])), ["a 1 install ok triggers-pending"]);
    assert_eq!(status(&of(&[pending], &[pending], &["a 1"])), ["a 1 install ok installed"]);
    // Where both moved on, what is left to do is done.
    let held = "a 1;Status: hold ok half-configured;Config-Version: 1";
    let plan = of(&["a 1"], &[pending], &[held]);
    assert_eq!(status(&plan), ["a 1 hold ok half-configured"]);
    assert_eq!(plan.entries[&key("a")].stanza.text("Triggers-Pending"), None);

    let with = |digest: &str| format!("a 1;Conffiles:^/etc/a {digest}");
    for (base, ours, theirs, merged) in [("1", "2", "1", "2"), ("1", "1", "2", "2"), ("1", "2", "3", "3")] {
        let plan = of(&[&with(base)], &[&with(ours)], &[&with(theirs)]);
        assert_eq!(plan.entries[&key("a")].conffiles[0].digest, merged, "{base} {ours} {theirs}");
    }
    // A hold on one side and conffiles on the other: both.
    let plan = of(&[&with("1")], &[&format!("{};Status: hold ok installed", with("1"))], &[&with("2")]);
    assert_eq!(status(&plan), ["a 1 hold ok installed"]);
    assert_eq!(plan.entries[&key("a")].conffiles[0].digest, "2");
}

#[test]
fn remainders_of_configuration_stay_where_they_are() {
    let rest = "a 1;Status: deinstall ok config-files";
    let left = ["a 1 deinstall ok config-files".to_owned()];
    let none: [String; 0] = [];
    assert_eq!(status(&of(&["a 1"], &[rest], &["a 1"])), left, "removed in the overlay");
    assert_eq!(
        status(&of(&["a 1"], &[rest], &["a 2"])),
        left,
        "removed in the overlay, upgraded on the host"
    );
    assert_eq!(status(&of(&["a 1"], &["a 1"], &[rest])), left, "removed from the host");
    assert_eq!(status(&of(&["a 1"], &[rest], &[])), none, "removed from both, purged from one");
    assert_eq!(status(&of(&["a 1"], &[rest], &[rest])), left, "removed from both");
    assert_eq!(status(&of(&[rest], &[], &[rest])), none, "purged in the overlay");
    assert_eq!(status(&of(&[rest], &[rest], &[])), none, "purged from the host");
    assert_eq!(status(&of(&[rest], &["a 2"], &[rest])), ["a 2 install ok installed"], "installed again");
    assert_eq!(
        status(&of(&[rest], &[rest], &["a 2"])),
        ["a 2 install ok installed"],
        "installed by the host"
    );
    assert_eq!(status(&of(&[], &[rest], &[])), left, "came and went in the overlay");
}

#[test]
fn files_in_info_follow_their_package() {
    let plan = of(
        &["a 1", "b 1", "c 1", "d 1;Multi-Arch: same"],
        &["a 2", "b 1", "d 1;Multi-Arch: same", "e 1"],
        &["a 1", "b 2", "c 2", "d 1;Multi-Arch: same"],
    );
    let side = |name: &str| plan.info.get(name).copied();
    assert_eq!(side("a.list"), Some(Some(Side::Ours)));
    assert_eq!(side("b.md5sums"), Some(Some(Side::Theirs)));
    assert_eq!(side("c.list"), Some(None), "removed in the overlay, it must not come back with the host's");
    assert_eq!(side("d:amd64.list"), Some(Some(Side::Theirs)));
    assert_eq!(side("e.list"), Some(Some(Side::Ours)));
    assert_eq!(side("d.list"), None);
}

#[test]
fn what_the_merge_breaks_is_told() {
    let told = |plan: &Plan| plan.findings.iter().map(Finding::to_string).collect::<Vec<_>>();
    // The host removes what the overlay needs.
    let plan = of(&["lib 1"], &["lib 1", "a 1;Depends: lib | other", "b 1;Pre-Depends: lib"], &[]);
    assert_eq!(told(&plan), ["a:amd64 needs lib | other", "b:amd64 needs lib before all else"]);
    // Siblings that are locked to one version.
    let plan = of(&["git-core 1"], &["git-core 1", "git 1;Depends: git-core (= 1)"], &["git-core 2"]);
    assert_eq!(told(&plan), ["git:amd64 needs git-core (= 1)"]);
    let same = |arch: &str, version: &str| format!("lib:{arch} {version};Multi-Arch: same");
    let plan = of(&[&same("amd64", "1")], &[&same("amd64", "1"), &same("i386", "1")], &[&same("amd64", "2")]);
    assert_eq!(told(&plan), ["lib:amd64 is of version 2, but lib:i386 of 1"]);
    // The host brings what an overlay's package cannot stand, and the other way round.
    let plan = of(&[], &["a 1;Conflicts: mta"], &["b 1;Provides: mta"]);
    assert_eq!(told(&plan), ["a:amd64 conflicts with b:amd64 (mta)"]);
    let plan = of(&["b 1"], &["b 1", "a 1"], &["b 2;Breaks: a (<< 2)"]);
    assert_eq!(told(&plan), ["b:amd64 breaks a:amd64 (a (<< 2))"]);
    // What was broken before is not ours.
    let plan =
        of(&["a 1;Depends: nothing"], &["a 1;Depends: nothing", "b 1"], &["a 1;Depends: nothing", "c 1"]);
    assert_eq!(told(&plan), [""; 0]);
}

/// The overlay's `a` has all that it needs, until the host takes `old` away and brings another package.
#[test]
fn dependencies_are_met_as_by_dpkg() {
    for (needed, provider, is_met) in [
        ("b", "b 1", true),
        ("b (>= 2)", "b 1", false),
        ("b", "b:i386 1", false),
        ("b", "b:all 1", true),
        ("b", "b:i386 1;Multi-Arch: foreign", true),
        ("b:any", "b:i386 1;Multi-Arch: allowed", true),
        ("b:any", "b:i386 1;Multi-Arch: same", false),
        ("b:i386", "b:i386 1;Multi-Arch: same", true),
        ("b:i386", "b 1;Multi-Arch: same", false),
        ("b", "c 1;Provides: b", true),
        ("b (>= 1)", "c 1;Provides: b", false),
        ("b (>= 1)", "c 1;Provides: b (= 1.5)", true),
        ("b (>= 2)", "c 1;Provides: b (= 1.5)", false),
        ("b | c", "c 1", true),
        ("b", "b 1;Status: install ok half-installed", false),
        ("b", "b 1;Status: install ok unpacked", true),
    ] {
        let old = "old 1;Multi-Arch: foreign;Provides: b (= 9)";
        let dependent = format!("a 1;Depends: {needed}");
        let plan = of(&[old], &[old, &dependent], &[provider]);
        let is_missing =
            plan.findings.iter().any(|finding| matches!(finding.problem, Problem::Missing { .. }));
        assert_eq!(is_missing, !is_met, "{needed} by {provider}: {:?}", plan.findings);
    }
}

#[test]
fn what_the_host_has_not_configured_is_told_once() {
    let broken = "a 2;Status: install ok half-configured";
    let told = |ours: &[&str]| {
        let plan = of(&["a 1"], ours, &[broken]);
        plan.findings.iter().map(Finding::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told(&["a 1", "b 1"]), ["a:amd64 is not configured (install ok half-configured)"]);
    assert_eq!(told(&[broken, "b 1"]), [""; 0]);
}

#[test]
fn files_that_two_packages_have_are_told() {
    let told = |ours: &str, theirs: Fake| {
        let ours = Fake::of(&[ours]).path("mine", "/usr/bin/x").path("mine", "/usr/bin/y");
        let plan = planned(&Fake::of(&[]), &ours, &theirs);
        plan.findings.iter().map(Finding::to_string).collect::<Vec<_>>()
    };
    let host = |package: &str| Fake::of(&[package]).path("other", "/usr/bin/x");
    assert_eq!(told("mine 1", host("other 1")), ["mine:amd64 and other:amd64 both have '/usr/bin/x'"]);
    assert_eq!(told("mine 1;Replaces: other", host("other 1")), [""; 0]);
    assert_eq!(told("mine 1;Replaces: other (<< 1)", host("other 1")).len(), 1);
    assert_eq!(told("mine 1", host("other 1;Replaces: mine (<= 1)")), [""; 0]);
    assert_eq!(
        told(
            "mine 1",
            host("other 1;Provides: z").change(|contents| {
                contents.tables.diversions =
                    diversions::parse(b"/usr/bin/x\n/usr/bin/x.mine\nother\n").expect("right");
            })
        ),
        [""; 0]
    );
    // The same content is no quarrel.
    let same = Fake::of(&["mine:i386 1"]);
    assert_eq!(
        told("mine 1", Fake { paths: [(key("mine:i386"), vec!["/usr/bin/x".to_owned()])].into(), ..same }),
        [""; 0]
    );
}

#[test]
fn diversions_go_with_their_package() {
    let divert = |text: &str, fake: Fake| {
        fake.change(|contents| {
            contents.tables.diversions = diversions::parse(text.as_bytes()).expect("they are right");
        })
    };
    let by_a = "/bin/x\n/bin/x.a\na\n";
    let local = "/bin/y\n/bin/y.local\n:\n";
    let paths = |plan: &Plan| -> Vec<String> {
        plan.tables.diversions.keys().map(|path| path.display().to_string()).collect()
    };
    // Installed in the overlay; removed from the host meanwhile; removed in the overlay, but upgraded on the host.
    let plan = planned(&Fake::of(&[]), &divert(by_a, Fake::of(&["a 1"])), &divert(local, Fake::of(&[])));
    assert_eq!(paths(&plan), ["/bin/x", "/bin/y"]);
    let base = divert(by_a, Fake::of(&["a 1"]));
    let plan = planned(&base, &base, &Fake::of(&[]));
    assert_eq!(paths(&plan), [""; 0]);
    let plan = planned(&base, &Fake::of(&[]), &divert(by_a, Fake::of(&["a 2"])));
    assert_eq!(paths(&plan), [""; 0]);
    // Both upgraded it, and it diverts another path now.
    let (ours, theirs) =
        (divert(by_a, Fake::of(&["a 2"])), divert("/bin/z\n/bin/z.a\na\n", Fake::of(&["a 3"])));
    assert_eq!(paths(&planned(&base, &ours, &theirs)), ["/bin/z"]);
    // The same without remembering the base.
    let known = Base::of_packages(&[base.contents.entries[&key("a")].package()]);
    assert_eq!(paths(&plan_of(&known, &ours, &theirs)), ["/bin/z"]);
    assert_eq!(paths(&plan_of(&known, &divert(local, base.clone()), &Fake::of(&[]))), ["/bin/y"]);
}

#[test]
fn overrides_are_merged_by_their_path() {
    let with = |entries: &[(&str, u32)]| {
        let entry = |mode| StatOverride { user: "root".to_owned(), group: "root".to_owned(), mode };
        Fake::of(&[]).change(|contents| {
            contents.tables.overrides =
                entries.iter().map(|(path, mode)| ((*path).into(), entry(*mode))).collect();
        })
    };
    let base = with(&[("/a", 1), ("/b", 1), ("/c", 1), ("/d", 1)]);
    let ours = with(&[("/a", 2), ("/b", 1), ("/d", 2), ("/e", 2)]);
    let theirs = with(&[("/a", 1), ("/c", 3), ("/d", 3), ("/f", 3)]);
    let modes = |plan: &Plan| -> Vec<(String, u32)> {
        plan.tables.overrides.iter().map(|(path, entry)| (path.display().to_string(), entry.mode)).collect()
    };
    let expected = [("/a", 2), ("/d", 2), ("/e", 2), ("/f", 3)].map(|(path, mode)| (path.to_owned(), mode));
    assert_eq!(modes(&planned(&base, &ours, &theirs)), expected);
    let expected = [("/a", 2), ("/b", 1), ("/c", 3), ("/d", 2), ("/e", 2), ("/f", 3)]
        .map(|(path, mode)| (path.to_owned(), mode));
    assert_eq!(modes(&plan_of(&Base::default(), &ours, &theirs)), expected);
}

#[test]
fn who_installed_by_name_is_heard() {
    let auto = |names: &[&str], fake: Fake| {
        let stanzas: Vec<String> = names
            .iter()
            .map(|name| format!("Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n\n"))
            .collect();
        fake.change(|contents| {
            contents.tables.auto_installed =
                AutoInstalled::parse(stanzas.concat().as_bytes()).expect("they are right");
        })
    };
    let names = |plan: &Plan| -> Vec<String> {
        plan.tables.auto_installed.stanzas.keys().map(|key| key.name.clone()).collect()
    };
    let all = &["a 1", "b 1", "c:all 1"];
    let base = auto(&["a", "b", "c"], Fake::of(all));
    let plan = planned(&base, &auto(&["b", "c"], Fake::of(all)), &auto(&["a", "c"], Fake::of(all)));
    assert_eq!(names(&plan), ["c"], "a by name in the overlay, b on the host");
    let plan = planned(&base, &auto(&["a", "b", "c"], Fake::of(all)), &auto(&["a"], Fake::of(&["a 1"])));
    assert_eq!(names(&plan), ["a"], "gone with the packages");
    // Nobody remembers the base: by name on one side is by name.
    let (ours, theirs) = (auto(&["a", "b"], Fake::of(all)), auto(&["b"], Fake::of(&["a 1", "b 2"])));
    assert_eq!(names(&plan_of(&Base::default(), &ours, &theirs)), ["b"]);
    let (ours, theirs) = (auto(&["a"], Fake::of(&["a 1"])), auto(&["b"], Fake::of(&["b 1"])));
    assert_eq!(names(&plan_of(&Base::default(), &ours, &theirs)), ["a", "b"]);
}

/// `vi` of these choices: `PATH PRIORITY`.
fn vi(is_manual: bool, choices: &[&str]) -> Alternative {
    let mode = if is_manual { "manual" } else { "auto" };
    let choices: Vec<String> = choices
        .iter()
        .map(|choice| {
            let (path, priority) = choice.split_once(' ').expect("a path and a priority");
            format!("{path}\n{priority}\n{path}.1\n")
        })
        .collect();
    let text = format!("{mode}\n/usr/bin/vi\nvi.1\n/usr/share/man/vi.1\n\n{}\n", choices.concat());
    Alternative::parse(text.as_bytes()).expect("it is right")
}

#[test]
fn choices_go_with_their_package() {
    let offer = |alternative: Alternative, fake: Fake| {
        fake.change(|contents| drop(contents.tables.alternatives.insert("vi".to_owned(), alternative)))
    };
    let chosen = |plan: &Plan| -> Vec<String> {
        let vi = plan.tables.alternatives.get("vi");
        vi.into_iter().flat_map(|vi| vi.choices.keys()).map(|path| path.display().to_string()).collect()
    };
    let nano = |version: &str| Fake::of(&[&format!("nano {version}")]).path("nano", "/bin/nano");
    let base = offer(vi(false, &["/bin/nano 10"]), nano("1"));
    let both = |nano_version: &str| {
        let fake = Fake::of(&[&format!("nano {nano_version}"), "vim 1"]);
        let fake = fake.path("nano", "/bin/nano").path("vim", "/usr/bin/vim");
        offer(vi(false, &["/bin/nano 10", "/usr/bin/vim 50"]), fake)
    };
    // The overlay installs one, the host removes the other.
    let plan = planned(&base, &both("1"), &Fake::of(&[]));
    assert_eq!(chosen(&plan), ["/usr/bin/vim"]);
    // What the overlay keeps stays on offer, though the host has taken it away.
    let plan = planned(&base, &both("2"), &Fake::of(&[]));
    assert_eq!(chosen(&plan), ["/bin/nano", "/usr/bin/vim"]);
    // The overlay removes one, the host upgrades it.
    let plan = planned(&base, &Fake::of(&[]), &offer(vi(false, &["/bin/nano 20"]), nano("2")));
    assert_eq!(chosen(&plan), [""; 0]);
    // Manual mode is kept, priorities are the host's, and files of no package are merged by their path.
    let ours = offer(vi(true, &["/bin/nano 10", "/opt/mine 99"]), nano("1"));
    let theirs = offer(vi(false, &["/bin/nano 20", "/opt/theirs 1"]), nano("2"));
    let plan = planned(&base, &ours, &theirs);
    assert_eq!(chosen(&plan), ["/bin/nano", "/opt/mine", "/opt/theirs"]);
    let merged = &plan.tables.alternatives["vi"];
    assert!(merged.is_manual);
    assert_eq!(merged.choices[Path::new("/bin/nano")].priority, 20);
    // The same without remembering the base.
    let known = Base::of_packages(&[base.contents.entries[&key("nano")].package()]);
    assert_eq!(chosen(&plan_of(&known, &both("1"), &Fake::of(&[]))), ["/usr/bin/vim"]);
    assert_eq!(chosen(&plan_of(&known, &ours, &theirs)), ["/bin/nano", "/opt/mine", "/opt/theirs"]);
}

#[test]
fn triggers_are_made_anew() {
    let wants = |name: &str, trigger: &str, fake: Fake| {
        fake.change(|contents| {
            let declared = Declared { interests: vec![(trigger.to_owned(), true)], activates: Vec::new() };
            contents.declared.insert(key(name), declared);
            let interest =
                Interest { trigger: trigger.to_owned(), package: name.to_owned(), is_noawait: true };
            if trigger.starts_with('/') {
                contents.triggers.files.push(interest);
            } else {
                contents.triggers.named.entry(trigger.to_owned()).or_default().push(interest);
            }
        })
    };
    let base = wants("gone", "/usr/gone", Fake::of(&["gone 1", "lib 1"]));
    let ours =
        wants("mime", "/usr/mime", wants("gone", "/usr/gone", Fake::of(&["gone 1", "lib 1", "mime 1"])));
    let theirs =
        wants("ldconfig", "ldconfig", Fake::of(&["lib 2", "ldconfig 1"])).path("lib", "/usr/mime/x/y");
    let plan = planned(&base, &ours, &theirs);
    let shown = |text: Vec<u8>| String::from_utf8(text).expect("text");
    assert_eq!(shown(Interest::write_files(&plan.triggers.files)), "/usr/mime mime/noawait\n");
    assert_eq!(shown(Interest::write_named(&plan.triggers.named["ldconfig"])), "ldconfig/noawait\n");
    // The host's new file is one that the overlay's package wants to know of.
    let activated: Vec<&String> = plan.tables.activated.keys().collect();
    assert_eq!(activated, ["/usr/mime"]);
    // With an overlay that changed nothing there is nothing to be told.
    assert!(planned(&base, &base, &theirs).tables.activated.is_empty());
}

#[test]
fn what_was_activated_is_still_to_be_told() {
    let with = |who: &str| {
        Fake::of(&[]).change(|contents| {
            contents.tables.activated.insert("t".to_owned(), BTreeSet::from([who.to_owned()]));
        })
    };
    let plan = planned(&Fake::of(&[]), &with("a"), &with("b"));
    assert_eq!(plan.tables.activated["t"], BTreeSet::from(["a", "b"].map(str::to_owned)));
}

#[test]
fn what_was_asked_for_is_done() {
    let (base, ours, theirs) =
        (Fake::of(&["a 1", "b 1"]), Fake::of(&["a 2", "b 1"]), Fake::of(&["a 3", "b 2"]));
    let wishes = Wishes {
        conflicts: Some(Side::Ours),
        packages: BTreeMap::from([(key("b"), Side::Ours), (key("c"), Side::Theirs)]),
        ..Wishes::default()
    };
    let base = Base::of(&base.contents);
    let plan = plan(&base, ours.input(), theirs.input(), &wishes).expect("nothing is read");
    assert_eq!(status(&plan), ["a 2 install ok installed", "b 2 install ok installed"]);
    assert_eq!(outcome(&plan, "a"), (Decision::KeepOurs, Reason::Asked));
    assert_eq!(plan.unheeded, BTreeSet::from([key("b"), key("c")]));
}
