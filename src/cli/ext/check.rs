//! `onlay ext check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::Place;
use super::refuse_blind;
use crate::cli::finding_row::FindingRow;
use crate::cli::output::{self, JsonPath};
use crate::cli::report::{Error, FAILED};
use crate::extension::activate::{Choice, merged};
use crate::extension::finding::Weight;
use crate::extension::fit::{self, Fitness};
use crate::extension::matching::HostFacts;
use crate::extension::places::Form;
use crate::extension::{self, Class, Directory, SystemdVersion, with_base};
use crate::host::Host;

mod subjects;

pub(super) use subjects::contents_of;
use subjects::{Given, Places, Subject, Unjudged, asked_for};

/// So many remarks are told of one extension, unless all are asked for.
const FEW: usize = 8;

/// Judge whether extensions fit: whether systemd merges them, and whether their
/// programs find the libraries and symbol versions that they need
///
/// Extensions are judged together, and with those that are merged besides. With
/// --root, that is done on a root that need not be booted yet: the next snapshot.
/// Exits with 0 where all fit, with 1 otherwise.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Extensions: directories, images (squashfs or erofs, or a disk image with one), and
    /// names of those that were added [default: all in the places where systemd looks, and
    /// all that are enabled]
    #[arg(value_name = "EXTENSION", value_hint = ValueHint::AnyPath)]
    extensions: Vec<PathBuf>,
    /// Judge by the rules of this version of systemd instead of the installed one
    #[arg(long, value_name = "VERSION", value_parser = known_systemd)]
    systemd: Option<SystemdVersion>,
    /// Tell all remarks, however many there are
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A version of systemd whose rules are known.
fn known_systemd(word: &str) -> Result<SystemdVersion, extension::Error> {
    let version: SystemdVersion = word.parse()?;
    if version.major > SystemdVersion::LAST.major {
        return Err(extension::Error::TooNew(version));
    }
    Ok(version)
}

/// One extension, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    path: JsonPath<'a>,
    class: Class,
    /// What came of it.
    state: &'static str,
    #[serde(flatten)]
    judged: Option<Judged>,
    /// The entry of the same name that counts instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_by: Option<JsonPath<'a>>,
}

#[derive(Debug, Serialize)]
struct Judged {
    matches: bool,
    rule: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
    fits: bool,
    programs: usize,
    findings: Vec<FindingRow>,
}

pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Error> {
    if arguments.extensions.is_empty() {
        refuse_blind(place)?;
    }
    let host = Host::open(&place.root)?;
    let given: Vec<Given> = arguments.extensions.iter().map(|word| meant(word, &host, place)).collect();
    let now = if host.is_running { merged(&host) } else { Vec::new() };
    with_base(&host, |host| check(host, &given, &now, arguments))?
}

/// The file that a word means: where there is none of this name, the image of the extension that is called so.
fn meant(word: &Path, host: &Host, place: &Place) -> Given {
    let choice = word.to_str().and_then(|word| word.parse::<Choice>().ok());
    let image = choice.filter(|_| !word.exists()).and_then(|choice| choice.image(host, &place.state));
    image.map_or_else(|| Given::File(word.to_owned()), Given::Added)
}

/// Judges what is given, or all. `now` is what is merged, by its names.
fn check(host: &Host, given: &[Given], now: &[String], arguments: &Arguments) -> Result<ExitCode, Error> {
    let base = Directory::new(host.root.try_clone()?);
    let facts = HostFacts::read(host, &base, arguments.systemd)?;
    let mut places = Places::of(host, &facts)?;
    for subject in &mut places.merged {
        subject.is_merged = now.contains(&subject.name);
    }
    if given.is_empty() {
        places.add_enabled(host)?;
    } else {
        places.others.clear();
    }
    let Places { merged, mut others } = places;
    let mut subjects = Vec::new();
    for subject in asked_for(&facts, merged, given, &mut others)? {
        match subject.matches(&facts) {
            Ok(is_merged) => subjects.push((subject, is_merged)),
            Err(error) => others.push(Unjudged::damaged(&subject.path, subject.class, &error)),
        }
    }
    let mut fitnesses = Vec::new();
    for (index, (subject, _)) in subjects.iter().enumerate().filter(|(_, (subject, _))| subject.is_asked_for)
    {
        // The last one lies on top; what does not match is not there.
        let mut beside = Vec::new();
        let mut position = 0;
        for (other_index, (other, is_merged)) in subjects.iter().enumerate().rev() {
            if other_index == index {
                position = beside.len();
            } else if *is_merged {
                beside.push(other.extension());
            }
        }
        match fit::check(&facts, &base, &subject.extension(), &beside, position) {
            Ok(fitness) => fitnesses.push((subject, fitness)),
            Err(error) => others.push(Unjudged::damaged(&subject.path, subject.class, &error.into())),
        }
    }
    tell(&fitnesses, &others, &facts, arguments)?;
    let all_fit = fitnesses.iter().all(|(_, fitness)| fitness.verdict.is_ok() && fitness.fits())
        && others.iter().all(|other| other.trouble.is_none());
    Ok(if all_fit { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn tell(
    fitnesses: &[(&Subject, Fitness)],
    unjudged: &[Unjudged],
    facts: &HostFacts,
    arguments: &Arguments,
) -> Result<(), Error> {
    if arguments.json {
        let judged = fitnesses.iter().map(|(subject, fitness)| row(subject, fitness));
        return output::print_json(&judged.chain(unjudged.iter().map(unjudged_row)).collect::<Vec<_>>());
    }
    if fitnesses.is_empty() && unjudged.is_empty() {
        output::say("onlay: there are no extensions");
    }
    for (subject, fitness) in fitnesses {
        output::print(&in_words(subject, fitness, facts, arguments.all))?;
    }
    for other in unjudged {
        output::print(&unjudged_in_words(other))?;
    }
    Ok(())
}

fn state(fitness: &Fitness) -> &'static str {
    match (fitness.verdict.is_ok(), fitness.fits()) {
        (true, true) => "fits",
        (true, false) => "unfit",
        (false, true) => "unmatched",
        (false, false) => "unmatched-unfit",
    }
}

fn row<'a>(subject: &'a Subject, fitness: &Fitness) -> Row<'a> {
    let (rule, reason, change) = match &fitness.verdict {
        Ok(matched) => (matched.rule(), matched.to_string(), None),
        Err(mismatch) => (mismatch.rule(), mismatch.to_string(), mismatch.change()),
    };
    let judged = Judged {
        matches: fitness.verdict.is_ok(),
        rule,
        reason,
        change,
        fits: fitness.fits(),
        programs: fitness.programs,
        findings: fitness.findings.iter().map(FindingRow::of).collect(),
    };
    Row {
        name: &subject.name,
        path: subject.path.as_path().into(),
        class: subject.class,
        state: state(fitness),
        judged: Some(judged),
        hidden_by: None,
    }
}

fn unjudged_row(unjudged: &Unjudged) -> Row<'_> {
    let Unjudged { candidate, class, trouble } = unjudged;
    let state = match candidate.form {
        _ if candidate.hidden_by.is_some() => "hidden",
        Form::Mask => "mask",
        _ if trouble.is_some() => "unreadable",
        _ => "not-judged",
    };
    let hidden_by = candidate.hidden_by.as_deref().map(JsonPath::from);
    Row {
        name: &candidate.name,
        path: candidate.path.as_path().into(),
        class: *class,
        state,
        judged: None,
        hidden_by,
    }
}

fn in_words(subject: &Subject, fitness: &Fitness, facts: &HostFacts, all: bool) -> String {
    let name = output::visible(&subject.name);
    let mut lines = vec![match (&fitness.verdict, fitness.fits()) {
        (Ok(matched), true) => format!("{name}: fits; {matched}"),
        (Ok(matched), false) if subject.is_merged => {
            format!("{name}: is merged, but does not fit; {matched}")
        }
        (Ok(matched), false) => format!("{name}: would be merged, but does not fit; {matched}"),
        (Err(mismatch), true) => format!("{name}: would fit, but is not merged: {mismatch}"),
        (Err(mismatch), false) => format!("{name}: is not merged, and does not fit: {mismatch}"),
    }];
    if let Err(mismatch) = &fitness.verdict
        && let Some(change) = mismatch.change()
    {
        let rest = if fitness.fits() { ", and nothing has to be built anew" } else { "" };
        lines.push(format!("  systemd {} would merge it with: {change}{rest}", facts.systemd));
    }
    let of = |weight| fitness.findings.iter().filter(move |finding| finding.weight == weight);
    lines.extend(of(Weight::Problem).map(|finding| format!("  {finding}")));
    let remarks = of(Weight::Remark).count();
    let shown = if all { remarks } else { FEW };
    lines.extend(of(Weight::Remark).take(shown).map(|finding| format!("  (remark) {finding}")));
    if remarks > shown {
        lines.push(format!("  ({} more remarks: --all tells them)", remarks - shown));
    }
    lines.iter().map(|line| output::visible(line) + "\n").collect()
}

fn unjudged_in_words(unjudged: &Unjudged) -> String {
    let Unjudged { candidate, trouble, .. } = unjudged;
    if let Some(trouble) = trouble {
        let name = output::visible(&candidate.name);
        return format!("{name}: cannot be looked into: {}\n", output::visible(trouble));
    }
    let name = output::visible(&candidate.name);
    let path = output::path(&candidate.path);
    match (&candidate.hidden_by, candidate.form) {
        (Some(other), _) => {
            format!("{name}: /{path} is not looked at, since /{} counts\n", output::path(other))
        }
        (None, Form::Mask) => format!("{name}: /{path} is empty, and masks others of the name\n"),
        (None, Form::Versions) => {
            format!(
                "{name}: systemd takes no version in /{path}: NAME_VERSION_ARCHITECTURE as the directory\n"
            )
        }
        (None, _) => format!("{name}: /{path} is not judged\n"),
    }
}
