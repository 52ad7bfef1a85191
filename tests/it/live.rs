//! The host unlocked and locked, where it is one that the test made for itself: [`crate::alone`]. What real services see of it is
//! tested on a machine that boots.

use crate::alone;

#[test]
fn what_is_unlocked_read_only_is_written_in_a_private_namespace() {
    alone::check("trixie", "live/shell.sh", |_, _| {});
}
