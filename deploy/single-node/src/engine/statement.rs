//! What an HTTP request of ClickHouse's interface asks of the engine. Pure.

use std::fmt::Write;

/// Parameters of the interface that are not settings.
const RESERVED: [&str; 13] = [
    "query",
    "database",
    "query_id",
    "session_id",
    "session_timeout",
    "user",
    "password",
    "compress",
    "decompress",
    "default_format",
    "wait_end_of_query",
    "buffer_size",
    "client_protocol_version",
];

/// Bytes of a result, so that no reader can take the machine's memory: a page of a hundred thousand events fits.
const RESULT_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Memory of one statement.
const STATEMENT_MEMORY_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A statement without data.
    Query {
        /// Its text, with the request's settings.
        text: String,
        /// The format if the text names none.
        format: String,
        /// Bound parameters.
        parameters: Vec<(String, String)>,
    },
    /// An insert with its data.
    Insert {
        /// Its text up to FORMAT.
        text: String,
        /// The data's format.
        format: String,
        /// The data.
        body: Vec<u8>,
    },
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The database to be in.
    pub database: Option<String>,
    /// The work.
    pub work: Work,
}

/// Why a request is no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The text is not UTF-8.
    #[error("the statement is not UTF-8")]
    Encoding,
    /// Nothing was asked.
    #[error("the statement is empty")]
    Empty,
    /// A setting's name has other characters than letters, digits and `_`.
    #[error("{0:?} is no setting's name")]
    Setting(String),
    /// A compressed body is torn.
    #[error("the compressed body is torn")]
    Compression,
}

impl Statement {
    /// Makes a statement of the URL's parameters and the body.
    ///
    /// # Errors
    /// If it is empty, not UTF-8, or a setting's name is hostile.
    pub fn new(parameters: &[(String, String)], body: Vec<u8>) -> Result<Self, StatementError> {
        let value = |name: &str| {
            parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let body = if value("decompress") == Some("1") { decompress(&body)? } else { body };
        let (text, data) = match value("query") {
            Some(query) if !body.is_empty() && is_insert(query) => (query.to_owned(), Some(body)),
            query => {
                let rest = String::from_utf8(body).map_err(|_| StatementError::Encoding)?;
                (format!("{}{rest}", query.unwrap_or_default()), None)
            }
        };
        let text = text.trim().trim_end_matches(';').trim_end().to_owned();
        if text.is_empty() {
            return Err(StatementError::Empty);
        }
        let settings = settings(parameters)?;
        let work = if let Some(body) = data {
            let (text, format) = split_format(&text);
            Work::Insert { text: with_settings(text, &settings), format: format.to_owned(), body }
        } else {
            let bound = parameters
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.strip_prefix("param_")?.to_owned(), value.clone()))
                })
                .collect();
            Work::Query {
                text: limited(&text, &settings),
                format: value("default_format").unwrap_or("TabSeparated").to_owned(),
                parameters: bound,
            }
        };
        Ok(Self { database: value("database").map(str::to_owned), work })
    }
}

impl Statement {
    /// Whether it stops what runs, or asks what runs: quick, and urgent where everything else is taken.
    #[must_use]
    pub fn is_order(&self) -> bool {
        let Work::Query { text, .. } = &self.work else { return false };
        first_word(text) == "KILL" || (is_reading(text) && names_processes(text))
    }
}

fn is_reading(text: &str) -> bool {
    matches!(first_word(text).as_str(), "SELECT" | "WITH")
}

/// Whether all that it reads from is the list of what runs.
fn names_processes(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let mut named = false;
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("FROM") || word.eq_ignore_ascii_case("JOIN") {
            if words.next() != Some("system.processes") {
                return false;
            }
            named = true;
        }
    }
    named
}

fn first_word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect::<String>()
        .to_ascii_uppercase()
}

fn is_insert(text: &str) -> bool {
    first_word(text) == "INSERT"
}

/// Splits "INSERT INTO t (a) FORMAT RowBinary" before FORMAT; without one the format is `Values`.
fn split_format(text: &str) -> (&str, &str) {
    let upper = text.to_ascii_uppercase();
    match upper.rfind(" FORMAT ") {
        Some(place) => (text[..place].trim_end(), text[place + 8..].trim()),
        None => (text, "Values"),
    }
}

/// The request's settings as `name = 'value'`.
fn settings(parameters: &[(String, String)]) -> Result<Vec<String>, StatementError> {
    parameters
        .iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()) && !name.starts_with("param_"))
        .map(|(name, value)| {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(StatementError::Setting(name.clone()));
            }
            if value.parse::<f64>().is_ok() {
                return Ok(format!("{name} = {value}"));
            }
            let mut quoted = String::with_capacity(value.len() + 2);
            for character in value.chars() {
                if matches!(character, '\'' | '\\') {
                    quoted.push('\\');
                }
                quoted.push(character);
            }
            Ok(format!("{name} = '{quoted}'"))
        })
        .collect()
}

fn with_settings(text: &str, settings: &[String]) -> String {
    if settings.is_empty() {
        text.to_owned()
    } else {
        format!("{text} SETTINGS {}", settings.join(", "))
    }
}

/// Whether a statement has a SETTINGS clause: the word outside of what is quoted, with `name =` behind it. A text that is searched for may
/// hold the word, and so may a name.
fn has_settings(text: &str) -> bool {
    let mut bare = String::with_capacity(text.len());
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match quote {
            Some(_) if character == '\\' => {
                characters.next();
            }
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"' | '`') => {
                quote = Some(character);
                bare.push(character);
            }
            None => bare.push(character.to_ascii_uppercase()),
        }
    }
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    bare.match_indices("SETTINGS").any(|(at, word)| {
        let (before, behind) = (&bare[..at], &bare[at + word.len()..]);
        let name = behind.trim_start();
        let value = name.trim_start_matches(in_name);
        let alone = !before.ends_with(in_name) && !behind.starts_with(in_name);
        alone && value.len() < name.len() && value.trim_start().starts_with('=')
    })
}

/// Adds the settings, and for reading the limits of a result.
fn limited(text: &str, settings: &[String]) -> String {
    let word = first_word(text);
    let reads = matches!(word.as_str(), "SELECT" | "WITH");
    if !(reads || word == "INSERT") {
        return text.to_owned();
    }
    let mut all = settings.to_vec();
    if reads {
        for (name, limit) in [
            ("max_result_bytes", RESULT_BYTES_MAX),
            ("max_memory_usage", STATEMENT_MEMORY_BYTES_MAX),
        ] {
            if !all.iter().any(|setting| setting.starts_with(name)) {
                let mut setting = String::from(name);
                let _written = write!(setting, " = {limit}");
                all.push(setting);
            }
        }
    }
    // A statement with settings of its own keeps them: the engine takes one such clause.
    if has_settings(text) {
        return text.to_owned();
    }
    with_settings(text, &all)
}

/// ClickHouse's native frames: checksum (16), method (1), sizes (4 + 4, with the 9 header bytes in the first), LZ4 block.
fn decompress(mut frames: &[u8]) -> Result<Vec<u8>, StatementError> {
    const HEAD: usize = 25;
    const LZ4: u8 = 0x82;
    /// One block never unpacks to more than this.
    const BLOCK_BYTES_MAX: usize = 256 * 1024 * 1024;
    let torn = StatementError::Compression;
    let mut body = Vec::new();
    while !frames.is_empty() {
        let head = frames.get(..HEAD).ok_or_else(|| torn.clone())?;
        let size = |at: usize| {
            let four = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            u32::from_le_bytes(four) as usize
        };
        let (packed, whole) = (size(17), size(21));
        if head[16] != LZ4 || packed < 9 || whole > BLOCK_BYTES_MAX {
            return Err(torn);
        }
        let end = 16 + packed;
        let block = frames.get(HEAD..end).ok_or_else(|| torn.clone())?;
        body.extend(lz4_flex::block::decompress(block, whole).map_err(|_| torn.clone())?);
        frames = &frames[end..];
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn an_insert_with_a_body_keeps_its_settings_before_the_format() {
        let parameters = pairs(&[
            ("query", "INSERT INTO `events`(`a`) FORMAT RowBinary"),
            ("database", "vonggac"),
            ("insert_deduplication_token", "t/0/1-2"),
        ]);
        let statement = Statement::new(&parameters, vec![1, 2]).unwrap();
        assert_eq!(statement.database.as_deref(), Some("vonggac"));
        assert_eq!(
            statement.work,
            Work::Insert {
                text: "INSERT INTO `events`(`a`) SETTINGS insert_deduplication_token = 't/0/1-2'"
                    .into(),
                format: "RowBinary".into(),
                body: vec![1, 2],
            }
        );
    }

    #[test]
    fn a_select_in_the_body_is_limited_and_bound() {
        let statement = Statement::new(
            &pairs(&[("param_a", "x'y"), ("readonly", "1")]),
            b"SELECT {a:String};".to_vec(),
        )
        .unwrap();
        let Work::Query { text, parameters, .. } = statement.work else { panic!("a query") };
        assert!(
            text.starts_with("SELECT {a:String} SETTINGS readonly = 1, max_result_bytes = "),
            "{text}"
        );
        assert_eq!(parameters, pairs(&[("a", "x'y")]));
    }

    #[test]
    fn hostile_settings_are_refused_and_values_quoted() {
        assert!(Statement::new(&pairs(&[("a b", "1")]), b"SELECT 1".to_vec()).is_err());
        let statement =
            Statement::new(&pairs(&[("log_comment", "a'b\\")]), b"SELECT 1".to_vec()).unwrap();
        let Work::Query { text, .. } = statement.work else { panic!("a query") };
        assert!(text.contains("log_comment = 'a\\'b\\\\'"), "{text}");
    }

    #[test]
    fn a_torn_compressed_body_is_refused() {
        let parameters = pairs(&[("query", "INSERT INTO t FORMAT RowBinary"), ("decompress", "1")]);
        assert_eq!(Statement::new(&parameters, vec![0; 30]), Err(StatementError::Compression));
    }

    #[test]
    fn what_stops_or_asks_what_runs_has_a_way_of_its_own() {
        for (text, order) in [
            ("KILL QUERY WHERE Settings['log_comment'] = 'a' ASYNC", true),
            ("SELECT count() FROM system.processes WHERE NOT is_cancelled", true),
            ("SELECT count() FROM events", false),
            ("SELECT count() FROM system.processes, events", false),
            ("SELECT 1 FROM system.processes WHERE 1 IN (SELECT 1 FROM events)", false),
            ("SELECT 'FROM system.processes'", false),
        ] {
            let statement = Statement::new(&[], text.as_bytes().to_vec()).unwrap();
            assert_eq!(statement.is_order(), order, "{text}");
        }
    }

    #[test]
    fn limits_hold_whatever_text_is_searched_for() {
        for (text, own) in [
            ("SELECT 1", false),
            ("SELECT position(a, ' settings ') FROM t", false),
            ("SELECT position(a, 'it\\'s settings x') FROM t", false),
            ("SELECT `settings` FROM t WHERE \"settings\" = 1", false),
            ("SELECT my_settings FROM t", false),
            ("SELECT Settings['a'] = 'b' FROM t", false),
            ("SELECT 1 AS settings, settings = 1 FROM t WHERE x = settings AND y = 1", false),
            ("SELECT 1 SETTINGS max_threads = 1", true),
            ("SELECT 'a'\nsettings max_threads = 1", true),
        ] {
            assert_eq!(has_settings(text), own, "{text}");
            let limited = limited(text, &["max_execution_time = 5".to_owned()]);
            assert_eq!(limited.contains("max_execution_time"), !own, "{limited}");
        }
    }
}
