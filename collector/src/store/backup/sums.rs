//! The roll-ups of a copy: sums outlive their rows, so they cannot be made again from the rows that are restored.
//!
//! **Marks first, then the roll-ups, then the picture of progress.** A partition's mark says up to where all is in the roll-ups, and
//! nothing in them is above its progress. So the copy's marks are at or below its roll-ups, and these at or below its progress: that is what
//! a crash between an insert of roll-ups and its mark leaves, and whoever goes on from the restored store does what is done then. It
//! asks for the highest offset of each span, month and partition, and sums what lies above ([`crate::store::rollup`]).
//!
//! That offset tells all only of a share (span, month, topic, partition) that was read at one moment. A share that is read in several
//! pieces is read until none of them changed any more; pieces are days, since all but the newest hardly ever change.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::{BackupError, Copy, FILE_ROWS_MAX, FileEntry, TRIES_MAX, TableEntry};
use crate::{
    retention::quoted,
    store::{ProgressRow, cold::Columns, rollup},
};

/// The one table of roll-ups.
pub(super) const TABLE: &str = rollup::TABLES[0].name;

/// One row for each key, however the engine's merges stand.
const SOURCE: &str = "rollups FINAL";

/// A row's hash. The order of merges changes the last digits of a sum of fractions, and a set of users has no hash but how many they are.
const HASH: &str = "cityHash64(span, bucket, month, agency, class, status, lane, system, usage_service, step, simulated, kafka_topic, kafka_partition, events, \
    count, online, told_online, full_process, told_full_process, digitised, told_digitised, on_time, told_on_time, electronic, told_electronic, scored, \
    satisfied, score, response_bytes, timed, round(seconds, 3), seconds_max, finalizeAggregation(users), newest, last_offset)";

/// Shares that are copied between two signs of life: each takes some hundredths of a second.
const SHARES_EACH_SIGN: usize = 100;

/// What one partition has of a span's month.
#[derive(Clone, Debug, Row, Serialize, Deserialize)]
struct Share {
    of_span: String,
    month: u32,
    topic: String,
    partition: i32,
    rows: u64,
}

impl Share {
    fn condition(&self) -> String {
        format!(
            "span = {} AND month = {} AND kafka_topic = {} AND kafka_partition = {}",
            quoted(&self.of_span),
            self.month,
            quoted(&self.topic),
            self.partition
        )
    }

    /// By what it is read in pieces.
    const fn pieces(&self) -> &'static str {
        if self.rows > FILE_ROWS_MAX { "toUInt32(toRelativeDayNum(bucket))" } else { "toUInt32(0)" }
    }
}

/// What a piece comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
struct Piece {
    number: u32,
    rows: u64,
    checksum: u64,
}

/// Pieces that are read until all of them are of one moment.
struct Gathering<T> {
    /// What they came to when they were last looked at together.
    seen: Vec<Piece>,
    read: Vec<(Piece, T)>,
}

impl<T> Gathering<T> {
    const fn of(seen: Vec<Piece>) -> Self {
        Self { seen, read: Vec::new() }
    }

    fn missing(&self) -> Vec<Piece> {
        let is_read = |piece: &&Piece| self.read.iter().any(|(known, _)| known == *piece);
        self.seen.iter().filter(|piece| !is_read(piece)).copied().collect()
    }

    fn took(&mut self, piece: Piece, what: T) {
        self.read.push((piece, what));
    }

    /// Whether nothing changed since they were last looked at. What changed while it was read may be of either moment: it is missing again.
    fn is_whole(&mut self, now: Vec<Piece>) -> bool {
        let whole = now == self.seen;
        self.read.retain(|(known, _)| now.contains(known));
        self.seen = now;
        whole
    }
}

impl Copy<'_> {
    /// The marks of the roll-ups, and then the roll-ups themselves.
    pub(super) async fn sums(&self) -> Result<(Vec<ProgressRow>, TableEntry), BackupError> {
        self.store.settle("progress").await?;
        let marks: Vec<(String, i32, u64, u64)> = self
            .store
            .client()
            .query("SELECT toString(p.topic) AS of_topic, p.partition, max(p.value), max(p.version) FROM progress AS p WHERE p.agent = '' AND startsWith(p.topic, 'rollup') GROUP BY of_topic, p.partition ORDER BY of_topic, p.partition")
            .fetch_all()
            .await?;
        let mark = |(topic, partition, value, version)| ProgressRow {
            topic,
            partition,
            agent: String::new(),
            value,
            ahead: Vec::new(),
            version,
        };
        self.store.settle(TABLE).await?;
        let columns = Columns { hash: HASH.into(), ..self.store.columns(TABLE).await? };
        let shares: Vec<Share> = self
            .store
            .client()
            .query("SELECT toString(span) AS of_span, month, toString(kafka_topic) AS topic, kafka_partition AS partition, count() AS rows FROM rollups GROUP BY of_span, month, topic, partition ORDER BY of_span, month, topic, partition")
            .fetch_all()
            .await?;
        let mut entry = TableEntry {
            table: TABLE.into(),
            columns: columns.names.clone(),
            rows: 0,
            checksum: 0,
            hash: HASH.into(),
            files: Vec::new(),
        };
        for (index, share) in shares.iter().enumerate() {
            if index % SHARES_EACH_SIGN == 0 {
                self.lease.beat().await?;
            }
            for (piece, file) in self.share(share, index, &columns).await? {
                entry.rows += piece.rows;
                entry.checksum = entry.checksum.wrapping_add(piece.checksum);
                entry.files.push(file);
            }
        }
        (self.tell)(&format!("{TABLE}: {} rows", entry.rows));
        Ok((marks.into_iter().map(mark).collect(), entry))
    }

    /// One share as of one moment, in as many files as it has pieces.
    async fn share(
        &self,
        share: &Share,
        index: usize,
        columns: &Columns,
    ) -> Result<Vec<(Piece, FileEntry)>, BackupError> {
        let mut gathering = Gathering::of(self.pieces(share).await?);
        for _ in 0..TRIES_MAX {
            for piece in gathering.missing() {
                if gathering.seen.len() > 1 {
                    self.lease.beat().await?;
                }
                let condition =
                    format!("{} AND {} = {}", share.condition(), share.pieces(), piece.number);
                let plain = self.rows(SOURCE, &condition, columns).await?;
                let name = format!("{TABLE}/{}/{index}-{}.native.zst", share.month, piece.number);
                gathering.took(piece, self.write(&name, piece.rows, plain).await?);
            }
            if gathering.is_whole(self.pieces(share).await?) {
                return Ok(gathering.read);
            }
        }
        Err(BackupError::Busy(TABLE))
    }

    async fn pieces(&self, share: &Share) -> Result<Vec<Piece>, BackupError> {
        let text = format!(
            "SELECT {} AS number, count() AS rows, sum({HASH}) AS checksum FROM {SOURCE} WHERE {} GROUP BY number ORDER BY number",
            share.pieces(),
            share.condition()
        );
        Ok(self.store.client().query_raw(&text).fetch_all().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(all: &[(u32, u64)]) -> Vec<Piece> {
        all.iter()
            .map(|(number, rows)| Piece { number: *number, rows: *rows, checksum: *rows })
            .collect()
    }

    fn missing(gathering: &Gathering<u64>) -> Vec<u32> {
        gathering.missing().iter().map(|piece| piece.number).collect()
    }

    #[test]
    fn only_what_changed_is_read_again_and_all_of_it_is_of_one_moment() {
        let mut gathering = Gathering::of(pieces(&[(1, 5), (2, 7)]));
        assert_eq!(missing(&gathering), [1, 2]);
        for piece in gathering.missing() {
            gathering.took(piece, piece.rows);
        }
        // One grew while it was read, and one came.
        assert!(!gathering.is_whole(pieces(&[(1, 5), (2, 8), (3, 1)])));
        assert_eq!(missing(&gathering), [2, 3]);
        for piece in gathering.missing() {
            gathering.took(piece, piece.rows);
        }
        assert!(gathering.is_whole(pieces(&[(1, 5), (2, 8), (3, 1)])));
        let rows: Vec<u64> = gathering.read.iter().map(|(_, rows)| *rows).collect();
        assert_eq!(rows, [5, 8, 1]);
    }

    #[test]
    fn a_share_is_one_piece_unless_it_is_large() {
        let share = |rows| Share {
            of_span: "minute".into(),
            month: 202_611,
            topic: "a'b".into(),
            partition: 3,
            rows,
        };
        assert_eq!(share(FILE_ROWS_MAX).pieces(), "toUInt32(0)");
        assert!(share(FILE_ROWS_MAX + 1).pieces().contains("bucket"));
        assert_eq!(
            share(1).condition(),
            "span = 'minute' AND month = 202611 AND kafka_topic = 'a\\'b' AND kafka_partition = 3"
        );
    }
}
