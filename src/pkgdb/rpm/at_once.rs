//! Several databases read at the same time.

use std::thread::{Builder, ScopedJoinHandle};

use super::Database;
use super::database::Store;
use crate::pkgdb::Error;

/// Asks several databases the same, each on a processor of its own; one after the other where there can be no threads
/// (in a process that has left its PID namespace for its children).
pub(super) fn ask_all<T: Send>(
    databases: &[&Database],
    ask: impl Fn(&Store) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let ask = &ask;
    let Some((last, others)) = databases.split_last() else { return Ok(Vec::new()) };
    std::thread::scope(|scope| {
        let start = |database: &&Database| {
            let again = database.store.again()?;
            Builder::new().spawn_scoped(scope, move || ask(&again)).ok()
        };
        let workers: Vec<_> = others.iter().map(start).collect();
        // This thread is one of them.
        let last = ask(&last.store);
        let answer = |(worker, database): (Option<ScopedJoinHandle<'_, _>>, &&Database)| match worker {
            Some(worker) => worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => ask(&database.store),
        };
        workers.into_iter().zip(others).map(answer).chain([last]).collect()
    })
}
