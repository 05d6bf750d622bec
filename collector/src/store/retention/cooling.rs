//! Rows to the cold tier: written, read back, compared, and only then taken out of the engine.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{
    RetentionError,
    apply::{DeletionRow, Run},
    plan::{action, month_of, what},
};
use crate::{
    retention::{day_text, quoted},
    store::cold::{ColdError, ColdFile, Columns, Shelf},
};

/// Rows of a file: one search reads them in well under a second.
const FILE_ROWS_MAX: u64 = 500_000;

/// Bytes of a file's texts before they are compressed: the engine answers up to 512 MiB, and two copies are held here.
const FILE_BYTES_MAX: u64 = 96 << 20;

/// Days of agencies that one run moves; the next run goes on.
const UNITS_MAX: u64 = 20_000;

/// Days of agencies whose rows are taken out by one statement.
const BATCH_UNITS_MAX: usize = 200;

/// Rows of a group in a file: a search skips groups by their times.
const GROUP_ROWS: &str = "65536";

/// Larger dictionaries are of columns that hardly repeat, times and offsets, and cost a fifth of a file.
const DICTIONARY_BYTES: &str = "65536";

/// A day of an agency under a rule.
#[derive(Clone, Debug, Row, Serialize, Deserialize)]
struct Unit {
    agency: String,
    day: u16,
    rule: u8,
    rows: u64,
    weight: u64,
}

impl Run<'_> {
    /// Finishes what a run left between the file and the deletion.
    pub(super) async fn resume(&mut self) -> Result<(), RetentionError> {
        let moving = self.store.cold_files("state = 'moving'", super::plan::FILES_MAX).await?;
        let Some(shelf) = self.store.shelf.clone() else {
            return match moving.len() {
                0 => Ok(()),
                files => Err(RetentionError::NoShelf { files: files as u64 }),
            };
        };
        let columns = self.store.columns("events").await?;
        self.store.show_cold(&shelf).await?;
        for file in moving {
            self.lease.beat().await?;
            compare(&self.store.clone(), &shelf, &file, &columns).await?;
            let (rows, parts) = self.store.remove(month_of(file.day), &file.covers).await?;
            self.store.save_cold(std::slice::from_ref(&file), "settled").await?;
            self.log("done", &[line(&file)]).await?;
            self.report.cooled_rows += rows;
            self.report.parts += parts;
            self.tell(&format!("{}: finished", file.path));
        }
        Ok(())
    }

    /// Moves what is past its days in the engine.
    pub(super) async fn cool(&mut self) -> Result<(), RetentionError> {
        let Some(shelf) = self.store.shelf.clone() else { return Ok(()) };
        let columns = self.store.columns("events").await?;
        let text = format!(
            "SELECT agency, day, toUInt8({}) AS rule, count() AS rows, \
             sum(length(raw) + length(message) + length(url) + length(user_agent) + 500) AS weight \
             FROM events WHERE day < toDate({}) AND {} GROUP BY agency, day, rule ORDER BY day, agency, rule LIMIT {UNITS_MAX}",
            self.picture.asked.rule,
            self.picture.asked.before_day,
            self.picture.cools(),
        );
        let units: Vec<Unit> = self.store.client().query_raw(&text).fetch_all().await?;
        let (mut batch, mut files): (Vec<Unit>, Vec<ColdFile>) = (Vec::new(), Vec::new());
        for unit in units {
            let new_month =
                batch.last().is_some_and(|last| month_of(last.day) != month_of(unit.day));
            if new_month || batch.len() >= BATCH_UNITS_MAX {
                self.settle(&mut batch, &mut files).await?;
            }
            if !self.goes_on().await? {
                break;
            }
            let written = self.write(&shelf, &unit, &columns).await?;
            self.store.save_cold(&written, "moving").await?;
            files.extend(
                written.into_iter().map(|file| ColdFile { version: file.version + 1, ..file }),
            );
            batch.push(unit);
        }
        self.settle(&mut batch, &mut files).await
    }

    /// Writes one day of an agency, in as many files as it needs.
    async fn write(
        &self,
        shelf: &Shelf,
        unit: &Unit,
        columns: &Columns,
    ) -> Result<Vec<ColdFile>, RetentionError> {
        let store = self.store;
        let count = (unit.rows / FILE_ROWS_MAX).max(unit.weight / FILE_BYTES_MAX) + 1;
        let rule = self.keeping.policy.rules.get(usize::from(unit.rule));
        let (rule, set) = rule.map(|rule| (rule.name.clone(), rule.set.name())).unwrap_or_default();
        let mut files = Vec::new();
        for part in 0..count {
            let covers = format!(
                "agency = {} AND day = toDate({}) AND {} = {} AND {} AND kafka_offset % {count} = {part}",
                quoted(&unit.agency),
                unit.day,
                self.picture.asked.rule,
                unit.rule,
                self.picture.below.sql(),
            );
            let sum = store.sum_of("events", &covers, columns).await?;
            if sum.rows == 0 {
                continue;
            }
            let text = format!("SELECT {} FROM events WHERE {covers} ORDER BY time", columns.names);
            let bytes = store
                .client()
                .query_raw(&text)
                .with_setting("output_format_parquet_compression_method", "zstd")
                .with_setting("output_format_parquet_row_group_size", GROUP_ROWS)
                .with_setting("output_format_parquet_max_dictionary_size", DICTIONARY_BYTES)
                .fetch_bytes("Parquet")?
                .collect()
                .await?;
            let hash = blake3::hash(&bytes).to_hex().to_string();
            let path = Shelf::name(&unit.agency, &day_text(unit.day), set, &hash)?;
            let file = ColdFile {
                path,
                state: String::new(),
                version: 0,
                written: Time::now().micros(),
                agency: unit.agency.clone(),
                day: unit.day,
                set: set.into(),
                rule: rule.clone(),
                rows: sum.rows,
                bytes: bytes.len() as u64,
                blake3: hash,
                checksum: sum.checksum,
                first: sum.first,
                last: sum.last,
                covers,
            };
            shelf.put(&file.path, bytes, &file.blake3).await?;
            compare(store, shelf, &file, columns).await?;
            files.push(file);
        }
        Ok(files)
    }

    /// Takes a batch's rows out of the engine.
    async fn settle(
        &mut self,
        batch: &mut Vec<Unit>,
        files: &mut Vec<ColdFile>,
    ) -> Result<(), RetentionError> {
        let (units, files) = (std::mem::take(batch), std::mem::take(files));
        let Some(first) = units.first() else { return Ok(()) };
        self.lease.beat().await?;
        let names: Vec<String> = units
            .iter()
            .map(|unit| format!("({}, {}, {})", quoted(&unit.agency), unit.day, unit.rule))
            .collect();
        let condition = format!(
            "{} AND (agency, toUInt16(day), toUInt8({})) IN ({})",
            self.picture.below.sql(),
            self.picture.asked.rule,
            names.join(", ")
        );
        let lines: Vec<DeletionRow> = files.iter().map(line).collect();
        self.log("begun", &lines).await?;
        if let Some(shelf) = &self.store.shelf {
            self.store.show_cold(shelf).await?;
        }
        let (rows, parts) = self.store.remove(month_of(first.day), &condition).await?;
        self.store.save_cold(&files, "settled").await?;
        self.log("done", &lines).await?;
        self.report.cooled_rows += rows;
        self.report.parts += parts;
        self.report.cold_files += files.len() as u64;
        self.report.cold_bytes += files.iter().map(|file| file.bytes).sum::<u64>();
        self.tell(&format!(
            "{} to {}: {rows} rows to {} cold files",
            day_text(first.day),
            day_text(units.last().map_or(first.day, |last| last.day)),
            files.len()
        ));
        Ok(())
    }
}

fn line(file: &ColdFile) -> DeletionRow {
    DeletionRow {
        kind: action::COOL.into(),
        what: what::EVENTS.into(),
        agency: file.agency.clone(),
        month: month_of(file.day),
        rule: file.rule.clone(),
        rows: file.rows,
        bytes: file.bytes,
        why: format!("to the cold tier: {}", file.path),
        ..DeletionRow::default()
    }
}

/// Whether a file still is what its manifest says, on the disk and as the engine reads it.
async fn compare(
    store: &crate::store::Store,
    shelf: &Shelf,
    file: &ColdFile,
    columns: &Columns,
) -> Result<(), RetentionError> {
    let hash = shelf.hash(&file.path).await?;
    if hash != file.blake3 {
        let found = format!("its BLAKE3 is {hash}, the manifest has {}", file.blake3);
        return Err(ColdError::Differs { path: file.path.clone(), found }.into());
    }
    let source = shelf.source(std::slice::from_ref(&file.path), &columns.structure);
    let sum = store.sum_of(&source, "1", columns).await?;
    if (sum.rows, sum.checksum) == (file.rows, file.checksum) {
        return Ok(());
    }
    let found = format!(
        "the engine reads {} rows with the sum {}, written were {} with {}",
        sum.rows, sum.checksum, file.rows, file.checksum
    );
    Err(ColdError::Differs { path: file.path.clone(), found }.into())
}
