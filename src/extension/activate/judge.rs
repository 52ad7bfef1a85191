//! Which of several extensions go together with a base and with each other: those that do not are held back, one after the
//! other, until all others fit.

use super::Error;
use crate::extension::finding::{Fault, Finding, Weight};
use crate::extension::fit::{self, Extension, Fitness};
use crate::extension::matching::HostFacts;
use crate::extension::{Class, Contents, order};

/// So many problems are told of one.
const FEW: usize = 3;

/// One that is judged.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// The name by which it is merged.
    pub(super) merged_as: &'a str,
    pub(super) contents: &'a dyn Contents,
    /// Whose place among those that are held back it gets; none of somebody else's.
    pub(super) ours: Option<Ours>,
}

/// One of ours.
#[derive(Debug, Clone)]
pub(super) struct Ours {
    /// Its number for the caller.
    pub(super) index: usize,
    /// When it was enabled.
    pub(super) since: (i64, i64),
}

/// Why those that do not fit are held back, by the caller's number.
pub(super) fn judge(
    facts: &HostFacts,
    base: &dyn Contents,
    mut subjects: Vec<Subject<'_>>,
) -> Result<Vec<(usize, String)>, Error> {
    subjects.sort_by(|one, other| order::compare(one.merged_as, other.merged_as));
    let mut held = Vec::new();
    loop {
        let mut unfit: Vec<(usize, Ours, Fitness)> = Vec::new();
        for (at, subject) in subjects.iter().enumerate() {
            let Some(ours) = &subject.ours else { continue };
            let fitness = check(facts, base, &subjects, at)?;
            if fitness.verdict.is_err() || !fitness.fits() {
                unfit.push((at, ours.clone(), fitness));
            }
        }
        let Some(gone) = to_hold(&unfit) else { return Ok(held) };
        held.extend(gone.iter().map(|(_, ours, fitness)| (ours.index, why(fitness))));
        let gone: Vec<usize> = gone.iter().map(|(at, ..)| *at).collect();
        let mut at = 0;
        subjects.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
    }
}

/// Judges one of them together with the others, the topmost of which comes first.
fn check(facts: &HostFacts, base: &dyn Contents, all: &[Subject<'_>], at: usize) -> Result<Fitness, Error> {
    let others: Vec<Extension<'_>> = all
        .iter()
        .enumerate()
        .rev()
        .filter(|(other, _)| *other != at)
        .map(|(_, subject)| of(subject))
        .collect();
    Ok(fit::check(facts, base, &of(&all[at]), &others, all.len() - 1 - at)?)
}

fn of<'a>(subject: &Subject<'a>) -> Extension<'a> {
    Extension { name: subject.merged_as, class: Class::Sysext, contents: subject.contents }
}

/// Who is held back first: all that cannot be merged, whoever else is; where two only hide each other's files, the one that was
/// enabled last.
fn to_hold(unfit: &[(usize, Ours, Fitness)]) -> Option<Vec<&(usize, Ours, Fitness)>> {
    let by_itself: Vec<_> =
        unfit.iter().filter(|(_, _, fitness)| fitness.verdict.is_err() || has_own_problem(fitness)).collect();
    if !by_itself.is_empty() {
        return Some(by_itself);
    }
    unfit.iter().max_by_key(|(_, ours, _)| (ours.since, ours.index)).map(|last| vec![last])
}

fn has_own_problem(fitness: &Fitness) -> bool {
    problems(fitness)
        .any(|problem| !matches!(&problem.fault, Fault::Hides { owner, .. } if owner != "the base"))
}

fn problems(fitness: &Fitness) -> impl Iterator<Item = &Finding> {
    fitness.findings.iter().filter(|finding| finding.weight == Weight::Problem)
}

fn why(fitness: &Fitness) -> String {
    if let Err(mismatch) = &fitness.verdict {
        return format!("systemd does not merge it: {mismatch}");
    }
    let all = problems(fitness).count();
    let mut words: Vec<String> = problems(fitness).take(FEW).map(ToString::to_string).collect();
    if all > FEW {
        words.push(format!("and {} more", all - FEW));
    }
    words.join("; ")
}
