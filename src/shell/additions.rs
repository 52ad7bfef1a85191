//! Files that a view shows over the base's own, and that are part of neither base nor changes.
//!
//! They are a layer of their own, right above the base: what is changed inside lies above it, and
//! `onlay diff` compares with the base alone.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::overlay::{Mode, copy_attributes};
use crate::sys::{Context, IoError, Root};

/// One such file.
struct Addition {
    path: &'static str,
    content: Vec<u8>,
    mode: u32,
}

/// Where rpm is told to give each scriptlet a mount and a network namespace (rpm-unshare(8)). It
/// refuses to run scriptlets when it cannot; rpm reads /etc/rpm/macros.* after this file.
const RPM_UNSHARE: &str = "usr/lib/rpm/macros.d/macros.transaction_unshare";

/// Makes the layer; `None` where no file is needed.
pub(super) fn additions_layer(
    host: &Host,
    mode: Mode,
    unguarded: bool,
    ram: &Root,
) -> Result<Option<Root>, IoError> {
    let mut needed = Vec::new();
    // With systemd in charge, systemctl sees that it runs in another root and does nothing. Init
    // scripts would start daemons; Debian asks this file first (invoke-rc.d(8)).
    let guards_services = mode != Mode::Booted && !unguarded && !host.runs_systemd();
    if guards_services
        && host.root.exists("usr/sbin/invoke-rc.d")
        && !host.root.exists("usr/sbin/policy-rc.d")
    {
        let script = b"#!/bin/sh\n# Shown by onlay: services are not started inside an overlay.\nexit 101\n";
        needed.push(Addition { path: "usr/sbin/policy-rc.d", content: script.to_vec(), mode: 0o755 });
    }
    if mode == Mode::Isolated && host.root.exists(RPM_UNSHARE) {
        let content = b"# Shown by onlay: isolated scriptlets cannot have namespaces of their own.\n\
            %__transaction_unshare %{nil}\n";
        needed.push(Addition { path: "etc/rpm/macros.onlay", content: content.to_vec(), mode: 0o644 });
    }
    if !host.is_running && mode != Mode::Booted {
        let resolver = std::fs::read("/etc/resolv.conf").ok();
        needed.extend(resolver.map(|content| Addition { path: "etc/resolv.conf", content, mode: 0o644 }));
    }
    if mode == Mode::Booted {
        needed.extend(boot_files(&host.root)?);
    }
    if needed.is_empty() {
        return Ok(None);
    }
    ram.make_dir("additions", 0o755)?;
    let dir = ram.open_child("additions".as_ref())?;
    copy_attributes(&host.root, &dir)?;
    for addition in &needed {
        addition.place(&host.root, &dir)?;
    }
    Ok(Some(dir))
}

/// What a booted copy of the host must not share with it, and what spares root a second login.
fn boot_files(root: &Root) -> Result<[Addition; 2], IoError> {
    let mut random = [0u8; 16];
    let source = "/dev/urandom";
    std::fs::File::open(source).and_then(|mut file| file.read_exact(&mut random)).context("read", source)?;
    // A random UUID, as machine-id(5) asks for.
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let machine_id = format!("{:032x}\n", u128::from_be_bytes(random));
    let agetty = if root.exists("usr/sbin/agetty") { "/usr/sbin/agetty" } else { "/sbin/agetty" };
    let console = format!(
        "[Service]\nExecStart=\nExecStart=-{agetty} --autologin root --noclear --keep-baud console 115200,38400,9600 $TERM\n"
    );
    Ok([
        Addition { path: "etc/machine-id", content: machine_id.into_bytes(), mode: 0o444 },
        Addition {
            path: "etc/systemd/system/console-getty.service.d/onlay.conf",
            content: console.into_bytes(),
            mode: 0o644,
        },
    ])
}

impl Addition {
    /// Puts the file at the place where the base has it after all links, below directories that
    /// look like the base's.
    fn place(&self, base: &Root, additions: &Root) -> Result<(), IoError> {
        let path = Path::new(self.path);
        let Some(name) = path.file_name() else { return Ok(()) };
        let mut existing = path.parent().unwrap_or(Path::new(""));
        while !base.exists(existing) {
            existing = existing.parent().unwrap_or(Path::new(""));
        }
        let missing = path.strip_prefix(existing).ok().and_then(Path::parent).unwrap_or(Path::new(""));
        let above = base.resolve(existing)?.join(missing);
        let mut prefix = PathBuf::new();
        for part in above.components().skip(1) {
            prefix.push(part);
            if !additions.make_dir(&prefix, 0o755)? {
                continue;
            }
            if let Ok(like) = base.open_dir(&prefix) {
                copy_attributes(&like, &additions.open_dir(&prefix)?)?;
            }
        }
        let place = prefix.join(name);
        let file = additions.make_file(&place, self.mode)?;
        rustix::io::write(file, &self.content).context("write", additions.join(&place)).map(|_| ())
    }
}
