//! Text of a page, in which nothing is markup that was not meant to be.

use super::pages::GENERATOR;

/// A text with all that HTML and XML would take as markup escaped, also within quotes; characters that XML cannot have are
/// shown as what they are not.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(letter),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// What was escaped.
pub(super) fn plain(escaped: &str) -> String {
    let marks = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    marks.into_iter().fold(escaped.to_owned(), |text, (mark, letter)| text.replace(mark, letter))
}

/// A name as a part of an address (RFC 3986, 2.3).
pub(super) fn in_address(name: &str) -> String {
    let mut address = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
    address
}

/// Bytes, in a few digits.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) if bytes >= 10 * unit => format!("{} {name}", bytes / unit),
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

/// A whole page: its title, what its head says besides, and what is in its body. It takes nothing from elsewhere, and runs nothing.
pub(super) fn page(title: &str, top: &str, head: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"generator\" content=\"{GENERATOR}\"/>\n{head}\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>{title}</title>\n\
         <link rel=\"alternate\" type=\"application/atom+xml\" title=\"{title}\" href=\"{top}feed.atom\"/>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

const STYLE: &str = ":root { color-scheme: light dark; --ink: #1c2430; --dim: #5b6675; --line: #d9dee6; --card: #fff; --back: #f4f6f9; \
    --link: #0b5cad; --code: #eef1f5 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --dim: #98a3b3; --line: #303a47; --card: #1a2029; --back: #11161d; \
    --link: #79b8ff; --code: #242c37 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.25rem; max-width: 56rem; background: var(--back); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
h1 { margin: .5rem 0 0; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem }
p { margin: .5rem 0 }
a { color: var(--link); text-decoration: none }
a:hover { text-decoration: underline }
.dim { color: var(--dim); font-size: .9rem }
.cards { list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)) }
.cards a, .card { display: block; padding: .9rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; color: inherit }
.cards a { height: 100% }
.cards a:hover { border-color: var(--link); text-decoration: none }
.cards strong { color: var(--link); overflow-wrap: anywhere }
.card { margin: .75rem 0 }
.card h3 { margin: 0; font-size: 1.05rem; overflow-wrap: anywhere }
.tag { display: inline-block; margin: .15rem .3rem .15rem 0; padding: 0 .5rem; border: 1px solid var(--line); border-radius: 1rem; font-size: .85rem; color: var(--dim) }
code, pre { background: var(--code); border-radius: .35rem; font: .88rem/1.5 ui-monospace, monospace }
code { padding: .1rem .3rem; overflow-wrap: anywhere }
pre { margin: .5rem 0; padding: .7rem .9rem; white-space: pre-wrap; overflow-wrap: anywhere }
summary { cursor: pointer; color: var(--link) }
dl { display: grid; grid-template-columns: fit-content(65%) 1fr; gap: .15rem 1rem; margin: .5rem 0 }
dt { color: var(--dim); overflow-wrap: anywhere }
dd { margin: 0; overflow-wrap: anywhere }
footer { margin-top: 2.5rem; padding-top: 1rem; border-top: 1px solid var(--line) }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup_by_accident() {
        assert_eq!(escape("<a b='c'>&\"\u{1}é"), "&lt;a b=&#39;c&#39;&gt;&amp;&quot;\u{fffd}é");
        assert_eq!(plain(&escape("<a b='c'>&\"&lt;é")), "<a b='c'>&\"&lt;é");
        assert_eq!(in_address("a b_1~rc1+é.raw"), "a%20b_1~rc1%2B%C3%A9.raw");
        for (bytes, words) in
            [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (15_000, "15 kB"), (4_200_000_000, "4.2 GB")]
        {
            assert_eq!(size(bytes), words);
        }
    }
}
