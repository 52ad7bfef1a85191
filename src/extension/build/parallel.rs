//! Gathering from several sources side by side.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::Error;
use super::gather::{Common, Gathered, gather};
use super::source::Source;
use crate::image::squashfs::{Segment, Writer};

/// Gathers from all sources, several at a time; the results are in their order. What is longest is begun first.
pub(super) fn gather_all(
    sources: &[Source],
    common: &Common<'_>,
    writer: &Writer,
    threads: NonZeroUsize,
) -> Result<Vec<Gathered>, Error> {
    // The order in the image, which is that of beginning: what comes first need not wait for a place.
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(sources[index].size()));
    let work: Vec<(usize, Mutex<Option<Segment>>)> =
        order.into_iter().map(|index| (index, Mutex::new(Some(writer.segment())))).collect();
    let results: Vec<Mutex<Option<Result<Gathered, Error>>>> =
        sources.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads.get().min(sources.len()) {
            scope.spawn(|| {
                while let Some((index, segment)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let segment = segment.lock().ok().and_then(|mut segment| segment.take());
                    let Some(segment) = segment else { continue };
                    let result = gather(&sources[*index], common, segment);
                    let has_failed = result.is_err();
                    if let Ok(mut slot) = results[*index].lock() {
                        *slot = Some(result);
                    }
                    if has_failed {
                        next.store(work.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut gathered = Vec::new();
    let mut missing = false;
    for result in results {
        match result.into_inner().ok().flatten() {
            Some(Ok(found)) => gathered.push(found),
            Some(Err(error)) => return Err(error),
            None => missing = true,
        }
    }
    assert!(!missing, "what was not begun follows a failure");
    Ok(gathered)
}
