//! Symbol versions: lists of structures, each of which says how far the next one is.

use super::dynamic::Strings;
use super::header::Layout;
use super::pages::Pages;
use super::{Defect, NeededVersion, NeededVersions};

const VER_FLG_BASE: u16 = 1;
const VER_FLG_WEAK: u16 = 2;

/// Most libraries have some dozens of versions in all; libicu and Qt have hundreds.
const MOST: u64 = 16 * 1024;

/// Counts what is read, whatever the file says of how many there are.
struct Budget(u64);

impl Budget {
    fn take(&mut self, what: &'static str) -> Result<(), Defect> {
        self.0 = self.0.checked_sub(1).ok_or(Defect::TooMuch(what))?;
        Ok(())
    }
}

/// Elf_Verneed and Elf_Vernaux, which are alike in both widths.
pub(super) fn needed(
    pages: &mut Pages<'_>,
    layout: Layout,
    strings: &Strings,
    mut offset: u64,
    count: u64,
) -> Result<Vec<NeededVersions>, Defect> {
    const WHAT: &str = "versions that it needs";
    let mut budget = Budget(MOST);
    let mut found = Vec::new();
    for _ in 0..count {
        budget.take(WHAT)?;
        let bytes = pages.bytes(offset, 16, WHAT)?;
        let [of_library, name, first, next] = [
            u32::from(layout.u16(&bytes, 2)),
            layout.u32(&bytes, 4),
            layout.u32(&bytes, 8),
            layout.u32(&bytes, 12),
        ];
        let library = strings.at(pages, name.into(), WHAT)?;
        let mut versions = Vec::new();
        let mut here = forward(offset, first, WHAT)?;
        for _ in 0..of_library {
            budget.take(WHAT)?;
            let bytes = pages.bytes(here, 16, WHAT)?;
            let name = strings.at(pages, layout.u32(&bytes, 8).into(), WHAT)?;
            versions.push(NeededVersion { name, weak: layout.u16(&bytes, 4) & VER_FLG_WEAK != 0 });
            let next = layout.u32(&bytes, 12);
            if next == 0 {
                break;
            }
            here = forward(here, next, WHAT)?;
        }
        found.push(NeededVersions { library, versions });
        if next == 0 {
            break;
        }
        offset = forward(offset, next, WHAT)?;
    }
    Ok(found)
}

/// Elf_Verdef, and of its Elf_Verdaux the first, which is its name; others are those that it comes after.
pub(super) fn defined(
    pages: &mut Pages<'_>,
    layout: Layout,
    strings: &Strings,
    mut offset: u64,
    count: u64,
) -> Result<Vec<String>, Defect> {
    const WHAT: &str = "versions that it has";
    let mut budget = Budget(MOST);
    let mut found = Vec::new();
    for _ in 0..count {
        budget.take(WHAT)?;
        let bytes = pages.bytes(offset, 20, WHAT)?;
        // The base version is the library's name.
        if layout.u16(&bytes, 2) & VER_FLG_BASE == 0 {
            let first = forward(offset, layout.u32(&bytes, 12), WHAT)?;
            let name = pages.bytes(first, 8, WHAT)?;
            found.push(strings.at(pages, layout.u32(&name, 0).into(), WHAT)?);
        }
        let next = layout.u32(&bytes, 16);
        if next == 0 {
            break;
        }
        offset = forward(offset, next, WHAT)?;
    }
    Ok(found)
}

fn forward(offset: u64, by: u32, what: &'static str) -> Result<u64, Defect> {
    offset.checked_add(by.into()).ok_or(Defect::Wrong(what))
}
