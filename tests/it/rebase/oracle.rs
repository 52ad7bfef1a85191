//! Random deeds of a host's owner and of an overlay's user, by real package managers, over several updates of the
//! host; and the same deeds on one plain root, whose answer is compared with the overlay's.

mod packages;
mod roots;
mod rules;
mod schedule;

use std::collections::BTreeSet;
use std::fmt::Write;

use fastrand::Rng;

use packages::System;
use roots::{DPKG, Flavour, Look, MADE, NDB, RPM, Roots};
use rules::Round;
use schedule::{Deed, Who};

/// How many updates of the host an overlay sees.
const ROUNDS: usize = 4;

#[test]
fn dpkg() {
    play(&DPKG, 0..2);
}

#[test]
fn rpm() {
    play(&RPM, 0..1);
}

#[test]
fn ndb() {
    play(&NDB, 0..1);
}

/// Plays all seeds; ONLAY_TEST_SEEDS=FIRST-END says which others.
fn play(flavour: &'static Flavour, seeds: std::ops::Range<u64>) {
    let seeds = std::env::var("ONLAY_TEST_SEEDS").map_or(seeds, |wanted| {
        let (first, end) = wanted.split_once('-').expect("ONLAY_TEST_SEEDS is FIRST-END");
        let parse = |text: &str| text.parse().expect("a seed is a number");
        parse(first)..parse(end)
    });
    let Some(roots) = Roots::new(flavour) else { return };
    let mut failed = Vec::new();
    for seed in seeds {
        let mut scenario = Scenario::begin(&roots, seed);
        for _ in 0..ROUNDS {
            if !scenario.play_round() {
                break;
            }
        }
        scenario.end();
        if !scenario.wrong.is_empty() {
            let wrong = scenario.wrong.join("\n  ");
            failed.push(format!("{}, seed {seed}:\n{}\n  {wrong}", flavour.tree, scenario.story));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// A run of one seed.
struct Scenario<'a> {
    roots: &'a Roots,
    rng: Rng,
    /// The host when the overlay was last entered.
    base: Look,
    /// Files that a person changed in the overlay.
    edited: BTreeSet<String>,
    /// What was done and said.
    story: String,
    wrong: Vec<String>,
}

impl<'a> Scenario<'a> {
    fn begin(roots: &'a Roots, seed: u64) -> Scenario<'a> {
        roots.begin();
        let mut rng = Rng::with_seed(seed);
        let first = schedule::first(&mut rng, roots.flavour.system, &roots.packages);
        let answers = ["host", "plain"].map(|root| roots.run(root, &first.script));
        let (base, plain) = (roots.look("host"), roots.look("plain"));
        let mut scenario =
            Scenario { roots, rng, base, edited: BTreeSet::new(), story: String::new(), wrong: Vec::new() };
        scenario.note("first", &first.script);
        if answers[0] != answers[1] {
            for answer in &answers {
                scenario.note("answer", answer);
            }
        }
        scenario.compare("at first", &scenario.base.clone(), &plain);
        scenario
    }

    fn note(&mut self, who: &str, what: &str) {
        for line in what.lines() {
            let _ = writeln!(self.story, "    {who}: {line}");
        }
    }

    /// Two roots must be the same in everything.
    fn compare(&mut self, when: &str, seen: &Look, plain: &Look) {
        if seen != plain {
            self.wrong.push(format!("{when}: {}", differences(seen, plain)));
        }
    }

    /// The overlay's user works, then the host's owner, and the overlay follows. Whether all was well.
    fn play_round(&mut self) -> bool {
        let ours = self.work_in_overlay();
        if !self.wrong.is_empty() {
            return false;
        }
        let steps = self.work_on_host();
        let theirs = steps.last().map_or_else(|| self.base.clone(), |(_, look)| look.clone());
        let said = if self.roots.is_there() { self.roots.follow() } else { String::new() };
        self.note("said", &said);
        let edited = std::mem::take(&mut self.edited);
        let round = Round {
            all: &self.roots.packages,
            base: &self.base,
            ours: &ours,
            theirs: &theirs,
            said: &said,
            edited: &edited,
        };
        self.repeat_on_plain(&round, &steps);
        let (seen, plain) = (self.roots.look("overlay"), self.roots.look("plain"));
        let solver = self.roots.run("overlay", self.roots.flavour.solve);
        let mut wrong = round.judge_packages(&seen, &solver);
        let (differing, files) = round.judge_files(&seen, &plain);
        wrong.extend(files);
        wrong.extend(judge_rest(&round, &seen, &plain));
        let is_well = wrong.is_empty();
        self.wrong.extend(wrong);
        if is_well {
            self.catch_up(&seen, &plain, &differing);
        }
        self.base = theirs;
        self.edited = edited;
        is_well
    }

    fn work_in_overlay(&mut self) -> Look {
        let before = self.roots.listing();
        let mut seen = self.roots.look("plain");
        for _ in 0..self.rng.u8(0..4) {
            let deed = self.next(&seen, Who::Overlay);
            for root in ["overlay", "plain"] {
                let answer = self.roots.run(root, &deed.script);
                self.note(root, &answer);
            }
            self.edited.extend(deed.file);
            seen = self.roots.look("plain");
        }
        if self.roots.listing() != before {
            self.wrong.push("the host was changed by what was done in the overlay".to_owned());
        }
        let ours = self.roots.look("overlay");
        self.compare("before the update", &ours, &seen);
        ours
    }

    fn next(&mut self, seen: &Look, who: Who) -> Deed {
        let deed = schedule::next(&mut self.rng, self.roots.flavour.system, &self.roots.packages, seen, who);
        self.note(&format!("{who:?}"), &deed.script);
        deed
    }

    fn work_on_host(&mut self) -> Vec<(Deed, Look)> {
        let mut steps: Vec<(Deed, Look)> = Vec::new();
        for _ in 0..self.rng.u8(1..4) {
            let seen = steps.last().map_or_else(|| self.base.clone(), |(_, look)| look.clone());
            let deed = self.next(&seen, Who::Host);
            let answer = self.roots.run("host", &deed.script);
            self.note("host", &answer);
            steps.push((deed, self.roots.look("host")));
        }
        steps
    }

    /// Does on the plain root what was done on the host, as far as it is to be seen in the overlay.
    fn repeat_on_plain(&self, round: &Round<'_>, steps: &[(Deed, Look)]) {
        let mut before = round.base;
        for (deed, after) in steps {
            match &deed.file {
                Some(path) if round.ours.files.get(path) == round.base.files.get(path) => {
                    self.roots.adopt("host", std::slice::from_ref(path));
                }
                Some(_) => {}
                None => {
                    let script = self.repetition(round, before, after);
                    self.roots.run("plain", &script);
                }
            }
            before = after;
        }
    }

    /// The commands that change the packages as they were changed on the host.
    fn repetition(&self, round: &Round<'_>, before: &Look, after: &Look) -> String {
        let keys: BTreeSet<&String> = before.packages.keys().chain(after.packages.keys()).collect();
        let is_changed = |key: &&&String| before.packages.get(**key) != after.packages.get(**key);
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for key in keys.iter().filter(is_changed).filter(|key| round.is_theirs(key)) {
            let name = key.split(' ').next().unwrap_or(key);
            match after.packages.get(*key) {
                Some(version) => new.push((name, version, before.packages.contains_key(*key))),
                None => gone.push((name, before.packages.get(*key))),
            }
        }
        let mut script = String::new();
        // What the overlay has removed, and the host has purged, leaves nothing on either.
        for key in keys.iter().filter(is_changed) {
            let is_left = after.lines("remainders").iter().any(|line| *line == format!("c {key}"));
            let is_gone = !after.packages.contains_key(*key) && !round.ours.packages.contains_key(*key);
            if self.roots.flavour.system == System::Dpkg && is_gone && !is_left {
                script += &format!("dpkg --purge {key}\n");
            }
        }
        for (name, version) in gone {
            let remainder = after.lines("remainders").iter().any(|line| *line == format!("c {name}"));
            script += &match self.roots.flavour.system {
                System::Dpkg if remainder => format!("dpkg --force-depends --remove {name}\n"),
                System::Dpkg => format!("dpkg --force-depends --purge {name}\n"),
                System::Rpm => {
                    format!("rpm --erase --nodeps {name}-{}\n", version.map_or("", String::as_str))
                }
            };
        }
        if !new.is_empty() {
            let files = |only: bool| -> Vec<String> {
                let chosen =
                    new.iter().filter(|(name, _, is_there)| (*is_there && !name.ends_with("kern")) == only);
                let extension = if self.roots.flavour.system == System::Dpkg { "deb" } else { "rpm" };
                chosen.map(|(name, version, _)| format!("{MADE}/{name}_{version}.{extension}")).collect()
            };
            let (upgraded, added) = (files(true).join(" "), files(false).join(" "));
            script += &match self.roots.flavour.system {
                System::Dpkg => format!(
                    "dpkg --force-depends --force-breaks --force-conflicts --force-overwrite --force-hold --install {upgraded} {added}\n"
                ),
                System::Rpm => format!(
                    "set -- {upgraded}; [ $# = 0 ] || rpm --upgrade --oldpackage --nodeps --nosignature --replacefiles $*
                     set -- {added}; [ $# = 0 ] || rpm --install --nodeps --nosignature --replacefiles --replacepkgs $*\n"
                ),
            };
        }
        script
    }

    /// Brings the plain root to where the overlay is, which had a right to it.
    fn catch_up(&self, seen: &Look, plain: &Look, differing: &[String]) {
        let mut paths: Vec<String> = differing.to_vec();
        let tables = match self.roots.flavour.system {
            System::Dpkg => {
                "/var/lib/apt/extended_states /var/lib/dpkg/alternatives/lx-view /usr/bin/lx-view /etc/alternatives/lx-view"
            }
            System::Rpm => "",
        };
        let accounts = "/etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/subuid /etc/subgid";
        paths.extend(tables.split_whitespace().chain(accounts.split_whitespace()).map(str::to_owned));
        self.roots.adopt("overlay", &paths);
        let mut script = String::new();
        for (verb, these, others) in [("hold", seen, plain), ("unhold", plain, seen)] {
            let names = these.lines("held").iter().filter(|name| !others.lines("held").contains(name));
            names.for_each(|name| script += &format!("apt-mark {verb} {name}\n"));
        }
        if !script.is_empty() {
            self.roots.run("plain", &script);
        }
    }

    /// Everything is whole in the end, not only what was played with.
    fn end(&mut self) {
        if !self.wrong.is_empty() {
            return;
        }
        let [seen, plain] = ["overlay", "plain"].map(|root| self.roots.run(root, self.roots.flavour.verify));
        let plain: BTreeSet<&str> = plain.lines().collect();
        let is_edited = |line: &str| self.edited.iter().any(|path| line.ends_with(path.as_str()));
        let extra: Vec<&str> =
            seen.lines().filter(|line| !plain.contains(line) && !is_edited(line)).collect();
        if !extra.is_empty() {
            self.wrong.push(format!("in the end: {extra:?}"));
        }
    }
}

/// Users, alternatives and the like.
fn judge_rest(round: &Round<'_>, seen: &Look, plain: &Look) -> Vec<String> {
    let mut wrong = Vec::new();
    for kind in ["users", "groups", "held"] {
        let [base, ours, theirs] = [round.base, round.ours, round.theirs]
            .map(|look| look.lines(kind).iter().collect::<BTreeSet<_>>());
        let found: BTreeSet<&String> = seen.lines(kind).iter().collect();
        let all: BTreeSet<&String> = [&base, &ours, &theirs, &found].into_iter().flatten().copied().collect();
        for line in all {
            let [base, ours, theirs] = [&base, &ours, &theirs].map(|set| set.contains(line));
            if rules::one_sided(base, ours, theirs) != Some(found.contains(line)) {
                wrong.push(format!("{kind}: '{line}' is there: {}", found.contains(line)));
            }
        }
    }
    for kind in ["remainders", "alternatives", "diverted", "audit"] {
        if seen.lines(kind) != plain.lines(kind) {
            wrong.push(format!("{kind}: {:?}, not {:?}", seen.lines(kind), plain.lines(kind)));
        }
    }
    wrong
}

fn differences(seen: &Look, plain: &Look) -> String {
    let mut text = String::new();
    for (what, seen, plain) in
        [("packages", &seen.packages, &plain.packages), ("files", &seen.files, &plain.files)]
    {
        let keys: BTreeSet<&String> = seen.keys().chain(plain.keys()).collect();
        for key in keys.into_iter().filter(|key| seen.get(*key) != plain.get(*key)) {
            let _ = write!(text, "\n    {what}: {key}: {:?}, not {:?}", seen.get(key), plain.get(key));
        }
    }
    for (kind, lines) in &seen.rest {
        if lines != plain.lines(kind) {
            let _ = write!(text, "\n    {kind}: {lines:?}, not {:?}", plain.lines(kind));
        }
    }
    text
}
