//! Bytes of a block that are worth a look, a bit each: told in a few wide steps, with what stands before and behind the block.

use wide::u8x16;

/// Bytes that are marked at once.
pub(super) const BLOCK_BYTES: usize = 64;

/// What stands where in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    digits: u64,
    /// What may stand between groups of digits.
    separators: u64,
    colons: u64,
    percents: u64,
    /// `=`, `@`, the `J` of a token's `eyJ`, the `B` of `Bearer` and `-----BEGIN`.
    others: u64,
}

impl Marks {
    /// Of a block, or of a text's shorter end.
    pub(super) fn of(block: &[u8]) -> Self {
        let mut padded = [0; BLOCK_BYTES];
        let bytes = block.first_chunk().unwrap_or_else(|| {
            padded[..block.len()].copy_from_slice(block);
            &padded
        });
        marks(bytes)
    }

    /// Places at which something may begin, end or turn, between the blocks before and behind. Those of numbers are their first digits
    /// (behind an escape such as `%40`, too), if they are long enough or the first of several groups: see [`super::number::at`].
    /// `clocks`: colons between digits are looked at, which else only stand in times and addresses.
    pub(super) fn signs(self, before: Self, behind: Self, clocks: bool) -> u64 {
        const LAST: usize = BLOCK_BYTES - 1;
        let both = |this: u64, behind: u64| u128::from(this) | u128::from(behind) << BLOCK_BYTES;
        let digits = both(self.digits, behind.digits);
        let separators = both(self.separators, behind.separators);
        let two = digits & digits >> 1;
        let four = two & two >> 2;
        let nine = four & four >> 4 & digits >> 8;
        // Two to four digits, a separator, a digit.
        let grouped = two
            & ((separators >> 2 & digits >> 3)
                | (digits >> 2
                    & ((separators >> 3 & digits >> 4)
                        | (digits >> 3 & separators >> 4 & digits >> 5))));
        let behind_digit = self.digits << 1 | before.digits >> LAST;
        let behind_escape = self.percents << 3 | before.percents >> (LAST - 2);
        let numbers = low(nine | grouped) & (!behind_digit | behind_escape);
        let times = if clocks { 0 } else { behind_digit & low(digits >> 1) };
        self.others | self.percents | self.colons & !times | numbers
    }
}

/// The marks of the block itself.
fn low(marks: u128) -> u64 {
    (marks & u128::from(u64::MAX)) as u64
}

/// Sixteen bytes at a step.
fn marks(bytes: &[u8; BLOCK_BYTES]) -> Marks {
    let mut marks = Marks::default();
    for (place, bytes) in bytes.as_chunks::<16>().0.iter().enumerate() {
        let sixteen = u8x16::new(*bytes);
        let is = |byte: u8| sixteen.simd_eq(u8x16::splat(byte));
        let value = sixteen - u8x16::splat(b'0');
        let digits = value.min(u8x16::splat(9)).simd_eq(value);
        let bits = |flags: u8x16| u64::from(flags.to_bitmask()) << (place * 16);
        marks.digits |= bits(digits);
        marks.separators |= bits(is(b' ') | is(b'.') | is(b'-'));
        marks.colons |= bits(is(b':'));
        marks.percents |= bits(is(b'%'));
        marks.others |= bits(is(b'=') | is(b'@') | is(b'J') | is(b'B'));
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_marked_in_wide_steps_is_what_is_marked_byte_by_byte(bytes in proptest::array::uniform32(proptest::num::u8::ANY), likely in "[ .:%=@JB0-9x/-]{32}") {
            let block: Vec<u8> = bytes.into_iter().chain(likely.into_bytes()).collect();
            let block = block.first_chunk().unwrap();
            let gathered = |is: fn(&u8) -> bool| {
                block.iter().rev().fold(0, |marks, byte| marks << 1 | u64::from(is(byte)))
            };
            let wanted = Marks {
                digits: gathered(u8::is_ascii_digit),
                separators: gathered(|byte| b" .-".contains(byte)),
                colons: gathered(|byte| *byte == b':'),
                percents: gathered(|byte| *byte == b'%'),
                others: gathered(|byte| b"=@JB".contains(byte)),
            };
            proptest::prop_assert_eq!(marks(block), wanted);
        }
    }

    #[test]
    fn numbers_are_marked_where_they_begin_if_they_may_be_meant() {
        let signs = |text: &str| {
            let marks = Marks::of(text.as_bytes());
            marks.signs(Marks::default(), Marks::default(), false)
        };
        assert_eq!(signs("a 123456789 b"), 1 << 2);
        assert_eq!(signs("a 12345678 b"), 0);
        assert_eq!(signs("09:41:12, 0912 345"), 1 << 10);
        assert_eq!(signs("1.2 12. 12,3 12345 6"), 0);
        assert_eq!(signs("%40123456789"), 1 | 1 << 1 | 1 << 3, "behind an escape");
    }
}
