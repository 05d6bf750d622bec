//! The agent's settings. Every default is a constant with its reason.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use vonggac_daemon::settings::{Document, SettingsError, Table};
use vonggac_wire::AgencyId;

pub use probe::{HttpConfig, ProbeConfig, ProbeKind, Redirects, Trust};
pub use redact::RedactConfig;
pub use sources::{HostConfig, JournalConfig, JournalFrom};
pub use syslog::{Listen, SyslogConfig, TlsFiles, Transport};
pub use tail::{Multiline, TailConfig, TailFrom};
pub use usage::{SocketConfig, UsageConfig, UsageDropConfig, UsageHttpConfig};

mod probe;
mod redact;
mod sources;
mod syslog;
mod tail;
mod usage;

/// Three missed heartbeats make an agent silent: half a minute is soon enough for a shift and cheap enough for a thousand hosts.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// A day of a busy web server, and little on any disk.
pub const SPOOL_BYTES_MAX: u64 = 512 << 20;

/// How much a power cut may cost of what cannot be read again; files are read again and lose nothing.
pub const FSYNC_INTERVAL: Duration = Duration::from_millis(200);

/// How long a stopping agent tries to deliver what it holds; the rest waits in the spool.
pub const GRACE: Duration = Duration::from_secs(5);

/// When the spool is written to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before a chunk counts as appended.
    EachChunk,
    /// At this interval.
    Interval(Duration),
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The agency that the host belongs to.
    pub agency: AgencyId,
    /// The host's name.
    pub host: String,
    /// The system of the registry that the host serves; empty: none.
    pub system: String,
    /// Kafka's addresses.
    pub brokers: Vec<String>,
    /// The spool's folder.
    pub spool_dir: PathBuf,
    /// Bytes that the spool may take.
    pub spool_bytes_max: u64,
    /// When it is written to the disk.
    pub fsync: Fsync,
    /// Where `/metrics` listens; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// Log files.
    pub tails: Vec<TailConfig>,
    /// The systemd journal.
    pub journal: JournalConfig,
    /// The host's figures.
    pub host_figures: HostConfig,
    /// Probes.
    pub probes: Vec<ProbeConfig>,
    /// Syslog from other machines.
    pub syslogs: Vec<SyslogConfig>,
    /// The socket for usage events; `None`: none.
    pub usage_socket: Option<SocketConfig>,
    /// Usage beside it.
    pub usage: UsageConfig,
    /// What is taken out of events.
    pub redact: RedactConfig,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// All its mistakes.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        Document::read(file)?.finish(Self::take)
    }

    /// Reads a text as if it stood in `file`.
    ///
    /// # Errors
    /// All its mistakes.
    pub fn from_text(file: &Path, text: &str) -> Result<Self, SettingsError> {
        Document::from_text(file, text.to_owned()).finish(Self::take)
    }

    /// Settings that another configuration has otherwise and a reload cannot change.
    #[must_use]
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let mut names = Vec::new();
        let mut compare = |name, same: bool| {
            if !same {
                names.push(name);
            }
        };
        compare("agency", self.agency == other.agency);
        compare("host", self.host == other.host);
        compare("kafka", self.brokers == other.brokers);
        let spool = |c: &Self| (c.spool_dir.clone(), c.spool_bytes_max, c.fsync);
        compare("spool", spool(self) == spool(other));
        compare("metrics", self.metrics == other.metrics);
        compare("heartbeat", self.heartbeat == other.heartbeat);
        names
    }

    fn take(root: &mut Table<'_>) -> Self {
        if root.bool("plain_text") != Some(true) {
            root.wrong(
                "plain_text",
                "must be true: this version speaks plain text to Kafka and has to be told that this is wanted",
            );
        }
        let system = root.text("system").unwrap_or_default();
        let (spool_dir, spool_bytes_max, fsync) = root.table("spool", |spool| {
            let dir = spool.text_required("dir").into();
            let most = spool.bytes("bytes_max", 1 << 20, 1 << 42).unwrap_or(SPOOL_BYTES_MAX);
            let each = spool.bool("fsync_each_chunk").unwrap_or(false);
            let interval = spool
                .duration("fsync_interval", Duration::from_millis(10), Duration::from_secs(60))
                .unwrap_or(FSYNC_INTERVAL);
            (dir, most, if each { Fsync::EachChunk } else { Fsync::Interval(interval) })
        });
        Self {
            agency: root.parsed_required(
                "agency",
                "an agency's code like \"H49\"",
                AgencyId::local(),
            ),
            host: root.text("host").unwrap_or_else(hostname),
            brokers: root.table("kafka", |kafka| kafka.texts_required("brokers")),
            spool_dir,
            spool_bytes_max,
            fsync,
            metrics: root.table("metrics", |metrics| {
                metrics.parsed("listen", "an address like \"127.0.0.1:9101\"")
            }),
            heartbeat: root.table("heartbeat", |heartbeat| {
                heartbeat
                    .duration("interval", Duration::from_secs(1), Duration::from_secs(3600))
                    .unwrap_or(HEARTBEAT_INTERVAL)
            }),
            tails: root.tables("tail", |tail| TailConfig::take(tail, &system)),
            journal: root.table("journal", JournalConfig::take),
            host_figures: root.table("host_figures", HostConfig::take),
            probes: root.tables("probe", |probe| ProbeConfig::take(probe, &system)),
            syslogs: root.tables("syslog", |syslog| SyslogConfig::take(syslog, &system)),
            usage: root.table("usage", |usage| UsageConfig::take(usage, &system)),
            redact: root.table("redact", RedactConfig::take),
            usage_socket: root.table("usage_socket", |socket| SocketConfig::take(socket, &system)),
            system,
        }
    }
}

/// The kernel's name for this host.
#[must_use]
pub fn hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:9092\"]\n[spool]\ndir = \"/var/spool/x\"\n";

    #[test]
    fn the_least_configuration_is_enough() {
        let config = Config::from_text(Path::new("a.toml"), RIGHT).unwrap();
        assert_eq!(config.heartbeat, HEARTBEAT_INTERVAL);
        assert!(config.tails.is_empty() && config.usage_socket.is_none());
    }

    #[test]
    fn usage_is_taken_with_its_mistakes() {
        let usage = |text: &str| Config::from_text(Path::new("a.toml"), &format!("{RIGHT}{text}"));
        let right = "[usage.http]\nlisten = \"127.0.0.1:8600\"\n[[usage.map]]\npath = \"/nop-ho-so/*\"\nkind = \"dossier\"\nstep = \"received\"\n[[usage.drop]]\nfolder = \"/drop\"\ncolumns = { \"Bước\" = \"step\" }\n";
        let config = usage(right).unwrap().usage;
        assert!(config.http.is_some() && config.drops[0].columns[0].1 == "step");
        let wrong = usage(&right.replace("127.0.0.1", "0.0.0.0").replace("received", "eaten"));
        let wrong = wrong.unwrap_err().to_string();
        assert!(wrong.contains("loopback") && wrong.contains("`usage.map[0]`: `step`"), "{wrong}");
    }

    #[test]
    fn plain_text_has_to_be_asked_for() {
        let text = RIGHT.replace("plain_text = true\n", "");
        let error = Config::from_text(Path::new("a.toml"), &text).unwrap_err().to_string();
        assert!(error.contains("`plain_text`: must be true"), "{error}");
    }

    #[test]
    fn five_mistakes_are_told_at_once() {
        let text = "agency = \"nobody\"\nplain_text = true\nhots = \"a\"\n[kafka]\nbrokers = []\n[spool]\ndir = \"/x\"\nbytes_max = \"1B\"\n[[probe]]\nname = \"p\"\nkind = \"gopher\"\ntarget = \"http://a/\"\n";
        let error = Config::from_text(Path::new("a.toml"), text).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 5, "{error}");
    }
}
