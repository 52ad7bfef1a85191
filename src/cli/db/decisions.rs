//! What a merge of three databases decides: `onlay db diff` shows it, `onlay db merge` does it.

use std::sync::Arc;

use serde::Serialize;

use crate::cli::output;
use crate::cli::report::Error;
use crate::pkgdb::dpkg::{self, Aliases, merge as dpkg_merge};
use crate::pkgdb::merge::{Decision, Outcome, Reason, Side, Wishes};
use crate::pkgdb::rpm::merge::{self as rpm_merge, Catalog, Choice};
use crate::pkgdb::{AnyDatabase, rpm};

/// One package on which something is decided, as `--json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Row {
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

/// A merge that is planned.
pub(super) struct Judged {
    pub(super) plan: Plan,
    /// What is decided on packages that one side changed.
    pub(super) rows: Vec<Row>,
    /// What is wrong then that was not before, in words.
    findings: Vec<String>,
}

pub(super) enum Plan {
    Rpm(rpm_merge::Plan),
    Dpkg(dpkg_merge::Plan),
}

/// Decides. All three are of one kind.
pub(super) fn judge(base: &AnyDatabase, ours: &AnyDatabase, theirs: &AnyDatabase) -> Result<Judged, Error> {
    match (base, ours, theirs) {
        (AnyDatabase::Rpm(base), AnyDatabase::Rpm(ours), AnyDatabase::Rpm(theirs)) => {
            of_rpm(base, ours, theirs)
        }
        (AnyDatabase::Dpkg(base), AnyDatabase::Dpkg(ours), AnyDatabase::Dpkg(theirs)) => {
            of_dpkg(base, ours, theirs)
        }
        _ => unreachable!("all three were found to be of one kind"),
    }
}

impl Judged {
    pub(super) fn tell_findings(&self) {
        for finding in &self.findings {
            output::say(&format!("onlay: the merge breaks something: {finding}"));
        }
    }

    pub(super) fn show(&self, json: bool) -> Result<(), Error> {
        self.tell_findings();
        if json {
            return output::print_json(&self.rows);
        }
        if self.rows.is_empty() {
            output::say("onlay: all three have the same packages");
            return Ok(());
        }
        output::print(&table(&self.rows))
    }
}

fn words<T: ToString>(findings: &[T]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

fn of_rpm(base: &rpm::Database, ours: &rpm::Database, theirs: &rpm::Database) -> Result<Judged, Error> {
    let (our, their) = Catalog::of_both(&[], ours, theirs)?;
    let known = Catalog::known(base, [&our, &their])?;
    let plan =
        rpm_merge::plan(&known, (ours, &our), (theirs, &their), &Choice::default(), &Aliases::default())?;
    let was = |key: &rpm_merge::Key| {
        let is_it = |known: &&Arc<rpm_merge::Known>| {
            let version = key.version.as_ref().is_none_or(|version| *version == known.evr.to_string());
            known.name == key.name && known.arch == key.arch && version
        };
        known.iter().find(is_it).map(|known| known.evr.to_string())
    };
    let version = |entry: &Option<rpm_merge::Entry>| entry.as_ref().map(|entry| entry.known.evr.to_string());
    let decided = plan.packages.iter().filter(|decided| decided.outcome.decision != Decision::Unchanged);
    let row = |decided: &rpm_merge::Decided| {
        let versions = [was(&decided.key), version(&decided.ours), version(&decided.theirs)];
        row(&decided.key.name, &decided.key.arch, decided.outcome, versions)
    };
    let (rows, findings) = (decided.map(row).collect(), words(&plan.findings));
    Ok(Judged { rows, findings, plan: Plan::Rpm(plan) })
}

fn of_dpkg(base: &dpkg::Database, ours: &dpkg::Database, theirs: &dpkg::Database) -> Result<Judged, Error> {
    let known = dpkg_merge::Base::of(base);
    let plan = dpkg_merge::plan(&known, input_of(ours), input_of(theirs), &Wishes::default())?;
    let version = |database: &dpkg::Database, key: &dpkg::Key| {
        let entry = database.entries.get(key).filter(|entry| entry.is_present())?;
        Some(entry.package().version)
    };
    let decided = plan.packages.iter().filter(|decided| decided.outcome.decision != Decision::Unchanged);
    let row = |decided: &dpkg_merge::Decided| {
        let versions = [base, ours, theirs].map(|database| version(database, &decided.key));
        row(&decided.key.name, &decided.key.arch, decided.outcome, versions)
    };
    let (rows, findings) = (decided.map(row).collect(), words(&plan.findings));
    Ok(Judged { rows, findings, plan: Plan::Dpkg(plan) })
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
        Reason::HostIsPassing => ("theirs-is-passing", "theirs is an extension's"),
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
