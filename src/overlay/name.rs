//! Names of overlays.

use std::fmt;
use std::str::FromStr;

/// A name that is safe as a file name, a host name's part and a shell word: letters, digits, `.`,
/// `_`, `-`, beginning with a letter or digit, at most 64 bytes (the limit of `machinectl` names).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OverlayName(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not an overlay name: {rule}")]
pub struct InvalidName {
    name: String,
    rule: &'static str,
}

const LONGEST: usize = 64;

impl OverlayName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of an overlay in RAM that was given none.
    pub fn temporary(pid: crate::sys::Pid) -> OverlayName {
        OverlayName(format!("temp-{pid}"))
    }
}

impl FromStr for OverlayName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<OverlayName, InvalidName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let rule = match text.as_bytes() {
            [] => Some("it is empty"),
            bytes if bytes.len() > LONGEST => Some("it is longer than 64 bytes"),
            [first, ..] if !first.is_ascii_alphanumeric() => Some("it must begin with a letter or digit"),
            bytes if !bytes.iter().copied().all(allowed) => {
                Some("only letters, digits, '.', '_' and '-' are allowed")
            }
            _ => None,
        };
        match rule {
            Some(rule) => Err(InvalidName { name: shortened(text), rule }),
            None => Ok(OverlayName(text.to_owned())),
        }
    }
}

impl fmt::Display for OverlayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() > LONGEST {
        format!("{}…", text.chars().take(LONGEST).collect::<String>())
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_everywhere() {
        for good in ["default", "a", "9", "web-1.2_x", &"x".repeat(64)] {
            assert!(good.parse::<OverlayName>().is_ok(), "{good}");
        }
        for bad in
            ["", ".", "..", "../x", "a/b", "-x", "_x", "a b", "a\n", "ä", &"x".repeat(65), &"x".repeat(300)]
        {
            assert!(bad.parse::<OverlayName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_error_quotes_a_long_name_shortened() {
        let error = "x".repeat(300).parse::<OverlayName>().expect_err("too long");
        assert!(error.to_string().len() < 140, "{error}");
    }
}
