//! Where the tables of the store lie: on one machine, or on the machines of a cluster. All that a statement has to know of it is asked here.
//!
//! **One machine.** Each table is what its migration says.
//!
//! **A cluster** (`[engine] cluster`, a name of the engine's own `remote_servers`). Each machine of it has two kinds of tables:
//!
//! * `events` and `rollups` are *sharded*: rows lie in `NAME_local` (those of events in `events_sorted_local`), replicated among the machines of
//!   a shard, and `NAME` is a Distributed table in front of it. So whatever reads or inserts says `NAME` on both layouts, and only what works on the parts of a table has to ask
//!   for [`Layout::local`]. The sharding key is `cityHash64(kafka_topic, kafka_partition)`: the protocol of progress, of insert tokens and of
//!   "which rows at or above the progress are stored" is one for each partition of Kafka, and so is a row of the roll-ups. All of a
//!   partition lies on one shard, so none of it has to hold over two machines.
//! * all others are small, and are read back by whoever wrote them or takes over: they are *everywhere*, one replicated table without
//!   shards, whole on each machine, under their plain names. A block of `progress` stays one block, a lease one row, and no join or
//!   subquery of theirs ever crosses the net.
//!
//! **An insert's token** means the same block on each shard: a block is cut by the sharding key alone, so the same block has the same
//! share for each shard, each shard forgets the second one by itself, and the insert is answered when all of them have it
//! (`distributed_foreground_insert`). The window of tokens is as long as on one machine, and is not cut short by time.
//!
//! **Nothing acknowledged is lost with a machine**: an insert waits for a majority of the replicas (`insert_quorum`). With two replicas that
//! is both, so a shard that goes on while a machine is away has three.
//!
//! **Reading what another has just written** ([`Store::settle`]): partitions are taken over, leases are taken, and the other's last insert
//! must be seen. `select_sequential_consistency` wants inserts one after the other over all writers of a table; so instead the replicas are
//! told to take what Keeper's log has (`SYSTEM SYNC REPLICA`), which is as strict, and costs something only then. It is asked of each
//! machine, so while one of them neither answers nor is taken out of the cluster's definition, taking over waits.
//!
//! The address `[engine] url` is one machine's, not a balancer's: what is everywhere is read from the machine that was told to catch up.

use super::{Store, StoreError};
use crate::retention::quoted;

pub mod ddl;

/// Tables whose rows lie on the shards, each in the shard of its partition of Kafka.
pub const SHARDED: [&str; 3] = ["events", "events_sorted", "rollups"];

/// Where the rows of `events` lie since they have their present order (migration 24), and where they lay before.
const OF_EVENTS: &str = "events_sorted_local";
pub(super) const OF_BEFORE: &str = "events_local";

/// What says on which shard a row lies.
pub const SHARDING_KEY: &str = "cityHash64(kafka_topic, kafka_partition)";

/// What all statements to a cluster are asked with, and why.
pub const SETTINGS: [(&str, &str); 7] = [
    // An insert is answered when the rows are on their shards, and not when they wait on the machine that was asked.
    ("distributed_foreground_insert", "1"),
    // What was answered is on a majority of the replicas.
    ("insert_quorum", "auto"),
    // Several collectors insert into a shard at once.
    ("insert_quorum_parallel", "1"),
    // Roll-ups are summed on the shards, where their rows are and where they stay.
    ("parallel_distributed_insert_select", "2"),
    // An answer without a shard's rows is no answer: what is stored would be taken again, and figures would be short.
    ("skip_unavailable_shards", "0"),
    // A deletion is done when each replica has done it: it is counted behind it what is left.
    ("lightweight_deletes_sync", "2"),
    // A change of the tables is done when each machine has done it.
    ("distributed_ddl_output_mode", "throw"),
];

/// How the store is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// On one machine.
    One,
    /// On the machines of this cluster.
    Cluster(String),
}

impl std::fmt::Display for Layout {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One => formatter.write_str("one machine"),
            Self::Cluster(name) => write!(formatter, "the cluster {name:?}"),
        }
    }
}

/// Whether a text may be a cluster's name: it stands in paths of Keeper and in statements.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 64 && text.chars().all(plain)
}

/// A name as SQL has it.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

impl Layout {
    /// Of a configured cluster.
    #[must_use]
    pub fn of(cluster: Option<&str>) -> Self {
        cluster.map_or(Self::One, |name| Self::Cluster(name.to_owned()))
    }

    /// Whether it is a cluster's.
    #[must_use]
    pub const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// The table that has a table's parts on each machine.
    #[must_use]
    pub fn local(&self, table: &str) -> String {
        match self {
            Self::Cluster(_) if table == "events" => OF_EVENTS.to_owned(),
            Self::Cluster(_) if SHARDED.contains(&table) => format!("{table}_local"),
            _ => table.to_owned(),
        }
    }

    /// What stands behind a name in a statement that each machine has to carry out; empty on one.
    #[must_use]
    pub fn on_cluster(&self) -> String {
        match self {
            Self::One => String::new(),
            Self::Cluster(name) => format!(" ON CLUSTER {}", identifier(name)),
        }
    }

    /// A deletion of rows, of one partition of the table where that is named. What is everywhere is one table, to which it is told once.
    #[must_use]
    pub fn delete(&self, table: &str, partition: Option<&str>, condition: &str) -> String {
        let local = self.local(table);
        let on = if local == table { String::new() } else { self.on_cluster() };
        let within = partition
            .map_or_else(String::new, |partition| format!(" IN PARTITION {}", quoted(partition)));
        format!("DELETE FROM {local}{on}{within} WHERE {condition}")
    }

    /// The end of a database, on each machine.
    #[must_use]
    pub fn drop_database(&self, database: &str) -> String {
        format!("DROP DATABASE {}{} SYNC", identifier(database), self.on_cluster())
    }

    /// A table of `system` with the rows of each machine.
    #[must_use]
    pub fn system(&self, table: &str) -> String {
        match self {
            Self::One => format!("system.{table}"),
            Self::Cluster(name) => format!("clusterAllReplicas({}, system.{table})", quoted(name)),
        }
    }

    /// The same with the rows of one machine of each shard, so that what is there twice counts once.
    #[must_use]
    pub fn system_once(&self, table: &str) -> String {
        match self {
            Self::One => format!("system.{table}"),
            Self::Cluster(name) => format!("cluster({}, system.{table})", quoted(name)),
        }
    }

    /// What makes replicas take all that Keeper's log has of a table; `None`: there is nothing to wait for.
    #[must_use]
    pub fn settle(&self, database: &str, table: &str) -> Option<String> {
        let local = self.local(table);
        let place = format!("{}.{}", identifier(database), identifier(&local));
        match self {
            Self::One => None,
            Self::Cluster(_) if local == table => {
                Some(format!("SYSTEM SYNC REPLICA {place} LIGHTWEIGHT"))
            }
            Self::Cluster(_) => {
                Some(format!("SYSTEM SYNC REPLICA{} {place} LIGHTWEIGHT", self.on_cluster()))
            }
        }
    }

    /// How a store is laid out of which the engine says this; `None`: it has none of these tables. `(name, engine with its arguments)`.
    #[must_use]
    pub fn found(tables: &[(String, String)]) -> Option<Self> {
        let engine = |name: &str| tables.iter().find(|(table, _)| table == name).map(|(_, e)| e);
        if let Some(events) = engine("events") {
            let cluster =
                events.strip_prefix("Distributed('").and_then(|rest| rest.split('\'').next());
            return Some(Self::of(cluster));
        }
        engine("schema_migrations").map(|engine| {
            if engine.starts_with("Replicated") { Self::Cluster(String::new()) } else { Self::One }
        })
    }

    /// Whether a store that is found so may be used so. A cluster whose name is not known yet is any.
    #[must_use]
    pub fn fits(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::Cluster(_), Self::Cluster(name)) if name.is_empty() => true,
            (wanted, found) => wanted == found,
        }
    }
}

impl Store {
    /// How the tables lie.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Waits until what others have inserted into a table is read here. On one machine it is.
    ///
    /// # Errors
    /// If the engine does not answer, or a machine of the cluster does not catch up.
    pub async fn settle(&self, table: &str) -> Result<(), StoreError> {
        if let Some(text) = self.layout.settle(&self.database, table) {
            self.client().query_raw(&text).execute().await?;
        }
        Ok(())
    }

    /// Refuses a store that is laid out in another way than the configuration says.
    ///
    /// # Errors
    /// If it is, or the engine does not answer.
    pub async fn check_layout(&self) -> Result<(), StoreError> {
        let tables: Vec<(String, String)> = self
            .client
            .query("SELECT name, engine_full FROM system.tables WHERE database = ? AND name IN ('events', 'schema_migrations')")
            .bind(&self.database)
            .fetch_all()
            .await?;
        match Layout::found(&tables) {
            Some(found) if !self.layout.fits(&found) => Err(StoreError::LaidOut {
                database: self.database.clone(),
                found,
                wanted: self.layout.clone(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Layout {
        Layout::of(Some("nation"))
    }

    #[test]
    fn on_one_machine_every_statement_is_the_plain_one() {
        let one = Layout::One;
        assert_eq!(one.local("events"), "events");
        assert_eq!(
            one.delete("events", Some("202611"), "a = 1"),
            "DELETE FROM events IN PARTITION '202611' WHERE a = 1"
        );
        assert_eq!(one.delete("gaps", None, "a = 1"), "DELETE FROM gaps WHERE a = 1");
        assert_eq!(one.drop_database("v`g"), "DROP DATABASE `v\\`g` SYNC");
        assert_eq!(
            (one.system("parts"), one.system_once("parts")),
            ("system.parts".into(), "system.parts".into())
        );
        assert_eq!(one.settle("vonggac", "progress"), None);
    }

    #[test]
    fn on_a_cluster_what_is_sharded_is_told_to_each_machine_and_what_is_everywhere_once() {
        let cluster = cluster();
        assert_eq!(
            cluster.delete("events", Some("202611"), "a = 1"),
            "DELETE FROM events_sorted_local ON CLUSTER `nation` IN PARTITION '202611' WHERE a = 1"
        );
        assert_eq!(
            cluster.delete("rollups", None, "a = 1"),
            "DELETE FROM rollups_local ON CLUSTER `nation` WHERE a = 1"
        );
        assert_eq!(cluster.delete("gaps", None, "a = 1"), "DELETE FROM gaps WHERE a = 1");
        assert_eq!(cluster.drop_database("vg"), "DROP DATABASE `vg` ON CLUSTER `nation` SYNC");
        assert_eq!(cluster.system("parts"), "clusterAllReplicas('nation', system.parts)");
        assert_eq!(cluster.system_once("parts"), "cluster('nation', system.parts)");
        assert_eq!(
            cluster.settle("vg", "leases").unwrap(),
            "SYSTEM SYNC REPLICA `vg`.`leases` LIGHTWEIGHT"
        );
        assert_eq!(
            cluster.settle("vg", "events").unwrap(),
            "SYSTEM SYNC REPLICA ON CLUSTER `nation` `vg`.`events_sorted_local` LIGHTWEIGHT"
        );
    }

    #[test]
    fn a_store_is_used_only_as_it_was_laid_out() {
        let told = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> =
                pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            Layout::found(&pairs)
        };
        let plain = told(&[
            ("events", "MergeTree PARTITION BY toYYYYMM(day)"),
            ("schema_migrations", "ReplacingMergeTree"),
        ]);
        assert_eq!(plain, Some(Layout::One));
        let of_cluster =
            told(&[("events", "Distributed('nation', 'vg', 'events_local', cityHash64(a))")]);
        assert_eq!(of_cluster, Some(cluster()));
        assert_eq!(told(&[]), None);
        assert!(!cluster().fits(&Layout::One) && !Layout::One.fits(&cluster()));
        assert!(!cluster().fits(&Layout::of(Some("other"))) && cluster().fits(&cluster()));
        // Broken off before the first table of events.
        let begun =
            told(&[("schema_migrations", "ReplicatedReplacingMergeTree('/a', 'b')")]).unwrap();
        assert!(cluster().fits(&begun) && !Layout::One.fits(&begun));
    }

    #[test]
    fn names_that_could_leave_their_quotes_are_none() {
        for good in ["nation", "vn-1", "a.b_c"] {
            assert!(is_name(good), "{good}");
        }
        for wrong in ["", "a b", "a'b", "a`b", "a/b", "{shard}", &"a".repeat(65)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }

    /// Statements outside this module that work on the parts of a table, on its definition, or ask what lies on the disks: each of them has
    /// to be thought about for a cluster. `(file, how it begins, why it may stand there)`.
    const ELSEWHERE: [(&str, &str, &str); 3] = [
        ("store/retention/apply.rs", "ALTER TABLE events DROP PART", "only on one machine"),
        ("store/cold/view.rs", "CREATE OR REPLACE TABLE", "the cold tier is refused on a cluster"),
        ("store/cold/view.rs", "CREATE OR REPLACE VIEW", "the cold tier is refused on a cluster"),
    ];

    #[test]
    fn statements_that_depend_on_the_layout_are_made_here() {
        const WORDS: [&str; 12] = [
            "ALTER TABLE",
            "DELETE FROM",
            "DROP DATABASE",
            "DROP TABLE",
            "DROP PART",
            "TRUNCATE",
            "OPTIMIZE TABLE",
            "CREATE OR REPLACE",
            "CREATE TABLE",
            "FROM system.parts",
            "FROM system.disks",
            "FROM system.mutations",
        ];
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut folders, mut found) = (vec![root.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                let own = name.starts_with("store/cluster")
                    || name.starts_with("store/migrate")
                    || name.ends_with("tests.rs");
                if own || !name.ends_with(".rs") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
                for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
                    let told = ELSEWHERE
                        .iter()
                        .any(|(file, begins, _)| name == *file && line.contains(begins));
                    if !told && WORDS.iter().any(|word| line.contains(word)) {
                        found.push(format!("{name}: {line}"));
                    }
                }
            }
        }
        assert_eq!(found, Vec::<String>::new());
    }
}
