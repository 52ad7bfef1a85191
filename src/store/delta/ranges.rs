//! Which bytes of an image are fetched.

use std::ops::Range;

/// At most so many requests for one image.
const MOST: usize = 32;
/// What is between two ranges and not more than this is fetched, too: it costs less than a request.
const CHEAP: u64 = 8 << 10;

/// Joins ranges, which are in the order of their places, until there are few enough: those that are closest first.
pub(super) fn join(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let gaps: Vec<u64> = ranges.windows(2).map(|pair| pair[1].start - pair[0].end).collect();
    let mut sorted = gaps.clone();
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    // Gaps that are larger than this stay.
    let limit = sorted.get(MOST - 1).copied().unwrap_or(0).max(CHEAP);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start - last.end <= limit => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_are_joined_until_there_are_few() {
        assert_eq!(join(Vec::new()), []);
        assert_eq!(join(vec![0..5, 5..9, 20_000..20_001]), [0..9, 20_000..20_001]);
        let far: Vec<Range<u64>> = (0..100).map(|at| at * at * 10_000..at * at * 10_000 + 10).collect();
        let joined = join(far.clone());
        assert_eq!(joined.len(), MOST);
        assert_eq!((joined[0].start, joined[MOST - 1].end), (0, far[99].end));
        // Those at the end are the farthest from each other.
        assert_eq!(joined[1..], far[69..]);
        let even: Vec<Range<u64>> = (0..100).map(|at| at * 10_000..at * 10_000 + 10).collect();
        assert_eq!((join(even.clone()).len(), join(even)[0].end), (1, 990_010));
    }
}
