//! An event as a row: as it is read, and [as it is written](NewRow).

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::event::CheckKind;

mod leaf;
mod new;
mod owned;

pub use leaf::{Leaves, found};
pub use new::{Columns, NewRow};

mod shown;

/// A row of the table `events`; see migrations 1 and 6. Times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Row, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns are those of the migrations, in their words")]
pub struct EventRow {
    pub agency: String,
    pub class: String,
    pub time: i64,
    pub observed: i64,
    pub stored: i64,
    pub host: String,
    pub system: String,
    pub agent: String,
    pub lane: String,
    pub seq: u64,
    pub class_uid: u32,
    pub activity_id: u32,
    pub status: String,
    pub status_detail: String,
    pub severity_id: u8,
    pub user: String,
    pub actor_user: String,
    pub src_ip: String,
    pub src_port: u16,
    pub service: String,
    pub process: String,
    pub pid: u32,
    pub command: String,
    pub http_method: String,
    pub url: String,
    pub http_status: u16,
    pub user_agent: String,
    pub response_bytes: u64,
    pub check_name: String,
    pub check_target: String,
    pub total_seconds: f64,
    pub usage_service: String,
    pub step: String,
    pub online: Option<bool>,
    pub full_process: Option<bool>,
    pub digitised: Option<bool>,
    pub on_time: Option<bool>,
    pub electronic: Option<bool>,
    pub count: u64,
    pub score: u8,
    pub message: String,
    #[serde(with = "serde_bytes")]
    pub raw: Vec<u8>,
    pub raw_cut_bytes: u64,
    pub source: String,
    pub source_offset: u64,
    pub format: String,
    pub time_doubt: String,
    pub simulated: bool,
    pub fields: Vec<(String, String)>,
    pub kafka_topic: String,
    pub kafka_partition: i32,
    pub kafka_offset: i64,
    pub kafka_index: u32,
}

/// "http", "tcp", "tls", "dns", "unit", "process", "step", "udp", "icmp" and so on.
#[must_use]
pub const fn check_kind(kind: CheckKind) -> &'static str {
    match kind {
        CheckKind::Unspecified => "unknown",
        CheckKind::Http => "http",
        CheckKind::Tcp => "tcp",
        CheckKind::Tls => "tls",
        CheckKind::Dns => "dns",
        CheckKind::Unit => "unit",
        CheckKind::Process => "process",
        CheckKind::Step => "step",
        CheckKind::Udp => "udp",
        CheckKind::Icmp => "icmp",
        CheckKind::Smtp => "smtp",
        CheckKind::Postgresql => "postgresql",
        CheckKind::Mysql => "mysql",
        CheckKind::Redis => "redis",
        CheckKind::File => "file",
        CheckKind::Command => "command",
    }
}
