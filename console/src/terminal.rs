//! The terminal's edge: whether it draws the symbols one column wide, its clipboard, and what is remembered between visits.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use crossterm::{clipboard::CopyToClipboard, cursor, execute, terminal};
use vonggac_wire::Time;

/// A terminal that does not say where its cursor is within this time gets ASCII.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

/// Every symbol that is drawn outside ASCII and Vietnamese.
const SYMBOLS: &str = "■◆○▲◇–·█▓▒░★◐‖✓□●✗▸◉─▁▂▃▄▅▆▇↑↓−≈×…";

/// Bytes of a text that a clipboard is given.
const COPY_BYTES_MAX: usize = 64 * 1024;

/// Whether each symbol takes one column. Raw mode is on; what was drawn for it is erased.
pub async fn draws_symbols() -> bool {
    let asked = tokio::task::spawn_blocking(|| {
        let mut out = io::stdout();
        write!(out, "\r{SYMBOLS}").and_then(|()| out.flush()).ok()?;
        let (column, _) = cursor::position().ok()?;
        execute!(out, cursor::MoveToColumn(0), terminal::Clear(terminal::ClearType::CurrentLine))
            .ok()?;
        Some(usize::from(column))
    });
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(Some(column))) => column == SYMBOLS.chars().count(),
        _ => false,
    }
}

/// Puts a text into the clipboard of the terminal that one sits at (OSC 52).
///
/// # Errors
/// If the terminal cannot be written to.
pub fn copy(text: &str) -> io::Result<()> {
    let mut end = text.len().min(COPY_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    execute!(io::stdout(), CopyToClipboard::to_clipboard_from(&text[..end]))
}

/// What is remembered between visits: when one looked last, and the searches that were saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// When one looked last.
    pub seen: Option<Time>,
    /// Name and line of each search.
    pub saved: Vec<(String, String)>,
    /// Severity and state of open incidents then, by number.
    pub looked: BTreeMap<u64, (u32, i32)>,
}

impl Memory {
    /// From its file in the XDG state folder; nothing where there is none.
    #[must_use]
    pub fn read() -> Self {
        path()
            .and_then(|path| fs::read_to_string(path).ok())
            .map_or_else(Self::default, |text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut memory = Self::default();
        for line in text.lines() {
            match line.split_once('\t') {
                Some(("seen", time)) => memory.seen = time.parse().ok(),
                Some(("open", rest)) => {
                    let mut numbers = rest.split('\t');
                    let mut next = || numbers.next()?.parse::<u64>().ok();
                    if let (Some(id), Some(severity), Some(state)) = (next(), next(), next()) {
                        let (severity, state) = (u32::try_from(severity), i32::try_from(state));
                        if let (Ok(severity), Ok(state)) = (severity, state) {
                            memory.looked.insert(id, (severity, state));
                        }
                    }
                }
                Some((name, line)) => {
                    let name = name.strip_prefix("search ").unwrap_or(name);
                    memory.saved.push((name.to_owned(), line.to_owned()));
                }
                None => {}
            }
        }
        memory
    }

    fn text(&self) -> String {
        let mut text = self.seen.map(|seen| format!("seen\t{seen}\n")).unwrap_or_default();
        for (id, (severity, state)) in &self.looked {
            text.push_str(&format!("open\t{id}\t{severity}\t{state}\n"));
        }
        for (name, line) in &self.saved {
            text.push_str(&format!("search {}\t{line}\n", name.replace('\t', " ")));
        }
        text
    }

    /// Into its file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self) -> io::Result<()> {
        let Some(path) = path() else { return Ok(()) };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, self.text())
    }
}

fn path() -> Option<PathBuf> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("vonggac/console"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_read_as_it_was_written() {
        let memory = Memory {
            seen: "2026-11-24T02:12:00Z".parse().ok(),
            saved: vec![("dò mật khẩu".into(), "class:authentication -1h".into())],
            looked: BTreeMap::from([(3_107, (1, 2))]),
        };
        assert_eq!(Memory::parse(&memory.text()), memory);
        assert_eq!(Memory::parse("torn"), Memory::default());
    }

    #[test]
    fn every_symbol_is_one_column_wide_by_the_tables() {
        use unicode_width::UnicodeWidthStr;
        assert_eq!(SYMBOLS.width(), SYMBOLS.chars().count());
    }
}
