//! Schema versions of a batch, one line each.

/// Version 1, 2026-11: events of three lanes, hash chain, room for a signature.
pub const V1: u32 = 1;

/// What this build writes.
pub const CURRENT: u32 = V1;

/// What this build reads: from the first up to the current.
#[must_use]
pub fn is_readable(version: u32) -> bool {
    (V1..=CURRENT).contains(&version)
}
