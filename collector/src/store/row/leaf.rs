//! What a row says, as one hash: computed of an event that came and of a row that is stored, so that each column that was changed is seen.
//! What is hashed can be read again: [`vonggac_evidence::row`].
//!
//! All columns count except `stored`: a row that a collector stored just before it died was stored at a time that the one behind it cannot
//! know.

use vonggac_evidence::{
    compare::{Found, Rows},
    row::{self, FORM},
};

use super::{Columns, EventRow};
use crate::trust::merkle::{Hash, LEAF};

/// Hashes rows, one after the other, in one piece of memory.
#[derive(Debug, Default)]
pub struct Leaves {
    bytes: Vec<u8>,
}

impl Leaves {
    /// The hash of a row.
    pub fn of(&mut self, row: &Columns<'_>) -> Hash {
        row::leaf(self.bytes_of(row))
    }

    /// What is hashed of a row.
    pub fn bytes_of(&mut self, row: &Columns<'_>) -> &[u8] {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[LEAF, FORM]);
        self.write(row);
        &self.bytes
    }

    fn text(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(text);
    }

    fn flag(&mut self, flag: Option<bool>) {
        self.bytes.push(match flag {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
    }

    fn write(&mut self, row: &Columns<'_>) {
        for text in texts(row) {
            self.text(text.as_bytes());
        }
        self.text(row.raw);
        for number in numbers(row) {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        for flag in flags(row) {
            self.flag(flag);
        }
        self.bytes.extend_from_slice(&(row.fields.len() as u64).to_le_bytes());
        for (name, value) in &row.fields {
            self.text(name.as_bytes());
            self.text(value.as_bytes());
        }
    }
}

/// What rows come to.
#[must_use]
pub fn found(rows: &[EventRow]) -> Rows {
    let mut leaves = Leaves::default();
    let mut all = Rows::new();
    for row in rows {
        let found = Found { index: row.kafka_index, leaf: leaves.of(&row.columns()) };
        all.entry(row.kafka_offset).or_default().push(found);
    }
    for rows in all.values_mut() {
        rows.sort_by_key(|row| (row.index, row.leaf));
    }
    all
}

fn texts<'a>(row: &'a Columns<'_>) -> [&'a str; 26] {
    [
        row.agency,
        row.class,
        row.host,
        row.system,
        row.agent,
        row.lane,
        row.status,
        row.status_detail,
        row.user,
        row.actor_user,
        &row.src_ip,
        row.service,
        row.process,
        row.command,
        row.http_method,
        row.url,
        row.user_agent,
        row.check_name,
        row.check_target,
        row.usage_service,
        row.step,
        row.message,
        row.source,
        row.format,
        row.time_doubt,
        row.kafka_topic,
    ]
}

fn numbers(row: &Columns<'_>) -> [u64; 18] {
    [
        row.time.cast_unsigned(),
        row.observed.cast_unsigned(),
        row.kafka_offset.cast_unsigned(),
        i64::from(row.kafka_partition).cast_unsigned(),
        row.seq,
        row.response_bytes,
        row.count,
        row.raw_cut_bytes,
        row.source_offset,
        row.class_uid.into(),
        row.activity_id.into(),
        row.severity_id.into(),
        row.src_port.into(),
        row.pid.into(),
        row.http_status.into(),
        row.score.into(),
        row.kafka_index.into(),
        row.total_seconds.to_bits(),
    ]
}

const fn flags(row: &Columns<'_>) -> [Option<bool>; 6] {
    [row.online, row.full_process, row.digitised, row.on_time, row.electronic, Some(row.simulated)]
}

impl EventRow {
    /// The row as it was written.
    #[must_use]
    pub fn columns(&self) -> Columns<'_> {
        Columns {
            agency: &self.agency,
            class: &self.class,
            time: self.time,
            observed: self.observed,
            stored: self.stored,
            host: &self.host,
            system: &self.system,
            agent: &self.agent,
            lane: &self.lane,
            seq: self.seq,
            class_uid: self.class_uid,
            activity_id: self.activity_id,
            status: &self.status,
            status_detail: &self.status_detail,
            severity_id: self.severity_id,
            user: &self.user,
            actor_user: &self.actor_user,
            src_ip: self.src_ip.clone(),
            src_port: self.src_port,
            service: &self.service,
            process: &self.process,
            pid: self.pid,
            command: &self.command,
            http_method: &self.http_method,
            url: &self.url,
            http_status: self.http_status,
            user_agent: &self.user_agent,
            response_bytes: self.response_bytes,
            check_name: &self.check_name,
            check_target: &self.check_target,
            total_seconds: self.total_seconds,
            usage_service: &self.usage_service,
            step: &self.step,
            online: self.online,
            full_process: self.full_process,
            digitised: self.digitised,
            on_time: self.on_time,
            electronic: self.electronic,
            count: self.count,
            score: self.score,
            message: &self.message,
            raw: &self.raw,
            raw_cut_bytes: self.raw_cut_bytes,
            source: &self.source,
            source_offset: self.source_offset,
            format: &self.format,
            time_doubt: &self.time_doubt,
            simulated: self.simulated,
            fields: self
                .fields
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            kafka_topic: &self.kafka_topic,
            kafka_partition: self.kafka_partition,
            kafka_offset: self.kafka_offset,
            kafka_index: self.kafka_index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> EventRow {
        EventRow {
            agency: "H49".into(),
            user: "root".into(),
            raw: vec![0, 255, 10],
            fields: vec![("a".into(), "1".into()), ("b".into(), "2".into())],
            online: Some(false),
            total_seconds: 0.1,
            ..EventRow::default()
        }
    }

    #[test]
    fn every_column_but_the_time_of_storing_is_hashed() {
        let row = EventRow::default();
        let columns = row.columns();
        let hashed = texts(&columns).len() + numbers(&columns).len() + flags(&columns).len();
        // Beside these the line itself and the further fields.
        assert_eq!(<EventRow as clickhouse::Row>::COLUMN_COUNT, hashed + 2 + 1);
    }

    #[test]
    fn what_is_hashed_of_a_row_says_each_column_under_its_name() {
        use serde_json::Value;
        let mut wanted = serde_json::to_value(EventRow::default()).unwrap();
        for (number, (name, value)) in (1_u8..).zip(wanted.as_object_mut().unwrap()) {
            *value = match value {
                Value::String(_) => name.as_str().into(),
                Value::Number(_) if name == "total_seconds" => 0.5.into(),
                Value::Number(_) => number.into(),
                Value::Null | Value::Bool(_) => (number % 2 == 0).into(),
                _ => continue,
            };
        }
        let row: EventRow = serde_json::from_value(wanted.clone()).unwrap();
        let mut leaves = Leaves::default();
        let read = row::Row::read(leaves.bytes_of(&row.columns())).unwrap().to_json();
        for (name, value) in wanted.as_object().unwrap() {
            if !["stored", "raw", "fields"].contains(&name.as_str()) {
                assert_eq!(read.get(name), Some(value), "{name}");
            }
        }
        let row = self::row();
        let read = row::Row::read(leaves.bytes_of(&row.columns())).unwrap().to_json();
        assert_eq!((&read["fields"]["b"], &read["online"]), (&"2".into(), &false.into()));
    }

    #[test]
    fn each_change_of_a_row_is_another_hash_but_when_it_was_stored() {
        let mut leaves = Leaves::default();
        let was = leaves.of(&row().columns());
        let changes: [fn(&mut EventRow); 9] = [
            |row| row.user = "nobody".into(),
            |row| (row.user, row.actor_user) = (String::new(), "root".into()),
            |row| row.raw.push(0),
            |row| row.fields.reverse(),
            |row| row.online = None,
            |row| row.total_seconds = 0.100_000_000_000_000_02,
            |row| row.kafka_index = 1,
            |row| row.time = -1,
            |row| row.simulated = true,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = row();
            change(&mut changed);
            assert_ne!(leaves.of(&changed.columns()), was, "{number}");
        }
        let later = EventRow { stored: 7, ..row() };
        assert_eq!(leaves.of(&later.columns()), was);
    }
}
