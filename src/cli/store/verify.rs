//! `onlay store verify`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::keys;
use crate::cli::output;
use crate::cli::report::Error;
use crate::event::counted;
use crate::store::{Checked, Flaw, Report, verify};

/// Look whether a store is what it says, also one that others made
///
/// All files are read: their digests, whether images can be looked into and
/// would be merged, and whether the index says of them what they are; whether
/// the lists are signed, by whom, and whether they are still to be believed.
/// Images that are compressed as a whole are unpacked for that, one at a time,
/// in /var/tmp. A directory of such stores is looked at as well. Without --key,
/// signatures are checked by the keys in the store itself. Exit status 1 where
/// something is wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,
    /// Who is trusted, and must have signed: a file of keys, or a fingerprint,
    /// whose certificate may be in the store, or where keys are
    #[arg(long, value_name = "FINGERPRINT|FILE", value_hint = ValueHint::FilePath)]
    key: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What was found, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Verified {
    images: usize,
    bytes: u64,
    has_index: bool,
    signatures: Vec<Signature>,
    best_before: Option<String>,
    flaws: Vec<String>,
}

/// A signature.
#[derive(Debug, Serialize)]
struct Signature {
    file: String,
    /// The fingerprint of the key, where the signature is good.
    by: Option<String>,
    /// Why it does not count.
    problem: Option<String>,
}

impl Signature {
    fn of(checked: &Checked) -> Signature {
        Signature {
            file: checked.file.clone(),
            by: checked.verdict.as_ref().ok().map(ToString::to_string),
            problem: checked.verdict.as_ref().err().map(ToString::to_string),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let keys = keys::trusted(&arguments.key, &arguments.store)?;
    let report = verify(&arguments.store, keys.as_ref(), SystemTime::now())?;
    let is_good = report.flaws.is_empty();
    if arguments.json {
        output::print_json(&Verified {
            images: report.images,
            bytes: report.bytes,
            has_index: report.has_index,
            signatures: report.signatures.iter().map(Signature::of).collect(),
            best_before: report.best_before,
            flaws: report.flaws.iter().map(ToString::to_string).collect(),
        })?;
    } else {
        output::print(&in_words(&report, keys.is_some()))?;
        tell_of_keys(&report);
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Who gave the wrong key is told where the right one would be.
fn tell_of_keys(report: &Report) {
    if report.flaws.iter().any(Flaw::is_of_trust) {
        output::complain(&format!(
            "hint: keys that are trusted are given with --key; clients have theirs in {}, and 'keys' of onlay.toml names them",
            keys::TRUSTED[0]
        ));
    }
}

fn in_words(report: &Report, is_given: bool) -> String {
    let mut text: String =
        report.flaws.iter().map(|flaw| output::visible(&flaw.to_string()) + "\n").collect();
    if report.flaws.is_empty() {
        let index = if report.has_index { "" } else { "; it has no index" };
        let (images, size) = (counted(report.images as u64, "image"), output::size(report.bytes));
        text = format!("{images}, {size}: all is as it is listed{index}\n");
    }
    text + &signed_by(report, is_given)
}

/// Who has signed, in a line.
fn signed_by(report: &Report, is_given: bool) -> String {
    let by: BTreeSet<String> = report
        .signatures
        .iter()
        .filter_map(|checked| Some(checked.verdict.as_ref().ok()?.to_string()))
        .collect();
    let by = by.into_iter().collect::<Vec<_>>().join(" and ");
    let until = report.best_before.as_ref().map(|day| format!("; best before {}", output::visible(day)));
    let who = match (report.signatures.is_empty(), by.is_empty()) {
        (true, _) => "it is not signed".to_owned(),
        (false, true) if report.has_keys => return String::new(),
        (false, true) => "it is signed, and without a key (--key) nobody knows by whom".to_owned(),
        (false, false) if is_given => format!("signed by {by}"),
        (false, false) => format!("signed by {by}, by its own word: compare that with what you know"),
    };
    format!("{who}{}\n", until.unwrap_or_default())
}
