//! What can be wrong with a text that describes packages.

/// A text that does not say what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A version that dpkg would not take.
    #[error("version '{text}' {problem}")]
    Version {
        /// The version.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A relation between packages that makes no sense.
    #[error("relation '{text}' {problem}")]
    Relation {
        /// The relation.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A line of a file that makes no sense.
    #[error("line {line} {problem}")]
    Line {
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}
