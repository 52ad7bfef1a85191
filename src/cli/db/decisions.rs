//! `onlay db diff` of three databases: what the merge would decide.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::output;
use crate::cli::report::Error;
use crate::package::{Evr, Header, Identity};
use crate::pkgdb::dpkg::{self, merge as dpkg_merge};
use crate::pkgdb::merge::{Decision, Fact, Outcome, Reason, Side, Wishes, merge};
use crate::pkgdb::{AnyDatabase, Package, rpm};

/// One package on which something is decided, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    arch: String,
    decision: &'static str,
    reason: &'static str,
    /// Both changed it, each in another way.
    conflict: bool,
    /// The side that could be asked for instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    alternative: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ours: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    theirs: Option<String>,
    #[serde(skip)]
    why: &'static str,
}

pub(super) fn show(
    base: &AnyDatabase,
    ours: &AnyDatabase,
    theirs: &AnyDatabase,
    json: bool,
) -> Result<(), Error> {
    let rows = match (base, ours, theirs) {
        (AnyDatabase::Rpm(base), AnyDatabase::Rpm(ours), AnyDatabase::Rpm(theirs)) => {
            of_rpm(base, ours, theirs)?
        }
        (AnyDatabase::Dpkg(base), AnyDatabase::Dpkg(ours), AnyDatabase::Dpkg(theirs)) => {
            of_dpkg(base, ours, theirs)?
        }
        _ => unreachable!("all three were found to be of one kind"),
    };
    if json {
        return output::print_json(&rows);
    }
    if rows.is_empty() {
        output::say("onlay: all three have the same packages");
        return Ok(());
    }
    output::print(&table(&rows))
}

/// What can be there once: name and architecture; the version, too, where several can be installed.
type Key = (String, String, Option<String>);

type Packages = BTreeMap<Key, Package>;

fn of_rpm(base: &rpm::Database, ours: &rpm::Database, theirs: &rpm::Database) -> Result<Vec<Row>, Error> {
    let [base, ours, theirs] = [packages(base)?, packages(ours)?, packages(theirs)?];
    let known = base.iter().map(|(key, package)| (key.clone(), package.identity)).collect();
    let merged = merge(&known, &facts(&ours), &facts(&theirs), &Wishes::default());
    let version = |packages: &Packages, key: &Key| packages.get(key).map(|found| found.version.clone());
    let decided = merged.outcomes.iter().filter(|(_, outcome)| outcome.decision != Decision::Unchanged);
    let row = |(key, outcome): (&Key, &Outcome)| {
        let versions = [&base, &ours, &theirs].map(|packages| version(packages, key));
        row(&key.0, &key.1, *outcome, versions)
    };
    Ok(decided.map(row).collect())
}

fn packages(database: &rpm::Database) -> Result<Packages, Error> {
    let mut found = Packages::new();
    database.each(&mut |_, blob| {
        // rpm passes over headers that cannot be read.
        let Ok(header) = Header::parse(blob) else { return Ok(()) };
        let package = Package {
            name: header.name().into_owned(),
            arch: header.arch().into_owned(),
            version: header.evr().to_string(),
            identity: Identity::of(blob),
        };
        let version = rpm::may_be_there_twice(&header).then(|| package.version.clone());
        let mut key = (package.name.clone(), package.arch.clone(), version);
        if found.contains_key(&key) {
            // It should not be there twice, and is.
            key.2 = Some(package.version.clone());
        }
        found.insert(key, package);
        Ok(())
    })?;
    Ok(found)
}

fn facts(packages: &Packages) -> BTreeMap<Key, Fact<Evr<'static>>> {
    let fact = |package: &'_ Package| Fact::new(Evr::parse(&package.version).into_owned(), package.identity);
    packages.iter().map(|(key, package)| (key.clone(), fact(package))).collect()
}

fn of_dpkg(base: &dpkg::Database, ours: &dpkg::Database, theirs: &dpkg::Database) -> Result<Vec<Row>, Error> {
    let known = dpkg_merge::Base::of(base);
    let plan = dpkg_merge::plan(&known, input_of(ours), input_of(theirs), &Wishes::default())?;
    for finding in &plan.findings {
        output::say(&format!("onlay: the merge would break something: {finding}"));
    }
    let version = |database: &dpkg::Database, key: &dpkg::Key| {
        let entry = database.entries.get(key).filter(|entry| entry.is_present())?;
        Some(entry.package().version)
    };
    let decided = plan.packages.iter().filter(|decided| decided.outcome.decision != Decision::Unchanged);
    let row = |decided: &dpkg_merge::Decided| {
        let versions = [base, ours, theirs].map(|database| version(database, &decided.key));
        row(&decided.key.name, &decided.key.arch, decided.outcome, versions)
    };
    Ok(decided.map(row).collect())
}

fn input_of(database: &dpkg::Database) -> dpkg_merge::Input<'_> {
    dpkg_merge::Input { contents: database, paths: database }
}

fn row(name: &str, arch: &str, outcome: Outcome, [base, ours, theirs]: [Option<String>; 3]) -> Row {
    let (reason, why) = because(outcome.reason);
    Row {
        name: name.to_owned(),
        arch: arch.to_owned(),
        decision: decision(outcome.decision),
        reason,
        conflict: outcome.is_conflict(),
        alternative: outcome.alternative.map(|side| if side == Side::Ours { "ours" } else { "theirs" }),
        base,
        ours,
        theirs,
        why,
    }
}

fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Unchanged => "unchanged",
        Decision::BothSame => "both-same",
        Decision::TakeTheirs => "take-theirs",
        Decision::Remove => "remove",
        Decision::KeepOurs => "keep-ours",
        Decision::StayRemoved => "stay-removed",
    }
}

/// A word for programs, and words for people.
fn because(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Agreed => ("agreed", "both changed it to the same"),
        Reason::OnlyHostChanged => ("only-theirs-changed", "only theirs changed it"),
        Reason::OnlyOverlayChanged => ("only-ours-changed", "only ours changed it"),
        Reason::RemovedInOverlay => ("removed-in-ours", "ours removed it, and theirs changed it"),
        Reason::RemovedFromHost => ("removed-in-theirs", "theirs removed it, and ours changed it"),
        Reason::OverlayIsBroken => ("ours-is-broken", "ours was broken off half-way"),
        Reason::HostIsBroken => ("theirs-is-broken", "theirs was broken off half-way"),
        Reason::Held => ("held", "it is on hold in ours"),
        Reason::SameVersion => ("same-version", "both have this version, but not the same package"),
        Reason::HostIsNewer => ("theirs-is-newer", "theirs is newer"),
        Reason::OverlayIsNewer => ("ours-is-newer", "ours is newer"),
        Reason::Asked => ("asked", "it was asked for"),
    }
}

fn table(rows: &[Row]) -> String {
    let head = ["DECISION", "NAME", "ARCH", "BASE", "OURS", "THEIRS", "BECAUSE"].map(str::to_owned).to_vec();
    let cells = rows.iter().map(|row| {
        let version = |version: &Option<String>| version.as_deref().map_or("-".to_owned(), output::visible);
        vec![
            row.decision.to_owned(),
            output::visible(&row.name),
            output::visible(&row.arch),
            version(&row.base),
            version(&row.ours),
            version(&row.theirs),
            row.why.to_owned(),
        ]
    });
    output::table(&std::iter::once(head).chain(cells).collect::<Vec<_>>())
}
