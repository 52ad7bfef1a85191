//! In which order systemd lays extensions: by the order of versions of the UAPI group's specification UAPI.10, which it
//! applies to their names. What comes last lies on top.

use std::cmp::Ordering;

/// Compares two names or versions.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    loop {
        (one, other) = (from_valid(one), from_valid(other));
        if let Some(order) = separated(&mut one, &mut other, b'~') {
            return order;
        }
        if one.is_empty() || other.is_empty() {
            return one.len().min(1).cmp(&other.len().min(1));
        }
        for separator in *b"-^." {
            if let Some(order) = separated(&mut one, &mut other, separator) {
                return order;
            }
        }
        let order = if starts_with_digit(one) || starts_with_digit(other) {
            let (mine, theirs) = (take(&mut one, u8::is_ascii_digit), take(&mut other, u8::is_ascii_digit));
            let (mine, theirs) = (without_zeros(mine), without_zeros(theirs));
            mine.len().cmp(&theirs.len()).then_with(|| mine.cmp(theirs))
        } else {
            take(&mut one, u8::is_ascii_alphabetic).cmp(take(&mut other, u8::is_ascii_alphabetic))
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Who begins with a separator comes first; where both do, it is passed over.
fn separated(one: &mut &[u8], other: &mut &[u8], separator: u8) -> Option<Ordering> {
    match (one.strip_prefix(&[separator]), other.strip_prefix(&[separator])) {
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (Some(mine), Some(theirs)) => {
            (*one, *other) = (mine, theirs);
            None
        }
        (None, None) => None,
    }
}

fn from_valid(text: &[u8]) -> &[u8] {
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"~-^.".contains(byte);
    &text[text.iter().position(is_valid).unwrap_or(text.len())..]
}

fn starts_with_digit(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit)
}

fn take<'a>(text: &mut &'a [u8], is_wanted: fn(&u8) -> bool) -> &'a [u8] {
    let (taken, rest) = text.split_at(text.iter().position(|byte| !is_wanted(byte)).unwrap_or(text.len()));
    *text = rest;
    taken
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_order_of_the_specification() {
        // The examples of UAPI.10, and what it says of separators.
        let rising = [
            "~1",
            "",
            "ab",
            "abb",
            "abc",
            "0001",
            "002",
            "12",
            "122~rc1",
            "122",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-a1-1",
            "123-3",
            "123^patch1",
            "123.1",
        ];
        let all = [
            "122.1",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-1",
            "123-1.1",
            "123^post1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124-1",
        ];
        for pair in all.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare(rising[0], rising[1]), Ordering::Less);
        assert_eq!(compare("a_1", "a+1"), Ordering::Equal);
        assert_eq!(compare("strace", "gdb"), Ordering::Greater);
        assert_eq!(compare("x10", "x9"), Ordering::Greater);
    }
}
