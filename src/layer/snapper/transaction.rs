//! A snapshot from when it is made until it is booted next: by tukit where the system that runs has it, else by snapper.

use super::lock::Locked;
use super::snapshots::{BEGUN, BY_NUMBER, FROM, IN_PROGRESS, Snapshots};
use crate::layer::Error;
use crate::tool::snapper::{New, Snapshot};

/// What a snapshot that is being made is, for people, before the number of the one that it is made from. What tukit makes has no other note that it is
/// for us when it appears.
const DESCRIPTION: &str = "onlay: layers upon #";

/// A snapshot that is being made. Given up, it is deleted.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    snapshots: &'a Snapshots,
    from: u64,
    number: u64,
    is_closed: bool,
    /// tukit takes the same lock by itself, each time.
    locked: Option<Locked>,
}

/// Whether a snapshot's description says that it is being made here.
pub(super) fn is_described_as_begun(snapshot: &Snapshot) -> bool {
    snapshot.description.starts_with(DESCRIPTION)
}

impl<'a> Transaction<'a> {
    /// Makes a snapshot of the one that is booted next.
    pub(super) fn open(
        snapshots: &'a Snapshots,
        from: u64,
        locked: Option<Locked>,
    ) -> Result<Transaction<'a>, Error> {
        let description = format!("{DESCRIPTION}{from}");
        let noted_from = from.to_string();
        let notes = [(IN_PROGRESS, "yes"), BEGUN, (FROM, &*noted_from)];
        let began = |number, locked| Transaction { snapshots, from, number, is_closed: false, locked };
        let Some(tukit) = snapshots.tukit() else {
            let new = New { from, cleanup: BY_NUMBER, description: &description, userdata: &notes };
            return Ok(began(snapshots.tool().create(&new)?, locked));
        };
        drop(locked);
        let mut begun = began(tukit.open(from, &description)?, None);
        begun.locked = Some(Locked::take()?);
        // Older versions have no rule for deleting what they made.
        snapshots.tool().note_with_cleanup(begun.number, BY_NUMBER, &notes)?;
        // Somebody may have come first, when nobody had the lock.
        snapshots.expect_next(from)?;
        Ok(begun)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Makes it the one that is booted next, with a description of what is in it by now. What there is to say of it is returned.
    ///
    /// tukit takes its own mark away first and syncs nothing at last. So there is a mark of ours, which goes when all is on the disk.
    pub(super) fn close(mut self, description: &str) -> Result<Vec<String>, Error> {
        let (tool, place) = (self.snapshots.tool(), self.snapshots.place(self.number));
        tool.describe(self.number, description)?;
        let mut complaint = None;
        if let Some(tukit) = self.snapshots.tukit() {
            // Whoever keeps to no lock may have changed that.
            self.snapshots.expect_next(self.from)?;
            drop(self.locked.take());
            complaint = tukit.close(self.number).err();
            if let Err(moved) = self.snapshots.expect_next(self.number) {
                return Err(complaint.map_or(moved, Error::from));
            }
        } else {
            tool.set_read_only(self.number, &place)?;
            self.snapshots.expect_next(self.from)?;
            tool.set_default(self.number, &place)?;
        }
        self.is_closed = true;
        self.snapshots.finish(self.number)?;
        let complaint = complaint.map(|error| format!("it was done, but {error}"));
        // All is done, so what cannot be said of others is no failure.
        let others = self.snapshots.begun_by_others().unwrap_or_default();
        let open = others.into_iter().map(|other| {
            format!("snapshot {other} is a transaction that somebody has open: once closed, it is booted next, without this")
        });
        Ok(complaint.into_iter().chain(open).collect())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        // The first error is the one to tell. What resists is cleared by the next one, by its marks.
        let is_given_up = self.snapshots.tukit().is_some_and(|tukit| {
            drop(self.locked.take());
            tukit.abort(self.number).is_ok()
        });
        if !is_given_up {
            let _ = self.snapshots.tool().delete(self.number);
        }
    }
}
