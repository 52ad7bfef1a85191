//! How much memory there is.

use super::{Context, IoError};

/// What can be had without swapping, in bytes (`MemAvailable` of proc_meminfo(5)).
pub fn available_memory() -> Result<u64, IoError> {
    let text = std::fs::read_to_string("/proc/meminfo").context("read", "/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kibibytes.unwrap_or_default() << 10)
}
