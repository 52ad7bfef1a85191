//! What is kept of an image while it is read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A few things by where they are in the image, of which the oldest goes.
pub(super) struct Cache<T> {
    kept: HashMap<u64, Arc<T>>,
    order: VecDeque<u64>,
    limit: usize,
}

impl<T> Cache<T> {
    pub(super) fn new(limit: usize) -> Cache<T> {
        Cache { kept: HashMap::new(), order: VecDeque::new(), limit }
    }

    pub(super) fn get(&self, at: u64) -> Option<Arc<T>> {
        self.kept.get(&at).cloned()
    }

    pub(super) fn keep(&mut self, at: u64, value: T) -> Arc<T> {
        if self.order.len() >= self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        let value = Arc::new(value);
        if self.kept.insert(at, Arc::clone(&value)).is_none() {
            self.order.push_back(at);
        }
        value
    }
}
