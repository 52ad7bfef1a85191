//! Work that falls into many equal pieces, on all processors.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Does the work of all pieces below `count`, each with a buffer that its thread keeps. After the first failure, which
/// is the result, no further piece is begun.
pub(super) fn each_piece<E: Send>(
    count: u64,
    work: impl Fn(u64, &mut Vec<u8>) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let next = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let work_on = || {
        let mut buffer = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count {
                break;
            }
            if let Err(error) = work(piece, &mut buffer) {
                is_over.store(true, Ordering::Relaxed);
                failure.lock().expect("nobody panics with it").get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads().min(count) {
            scope.spawn(work_on);
        }
        work_on();
    });
    failure.into_inner().expect("nobody panics with it").map_or(Ok(()), Err)
}

fn threads() -> u64 {
    thread::available_parallelism().map_or(1, NonZero::get) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        let done = Mutex::new(Vec::new());
        let result: Result<(), ()> = each_piece(1000, |piece, _| {
            done.lock().expect("no panic").push(piece);
            Ok(())
        });
        let mut done = done.into_inner().expect("no panic");
        done.sort_unstable();
        assert_eq!(result, Ok(()));
        assert_eq!(done, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_ends_it() {
        let count = AtomicU64::new(0);
        let result = each_piece(u64::MAX, |piece, _| {
            count.fetch_add(1, Ordering::Relaxed);
            if piece == 100 { Err(piece) } else { Ok(()) }
        });
        assert_eq!(result, Err(100));
        assert!(count.into_inner() > 100);
    }
}
