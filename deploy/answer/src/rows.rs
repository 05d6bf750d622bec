//! Rows as a table, JSON, JSON lines, CSV or Markdown.

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use crate::{
    fit::fit,
    sanitise::{sanitise, sanitise_json},
};

/// A form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One array.
    Json,
    /// One object a line.
    Jsonl,
    /// RFC 4180, safe for spreadsheets.
    Csv,
    /// A Markdown table.
    Md,
}

/// A row, its keys in order.
pub type Row = Map<String, Value>;

/// The row that a JSON object is.
#[must_use]
pub fn row(object: Value) -> Row {
    match object {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}

/// Columns of a cell in a table for people.
const CELL_COLUMNS_MAX: usize = 60;

/// Writes all rows.
pub fn write(format: &Format, rows: &[Row]) -> String {
    match format {
        Format::Json => {
            let all: Vec<Value> = rows.iter().cloned().map(Value::Object).collect();
            sanitise_json(&format!("{}\n", Value::Array(all))).into_owned()
        }
        Format::Jsonl => {
            let lines: String =
                rows.iter().map(|row| format!("{}\n", Value::Object(row.clone()))).collect();
            sanitise_json(&lines).into_owned()
        }
        Format::Csv => csv(rows),
        Format::Md => markdown(rows),
        Format::Table => table(rows),
    }
}

fn columns(rows: &[Row]) -> Vec<&String> {
    rows.first().map(|row| row.keys().collect()).unwrap_or_default()
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| plain(Some(item))).collect::<Vec<_>>().join(" ")
        }
        Some(other) => other.to_string(),
    }
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe before it; so does what stands behind a semicolon, which in
/// Vietnam's settings begins a cell.
fn guarded(text: &str) -> String {
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let text = sanitise(text);
    let mut safe = String::with_capacity(text.len() + 1);
    // Blanks and quotes before it do not hinder a spreadsheet.
    let mut begins = true;
    for character in text.chars() {
        if begins && FORMULA.contains(&character) {
            safe.push('\'');
        }
        safe.push(character);
        begins = character == ';' || (begins && (character.is_whitespace() || character == '"'));
    }
    safe
}

fn csv(rows: &[Row]) -> String {
    let columns = columns(rows);
    // A record without a field is written as an empty one: a spreadsheet would show a row that is not there.
    if columns.is_empty() {
        return String::new();
    }
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let mut written = writer.write_record(columns.iter().map(|name| guarded(name)));
    for row in rows {
        let record = columns.iter().map(|name| match row.get(*name) {
            Some(Value::Number(number)) => number.to_string(),
            value => guarded(&plain(value)),
        });
        written = written.and_then(|()| writer.write_record(record));
    }
    match (written, writer.into_inner()) {
        (Ok(()), Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    }
}

fn markdown(rows: &[Row]) -> String {
    let columns = columns(rows);
    if columns.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "| {} |\n|{}\n",
        columns.iter().map(|name| escape(name)).collect::<Vec<_>>().join(" | "),
        "---|".repeat(columns.len())
    );
    for row in rows {
        let cells: Vec<String> =
            columns.iter().map(|name| escape(&plain(row.get(*name)))).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// A text as it is: no tag, no link, no picture, no end of its cell.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut before = ' ';
    for character in sanitise(text).chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '>' | '~' => {
                safe.push('\\');
                safe.push(character);
            }
            // An address is text, not something to press.
            '/' if before == ':' => safe.push_str("\\/"),
            '.' if safe.to_ascii_lowercase().ends_with("www") => safe.push_str("\\."),
            '@' => safe.push_str("&#64;"),
            other => safe.push(other),
        }
        before = character;
    }
    safe
}

fn table(rows: &[Row]) -> String {
    // What no row has a value for is left out, and what no terminal has room for.
    let columns: Vec<&String> = columns(rows)
        .into_iter()
        .filter(|name| !matches!(name.as_str(), "ocsf" | "raw" | "evidence"))
        .filter(|name| rows.iter().any(|row| !plain(row.get(name.as_str())).is_empty()))
        .collect();
    let cell = |row: &Row, name: &str| shorten(&plain(row.get(name)));
    let widths: Vec<usize> = columns
        .iter()
        .map(|name| {
            let head = shorten(name).width();
            rows.iter().map(|row| cell(row, name).width()).max().unwrap_or(0).max(head)
        })
        .collect();
    let line = |cells: Vec<String>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| {
                format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width())))
            })
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    if columns.is_empty() {
        return String::new();
    }
    let mut text = line(columns.iter().map(|name| shorten(name)).collect());
    for row in rows {
        text.push_str(&line(columns.iter().map(|name| cell(row, name)).collect()));
    }
    text
}

fn shorten(text: &str) -> String {
    fit(text, CELL_COLUMNS_MAX).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows() -> Vec<Row> {
        let Value::Object(row) = json!({ "agency": "local", "title": "=cmd|' /C'\u{1b}[2J", "count": -3, "list": ["a", "b"] })
        else {
            panic!("an object")
        };
        vec![row]
    }

    #[test]
    fn a_formula_in_csv_is_guarded_and_numbers_are_not() {
        let text = write(&Format::Csv, &rows());
        assert!(text.contains("'=cmd|' /C'\\x1b[2J"), "{text}");
        assert!(text.contains(",-3,"), "{text}");
    }

    #[test]
    fn markdown_escapes_its_own_signs() {
        let text = write(&Format::Md, &rows());
        assert!(text.contains("=cmd\\|' /C'"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn json_keeps_everything_and_tables_are_harmless() {
        assert!(write(&Format::Json, &rows()).starts_with("[{\"agency\":\"local\""));
        assert!(!write(&Format::Table, &rows()).contains('\u{1b}'));
        assert_eq!(write(&Format::Json, &[]), "[]\n");
    }

    #[test]
    fn of_no_rows_nothing_is_written_that_looks_like_one() {
        for format in [Format::Csv, Format::Md, Format::Jsonl] {
            assert_eq!(write(&format, &[]), "", "{format:?}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
        #[test]
        fn whatever_a_row_holds_every_form_keeps_its_lines(
            text in proptest::prelude::any::<String>(), name in "\\PC{1,12}",
        ) {
            let mut row = Row::new();
            row.insert(name, Value::from(text));
            row.insert("zz".to_owned(), Value::from(7));
            let rows = vec![row; 3];
            let forms = [
                (Format::Table, 4),
                (Format::Csv, 4),
                (Format::Md, 5),
                (Format::Jsonl, 3),
                (Format::Json, 1),
            ];
            for (form, lines) in forms {
                let written = write(&form, &rows);
                proptest::prop_assert_eq!(written.lines().count(), lines, "{:?} {:?}", form, written);
                for line in written.lines() {
                    let harmless = matches!(sanitise(line), std::borrow::Cow::Borrowed(_));
                    proptest::prop_assert!(harmless, "{:?} {:?}", form, line);
                }
            }
            let written = write(&Format::Jsonl, &rows);
            let read: Row = serde_json::from_str(written.lines().next().unwrap_or_default()).unwrap();
            proptest::prop_assert_eq!(&read, &rows[0]);
        }
    }
}
