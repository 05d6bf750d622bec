//! A report as Markdown: whatever stands in it is shown as it is, and begins no link, list, table or HTML.

use crate::{Block, Document, Line, Piece, clean};

/// Signs that mean something wherever they stand.
const SIGNS: [char; 15] =
    ['\\', '`', '*', '_', '[', ']', '<', '>', '&', '|', '~', '#', '!', '$', '@'];

/// The text of a report.
#[must_use]
pub fn write(document: &Document) -> String {
    let mut text = String::new();
    let mut in_list = false;
    for block in &document.blocks {
        let listed = matches!(block, Block::Item(_) | Block::Field(..));
        if in_list && !listed {
            text.push('\n');
        }
        in_list = listed;
        match block {
            Block::Title(title) => text.push_str(&format!("# {}\n\n", escape(title, false))),
            Block::Heading(title) => text.push_str(&format!("## {}\n\n", escape(title, false))),
            Block::Centred(pieces) | Block::Text(pieces) => {
                text.push_str(&format!("{}\n\n", line(pieces, true)));
            }
            Block::Field(name, pieces) => {
                text.push_str(&format!("- {}: {}\n", escape(name, true), line(pieces, false)));
            }
            Block::Item(pieces) => text.push_str(&format!("- {}\n", line(pieces, true))),
            Block::Table { columns, rows } => text.push_str(&table(columns, rows)),
        }
    }
    format!("{}\n", text.trim_end())
}

fn table(columns: &[(String, u16)], rows: &[Vec<Line>]) -> String {
    let names: Vec<String> = columns.iter().map(|(name, _)| escape(name, false)).collect();
    let mut text = format!("| {} |\n|{}\n", names.join(" | "), " --- |".repeat(columns.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|pieces| line(pieces, false)).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text.push('\n');
    text
}

fn line(pieces: &[Piece], begins: bool) -> String {
    let mut text = String::new();
    for piece in pieces {
        let first = begins && text.is_empty();
        match piece {
            Piece::Plain(words) => text.push_str(&escape(words, first)),
            Piece::Strong(words) => text.push_str(&strong(&escape(words, first))),
            // In brackets that are no link: nothing in the report can say where one would lead.
            Piece::Missing(words) => {
                let inner = words.strip_prefix('[').and_then(|words| words.strip_suffix(']'));
                let shown = inner.map_or_else(
                    || escape(words, first),
                    |inner| format!("[{}]", escape(inner, false)),
                );
                text.push_str(&strong(&shown));
            }
        }
    }
    text
}

/// Strong letters begin and end at a letter, or the stars are shown.
fn strong(text: &str) -> String {
    let inner = text.trim();
    if inner.is_empty() {
        text.to_owned()
    } else {
        text.replacen(inner, &format!("**{inner}**"), 1)
    }
}

/// `begins`: it may be the first of its line, where more has a meaning.
fn escape(text: &str, begins: bool) -> String {
    let text = clean(text);
    let mut safe = String::with_capacity(text.len() + 8);
    // Whether nothing stands before it, and whether nothing but digits does.
    let (mut first, mut digits) = (begins, begins);
    for (at, character) in text.char_indices() {
        let (before, rest) = text.split_at(at);
        let means = SIGNS.contains(&character)
            // Addresses that some readers make a link of by themselves.
            || rest.starts_with("://")
            || (character == '.' && ends_in(before, "www"))
            || (character == ':' && ends_in(before, "mailto"))
            || (first && matches!(character, '-' | '+' | '='))
            || (digits && !first && matches!(character, '.' | ')'));
        if means {
            safe.push('\\');
        }
        first &= character == ' ';
        digits &= character.is_ascii_digit() || character == ' ';
        safe.push(character);
    }
    // Four blanks at the beginning would be code.
    if begins { safe.trim_start().to_owned() } else { safe }
}

/// Whether a text ends in a word, in letters of any size.
fn ends_in(text: &str, word: &str) -> bool {
    let from = text.len().checked_sub(word.len());
    from.and_then(|from| text.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plain, tests::hostile};

    #[test]
    fn what_is_not_known_stands_in_brackets_as_it_is() {
        let document = Document {
            blocks: vec![
                Block::Title("BÁO CÁO".into()),
                Block::Field("Số".into(), vec![Piece::Missing("[CHƯA CÓ: số văn bản]".into())]),
                Block::Field("Từ".into(), plain("24/11/2026 09:18:07")),
                Block::Text(plain("Hết.")),
            ],
            ..Document::default()
        };
        assert_eq!(
            write(&document),
            "# BÁO CÁO\n\n- Số: **[CHƯA CÓ: số văn bản]**\n- Từ: 24/11/2026 09:18:07\n\nHết.\n"
        );
    }

    #[test]
    fn text_of_logs_begins_nothing() {
        for (text, safe) in [
            ("[x](http://e.vn)", "\\[x\\](http\\://e.vn)"),
            ("<script>", "\\<script\\>"),
            ("a|b", "a\\|b"),
            ("- x", "\\- x"),
            ("1. x", "1\\. x"),
            ("# x", "\\# x"),
            ("    code", "code"),
            ("www.e.vn", "www\\.e.vn"),
            ("lan@e.vn", "lan\\@e.vn"),
            ("a\nb", "a\\\\x0ab"),
        ] {
            assert_eq!(escape(text, true), safe, "{text}");
        }
    }

    #[test]
    fn a_row_stays_one_row_and_a_heading_one_line() {
        let text = write(&hostile("x | y\n\n# z\n```"));
        assert_eq!(text.lines().filter(|line| line.starts_with('#')).count(), 2);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 3);
        for row in rows {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 3, "{row}");
        }
    }
}
