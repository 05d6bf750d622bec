//! Where a message of a stream begins and ends (RFC 6587): counted octets, or a line's end, found for each message by itself.
//!
//! Pure: bytes in, messages out, however the bytes are cut. A count is only taken as one if a `<` follows it, as each counted
//! message begins; a line that happens to begin with a number stays a line.

use vonggac_wire::limits::RAW_BYTES_MAX;

/// Digits of a count.
const COUNT_DIGITS_MAX: usize = 7;

/// Bytes that a count may claim. A message of a megabyte is already far too long; a count beyond it is a lie that would swallow what
/// comes after it.
const COUNT_BYTES_MAX: usize = 1 << 20;

/// One message, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// At most [`RAW_BYTES_MAX`] bytes.
    pub(crate) bytes: Vec<u8>,
    /// Bytes that were cut away.
    pub(crate) cut: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages.
    Start,
    /// Digits that may be a count stand in the buffer.
    Count,
    /// A count and a space stand in the buffer.
    Space(usize),
    /// So many bytes are still to come.
    Counted(usize),
    /// Until a line's end.
    Line,
}

/// The reading of one stream.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    buffer: Vec<u8>,
    cut: u64,
}

impl Default for Framing {
    fn default() -> Self {
        Self { state: State::Start, buffer: Vec::new(), cut: 0 }
    }
}

impl Framing {
    /// Takes bytes; adds what is complete to `frames`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], frames: &mut Vec<Frame>) {
        while let Some(first) = bytes.first().copied() {
            match self.state {
                State::Start => {
                    self.state = match first {
                        b'1'..=b'9' => State::Count,
                        b'\n' | b'\r' | 0 => {
                            bytes = &bytes[1..];
                            continue;
                        }
                        _ => State::Line,
                    };
                }
                State::Count if first.is_ascii_digit() && self.buffer.len() < COUNT_DIGITS_MAX => {
                    self.buffer.push(first);
                    bytes = &bytes[1..];
                }
                State::Count => {
                    self.state = match self.count() {
                        Some(count) if first == b' ' && count <= COUNT_BYTES_MAX => {
                            self.buffer.push(first);
                            bytes = &bytes[1..];
                            State::Space(count)
                        }
                        _ => State::Line,
                    };
                }
                State::Space(count) => {
                    self.state = if first == b'<' {
                        self.buffer.clear();
                        State::Counted(count)
                    } else {
                        State::Line
                    };
                }
                State::Counted(left) => {
                    let taken = left.min(bytes.len());
                    self.keep(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    self.state = State::Counted(left - taken);
                    if left == taken {
                        self.close(frames);
                    }
                }
                State::Line => {
                    let end = memchr::memchr2(b'\n', 0, bytes);
                    self.keep(&bytes[..end.unwrap_or(bytes.len())]);
                    bytes = end.map_or(&[], |end| &bytes[end + 1..]);
                    if end.is_some() {
                        self.close(frames);
                    }
                }
            }
        }
    }

    /// The stream ended: what it said last.
    pub(crate) fn finish(mut self) -> Option<Frame> {
        let mut frames = Vec::new();
        self.close(&mut frames);
        frames.pop()
    }

    fn count(&self) -> Option<usize> {
        std::str::from_utf8(&self.buffer).ok()?.parse().ok()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = RAW_BYTES_MAX.saturating_sub(self.buffer.len()).min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..room]);
        self.cut += (bytes.len() - room) as u64;
    }

    fn close(&mut self, frames: &mut Vec<Frame>) {
        let mut bytes = std::mem::take(&mut self.buffer);
        let cut = std::mem::take(&mut self.cut);
        self.state = State::Start;
        trim(&mut bytes);
        if !bytes.is_empty() {
            frames.push(Frame { bytes, cut });
        }
    }
}

/// Takes away what ends a message.
pub(crate) fn trim(bytes: &mut Vec<u8>) {
    while matches!(bytes.last(), Some(b'\n' | b'\r' | 0)) {
        bytes.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(pieces: &[&[u8]]) -> Vec<String> {
        let (mut framing, mut frames) = (Framing::default(), Vec::new());
        for piece in pieces {
            framing.push(piece, &mut frames);
        }
        frames.extend(framing.finish());
        frames.into_iter().map(|f| String::from_utf8_lossy(&f.bytes).into_owned()).collect()
    }

    #[test]
    fn counted_messages_and_lines_may_be_mixed() {
        assert_eq!(
            frames(&[b"11 <13>a\nb c d<13>line one\r\n7 <13>end"]),
            ["<13>a\nb c d", "<13>line one", "<13>end"]
        );
    }

    #[test]
    fn a_line_that_begins_with_a_number_stays_a_line() {
        assert_eq!(
            frames(&[b"2026-11-24T09:41:12Z x\n42 is no count\n99999999 <a\n5 <13>a\n"]),
            ["2026-11-24T09:41:12Z x", "42 is no count", "99999999 <a", "<13>a"]
        );
    }

    #[test]
    fn a_message_without_end_is_cut_and_the_next_is_whole() {
        let (mut framing, mut frames) = (Framing::default(), Vec::new());
        for _ in 0..200 {
            framing.push(&[b'x'; 1024], &mut frames);
        }
        assert!(framing.buffer.len() <= RAW_BYTES_MAX && frames.is_empty());
        framing.push(b"\n<13>next\n", &mut frames);
        assert_eq!(frames[0].bytes.len() as u64 + frames[0].cut, 200 * 1024);
        assert_eq!(frames[1].bytes, b"<13>next");
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_it_says_the_same(
            messages in proptest::collection::vec(("<13>[a-z \n]{0,20}x", any::<bool>()), 1..10),
            cuts in proptest::collection::vec(1_usize..9, 1..200),
        ) {
            let mut stream = Vec::new();
            let mut wanted = Vec::new();
            for (message, counted) in &messages {
                let message = if *counted { message.clone() } else { message.replace('\n', " ") };
                if *counted {
                    stream.extend(format!("{} {message}", message.len()).bytes());
                } else {
                    stream.extend(format!("{message}\n").bytes());
                }
                wanted.push(message);
            }
            let (mut pieces, mut at) = (Vec::new(), 0);
            for cut in cuts.iter().cycle() {
                let end = (at + cut).min(stream.len());
                pieces.push(&stream[at..end]);
                at = end;
                if at == stream.len() {
                    break;
                }
            }
            prop_assert_eq!(frames(&pieces), wanted);
        }

        #[test]
        fn any_bytes_are_taken_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let lost: usize = frames(&[&bytes]).iter().map(String::len).sum();
            prop_assert!(lost <= bytes.len() * 3);
        }
    }
}
