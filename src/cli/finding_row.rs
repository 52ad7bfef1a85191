//! A finding, as `--json` shows it.

use serde::Serialize;

use crate::extension::finding::{Finding, Weight};

/// One finding.
#[derive(Debug, Serialize)]
pub(super) struct FindingRow {
    weight: Weight,
    kind: &'static str,
    path: String,
    text: String,
}

impl FindingRow {
    /// What is shown of a finding.
    pub(super) fn of(finding: &Finding) -> FindingRow {
        FindingRow {
            weight: finding.weight,
            kind: finding.kind(),
            path: finding.path.display().to_string(),
            text: finding.to_string(),
        }
    }
}
