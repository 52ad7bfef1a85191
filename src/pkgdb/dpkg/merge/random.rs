//! Merges of databases of random histories: what must hold for all of them.

use std::path::PathBuf;

use super::rows::{Fake, key, planned};
use super::*;
use crate::package::deb822::Stanza;
use crate::pkgdb::dpkg::alternatives::Choice;
use crate::pkgdb::dpkg::triggers::{Declared, Interest};
use crate::pkgdb::dpkg::{Alternative, Diversion, InfoFiles, StatOverride, stem};

const NAMES: &[&str] = &["a", "b", "c", "d:all", "e", "e:i386", "f"];

/// A database that dpkg could have made: tables speak of packages that are there.
fn random(chance: &mut fastrand::Rng, from: Option<&Fake>) -> Fake {
    let old: BTreeMap<String, String> = from.map(packages).unwrap_or_default();
    let mut texts = BTreeMap::new();
    for name in NAMES {
        let text = match (chance.u8(0..10), old.get(*name)) {
            (0..5, Some(same)) => same.clone(),
            (0..6, _) => continue,
            (kind, _) => one(chance, name, kind),
        };
        texts.insert((*name).to_owned(), text);
    }
    let list: Vec<&str> = texts.values().map(String::as_str).collect();
    let mut fake = Fake::of(&list);
    let keys: Vec<Key> = fake.contents.present().map(|entry| entry.key.clone()).collect();
    for present in keys {
        decorate(chance, &mut fake, &present, from);
    }
    // apt forgets what is gone, but not at once.
    for (key, stanza) in from.iter().flat_map(|from| &from.contents.tables.auto_installed.stanzas) {
        if chance.bool() && !fake.contents.present().any(|entry| fake.contents.apt_key(&entry.key) == *key) {
            fake.contents.tables.auto_installed.stanzas.insert(key.clone(), stanza.clone());
        }
    }
    if chance.bool() {
        let entry = StatOverride { user: "root".into(), group: "root".into(), mode: chance.u32(0..3) };
        fake.contents.tables.overrides.insert(PathBuf::from(format!("/x{}", chance.u8(0..3))), entry);
    }
    fake
}

fn one(chance: &mut fastrand::Rng, name: &str, kind: u8) -> String {
    let version = chance.u8(1..4);
    let multi_arch = if name.starts_with('e') { ";Multi-Arch: same" } else { "" };
    let status = match kind {
        6 => ";Status: deinstall ok config-files",
        7 if chance.bool() => ";Status: hold ok installed",
        8 if chance.bool() => ";Status: install reinstreq half-installed",
        9 if chance.bool() => ";Status: install ok triggers-pending;Triggers-Pending: t",
        _ => "",
    };
    let needs = if chance.bool() { ";Depends: a | f" } else { "" };
    let conffiles =
        if chance.bool() { format!(";Conffiles:^/etc/{name} {}", chance.u8(0..3)) } else { String::new() };
    format!("{name} {version}{multi_arch}{needs}{status}{conffiles};X-Built: {}", chance.u8(0..2))
}

/// The packages of a database, as `Fake::of` takes them.
fn packages(fake: &Fake) -> BTreeMap<String, String> {
    let line = |entry: &Entry| {
        let skip = ["Package", "Architecture", "Version"].map(str::as_bytes);
        let fields: Vec<String> = entry
            .stanza
            .fields()
            .filter(|(name, _)| !skip.contains(name))
            .map(|(name, value)| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                format!(";{}:{}", text(name), text(value).replace("\n ", "^"))
            })
            .collect();
        let Key { name, arch } = &entry.key;
        let version = entry.version.as_ref().expect("all have one");
        (name.clone(), arch.clone(), format!("{name}:{arch} {version}{}", fields.concat()))
    };
    let named = |(name, arch, text): (String, String, String)| {
        (if arch == "amd64" { name } else { format!("{name}:{arch}") }, text)
    };
    fake.contents.entries.values().map(line).map(named).collect()
}

/// What a package's scripts leave in the tables, always or by chance.
fn decorate(chance: &mut fastrand::Rng, fake: &mut Fake, present: &Key, from: Option<&Fake>) {
    let (name, contents) = (present.name.clone(), &mut fake.contents);
    let stem = stem(&contents.entries[present]);
    fake.paths.insert(present.clone(), vec![format!("/usr/bin/{name}"), format!("/usr/share/x/{name}")]);
    if &*name < "c" {
        let interest = Interest { trigger: "/usr/share/x".into(), package: stem.clone(), is_noawait: true };
        contents.triggers.files.push(interest);
        let declared = Declared { interests: vec![("/usr/share/x".into(), true)], activates: Vec::new() };
        contents.declared.insert(present.clone(), declared);
        let diversion = Diversion { target: format!("/bin/x.{name}").into(), package: Some(name.clone()) };
        contents.tables.diversions.insert("/bin/x".into(), diversion);
    }
    let auto_key = contents.apt_key(present);
    let was_auto = from.is_some_and(|from| from.contents.tables.auto_installed.contains(&auto_key));
    if was_auto && chance.u8(0..4) > 0 || chance.u8(0..4) == 0 {
        let fields =
            [("Package", &*auto_key.name), ("Architecture", &*auto_key.arch), ("Auto-Installed", "1")];
        contents.tables.auto_installed.stanzas.insert(auto_key.clone(), Stanza::of(fields));
    }
    if &*name > "c" {
        let choice = Choice { priority: i32::from(chance.u8(0..3)), slaves: BTreeMap::new() };
        let new = || Alternative {
            is_manual: false,
            link: "/usr/bin/vi".into(),
            slaves: BTreeMap::new(),
            choices: BTreeMap::new(),
        };
        let vi = contents.tables.alternatives.entry("vi".to_owned()).or_insert_with(new);
        vi.is_manual |= chance.u8(0..4) == 0;
        vi.choices.insert(format!("/usr/bin/{name}").into(), choice);
    }
}

/// All that a merge makes, whatever the order of fields and lines.
fn shape(contents: &Contents) -> String {
    shown(&contents.entries, &contents.triggers, &contents.tables, &names(contents))
}

fn planned_shape(plan: &Plan) -> String {
    let names: BTreeSet<String> =
        plan.info.iter().filter(|(_, side)| side.is_some()).map(|(name, _)| name.clone()).collect();
    shown(&plan.entries, &plan.triggers, &plan.tables, &names)
}

fn shown(
    entries: &BTreeMap<Key, Entry>,
    triggers: &Triggers,
    tables: &Tables,
    names: &BTreeSet<String>,
) -> String {
    let entries: Vec<(&Key, String, String, Marks)> = entries
        .iter()
        .map(|(key, entry)| (key, entry.status.to_string(), entry.identity.to_string(), entry.marks()))
        .collect();
    format!("{entries:#?}\n{:#?}\n{tables:#?}\n{names:#?}", sorted_triggers(triggers))
}

/// That both are the same, or else the first line that differs.
fn assert_same(found: &str, expected: &str, told: impl Fn() -> String) {
    if let Some((found, expected)) = found.lines().zip(expected.lines()).find(|(one, other)| one != other) {
        panic!("{found}\n{expected}\n{}", told());
    }
    assert_eq!(found.len(), expected.len(), "{}", told());
}

fn sorted_triggers(triggers: &Triggers) -> BTreeSet<Interest> {
    triggers.files.iter().chain(triggers.named.values().flatten()).cloned().collect()
}

fn names(contents: &Contents) -> BTreeSet<String> {
    let info: &InfoFiles = &contents.info;
    info.stems().flat_map(|stem| info.kinds(stem).map(move |kind| format!("{stem}.{kind}"))).collect()
}

#[test]
fn random_merges_keep_what_must_hold() {
    let mut chance = fastrand::Rng::with_seed(1993);
    let mut decisions = BTreeSet::new();
    for round in 0..150 {
        let base = random(&mut chance, None);
        let ours = random(&mut chance, Some(&base));
        let theirs = random(&mut chance, Some(&base));
        let told = || {
            let [base, ours, theirs] = [&base, &ours, &theirs].map(packages);
            format!("round {round}\nbase {base:#?}\nours {ours:#?}\ntheirs {theirs:#?}")
        };

        let host_alone = planned(&base, &base, &theirs);
        assert_same(&planned_shape(&host_alone), &shape(&theirs.contents), told);
        let overlay_alone = planned(&base, &ours, &base);
        assert_same(&planned_shape(&overlay_alone), &shape(&ours.contents), told);

        let merged = planned(&base, &ours, &theirs);
        assert_eq!(format!("{merged:?}"), format!("{:?}", planned(&base, &ours, &theirs)), "{}", told());
        decisions.extend(merged.packages.iter().map(|decided| format!("{:?}", decided.outcome)));
        // Nothing is there twice, nor made up: dpkg can read it, and every package is one side's.
        let again: Vec<u8> =
            merged.entries.values().flat_map(|entry| [entry.stanza.as_bytes(), b"\n"].concat()).collect();
        let again =
            crate::pkgdb::dpkg::parse_status(&again).unwrap_or_else(|error| panic!("{error}: {}", told()));
        assert_eq!(again, merged.entries, "{}", told());
        for entry in merged.entries.values() {
            let is_from = |fake: &Fake| {
                fake.contents.entries.get(&entry.key).is_some_and(|other| other.identity == entry.identity)
            };
            assert!(is_from(&ours) || is_from(&theirs), "{} {}", entry.key, told());
        }
        for diversion in merged.tables.diversions.values() {
            let by = diversion.package.as_ref().expect("packages alone divert here");
            assert!(merged.entries.get(&key(by)).is_some_and(Entry::is_present), "{by} {}", told());
        }
        // Merging what was merged with the same host again changes nothing.
        let mut result = Fake::of(&[]);
        result.contents = Contents {
            entries: merged.entries.clone(),
            info: InfoFiles::of(
                merged.info.iter().filter(|(_, side)| side.is_some()).map(|(name, _)| name.into()),
            ),
            tables: merged.tables.clone(),
            triggers: merged.triggers.clone(),
            declared: declared(&merged, &ours, &theirs),
            ..theirs.contents.clone()
        };
        let second = planned(&theirs, &result, &theirs);
        assert_same(&planned_shape(&second), &planned_shape(&merged), told);
    }
    assert!(decisions.len() >= 12, "only {decisions:?}");
}

fn declared(merged: &Plan, ours: &Fake, theirs: &Fake) -> BTreeMap<Key, Declared> {
    let both = theirs.contents.declared.iter().chain(&ours.contents.declared);
    both.filter(|(key, _)| merged.entries.get(key).is_some_and(Entry::is_present))
        .map(|(key, declared)| (key.clone(), declared.clone()))
        .collect()
}
