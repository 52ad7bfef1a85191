//! What a merge breaks: requirements that nothing meets any more, and packages that obsolete or conflict with each
//! other. Only what has to do with packages that one side changed is looked at: so the cost follows the change, and
//! what was broken before is not told.
//!
//! First it is found which relations could have changed: those that name something which a changed package provides
//! and its other version does not. Of what is kept of the overlay, that is what the host's changes took away or
//! brought; of the host's packages, what the overlay's did. Then who provides their names is read at once, and each
//! is judged twice, in the merged database and in the overlay's as it was.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::catalog::Entry;
use super::merge::Decided;
use super::{Database, Hnum};
use crate::package::Header;
use crate::package::header::{DependencyKind, File};
use crate::package::relation::{Relation, Rich};
use crate::pkgdb::Error;
use crate::pkgdb::dpkg::Aliases;
use crate::pkgdb::merge::{Decision, Side};

/// A package in one of the two databases.
type Id = (Side, Hnum);

/// A package that differs in the two: the overlay's, and the host's.
type Pair<'a> = (Option<&'a Entry>, Option<&'a Entry>);

/// The merged packages, as parts of two databases.
struct Merged<'a> {
    ours: &'a Database,
    theirs: &'a Database,
    aliases: &'a Aliases,
    /// Where the overlay's is kept, or stays removed.
    kept_pairs: Vec<Pair<'a>>,
    /// Where the host's is taken, and is another, or says other things of its files.
    taken_pairs: Vec<Pair<'a>>,
    /// Headers of the overlay that are kept.
    kept: HashSet<Hnum>,
    /// Headers of the host that are not taken.
    refused: HashSet<Hnum>,
}

/// A package that is kept of the overlay.
struct Part {
    number: Hnum,
    name: String,
    provides: Vec<Relation<'static>>,
    /// What it requires, conflicts with and obsoletes.
    relations: Vec<(DependencyKind, Relation<'static>)>,
}

/// A relation that could have changed.
struct Question {
    who: Id,
    name: String,
    kind: DependencyKind,
    relation: Relation<'static>,
}

/// Names of which something is provided by one of two versions of a package and not by the other.
#[derive(Default)]
struct Changed {
    /// By the overlay's.
    ours: HashSet<String>,
    /// By the host's.
    theirs: HashSet<String>,
}

/// Who provides the names that are asked for.
#[derive(Default)]
struct Providers {
    by_name: HashMap<String, Vec<(Id, Relation<'static>)>>,
    names: HashMap<Id, String>,
}

/// Looks at what is kept of the overlay, and at who needs what is not taken from the host.
pub(super) fn findings(
    packages: &[Decided],
    (ours, theirs): (&Database, &Database),
    aliases: &Aliases,
) -> Result<Vec<String>, Error> {
    let (mut kept_pairs, mut taken_pairs) = (Vec::new(), Vec::new());
    for decided in packages {
        let pair = (decided.ours.as_ref(), decided.theirs.as_ref());
        let have_other_states =
            || pair.0.zip(pair.1).is_some_and(|(ours, theirs)| ours.states != theirs.states);
        match decided.outcome.decision {
            Decision::KeepOurs | Decision::StayRemoved => kept_pairs.push(pair),
            Decision::Unchanged | Decision::BothSame if !have_other_states() => {}
            _ => taken_pairs.push(pair),
        }
    }
    let numbers = |entry: Option<&Entry>| entry.map(|entry| entry.number);
    let kept = kept_pairs.iter().filter_map(|(ours, _)| numbers(*ours)).collect();
    let refused = kept_pairs.iter().filter_map(|(_, theirs)| numbers(*theirs)).collect();
    Merged { ours, theirs, aliases, kept_pairs, taken_pairs, kept, refused }.findings()
}

impl Merged<'_> {
    fn findings(&self) -> Result<Vec<String>, Error> {
        let kept = self.parts()?;
        let mut questions = self.ask_kept(&kept)?;
        self.ask_hosts(&mut questions)?;
        let providers = self.providers(&questions)?;
        let mut found = BTreeSet::new();
        for question in &questions {
            match question.kind {
                DependencyKind::Conflicts => self.judge_conflict(question, &providers, &mut found),
                DependencyKind::Obsoletes => self.judge_obsoleter(question, &providers, &mut found),
                _ => self.judge_requirement(question, &providers, &mut found),
            }
        }
        self.judge_obsoleted(&kept, &mut found)?;
        Ok(found.into_iter().collect())
    }

    /// The packages that are kept.
    fn parts(&self) -> Result<Vec<Part>, Error> {
        let mut found = Vec::new();
        for number in &self.kept {
            let blob = self.ours.blob(*number)?.unwrap_or_default();
            found.extend(Header::parse(&blob).ok().map(|header| Part::of(*number, &header)));
        }
        Ok(found)
    }

    /// What packages that are kept ask for, of what the host's changes could have touched.
    fn ask_kept(&self, kept: &[Part]) -> Result<Vec<Question>, Error> {
        let names = kept.iter().flat_map(|part| &part.relations).flat_map(|(_, relation)| names_in(relation));
        let paths: HashSet<String> = names.filter(|name| name.starts_with('/')).collect();
        let changed = self.changed(&self.taken_pairs, &paths)?;
        let is_touched = |name: &String| changed.ours.contains(name) || changed.theirs.contains(name);
        let mut questions = Vec::new();
        for part in kept {
            for (kind, relation) in &part.relations {
                if names_in(relation).iter().any(is_touched) {
                    let (who, name) = ((Side::Ours, part.number), part.name.clone());
                    questions.push(Question { who, name, kind: *kind, relation: relation.clone() });
                }
            }
        }
        Ok(questions)
    }

    /// What the host's packages ask for, of what the overlay's changes could have touched.
    fn ask_hosts(&self, questions: &mut Vec<Question>) -> Result<(), Error> {
        if self.kept_pairs.is_empty() {
            return Ok(());
        }
        let kinds = [DependencyKind::Requires, DependencyKind::Conflicts];
        let mut paths = HashSet::new();
        for kind in kinds {
            paths.extend(self.theirs.paths(kind)?);
        }
        let changed = self.changed(&self.kept_pairs, &paths)?;
        for kind in kinds {
            // A requirement breaks where something goes, or a condition comes true; a conflict the other way round.
            let (plain, negated) = if kind == DependencyKind::Requires {
                (&changed.theirs, &changed.ours)
            } else {
                (&changed.ours, &changed.theirs)
            };
            let mut keys = plain.clone();
            keys.extend(negated.iter().map(|name| format!("!{name}")));
            self.ask_who_has(kind, &keys, questions)?;
        }
        Ok(())
    }

    /// The names of which one of two versions provides something, and the other does not just the same. Of files,
    /// those with these paths count.
    fn changed(&self, pairs: &[Pair<'_>], paths: &HashSet<String>) -> Result<Changed, Error> {
        let mut changed = Changed::default();
        for (ours, theirs) in pairs {
            let our = ours.map(|entry| self.ours.blob(entry.number)).transpose()?.flatten();
            let their = theirs.map(|entry| self.theirs.blob(entry.number)).transpose()?.flatten();
            let [our, their] = [&our, &their].map(|blob| Header::parse(blob.as_deref()?).ok());
            let (our, their) = (self.provided(our.as_ref(), paths), self.provided(their.as_ref(), paths));
            changed.ours.extend(missing(&our, &their));
            changed.theirs.extend(missing(&their, &our));
        }
        Ok(changed)
    }

    /// What a package provides, its files with some paths among it.
    fn provided<'h>(&self, header: Option<&Header<'h>>, paths: &HashSet<String>) -> Vec<Relation<'h>> {
        let Some(header) = header else { return Vec::new() };
        let mut provided: Vec<Relation<'h>> = header.dependencies(DependencyKind::Provides).collect();
        if !paths.is_empty() {
            for file in header.files().filter(File::is_installed) {
                let names = self.aliases.names(&file.path()).into_iter();
                let names = names.map(|name| name.to_string_lossy().into_owned());
                provided.extend(names.filter(|name| paths.contains(name)).map(Relation::any));
            }
        }
        provided
    }

    /// The relations of the host's packages that have one of these rows in the index.
    fn ask_who_has(
        &self,
        kind: DependencyKind,
        keys: &HashSet<String>,
        questions: &mut Vec<Question>,
    ) -> Result<(), Error> {
        self.theirs.each_with(kind, keys.iter().map(String::as_str), &mut |number, blob| {
            let Ok(header) = Header::parse(blob) else { return Ok(()) };
            if self.refused.contains(&number) {
                return Ok(());
            }
            let is_meant = |relation: &Relation<'_>| match rich(relation) {
                Some(rich) => rich.index_names().iter().any(|name| keys.contains(name)),
                None => keys.contains(&*relation.name),
            };
            for relation in header.dependencies(kind).filter(is_looked_up).filter(is_meant) {
                let name = header.name().into_owned();
                let relation = relation.into_owned();
                questions.push(Question { who: (Side::Theirs, number), name, kind, relation });
            }
            Ok(())
        })
    }

    /// Who provides what is asked for, in both databases.
    fn providers(&self, questions: &[Question]) -> Result<Providers, Error> {
        let mut names = HashSet::new();
        for Question { relation, .. } in questions {
            names.extend(names_in(relation));
        }
        let mut providers = Providers::default();
        for (side, database) in [(Side::Ours, self.ours), (Side::Theirs, self.theirs)] {
            let wanted = names.iter().map(String::as_str);
            database.each_with(DependencyKind::Provides, wanted, &mut |number, blob| {
                let Ok(header) = Header::parse(blob) else { return Ok(()) };
                for provided in header.dependencies(DependencyKind::Provides) {
                    if names.contains(&*provided.name) {
                        providers.add((side, number), &header, provided);
                    }
                }
                Ok(())
            })?;
            self.add_owners(side, database, &names, &mut providers)?;
        }
        Ok(providers)
    }

    /// A file provides its path, under each of its names, while it is there.
    fn add_owners(
        &self,
        side: Side,
        database: &Database,
        names: &HashSet<String>,
        providers: &mut Providers,
    ) -> Result<(), Error> {
        let paths = names.iter().filter(|name| name.starts_with('/'));
        let named: Vec<(&String, PathBuf)> = paths
            .flat_map(|path| self.aliases.names(Path::new(path)).into_iter().map(move |name| (path, name)))
            .collect();
        let wanted: Vec<&Path> = named.iter().map(|(_, name)| name.as_path()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        database.each_owner(&wanted, &mut |index, number, header, file| {
            if file.is_installed() {
                providers.add((side, number), header, Relation::any(named[index].0.as_str()));
            }
        })
    }

    fn is_merged(&self, (side, number): Id) -> bool {
        match side {
            Side::Ours => self.kept.contains(&number),
            Side::Theirs => !self.refused.contains(&number),
        }
    }

    fn judge_requirement(&self, question: &Question, providers: &Providers, found: &mut BTreeSet<String>) {
        let Question { name, relation, .. } = question;
        let is_met = holds(relation, &|part| providers.of(part, &|id| self.is_merged(id)));
        // What was missing in the overlay already is its own affair.
        let was_missing = || {
            self.was_there(question)
                && !holds(relation, &|part| providers.of(part, &|(side, _)| side == Side::Ours))
        };
        if !is_met && !was_missing() {
            found.insert(format!("{name} needs {relation}, which nothing provides any more"));
        }
    }

    fn judge_conflict(&self, question: &Question, providers: &Providers, found: &mut BTreeSet<String>) {
        let Question { who, name, relation, .. } = question;
        // Nobody conflicts with himself, nor with another version of himself that was there instead.
        let is_other = |id: Id| id != *who && providers.names.get(&id) != Some(name);
        let now = |part: &Relation<'_>| providers.of(part, &|id| self.is_merged(id) && is_other(id));
        let before = |part: &Relation<'_>| providers.of(part, &|id| id.0 == Side::Ours && is_other(id));
        if !holds(relation, &now) || (self.was_there(question) && holds(relation, &before)) {
            return;
        }
        let base = |side| if side == Side::Theirs { " of the base" } else { "" };
        let who = format!("{name}{}", base(who.0));
        if relation.is_rich() {
            found.insert(format!("{who} conflicts with {relation}"));
        }
        for id in now(relation).into_iter().filter(|_| !relation.is_rich()) {
            found.insert(format!("{who} conflicts with {}{}", providers.names[&id], base(id.0)));
        }
    }

    /// A package of the overlay that replaces one of the host's.
    fn judge_obsoleter(&self, question: &Question, providers: &Providers, found: &mut BTreeSet<String>) {
        let Question { name, relation, .. } = question;
        let is_it = |id: Id| providers.names.get(&id).is_some_and(|other| *other == relation.name);
        let there = |side| providers.of(relation, &|id| id.0 == side && self.is_merged(id) && is_it(id));
        let was = providers.of(relation, &|id| id.0 == Side::Ours && is_it(id));
        if !there(Side::Theirs).is_empty() && was.is_empty() && relation.name != *name {
            found.insert(format!("{name} obsoletes {} of the base", relation.name));
        }
    }

    /// Packages of the overlay that one of the host's replaces. Only a package's own name is obsoleted, not what it
    /// provides.
    fn judge_obsoleted(&self, kept: &[Part], found: &mut BTreeSet<String>) -> Result<(), Error> {
        let names: HashMap<&str, &Part> = kept.iter().map(|part| (&*part.name, part)).collect();
        let kind = DependencyKind::Obsoletes;
        self.theirs.each_with(kind, names.keys().copied(), &mut |number, blob| {
            let Ok(header) = Header::parse(blob) else { return Ok(()) };
            let name = header.name();
            for relation in header.dependencies(kind).filter(|_| !self.refused.contains(&number)) {
                let Some(part) = names.get(&*relation.name).filter(|part| part.name != name) else {
                    continue;
                };
                if part.provides.iter().any(|provided| provided.overlaps(&relation)) {
                    found.insert(format!("{name} of the base obsoletes {}", part.name));
                }
            }
            Ok(())
        })
    }

    /// Whether the overlay had the package before the merge, in whatever version.
    fn was_there(&self, question: &Question) -> bool {
        let mut is_there = question.who.0 == Side::Ours;
        if !is_there {
            // What cannot be read is told where it is read first.
            let _ = self.ours.each_named(&question.name, &mut |_, _| {
                is_there = true;
                Ok(())
            });
        }
        is_there
    }
}

impl Part {
    fn of(number: Hnum, header: &Header<'_>) -> Part {
        let own = |kind| header.dependencies(kind).map(Relation::into_owned);
        let kinds = [DependencyKind::Requires, DependencyKind::Conflicts, DependencyKind::Obsoletes];
        let relations = kinds.into_iter().flat_map(|kind| own(kind).map(move |relation| (kind, relation)));
        Part {
            number,
            name: header.name().into_owned(),
            provides: own(DependencyKind::Provides).collect(),
            relations: relations.filter(|(_, relation)| is_looked_up(relation)).collect(),
        }
    }
}

impl Providers {
    fn add(&mut self, id: Id, header: &Header<'_>, provided: Relation<'_>) {
        self.names.entry(id).or_insert_with(|| header.name().into_owned());
        self.by_name.entry(provided.name.to_string()).or_default().push((id, provided.into_owned()));
    }

    /// The packages that provide something, of those that count.
    fn of(&self, wanted: &Relation<'_>, counts: &dyn Fn(Id) -> bool) -> HashSet<Id> {
        let all = self.by_name.get(&*wanted.name).into_iter().flatten();
        let meant = all.filter(|(id, provided)| counts(*id) && provided.overlaps(wanted));
        meant.map(|(id, _)| *id).collect()
    }
}

/// The names of what one provides and the other does not provide just the same.
fn missing(provided: &[Relation<'_>], by_other: &[Relation<'_>]) -> HashSet<String> {
    let mut others: HashMap<&str, Vec<&Relation<'_>>> = HashMap::new();
    for relation in by_other {
        others.entry(&relation.name).or_default().push(relation);
    }
    let is_there =
        |relation: &&Relation<'_>| others.get(&*relation.name).is_some_and(|all| all.contains(relation));
    let missing = provided.iter().filter(|relation| !is_there(relation));
    missing.map(|relation| relation.name.clone().into_owned()).collect()
}

/// The plain names that a relation is about.
fn names_in(relation: &Relation<'_>) -> Vec<String> {
    match rich(relation) {
        Some(rich) => rich.relations().iter().map(|part| part.name.to_string()).collect(),
        None => vec![relation.name.to_string()],
    }
}

/// Whether a relation holds where this tells who provides a plain one. A rich one that makes no sense does: rpm would
/// not have let it in.
fn holds(relation: &Relation<'_>, providers: &dyn Fn(&Relation<'_>) -> HashSet<Id>) -> bool {
    if !relation.is_rich() {
        return !providers(relation).is_empty();
    }
    rich(relation).is_none_or(|rich| rich.holds(providers))
}

fn rich<'a>(relation: &'a Relation<'_>) -> Option<Rich<'a>> {
    relation.is_rich().then(|| Rich::parse(&relation.name).ok()).flatten()
}

/// Whether a relation is about packages: not about rpm itself, and not about what only installing needs.
fn is_looked_up(relation: &Relation<'_>) -> bool {
    !relation.name.starts_with("rpmlib(") && !relation.sense.is_transient()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_rpm_itself_is_not_looked_up() {
        for (text, expected) in [("rpmlib(X)", false), ("(a or b)", true), ("libc", true), ("/bin/sh", true)]
        {
            assert_eq!(is_looked_up(&Relation::any(text)), expected, "{text}");
        }
    }
}
