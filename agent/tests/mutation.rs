//! The formats' own examples, damaged at random: no format panics, hangs or loses the line. A bounded run each time; long by
//! `VONGGAC_MUTATIONS`.

#![expect(clippy::unwrap_used, reason = "a test stops where its ground is missing")]

use std::{env, fs, path::Path};

use jiff::tz::TimeZone;
use vonggac_agent::{
    format::{self, Context, join::Joiner},
    redact::Redactor,
};
use vonggac_wire::Time;

/// Lines of one run, where nothing else is said.
const MUTATIONS: u64 = 4_000;

/// Small and the same on every machine: a failure can be run again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % end.max(1)
    }
}

/// All example lines of the format files.
fn examples() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("formats");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    let lines: Vec<Vec<u8>> = texts
        .flat_map(|text| {
            let lines = text.lines().filter_map(|line| line.strip_prefix("line = "));
            lines.map(|line| line.trim_matches(['\'', '"']).as_bytes().to_vec()).collect::<Vec<_>>()
        })
        .collect();
    assert!(lines.len() > 150, "{}", lines.len());
    lines
}

/// What logs, terminals and attackers put into lines.
const PIECES: [&[u8]; 16] = [
    b"\"",
    b"'",
    b"\\",
    b"\0",
    b"\xff\xfe",
    b"=",
    b"[",
    b"]",
    b"}",
    b"{",
    b"%00",
    b"\t",
    "\u{202e}".as_bytes(),
    b"99999999999999999999",
    b"type=SYSCALL msg=audit(1.2:3): ",
    b"::ffff:203.0.113.7",
];

fn damaged(lines: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut line = lines[dice.below(lines.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(line.len() + 1);
        match dice.below(6) {
            0 => line.truncate(at),
            1 => {
                let end = (at + dice.below(8)).min(line.len());
                line.drain(at..end);
            }
            2 => {
                if let Some(byte) = line.get_mut(at) {
                    *byte = u8::try_from(dice.below(256)).unwrap();
                }
            }
            3 => {
                let other = &lines[dice.below(lines.len())];
                let from = dice.below(other.len());
                line.splice(at..at, other[from..].iter().copied());
            }
            4 => {
                let end = (at + dice.below(40)).min(line.len());
                let again = line[at..end].repeat(1 + dice.below(20));
                line.splice(at..at, again);
            }
            _ => {
                let piece = PIECES[dice.below(PIECES.len())];
                line.splice(at..at, piece.iter().copied());
            }
        }
    }
    line
}

#[test]
fn damaged_lines_are_read_by_every_way_and_none_is_lost() {
    let rounds = env::var("VONGGAC_MUTATIONS").ok().and_then(|text| text.parse().ok());
    let lines = examples();
    let names = format::names();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let start = 1_795_510_800;
    let context = Context::at(Time::from_seconds(start), TimeZone::UTC);
    let redactor = Redactor::default();
    let mut joiner = Joiner::default();
    let (mut pushed, mut given) = (0, 0);
    for round in 0..rounds.unwrap_or(MUTATIONS) {
        let line = damaged(&lines, &mut dice);
        let name = if round % 4 == 0 { names[dice.below(names.len())] } else { "auto" };
        let (event, _) = format::event(name, &line, 0, &context);
        assert_eq!(event.raw(), line);
        let _redacted = redactor.apply(event);
        pushed += 1;
        let now = Time::from_seconds(start + i64::try_from(round / 64).unwrap());
        given += joiner.push(&line, 0, now).iter().map(|joined| joined.lines).sum::<u64>();
    }
    given += joiner.finish().iter().map(|joined| joined.lines).sum::<u64>();
    assert_eq!(pushed, given);
}
