//! A table: its first row names the columns. Rows are put together out of lines by their quotes, so that a quote that is never closed
//! costs its own row and not the rest of the file.

use std::io;

use super::text::{LINE_BYTES_MAX, Line, Lines};

/// Lines of one quoted cell: more of them are a quote that was forgotten.
const QUOTED_LINES_MAX: usize = 100;

/// Quotes without an end in one file for which an end was looked for in the lines behind them; then none is, because looking costs a
/// hundred lines each time.
const UNCLOSED_MAX: u32 = 100;

/// What is wrong with a row whose quote has no end.
const UNCLOSED: &str = "a quote is opened and never closed; double a quote that stands for itself";

/// One row: the number of its first line, and its bytes or what is wrong with it.
pub(super) type Row = (u64, Result<Vec<u8>, String>);

/// The next row that is not blank. `unclosed` counts quotes without an end.
pub(super) fn next(
    lines: &mut Lines<'_>,
    separator: u8,
    unclosed: &mut u32,
) -> io::Result<Option<Row>> {
    let first = loop {
        match lines.next()? {
            None => return Ok(None),
            Some(line) if line.bytes.trim_ascii().is_empty() => {}
            Some(line) => break line,
        }
    };
    let number = first.number;
    if first.is_cut {
        return Ok(Some((number, Err(format!("it is longer than {LINE_BYTES_MAX} bytes")))));
    }
    let mut row = first.bytes;
    let mut quoted = ends_quoted(&row, separator, false);
    let mut joined: Vec<Line> = Vec::new();
    while quoted {
        let line = if *unclosed < UNCLOSED_MAX { lines.next()? } else { None };
        let fits = line.as_ref().is_some_and(|line| {
            joined.len() < QUOTED_LINES_MAX
                && !line.is_cut
                && (row.len() + line.bytes.len()) as u64 <= LINE_BYTES_MAX
        });
        let Some(line) = line else {
            *unclosed += 1;
            lines.give_back(joined);
            return Ok(Some((number, Err(UNCLOSED.into()))));
        };
        if !fits {
            *unclosed += 1;
            joined.push(line);
            lines.give_back(joined);
            return Ok(Some((number, Err(UNCLOSED.into()))));
        }
        quoted = ends_quoted(&line.bytes, separator, true);
        row.push(b'\n');
        row.extend_from_slice(&line.bytes);
        joined.push(line);
    }
    Ok(Some((number, Ok(row))))
}

/// Whether a line ends within a quoted cell. Quotes open a cell at its beginning only; doubled ones stand for one.
fn ends_quoted(line: &[u8], separator: u8, mut quoted: bool) -> bool {
    let mut at_start = !quoted;
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        match (*byte, quoted) {
            (b'"', true) if line.get(at + 1) == Some(&b'"') => at += 1,
            (b'"', true) => quoted = false,
            (b'"', false) if at_start => quoted = true,
            _ => {}
        }
        at_start = !quoted && *byte == separator;
        at += 1;
    }
    quoted
}

/// The cells of a row.
pub(super) fn cells(row: &str, separator: u8) -> Result<csv::StringRecord, String> {
    // A reader for each row is dear, and most rows quote nothing.
    if !row.contains('"') {
        return Ok(row.split(char::from(separator)).collect());
    }
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(row.as_bytes());
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(_) => Ok(record),
        Err(error) => Err(format!("it is no row: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{super::text, *};

    fn rows(text: &str) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut lines = Lines::of(text::open(Cursor::new(text.as_bytes().to_vec())).unwrap());
        let mut unclosed = 0;
        std::iter::from_fn(|| next(&mut lines, b';', &mut unclosed).unwrap())
            .map(|(number, row)| {
                let row = row.map(|row| {
                    let row = String::from_utf8(row).unwrap();
                    cells(&row, b';').unwrap().iter().map(str::to_owned).collect()
                });
                (number, row)
            })
            .collect()
    }

    fn row(cells: &[&str]) -> Result<Vec<String>, String> {
        Ok(cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    #[test]
    fn quotes_hold_separators_quotes_and_line_ends() {
        let found = rows("a;\"b;\"\"c\"\"\r\nd\";e\r\n\r\n;5\" pipe;\"\"\n");
        assert_eq!(found, [(1, row(&["a", "b;\"c\"\nd", "e"])), (4, row(&["", "5\" pipe", ""]))]);
    }

    #[test]
    fn rows_with_and_without_quotes_are_cut_alike() {
        for row in ["a;b;c", ";;", "a", " a ; b\tc;", "có;không"] {
            let plain = cells(row, b';').unwrap();
            let quoted: Vec<String> = row.split(';').map(|cell| format!("\"{cell}\"")).collect();
            assert_eq!(plain, cells(&quoted.join(";"), b';').unwrap(), "{row}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_own_row() {
        let found = rows("\"open;1\nb;2\nc;3\n");
        assert!(found[0].1.as_ref().unwrap_err().contains("never closed"));
        assert_eq!(found[1..], [(2, row(&["b", "2"])), (3, row(&["c", "3"]))]);
        let many = format!("\"open\n{}", "x;y\n".repeat(3_000));
        let found = rows(&many);
        assert_eq!(found.len(), 3_001, "each line is looked at on its own");
        assert_eq!(
            found[100],
            (101, row(&["x", "y"])),
            "the line behind those that were looked at"
        );
        let all = "\"open\n".repeat(501);
        assert_eq!(rows(&all).len(), 251, "pairs are cells, and the last is alone");
    }
}
