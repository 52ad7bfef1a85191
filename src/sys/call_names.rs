//! From the name of a system call to its number, for each interface.
//!
//! The crate `syscalls` knows the names, but finds one by comparing it with each in turn; for a
//! filter of several hundred calls that took longer than all else on the way into an overlay. So
//! the compiler builds an index here, from a hash of the name to the number. What the index gives
//! is compared with the name once more: a name that it lacks is never taken for another.

/// Defines the lookup for one interface.
macro_rules! lookup {
    ($interface:ident) => {
        pub(super) fn $interface(name: &str) -> Option<u32> {
            use syscalls::$interface::Sysno;
            static INDEX: Index = {
                let mut index = Index::new();
                let mut number = 0;
                while number <= Sysno::last().id() as usize {
                    if let Some(call) = Sysno::new(number) {
                        index.add(call.name(), number);
                    }
                    number += 1;
                }
                index
            };
            INDEX.find(name, |number| Sysno::new(number).is_some_and(|call| call.name() == name))
        }
    };
}

lookup!(x86_64);
lookup!(x86);
lookup!(aarch64);
lookup!(arm);

/// A hash table with open addressing. It holds numbers only, so that it is small and needs no
/// relocation when the program starts.
struct Index {
    /// Each a number plus one; 0 is free.
    slots: [u16; Index::SIZE],
}

impl Index {
    /// Interfaces have fewer than 500 calls; half empty, the searches are short. A full table would
    /// fail to compile.
    const SIZE: usize = 1024;

    const fn new() -> Index {
        Index { slots: [0; Index::SIZE] }
    }

    const fn add(&mut self, name: &str, number: usize) {
        let mut slot = first_slot(name);
        while self.slots[slot] != 0 {
            slot = (slot + 1) % Index::SIZE;
        }
        self.slots[slot] = number as u16 + 1;
    }

    fn find(&self, name: &str, is_it: impl Fn(usize) -> bool) -> Option<u32> {
        let first = first_slot(name);
        (first..first + Index::SIZE)
            .map(|slot| self.slots[slot % Index::SIZE])
            .take_while(|&content| content != 0)
            .map(|content| content - 1)
            .find(|&number| is_it(usize::from(number)))
            .map(u32::from)
    }
}

/// FNV-1a, folded: names differ in few letters, and this spreads those.
const fn first_slot(name: &str) -> usize {
    let bytes = name.as_bytes();
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 16)) as usize % Index::SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_where_the_crate_has_it() {
        fn check<Call: std::fmt::Debug + Copy>(
            calls: impl Iterator<Item = Call>,
            number: impl Fn(Call) -> i32,
            lookup: fn(&str) -> Option<u32>,
        ) {
            let mut count = 0;
            for call in calls {
                assert_eq!(lookup(&format!("{call:?}")), Some(number(call) as u32), "{call:?}");
                count += 1;
            }
            assert!(count > 300, "only {count} calls were looked up");
        }
        check(syscalls::x86_64::Sysno::iter(), |call| call.id(), x86_64);
        check(syscalls::x86::Sysno::iter(), |call| call.id(), x86);
        check(syscalls::aarch64::Sysno::iter(), |call| call.id(), aarch64);
        check(syscalls::arm::Sysno::iter(), |call| call.id(), arm);
    }

    #[test]
    fn the_last_call_of_the_crate_is_in_the_index() {
        let last = syscalls::x86_64::Sysno::last();
        assert_eq!(x86_64(last.name()), Some(last.id() as u32));
    }

    #[test]
    fn a_name_of_another_interface_or_of_none_is_not_found() {
        for name in ["", "no_such_call", "Read", "socketcall", "read\0"] {
            assert_eq!(x86_64(name), None, "{name:?}");
        }
        assert_eq!(x86("socketcall"), Some(102));
        assert_eq!(x86("arch_specific"), None);
        assert_eq!(aarch64("open"), None);
    }
}
