//! An event on its way to the table. What it says stays in its record until it is written: a block of rows is some bytes for each.

use std::{borrow::Cow, sync::Arc};

use clickhouse::Row;
use serde::Serialize;
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Check, CheckOutcome, Outcome, TimeDoubt},
};

use super::check_kind;
use crate::{record::Record, store::month::Times, tenure::Key};

/// One event of a record, to be written.
#[derive(Clone, Debug)]
pub struct NewRow {
    record: Arc<Record>,
    index: u32,
    times: Times,
}

impl NewRow {
    /// Of the event at this place of the record; `stored` is now.
    #[must_use]
    pub fn new(record: &Arc<Record>, index: usize, event: &Event, stored: Time) -> Self {
        Self {
            record: Arc::clone(record),
            index: u32::try_from(index).unwrap_or(u32::MAX),
            times: Times { time: event.time().micros(), stored: stored.micros() },
        }
    }

    /// Its times.
    #[must_use]
    pub const fn times(&self) -> Times {
        self.times
    }

    /// Its topic and partition.
    #[must_use]
    pub fn key(&self) -> Key {
        (self.record.origin.topic.clone(), self.record.origin.partition)
    }

    /// The offset of its record, and its place there.
    #[must_use]
    pub fn place(&self) -> (i64, u32) {
        (self.record.origin.offset, self.index)
    }

    /// When its agent read it.
    #[must_use]
    pub fn observed(&self) -> Option<Time> {
        self.event().map(Event::observed)
    }

    fn event(&self) -> Option<&Event> {
        self.record.batch.events.get(self.index as usize)
    }

    /// What is written of it. `None`: its record has no such event.
    #[must_use]
    pub fn columns(&self) -> Option<Columns<'_>> {
        Some(Columns::of(&self.record, self.index, self.event()?, self.times.stored))
    }
}

/// A row of the table `events` as it is written: the columns of [`EventRow`](super::EventRow) in its order, from where they are.
#[derive(Debug, Default, Row, Serialize)]
pub struct Columns<'a> {
    pub(super) agency: &'a str,
    pub(super) class: &'a str,
    pub(super) time: i64,
    pub(super) observed: i64,
    pub(super) stored: i64,
    pub(super) host: &'a str,
    pub(super) system: &'a str,
    pub(super) agent: &'a str,
    pub(super) lane: &'a str,
    pub(super) seq: u64,
    pub(super) class_uid: u32,
    pub(super) activity_id: u32,
    pub(super) status: &'a str,
    pub(super) status_detail: &'a str,
    pub(super) severity_id: u8,
    pub(super) user: &'a str,
    pub(super) actor_user: &'a str,
    pub(super) src_ip: String,
    pub(super) src_port: u16,
    pub(super) service: &'a str,
    pub(super) process: &'a str,
    pub(super) pid: u32,
    pub(super) command: &'a str,
    pub(super) http_method: &'a str,
    pub(super) url: &'a str,
    pub(super) http_status: u16,
    pub(super) user_agent: &'a str,
    pub(super) response_bytes: u64,
    pub(super) check_name: &'a str,
    pub(super) check_target: &'a str,
    pub(super) total_seconds: f64,
    pub(super) usage_service: &'a str,
    pub(super) step: &'a str,
    pub(super) online: Option<bool>,
    pub(super) full_process: Option<bool>,
    pub(super) digitised: Option<bool>,
    pub(super) on_time: Option<bool>,
    pub(super) electronic: Option<bool>,
    pub(super) count: u64,
    pub(super) score: u8,
    pub(super) message: &'a str,
    #[serde(with = "serde_bytes")]
    pub(super) raw: &'a [u8],
    pub(super) raw_cut_bytes: u64,
    pub(super) source: &'a str,
    pub(super) source_offset: u64,
    pub(super) format: &'a str,
    pub(super) time_doubt: &'a str,
    pub(super) simulated: bool,
    pub(super) fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(super) kafka_topic: &'a str,
    pub(super) kafka_partition: i32,
    pub(super) kafka_offset: i64,
    pub(super) kafka_index: u32,
}

impl<'a> Columns<'a> {
    /// Those of one event of a record.
    pub(crate) fn of(record: &'a Record, index: u32, event: &'a Event, stored: i64) -> Self {
        let batch = &record.batch;
        let host = if event.device().is_empty() { batch.host.as_str() } else { event.device() };
        let mut row = Self {
            agency: batch.agency.as_str(),
            class: event.class_name(),
            time: event.time().micros(),
            observed: event.observed().micros(),
            stored,
            host,
            system: event.system(),
            agent: batch.agent.as_str(),
            lane: batch.lane.name(),
            seq: record.seq(index as usize),
            raw: event.raw(),
            raw_cut_bytes: event.raw_cut_bytes(),
            source: event.source(),
            source_offset: event.source_offset(),
            format: event.format(),
            time_doubt: doubt(event.time_doubt()),
            simulated: batch.simulated,
            count: 1,
            kafka_topic: &record.origin.topic,
            kafka_partition: record.origin.partition,
            kafka_offset: record.origin.offset,
            kafka_index: index,
            ..Self::default()
        };
        if host != batch.host {
            row.field("agent_host", batch.host.as_str());
        }
        row.body(event.body());
        row
    }

    fn field(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let value = value.into();
        if !value.is_empty() {
            self.fields.push((name.into(), value));
        }
    }

    fn figure(&mut self, name: impl Into<Cow<'a, str>>, value: impl ToString) {
        self.field(name, value.to_string());
    }

    fn body(&mut self, body: &'a Body) {
        match body {
            Body::Activity(activity) => self.activity(activity),
            Body::Check(check) => self.check(check),
            Body::Heartbeat(beat) => {
                self.field("agent.version", &beat.agent_version);
                self.figure("agent.rss_bytes", beat.agent_rss_bytes);
                self.figure("agent.cpu_seconds", beat.agent_cpu_seconds);
                self.field("os", &beat.os);
                if beat.log_bytes_lost > 0 {
                    self.figure("agent.log_bytes_lost", beat.log_bytes_lost);
                }
                for slowed in &beat.slowed {
                    let name = |figure: &str| format!("agent.slowed.{}.{figure}", slowed.ceiling);
                    self.figure(name("seconds"), slowed.seconds);
                    self.figure(name("episodes"), slowed.episodes);
                    self.figure(name("lasts"), slowed.lasts);
                }
                for lane in &beat.lanes {
                    let name = vonggac_wire::Lane::try_from(lane.lane)
                        .map_or("unknown", vonggac_wire::Lane::name);
                    self.figure(format!("lane.{name}.next_seq"), lane.next_seq);
                    self.figure(format!("lane.{name}.dropped"), lane.dropped);
                }
            }
            Body::HostFigures(figures) => {
                self.figure("system.cpu.utilization", figures.cpu_utilization);
                self.figure("system.memory.usage", figures.memory_used_bytes);
                self.figure("system.memory.limit", figures.memory_limit_bytes);
                self.figure("system.load_average.1m", figures.load_1m);
                for disk in &figures.filesystems {
                    self.figure(
                        format!("system.filesystem.usage:{}", disk.mountpoint),
                        disk.used_bytes,
                    );
                    self.figure(
                        format!("system.filesystem.limit:{}", disk.mountpoint),
                        disk.limit_bytes,
                    );
                }
            }
            Body::Gap(gap) => {
                self.figure("first_seq", gap.first_seq);
                self.figure("last_seq", gap.last_seq);
                self.field("reason", gap.reason().as_str_name());
                for (name, number) in [("events", gap.events), ("bytes", gap.bytes)] {
                    if number > 0 {
                        self.figure(name, number);
                    }
                }
                for (name, time) in [
                    ("first_observed", gap.first_observed_unix_nano),
                    ("last_observed", gap.last_observed_unix_nano),
                ] {
                    if time > 0 {
                        self.figure(name, Time(time));
                    }
                }
            }
            usage => self.usage(usage),
        }
    }

    fn activity(&mut self, activity: &'a Activity) {
        self.class_uid = activity.class_uid;
        self.activity_id = activity.activity_id;
        self.status = activity.status().name();
        self.status_detail = &activity.status_detail;
        self.severity_id = u8::try_from(activity.severity_id).unwrap_or(u8::MAX);
        self.user = &activity.user_name;
        self.actor_user = &activity.actor_user_name;
        self.src_ip = activity.source_address().map(|a| a.to_string()).unwrap_or_default();
        self.src_port = u16::try_from(activity.src_port).unwrap_or(0);
        self.service = &activity.service_name;
        self.process = &activity.process_name;
        self.pid = activity.process_pid;
        self.command = &activity.process_cmd_line;
        self.message = &activity.message;
        if let Some(http) = &activity.http {
            self.http_method = &http.http_method;
            self.url = &http.url;
            self.http_status = u16::try_from(http.status_code).unwrap_or(0);
            self.user_agent = &http.user_agent;
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
            self.field(["unmapped.", name].concat(), value);
        }
    }

    fn check(&mut self, check: &'a Check) {
        self.status = match check.outcome() {
            CheckOutcome::Up => "up",
            CheckOutcome::Degraded => "degraded",
            CheckOutcome::Down => "down",
            CheckOutcome::Unspecified => "unknown",
        };
        self.check_name = &check.name;
        self.check_target = &check.target;
        self.total_seconds = check.total_seconds;
        self.message = &check.detail;
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
                self.figure(name, seconds);
            }
        }
        if let Some(end) = check.certificate_not_after_unix_nano {
            self.figure("tls.server.not_after", Time(end));
        }
    }

    fn usage(&mut self, body: &'a Body) {
        let outcome = |outcome: Outcome| match outcome {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Unspecified => "unknown",
        };
        match body {
            Body::Session(session) => {
                self.usage_service = &session.service;
                self.step = &session.step;
                self.status = outcome(session.outcome());
                self.user = &session.user_pseudonym;
            }
            Body::Dossier(dossier) => {
                self.usage_service = &dossier.service;
                self.step = &dossier.step;
                self.online = dossier.online;
                self.full_process = dossier.full_process;
                self.digitised = dossier.digitised;
                self.on_time = dossier.on_time;
                self.field("dossier", &dossier.dossier);
                if let Some(due) = dossier.due_unix_nano {
                    self.figure("due", Time(due));
                }
            }
            Body::Document(document) => {
                self.step = &document.direction;
                self.electronic = document.electronic;
                self.count = document.count;
                self.figure("level", document.level);
                self.field("counterpart", &document.counterpart);
            }
            Body::Payment(payment) => {
                self.usage_service = &payment.service;
                self.online = payment.online;
                self.status = outcome(payment.outcome());
                self.figure("amount_vnd", payment.amount_vnd);
            }
            Body::Rating(rating) => {
                self.usage_service = &rating.service;
                self.score = u8::try_from(rating.score).unwrap_or(0);
            }
            Body::Exchange(exchange) => {
                self.usage_service = &exchange.service_code;
                self.status = if exchange.succeeded { "success" } else { "failure" };
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
