//! Rounds in which each contestant runs once, in turn, so that a busy moment of the machine hits all alike. What
//! counts are medians, and their ratios.

use std::path::Path;
use std::time::{Duration, Instant};

use onlay::sys::{Root, sync_file_system};

/// One way to do it.
struct Contestant<'a> {
    name: String,
    /// What has to be there first. Not measured.
    before: Box<dyn FnMut() + 'a>,
    run: Box<dyn FnMut() + 'a>,
    /// Of those that take seconds, fewer rounds do.
    rounds: usize,
    times: Vec<Duration>,
}

/// All that are measured side by side.
pub(crate) struct Rounds<'a> {
    /// A directory of the file system on which all of them work.
    place: &'a Path,
    contestants: Vec<Contestant<'a>>,
}

pub(crate) const ROUNDS: usize = 11;
pub(crate) const SLOW_ROUNDS: usize = 3;

impl<'a> Rounds<'a> {
    pub(crate) fn new(place: &'a Path) -> Rounds<'a> {
        Rounds { place, contestants: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, run: impl FnMut() + 'a) {
        self.add_after(name, || (), run);
    }

    /// One that needs something first.
    pub(crate) fn add_after(
        &mut self,
        name: impl Into<String>,
        before: impl FnMut() + 'a,
        run: impl FnMut() + 'a,
    ) {
        let (before, run) = (Box::new(before), Box::new(run));
        let contestant = Contestant { name: name.into(), before, run, rounds: ROUNDS, times: Vec::new() };
        self.contestants.push(contestant);
    }

    /// The one that was added last takes seconds.
    pub(crate) fn is_slow(&mut self) {
        if let Some(last) = self.contestants.last_mut() {
            last.rounds = SLOW_ROUNDS;
        }
    }

    /// Runs all of them.
    pub(crate) fn run(mut self) -> Table {
        let place = Root::open(self.place).expect("our directory");
        for round in 0..ROUNDS {
            for contestant in self.contestants.iter_mut().filter(|contestant| round < contestant.rounds) {
                (contestant.before)();
                // What another one wrote is nobody else's to wait for.
                sync_file_system(&place).expect("it can be synced");
                let start = Instant::now();
                (contestant.run)();
                contestant.times.push(start.elapsed());
            }
        }
        Table(self.contestants.into_iter().map(|contestant| row(contestant.name, contestant.times)).collect())
    }
}

fn row(name: String, mut times: Vec<Duration>) -> Row {
    times.sort();
    Row { name, median: times[times.len() / 2], least: times[0] }
}

struct Row {
    name: String,
    median: Duration,
    least: Duration,
}

/// What came of it.
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Prints it, with how many times as long each took as some others did.
    pub(crate) fn print(&self, title: &str, compared: &[&str]) {
        print!("\n{title:66} {:>9} {:>9}", "median ms", "least ms");
        for name in compared {
            print!(" {:>14}", format!("x {name}"));
        }
        println!();
        for Row { name, median, least } in &self.0 {
            print!("{name:66} {:9.2} {:9.2}", milliseconds(*median), milliseconds(*least));
            for other in compared {
                match self.median(other) {
                    Some(other) => print!(" {:14.2}", median.as_secs_f64() / other.as_secs_f64()),
                    None => print!(" {:>14}", "-"),
                }
            }
            println!();
        }
    }

    fn median(&self, name: &str) -> Option<Duration> {
        self.0.iter().find(|row| row.name == name).map(|row| row.median)
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
