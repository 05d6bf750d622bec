//! A migration as the statements of one machine or of a cluster: one source, the numbered file.
//!
//! A file is one statement in the plain form of one machine: `CREATE TABLE IF NOT EXISTS`, `CREATE VIEW IF NOT EXISTS`, `ALTER TABLE`, or the
//! `RENAME TABLE` by which `events` is another table. On one machine it is carried out as it stands. For a cluster it is taken apart at the few places that differ, and anything else is refused, so
//! that a new kind of migration has to be thought about before it reaches a cluster; a test takes every file through both.

use super::{Layout, OF_BEFORE, OF_EVENTS, SHARDED, SHARDING_KEY, identifier};
use crate::retention::quoted;

/// Where Keeper knows what lies on a shard.
const SHARD_PATH: &str = "/clickhouse/tables/{shard}/{database}/{table}";

/// Where it knows what is everywhere. Replicas of several shards meet there, so their names have the shard's.
const EVERYWHERE_PATH: &str = "/clickhouse/everywhere/{database}/{table}";

/// The window of tokens on one machine, and on a cluster.
const WINDOW: (&str, &str) =
    ("non_replicated_deduplication_window", "replicated_deduplication_window");

/// A cluster forgets tokens by time, too: a week, so that the number alone decides, as on one machine. A collector that waits for its engine
/// longer than that reads again what is stored when it starts.
const WINDOW_SECONDS: u64 = 604_800;

/// What only a table with parts has: these commands are not told to the table in front.
const OF_PARTS: [&str; 5] =
    ["ADD INDEX", "DROP INDEX", "MATERIALIZE INDEX", "MODIFY ORDER BY", "MODIFY SETTING"];

/// Commands that both tables take.
const OF_COLUMNS: [&str; 5] =
    ["ADD COLUMN", "MODIFY COLUMN", "DROP COLUMN", "RENAME COLUMN", "COMMENT COLUMN"];

/// How `events` comes to be the table of another order, on one machine.
const RENAMED: &str = "RENAME TABLE events TO events_before, events_sorted TO events";

/// The migration that has it: statements up to it speak of the table of before.
const RENAMED_AT: u32 = 24;

/// A migration of a form that is not known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bring this to a cluster: {0}")]
pub struct ShapeError(String);

/// A migration's statement without its comments.
#[must_use]
pub fn plain(file: &str) -> String {
    let lines: Vec<&str> =
        file.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    lines.join("\n").trim().to_owned()
}

/// The database itself.
#[must_use]
pub fn database(layout: &Layout, name: &str) -> String {
    format!("CREATE DATABASE IF NOT EXISTS {}{}", identifier(name), layout.on_cluster())
}

/// The statements of the migration with this number, in their order.
///
/// # Errors
/// If it is of a form that is not known for a cluster.
pub fn statements(
    layout: &Layout,
    database: &str,
    version: u32,
    file: &str,
) -> Result<Vec<String>, ShapeError> {
    let text = plain(file);
    let Layout::Cluster(cluster) = layout else { return Ok(vec![text]) };
    let place = Place { cluster, database, on: layout.on_cluster(), version };
    if text == RENAMED {
        return Ok(place.renamed());
    }
    if let Some(rest) = text.strip_prefix("CREATE TABLE IF NOT EXISTS ") {
        return place.table(rest);
    }
    if let Some(rest) = text.strip_prefix("CREATE VIEW IF NOT EXISTS ") {
        let (name, query) = split_name(rest)?;
        return Ok(vec![format!("CREATE VIEW IF NOT EXISTS {name}{} {query}", place.on)]);
    }
    if let Some(rest) = text.strip_prefix("ALTER TABLE ") {
        let (name, commands) = split_name(rest)?;
        return place.alter(name, commands);
    }
    Err(ShapeError(format!("it begins with {:?}", text.chars().take(40).collect::<String>())))
}

/// A name, and what comes behind it.
fn split_name(text: &str) -> Result<(&str, &str), ShapeError> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match text.find(|c| !of_name(c)).unwrap_or(text.len()) {
        0 => Err(ShapeError("it names no table".into())),
        end => Ok((&text[..end], text[end..].trim_start())),
    }
}

struct Place<'a> {
    cluster: &'a str,
    database: &'a str,
    on: String,
    version: u32,
}

impl Place<'_> {
    /// The table that has the rows of one that is sharded, when this migration comes.
    fn local(&self, name: &str) -> String {
        match name {
            "events" if self.version > RENAMED_AT => OF_EVENTS.to_owned(),
            "events" => OF_BEFORE.to_owned(),
            name => format!("{name}_local"),
        }
    }

    /// The table in front of one that is sharded.
    fn front(&self, begin: &str, name: &str, local: &str) -> String {
        format!(
            "{begin} {name}{} AS {}.{local}\nENGINE = Distributed({}, {}, {}, {SHARDING_KEY})",
            self.on,
            identifier(self.database),
            quoted(self.cluster),
            quoted(self.database),
            quoted(local),
        )
    }

    /// On a cluster no table changes its name, because a statement to many machines may be carried out by some: the table in front is made
    /// anew over the rows of the new order, which may be done again.
    fn renamed(&self) -> Vec<String> {
        vec![
            self.front("CREATE OR REPLACE TABLE", "events", OF_EVENTS),
            format!("DROP TABLE IF EXISTS events_sorted{} SYNC", self.on),
        ]
    }

    fn table(&self, text: &str) -> Result<Vec<String>, ShapeError> {
        let (name, text) = split_name(text)?;
        let (columns, tail) = text
            .split_once("ENGINE = ")
            .ok_or_else(|| ShapeError(format!("the table {name} has no engine")))?;
        let (kind, tail) = split_name(tail)?;
        if !kind.ends_with("MergeTree") || kind.starts_with("Replicated") {
            return Err(ShapeError(format!("the engine {kind} has no replicated form")));
        }
        let (arguments, tail) = match tail.strip_prefix('(') {
            Some(rest) => {
                let end = closing(rest)?;
                (format!(", {}", &rest[..end]), rest[end + 1..].trim_start())
            }
            None => (String::new(), tail),
        };
        let sharded = SHARDED.contains(&name);
        let (local, path, replica) = if sharded {
            (self.local(name), SHARD_PATH, "{replica}")
        } else {
            (name.to_owned(), EVERYWHERE_PATH, "{shard}-{replica}")
        };
        let mut all = vec![format!(
            "CREATE TABLE IF NOT EXISTS {local}{}\n{}\nENGINE = Replicated{kind}('{path}', '{replica}'{arguments})\n{}",
            self.on,
            columns.trim(),
            windowed(tail)
        )];
        if sharded {
            all.push(self.front("CREATE TABLE IF NOT EXISTS", name, &local));
        }
        Ok(all)
    }

    fn alter(&self, name: &str, text: &str) -> Result<Vec<String>, ShapeError> {
        let (commands, settings) = commands(text);
        let of = |words: &[&str], command: &str| words.iter().any(|word| command.starts_with(word));
        if let Some(strange) =
            commands.iter().find(|command| !of(&OF_PARTS, command) && !of(&OF_COLUMNS, command))
        {
            let begin: String = strange.chars().take(40).collect();
            return Err(ShapeError(format!("ALTER of the table {name} has the command {begin:?}")));
        }
        let alter = |table: &str, on: &str, commands: &[&str]| {
            format!("ALTER TABLE {table}{on}\n    {}", commands.join(",\n    "))
        };
        if !SHARDED.contains(&name) {
            // One table: its replicas tell one another.
            return Ok(vec![format!("{}{settings}", alter(name, "", &commands))]);
        }
        // What has the rows comes first, so that the table in front never asks for a column that is not there.
        let mut all = vec![format!("{}{settings}", alter(&self.local(name), &self.on, &commands))];
        let front: Vec<&str> =
            commands.iter().copied().filter(|command| of(&OF_COLUMNS, command)).collect();
        if !front.is_empty() {
            all.push(alter(name, &self.on, &front));
        }
        Ok(all)
    }
}

/// Where the bracket closes that is open at the beginning.
fn closing(text: &str) -> Result<usize, ShapeError> {
    let mut depth = 1;
    for (at, c) in outside_quotes(text) {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return Ok(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    Err(ShapeError("a bracket does not close".into()))
}

/// The characters of a text that lie in no quotes, with their places.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().filter(move |(_, c)| {
        if quoted {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\'' => quoted = false,
                _ => {}
            }
            return false;
        }
        quoted = *c == '\'';
        !quoted
    })
}

/// The commands of an ALTER, and its settings with the word before them.
fn commands(text: &str) -> (Vec<&str>, &str) {
    let (mut all, mut begin, mut depth, mut end) = (Vec::new(), 0, 0_i32, text.len());
    for (at, c) in outside_quotes(text) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                all.push(text[begin..at].trim());
                begin = at + 1;
            }
            ' ' if depth == 0 && text[at..].starts_with(" SETTINGS ") => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    all.push(text[begin..end].trim());
    (all, &text[end..])
}

/// What follows the engine, with the window of tokens as a replicated table calls it. A table without one forgets nothing by tokens, as on
/// one machine: a replicated one would drop a block that has the same rows as one before, whatever came between.
fn windowed(tail: &str) -> String {
    let seconds = format!("{}_seconds = {WINDOW_SECONDS}", WINDOW.1);
    if tail.contains(WINDOW.0) {
        return format!("{}, {seconds}", tail.replace(WINDOW.0, WINDOW.1));
    }
    let joined = if tail.contains("SETTINGS ") { "," } else { "\nSETTINGS" };
    format!("{tail}{joined} {} = 0", WINDOW.1)
}

#[cfg(test)]
mod tests;
