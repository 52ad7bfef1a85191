//! What scripts of packages say that they do, as far as it can be seen without running them.

/// Whether a script sets alternatives: calls dpkg's update-alternatives(1), or alternatives(8) of Fedora and SUSE, which has
/// the other name as well, to install one.
pub(super) fn sets_alternatives(script: &[u8]) -> bool {
    let has = |word: &[u8]| script.windows(word.len()).any(|window| window == word);
    has(b"alternatives") && has(b"--install")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_installs_alternatives_is_seen() {
        for (script, sets) in [
            ("update-alternatives --install /usr/bin/x x /usr/bin/x.1 10\n", true),
            ("/usr/sbin/alternatives \\\n  --install /usr/bin/x x /usr/bin/x.1 10\n", true),
            ("update-alternatives --remove x /usr/bin/x.1\n", false),
            ("systemctl --install\n", false),
            ("", false),
        ] {
            assert_eq!(sets_alternatives(script.as_bytes()), sets, "{script}");
        }
    }
}
