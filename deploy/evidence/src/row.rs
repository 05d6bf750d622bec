//! What is hashed of a row of the table `events`, and what it says. Whoever has these bytes can prove the row and read it.
//!
//! Texts with their lengths before them, then the line as it was, numbers of eight bytes with the lowest first, answers of one byte
//! (nobody knows, no, yes), and what else was in the event, as names with values. Read by [`Row::read`], which takes nothing that it does
//! not read to the end.

use serde_json::{Map, Value};

use crate::merkle::{Hash, LEAF};

/// The form of what is hashed. Another column makes another form.
pub const FORM: u8 = 1;

/// Columns of text, in their order.
const TEXTS: [&str; 26] = [
    "agency",
    "class",
    "host",
    "system",
    "agent",
    "lane",
    "status",
    "status_detail",
    "user",
    "actor_user",
    "src_ip",
    "service",
    "process",
    "command",
    "http_method",
    "url",
    "user_agent",
    "check_name",
    "check_target",
    "usage_service",
    "step",
    "message",
    "source",
    "format",
    "time_doubt",
    "kafka_topic",
];

/// Columns of numbers, in their order.
const NUMBERS: [&str; 18] = [
    "time",
    "observed",
    "kafka_offset",
    "kafka_partition",
    "seq",
    "response_bytes",
    "count",
    "raw_cut_bytes",
    "source_offset",
    "class_uid",
    "activity_id",
    "severity_id",
    "src_port",
    "pid",
    "http_status",
    "score",
    "kafka_index",
    "total_seconds",
];

/// Columns that may be negative.
const SIGNED: [&str; 4] = ["time", "observed", "kafka_offset", "kafka_partition"];

/// Columns of yes and no, in their order.
const FLAGS: [&str; 6] =
    ["online", "full_process", "digitised", "on_time", "electronic", "simulated"];

/// The hash of these bytes.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Hash {
    *blake3::hash(bytes).as_bytes()
}

/// A row, read from what is hashed of it.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    texts: [&'a [u8]; TEXTS.len()],
    raw: &'a [u8],
    numbers: [u64; NUMBERS.len()],
    flags: [Option<bool>; FLAGS.len()],
    fields: Vec<(&'a [u8], &'a [u8])>,
}

/// Where a row's record stands, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The place in it.
    pub index: u32,
}

struct Reader<'a>(&'a [u8]);

// Calls, not copies of them: what fifty of them one after the other say of the length keeps the compiler's optimiser busy for minutes.
impl<'a> Reader<'a> {
    #[inline(never)]
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline(never)]
    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    #[inline(never)]
    fn text(&mut self) -> Option<&'a [u8]> {
        let bytes = usize::try_from(self.number()?).ok()?;
        self.take(bytes)
    }

    #[inline(never)]
    fn flag(&mut self) -> Option<Option<bool>> {
        match self.take(1)? {
            [0] => Some(None),
            [1] => Some(Some(false)),
            [2] => Some(Some(true)),
            _ => None,
        }
    }
}

impl<'a> Row<'a> {
    /// Reads a row; `None`: these bytes are none.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.take(2)? != [LEAF, FORM] {
            return None;
        }
        let mut row = Self {
            texts: [&[]; TEXTS.len()],
            raw: &[],
            numbers: [0; NUMBERS.len()],
            flags: [None; FLAGS.len()],
            fields: Vec::new(),
        };
        for text in &mut row.texts {
            *text = reader.text()?;
        }
        row.raw = reader.text()?;
        for number in &mut row.numbers {
            *number = reader.number()?;
        }
        for flag in &mut row.flags {
            *flag = reader.flag()?;
        }
        // Each takes bytes, so that a count that lies ends where the bytes do.
        for _ in 0..reader.number()? {
            row.fields.push((reader.text()?, reader.text()?));
        }
        reader.0.is_empty().then_some(row)
    }

    fn text(&self, name: &str) -> &'a [u8] {
        let at = TEXTS.iter().position(|one| *one == name);
        at.and_then(|at| self.texts.get(at)).copied().unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        let at = NUMBERS.iter().position(|one| *one == name);
        at.and_then(|at| self.numbers.get(at)).copied().unwrap_or_default()
    }

    /// Where it stands; `None`: nowhere that there is.
    #[must_use]
    pub fn place(&self) -> Option<Place<'a>> {
        Some(Place {
            topic: std::str::from_utf8(self.text("kafka_topic")).ok()?,
            partition: i32::try_from(self.number("kafka_partition").cast_signed()).ok()?,
            offset: self.number("kafka_offset").cast_signed(),
            index: u32::try_from(self.number("kafka_index")).ok()?,
        })
    }

    /// For eyes and other programs. What is no UTF-8 is shown as well as it can be.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut row = Map::new();
        for (name, text) in TEXTS.iter().zip(self.texts) {
            row.insert((*name).into(), shown(text).into());
        }
        row.insert("raw".into(), shown(self.raw).into());
        for (name, number) in NUMBERS.iter().zip(self.numbers) {
            let value = match *name {
                "total_seconds" => f64::from_bits(number).into(),
                name if SIGNED.contains(&name) => number.cast_signed().into(),
                _ => Value::from(number),
            };
            row.insert((*name).into(), value);
        }
        for (name, flag) in FLAGS.iter().zip(self.flags) {
            row.insert((*name).into(), flag.into());
        }
        let fields = self.fields.iter().map(|(name, value)| (shown(name), shown(value).into()));
        row.insert("fields".into(), Value::Object(fields.collect()));
        row
    }
}

/// A row for tests: its place, and a line.
#[cfg(test)]
pub(crate) fn made(topic: &str, offset: i64, index: u32, line: &str) -> Vec<u8> {
    let mut bytes = vec![LEAF, FORM];
    let mut text = |text: &str| {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    TEXTS.iter().for_each(|name| text(if *name == "kafka_topic" { topic } else { name }));
    text(line);
    for name in NUMBERS {
        let number = match name {
            "kafka_offset" => offset.cast_unsigned(),
            "kafka_index" => index.into(),
            _ => 0,
        };
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&[0; FLAGS.len()]);
    bytes.extend_from_slice(&0_u64.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_to_its_end_or_not_at_all() {
        let bytes = made("vonggac.security", -7, 3, "a line");
        let row = Row::read(&bytes).unwrap();
        let place = Place { topic: "vonggac.security", partition: 0, offset: -7, index: 3 };
        assert_eq!(row.place(), Some(place));
        assert_eq!(row.to_json()["raw"], "a line");
        assert_eq!(row.to_json()["kafka_offset"], -7);
        for cut in 0..bytes.len() {
            assert!(Row::read(&bytes[..cut]).is_none(), "{cut}");
        }
        assert!(Row::read(&[&*bytes, &[0]].concat()).is_none());
        let mut many = bytes;
        let at = many.len() - 8;
        many[at..].fill(255);
        assert!(Row::read(&many).is_none(), "a count that lies");
    }
}
