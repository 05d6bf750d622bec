//! What stands in a dropped file, record by record.

use std::io::{Read, Seek, SeekFrom};

use jiff::tz::TimeZone;
use serde_json::Value;
use vonggac_wire::{Event, Time};

use super::{
    TakeError, table,
    text::{self, LINE_BYTES_MAX, Letters, Lines, WHOLE_BYTES_MAX},
};
use crate::{
    config::UsageDropConfig,
    source::usage::{
        posted::{self, Envelope},
        sheet,
    },
};

/// Is given each record with the line on which it begins.
pub(super) type Record<'a> = &'a mut dyn FnMut(u64, Result<Event, String>) -> Result<(), TakeError>;

/// A table: its first row names the columns. Spreadsheets may name the separator before it (`sep=;`).
pub(super) fn rows(
    input: impl Read + Seek,
    config: &UsageDropConfig,
    record: Record<'_>,
) -> Result<(), TakeError> {
    let mut lines = Lines::of(text::open(input)?);
    let mut letters = Letters::default();
    let Some(first) = lines.next()? else { return Ok(()) };
    let named = first.bytes.strip_prefix(b"sep=").and_then(|rest| rest.first().copied());
    let separator = match named {
        Some(separator) if separator.is_ascii() && first.bytes.len() == 5 => separator,
        _ => {
            let separator = sheet::separator(&String::from_utf8_lossy(&first.bytes));
            lines.give_back(vec![first]);
            separator
        }
    };
    let mut cells = |row: Result<Vec<u8>, String>| {
        let row = row?;
        table::cells(&letters.text(&row)?, separator)
    };
    let mut unclosed = 0;
    let Some((number, head)) = table::next(&mut lines, separator, &mut unclosed)? else {
        return Ok(());
    };
    let columns: Vec<String> = match cells(head) {
        Ok(head) => head.iter().map(|name| column(name, config)).collect(),
        Err(error) => return record(number, Err(format!("the head: {error}"))),
    };
    let zone = TimeZone::system();
    while let Some((number, row)) = table::next(&mut lines, separator, &mut unclosed)? {
        let outcome = match cells(row) {
            Ok(cells) if cells.iter().all(|cell| cell.trim().is_empty()) => continue,
            Ok(cells) => event(&columns, &cells, &zone, config),
            Err(error) => Err(error),
        };
        record(number, outcome)?;
    }
    Ok(())
}

/// What a row of a table says.
fn event(
    columns: &[String],
    cells: &csv::StringRecord,
    zone: &TimeZone,
    config: &UsageDropConfig,
) -> Result<Event, String> {
    if cells.len() != columns.len() {
        return Err(format!("the row has {} cells, the head {}", cells.len(), columns.len()));
    }
    let cells: Vec<&str> = cells.iter().collect();
    let mut object = sheet::object(columns, &cells, zone);
    for (key, value) in &config.fields {
        object.entry(key.as_str()).or_insert_with(|| value.as_str().into());
    }
    let text = Value::Object(object).to_string();
    posted::line(text.as_bytes(), &config.system, Time::now()).map(|posted| posted.event)
}

/// The key that a column means.
fn column(name: &str, config: &UsageDropConfig) -> String {
    let name = name.trim();
    let renamed = config.columns.iter().find(|(from, _)| from == name);
    renamed.map_or_else(|| name.to_owned(), |(_, to)| to.clone())
}

/// One JSON value, or an object a line after all.
pub(super) fn list(
    mut input: impl Read + Seek,
    config: &UsageDropConfig,
    record: Record<'_>,
) -> Result<(), TakeError> {
    let mut bytes = Vec::new();
    text::open(&mut input)?.take(WHOLE_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = match Letters::default().text(&bytes) {
        Ok(text) => text,
        Err(_) => {
            // Lines tell which of them is not.
            input.seek(SeekFrom::Start(0))?;
            return lines(input, config, record);
        }
    };
    let found = posted::body(text.as_bytes(), &Envelope::default(), &config.system, Time::now());
    for posted::Told { line, outcome, .. } in found {
        record(line, outcome.map(|posted| posted.event))?;
    }
    Ok(())
}

pub(super) fn lines(
    input: impl Read + Seek,
    config: &UsageDropConfig,
    record: Record<'_>,
) -> Result<(), TakeError> {
    let mut lines = Lines::of(text::open(input)?);
    let mut letters = Letters::default();
    while let Some(line) = lines.next()? {
        if line.is_cut {
            let error = format!("it is longer than {LINE_BYTES_MAX} bytes");
            record(line.number, Err(error))?;
            continue;
        }
        let text = line.bytes.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let outcome = letters
            .text(text)
            .and_then(|text| posted::line(text.as_bytes(), &config.system, Time::now()));
        record(line.number, outcome.map(|posted| posted.event))?;
    }
    Ok(())
}
