//! Capabilities of files: rpm's text (cap_from_text(3)) as the bytes that the kernel keeps (`vfs_cap_data`).
//!
//! ```text
//! 0   revision 2 and the effective bit, 32 bits, little-endian like all numbers here
//! 4   permitted, capabilities 0 to 31      8   inheritable, capabilities 0 to 31
//! 12  permitted, from 32                   16  inheritable, from 32
//! ```

/// Capabilities by number (linux/capability.h), without `cap_`.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

const REVISION_2: u32 = 0x0200_0000;
const EFFECTIVE: u32 = 1;

/// Sets of capabilities, a bit for each.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sets {
    effective: u64,
    inheritable: u64,
    permitted: u64,
}

/// The value of `security.capability` for a text; `None` where the text makes no sense, or the kernel could not keep
/// what it says: of the effective set there is one bit for all.
pub(super) fn attribute(text: &str) -> Option<Vec<u8>> {
    let mut sets = Sets::default();
    for clause in text.split_ascii_whitespace() {
        sets = sets.after(clause)?;
    }
    let given = sets.permitted | sets.inheritable;
    if sets.effective != 0 && sets.effective != given {
        return None;
    }
    let magic = REVISION_2 | if sets.effective == 0 { 0 } else { EFFECTIVE };
    let halves = |set: u64| [set as u32, (set >> 32) as u32];
    let ([permitted, more_permitted], [inheritable, more_inheritable]) =
        (halves(sets.permitted), halves(sets.inheritable));
    let numbers = [magic, permitted, inheritable, more_permitted, more_inheritable];
    Some(numbers.into_iter().flat_map(u32::to_le_bytes).collect())
}

impl Sets {
    /// One clause: names, and what becomes of them: `cap_net_raw,cap_setuid=p+e`.
    fn after(mut self, clause: &str) -> Option<Sets> {
        let begin = clause.find(['=', '+', '-'])?;
        let (names, mut actions) = clause.split_at(begin);
        let named = if names.is_empty() {
            // Without names, `=` means all.
            actions.starts_with('=').then_some(all())?
        } else {
            names.split(',').try_fold(0, |set, name| Some(set | capability(name)?))?
        };
        while let Some(action) = actions.chars().next() {
            let rest = &actions[1..];
            let end = rest.find(['=', '+', '-']).unwrap_or(rest.len());
            self.act(action, named, &rest[..end])?;
            actions = &rest[end..];
        }
        Some(self)
    }

    fn act(&mut self, action: char, named: u64, flags: &str) -> Option<()> {
        if action == '=' {
            for set in [&mut self.effective, &mut self.inheritable, &mut self.permitted] {
                *set &= !named;
            }
        }
        for flag in flags.chars() {
            let set = match flag {
                'e' => &mut self.effective,
                'i' => &mut self.inheritable,
                'p' => &mut self.permitted,
                _ => return None,
            };
            *set = if action == '-' { *set & !named } else { *set | named };
        }
        Some(())
    }
}

fn all() -> u64 {
    (1 << NAMES.len()) - 1
}

/// The bits of `all`, a name or a number.
fn capability(name: &str) -> Option<u64> {
    let name = name.to_ascii_lowercase();
    if name == "all" {
        return Some(all());
    }
    if let Ok(number) = name.parse::<u32>() {
        return 1_u64.checked_shl(number);
    }
    let name = name.strip_prefix("cap_")?;
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Option<String> {
        let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
        attribute(text)?.iter().flat_map(digits).collect()
    }

    /// As setcap(8) wrote them.
    #[test]
    fn texts_are_the_bytes_that_setcap_writes() {
        for (text, bytes) in [
            ("cap_net_raw=ep", Some("0100000200200000000000000000000000000000")),
            ("= cap_net_raw+ep", Some("0100000200200000000000000000000000000000")),
            ("cap_net_raw+p", Some("0000000200200000000000000000000000000000")),
            ("cap_net_admin,cap_net_raw=eip", Some("0100000200300000003000000000000000000000")),
            ("cap_bpf,cap_perfmon=ep", Some("010000020000000000000000c000000000000000")),
            ("CAP_SETUID=i", Some("0000000200000000800000000000000000000000")),
            ("cap_setuid=eip-i", Some("0100000280000000000000000000000000000000")),
            ("all=p cap_chown-p", Some("00000002feffffff00000000ff01000000000000")),
            ("=", Some("0000000200000000000000000000000000000000")),
            ("", Some("0000000200000000000000000000000000000000")),
            ("13=ep", Some("0100000200200000000000000000000000000000")),
            ("cap_net_raw=e", None),
            ("cap_net_raw=ep cap_setuid+p", None),
            ("cap_nothing=ep", None),
            ("net_raw=ep", None),
            ("cap_net_raw=x", None),
            ("cap_net_raw", None),
            ("+ep", None),
            ("99=p", None),
        ] {
            assert_eq!(hex(text).as_deref(), bytes, "{text}");
        }
    }
}
