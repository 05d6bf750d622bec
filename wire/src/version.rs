//! Schema versions of a batch, one line each.

/// Version 1, 2026-11: events of three lanes, hash chain, room for a signature.
pub const V1: u32 = 1;

/// Version 2, 2026-11: a batch may go ahead of its lane. Only such a batch is written as this version: to a program that does not know
/// them it would say that everything before it is lost, so that one refuses it and takes all others as ever.
pub const V2: u32 = 2;

/// The newest that this build writes.
pub const CURRENT: u32 = V2;

/// The version of a batch: the oldest that can say it.
#[must_use]
pub const fn of(ahead: bool) -> u32 {
    if ahead { V2 } else { V1 }
}

/// What this build reads: from the first up to the current.
#[must_use]
pub fn is_readable(version: u32) -> bool {
    (V1..=CURRENT).contains(&version)
}
