//! The agent's settings. Every default is a constant with its reason.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use vonggac_daemon::{
    metrics::At,
    settings::{Document, SettingsError, Table},
    tls::Files,
};
use vonggac_wire::AgencyId;

use crate::{governor::Ceilings, ship::ShipLimits, spool::Shares};

pub use integrity::IntegrityConfig;
pub use probe::{HttpConfig, ProbeConfig, ProbeKind, Redirects, Trust};
pub use redact::RedactConfig;
pub use sources::{HostConfig, JournalConfig, JournalFrom};
pub use state::StateConfig;
pub use syslog::{Listen, SyslogConfig, TlsFiles, Transport};
pub use tail::{Multiline, TailConfig, TailFrom};
pub use usage::{SocketConfig, UsageConfig, UsageDropConfig, UsageHttpConfig};

mod integrity;
mod limits;
mod probe;
mod redact;
mod ship;
mod sources;
mod state;
mod syslog;
mod tail;
mod usage;

/// Three missed heartbeats make an agent silent: half a minute is soon enough for a shift and cheap enough for a thousand hosts.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// A day of a busy web server, and little on any disk.
pub const SPOOL_BYTES_MAX: u64 = 512 << 20;

/// The least that a spool may be given: what is on its way to Kafka stays in it and must not be all of it.
pub const SPOOL_BYTES_LEAST: u64 = 16 << 20;

/// How much a power cut may cost of what cannot be read again; files are read again and lose nothing.
pub const FSYNC_INTERVAL: Duration = Duration::from_millis(200);

/// How long a stopping agent tries to deliver what it holds; the rest waits in the spool.
pub const GRACE: Duration = Duration::from_secs(5);

/// When the spool is written to the disk, and what that promises.
///
/// A crash of the agent alone costs nothing under any of them: what was appended is in the kernel's hands. They differ in what a
/// power cut or a crash of the kernel may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before a chunk counts as appended: whoever handed it over, a portal that posts to the socket too, may forget it then.
    /// Nothing that was answered is lost. One fsync for each chunk.
    EachChunk,
    /// At this interval, and always before the ledger moves. Files and the journal are read again from the ledger's position and
    /// lose nothing; what cannot be read again (probes, syslog, posts to the socket) may lose what came in the interval.
    Interval(Duration),
    /// When the kernel likes, usually within half a minute. Nothing is promised: lines that the ledger already calls read may be
    /// missing, and numbers may have to be skipped. For disks that wear out or must sleep.
    Never,
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
    /// The folder of the agent's certificates.
    pub identity_dir: PathBuf,
    /// Bytes that the spool may take.
    pub spool_bytes_max: u64,
    /// When it is written to the disk.
    pub fsync: Fsync,
    /// How its bytes are shared by the lanes.
    pub shares: Shares,
    /// How it is sent.
    pub ship: ShipLimits,
    /// What the agent may take of its host.
    pub ceilings: Ceilings,
    /// Where `/metrics` listens; `None`: nowhere.
    pub metrics: Option<At>,
    /// By which certificates Kafka is spoken to; `None`: plain text.
    pub tls: Option<Files>,
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
    /// Files whose every change is told; `None`: none.
    pub integrity: Option<IntegrityConfig>,
    /// The host's state, whose changes are told; `None`: it is not.
    pub state: Option<StateConfig>,
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
        compare("tls", self.tls == other.tls);
        let spool = |c: &Self| (c.spool_dir.clone(), c.spool_bytes_max, c.fsync, c.shares);
        compare("spool", spool(self) == spool(other));
        compare("metrics", self.metrics == other.metrics);
        compare("enrol", self.identity_dir == other.identity_dir);
        names
    }

    fn take(root: &mut Table<'_>) -> Self {
        let tls = Files::take(root);
        let system = root.text("system").unwrap_or_default();
        let (spool_dir, spool_bytes_max, fsync, shares) = root.table("spool", |spool| {
            let dir: PathBuf = spool.text_required("dir").into();
            let most =
                spool.bytes("bytes_max", SPOOL_BYTES_LEAST, 1 << 42).unwrap_or(SPOOL_BYTES_MAX);
            let shares = spool.table("share", ship::shares);
            (dir, most, take_fsync(spool), shares)
        });
        let identity_dir = root.table("enrol", |enrol| enrol.path("dir"));
        Self {
            identity_dir: identity_dir.unwrap_or_else(|| spool_dir.join("tls")),
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
            shares,
            ship: root.table("ship", ship::limits),
            ceilings: root.table("limits", limits::ceilings),
            metrics: At::take(root, "127.0.0.1:9101", tls.as_ref()),
            tls,
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
            integrity: root
                .table("integrity", |integrity| IntegrityConfig::take(integrity, &system)),
            state: root.table("state", |state| StateConfig::take(state, &system)),
            redact: root.table("redact", RedactConfig::take),
            usage_socket: root.table("usage_socket", |socket| SocketConfig::take(socket, &system)),
            system,
        }
    }
}

/// Reads `fsync` ("each-batch", "interval", "never"), the interval, and the older `fsync_each_chunk`.
fn take_fsync(spool: &mut Table<'_>) -> Fsync {
    let each = spool.bool("fsync_each_chunk").unwrap_or(false);
    let interval = spool
        .duration("fsync_interval", Duration::from_millis(10), Duration::from_secs(60))
        .unwrap_or(FSYNC_INTERVAL);
    let usual = if each { "each-batch" } else { "interval" };
    match spool.text("fsync").as_deref().unwrap_or(usual) {
        "each-batch" => Fsync::EachChunk,
        "interval" => Fsync::Interval(interval),
        "never" => Fsync::Never,
        other => {
            spool.wrong(
                "fsync",
                format!("is {other:?}; wanted \"each-batch\", \"interval\" or \"never\""),
            );
            Fsync::Interval(interval)
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
    fn files_and_state_are_watched_where_they_are_asked_for_and_mistakes_are_told() {
        let read = |text: &str| Config::from_text(Path::new("a.toml"), &format!("{RIGHT}{text}"));
        let none = read("").unwrap();
        assert!(none.integrity.is_none() && none.state.is_none());
        let right = "[integrity]\nenabled = true\nweb_roots = [\"/var/www\"]\n[state]\nenabled = true\nkinds = [\"ports\"]\n";
        let config = read(right).unwrap();
        let integrity = config.integrity.unwrap();
        assert!(integrity.paths.contains(&"/etc".into()));
        assert!(integrity.paths.contains(&"/var/www".into()));
        assert_eq!(config.state.unwrap().kinds.len(), 1);
        let wrong = right.replace("/var", "[var").replace("ports", "doors");
        let wrong = read(&wrong).unwrap_err().to_string();
        assert!(wrong.contains("no whole path") && wrong.contains("no pattern"), "{wrong}");
        assert!(wrong.contains("known: packages, users"), "{wrong}");
    }

    #[test]
    fn plain_text_has_to_be_asked_for() {
        let text = RIGHT.replace("plain_text = true\n", "");
        let error = Config::from_text(Path::new("a.toml"), &text).unwrap_err().to_string();
        assert!(error.contains("`plain_text`: must be true"), "{error}");
    }

    #[test]
    fn keeping_and_sending_are_taken_with_their_mistakes() {
        let spool = |text: &str| Config::from_text(Path::new("a.toml"), &format!("{RIGHT}{text}"));
        let right = "fsync = \"never\"\n[spool.share]\nsecurity = 50\nuptime = 20\nusage = 30\n[ship]\nbytes_per_second_max = \"8KiB\"\nquiet_hours = [\"07:30-17:00\"]\nfresh_percent = 40\nfresh_after = \"5m\"\n";
        let config = spool(right).unwrap();
        assert_eq!(config.fsync, Fsync::Never);
        assert_eq!((config.shares.security, config.shares.usage), (50, 30));
        assert_eq!(config.ship.bytes_per_second_max, Some(8192));
        assert!(config.ship.is_quiet(vonggac_wire::Lane::Usage, 600));
        let fresh = (config.ship.fresh_percent, config.ship.fresh_after);
        assert_eq!(fresh, (40, Duration::from_secs(300)));
        let wrong = right
            .replace("never", "sometimes")
            .replace("= 30", "= 31")
            .replace("17:00\"]", "27:00\"]\nquiet_lanes = [\"security\", \"usages\", \"uptime\"]");
        let error = spool(&wrong).unwrap_err().to_string();
        for part in ["sometimes", "gives 101", "07:30-27:00", "never waits", "usages", "heartbeats"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn ceilings_hold_without_being_asked_for_and_are_taken_with_their_mistakes() {
        let read = |text: &str| Config::from_text(Path::new("a.toml"), &format!("{RIGHT}{text}"));
        let usual = read("").unwrap().ceilings;
        assert_eq!((usual.cpu_percent_max, usual.open_files_max), (50, 512));
        assert_eq!(usual.memory_bytes_max, 192 << 20);
        let right =
            "[limits]\ncpu_percent_max = 25\nmemory_bytes_max = \"64MiB\"\nopen_files_max = 128\n";
        let wanted =
            Ceilings { cpu_percent_max: 25, memory_bytes_max: 64 << 20, open_files_max: 128 };
        assert_eq!(read(right).unwrap().ceilings, wanted);
        let wrong = right.replace("= 25", "= 0").replace("64MiB", "1MiB").replace("128", "3");
        let error = read(&wrong).unwrap_err().to_string();
        for part in ["limits.cpu_percent_max", "limits.memory_bytes_max", "limits.open_files_max"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn a_reload_takes_over_all_but_what_is_told_to_need_a_restart() {
        let read = |text: &str| Config::from_text(Path::new("a.toml"), text).unwrap();
        let old = read(RIGHT);
        let live = "[limits]\ncpu_percent_max = 9\n[ship]\nquiet_hours = \"01:00-02:00\"\n[heartbeat]\ninterval = \"3s\"\n";
        let live = read(&format!("system = \"portal\"\n{RIGHT}{live}"));
        assert!(old.needs_restart(&live).is_empty(), "{:?}", old.needs_restart(&live));
        let fixed = RIGHT.replace("H49", "H50").replace(":9092", ":9093").replace("/x", "/y");
        let fixed =
            read(&format!("host = \"other\"\n{fixed}[metrics]\nlisten = \"127.0.0.1:9\"\n"));
        assert_eq!(
            old.needs_restart(&fixed),
            ["agency", "host", "kafka", "spool", "metrics", "enrol"]
        );
    }

    #[test]
    fn five_mistakes_are_told_at_once() {
        let text = "agency = \"nobody\"\nplain_text = true\nhots = \"a\"\n[kafka]\nbrokers = []\n[spool]\ndir = \"/x\"\nbytes_max = \"1B\"\n[[probe]]\nname = \"p\"\nkind = \"gopher\"\ntarget = \"http://a/\"\n";
        let error = Config::from_text(Path::new("a.toml"), text).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 5, "{error}");
    }
}
