//! The numbers that both sides of Kafka agree on. Each has its unit last in its name and its reason.

use std::time::Duration;

/// Bytes of a raw line that are kept. Longer ones are cut and the cut is counted: a request line, an audit record or a stack
/// trace's first part fits; a megabyte of garbage does not fill a disk.
pub const RAW_BYTES_MAX: usize = 64 * 1024;

/// Bytes of one encoded event: a raw line and as much again for its fields.
pub const EVENT_BYTES_MAX: usize = 192 * 1024;

/// Bytes of a text field other than the raw line, e.g. a user agent. Longer ones are cut at a character.
pub const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Fields that OCSF has no place for, in one event.
pub const UNMAPPED_FIELDS_MAX: usize = 128;

/// Events in one batch, i.e. in one Kafka record: large enough that overhead vanishes, small enough to be skipped as a whole.
pub const BATCH_EVENTS_MAX: usize = 1_000;

/// Ranges of numbers, each ahead of what its lane holds without a hole, that the centre remembers of an agent: what a lane costs there is
/// bounded. An agent opens one when what it sends ahead is itself behind, at most once a minute, and keeps to half of them.
pub const AHEAD_RANGES_MAX: usize = 64;

/// Bytes of one encoded batch. With zstd it is far below the broker's limit, and uncompressed it still fits in it.
pub const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// `message.max.bytes` of the brokers and `message.max.bytes` of producers: a batch, its signature and headers.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How far in the future an event may lie before it is taken for a wrong clock.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10 * 60);

/// Heartbeats that may be missing before an agent is called silent.
pub const HEARTBEATS_MISSED_MAX: u32 = 3;

/// Events of an incident that are named in it as evidence; all others are found by search.
pub const EVIDENCE_EVENTS_MAX: usize = 20;

/// Characters of an agent's, host's, system's or rule's name.
pub const NAME_CHARACTERS_MAX: usize = 128;

/// Characters of an operator's note.
pub const NOTE_CHARACTERS_MAX: usize = 4_000;

/// Reports by law that an incident keeps: several duties, each with its first, its following and its last report.
pub const REPORTS_MAX: usize = 64;

/// Rows of one page of an event search.
pub const SEARCH_ROWS_MAX: u32 = 100_000;

/// Bytes of one gRPC message either way.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
