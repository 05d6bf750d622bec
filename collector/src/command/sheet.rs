//! Rows of an answer: bytes with a unit for people, plain for programs; the forms are those of every command.

use serde_json::{Value, json};
pub(super) use vonggac_answer::rows::Format;
use vonggac_answer::rows::{self, Row};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// A text, perhaps of a hostile log.
    Text(String),
    /// A number.
    Number(u64),
    /// Bytes: with a unit for people, plain for programs.
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

    fn value(&self, for_people: bool) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Bytes(bytes) if for_people => json!(human(*bytes)),
            Self::Bytes(bytes) => json!(bytes.round()),
            Self::None => Value::Null,
        }
    }
}

/// Bytes with a unit.
pub(super) fn human(bytes: f64) -> String {
    // A difference of nothing may be a negative one.
    let mut value = if bytes == 0.0 { 0.0 } else { bytes };
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
        let for_people = matches!(format, Format::Table | Format::Md);
        let rows: Vec<Row> = self
            .rows
            .iter()
            .map(|row| {
                let cells = self.columns.iter().zip(row);
                cells.map(|(name, cell)| (name.replace(' ', "_"), cell.value(for_people))).collect()
            })
            .collect();
        // Nothing at all would leave a person in doubt whether it was looked.
        if rows.is_empty() && for_people {
            return "nothing".into();
        }
        rows::write(&format, &rows).trim_end().to_owned()
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
    fn bytes_have_a_unit_for_people_and_none_for_programs() {
        let table = sheet().write(Format::Table);
        assert!(table.contains("H49|\\x1b") && table.contains("1.5 KiB"), "{table}");
        let json: Value = serde_json::from_str(&sheet().write(Format::Json)).unwrap();
        assert_eq!(json[0], json!({"agency": "H49|\u{1b}", "rows_held": 12, "bytes": 1536.0}));
        assert_eq!(json[1]["agency"], Value::Null);
        let csv = sheet().write(Format::Csv);
        assert_eq!(csv, "agency,rows_held,bytes\nH49|\\x1b,12,1536.0\n,7,3.0");
        assert_eq!(Sheet::new(&["a"]).write(Format::Table), "nothing");
        assert_eq!(Sheet::new(&["a"]).write(Format::Json), "[]");
        assert_eq!(human(-0.0), "0 B");
        let md = sheet().write(Format::Md);
        assert!(md.contains("| H49\\|\\\\x1b | 12 | 1.5 KiB |"), "{md}");
    }
}
