//! Things that go wrong: refusals, full disks, kills and power cuts at every moment, damaged and
//! hostile state, a kernel that says no. The state is always the old one or the new one, and the
//! next command works.

mod crashes;
mod disks;
mod following;
mod hostile;
mod kernel_says_no;
mod kills;
mod races;
mod records;
mod refusals;
mod removals;
