//! Probes.

use std::{path::PathBuf, time::Duration};

use regex::bytes::Regex;
use vonggac_daemon::settings::Table;

/// What a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// HTTP or HTTPS, by the target's scheme.
    Http,
    /// A TCP connection, and what the server says on it.
    Tcp,
    /// A TLS handshake and the certificate's end.
    Tls,
    /// A name's addresses.
    Dns,
    /// A datagram, and what comes back.
    Udp,
    /// An echo.
    Icmp,
    /// A mail server's greeting.
    Smtp,
    /// A PostgreSQL server's answer.
    Postgresql,
    /// A MySQL or MariaDB server's greeting.
    Mysql,
    /// A Redis server's answer.
    Redis,
    /// A systemd unit's state.
    Unit,
    /// Running processes.
    Process,
    /// The age of the newest file of a pattern.
    File,
    /// A program's exit code.
    Command,
}

/// Their names.
const KINDS: [(&str, ProbeKind); 14] = [
    ("http", ProbeKind::Http),
    ("tcp", ProbeKind::Tcp),
    ("tls", ProbeKind::Tls),
    ("dns", ProbeKind::Dns),
    ("udp", ProbeKind::Udp),
    ("icmp", ProbeKind::Icmp),
    ("smtp", ProbeKind::Smtp),
    ("postgresql", ProbeKind::Postgresql),
    ("mysql", ProbeKind::Mysql),
    ("redis", ProbeKind::Redis),
    ("unit", ProbeKind::Unit),
    ("process", ProbeKind::Process),
    ("file", ProbeKind::File),
    ("command", ProbeKind::Command),
];

/// What is done with an answer that points elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// It is an answer like another.
    Accept,
    /// The place it points to is asked.
    Follow,
    /// It is wrong.
    Refuse,
}

/// What an untrusted chain of certificates means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing.
    Ignore,
    /// Degraded: citizens' browsers warn.
    Warn,
    /// Down.
    Require,
}

/// What an HTTP probe sends and wants.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// GET, HEAD or POST.
    pub method: String,
    /// Sent with the request.
    pub headers: Vec<(String, String)>,
    /// The status that is right; `None`: any of 200 to 399.
    pub expect_status: Option<u16>,
    /// Has to stand in the body.
    pub expect_body: Option<Regex>,
    /// A header that has to be there, and what has to stand in it.
    pub expect_header: Option<(String, Regex)>,
    /// What is done with redirects.
    pub redirects: Redirects,
}

/// One probe.
#[derive(Clone, Debug)]
pub struct ProbeConfig {
    /// Its name, unique in the agent.
    pub name: String,
    /// What it speaks.
    pub kind: ProbeKind,
    /// A URL, `host:port`, a name, a unit, a process, a pattern of files.
    pub target: String,
    /// Between runs.
    pub interval: Duration,
    /// By how much the first run is put off, at random.
    pub jitter: Duration,
    /// When a run is given up.
    pub timeout: Duration,
    /// Runs more that have to fail before it counts as down.
    pub retries: u32,
    /// A run that takes longer is degraded.
    pub slow: Option<Duration>,
    /// A certificate with fewer days left is degraded.
    pub certificate_days_min: u32,
    /// What an untrusted chain means.
    pub certificate_trust: Trust,
    /// Authorities beside the host's own, in PEM.
    pub certificate_authority: Option<PathBuf>,
    /// Of HTTP.
    pub http: HttpConfig,
    /// Sent by TCP and UDP.
    pub send: Option<String>,
    /// Has to stand in what comes back: an answer, addresses, a command line, output.
    pub expect: Option<Regex>,
    /// Processes that have to run.
    pub processes_min: u64,
    /// A file that is older is too old.
    pub age_max: Option<Duration>,
    /// A file that is smaller is too small.
    pub size_min: Option<u64>,
    /// A program and its arguments.
    pub command: Vec<String>,
    /// The system that is probed.
    pub system: String,
}

/// Twice a minute per service.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// What a citizen would wait.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time to order a certificate from a slow office.
const CERTIFICATE_DAYS_MIN: u64 = 14;

/// The first runs are spread over this part of their interval; the rhythm itself stays even.
const JITTER_SHARE: f64 = 0.1;

impl HttpConfig {
    fn take(table: &mut Table<'_>) -> Self {
        let method = table.text("method").unwrap_or_else(|| "GET".into());
        if !matches!(method.as_str(), "GET" | "HEAD" | "POST") {
            table.wrong("method", format!("is {method:?}; wanted GET, HEAD or POST"));
        }
        let headers = table
            .pairs("headers")
            .into_iter()
            .map(|(name, values)| (name, values.join(", ")))
            .collect();
        let expect_header = table.text("expect_header").and_then(|text| {
            let wrong = "wanted a name and a pattern like \"content-type: json\"";
            let Some((name, pattern)) = text.split_once(':') else {
                table.wrong("expect_header", format!("is {text:?}; {wrong}"));
                return None;
            };
            match Regex::new(pattern.trim()) {
                Ok(pattern) => Some((name.trim().to_ascii_lowercase(), pattern)),
                Err(error) => {
                    table.wrong("expect_header", format!("is no pattern: {error}; {wrong}"));
                    None
                }
            }
        });
        let redirects = match table.text("redirects").as_deref() {
            None | Some("accept") => Redirects::Accept,
            Some("follow") => Redirects::Follow,
            Some("refuse") => Redirects::Refuse,
            Some(other) => {
                table.wrong("redirects", format!("is {other:?}; wanted accept, follow or refuse"));
                Redirects::Accept
            }
        };
        Self {
            method,
            headers,
            expect_status: table
                .integer("expect_status", 100, 599)
                .and_then(|code| u16::try_from(code).ok()),
            expect_body: pattern(table, "expect_body"),
            expect_header,
            redirects,
        }
    }
}

fn pattern(table: &mut Table<'_>, name: &'static str) -> Option<Regex> {
    table.parsed(name, "a regular expression")
}

fn kind(table: &mut Table<'_>) -> ProbeKind {
    let Some(name) = table.text("kind") else { return ProbeKind::Http };
    if let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == name) {
        return *kind;
    }
    let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    table.wrong("kind", format!("is {name:?}; wanted one of {}", known.join(", ")));
    ProbeKind::Http
}

impl ProbeConfig {
    pub(super) fn take(table: &mut Table<'_>, system: &str) -> Self {
        let kind = kind(table);
        let command = table.texts("command").unwrap_or_default();
        let target = match (kind, table.text("target")) {
            (_, Some(target)) => target,
            (ProbeKind::Command, None) => command.join(" "),
            _ => table.text_required("target"),
        };
        let wrong_url = kind == ProbeKind::Http
            && !target.is_empty()
            && target.parse::<hyper::Uri>().map_or(true, |uri| uri.host().is_none());
        if wrong_url {
            table.wrong("target", format!("{target:?} is no URL"));
        }
        if kind == ProbeKind::Command && command.is_empty() {
            table.wrong("command", "is missing; wanted a program and its arguments");
        }
        let second = Duration::from_secs(1);
        let interval =
            table.duration("interval", second, 86_400 * second).unwrap_or(PROBE_INTERVAL);
        let age_max = table.duration("age_max", second, 3_660 * 86_400 * second);
        if kind == ProbeKind::File && age_max.is_none() {
            table.wrong(
                "age_max",
                "is missing; wanted how old the newest file may be, e.g. \"26h\"",
            );
        }
        let certificate_trust = match table.text("certificate_trust").as_deref() {
            None | Some("warn") => Trust::Warn,
            Some("ignore") => Trust::Ignore,
            Some("require") => Trust::Require,
            Some(other) => {
                let wrong = format!("is {other:?}; wanted ignore, warn or require");
                table.wrong("certificate_trust", wrong);
                Trust::Warn
            }
        };
        Self {
            name: table.text_required("name"),
            kind,
            target,
            interval,
            jitter: table
                .duration("jitter", Duration::ZERO, 3_600 * second)
                .unwrap_or_else(|| interval.mul_f64(JITTER_SHARE)),
            timeout: table.duration("timeout", second / 10, 600 * second).unwrap_or(PROBE_TIMEOUT),
            retries: table
                .integer("retries", 0, 10)
                .and_then(|retries| u32::try_from(retries).ok())
                .unwrap_or(0),
            slow: table.duration("slow", second / 100, 600 * second),
            certificate_days_min: table
                .integer("certificate_days_min", 0, 365)
                .unwrap_or(CERTIFICATE_DAYS_MIN)
                .try_into()
                .unwrap_or(u32::MAX),
            certificate_trust,
            certificate_authority: table.path("certificate_authority"),
            http: HttpConfig::take(table),
            send: table.text("send"),
            expect: pattern(table, "expect"),
            processes_min: table.integer("processes_min", 1, 100_000).unwrap_or(1),
            age_max,
            size_min: table.bytes("size_min", 0, 1 << 50),
            command,
            system: table.text("system").unwrap_or_else(|| system.to_owned()),
        }
    }
}
