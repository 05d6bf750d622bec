//! Varied events that the engine makes itself: a hundred million of them in minutes, the same ones each time.

/// Which events are made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// The first number.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Time of number 0, seconds.
    pub start: i64,
    /// Microseconds from one number to the next.
    pub apart_micros: u64,
    /// Numbers that share an offset of Kafka.
    pub record: u64,
}

/// Agencies among which they are; the first ones have the most.
pub const AGENCIES: u64 = 60;

/// Partitions on which they lie.
pub const PARTITIONS: i32 = 12;

impl Made {
    /// The offset behind the last.
    #[must_use]
    pub const fn next_offset(&self) -> u64 {
        (self.first + self.count).div_ceil(self.record)
    }

    /// The statement that makes them in the table `events`. Each request and dossier has a word of its own, `lower(hex(sipHash64(number, 5)))`.
    #[must_use]
    pub fn statement(&self) -> String {
        include_str!("made.sql")
            // A question mark is no place for a value.
            .replace('?', "??")
            .replace("{first}", &self.first.to_string())
            .replace("{count}", &self.count.to_string())
            .replace("{start}", &self.start.to_string())
            .replace("{apart}", &self.apart_micros.to_string())
            .replace("{record}", &self.record.to_string())
            .replace("{agencies}", &AGENCIES.to_string())
            .replace("{partitions}", &PARTITIONS.to_string())
    }
}
