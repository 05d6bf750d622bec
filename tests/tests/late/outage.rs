//! The spool of a server that was cut off for days, as its agent would have left it: written by the agent's own code at times that are past.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context;
use vonggac_agent::{config::Fsync, intake::Entry, spool::Spool};
use vonggac_wire::{
    Event, Lane, Time,
    event::{
        Activity, Body, Check, CheckKind, CheckOutcome, Class, Dossier, Heartbeat, HttpRequest,
        Status,
    },
};

/// From reading to reading of the log.
const STEP: Duration = Duration::from_secs(15);

/// Between heartbeats: a carried agent is silent again after 2.75 of them, which is longer than the story.
const HEARTBEAT: Duration = Duration::from_secs(120);

/// How long after its own time a line was read.
const READ_AFTER: Duration = Duration::from_millis(1_500);

/// Bytes that the spool may have.
const SPOOL_BYTES_MAX: u64 = 1 << 30;

/// Events that are appended together.
const CHUNK: usize = 2_000;

/// What was written: enough to find out whether each event stands in the store at its own times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// How many events.
    pub events: u64,
    /// The sum of their own times, microseconds.
    pub time: i128,
    /// The sum of the times when they were read, microseconds.
    pub observed: i128,
    /// When the last was read, microseconds.
    pub last: i64,
    /// Events of each hour by their own time, hours since 1970.
    pub hours: BTreeMap<i64, u64>,
    /// The agent's name.
    pub agent: String,
}

/// Writes events to a spool.
pub(super) struct Writer {
    spool: Spool,
    waiting: Vec<Entry>,
    written: Written,
}

impl Writer {
    /// A spool of a host.
    pub(super) fn open(folder: &Path, host: &str, now: Time) -> anyhow::Result<Self> {
        let fsync = Fsync::Interval(Duration::from_secs(3_600));
        let spool = Spool::open(folder, host, SPOOL_BYTES_MAX, fsync, now).context("a spool")?;
        let written = Written { agent: spool.agent().to_string(), ..Written::default() };
        Ok(Self { spool, waiting: Vec::new(), written })
    }

    /// One event, read when it says.
    pub(super) fn write(&mut self, time: Time, observed: Time, body: Body) -> anyhow::Result<()> {
        let mut event = Event::new(time, observed, body).with_system("agency-one-stop");
        if let Body::Activity(activity) = event.body() {
            let raw = format!("{} {} {time}", activity.user_name, activity.service_name);
            event = event
                .with_source("/var/log/portal.log", self.written.events)
                .with_raw(raw.as_bytes(), 0);
        }
        self.written.events += 1;
        self.written.time += i128::from(time.micros());
        self.written.observed += i128::from(observed.micros());
        self.written.last = self.written.last.max(observed.micros());
        *self.written.hours.entry(time.seconds().div_euclid(3_600)).or_default() += 1;
        self.waiting.push(Entry { event, position: None });
        if self.waiting.len() >= CHUNK { self.flush(observed) } else { Ok(()) }
    }

    fn flush(&mut self, now: Time) -> anyhow::Result<()> {
        self.spool.append(std::mem::take(&mut self.waiting), &[], now).context("appended")?;
        Ok(())
    }

    /// A quiet portal from one time to before another: requests, dossiers, checks that are up, heartbeats.
    pub(super) fn ordinary(&mut self, from: Time, until: Time) -> anyhow::Result<()> {
        let mut now = from;
        for step in 0_u64.. {
            if now >= until {
                return Ok(());
            }
            let observed = now.plus(READ_AFTER);
            self.write(now, observed, request(step))?;
            if step.is_multiple_of(6) {
                self.write(now, observed, dossier(step))?;
                self.write(now, now, check(CheckOutcome::Up))?;
            }
            if step.is_multiple_of(HEARTBEAT.as_secs() / STEP.as_secs()) {
                self.write(now, now, heartbeat())?;
            }
            now = now.plus(STEP);
        }
        Ok(())
    }

    /// Closes the spool and tells what is in it.
    pub(super) fn close(mut self, now: Time) -> anyhow::Result<Written> {
        self.flush(now)?;
        self.spool.save().context("saved")?;
        let waiting: u64 = Lane::ALL.iter().map(|lane| self.spool.waiting(*lane).0).sum();
        anyhow::ensure!(
            waiting == self.written.events,
            "{waiting} of {} wait",
            self.written.events
        );
        Ok(self.written)
    }
}

/// A page that a citizen asked for.
pub(super) fn request(number: u64) -> Body {
    let mut activity = Activity::of(Class::Http, 3, Status::Success);
    activity.src_ip = vec![198, 51, 100, u8::try_from(1 + number % 250).unwrap_or(1)];
    activity.http = Some(HttpRequest {
        http_method: "GET".into(),
        url: format!("/ho-so/{number}"),
        status_code: 200,
        response_bytes: 5_000 + number % 900,
        ..HttpRequest::default()
    });
    Body::Activity(activity)
}

/// A dossier that was received.
pub(super) fn dossier(number: u64) -> Body {
    Body::Dossier(Dossier {
        step: "received".into(),
        dossier: format!("{number:08}"),
        online: Some(number.is_multiple_of(4)),
        ..Dossier::default()
    })
}

/// A probe of the portal.
pub(super) fn check(outcome: CheckOutcome) -> Body {
    Body::Check(Check {
        name: "portal".into(),
        kind: CheckKind::Http.into(),
        target: "portal.example".into(),
        outcome: outcome.into(),
        interval_seconds: 60.0,
        total_seconds: 0.2,
        ..Check::default()
    })
}

/// A sign of life.
pub(super) fn heartbeat() -> Body {
    Body::Heartbeat(Heartbeat { interval_seconds: HEARTBEAT.as_secs_f64(), ..Heartbeat::default() })
}

/// A refused password.
pub(super) fn refused(address: [u8; 4]) -> Body {
    let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
    activity.user_name = "root".into();
    activity.service_name = "sshd".into();
    activity.auth_protocol = "password".into();
    activity.src_ip = address.to_vec();
    Body::Activity(activity)
}
