//! What one question may read, told to the engine with each of its statements.

use super::Read;
use crate::{allowance::Allowance, store::Store};

/// Rows and bytes that a statement may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    rows: u64,
    bytes: u64,
}

impl Default for Ceiling {
    fn default() -> Self {
        Self { rows: u64::MAX, bytes: u64::MAX }
    }
}

impl Store {
    /// The same store for a caller with these limits: what would read more is stopped by the engine.
    #[must_use]
    pub fn within(mut self, allowance: &Allowance) -> Self {
        self.ceiling = Ceiling { rows: allowance.rows_read_max, bytes: allowance.bytes_read_max };
        self.with_setting("max_rows_to_read", &allowance.rows_read_max.to_string())
            .with_setting("max_bytes_to_read", &allowance.bytes_read_max.to_string())
            .with_setting("max_execution_time", &allowance.time_max.as_secs().to_string())
    }

    /// Whether a statement ended because it had read all that it may.
    pub(super) const fn is_at_ceiling(&self, read: &Read) -> bool {
        read.rows >= self.ceiling.rows || read.bytes >= self.ceiling.bytes
    }
}
