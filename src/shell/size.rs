//! How much RAM an overlay may take.

use std::fmt;
use std::str::FromStr;

/// A bound of what is held in RAM, as tmpfs(5) takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many bytes, at least a mebibyte.
    Bytes(u64),
    /// So much of the machine's RAM, from 1 to 100.
    Percent(u64),
}

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a size: {rule}")]
pub struct InvalidSize {
    text: String,
    rule: &'static str,
}

/// Below this not even a package list fits; a number without a unit was meant to have one.
const SMALLEST: u64 = 1 << 20;

impl Size {
    /// How many bytes it is where the machine has so much RAM.
    pub fn bytes(self, ram: u64) -> u64 {
        match self {
            Size::Bytes(bytes) => bytes,
            Size::Percent(part) => (u128::from(ram) * u128::from(part) / 100) as u64,
        }
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Size, InvalidSize> {
        parse(text).map_err(|rule| InvalidSize { text: text.to_owned(), rule })
    }
}

fn parse(text: &str) -> Result<Size, &'static str> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return Err(FORM);
    }
    let number: u64 = digits.parse().map_err(|_| TOO_LARGE)?;
    let factor: u64 = match unit {
        "%" if (1..=100).contains(&number) => return Ok(Size::Percent(number)),
        "%" => return Err("a share of RAM is from 1% to 100%"),
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        _ => return Err(FORM),
    };
    match number.checked_mul(factor) {
        Some(bytes) if bytes >= SMALLEST => Ok(Size::Bytes(bytes)),
        Some(_) => Err("the least is 1m (k, m, g and t are units)"),
        None => Err(TOO_LARGE),
    }
}

const FORM: &str = "it is a whole number with k, m, g, t or %, such as 512m or 20%";
const TOO_LARGE: &str = "no machine has that much";

/// As the option `size` of tmpfs(5) takes it, in the largest unit that it is a whole number of.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match self {
            Size::Bytes(bytes) => *bytes,
            Size::Percent(part) => return write!(f, "{part}%"),
        };
        let units = [(40, "t"), (30, "g"), (20, "m"), (10, "k")];
        let unit = units.into_iter().find(|(bits, _)| bytes.trailing_zeros() >= *bits);
        let (bits, letter) = unit.unwrap_or((0, ""));
        write!(f, "{}{letter}", bytes >> bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_tmpfs_takes() {
        for (text, bytes) in [
            ("1m", 1 << 20),
            ("1024k", 1 << 20),
            ("1048576", 1 << 20),
            ("512M", 512 << 20),
            ("3g", 3 << 30),
            ("2T", 2 << 40),
            ("1%", 80),
            ("100%", 8000),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!(size.bytes(8000), bytes, "{text}");
            assert_eq!(size.to_string().parse::<Size>().expect("its own words"), size);
        }
        for (bytes, text) in
            [(1 << 30, "1g"), (3 << 20, "3m"), (1 << 20 | 1 << 10, "1025k"), (1_048_577, "1048577")]
        {
            assert_eq!(Size::Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_rule() {
        for (text, words) in [
            ("", "a whole number"),
            ("m", "a whole number"),
            ("%", "a whole number"),
            ("much", "a whole number"),
            ("-1m", "a whole number"),
            ("+1m", "a whole number"),
            ("1.5g", "a whole number"),
            ("1 g", "a whole number"),
            ("1mb", "a whole number"),
            ("1\u{661}m", "a whole number"),
            ("5p", "a whole number"),
            ("0", "the least is 1m"),
            ("0m", "the least is 1m"),
            ("1", "the least is 1m"),
            ("512", "the least is 1m"),
            ("1023k", "the least is 1m"),
            ("0%", "from 1% to 100%"),
            ("101%", "from 1% to 100%"),
            ("99999999999999999g", "no machine"),
            ("99999999999999999999", "no machine"),
            ("99999999999999999999%", "no machine"),
        ] {
            let error = text.parse::<Size>().expect_err(text).to_string();
            assert!(error.contains(words) && error.contains(&format!("'{text}'")), "{error}");
        }
    }
}
