//! Probes.

use std::time::Duration;

use vonggac_daemon::settings::Table;

/// What a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// HTTP or HTTPS, by the target's scheme.
    Http,
    /// A TCP connection.
    Tcp,
    /// A TLS handshake and the certificate's end.
    Tls,
    /// A name's addresses.
    Dns,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Its name, unique in the agent.
    pub name: String,
    /// What it speaks.
    pub kind: ProbeKind,
    /// A URL, `host:port`, or a name.
    pub target: String,
    /// Between runs.
    pub interval: Duration,
    /// When a run is given up.
    pub timeout: Duration,
    /// The status that is right; `None`: any of 200 to 399.
    pub expect_status: Option<u16>,
    /// A run that takes longer is degraded.
    pub slow: Option<Duration>,
    /// A certificate with fewer days left is degraded.
    pub certificate_days_min: u32,
    /// The system that is probed.
    pub system: String,
}

/// Twice a minute per service.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// What a citizen would wait.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time to order a certificate from a slow office.
const CERTIFICATE_DAYS_MIN: u64 = 14;

impl ProbeConfig {
    pub(super) fn take(table: &mut Table<'_>, system: &str) -> Self {
        let kind = match table.text("kind").as_deref() {
            None | Some("http") => ProbeKind::Http,
            Some("tcp") => ProbeKind::Tcp,
            Some("tls") => ProbeKind::Tls,
            Some("dns") => ProbeKind::Dns,
            Some(other) => {
                table.wrong("kind", format!("is {other:?}; wanted http, tcp, tls or dns"));
                ProbeKind::Http
            }
        };
        let target = table.text_required("target");
        if kind == ProbeKind::Http && !target.is_empty() && target.parse::<hyper::Uri>().is_err() {
            table.wrong("target", format!("{target:?} is no URL"));
        }
        let second = Duration::from_secs(1);
        let status =
            table.integer("expect_status", 100, 599).and_then(|code| u16::try_from(code).ok());
        Self {
            name: table.text_required("name"),
            kind,
            target,
            interval: table.duration("interval", second, 3600 * second).unwrap_or(PROBE_INTERVAL),
            timeout: table.duration("timeout", second / 10, 60 * second).unwrap_or(PROBE_TIMEOUT),
            expect_status: status,
            slow: table.duration("slow", second / 100, 60 * second),
            certificate_days_min: table
                .integer("certificate_days_min", 0, 365)
                .unwrap_or(CERTIFICATE_DAYS_MIN)
                .try_into()
                .unwrap_or(u32::MAX),
            system: table.text("system").unwrap_or_else(|| system.to_owned()),
        }
    }
}
