//! What is told of images that are built.

use std::fmt::Write as _;

use crate::cli::output;
use crate::event::counted;
use crate::extension::build::{Built, ExtensionName, KnownPackage, PackageNote, Reason, Untaken};
use crate::extension::finding::Weight;
use crate::extension::fit::Fitness;

/// What is known before anything is built: what hides packages of the base, and what the base has already.
pub(super) fn before(replaced: &[(String, bool)], in_base: &[&KnownPackage]) -> String {
    let mut text = String::new();
    for (words, is_older) in replaced {
        let older = if *is_older { ", which is older" } else { "" };
        let _ = writeln!(text, "onlay: hides a package of the base: {}{older}", output::visible(words));
    }
    for KnownPackage { name, version, .. } in in_base {
        let version = output::visible(version);
        let _ = writeln!(
            text,
            "onlay: the base has '{}' {version}, which is not put in again",
            output::visible(name)
        );
    }
    text
}

/// What would go in.
pub(super) fn would_build(name: &ExtensionName, version: &str, packages: &[PackageNote]) -> String {
    let mut text = format!("would build '{name}' {version} from\n");
    for package in packages {
        let _ = writeln!(text, "  {} {}", package.name, output::visible(&package.version));
    }
    text
}

/// What a person should know of an image that was built; `told` is said already.
pub(super) fn of_built(built: &Built, told: &[&str]) -> String {
    let manifest = &built.manifest;
    let mut text = String::new();
    let size = manifest.image.as_ref().map_or(0, |image| image.size);
    let _ = writeln!(
        text,
        "onlay: built '{}' {}: {} of {} in {}",
        manifest.name,
        manifest.version,
        counted(manifest.files.count, "file"),
        counted(manifest.packages.len() as u64, "package"),
        output::size(size),
    );
    for (word, left_out) in &manifest.left_out {
        let why = words_of(word);
        if told.contains(&why) {
            continue;
        }
        let _ = writeln!(text, "onlay: left out {}: {why}", counted(left_out.count, "file"));
    }
    for pattern in &built.not_dropped {
        let _ = writeln!(text, "onlay: there is nothing to drop that '{}' matches", output::visible(pattern));
    }
    if !manifest.defaults.is_empty() {
        let count = counted(manifest.defaults.len() as u64, "file");
        let _ = writeln!(
            text,
            "onlay: {count} of /etc and /var go there at boot where nothing is yet (tmpfiles.d)"
        );
    }
    let with_scripts: Vec<&str> = manifest
        .packages
        .iter()
        .filter(|package| !package.scripts.is_empty())
        .map(|package| package.name.as_str())
        .collect();
    if !with_scripts.is_empty() {
        let _ = writeln!(text, "onlay: scripts were not run: of {}", with_scripts.join(", "));
    }
    for (owner, path) in &built.strangers {
        let owner = output::visible(&owner.to_string_lossy());
        let _ =
            writeln!(text, "onlay: the base has no '{owner}', who owns {}: it is root's", output::path(path));
    }
    for remark in &built.remarks {
        let _ = writeln!(text, "onlay: {}", output::visible(remark));
    }
    text + &of_findings(&built.fitness)
}

/// Why files are left out, in words.
fn words_of(word: &str) -> &str {
    let of_changes = || Untaken::of_word(word).map(Untaken::words);
    Reason::of_word(word).map(Reason::words).or_else(of_changes).unwrap_or(word)
}

/// What was found when an image was judged: all that is wrong, and as much of the rest as people read.
pub(super) fn of_findings(fitness: &Fitness) -> String {
    let mut text = String::new();
    if let Err(mismatch) = &fitness.verdict {
        let _ = writeln!(text, "onlay: systemd does not take it for this base: {mismatch}");
    }
    let (problems, remarks): (Vec<_>, Vec<_>) =
        fitness.findings.iter().partition(|finding| finding.weight == Weight::Problem);
    for finding in problems.iter().chain(remarks.iter().take(FEW)) {
        let _ = writeln!(text, "onlay: {}", output::visible(&finding.to_string()));
    }
    if remarks.len() > FEW {
        let more = counted((remarks.len() - FEW) as u64, "more remark");
        let _ = writeln!(text, "onlay: and {more}: '{} ext check --all IMAGE' lists them", output::program());
    }
    text
}

/// So many remarks are told.
const FEW: usize = 5;
