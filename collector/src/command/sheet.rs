//! Rows of an answer as a table, JSON, CSV or Markdown.

use std::fmt::Write;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For eyes.
    Table,
    /// A list of objects.
    Json,
    /// With a head.
    Csv,
    /// For a report.
    Md,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// A text, perhaps of a hostile log.
    Text(String),
    /// A number.
    Number(u64),
    /// Bytes: with a unit for eyes, plain for programs.
    Bytes(f64),
    /// Not known.
    None,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A moment in microseconds; 0 is none.
    pub(super) fn time(micros: i64) -> Self {
        if micros == 0 {
            Self::None
        } else {
            Self::Text(vonggac_wire::Time(micros.saturating_mul(1_000)).to_string())
        }
    }

    fn for_eyes(&self) -> String {
        match self {
            // What a log says is hostile to terminals.
            Self::Text(text) => text
                .chars()
                .flat_map(|c| if is_plain(c) { vec![c] } else { c.escape_unicode().collect() })
                .collect(),
            Self::Number(number) => number.to_string(),
            Self::Bytes(bytes) => human(*bytes),
            Self::None => String::new(),
        }
    }

    fn for_programs(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Bytes(bytes) => json!(bytes.round()),
            Self::None => Value::Null,
        }
    }
}

/// Letters with their marks, digits, and what stands between words; nothing that moves a cursor or turns the line.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ' '..='~' | '\u{300}'..='\u{36f}' | '\u{2010}'..='\u{2027}')
}

/// Bytes with a unit.
pub(super) fn human(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1_024.0 {
            return if unit == "B" {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1_024.0;
    }
    format!("{value:.1} TiB")
}

/// Columns and rows.
#[derive(Debug)]
pub(super) struct Sheet {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Sheet {
    pub(super) fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The whole text, without a last line end.
    pub(super) fn write(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Json => self.json(),
            Format::Csv => self.csv(),
            Format::Md => self.md(),
        }
    }

    fn table(&self) -> String {
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(Cell::for_eyes).collect()).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells =
                    rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
                cells.chain([self.columns[at].len()]).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = (String, bool)>| {
            let mut whole = String::new();
            for ((cell, right), width) in cells.zip(&widths) {
                let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
                let _written = if right {
                    write!(whole, "{gap}{cell}  ")
                } else {
                    write!(whole, "{cell}{gap}  ")
                };
            }
            let _written = writeln!(text, "{}", whole.trim_end());
        };
        line(&mut self.columns.iter().map(|name| ((*name).to_owned(), false)));
        for (row, cells) in self.rows.iter().zip(rows) {
            let right = row.iter().map(|cell| matches!(cell, Cell::Number(_) | Cell::Bytes(_)));
            line(&mut cells.into_iter().zip(right));
        }
        text.trim_end().to_owned()
    }

    fn json(&self) -> String {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let pairs = self.columns.iter().zip(row);
                Value::Object(
                    pairs
                        .map(|(name, cell)| ((*name).replace(' ', "_"), cell.for_programs()))
                        .collect::<Map<_, _>>(),
                )
            })
            .collect();
        Value::Array(rows).to_string()
    }

    fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory does not fail.
        let _written = writer.write_record(self.columns.iter().map(|name| name.replace(' ', "_")));
        for row in &self.rows {
            let _written = writer.write_record(row.iter().map(|cell| match cell.for_programs() {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            }));
        }
        let bytes = writer.into_inner().unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }

    fn md(&self) -> String {
        let mut text =
            format!("| {} |\n|{}\n", self.columns.join(" | "), "---|".repeat(self.columns.len()));
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().map(|cell| cell.for_eyes().replace('|', "\\|")).collect();
            let _written = writeln!(text, "| {} |", cells.join(" | "));
        }
        text.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new(&["agency", "rows held", "bytes"]);
        sheet.push(vec![Cell::text("H49|\u{1b}"), Cell::Number(12), Cell::Bytes(1_536.0)]);
        sheet.push(vec![Cell::None, Cell::Number(7), Cell::Bytes(3.0)]);
        sheet
    }

    #[test]
    fn the_same_rows_are_written_in_each_format() {
        let table = sheet().write(Format::Table);
        assert!(table.starts_with("agency"), "{table}");
        assert!(table.contains("H49|\\u{1b}") && table.contains("1.5 KiB"), "{table}");
        let json: Value = serde_json::from_str(&sheet().write(Format::Json)).unwrap();
        assert_eq!(json[0], json!({"agency": "H49|\u{1b}", "rows_held": 12, "bytes": 1536.0}));
        assert_eq!(json[1]["agency"], Value::Null);
        assert_eq!(
            sheet().write(Format::Csv),
            "agency,rows_held,bytes\nH49|\u{1b},12,1536.0\n,7,3.0"
        );
        let md = sheet().write(Format::Md);
        assert!(md.contains("| H49\\|\\u{1b} | 12 | 1.5 KiB |"), "{md}");
    }
}
