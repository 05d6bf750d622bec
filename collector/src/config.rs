//! The collector's settings. Every default is a constant with its reason, or stands in a [`profile`].

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hyper::Uri;
use vonggac_daemon::{
    metrics::At,
    secret::Secret,
    settings::{Document, SettingsError, Table},
    tls::Files,
};

use crate::{
    allowance::Allowances, canary::heartbeat, notify, profile, retention::Keeping, store::cluster,
    trust,
};

pub mod named;

/// Four partitions let four collectors share the work of one machine's topics; a cluster asks for more.
pub const PARTITIONS: u64 = 4;

/// Rows of a block: what the engine takes well, and what memory bears.
pub const BLOCK_ROWS_MAX: u64 = 50_000;

/// Bytes of records gathered for a block.
pub const BLOCK_BYTES_MAX: u64 = 32 << 20;

/// How long a block is gathered: the greater part of the delay from event to row.
pub const BLOCK_INTERVAL: Duration = Duration::from_millis(500);

/// How long the engine may say nothing before a question counts as failed. No block, question or step of the roll-ups takes nearly as long;
/// what the engine does all the same is known again by its token when it is tried again.
pub const ENGINE_ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// How far back detection is rebuilt: longer than the longest window of a rule.
pub const REPLAY: Duration = Duration::from_secs(15 * 60);

/// How often a test event goes the whole way: an operator learns within a few of them that it is broken.
pub const CANARY_INTERVAL: Duration = Duration::from_secs(60);

/// How often a sign of life leaves the system.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Kafka's addresses.
    pub brokers: Vec<String>,
    /// Partitions of each topic of events.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
    /// The consumer group.
    pub group: String,
    /// The engine's address.
    pub engine_url: String,
    /// The database.
    pub database: String,
    /// The cluster on whose machines the tables lie; `None`: on one machine.
    pub cluster: Option<String>,
    /// Who speaks to the engine, where it has users.
    pub engine_user: Option<(String, Secret)>,
    /// How long the engine may say nothing.
    pub engine_answer_within: Duration,
    /// Where consoles connect.
    pub grpc: SocketAddr,
    /// Where `/metrics` listens; `None`: nowhere.
    pub metrics: Option<At>,
    /// By which certificates everything is spoken to; `None`: plain text.
    pub tls: Option<Files>,
    /// A folder of further rules; `None`: the built-in pack alone.
    pub rules_dir: Option<PathBuf>,
    /// A folder of threat lists; `None`: none.
    pub threats_dir: Option<PathBuf>,
    /// Rows of a block.
    pub block_rows_max: usize,
    /// Bytes of a block.
    pub block_bytes_max: usize,
    /// How long a block is gathered.
    pub block_interval: Duration,
    /// How far back detection is rebuilt.
    pub replay: Duration,
    /// How often a test event goes the whole way.
    pub canary_interval: Duration,
    /// The sign of life that leaves the system; `None`: nowhere to.
    pub heartbeat: Option<heartbeat::Settings>,
    /// How long things are kept.
    pub keeping: Keeping,
    /// How much of the store each kind of caller may use.
    pub queries: Allowances,
    /// Who is told of incidents, and how; `None`: nobody.
    pub notify: Option<Arc<notify::Settings>>,
    /// Who may speak and who may see.
    pub trust: trust::Settings,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// All its mistakes.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        Document::read(file)?.finish(Self::take)
    }

    fn take(root: &mut Table<'_>) -> Self {
        let tls = Files::take(root);
        let profile = root.parsed("profile", profile::WANTED).unwrap_or(profile::SMALL);
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let (brokers, partitions, replication, group) = root.table("kafka", |kafka| {
            (
                kafka.texts_required("brokers"),
                kafka.integer("partitions", 1, 1024).unwrap_or(profile.partitions),
                kafka.integer("replication", 1, 9).unwrap_or(profile.replication),
                kafka.text("group").unwrap_or_else(|| "vonggac-collector".into()),
            )
        });
        let (engine_url, database, cluster, engine_user, engine_answer_within) =
            root.table("engine", |engine| {
                let user = engine.text("user");
                let password = Secret::new(engine.text("password").unwrap_or_default());
                let cluster = engine.text("cluster");
                if cluster.as_deref().is_some_and(|name| !cluster::is_name(name)) {
                    engine.wrong("cluster", "is no cluster's name; wanted are up to 64 letters, digits, `-`, `_` and `.`, as in the engine's remote_servers");
                }
                (
                    engine.text_required("url"),
                    engine.text("database").unwrap_or_else(|| "vonggac".into()),
                    cluster,
                    user.map(|user| (user, password)),
                    engine
                        .duration(
                            "answer_within",
                            Duration::from_secs(1),
                            Duration::from_secs(86_400),
                        )
                        .unwrap_or(ENGINE_ANSWER_WITHIN),
                )
            });
        let (block_rows_max, block_bytes_max, block_interval) = root.table("block", |block| {
            (
                block.integer("rows_max", 1, 1_000_000).unwrap_or(profile.block_rows_max),
                block.bytes("bytes_max", 1 << 20, 1 << 30).unwrap_or(profile.block_bytes_max),
                block
                    .duration("interval", Duration::from_millis(10), Duration::from_secs(60))
                    .unwrap_or(profile.block_interval),
            )
        });
        let keeping = Keeping::take(root);
        if cluster.is_some() && keeping.cold.is_some() {
            root.wrong("cold", "cannot be had on a cluster yet: its tables are made over files of one machine; leave out [cold], or [engine] cluster");
        }
        Self {
            brokers,
            partitions: i32::try_from(partitions).unwrap_or(1),
            replication: i32::try_from(replication).unwrap_or(1),
            group,
            engine_url,
            database,
            cluster,
            engine_user,
            engine_answer_within,
            grpc: root.table("grpc", |grpc| {
                grpc.parsed_required(
                    "listen",
                    "an address like \"127.0.0.1:7443\"",
                    SocketAddr::from(([127, 0, 0, 1], 0)),
                )
            }),
            metrics: At::take(root, "127.0.0.1:9102", tls.as_ref()),
            tls,
            rules_dir: root.table("rules", |rules| rules.path("dir")),
            threats_dir: root.table("threats", |threats| threats.path("dir")),
            block_rows_max: whole(block_rows_max),
            block_bytes_max: whole(block_bytes_max),
            block_interval,
            replay: root
                .table("detection", |detection| {
                    detection.duration("replay", Duration::ZERO, Duration::from_secs(86_400))
                })
                .unwrap_or(REPLAY),
            canary_interval: root
                .table("canary", |canary| {
                    canary.duration("interval", Duration::from_secs(1), Duration::from_secs(3_600))
                })
                .unwrap_or(CANARY_INTERVAL),
            heartbeat: root.table("heartbeat", heartbeat_of),
            keeping,
            queries: Allowances::take(root),
            notify: notify::Settings::take(root).map(Arc::new),
            trust: trust::Settings::take(root),
        }
    }
}

fn heartbeat_of(table: &mut Table<'_>) -> Option<heartbeat::Settings> {
    let wanted = "an address like \"https://monitor.example/ping/1\"";
    let url: Option<Uri> = table.parsed("url", wanted);
    if let Some(url) =
        url.as_ref().filter(|url| !matches!(url.scheme_str(), Some("http" | "https")))
    {
        table.wrong("url", format!("is \"{url}\"; wanted {wanted}"));
    }
    let file = table.path("file");
    let interval = table
        .duration("interval", Duration::from_secs(1), Duration::from_secs(86_400))
        .unwrap_or(HEARTBEAT_INTERVAL);
    (file.is_some() || url.is_some()).then_some(heartbeat::Settings { interval, file, url })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowance;

    const LEAST: &str = "[kafka]\nbrokers = [\"k:1\"]\n[engine]\nurl = \"http://e\"\nENGINE\n[grpc]\nlisten = \"127.0.0.1:1\"\n";

    fn read(first: &str, of_engine: &str, more: &str) -> Result<Config, String> {
        let text =
            format!("plain_text = true\n{first}\n{}{more}", LEAST.replace("ENGINE", of_engine));
        Document::from_text(Path::new("c.toml"), text)
            .finish(Config::take)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_profile_is_a_set_of_defaults_that_single_settings_override() {
        let of = |config: &Config| {
            (config.partitions, config.replication, config.block_rows_max, config.block_interval)
        };
        let plain = read("", "", "").unwrap();
        assert_eq!(of(&plain), (4, 1, 50_000, BLOCK_INTERVAL));
        assert_eq!(of(&read("profile = \"small\"", "", "").unwrap()), of(&plain));
        let national = read("profile = \"national\"", "", "").unwrap();
        assert_eq!(of(&national), (48, 3, 100_000, Duration::from_secs(1)));
        assert_eq!(national.block_bytes_max, 64 << 20);
        let mixed = read("profile = \"national\"", "", "[block]\ninterval = \"200ms\"\n").unwrap();
        assert_eq!(of(&mixed), (48, 3, 100_000, Duration::from_millis(200)));
        let wrong = read("profile = \"large\"", "", "").unwrap_err();
        assert!(wrong.contains("profile") && wrong.contains(profile::WANTED), "{wrong}");
    }

    #[test]
    fn what_callers_may_use_is_set_by_kind_and_each_mistake_is_told() {
        assert_eq!(read("", "", "").unwrap().queries, Allowances::default());
        let set = read("", "", "[queries.observer]\ntime_max = \"5s\"\nat_once_max = 2\n").unwrap();
        assert_eq!(set.queries.operator, allowance::OPERATOR);
        assert_eq!(set.queries.observer.time_max, Duration::from_secs(5));
        assert_eq!(set.queries.observer.at_once_max, 2);
        assert_eq!(set.queries.observer.tails_max, allowance::OBSERVER.tails_max);
        let wrong = read("", "", "[queries.operator]\nat_once_max = 0\nrow_max = 1\n").unwrap_err();
        assert!(wrong.contains("at_once_max") && wrong.contains("row_max"), "{wrong}");
    }

    #[test]
    fn a_cluster_has_a_name_and_no_cold_tier_yet() {
        assert_eq!(
            read("", "cluster = \"nation\"", "").unwrap().cluster.as_deref(),
            Some("nation")
        );
        assert_eq!(read("", "", "").unwrap().cluster, None);
        let wrong = read("", "cluster = \"a b\"", "").unwrap_err();
        assert!(
            wrong.contains("engine.cluster") && wrong.contains("is no cluster's name"),
            "{wrong}"
        );
        let cold = read("", "cluster = \"nation\"", "[cold]\ndir = \"/cold\"\n").unwrap_err();
        assert!(cold.contains("cannot be had on a cluster yet"), "{cold}");
    }
}
