//! What apt tells its hooks before it runs dpkg (`DPkg::Pre-Install-Pkgs`, version 2 and later): a line with the version,
//! its settings as `KEY=VALUE` lines, an empty line, and the packages.

/// Options of dpkg that have it install elsewhere (dpkg(1)).
const ELSEWHERE: &[&str] = &["--root", "--instdir"];

/// Whether apt installs in the root that it runs in. Where it says nothing of its settings, it does.
pub fn is_for_this_root(told: &str) -> bool {
    let settings =
        told.lines().skip(1).take_while(|line| !line.is_empty()).filter_map(|line| line.split_once('='));
    !settings.into_iter().any(|(key, value)| match key {
        "Dir" | "RootDir" => !matches!(value, "" | "/" | "/."),
        "DPkg::Options::" => ELSEWHERE.iter().any(|option| value.starts_with(option)),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_elsewhere_is_known_by_the_settings() {
        let told =
            |setting: &str| format!("VERSION 2\nAPT=\nDir=/\n{setting}\n\nx - < 1 **CONFIGURE**\nDir=/x\n");
        for here in ["", "RootDir=/", "DPkg::Options::=--force-confold", "Dir::State=var/lib/apt"] {
            assert!(is_for_this_root(&told(here)), "{here}");
        }
        for elsewhere in ["Dir=/target", "RootDir=/target", "DPkg::Options::=--root=/target"] {
            assert!(!is_for_this_root(&told(elsewhere)), "{elsewhere}");
        }
        assert!(is_for_this_root(""));
        assert!(is_for_this_root("/var/cache/apt/archives/x.deb\n"));
    }
}
