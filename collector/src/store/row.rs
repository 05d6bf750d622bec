//! An event as a row.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Check, CheckKind, CheckOutcome, Outcome, TimeDoubt},
};

use crate::record::Record;

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

impl EventRow {
    /// The row of one event of a record.
    #[must_use]
    pub fn new(record: &Record, index: usize, event: &Event, stored: Time) -> Self {
        let batch = &record.batch;
        let host = if event.device().is_empty() { &batch.host } else { event.device() };
        let mut row = Self {
            agency: batch.agency.as_str().into(),
            class: event.class_name().into(),
            time: event.time().micros(),
            observed: event.observed().micros(),
            stored: stored.micros(),
            host: host.into(),
            system: event.system().into(),
            agent: batch.agent.as_str().into(),
            lane: batch.lane.name().into(),
            seq: batch.first_seq + index as u64,
            raw: event.raw().to_vec(),
            raw_cut_bytes: event.raw_cut_bytes(),
            source: event.source().into(),
            source_offset: event.source_offset(),
            format: event.format().into(),
            time_doubt: doubt(event.time_doubt()).into(),
            simulated: batch.simulated,
            count: 1,
            kafka_topic: record.origin.topic.clone(),
            kafka_partition: record.origin.partition,
            kafka_offset: record.origin.offset,
            kafka_index: u32::try_from(index).unwrap_or(u32::MAX),
            ..Self::default()
        };
        if host != batch.host {
            row.field("agent_host", &batch.host);
        }
        row.body(event.body());
        row
    }

    fn field(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        if !value.is_empty() {
            self.fields.push((name.into(), value));
        }
    }

    fn body(&mut self, body: &Body) {
        match body {
            Body::Activity(activity) => self.activity(activity),
            Body::Check(check) => self.check(check),
            Body::Heartbeat(beat) => {
                self.field("agent.version", &beat.agent_version);
                self.field("agent.rss_bytes", beat.agent_rss_bytes);
                self.field("agent.cpu_seconds", beat.agent_cpu_seconds);
                self.field("os", &beat.os);
                if beat.log_bytes_lost > 0 {
                    self.field("agent.log_bytes_lost", beat.log_bytes_lost);
                }
                for slowed in &beat.slowed {
                    let name = |figure: &str| format!("agent.slowed.{}.{figure}", slowed.ceiling);
                    self.field(&name("seconds"), slowed.seconds);
                    self.field(&name("episodes"), slowed.episodes);
                    self.field(&name("lasts"), slowed.lasts);
                }
                for lane in &beat.lanes {
                    let name = vonggac_wire::Lane::try_from(lane.lane)
                        .map_or("unknown", vonggac_wire::Lane::name);
                    self.field(&format!("lane.{name}.next_seq"), lane.next_seq);
                    self.field(&format!("lane.{name}.dropped"), lane.dropped);
                }
            }
            Body::HostFigures(figures) => {
                self.field("system.cpu.utilization", figures.cpu_utilization);
                self.field("system.memory.usage", figures.memory_used_bytes);
                self.field("system.memory.limit", figures.memory_limit_bytes);
                self.field("system.load_average.1m", figures.load_1m);
                for disk in &figures.filesystems {
                    self.field(
                        &format!("system.filesystem.usage:{}", disk.mountpoint),
                        disk.used_bytes,
                    );
                    self.field(
                        &format!("system.filesystem.limit:{}", disk.mountpoint),
                        disk.limit_bytes,
                    );
                }
            }
            Body::Gap(gap) => {
                self.field("first_seq", gap.first_seq);
                self.field("last_seq", gap.last_seq);
                self.field("reason", gap.reason().as_str_name());
                for (name, number) in [("events", gap.events), ("bytes", gap.bytes)] {
                    if number > 0 {
                        self.field(name, number);
                    }
                }
                for (name, time) in [
                    ("first_observed", gap.first_observed_unix_nano),
                    ("last_observed", gap.last_observed_unix_nano),
                ] {
                    if time > 0 {
                        self.field(name, Time(time));
                    }
                }
            }
            usage => self.usage(usage),
        }
    }

    fn activity(&mut self, activity: &Activity) {
        self.class_uid = activity.class_uid;
        self.activity_id = activity.activity_id;
        self.status = activity.status().name().into();
        self.status_detail.clone_from(&activity.status_detail);
        self.severity_id = u8::try_from(activity.severity_id).unwrap_or(u8::MAX);
        self.user.clone_from(&activity.user_name);
        self.actor_user.clone_from(&activity.actor_user_name);
        self.src_ip = activity.source_address().map(|a| a.to_string()).unwrap_or_default();
        self.src_port = u16::try_from(activity.src_port).unwrap_or(0);
        self.service.clone_from(&activity.service_name);
        self.process.clone_from(&activity.process_name);
        self.pid = activity.process_pid;
        self.command.clone_from(&activity.process_cmd_line);
        self.message.clone_from(&activity.message);
        if let Some(http) = &activity.http {
            self.http_method.clone_from(&http.http_method);
            self.url.clone_from(&http.url);
            self.http_status = u16::try_from(http.status_code).unwrap_or(0);
            self.user_agent.clone_from(&http.user_agent);
            self.response_bytes = http.response_bytes;
            self.field("http_request.referrer", &http.referrer);
            self.field("http_request.version", &http.version);
            self.field("http_request.hostname", &http.hostname);
        }
        self.field("auth_protocol", &activity.auth_protocol);
        self.field(
            "dst_endpoint.ip",
            activity.destination_address().map(|a| a.to_string()).unwrap_or_default(),
        );
        self.field("file.path", &activity.file_path);
        self.field("session.terminal", &activity.session_terminal);
        self.field("group.name", &activity.group_name);
        for (name, value) in &activity.unmapped {
            self.field(&format!("unmapped.{name}"), value);
        }
    }

    fn check(&mut self, check: &Check) {
        self.status = match check.outcome() {
            CheckOutcome::Up => "up",
            CheckOutcome::Degraded => "degraded",
            CheckOutcome::Down => "down",
            CheckOutcome::Unspecified => "unknown",
        }
        .into();
        self.check_name.clone_from(&check.name);
        self.check_target.clone_from(&check.target);
        self.total_seconds = check.total_seconds;
        self.message.clone_from(&check.detail);
        self.http_status =
            check.http_status_code.and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        self.field("check.kind", check_kind(check.kind()));
        for (name, seconds) in [
            ("dns.seconds", check.dns_seconds),
            ("connect.seconds", check.connect_seconds),
            ("tls.seconds", check.tls_seconds),
            ("first_byte.seconds", check.first_byte_seconds),
        ] {
            if let Some(seconds) = seconds {
                self.field(name, seconds);
            }
        }
        if let Some(end) = check.certificate_not_after_unix_nano {
            self.field("tls.server.not_after", Time(end));
        }
    }

    fn usage(&mut self, body: &Body) {
        let outcome = |outcome: Outcome| match outcome {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Unspecified => "unknown",
        };
        match body {
            Body::Session(session) => {
                self.usage_service.clone_from(&session.service);
                self.step.clone_from(&session.step);
                self.status = outcome(session.outcome()).into();
                self.user.clone_from(&session.user_pseudonym);
            }
            Body::Dossier(dossier) => {
                self.usage_service.clone_from(&dossier.service);
                self.step.clone_from(&dossier.step);
                self.online = dossier.online;
                self.full_process = dossier.full_process;
                self.digitised = dossier.digitised;
                self.on_time = dossier.on_time;
                self.field("dossier", &dossier.dossier);
                if let Some(due) = dossier.due_unix_nano {
                    self.field("due", Time(due));
                }
            }
            Body::Document(document) => {
                self.step.clone_from(&document.direction);
                self.electronic = document.electronic;
                self.count = document.count;
                self.field("level", document.level);
                self.field("counterpart", &document.counterpart);
            }
            Body::Payment(payment) => {
                self.usage_service.clone_from(&payment.service);
                self.online = payment.online;
                self.status = outcome(payment.outcome()).into();
                self.field("amount_vnd", payment.amount_vnd);
            }
            Body::Rating(rating) => {
                self.usage_service.clone_from(&rating.service);
                self.score = u8::try_from(rating.score).unwrap_or(0);
            }
            Body::Exchange(exchange) => {
                self.usage_service.clone_from(&exchange.service_code);
                self.status = if exchange.succeeded { "success" } else { "failure" }.into();
                self.field("client_member", &exchange.client_member);
                self.field("service_member", &exchange.service_member);
                self.field("fault_code", &exchange.fault_code);
                self.field("message_id", &exchange.message_id);
            }
            _ => {}
        }
    }
}

/// "none", "year", "zone", "observed".
const fn doubt(doubt: TimeDoubt) -> &'static str {
    match doubt {
        TimeDoubt::None => "none",
        TimeDoubt::Year => "year",
        TimeDoubt::Zone => "zone",
        TimeDoubt::Observed => "observed",
    }
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
