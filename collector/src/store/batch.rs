//! What was written down of each record that was taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_evidence::batch::Batch;
use vonggac_wire::Time;

use super::{
    GapRow, Store, StoreError,
    row::{Columns, EventRow, Leaves},
};
use crate::{
    record::Record,
    tenure::Key,
    trust::{
        holding::Lane,
        merkle::{Hash, MARK_BYTES, Tree},
    },
};

/// Days that events may be older than their record: an agent's outage, and a spool that was carried.
const LATE_DAYS: [u32; 2] = [4, 35];

/// A row of the table `batches`; see migration 27. Times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Row, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns are those of the migration, in its words")]
pub struct BatchRow {
    pub agency: String,
    pub agent: String,
    pub host: String,
    pub lane: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub boot: [u8; 16],
    pub first_seq: u64,
    pub last_seq: u64,
    pub rows: u32,
    pub absent: Vec<(u32, u32)>,
    pub ahead: bool,
    pub simulated: bool,
    pub hash: Hash,
    pub previous: Hash,
    pub sealed: i64,
    pub appended: i64,
    pub key_id: String,
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
    pub root: Hash,
    #[serde(with = "serde_bytes")]
    pub marks: Vec<u8>,
}

impl BatchRow {
    /// Of a record, without those of its rows that were refused.
    #[must_use]
    pub fn of(record: &Record, refused: &BTreeSet<u32>, leaves: &mut Leaves) -> Self {
        let (batch, seal) = (&record.batch, record.seal.as_ref());
        let (mut tree, mut marks, mut absent) =
            (Tree::default(), Vec::new(), Vec::<(u32, u32)>::new());
        let mut rows = 0;
        for (index, event) in (0_u32..).zip(&batch.events) {
            if record.known.holds(index as usize) || refused.contains(&index) {
                match absent.last_mut() {
                    Some((_, last)) if *last + 1 == index => *last = index,
                    _ => absent.push((index, index)),
                }
                continue;
            }
            let leaf = leaves.of(&Columns::of(record, index, event, 0));
            marks.extend_from_slice(&leaf[..MARK_BYTES]);
            tree.add(leaf);
            rows += 1;
        }
        Self {
            agency: batch.agency.to_string(),
            agent: batch.agent.to_string(),
            host: batch.host.clone(),
            lane: batch.lane.name().into(),
            topic: record.origin.topic.clone(),
            partition: record.origin.partition,
            offset: record.origin.offset,
            boot: batch.boot,
            first_seq: batch.first_seq,
            last_seq: batch.last_seq(),
            rows,
            absent,
            ahead: batch.ahead,
            simulated: batch.simulated,
            hash: record.hash.0,
            previous: batch.previous.map(|hash| hash.0).unwrap_or_default(),
            sealed: batch.sealed.micros(),
            appended: record.appended.micros(),
            key_id: seal.map(|seal| seal.key_id.clone()).unwrap_or_default(),
            signature: seal.map(|seal| seal.signature.clone()).unwrap_or_default(),
            root: tree.root(),
            marks,
        }
    }

    /// The same as it is given out.
    #[must_use]
    pub fn into_batch(self) -> Batch {
        Batch {
            agency: self.agency,
            agent: self.agent,
            host: self.host,
            lane: self.lane,
            topic: self.topic,
            partition: self.partition,
            offset: self.offset,
            boot: self.boot,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            rows: self.rows,
            absent: self.absent,
            ahead: self.ahead,
            simulated: self.simulated,
            hash: self.hash,
            previous: self.previous,
            sealed: self.sealed,
            appended: self.appended,
            key_id: self.key_id,
            signature: self.signature,
            root: self.root,
            marks: self.marks,
        }
    }
}

/// Which batches are asked for.
#[derive(Clone, Debug)]
pub struct Span {
    /// The agency.
    pub agency: String,
    /// Of one host; empty: of all.
    pub host: String,
    /// Appended at or after.
    pub since: Time,
    /// And before.
    pub until: Time,
}

impl Store {
    /// Keeps what is written down of records. The same again changes nothing.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub async fn insert_batches(&self, rows: &[BatchRow]) -> Result<(), StoreError> {
        self.writes("batches", self.write_batches(rows)).await
    }

    async fn write_batches(&self, rows: &[BatchRow]) -> Result<(), StoreError> {
        let mut insert = self.client().insert::<BatchRow>("batches").await?;
        for row in rows {
            insert.write(row).await?;
        }
        Ok(insert.end().await?)
    }

    /// Partitions that have batches of a span.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn batch_partitions(&self, span: &Span) -> Result<Vec<Key>, StoreError> {
        Ok(self
            .client()
            .query(
                "SELECT DISTINCT toString(topic), partition FROM batches WHERE agency = ? AND (? = '' OR host = ?) \
                 AND appended >= fromUnixTimestamp64Micro(?, 'UTC') AND appended < fromUnixTimestamp64Micro(?, 'UTC') \
                 ORDER BY topic, partition",
            )
            .bind(&span.agency)
            .bind(&span.host)
            .bind(&span.host)
            .bind(span.since.micros())
            .bind(span.until.micros())
            .fetch_all()
            .await?)
    }

    /// The first offset of each partition of which anything is written down.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn first_batches(&self) -> Result<BTreeMap<Key, i64>, StoreError> {
        let rows: Vec<(String, i32, i64)> = self
            .client()
            .query("SELECT toString(topic), partition, min(offset) FROM batches GROUP BY topic, partition")
            .fetch_all()
            .await?;
        Ok(rows.into_iter().map(|(topic, number, first)| ((topic, number), first)).collect())
    }

    /// The next batches of a partition in a span, from an offset on, in order.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn batches(
        &self,
        span: &Span,
        key: &Key,
        from: i64,
        limit: u32,
    ) -> Result<Vec<BatchRow>, StoreError> {
        Ok(self
            .client()
            .query(
                "SELECT ?fields FROM batches FINAL WHERE agency = ? AND (? = '' OR host = ?) AND topic = ? AND partition = ? AND offset >= ? \
                 AND appended >= fromUnixTimestamp64Micro(?, 'UTC') AND appended < fromUnixTimestamp64Micro(?, 'UTC') \
                 ORDER BY offset LIMIT ?",
            )
            .bind(&span.agency)
            .bind(&span.host)
            .bind(&span.host)
            .bind(&key.0)
            .bind(key.1)
            .bind(from)
            .bind(span.since.micros())
            .bind(span.until.micros())
            .bind(limit)
            .fetch_all()
            .await?)
    }

    /// Rows of an agency, and of these agents where any are named, between two offsets of a partition.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn rows_of_records(
        &self,
        agency: &str,
        agents: &[String],
        key: &Key,
        ends: (i64, i64),
    ) -> Result<Vec<EventRow>, StoreError> {
        self.rows_of("events", agency, agents, key, ends).await
    }

    /// The same of an agency, also of what went to the cold tier: where the engine has fewer than `wanted`, files of the days around the
    /// times at which the records were `appended` are read, and then those of the weeks before.
    ///
    /// # Errors
    /// If the engine or the cold tier does not answer.
    pub async fn rows_anywhere(
        &self,
        agency: &str,
        key: &Key,
        ends: (i64, i64),
        (wanted, appended): (u64, (Time, Time)),
    ) -> Result<Vec<EventRow>, StoreError> {
        let mut rows = self.rows_of("events", agency, &[], key, ends).await?;
        for days in LATE_DAYS {
            if rows.len() as u64 >= wanted {
                break;
            }
            let day = Duration::from_secs(86_400);
            let (since, until) = (appended.0.minus(day * days), appended.1.plus(day));
            let source = self.events_of(since, until, &[agency]).await?;
            if source == "events" {
                continue;
            }
            rows = self.rows_of(&source, agency, &[], key, ends).await?;
        }
        Ok(rows)
    }

    async fn rows_of(
        &self,
        source: &str,
        agency: &str,
        agents: &[String],
        key: &Key,
        (first, last): (i64, i64),
    ) -> Result<Vec<EventRow>, StoreError> {
        let of_agents = if agents.is_empty() { "" } else { " AND has(?, toString(agent))" };
        let text = format!(
            "SELECT ?fields FROM {source} WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset BETWEEN ? AND ? AND agency = ?{of_agents}"
        );
        let query = self.reader().query(&text).bind(&key.0).bind(key.1).bind(first).bind(last);
        let mut query = query.bind(agency);
        if !agents.is_empty() {
            query = query.bind(agents);
        }
        Ok(query.fetch_all().await?)
    }

    /// Since when anything is written down of records; `None`: nothing is.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn evidence_begins(&self) -> Result<Option<Time>, StoreError> {
        let (count, first): (u64, i64) = self
            .client()
            .query("SELECT count(), toUnixTimestamp64Micro(min(appended)) FROM batches")
            .fetch_one()
            .await?;
        Ok((count > 0).then(|| Time(first.saturating_mul(1000))))
    }

    /// Rows of a span, by either of their times, whose records nobody wrote down.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn rows_beside(
        &self,
        span: &Span,
        begins: Time,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let within = |column: &str| {
            format!(
                "{column} >= fromUnixTimestamp64Micro(?, 'UTC') AND {column} < fromUnixTimestamp64Micro(?, 'UTC')"
            )
        };
        let text = format!(
            "SELECT ?fields FROM events WHERE agency = ? AND (? = '' OR host = ?) AND (({}) OR ({})) \
             AND stored >= fromUnixTimestamp64Micro(?, 'UTC') \
             AND (kafka_topic, kafka_partition, kafka_offset) NOT IN (SELECT topic, partition, offset FROM batches WHERE agency = ?) \
             ORDER BY kafka_topic, kafka_partition, kafka_offset, kafka_index LIMIT ?",
            within("stored"),
            within("time")
        );
        let mut query = self.client().query(&text).bind(&span.agency);
        query = query.bind(&span.host).bind(&span.host);
        for _ in 0..2 {
            query = query.bind(span.since.micros()).bind(span.until.micros());
        }
        let query = query.bind(begins.micros()).bind(&span.agency).bind(limit);
        Ok(query.fetch_all().await?)
    }

    /// Months of which retention took rows of an agency, out of the store or to the cold tier.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn retired_months(&self, agency: &str) -> Result<BTreeSet<u32>, StoreError> {
        let query =
            "SELECT DISTINCT month FROM deletions WHERE what = 'events' AND agency IN (?, '')";
        let months: Vec<u32> = self.client().query(query).bind(agency).fetch_all().await?;
        Ok(months.into_iter().collect())
    }

    /// What the batches of a span say of each lane.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn lanes(&self, span: &Span, limit: u64) -> Result<Vec<Lane>, StoreError> {
        // Beyond an agent's mark what went ahead is held; between them the rest waits.
        let waiting = "SELECT toString(topic) AS topic, agent, sum(if(empty(ranges), 0, arrayMax(r -> r.2, ranges) - mark - arraySum(r -> r.2 - r.1 + 1, ranges))) AS waiting \
             FROM (SELECT topic, partition, agent, argMax(value, version) AS mark, argMax(ahead, version) AS ranges FROM progress WHERE agent != '' GROUP BY topic, partition, agent) \
             GROUP BY topic, agent";
        let text = format!(
            "SELECT toString(b.agency) AS of_agency, toString(b.agent) AS of_agent, any(toString(b.host)) AS of_host, toString(b.lane) AS of_lane, \
             min(b.first_seq) AS lowest, max(b.last_seq) AS highest, toUInt64(sum(b.rows)) AS held, count() AS all_batches, \
             countIf(b.key_id != '') AS all_sealed, toUInt64(any(w.waiting)) AS waits, \
             toUInt32(uniqExactIf(toStartOfHour(b.appended), (b.agency, b.agent, toStartOfHour(b.appended)) IN (SELECT agency, agent, toDateTime(hour, 'UTC') FROM receipts))) AS signed \
             FROM (SELECT * FROM batches FINAL WHERE agency = ? AND (? = '' OR host = ?) \
             AND appended >= fromUnixTimestamp64Micro(?, 'UTC') AND appended < fromUnixTimestamp64Micro(?, 'UTC')) AS b \
             LEFT JOIN ({waiting}) AS w ON w.topic = toString(b.topic) AND w.agent = toString(b.agent) \
             GROUP BY b.agency, b.agent, b.lane ORDER BY b.agency, b.agent, b.lane LIMIT ?"
        );
        Ok(self
            .client()
            .query(&text)
            .bind(&span.agency)
            .bind(&span.host)
            .bind(&span.host)
            .bind(span.since.micros())
            .bind(span.until.micros())
            .bind(limit)
            .fetch_all()
            .await?)
    }

    /// Gaps of an agency that were found since a span began.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn gaps_of(&self, span: &Span, limit: u64) -> Result<Vec<GapRow>, StoreError> {
        Ok(self
            .client()
            .query(
                "SELECT ?fields FROM gaps FINAL WHERE agency = ? AND (? = '' OR host = ?) AND time >= fromUnixTimestamp64Micro(?, 'UTC') \
                 ORDER BY time LIMIT ?",
            )
            .bind(&span.agency)
            .bind(&span.host)
            .bind(&span.host)
            .bind(span.since.micros())
            .bind(limit)
            .fetch_all()
            .await?)
    }
}
