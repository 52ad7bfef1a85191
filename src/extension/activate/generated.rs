//! What is merged besides the images, and is made of them: the one place where that is asked for.

use super::Error;
use super::record::{Active, Generated};
use crate::host::Host;

/// Makes what belongs to a set of extensions that fit, before they are merged. `base` is seen without any extension; `None`
/// where nothing is needed. It is merged by its own name, and comes and goes with the set.
#[allow(clippy::unnecessary_wraps, reason = "what is made may fail")]
pub(super) fn make(base: &Host, fit: &[Active]) -> Result<Option<Generated>, Error> {
    let _ = (base, fit);
    Ok(None)
}
