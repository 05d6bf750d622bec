//! What is written down of a record when it is taken.

use serde::{Deserialize, Serialize};
use vonggac_wire::limits::BATCH_EVENTS_MAX;

use crate::merkle::Hash;

/// A record's entry with texts of its own. Times are microseconds; in JSON, bytes are hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the columns are those of the table `batches`, in its words")]
pub struct Batch {
    pub agency: String,
    pub agent: String,
    pub host: String,
    pub lane: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    #[serde(with = "digits")]
    pub boot: [u8; 16],
    pub first_seq: u64,
    pub last_seq: u64,
    pub rows: u32,
    pub absent: Vec<(u32, u32)>,
    pub ahead: bool,
    pub simulated: bool,
    #[serde(with = "digits")]
    pub hash: Hash,
    #[serde(with = "digits")]
    pub previous: Hash,
    pub sealed: i64,
    pub appended: i64,
    pub key_id: String,
    #[serde(with = "digits")]
    pub signature: Vec<u8>,
    #[serde(with = "digits")]
    pub root: Hash,
    #[serde(with = "digits")]
    pub marks: Vec<u8>,
}

/// The same from where it stands, without the marks of its rows.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "as in the entry itself")]
pub struct Said<'a> {
    pub agency: &'a str,
    pub agent: &'a str,
    pub host: &'a str,
    pub lane: &'a str,
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub boot: &'a [u8; 16],
    pub first_seq: u64,
    pub last_seq: u64,
    pub rows: u32,
    pub absent: &'a [(u32, u32)],
    pub ahead: bool,
    pub simulated: bool,
    pub hash: &'a Hash,
    pub previous: &'a Hash,
    pub sealed: i64,
    pub appended: i64,
    pub key_id: &'a str,
    pub signature: &'a [u8],
    pub root: &'a Hash,
}

/// [`Said`] of anything that has the columns of the table `batches`.
#[macro_export]
macro_rules! said {
    ($row:expr) => {
        $crate::batch::Said {
            agency: &$row.agency,
            agent: &$row.agent,
            host: &$row.host,
            lane: &$row.lane,
            topic: &$row.topic,
            partition: $row.partition,
            offset: $row.offset,
            boot: &$row.boot,
            first_seq: $row.first_seq,
            last_seq: $row.last_seq,
            rows: $row.rows,
            absent: &$row.absent,
            ahead: $row.ahead,
            simulated: $row.simulated,
            hash: &$row.hash,
            previous: &$row.previous,
            sealed: $row.sealed,
            appended: $row.appended,
            key_id: &$row.key_id,
            signature: &$row.signature,
            root: &$row.root,
        }
    };
}

impl Batch {
    /// Without the marks.
    #[must_use]
    pub fn said(&self) -> Said<'_> {
        said!(self)
    }
}

impl Said<'_> {
    /// Events of the record, whatever became of them. Never more than a record can have.
    #[must_use]
    pub fn events(&self) -> u32 {
        let events = self.last_seq.saturating_sub(self.first_seq).saturating_add(1);
        u32::try_from(events.min(BATCH_EVENTS_MAX as u64)).unwrap_or(0)
    }

    /// Places that have a row of this record.
    pub fn places(&self) -> impl Iterator<Item = u32> {
        (0..self.events()).filter(|place| {
            !self.absent.iter().any(|(first, last)| (first..=last).contains(&place))
        })
    }
}

/// Bytes as hexadecimal digits.
mod digits {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        bytes: &impl AsRef<[u8]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&HEXLOWER.encode(bytes.as_ref()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
        T::try_from(bytes).map_err(|_| D::Error::custom("these are too many or too few digits"))
    }
}
