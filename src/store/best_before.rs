//! Until when a store is to be believed: who shows an old list cannot show it for ever.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::Error;
use super::index::Index;

/// The name of the file that says it to systemd, before the day (systemd-sysupdate(8), 260).
pub(super) const PREFIX: &str = "BEST-BEFORE-";

/// What is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BestBefore {
    /// The last day, `YYYY-MM-DD`.
    Day(String),
    /// So many days from each time that the store is signed.
    Days(u32),
    /// For ever.
    Never,
}

impl FromStr for BestBefore {
    type Err = Error;

    fn from_str(word: &str) -> Result<BestBefore, Error> {
        let none = || Error::NoDay(word.to_owned());
        if word == "none" {
            return Ok(BestBefore::Never);
        }
        if let Ok(days) = word.strip_suffix('d').unwrap_or(word).parse() {
            return if (1..=36_500).contains(&days) { Ok(BestBefore::Days(days)) } else { Err(none()) };
        }
        start_of(word).map(|_| BestBefore::Day(word.to_owned())).ok_or_else(none)
    }
}

impl BestBefore {
    /// Says it in an index.
    pub(super) fn set(&self, index: &mut Index) {
        (index.best_before, index.best_before_days) = match self {
            BestBefore::Day(day) => (Some(day.clone()), None),
            BestBefore::Days(days) => (None, Some(*days)),
            BestBefore::Never => (None, None),
        };
    }
}

/// Moves the day on where it depends on when the store is signed, which is now. One that is over is refused.
pub(super) fn renew(index: &mut Index, now: SystemTime) -> Result<(), Error> {
    if let Some(days) = index.best_before_days {
        index.best_before = Some(day_of(now + Duration::from_secs(86_400 * u64::from(days))));
    }
    match &index.best_before {
        Some(day) if is_over(day, now) => Err(Error::Over(day.clone())),
        _ => Ok(()),
    }
}

/// Whether a day is over, in UTC; what is no day is.
pub fn is_over(day: &str, now: SystemTime) -> bool {
    start_of(day).is_none_or(|start| now >= start + Duration::from_secs(86_400))
}

/// The name of the file that says a day.
pub(super) fn file_of(day: &str) -> String {
    format!("{PREFIX}{day}")
}

/// The day of a moment, in UTC.
pub(super) fn day_of(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment).to_string().chars().take(10).collect()
}

/// When a day begins; `None` for what is none, such as the 30th of February.
fn start_of(day: &str) -> Option<SystemTime> {
    let start = humantime::parse_rfc3339(&format!("{day}T00:00:00Z")).ok()?;
    (day_of(start) == day).then_some(start)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn days_are_read_and_end() {
        for (word, meant) in [
            ("2027-02-28", Some(BestBefore::Day("2027-02-28".to_owned()))),
            ("30", Some(BestBefore::Days(30))),
            ("7d", Some(BestBefore::Days(7))),
            ("none", Some(BestBefore::Never)),
            ("2027-02-30", None),
            ("2027-2-3", None),
            ("0", None),
            ("99999", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(word.parse::<BestBefore>().ok(), meant, "{word}");
        }
        let noon = UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + 43_200);
        assert_eq!(day_of(noon), "2024-10-04");
        for (day, over) in [("2024-10-03", true), ("2024-10-04", false), ("2024-10-05", false), ("x", true)] {
            assert_eq!(is_over(day, noon), over, "{day}");
        }
    }

    #[test]
    fn a_number_of_days_moves_on() {
        let mut index = Index::default();
        BestBefore::Days(2).set(&mut index);
        renew(&mut index, UNIX_EPOCH).expect("it is ahead");
        assert_eq!(index.best_before.as_deref(), Some("1970-01-03"));
        renew(&mut index, UNIX_EPOCH + Duration::from_secs(86_400)).expect("it is ahead");
        assert_eq!(index.best_before.as_deref(), Some("1970-01-04"));
        BestBefore::Day("1970-01-04".to_owned()).set(&mut index);
        assert!(renew(&mut index, UNIX_EPOCH).is_ok());
        assert!(matches!(
            renew(&mut index, UNIX_EPOCH + Duration::from_secs(10 * 86_400)),
            Err(Error::Over(_))
        ));
        BestBefore::Never.set(&mut index);
        assert!(renew(&mut index, UNIX_EPOCH).is_ok() && index.best_before.is_none());
    }
}
