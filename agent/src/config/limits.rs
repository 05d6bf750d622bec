//! What the agent may take of its host.

use vonggac_daemon::settings::Table;

use crate::governor::Ceilings;

/// Half of a core: an old server of two cores keeps three quarters of its time, whatever floods.
const CPU_PERCENT_MAX: u64 = 50;

/// Several times what a busy agent takes, and little even for a host with two gigabytes.
const MEMORY_BYTES_MAX: u64 = 192 << 20;

/// Half of what the kernel gives a process at first.
const OPEN_FILES_MAX: u64 = 512;

/// The least: with less the agent would hardly read at all.
const MEMORY_BYTES_LEAST: u64 = 16 << 20;

/// Its own files, sockets and threads, and some logs.
const OPEN_FILES_LEAST: u64 = 64;

/// Reads `[limits]`.
pub(super) fn ceilings(table: &mut Table<'_>) -> Ceilings {
    Ceilings {
        cpu_percent_max: table.integer("cpu_percent_max", 1, 100_000).unwrap_or(CPU_PERCENT_MAX),
        memory_bytes_max: table
            .bytes("memory_bytes_max", MEMORY_BYTES_LEAST, 1 << 42)
            .unwrap_or(MEMORY_BYTES_MAX),
        open_files_max: table
            .integer("open_files_max", OPEN_FILES_LEAST, 1_000_000)
            .unwrap_or(OPEN_FILES_MAX),
    }
}
