//! What an upper directory says differs from the directory it covers.
use crate::sys::{FileKind, IoError, Root};
use serde::Serialize;
use std::path::{Path, PathBuf};
pub struct Layer<'a> {
    pub upper: &'a Root,
    pub lower: &'a Root,
    pub mount_point: &'a Path,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ChangeKind {
    Added,
    Changed,
    Metadata,
    Removed,
    Renamed,
}
#[derive(Debug)]
pub struct Change {
    pub path: PathBuf,
    pub kind: ChangeKind,
    pub file: FileKind,
    pub size: u64,
    pub from: Option<PathBuf>,
}
#[derive(Debug, Default)]
pub struct Measure {
    pub entries: u64,
    pub bytes: u64,
}
pub fn read_changes(_: &Layer<'_>) -> Result<Vec<Change>, IoError> {
    Ok(vec![])
}
pub fn measure(_: &Root) -> Result<Measure, IoError> {
    Ok(Measure::default())
}
