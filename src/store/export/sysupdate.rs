//! Settings by which systemd-sysupdate(8) and importctl's friends keep extensions up to date from a store, without this program.
//!
//! All transfers in one directory share one version (sysupdate.d(5)), so each extension is a component of its own.

use std::path::Path;

use crate::extension::build::ExtensionName;
use crate::store::{Entry, Error, Index};
use crate::sys::{Root, replace_public};

/// How many versions stay: the one that is used, and the one before it.
const KEPT: u32 = 2;

/// Writes the settings for each extension of a store that is found at `url` into `DIR/sysupdate.NAME.d`, and what the component is into
/// `DIR/sysupdate.NAME.component`; the names.
pub fn sysupdate(index: &Index, dir: &Path, url: &str) -> Result<Vec<String>, Error> {
    let root = Root::open(dir)?;
    let mut names: Vec<&str> = index.images.iter().map(|entry| &*entry.name).collect();
    names.sort_unstable();
    names.dedup();
    // A name is to be one of a directory; what is none was not written by this program.
    names.retain(|name| name.parse::<ExtensionName>().is_ok());
    let is_signed = !index.keys.is_empty();
    for name in &names {
        let component = format!("sysupdate.{name}.d");
        root.make_dir(&component, 0o755)?;
        let below = root.open_dir(&component)?;
        let text = transfer(name, url, &patterns(index, name), is_signed);
        replace_public(&below, &format!("{name}.transfer"), 0o644, text.as_bytes())?;
        replace_public(&below, &format!("{name}.feature"), 0o644, feature(name, url).as_bytes())?;
        let file = format!("sysupdate.{name}.component");
        replace_public(&root, &file, 0o644, component_of(name, url).as_bytes())?;
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// The patterns of an extension's images: those for one architecture, `%a`, those for all, or either.
fn patterns(index: &Index, name: &str) -> String {
    let is_for_all = |entry: &&Entry| entry.file.ends_with("_any.raw");
    let of_name = || index.images.iter().filter(|entry| entry.name == name);
    let (for_all, all) = (of_name().filter(is_for_all).count(), of_name().count());
    let mut patterns = Vec::new();
    if for_all < all {
        patterns.push(format!("{name}_@v_%a.raw"));
    }
    if for_all > 0 {
        patterns.push(format!("{name}_@v_any.raw"));
    }
    patterns.join(" ")
}

/// One file of each version, which systemd-sysext does not see where it lies, and a link to the newest, which it does: else it would
/// merge all versions there are.
fn transfer(name: &str, url: &str, pattern: &str, is_signed: bool) -> String {
    let verify = if is_signed { "yes" } else { "no" };
    let url = escaped(url.trim_end_matches('/'));
    format!(
        "# Made by 'onlay store export sysupdate'.\n\
         [Transfer]\nFeatures={name}\nVerify={verify}\n\n\
         [Source]\nType=url-file\nPath={url}/\nMatchPattern={pattern}\n\n\
         [Target]\nType=regular-file\nPath=/var/lib/extensions.d/{name}\nMatchPattern={pattern}\nMode=0644\n\
         InstancesMax={KEPT}\nCurrentSymlink=/var/lib/extensions/{name}.raw\n"
    )
}

/// By which one extension is switched off, by a drop-in, without losing its settings.
fn feature(name: &str, url: &str) -> String {
    let url = escaped(url);
    format!(
        "# Made by 'onlay store export sysupdate'.\n\
         [Feature]\nDescription=The extension {name}\nDocumentation={url}\nEnabled=yes\n"
    )
}

/// What a component is, to people and to `systemd-sysupdate enable-component` (sysupdate.components(5), systemd 262; older ones do not
/// look for it).
fn component_of(name: &str, url: &str) -> String {
    let url = escaped(url);
    format!(
        "# Made by 'onlay store export sysupdate'.\n\
         [Component]\nDescription=The extension {name}\nDocumentation={url}\nEnabled=yes\n"
    )
}

/// A text in a setting, in which `%` begins a specifier.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}
