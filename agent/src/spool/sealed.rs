//! A sealed file: batches on their way by hand, on a stick or over a link that somebody else has.
//!
//! ```text
//! 8 bytes    VGSEAL1\n
//! 4 bytes    length of the head, 4 bytes CRC-32C of it, the head as JSON (see Head)
//! for each batch:
//!   1 byte   lane, 1 to 3
//!   4 bytes  length, 4 bytes CRC-32C over lane, length and what follows
//!   n bytes  the batch as Kafka would get it, deflated
//! 1 byte     0
//! 8 bytes    how many batches
//! 32 bytes   BLAKE3 of everything before
//! ```
//!
//! Numbers are little-endian. A batch keeps its agent, numbers, times and hashes. Whoever reads it reads it twice: nothing is taken of a
//! file whose seal is broken. One batch at a time is in memory.

use std::io::{self, Read, Write};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize};
use vonggac_wire::{
    Batch, Lane,
    batch::BatchError,
    limits::{BATCH_BYTES_MAX, RECORD_BYTES_MAX},
};

const MAGIC: &[u8; 8] = b"VGSEAL1\n";

/// Bytes of the head, which names three lanes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a deflated batch: deflating what cannot be deflated adds little.
const PACKED_BYTES_MAX: usize = BATCH_BYTES_MAX + BATCH_BYTES_MAX / 8;

/// Whose file it is and what it should hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The agent.
    pub agent: String,
    /// Its agency.
    pub agency: String,
    /// Its host.
    pub host: String,
    /// When it was made, RFC 3339.
    pub made: String,
    /// What is in it of each lane.
    pub lanes: Vec<Range>,
}

/// Numbers of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The lane's name.
    pub lane: String,
    /// The first number.
    pub first_seq: u64,
    /// The last number.
    pub last_seq: u64,
}

/// What was found in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Its head.
    #[serde(flatten)]
    pub head: Head,
    /// Batches.
    pub batches: u64,
    /// Events.
    pub events: u64,
    /// The seal, in hexadecimal digits.
    pub seal: String,
}

/// Why a sealed file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// It cannot be read or written.
    #[error("use the sealed file: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("read the sealed file: it does not begin as one of this version")]
    Magic,
    /// It ends too early.
    #[error(
        "read the sealed file: it is torn at byte {place}, after {batches} batches; copy it again"
    )]
    Torn {
        /// The first byte that is missing, or somewhat before.
        place: u64,
        /// Whole batches before.
        batches: u64,
    },
    /// It was changed.
    #[error(
        "trust the sealed file: it was altered at or behind byte {place}, after {batches} batches; copy it again"
    )]
    Altered {
        /// Where the part begins that is not as it was.
        place: u64,
        /// Whole batches before.
        batches: u64,
    },
    /// All is as it was written, but the seal does not fit.
    #[error("trust the sealed file: its seal is broken; copy it again")]
    Seal,
    /// A batch in it is malformed.
    #[error("read batch {number} of the sealed file: {source}")]
    Batch {
        /// Which, from 1.
        number: u64,
        /// What is wrong.
        source: BatchError,
    },
    /// A batch in it is another agent's, or of numbers that the head does not name.
    #[error("trust batch {number} of the sealed file: it is not what its head names")]
    Foreign {
        /// Which, from 1.
        number: u64,
    },
}

/// Writes a sealed file.
pub struct Writer<W: Write> {
    out: W,
    hasher: blake3::Hasher,
    batches: u64,
}

impl<W: Write> Writer<W> {
    /// Begins one.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn new(out: W, head: &Head) -> io::Result<Self> {
        let mut writer = Self { out, hasher: blake3::Hasher::new(), batches: 0 };
        let text = serde_json::to_vec(head)?;
        writer.put(MAGIC)?;
        writer.put(&length(text.len())?)?;
        writer.put(&crc32c::crc32c(&text).to_le_bytes())?;
        writer.put(&text)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }

    /// Adds a batch, as [`Batch::seal`] made it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn add(&mut self, lane: Lane, batch: &[u8]) -> io::Result<()> {
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
        packer.write_all(batch)?;
        let packed = packer.finish()?;
        let length = length(packed.len())?;
        let mark = u8::try_from(lane.index() + 1).map_err(io::Error::other)?;
        self.put(&[mark])?;
        self.put(&length)?;
        self.put(&checksum(mark, length, &packed).to_le_bytes())?;
        self.put(&packed)?;
        self.batches += 1;
        Ok(())
    }

    /// Seals it; gives back what it was written to.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(&[0])?;
        self.put(&self.batches.to_le_bytes())?;
        self.out.write_all(self.hasher.finalize().as_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_le_bytes).map_err(io::Error::other)
}

fn checksum(mark: u8, length: [u8; 4], packed: &[u8]) -> u32 {
    let [a, b, c, d] = length;
    crc32c::crc32c_append(crc32c::crc32c(&[mark, a, b, c, d]), packed)
}

/// Reads a sealed file to its end and gives each batch to `take`: its lane, itself, and its bytes. The seal is known at the end only, so
/// a first pass must not act on what it takes.
///
/// # Errors
/// If the file is torn, changed or malformed, or `take` fails.
pub fn read<E: From<SealedError>>(
    input: impl Read,
    mut take: impl FnMut(Lane, Batch, Vec<u8>) -> Result<(), E>,
) -> Result<Contents, E> {
    let mut input = Hashing { input, hasher: blake3::Hasher::new(), place: 0, batches: 0 };
    let mut contents = Contents { head: input.head()?, batches: 0, events: 0, seal: String::new() };
    while let Some((lane, value)) = input.block()? {
        contents.batches += 1;
        input.batches = contents.batches;
        let number = contents.batches;
        let (batch, _) =
            Batch::open(&value, lane).map_err(|source| SealedError::Batch { number, source })?;
        let named = contents.head.agent == batch.agent.as_str()
            && contents.head.agency == batch.agency.as_str()
            && contents.head.lanes.iter().any(|range| {
                range.lane == lane.name()
                    && range.first_seq <= batch.first_seq
                    && batch.last_seq() <= range.last_seq
            });
        if !named {
            return Err(SealedError::Foreign { number }.into());
        }
        contents.events += batch.events.len() as u64;
        take(lane, batch, value)?;
    }
    // The end mark may be what was altered: a batch would stand there.
    let place = input.place.saturating_sub(1);
    let count = input.exactly(8)?;
    if count != contents.batches.to_le_bytes() {
        return Err(SealedError::Altered { place, batches: contents.batches }.into());
    }
    let wanted = input.hasher.finalize();
    let seal: [u8; 32] = input.exactly(32)?.try_into().map_err(|_| SealedError::Seal)?;
    if wanted != blake3::Hash::from(seal) {
        return Err(SealedError::Seal.into());
    }
    contents.seal = wanted.to_hex().to_string();
    Ok(contents)
}

/// Reads it to its end without taking anything.
///
/// # Errors
/// If the file is torn, changed or malformed.
pub fn verify(input: impl Read) -> Result<Contents, SealedError> {
    read(input, |_, _, _| Ok(()))
}

/// Input that is hashed as it is read.
struct Hashing<R> {
    input: R,
    hasher: blake3::Hasher,
    place: u64,
    batches: u64,
}

impl<R: Read> Hashing<R> {
    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, SealedError> {
        let mut bytes = Vec::with_capacity(length);
        (&mut self.input).take(length as u64).read_to_end(&mut bytes)?;
        self.place += bytes.len() as u64;
        if bytes.len() < length {
            return Err(SealedError::Torn { place: self.place, batches: self.batches });
        }
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, SealedError> {
        let bytes = self.exactly(4)?;
        Ok(bytes.try_into().map(u32::from_le_bytes).unwrap_or(u32::MAX))
    }

    const fn altered(&self, place: u64) -> SealedError {
        SealedError::Altered { place, batches: self.batches }
    }

    fn head(&mut self) -> Result<Head, SealedError> {
        let magic = self.exactly(MAGIC.len()).map_err(|error| match error {
            SealedError::Torn { .. } => SealedError::Magic,
            other => other,
        })?;
        if magic != MAGIC {
            return Err(SealedError::Magic);
        }
        let place = self.place;
        let length = self.number()? as usize;
        let sum = self.number()?;
        if length > HEAD_BYTES_MAX {
            return Err(self.altered(place));
        }
        let text = self.exactly(length)?;
        if crc32c::crc32c(&text) != sum {
            return Err(self.altered(place));
        }
        serde_json::from_slice(&text).map_err(|_| self.altered(place))
    }

    fn block(&mut self) -> Result<Option<(Lane, Vec<u8>)>, SealedError> {
        let place = self.place;
        let mark = self.exactly(1)?[0];
        let Some(lane) = usize::from(mark).checked_sub(1) else { return Ok(None) };
        let Some(lane) = Lane::ALL.get(lane).copied() else { return Err(self.altered(place)) };
        let length = self.number()?;
        let sum = self.number()?;
        if length as usize > PACKED_BYTES_MAX {
            return Err(self.altered(place));
        }
        let packed = self.exactly(length as usize)?;
        if checksum(mark, length.to_le_bytes(), &packed) != sum {
            return Err(self.altered(place));
        }
        let mut value = Vec::new();
        let most = RECORD_BYTES_MAX as u64 + 1;
        let unpacked = DeflateDecoder::new(packed.as_slice()).take(most).read_to_end(&mut value);
        unpacked.map_err(|_| self.altered(place))?;
        Ok(Some((lane, value)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vonggac_wire::{
        AgencyId, AgentId, Event, Time,
        event::{Activity, Body, Class, Status},
    };

    use super::*;

    fn batch(first_seq: u64, count: usize) -> Batch {
        let time = Time::from_seconds(1_764_000_000);
        let activity = Activity::of(Class::Authentication, 1, Status::Failure);
        Batch {
            agent: AgentId::new("web-2").unwrap(),
            agency: AgencyId::new("H49").unwrap(),
            host: "web-2".into(),
            boot: [7; 16],
            lane: Lane::Security,
            first_seq,
            previous: None,
            events: vec![Event::new(time, time, Body::Activity(activity)); count],
            simulated: false,
            sealed: time,
            ahead: false,
        }
    }

    fn head() -> Head {
        Head {
            agent: "web-2".into(),
            agency: "H49".into(),
            host: "web-2".into(),
            made: "2026-01-01T00:00:00Z".into(),
            lanes: vec![Range { lane: "security".into(), first_seq: 11, last_seq: 40 }],
        }
    }

    fn file() -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut writer = Writer::new(Vec::new(), &head()).unwrap();
        let values: Vec<_> = (0..3).map(|n| batch(11 + n * 10, 10).seal().value).collect();
        for value in &values {
            writer.add(Lane::Security, value).unwrap();
        }
        (writer.finish().unwrap(), values)
    }

    #[test]
    fn what_was_sealed_comes_out_byte_by_byte() {
        let (file, values) = file();
        let mut taken = Vec::new();
        let contents = read::<SealedError>(file.as_slice(), |_, _, value| {
            taken.push(value);
            Ok(())
        })
        .unwrap();
        assert_eq!((taken, contents.events, contents.batches), (values, 30, 3));
        assert_eq!(contents.head, head());
    }

    #[test]
    fn a_file_torn_at_any_byte_is_refused_with_its_place() {
        let (file, _) = file();
        for length in 0..file.len() {
            match verify(&file[..length]) {
                Err(SealedError::Torn { place, .. }) => assert_eq!(place, length as u64),
                Err(SealedError::Magic) => assert!(length < MAGIC.len()),
                other => panic!("{length}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_batch_that_the_head_does_not_name_is_refused() {
        for wrong in [batch(41, 1), Batch { agent: AgentId::new("x").unwrap(), ..batch(11, 1) }] {
            let mut writer = Writer::new(Vec::new(), &head()).unwrap();
            writer.add(Lane::Security, &wrong.seal().value).unwrap();
            let error = verify(writer.finish().unwrap().as_slice()).unwrap_err();
            assert!(matches!(error, SealedError::Foreign { number: 1 }), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_refused_and_its_place_is_not_behind_it(place in 0_usize..100_000, bit in 0_u8..8) {
            let (mut file, _) = file();
            let place = place % file.len();
            file[place] ^= 1 << bit;
            match verify(file.as_slice()) {
                Err(SealedError::Altered { place: told, .. }) => prop_assert!(told <= place as u64),
                Err(SealedError::Torn { .. } | SealedError::Magic | SealedError::Seal) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(verify(bytes.as_slice()).is_err());
            let mut begun = MAGIC.to_vec();
            begun.extend(bytes);
            prop_assert!(verify(begun.as_slice()).is_err());
        }
    }
}
