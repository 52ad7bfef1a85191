//! Threads that compress blocks. How many blocks there are at once is bounded: whoever reads faster than they are compressed
//! waits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use flate2::Crc;

use super::Options;
use super::output::{Item, Output, Placed};
use crate::image::Error;
use crate::image::squashfs::compression::Compressor;
use crate::image::squashfs::format::BLOCK_RAW;
use crate::sys::Context;

/// Blocks for each thread that are read, or compressed and wait for one before them. With blocks of 128 KiB that are 3 MiB
/// for each thread.
const BLOCKS_PER_THREAD: usize = 12;

/// The threads, and all that they share.
pub(super) struct Pool {
    queue: Mutex<Queue>,
    /// There is a block to compress, or nothing more will come.
    work: Condvar,
    /// There is room for another block.
    room: Condvar,
    output: Mutex<Output>,
    limit: usize,
    /// What the length of each block in the image is a multiple of.
    alignment: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue {
    jobs: VecDeque<Job>,
    /// Blocks between their reading and their place in a file.
    in_flight: usize,
    is_stopped: bool,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
}

/// A block to compress.
struct Job {
    segment: usize,
    sequence: u64,
    block: Vec<u8>,
    is_fragment: bool,
}

impl Pool {
    pub(super) fn start(options: &Options, output: Output) -> Result<Arc<Pool>, Error> {
        let count = options.threads.get();
        let path = output.path().to_owned();
        let queue = Queue { jobs: VecDeque::new(), in_flight: 0, is_stopped: false, spare: Vec::new() };
        let pool = Arc::new(Pool {
            queue: Mutex::new(queue),
            work: Condvar::new(),
            room: Condvar::new(),
            output: Mutex::new(output),
            limit: BLOCKS_PER_THREAD * count,
            alignment: options.alignment(),
            threads: Mutex::new(Vec::new()),
        });
        for _ in 0..count {
            let (shared, options) = (Arc::clone(&pool), options.clone());
            let started =
                std::thread::Builder::new().name("compress".into()).spawn(move || shared.work(&options));
            match started.context("start a thread for", &path) {
                Ok(thread) => lock(&pool.threads).push(thread),
                Err(error) => {
                    pool.stop();
                    return Err(error.into());
                }
            }
        }
        Ok(pool)
    }

    /// Opens the next segment.
    pub(super) fn open_segment(&self) -> usize {
        lock(&self.output).open_segment()
    }

    /// A buffer for a block, empty.
    pub(super) fn buffer(&self) -> Vec<u8> {
        lock(&self.queue).spare.pop().unwrap_or_default()
    }

    /// Has a block compressed and put in its place. Waits until there is room for it.
    pub(super) fn compress(
        &self,
        segment: usize,
        sequence: u64,
        block: Vec<u8>,
        is_fragment: bool,
    ) -> Result<(), Error> {
        let mut queue = lock(&self.queue);
        while queue.in_flight >= self.limit && !queue.is_stopped {
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.is_stopped {
            drop(queue);
            return Err(lock(&self.output).failure());
        }
        queue.in_flight += 1;
        queue.jobs.push_back(Job { segment, sequence, block, is_fragment });
        self.work.notify_one();
        Ok(())
    }

    /// Puts something that is no block in its place.
    pub(super) fn deliver(&self, segment: usize, sequence: u64, item: Item) -> Result<(), Error> {
        let mut output = lock(&self.output);
        let placed = output.take(segment, sequence, item);
        let has_failed = output.has_failed();
        let result = if has_failed { Err(output.failure()) } else { Ok(()) };
        drop(output);
        self.release(placed, has_failed, None);
        result
    }

    /// Remembers that a segment was given up.
    pub(super) fn give_up(&self) {
        lock(&self.output).give_up();
        self.stop_queue();
    }

    /// Waits for all blocks, and tells where they are.
    pub(super) fn finish(&self) -> Result<Placed, Error> {
        let mut queue = lock(&self.queue);
        while queue.in_flight > 0 && !queue.is_stopped {
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        self.stop();
        lock(&self.output).finish()
    }

    /// Ends the threads.
    pub(super) fn stop(&self) {
        self.stop_queue();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // What one that panicked leaves undone is told by the output.
            let _ = thread.join();
        }
    }

    fn stop_queue(&self) {
        let mut queue = lock(&self.queue);
        queue.is_stopped = true;
        queue.jobs.clear();
        drop(queue);
        self.work.notify_all();
        self.room.notify_all();
    }

    fn work(&self, options: &Options) {
        let watch = StopOnPanic(self);
        let mut compressor = Compressor::new(options.compression, options.block_size as usize);
        while let Some(job) = self.next_job() {
            self.run(job, &mut compressor);
        }
        std::mem::forget(watch);
    }

    fn next_job(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.is_stopped {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn run(&self, job: Job, compressor: &mut Compressor) {
        let Job { segment, sequence, block, is_fragment } = job;
        let whole = block.len().next_multiple_of(self.alignment);
        let small = compressor.compress(&block).map(|small| padded(small, self.alignment));
        let is_smaller = |small: &Vec<u8>| self.alignment == 1 || small.len() < whole;
        let (bytes, word, spare) = if let Some(small) = small.filter(is_smaller) {
            let word = small.len() as u32;
            (small, word, Some(block))
        } else {
            let mut block = block;
            block.resize(whole, 0);
            (block, whole as u32 | BLOCK_RAW, None)
        };
        let item = if is_fragment {
            Item::Fragment { bytes, word }
        } else {
            let mut crc = Crc::new();
            crc.update(&bytes);
            Item::Block { crc: crc.sum(), bytes, word }
        };
        let mut output = lock(&self.output);
        let placed = output.take(segment, sequence, item);
        let has_failed = output.has_failed();
        drop(output);
        self.release(placed, has_failed, spare);
    }

    /// Makes room for as many blocks as have got their places.
    fn release(&self, placed: usize, has_failed: bool, spare: Option<Vec<u8>>) {
        let mut queue = lock(&self.queue);
        queue.in_flight -= placed;
        if let Some(mut buffer) = spare.filter(|_| queue.spare.len() < self.limit) {
            buffer.clear();
            queue.spare.push(buffer);
        }
        let is_news = placed > 0;
        drop(queue);
        if has_failed {
            self.stop_queue();
        } else if is_news {
            self.room.notify_all();
        }
    }
}

/// What is compressed, with zeros before it: in erofs it ends where its blocks end.
fn padded(small: &[u8], alignment: usize) -> Vec<u8> {
    let padding = small.len().next_multiple_of(alignment) - small.len();
    let mut bytes = vec![0; padding];
    bytes.extend_from_slice(small);
    bytes
}

/// Lets nobody wait for a thread that has panicked.
struct StopOnPanic<'a>(&'a Pool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
