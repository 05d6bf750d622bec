//! Names on Kafka: topics, keys and headers. Nowhere else in the project do these strings stand.
//!
//! | topic | key | partitions | holds |
//! |---|---|---|---|
//! | security, uptime, usage | agency | N, the same for all three | [`crate::Batch`]es in CloudEvents' binary mode |
//! | signals | group | 1 | [`crate::proto::Signal`] |
//! | commands | incident | 1 | [`crate::proto::Command`] |
//! | incidents | incident | 1, compacted | [`crate::proto::Incident`] |
//! | dead | origin | 1 | rejected bytes as they were, with the reason in the headers |

use crate::id::Lane;

/// Batches of security events.
pub const SECURITY: &str = "vonggac.security.v1";
/// Batches of uptime events.
pub const UPTIME: &str = "vonggac.uptime.v1";
/// Batches of usage events.
pub const USAGE: &str = "vonggac.usage.v1";
/// What detection found.
pub const SIGNALS: &str = "vonggac.signals.v1";
/// What operators ask of the incident book.
pub const COMMANDS: &str = "vonggac.commands.v1";
/// The newest state of each incident.
pub const INCIDENTS: &str = "vonggac.incidents.v1";
/// What could not be taken, with its reason.
pub const DEAD: &str = "vonggac.dead.v1";

/// The three topics of events.
pub const EVENTS: [&str; 3] = [SECURITY, UPTIME, USAGE];

/// The topic of a lane.
#[must_use]
pub const fn of_lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Security => SECURITY,
        Lane::Uptime => UPTIME,
        Lane::Usage => USAGE,
    }
}

/// The lane of a topic of events; `None` for the others.
#[must_use]
pub fn lane_of(topic: &str) -> Option<Lane> {
    Lane::ALL.into_iter().find(|lane| of_lane(*lane) == topic)
}

/// Header names: CloudEvents 1.0 Kafka binding, binary content mode.
pub mod header {
    /// `content-type`.
    pub const CONTENT_TYPE: &str = "content-type";
    /// `ce_specversion`, always "1.0".
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// `ce_type`, e.g. "vn.vonggac.batch.security.v1".
    pub const TYPE: &str = "ce_type";
    /// `ce_source`, e.g. "/agency/H49/agent/web-2-5f1c".
    pub const SOURCE: &str = "ce_source";
    /// `ce_id`: agent, lane and sequence range.
    pub const ID: &str = "ce_id";
    /// `ce_time`: when the batch was sealed.
    pub const TIME: &str = "ce_time";

    /// Why a record is dead: a short kebab-case word.
    pub const DEAD_REASON: &str = "vonggac_dead_reason";
    /// The same as a sentence fragment.
    pub const DEAD_DETAIL: &str = "vonggac_dead_detail";
    /// Topic of origin of a dead record.
    pub const DEAD_TOPIC: &str = "vonggac_dead_topic";
    /// Partition of origin of a dead record.
    pub const DEAD_PARTITION: &str = "vonggac_dead_partition";
    /// Offset of origin of a dead record.
    pub const DEAD_OFFSET: &str = "vonggac_dead_offset";
    /// Whole length in bytes, if the value had to be cut.
    pub const DEAD_BYTES: &str = "vonggac_dead_bytes";
    /// On a collector's test event, which has no batch: who sent it, and when.
    pub const CANARY: &str = "vonggac_canary";
    /// On a dead record that is sent to its place again: the offset where it was rejected.
    pub const REPLAY_OF: &str = "vonggac_replay_of";
    /// The certificate whose key sealed the batch, and those that issued it: DER, one behind the other. Not on every record.
    pub const CERTIFICATE: &str = "vonggac_certificate";
    /// On a record that came by hand in a sealed file, which may be brought in again.
    pub const CARRIED: &str = "vonggac_carried";
}

/// Value of the content-type header.
pub const CONTENT_TYPE_PROTOBUF: &str = "application/protobuf";

/// `ce_type` of a batch of this lane.
#[must_use]
pub fn event_type(lane: Lane) -> String {
    format!("vn.vonggac.batch.{}.v1", lane.name())
}
