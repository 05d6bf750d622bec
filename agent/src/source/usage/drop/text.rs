//! The text of a dropped file: lines of a bounded length with their true numbers, in whichever encoding old programs write.
//!
//! UTF-8 with or without a mark, UTF-16 with or without one, and Windows-1258, which Vietnamese programs of Windows wrote before
//! Unicode. What is none of them is told and not guessed at.

use std::{
    borrow::Cow,
    collections::VecDeque,
    io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom},
};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1258};
use unicode_normalization::UnicodeNormalization;

/// Bytes of one line; beyond it a line is passed over and told.
pub(super) const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of a file that has to be in memory as a whole: a JSON list, UTF-16.
pub(super) const WHOLE_BYTES_MAX: u64 = 16 << 20;

/// Bytes at a file's beginning that tell UTF-16 without a mark.
const SAMPLE_BYTES: usize = 1_024;

/// What reads a file from its beginning, without a mark of its order of bytes, as bytes that ASCII is part of.
pub(super) fn open<'a>(mut file: impl Read + Seek + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut sample = Vec::new();
    file.by_ref().take(SAMPLE_BYTES as u64).read_to_end(&mut sample)?;
    let (wide, mark) = match sample[..] {
        [0xff, 0xfe, ..] => (Some(UTF_16LE), 2),
        [0xfe, 0xff, ..] => (Some(UTF_16BE), 2),
        [0xef, 0xbb, 0xbf, ..] => (None, 3),
        _ => (wide_without_mark(&sample), 0),
    };
    file.seek(SeekFrom::Start(mark))?;
    let Some(wide) = wide else { return Ok(Box::new(BufReader::new(file))) };
    let mut bytes = Vec::new();
    file.take(WHOLE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > WHOLE_BYTES_MAX {
        let error = format!(
            "it is UTF-16 and larger than {WHOLE_BYTES_MAX} bytes; save it as UTF-8, or in parts"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    let (text, _) = wide.decode_without_bom_handling(&bytes);
    Ok(Box::new(Cursor::new(text.into_owned().into_bytes())))
}

/// Latin letters in UTF-16 have a zero beside each.
fn wide_without_mark(sample: &[u8]) -> Option<&'static Encoding> {
    let zeros =
        |first: usize| sample.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let (high_first, low_first) = (zeros(0), zeros(1));
    let many = sample.len() / 5;
    match (high_first, low_first) {
        (0, low) if low > many => Some(UTF_16LE),
        (high, 0) if high > many => Some(UTF_16BE),
        _ => None,
    }
}

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1, blank ones counted.
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// It is longer than [`LINE_BYTES_MAX`]; this is its beginning.
    pub(super) is_cut: bool,
}

/// The lines of a file.
pub(super) struct Lines<'a> {
    reader: Box<dyn BufRead + 'a>,
    number: u64,
    /// Lines that were given back.
    back: VecDeque<Line>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(reader: Box<dyn BufRead + 'a>) -> Self {
        Self { reader, number: 0, back: VecDeque::new() }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.back.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        if (&mut self.reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let is_cut = bytes.last() != Some(&b'\n') && bytes.len() as u64 > LINE_BYTES_MAX;
        if is_cut {
            // The rest of the line is none of its own.
            let mut rest = Vec::new();
            while (&mut self.reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut rest)? > 0
                && rest.last() != Some(&b'\n')
            {
                rest.clear();
            }
        }
        for end in [b'\n', b'\r'] {
            if bytes.last() == Some(&end) {
                bytes.pop();
            }
        }
        Ok(Some(Line { number: self.number, bytes, is_cut }))
    }

    /// Gives lines back, in their order: they come again.
    pub(super) fn give_back(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.back.push_front(line);
        }
    }
}

/// What the bytes beyond ASCII are, as far as the lines have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Letters {
    /// There was none yet.
    #[default]
    Plain,
    Utf8,
    /// A guess, by letters that are no UTF-8 and are all letters there.
    Windows1258,
}

impl Letters {
    /// A line's text. The first line with letters beyond ASCII decides for all of them.
    pub(super) fn text<'a>(&mut self, bytes: &'a [u8]) -> Result<Cow<'a, str>, String> {
        if *self != Self::Windows1258 {
            match std::str::from_utf8(bytes) {
                Ok(text) => {
                    if !text.is_ascii() {
                        *self = Self::Utf8;
                    }
                    return Ok(text.into());
                }
                Err(_) if *self == Self::Utf8 => {
                    return Err("it is no UTF-8, as the lines before it are".into());
                }
                Err(_) => {}
            }
        }
        if let Some(text) = WINDOWS_1258.decode_without_bom_handling_and_without_replacement(bytes)
        {
            if !text.chars().any(|c| c.is_control() && c != '\t' && c != '\n' && c != '\r') {
                *self = Self::Windows1258;
                // Tones are letters of their own there; the words that portals post have them as one.
                return Ok(text.nfc().collect::<String>().into());
            }
        }
        Err("it is neither UTF-8 nor Windows-1258; save the file as UTF-8".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Line> {
        let mut lines = Lines::of(open(Cursor::new(bytes.to_vec())).unwrap());
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        lines(bytes).into_iter().map(|line| String::from_utf8(line.bytes).unwrap()).collect()
    }

    #[test]
    fn lines_keep_their_true_numbers_whatever_ends_them() {
        let found = lines(b"one\r\n\r\n\nfour\nlast");
        let numbers: Vec<(u64, &[u8])> = found.iter().map(|l| (l.number, &l.bytes[..])).collect();
        assert_eq!(numbers, [(1, &b"one"[..]), (2, b""), (3, b""), (4, b"four"), (5, b"last")]);
    }

    #[test]
    fn a_line_of_megabytes_is_cut_and_the_next_has_its_number() {
        let text = format!("{}\nnext\n", "x".repeat(1_000_000));
        let found = lines(text.as_bytes());
        assert!(found[0].is_cut && found[0].bytes.len() as u64 <= LINE_BYTES_MAX + 1);
        assert_eq!((found[1].number, &found[1].bytes[..], found.len()), (2, &b"next"[..], 2));
        let exact = format!("{}\nnext", "x".repeat(usize::try_from(LINE_BYTES_MAX).unwrap()));
        assert!(!lines(exact.as_bytes())[0].is_cut);
    }

    #[test]
    fn marks_are_taken_away_and_utf_16_is_read_with_and_without_one() {
        assert_eq!(texts(b"\xef\xbb\xbfa;b\n1;2\n"), ["a;b", "1;2"]);
        let wide = |text: &str, little: bool| -> Vec<u8> {
            let units = text.encode_utf16();
            units.flat_map(|u| if little { u.to_le_bytes() } else { u.to_be_bytes() }).collect()
        };
        let text = "Bước;Dịch vụ\nreceived;khai sinh\n";
        for little in [true, false] {
            let wanted = ["Bước;Dịch vụ", "received;khai sinh"];
            assert_eq!(texts(&wide(text, little)), wanted);
            assert_eq!(texts(&wide(&format!("\u{feff}{text}"), little)), wanted);
        }
    }

    #[test]
    fn letters_of_windows_1258_become_the_letters_that_portals_post() {
        let mut letters = Letters::default();
        // B, ư as one letter, the acute tone apart.
        assert_eq!(
            letters.text(b"B\xfd\xecc").unwrap(),
            "B\u{1b0}\u{301}c".nfc().collect::<String>()
        );
        assert_eq!(letters, Letters::Windows1258);
        assert_eq!(letters.text(b"plain").unwrap(), "plain");
    }

    #[test]
    fn a_broken_line_of_a_utf_8_file_is_told_and_not_guessed_at() {
        let mut letters = Letters::default();
        assert_eq!(letters.text("có".as_bytes()).unwrap(), "có");
        assert!(letters.text(b"c\xf3").unwrap_err().contains("no UTF-8"));
        assert!(Letters::default().text(b"\xff\x01\x02").unwrap_err().contains("save the file"));
    }
}
