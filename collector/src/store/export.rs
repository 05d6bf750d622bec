//! Events and incidents for others, in files of bounded size: each day of an agency by itself, cut further where it is large.

use std::path::{Path, PathBuf};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{Time, proto::Incident};

use super::{
    Store, StoreError,
    cold::{ColdError, write_whole},
    row::EventRow,
};
use crate::{
    export::{cef, ocsf, stix},
    retention::{day_text, quoted},
};

/// Rows of a file: what memory bears of rows and their text together.
const FILE_ROWS_MAX: u64 = 25_000;

/// Bytes of a file's texts, as they are stored.
const FILE_BYTES_MAX: u64 = 24 << 20;

/// Incidents of a bundle.
const BUNDLE_INCIDENTS_MAX: usize = 500;

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Events, all columns.
    Parquet,
    /// Events, a line of JSON each, in OCSF 1.5.0.
    Ocsf,
    /// Events, a line each, in the Common Event Format.
    Cef,
    /// Incidents, as STIX 2.1 bundles.
    Stix,
}

/// What is exported.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How.
    pub form: Form,
    /// To this folder.
    pub folder: PathBuf,
    /// From this time.
    pub since: Time,
    /// To this time.
    pub until: Time,
    /// Of this agency alone.
    pub agency: Option<String>,
    /// Of this lane alone.
    pub lane: Option<String>,
    /// Who tells, in STIX.
    pub centre: String,
}

/// Why it was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The engine.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk, or a name that is none.
    #[error(transparent)]
    Disk(#[from] ColdError),
    /// A row does not go into JSON.
    #[error("write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<clickhouse::error::Error> for ExportError {
    fn from(error: clickhouse::error::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Events, or incidents.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct Unit {
    agency: String,
    on: u16,
    number: u64,
    weight: u64,
}

impl Store {
    /// Writes files; `tell` hears of each. The cold tier is read too.
    ///
    /// # Errors
    /// If the engine does not answer, or the disk refuses.
    pub async fn export(
        &self,
        wanted: &Wanted,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Exported, ExportError> {
        if wanted.form == Form::Stix {
            return self.export_incidents(wanted, tell).await;
        }
        let agencies: Vec<&str> = wanted.agency.as_deref().into_iter().collect();
        let source =
            self.events_of(wanted.since, wanted.until, &agencies).await?.replace("??", "?");
        let mut condition = format!(
            "time >= fromUnixTimestamp64Micro({}, 'UTC') AND time <= fromUnixTimestamp64Micro({}, 'UTC')",
            wanted.since.micros(),
            wanted.until.micros()
        );
        for (column, value) in [("agency", &wanted.agency), ("lane", &wanted.lane)] {
            if let Some(value) = value {
                condition = format!("{condition} AND {column} = {}", quoted(value));
            }
        }
        let text = format!(
            "SELECT agency, toUInt16(toDate(time)) AS on, count() AS number, sum(length(raw) + length(message) + length(url) + length(user_agent) + 500) AS weight \
             FROM {source} WHERE {condition} GROUP BY agency, on ORDER BY on, agency"
        );
        let units: Vec<Unit> = self.reader().query_raw(&text).fetch_all().await?;
        let all: u64 = units.iter().map(|unit| unit.number).sum();
        let mut done = Exported::default();
        for unit in units {
            let parts = (unit.number / FILE_ROWS_MAX).max(unit.weight / FILE_BYTES_MAX) + 1;
            for part in 0..parts {
                let of_part = format!(
                    "{condition} AND agency = {} AND toUInt16(toDate(time)) = {} AND cityHash64(agent, lane, seq) % {parts} = {part}",
                    quoted(&unit.agency),
                    unit.on
                );
                let (rows, bytes) = self.exported(wanted.form, &source, &of_part).await?;
                if rows == 0 {
                    continue;
                }
                let path = named(wanted, &unit.agency, unit.on, part)?;
                done.bytes += bytes.len() as u64;
                tokio::task::spawn_blocking(move || write_whole(&path, &bytes))
                    .await
                    .map_err(|error| ColdError::Name(error.to_string()))??;
                done.rows += rows;
                done.files += 1;
                tell(&format!("{} of {all} events, {} files", done.rows, done.files));
            }
        }
        Ok(done)
    }

    /// Rows of a part, and the bytes of its file.
    async fn exported(
        &self,
        form: Form,
        source: &str,
        condition: &str,
    ) -> Result<(u64, Vec<u8>), ExportError> {
        if form == Form::Parquet {
            let columns = self.columns("events").await?;
            let rows = self.sum_of(source, condition, &columns).await?.rows;
            let text =
                format!("SELECT {} FROM {source} WHERE {condition} ORDER BY time", columns.names);
            let asked = self
                .reader()
                .query_raw(&text)
                .with_setting("output_format_parquet_compression_method", "zstd");
            return Ok((rows, asked.fetch_bytes("Parquet")?.collect().await?.to_vec()));
        }
        // The template's place for fields is wanted, and no place for values.
        let text = format!(
            "SELECT ?fields FROM {0} WHERE {1} ORDER BY time, agent, lane, seq",
            source.replace('?', "??"),
            condition.replace('?', "??")
        );
        let mut cursor = self.reader().query(&text).fetch::<EventRow>()?;
        let (mut rows, mut bytes) = (0, Vec::new());
        while let Some(row) = cursor.next().await? {
            match form {
                Form::Cef => bytes.extend(cef::line(&row).into_bytes()),
                _ => serde_json::to_writer(&mut bytes, &ocsf::event(&row))?,
            }
            bytes.push(b'\n');
            rows += 1;
        }
        Ok((rows, bytes))
    }

    async fn export_incidents(
        &self,
        wanted: &Wanted,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Exported, ExportError> {
        let (mut done, mut last) = (Exported::default(), 0_u64);
        loop {
            let rows: Vec<(u64, String)> = self
                .client()
                .query("SELECT incident, argMax(after, version) FROM transitions WHERE incident > ? GROUP BY incident ORDER BY incident LIMIT ?")
                .bind(last)
                .bind(BUNDLE_INCIDENTS_MAX as u64)
                .fetch_all()
                .await?;
            let Some((newest, _)) = rows.last() else { return Ok(done) };
            let mut incidents = Vec::new();
            for (_, text) in &rows {
                let incident = serde_json::from_str::<Option<Incident>>(text)?;
                incidents.extend(incident.filter(|incident| is_wanted(wanted, incident)));
            }
            let path = wanted.folder.join(format!("incidents-{:08}-{newest:08}.json", last + 1));
            last = *newest;
            if incidents.is_empty() {
                continue;
            }
            let bytes = serde_json::to_vec_pretty(&stix::bundle(&wanted.centre, &incidents))?;
            write_whole(&path, &bytes)?;
            done.rows += incidents.len() as u64;
            done.files += 1;
            done.bytes += bytes.len() as u64;
            tell(&format!("{} incidents, {} files", done.rows, done.files));
        }
    }
}

fn is_wanted(wanted: &Wanted, incident: &Incident) -> bool {
    let of_agency = wanted
        .agency
        .as_ref()
        .is_none_or(|agency| incident.agency == *agency || incident.agencies.contains(agency));
    of_agency
        && incident.last_time_unix_nano >= wanted.since.0
        && incident.first_time_unix_nano <= wanted.until.0
}

fn named(wanted: &Wanted, agency: &str, day: u16, part: u64) -> Result<PathBuf, ColdError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if agency.is_empty() || agency.starts_with('.') || !agency.chars().all(plain) {
        return Err(ColdError::Name(agency.to_owned()));
    }
    let ending = match wanted.form {
        Form::Parquet => "parquet",
        Form::Ocsf => "jsonl",
        Form::Cef => "cef",
        Form::Stix => "json",
    };
    Ok(Path::new(&wanted.folder).join(agency).join(format!("{}-{part:03}.{ending}", day_text(day))))
}
