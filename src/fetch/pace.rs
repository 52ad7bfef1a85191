//! How fast bytes may come, and how slowly.

use std::time::{Duration, Instant};

use super::Problem;

/// Who sends less than this in a second, over the time that nobody waits longer, is given up.
const SLOWEST: u64 = 512;

/// Measures what comes.
#[derive(Debug)]
pub(super) struct Pace {
    /// So many bytes in a second at most.
    limit: Option<u64>,
    timeout: Duration,
    begun: Instant,
    all: u64,
    /// Since when, and how much since.
    window: (Instant, u64),
}

impl Pace {
    pub(super) fn new(limit: Option<u64>, timeout: Duration) -> Pace {
        let now = Instant::now();
        Pace { limit, timeout, begun: now, all: 0, window: (now, 0) }
    }

    /// Takes note that bytes have come; waits where they came too fast.
    pub(super) fn took(&mut self, bytes: u64) -> Result<(), Problem> {
        self.all += bytes;
        self.window.1 += bytes;
        let time = self.window.0.elapsed();
        if time >= self.timeout {
            if self.window.1 < self.least(time) {
                return Err(Problem::Slow { bytes: self.window.1, time });
            }
            self.window = (Instant::now(), 0);
        }
        if let Some(limit) = self.limit {
            let due = Duration::from_millis(self.all.saturating_mul(1000) / limit.max(1));
            std::thread::sleep(due.saturating_sub(self.begun.elapsed()));
        }
        Ok(())
    }

    fn least(&self, time: Duration) -> u64 {
        let slowest = self.limit.map_or(SLOWEST, |limit| (limit / 4).min(SLOWEST));
        slowest.saturating_mul(time.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_too_little_is_given_up() {
        let hour = Duration::from_secs(3600);
        let past = Instant::now().checked_sub(hour);
        let Some(past) = past else { return };
        let of = |bytes| Pace { window: (past, bytes), ..Pace::new(None, Duration::from_secs(30)) };
        assert!(matches!(of(1000).took(1), Err(Problem::Slow { bytes: 1001, .. })));
        assert!(of(512 * 3700).took(1).is_ok());
        let limited = Pace { limit: Some(40), all: 0, ..of(11 * 3600) };
        assert_eq!(limited.least(hour), 10 * 3600, "who is held back cannot be blamed for it");
    }
}
