//! Roll-ups: sums of events by minute, hour and day, each event in them exactly once.
//!
//! They are made of stored rows by `INSERT ... SELECT` some seconds after the rows, and not by a materialised view with them. A view is
//! written by the same insert but not in one piece with it: what a crash left out cannot be told from what it left in, and a block that
//! is cut anew after a crash has another name. Taking the buckets out and summing them anew would need raw rows that retention may
//! have dropped. So instead:
//!
//! * Only what lies below a partition's progress is rolled up. Those rows never change, and none is added to them.
//! * A row of the roll-ups belongs to one partition of Kafka, so that its holder alone writes it, and keeps the highest offset in it.
//! * One insert covers a range of offsets. The engine writes it whole or not at all for each span and month (`PARTITION BY`, one block).
//!   So for each span, month and partition the highest offset tells all: what is at or below it is in, what is above it is not.
//! * The mark `rollup/<topic>` in `progress` says up to where all spans and months are done. It is written behind the insert.
//!
//! After a crash the holder asks for the highest offsets at or above the mark, and inserts what lies above them. Nothing is taken out, so
//! it can be broken off and begun again anywhere. A retried insert has the same token, so that an answer that was lost counts nothing
//! twice; and the token of the last insert of whoever held a partition before is taken away first ([`crate::tenure`]). A store that has rows and no roll-ups is the same case with a mark of 0: it is caught up in steps, beside the ordinary work,
//! and until a partition has its mark, figures are summed over raw rows ([`Store::rolled_up`]).
//!
//! Late events go to the minute of their own time. One insert makes at most three parts for each month that it touches.

use std::collections::HashMap;

use clickhouse::{Row, query::Query};
use serde::{Deserialize, Serialize};
use vonggac_wire::topic;

use super::{ProgressPart, Store, StoreError};
use crate::tenure::Next;

/// A table of roll-ups, for whatever keeps, copies or drops them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The column of its time: where the bucket begins.
    pub time: &'static str,
    /// Its partition key, as in `ALTER TABLE ... DROP PARTITION`: a span's name and a month as 202611.
    pub partition: &'static str,
}

/// All of them.
pub const TABLES: [Table; 1] =
    [Table { name: "rollups", time: "bucket", partition: "(span, month)" }];

/// What is summed: a column of the roll-ups, and what one event adds to it. Flags of documents count the documents of the event.
pub const SUMMED: [(&str, &str); 18] = [
    ("events", "1"),
    ("count", "count"),
    ("online", "toUInt8(ifNull(online, false))"),
    ("told_online", "toUInt8(online IS NOT NULL)"),
    ("full_process", "toUInt8(ifNull(full_process, false))"),
    ("told_full_process", "toUInt8(full_process IS NOT NULL)"),
    ("digitised", "toUInt8(ifNull(digitised, false))"),
    ("told_digitised", "toUInt8(digitised IS NOT NULL)"),
    ("on_time", "toUInt8(ifNull(on_time, false))"),
    ("told_on_time", "toUInt8(on_time IS NOT NULL)"),
    ("electronic", "if(ifNull(electronic, false), count, 0)"),
    ("told_electronic", "if(electronic IS NOT NULL, count, 0)"),
    ("scored", "toUInt8(score > 0)"),
    ("satisfied", "toUInt8(score >= 4)"),
    ("score", "score"),
    ("response_bytes", "response_bytes"),
    ("timed", "toUInt8(total_seconds > 0)"),
    ("seconds", "total_seconds"),
];

/// What is not summed: a column, the aggregate over events, the aggregate over that.
const MERGED: [(&str, &str, &str); 4] = [
    ("seconds_max", "max(total_seconds)", "max"),
    ("users", "uniqCombinedIfState(user, user != '')", "uniqCombinedIfMergeState"),
    ("newest", "max(time)", "max"),
    ("last_offset", "max(kafka_offset)", "max"),
];

/// By what is summed, beside span, bucket and month.
const KEYS: &str = "agency, class, status, lane, system, usage_service, step, simulated, kafka_topic, kafka_partition";

/// The minute of an event. Times before 1970 and after 2106 stand at the ends.
const MINUTE: &str = "toStartOfMinute(toDateTime(toUInt32(greatest(0, least(toUnixTimestamp64Second(time), 4294967295))), 'UTC'))";

/// Rows that one insert makes stay in one block, so that it is written whole or not at all.
const BLOCK_ROWS_MAX: &str = "100000000";

/// Bytes of such a block: above what the greatest range makes.
const BLOCK_BYTES_MAX: &str = "4000000000";

/// How wide a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Span {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl Span {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Its width.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// Offsets of one partition, from the first to before the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// Behind the last.
    pub to: i64,
}

/// Between what times the rows of a range lie, so that the engine need not look elsewhere. Microseconds, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Events' own times.
    pub time: (i64, i64),
    /// Times that decide their month: clamped as in the table `events`.
    pub clamped: (i64, i64),
}

/// One insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert {
    /// What is rolled up.
    pub shares: Vec<Share>,
    /// Where its rows lie, if that is known.
    pub extent: Option<Extent>,
    /// Into which spans.
    pub spans: Vec<Span>,
    /// What is in already: of a partition's month all up to an offset.
    pub without: Vec<Held>,
}

impl Insert {
    /// Its text; the shares' values are bound to the question marks.
    fn text(&self) -> String {
        let columns = || SUMMED.iter().map(|(name, _)| *name);
        let merged = || MERGED.iter().map(|(name, ..)| *name);
        let list = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
        let each = list(
            &mut SUMMED
                .iter()
                .map(|(name, row)| format!("sum({row}) AS of_{name}"))
                .chain(MERGED.iter().map(|(name, first, _)| format!("{first} AS of_{name}"))),
        );
        let all = list(
            &mut columns()
                .map(|name| format!("sum(of_{name})"))
                .chain(MERGED.iter().map(|(name, _, again)| format!("{again}(of_{name})"))),
        );
        let spans = list(&mut self.spans.iter().map(|span| format!("'{}'", span.name())));
        format!(
            "INSERT INTO rollups (span, bucket, month, {KEYS}, {}) \
             SELECT of_span, multiIf(of_span = 'minute', of_minute, of_span = 'hour', toStartOfHour(of_minute), toStartOfDay(of_minute)) AS start, \
             of_month, {KEYS}, {all} FROM (SELECT {MINUTE} AS of_minute, toYYYYMM(day) AS of_month, {KEYS}, {each} FROM events WHERE {} \
             GROUP BY of_minute, of_month, {KEYS}) ARRAY JOIN [{spans}] AS of_span GROUP BY of_span, start, of_month, {KEYS}",
            list(&mut columns().chain(merged()).map(str::to_owned)),
            self.condition(),
        )
    }

    fn condition(&self) -> String {
        let mut text = ranges(&self.shares);
        if let Some(Extent { time, clamped }) = self.extent {
            text.push_str(&format!(
                " AND time >= fromUnixTimestamp64Micro({}, 'UTC') AND time <= fromUnixTimestamp64Micro({}, 'UTC') \
                 AND day >= toDate(fromUnixTimestamp64Micro({}, 'UTC')) AND day <= toDate(fromUnixTimestamp64Micro({}, 'UTC'))",
                time.0, time.1, clamped.0, clamped.1
            ));
        }
        for held in &self.without {
            text.push_str(&format!(
                " AND NOT (kafka_topic = ? AND kafka_partition = {} AND toYYYYMM(day) = {} AND kafka_offset <= {})",
                held.partition, held.month, held.last
            ));
        }
        text
    }
}

/// The offsets of shares; [`bind`] gives the values.
fn ranges(shares: &[Share]) -> String {
    let each =
        "(kafka_topic = ? AND kafka_partition = ? AND kafka_offset >= ? AND kafka_offset < ?)";
    format!("({})", vec![each; shares.len()].join(" OR "))
}

fn bind(query: Query, shares: &[Share]) -> Query {
    shares.iter().fold(query, |query, share| {
        query.bind(share.topic.as_str()).bind(share.partition).bind(share.from).bind(share.to)
    })
}

/// The topic under which `progress` keeps up to where a partition is rolled up.
fn mark(topic: &str) -> String {
    format!("rollup/{topic}")
}

/// The same while the partition is being caught up.
fn step(topic: &str) -> String {
    format!("rollup-step/{topic}")
}

/// What the roll-ups hold of a partition above an offset.
#[derive(Clone, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Held {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The span's name.
    pub span: String,
    /// The month.
    pub month: u32,
    /// The highest offset that is in.
    pub last: i64,
}

impl Held {
    /// Whether it is of the same partition.
    #[must_use]
    pub fn is_of(&self, share: &Share) -> bool {
        (&self.topic, self.partition) == (&share.topic, share.partition)
    }
}

impl Store {
    /// Rolls up. The same token a second time is harmless.
    ///
    /// # Errors
    /// If the engine does not do it.
    pub async fn roll_up(&self, insert: &Insert, token: &str) -> Result<(), StoreError> {
        let query = bind(self.client().query(&insert.text()), &insert.shares);
        let query = insert
            .without
            .iter()
            .fold(query, |query, held| query.bind(held.topic.as_str()))
            .with_setting("max_insert_threads", "1")
            .with_setting("min_insert_block_size_rows", BLOCK_ROWS_MAX)
            .with_setting("min_insert_block_size_bytes", BLOCK_BYTES_MAX)
            .with_setting("insert_deduplication_token", token);
        Ok(query.execute().await?)
    }

    /// What the roll-ups hold of partitions at or above where these shares begin: what a crash left between insert and mark.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn rollups_held(&self, shares: &[Share]) -> Result<Vec<Held>, StoreError> {
        self.settle("rollups").await?;
        let places =
            vec!["(kafka_topic = ? AND kafka_partition = ? AND last_offset >= ?)"; shares.len()];
        let text = format!(
            "SELECT toString(kafka_topic) AS topic, kafka_partition AS partition, toString(span) AS span, month, max(last_offset) AS last \
             FROM rollups WHERE {} GROUP BY topic, partition, span, month",
            places.join(" OR ")
        );
        let query = shares.iter().fold(self.client().query(&text), |query, share| {
            query.bind(share.topic.as_str()).bind(share.partition).bind(share.from)
        });
        Ok(query.fetch_all().await?)
    }

    /// Rows of ranges.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn rows_between(&self, shares: &[Share]) -> Result<u64, StoreError> {
        let text = format!("SELECT count() FROM events WHERE {}", ranges(shares));
        Ok(bind(self.client().query(&text), shares).fetch_one().await?)
    }

    /// Up to where partitions are rolled up; with `true` where that is all that is stored.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn rollup_marks(&self) -> Result<HashMap<(String, i32), (i64, bool)>, StoreError> {
        self.settle("progress").await?;
        let rows: Vec<(String, i32, u64)> = self
            .client()
            .query(
                "SELECT topic, partition, max(value) FROM progress WHERE agent = '' AND startsWith(topic, 'rollup') GROUP BY topic, partition",
            )
            .fetch_all()
            .await?;
        let mut marks: HashMap<(String, i32), (i64, bool)> = HashMap::new();
        for (name, partition, value) in rows {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            let (topic, whole) = match name.split_once('/') {
                Some(("rollup", topic)) => (topic, true),
                Some((_, topic)) => (topic, false),
                None => continue,
            };
            let known = marks.entry((topic.to_owned(), partition)).or_default();
            *known = (known.0.max(value), known.1 || whole);
        }
        Ok(marks)
    }

    /// Writes up to where partitions are rolled up. `whole`: that is all that was stored of them, and figures may be read there.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn save_rollup_marks(
        &self,
        shares: &[Share],
        whole: bool,
        next: &Next,
    ) -> Result<(), StoreError> {
        let parts: Vec<ProgressPart> = shares
            .iter()
            .map(|share| ProgressPart {
                topic: if whole { mark(&share.topic) } else { step(&share.topic) },
                partition: share.partition,
                next_offset: share.to,
                held: Vec::new(),
            })
            .collect();
        self.save_progress(&parts, Some(next)).await
    }

    /// Whether every partition that has rows was rolled up once: if not, a store of before is being caught up.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn rolled_up(&self) -> Result<bool, StoreError> {
        let topics = topic::EVENTS.map(|topic| format!("'{topic}'")).join(", ");
        let missing: u64 = self
            .client()
            .query(&format!(
                "SELECT count() FROM (SELECT DISTINCT topic, partition FROM progress WHERE agent = '' AND topic IN ({topics})) \
                 WHERE (concat('rollup/', toString(topic)), partition) NOT IN (SELECT toString(topic), partition FROM progress WHERE agent = '')"
            ))
            .fetch_one()
            .await?;
        Ok(missing == 0)
    }
}
