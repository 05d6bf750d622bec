//! Settings from one TOML file, with all their mistakes told at once.
//!
//! Reading never stops at the first mistake: a value that is missing or wrong is noted with its line and key, a stand-in takes its
//! place, and [`Document::finish`] hands out either the settings or every mistake. Keys that nobody asked for are mistakes too.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use toml_span::{Value, value::ValueInner};

mod units;

pub use units::{parse_bytes, parse_duration};

/// One thing that is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// The key with its tables, e.g. `tail[1].path`.
    pub key: String,
    /// What is wrong and what is wanted.
    pub message: String,
}

/// Everything that is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The file.
    pub file: PathBuf,
    /// In the order of lines.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(
                formatter,
                "{}:{}: `{}`: {}",
                self.file.display(),
                mistake.line,
                mistake.key,
                mistake.message
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("read the configuration {file}: {source}; name another with --config", file = .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is wrong.
    #[error(transparent)]
    Wrong(#[from] Mistakes),
}

/// The text of a settings file.
pub struct Document {
    file: PathBuf,
    text: String,
}

impl Document {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(file)
            .map_err(|source| SettingsError::Unreadable { file: file.to_owned(), source })?;
        Ok(Self::from_text(file, text))
    }

    /// Takes a text as if it stood in `file`.
    #[must_use]
    pub fn from_text(file: &Path, text: String) -> Self {
        Self { file: file.to_owned(), text }
    }

    /// Parses the text and lets `read` take what it knows.
    ///
    /// # Errors
    /// All mistakes, those of `read` and the keys it did not ask for.
    pub fn finish<T>(&self, read: impl FnOnce(&mut Table<'_>) -> T) -> Result<T, SettingsError> {
        let wrong = |mistakes| SettingsError::Wrong(Mistakes { file: self.file.clone(), mistakes });
        let root = toml_span::parse(&self.text).map_err(|error| {
            let line = self.line(error.span.start);
            wrong(vec![Mistake { line, key: String::new(), message: error.to_string() }])
        })?;
        let mut table = Table::new(self, root, String::new());
        let value = read(&mut table);
        let mut mistakes = table.close();
        mistakes.sort_by_key(|mistake| mistake.line);
        if mistakes.is_empty() { Ok(value) } else { Err(wrong(mistakes)) }
    }

    /// The line of a key such as `tail[1].path`, for what is found out only after the settings were read; 1 if it is not there.
    #[must_use]
    pub fn line_of(&self, key: &str) -> usize {
        let pointer = format!("/{}", key.replace(['.', '['], "/").replace(']', ""));
        let Ok(root) = toml_span::parse(&self.text) else { return 1 };
        root.pointer(&pointer).map_or(1, |value| self.line(value.span.start))
    }

    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }
}

/// One table of the file. Each asked key is taken out; what is left at the end is unknown.
pub struct Table<'a> {
    document: &'a Document,
    path: String,
    line: usize,
    entries: Vec<(String, usize, Value<'a>)>,
    asked: BTreeSet<&'static str>,
    mistakes: Vec<Mistake>,
}

/// Settings that a key may hold, for the message.
struct Found<'a> {
    line: usize,
    value: Value<'a>,
}

impl<'a> Table<'a> {
    fn new(document: &'a Document, mut value: Value<'a>, path: String) -> Self {
        let line = document.line(value.span.start);
        let entries = match value.take() {
            ValueInner::Table(table) => table
                .into_iter()
                .map(|(key, value)| (key.name.into_owned(), document.line(key.span.start), value))
                .collect(),
            _ => Vec::new(),
        };
        Self { document, path, line, entries, asked: BTreeSet::new(), mistakes: Vec::new() }
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn take(&mut self, name: &'static str) -> Option<Found<'a>> {
        self.asked.insert(name);
        let place = self.entries.iter().position(|(key, ..)| key == name)?;
        let (_, line, value) = self.entries.remove(place);
        Some(Found { line, value })
    }

    /// Whether a key is said and was not taken yet.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, ..)| key == name)
    }

    /// Notes a mistake at a key of this table, for checks that only the caller can make.
    pub fn wrong(&mut self, name: &str, message: impl Into<String>) {
        let mistake = Mistake { line: self.line, key: self.key(name), message: message.into() };
        self.mistakes.push(mistake);
    }

    fn wrong_at(&mut self, line: usize, name: &str, message: String) {
        let key = self.key(name);
        self.mistakes.push(Mistake { line, key, message });
    }

    fn convert<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        convert: impl FnOnce(&mut Value<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let mut found = self.take(name)?;
        match convert(&mut found.value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.wrong_at(found.line, name, format!("{message}; wanted {wanted}"));
                None
            }
        }
    }

    /// Notes that a key is missing and gives the stand-in.
    fn missing<T: Default>(&mut self, name: &'static str, wanted: &str, noted: usize) -> T {
        if self.mistakes.len() == noted {
            self.wrong(name, format!("is missing; wanted {wanted}"));
        }
        T::default()
    }

    /// A text that may be left out.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.convert(name, "a text in quotes", |value| match value.take() {
            ValueInner::String(text) if !text.is_empty() => Ok(text.into_owned()),
            ValueInner::String(_) => Err("is empty".into()),
            other => Err(format!("is {}", other.type_str())),
        })
    }

    /// A text that must be there.
    pub fn text_required(&mut self, name: &'static str) -> String {
        let noted = self.mistakes.len();
        self.text(name).unwrap_or_else(|| self.missing(name, "a text in quotes", noted))
    }

    /// A text read by `T`'s own rules, e.g. an address or an identifier.
    pub fn parsed<T>(&mut self, name: &'static str, wanted: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        self.convert(name, wanted, |value| match value.take() {
            ValueInner::String(text) => {
                text.parse().map_err(|error: T::Err| format!("{text:?} is wrong: {error}"))
            }
            other => Err(format!("is {}", other.type_str())),
        })
    }

    /// The same, required; `stand_in` only fills the place until the mistakes are told.
    pub fn parsed_required<T>(&mut self, name: &'static str, wanted: &str, stand_in: T) -> T
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        let noted = self.mistakes.len();
        self.parsed(name, wanted).unwrap_or_else(|| {
            if self.mistakes.len() == noted {
                self.wrong(name, format!("is missing; wanted {wanted}"));
            }
            stand_in
        })
    }

    /// True or false.
    pub fn bool(&mut self, name: &'static str) -> Option<bool> {
        self.convert(name, "true or false", |value| match value.take() {
            ValueInner::Boolean(value) => Ok(value),
            other => Err(format!("is {}", other.type_str())),
        })
    }

    /// A whole number within bounds.
    pub fn integer(&mut self, name: &'static str, least: u64, most: u64) -> Option<u64> {
        let wanted = format!("a whole number from {least} to {most}");
        self.convert(name, &wanted, |value| match value.take() {
            ValueInner::Integer(number) => match u64::try_from(number) {
                Ok(number) if (least..=most).contains(&number) => Ok(number),
                _ => Err(format!("is {number}")),
            },
            other => Err(format!("is {}", other.type_str())),
        })
    }

    /// A duration like `250ms`, `10s`, `5m`, `1h`, `2d`, within bounds.
    pub fn duration(
        &mut self,
        name: &'static str,
        least: Duration,
        most: Duration,
    ) -> Option<Duration> {
        let wanted = format!("a duration from {least:?} to {most:?} with its unit, e.g. \"10s\"");
        self.convert(name, &wanted, |value| match value.take() {
            ValueInner::String(text) => match parse_duration(&text) {
                Some(duration) if (least..=most).contains(&duration) => Ok(duration),
                _ => Err(format!("is {text:?}")),
            },
            other => Err(format!("is {}", other.type_str())),
        })
    }

    /// A size like `64MiB`, `10MB`, `1GiB`, within bounds.
    pub fn bytes(&mut self, name: &'static str, least: u64, most: u64) -> Option<u64> {
        let wanted = format!("a size from {least} to {most} bytes with its unit, e.g. \"64MiB\"");
        self.convert(name, &wanted, |value| match value.take() {
            ValueInner::String(text) => match parse_bytes(&text) {
                Some(bytes) if (least..=most).contains(&bytes) => Ok(bytes),
                _ => Err(format!("is {text:?}")),
            },
            other => Err(format!("is {}", other.type_str())),
        })
    }

    /// A path.
    pub fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// A list of texts.
    pub fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.convert(name, "a list of texts", |value| match value.take() {
            ValueInner::Array(items) => items
                .into_iter()
                .map(|mut item| match item.take() {
                    ValueInner::String(text) => Ok(text.into_owned()),
                    other => Err(format!("holds {}", other.type_str())),
                })
                .collect(),
            other => Err(format!("is {}", other.type_str())),
        })
    }

    /// One text, or a list of texts.
    pub fn text_or_texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.convert(name, "a text or a list of texts", |value| match value.take() {
            ValueInner::String(text) => Ok(vec![text.into_owned()]),
            ValueInner::Array(items) => items
                .into_iter()
                .map(|mut item| match item.take() {
                    ValueInner::String(text) => Ok(text.into_owned()),
                    other => Err(format!("holds {}", other.type_str())),
                })
                .collect(),
            other => Err(format!("is {}", other.type_str())),
        })
    }

    /// A list of texts that must be there and hold at least one.
    pub fn texts_required(&mut self, name: &'static str) -> Vec<String> {
        let noted = self.mistakes.len();
        match self.texts(name) {
            Some(texts) if !texts.is_empty() => texts,
            _ => self.missing(name, "a list of at least one text", noted),
        }
    }

    /// A table with keys of the writer's choice, each with a text or a list of texts, in the order of lines.
    pub fn pairs(&mut self, name: &'static str) -> Vec<(String, Vec<String>)> {
        let Some(mut found) = self.take(name) else { return Vec::new() };
        let ValueInner::Table(table) = found.value.take() else {
            self.wrong_at(found.line, name, "is no table; wanted one like [name]".into());
            return Vec::new();
        };
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        let mut pairs = Vec::new();
        for (key, mut value) in entries {
            let line = self.document.line(key.span.start);
            let texts: Result<Vec<String>, String> = match value.take() {
                ValueInner::String(text) => Ok(vec![text.into_owned()]),
                ValueInner::Integer(number) => Ok(vec![number.to_string()]),
                ValueInner::Array(items) => items
                    .into_iter()
                    .map(|mut item| match item.take() {
                        ValueInner::String(text) => Ok(text.into_owned()),
                        other => Err(format!("holds {}", other.type_str())),
                    })
                    .collect(),
                other => Err(format!("is {}", other.type_str())),
            };
            match texts {
                Ok(texts) => pairs.push((key.name.into_owned(), texts)),
                Err(message) => self.wrong_at(
                    line,
                    &format!("{name}.{}", key.name),
                    format!("{message}; wanted a text or a list of texts"),
                ),
            }
        }
        pairs
    }

    /// A table; one that is left out is read as an empty one.
    pub fn table<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Table<'a>) -> T) -> T {
        let path = self.key(name);
        let found = self.take(name);
        let (line, value) = match found {
            Some(found) => (found.line, found.value),
            None => (self.line, Value::new(ValueInner::Table(toml_span::value::Table::default()))),
        };
        if value.as_table().is_none() {
            self.wrong_at(line, name, "is no table; wanted one like [name]".into());
        }
        let mut table = Table::new(self.document, value, path);
        table.line = line;
        let read = read(&mut table);
        self.mistakes.extend(table.close());
        read
    }

    /// A table that may be left out.
    pub fn table_if_there<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Table<'a>) -> T,
    ) -> Option<T> {
        self.asked.insert(name);
        self.has(name).then(|| self.table(name, read))
    }

    /// A list of tables (`[[name]]`); one table (`[name]`) is a list of one.
    pub fn tables<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Table<'a>) -> T,
    ) -> Vec<T> {
        let Some(mut found) = self.take(name) else { return Vec::new() };
        let items = match found.value.take() {
            ValueInner::Array(items) => items,
            ValueInner::Table(table) => vec![Value::new(ValueInner::Table(table))],
            _ => {
                self.wrong_at(found.line, name, "is no list of tables; wanted [[name]]".into());
                return Vec::new();
            }
        };
        let mut all = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{}[{index}]", self.key(name));
            let mut table = Table::new(self.document, item, path);
            all.push(read(&mut table));
            self.mistakes.extend(table.close());
        }
        all
    }

    /// All mistakes of this table, with those of the keys that nobody asked for.
    fn close(mut self) -> Vec<Mistake> {
        let unknown: Vec<_> =
            self.entries.iter().map(|(key, line, _)| (key.clone(), *line)).collect();
        for (name, line) in unknown {
            let message = match nearest(&name, &self.asked) {
                Some(near) => format!("is unknown; did you mean `{near}`?"),
                None => format!(
                    "is unknown; known here: {}",
                    self.asked.iter().copied().collect::<Vec<_>>().join(", ")
                ),
            };
            self.wrong_at(line, &name, message);
        }
        self.mistakes
    }
}

/// A known key at most two edits away.
fn nearest(name: &str, known: &BTreeSet<&'static str>) -> Option<&'static str> {
    known
        .iter()
        .map(|candidate| (edits(name, candidate), *candidate))
        .filter(|(edits, _)| *edits <= 2)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn edits(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in two.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn read(text: &str) -> Result<(), SettingsError> {
        Document::from_text(Path::new("agent.toml"), text.into()).finish(|root| {
            root.text_required("agency");
            root.table("spool", |spool| {
                spool.bytes("bytes_max", 1 << 20, 1 << 40);
                spool.duration("fsync", Duration::ZERO, HOUR);
            });
            root.tables("tail", |tail| {
                tail.text_required("path");
                tail.bool("enabled");
            });
        })
    }

    #[test]
    fn five_mistakes_are_five_messages_with_line_and_key() {
        let text = "agency = 7\n[spool]\nbytes_max = \"12\"\nfsnc = \"1s\"\n[[tail]]\npath = \"/a\"\nenabled = \"yes\"\n[[tail]]\nformat = \"x\"\npath = \"/b\"\n";
        let error = read(text).unwrap_err().to_string();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 5, "{error}");
        assert!(lines[0].starts_with("agent.toml:1: `agency`: is integer"), "{error}");
        assert!(lines[1].starts_with("agent.toml:3: `spool.bytes_max`: is \"12\""), "{error}");
        assert!(lines[2].contains("`spool.fsnc`: is unknown; did you mean `fsync`?"), "{error}");
        assert!(lines[3].starts_with("agent.toml:7: `tail[0].enabled`"), "{error}");
        assert!(lines[4].contains("`tail[1].format`: is unknown"), "{error}");
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = read("").unwrap_err().to_string();
        assert!(error.contains("`agency`: is missing"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_with_its_line() {
        let error = read("agency = \"a\"\n[spool\n").unwrap_err().to_string();
        assert!(error.contains(":2:") || error.contains(":3:"), "{error}");
    }

    #[test]
    fn one_table_is_a_list_of_one_and_one_text_too() {
        let listens = |text: &str| {
            Document::from_text(Path::new("a.toml"), text.into())
                .finish(|root| root.tables("syslog", |syslog| syslog.text_or_texts("listen")))
        };
        assert_eq!(listens("[syslog]\nlisten = \"a\"\n").unwrap(), [Some(vec!["a".into()])]);
        let two = "[[syslog]]\nlisten = [\"a\", \"b\"]\n[[syslog]]\nlisten = \"c\"\n";
        assert_eq!(listens(two).unwrap().len(), 2);
        assert!(listens("syslog = 7\n").is_err());
    }

    #[test]
    fn the_line_of_a_key_is_found_afterwards() {
        let text = "agency = \"a\"\n[[tail]]\npath = \"/a\"\n[[tail]]\n\npath = \"/b\"\n[spool]\ndir = \"x\"\n";
        let document = Document::from_text(Path::new("a"), text.into());
        let line = |key| document.line_of(key);
        assert_eq!((line("tail[0].path"), line("tail[1].path"), line("spool.dir")), (3, 6, 8));
        assert_eq!(line("tail[7].path"), 1);
    }

    #[test]
    fn right_settings_are_taken() {
        assert!(
            read("agency = \"H49\"\n[spool]\nbytes_max = \"64MiB\"\nfsync = \"200ms\"\n").is_ok()
        );
    }
}
