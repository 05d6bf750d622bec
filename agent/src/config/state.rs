//! The host's state, whose changes are told.

use std::time::Duration;

use vonggac_daemon::settings::Table;

use crate::source::StateKind;

/// Soon enough to see a port that somebody opens for an hour; a look at all costs some milliseconds.
const INTERVAL: Duration = Duration::from_secs(60);

/// Where certificates of services are found on the systems that are met.
const CERTIFICATES: [&str; 12] = [
    "/etc/letsencrypt/live/*/cert.pem",
    "/etc/ssl/*.pem",
    "/etc/ssl/*.crt",
    "/etc/pki/tls/certs/*.crt",
    "/etc/nginx/**/*.crt",
    "/etc/nginx/**/*.pem",
    "/etc/apache2/**/*.crt",
    "/etc/apache2/**/*.pem",
    "/etc/httpd/**/*.crt",
    "/etc/haproxy/**/*.pem",
    "/etc/postfix/*.pem",
    "/etc/dovecot/**/*.pem",
];

/// The host's state, whose changes are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// What is looked at.
    pub kinds: Vec<StateKind>,
    /// How often.
    pub interval: Duration,
    /// Where certificates are: patterns.
    pub certificates: Vec<String>,
    /// The system that changes speak of.
    pub system: String,
}

impl StateConfig {
    pub(super) fn take(table: &mut Table<'_>, system: &str) -> Option<Self> {
        let enabled = table.bool("enabled").unwrap_or(false);
        let mut kinds = Vec::new();
        for name in table.texts("kinds").unwrap_or_default() {
            match StateKind::ALL.iter().find(|kind| kind.name() == name) {
                Some(kind) => kinds.push(*kind),
                None => {
                    let known: Vec<&str> = StateKind::ALL.iter().map(|kind| kind.name()).collect();
                    table.wrong("kinds", format!("{name:?} is none; known: {}", known.join(", ")));
                }
            }
        }
        if kinds.is_empty() {
            kinds = StateKind::ALL.to_vec();
        }
        let interval = table
            .duration("interval", Duration::from_secs(5), Duration::from_secs(86_400))
            .unwrap_or(INTERVAL);
        let mut certificates: Vec<String> =
            CERTIFICATES.iter().map(|text| (*text).to_owned()).collect();
        certificates.extend(table.texts("certificates").unwrap_or_default());
        for pattern in &certificates {
            if let Err(error) = glob::Pattern::new(pattern) {
                table.wrong("certificates", format!("{pattern:?} is no pattern: {error}"));
            }
        }
        let system = table.text("system").unwrap_or_else(|| system.to_owned());
        enabled.then_some(Self { kinds, interval, certificates, system })
    }
}
