//! What is configured is what the files say, and what is wrong in them is told with its line.

use std::fs;

use super::*;

/// Reads what a root with these files has.
fn read(files: &[(&str, &str)]) -> Result<Config, String> {
    let top = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = top.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("ours");
        fs::write(path, text).expect("ours");
    }
    let root = Root::open(top.path()).expect("ours");
    let prefix = format!("{}/", top.path().display());
    Config::read(&root).map_err(|error| crate::sys::with_causes(&error).replace(&prefix, ""))
}

#[test]
fn drop_ins_change_single_keys_and_lower_numbers_come_first() {
    let config = read(&[
        ("etc/onlay/onlay.toml", "keep = 5\nlimit-rate = '2M'\n[store.one]\nurl = 'https://one/'\nkeys = ['x.asc']\n"),
        ("usr/lib/onlay/onlay.toml.d/10-two.toml", "[store.two]\nurl = ['/srv/a', 'file:///srv/b']\nsignature = 'none'\npriority = 10\n"),
        ("usr/lib/onlay/onlay.toml.d/20-three.toml", "[store.three]\nurl = 'x'\n"),
        ("etc/onlay/onlay.toml.d/20-three.toml", ""),
        ("etc/onlay/onlay.toml.d/30.toml", "[store.one]\nonly = ['gdb', 'lib*']\nretries = 0\ncolour = 'red'\nheader-file = '/etc/onlay/h'\n"),
        ("etc/onlay/onlay.toml.d/.hidden.toml", "="),
        ("etc/onlay/h", "X-Key: abc\n"),
    ])
    .expect("a configuration");
    let names: Vec<&str> = config.stores.iter().map(|store| &*store.name).collect();
    assert_eq!((config.keep, names), (5, vec!["two", "one"]));
    let one = config.store("one").expect("it is there");
    assert!(one.has("gdb") && one.has("libx") && !one.has("strace"));
    assert_eq!((one.options.limit_rate, one.options.retries, one.keys.len()), (Some(2_000_000), 0, 1));
    assert_eq!(one.options.header, Header::parse("X-Key: abc"));
    assert_eq!(
        config.store("two").map(|two| (two.addresses.len(), two.signature)),
        Some((2, Signature::None))
    );
    assert_eq!(config.remarks.len(), 1);
    assert!(
        config.remarks[0].ends_with("30.toml, line 4: 'colour' is not known, and not heeded"),
        "{:?}",
        config.remarks
    );
    let none = read(&[]).expect("nothing is configured");
    assert!(none.stores.is_empty() && none.keep == 3);
    let off = read(&[("etc/onlay/onlay.toml", "[store.a]\nenabled = false\n")]).expect("it needs nothing");
    assert!(off.stores.is_empty() && off.disabled.len() == 1);
    assert!(off.store("a").is_some(), "what is known of it is kept");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, line, why) in [
        ("keep = 0", 1, "keep is a number from 1 to 1000"),
        ("\nkeep = 'x'", 2, "keep is a number from 1 to 1000"),
        ("[store.a]\n", 1, "store 'a' has no url"),
        ("[store.a]\nurl = 'https://x'\n", 1, "store 'a' has no keys: fingerprints or files; or signature"),
        (
            "[store.a]\nurl = 'https://x'\nkey = 'x.asc'\n",
            1,
            "which believes whoever answers; not known: 'key' (line 3)",
        ),
        ("[store.a]\nurls = 'https://x'\n", 1, "store 'a' has no url; not known: 'urls' (line 2)"),
        ("[store.a]\nurl = 'ftp://x'\n", 2, "url 'ftp://x': the scheme 'ftp' is not known"),
        ("[store.a]\nurl = [\n'/x',\n'https://a:b@x']\n", 4, "a password is given in a header file"),
        (
            "[store.a]\nurl = '/x/index.json'\n",
            2,
            "url '/x/index.json': it is the directory, without 'index.json'",
        ),
        ("[store.a]\nurl = 7\n", 2, "url is a text in quotation marks, or a list of such"),
        ("[store.a]\nsignature = 'maybe'\n", 2, "signature is \"required\" or \"none\", not \"maybe\""),
        ("[store.a]\nlimit-rate = 'fast'\n", 2, "limit-rate is bytes in a second"),
        ("[store.a]\nproxy = 'socks5://x'\n", 2, "proxy is a URL of http or https"),
        (
            "[store.a]\nurl = '/x'\nchannel = '../b'\n",
            3,
            "channel '../b': it is the name of a directory there",
        ),
        ("[store.a]\nheader = 'secret'\n", 2, "header is no header: NAME: VALUE"),
        ("[store.a]\nenabled = 'no'\n", 2, "enabled is true or false"),
        ("[store.a]\nonly = '[a'\n", 2, "only '[a': "),
        ("[store.'../a']\nurl = '/x'\n", 1, "'../a' is no name for a store"),
        ("[store]\na = 1\n", 2, "store.a is no table"),
        ("store = 1", 1, "store is a table"),
        ("x =\n", 1, ": x ="),
        ("[store.a]\n  timeout = 5s # seconds\n", 2, ": timeout = 5s # seconds"),
        ("[store.a]\nheader = 'X-Key: abc\n", 2, ": header "),
        ("[store.a]\nretries = '3'\n", 2, "retries is a number from 0 to 100"),
    ] {
        let said = read(&[("etc/onlay/onlay.toml", text)]).map(drop).expect_err(text);
        let begin = format!("cannot use 'etc/onlay/onlay.toml', line {line}: ");
        assert!(said.starts_with(&begin) && said.contains(why), "{text}: {said}");
        assert!(!said.contains("abc"), "{said}");
    }
}

#[test]
fn rates_have_units() {
    for (word, bytes) in [
        ("7", Some(7)),
        ("500k", Some(500_000)),
        ("2M", Some(2_000_000)),
        ("0", None),
        ("k", None),
        ("1x", None),
    ] {
        assert_eq!(rate(word), bytes, "{word}");
    }
}
