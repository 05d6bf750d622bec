//! The fuzz targets on the stable compiler: seeds that are damaged at random, for a bounded time in every test run. No target panics,
//! hangs, or breaks what must hold. Long by `VONGGAC_FUZZ_SECONDS`; libFuzzer gives the same targets what covers new code
//! (`agent/fuzz`).

#![expect(clippy::unwrap_used, reason = "a test stops where its ground is missing")]
#![expect(clippy::print_stderr, reason = "a long run tells how far it came")]

use std::{
    collections::BTreeSet,
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use vonggac_agent::fuzz::TARGETS;

/// Seconds of all targets together, where nothing else is said.
const SECONDS: f64 = 20.0;

/// Inputs that each target gets however slow the machine is.
const ROUNDS_MIN: u64 = 500;

/// Bytes of an input, most of the time: what is longer finds little more.
const INPUT_BYTES_MAX: usize = 4_096;

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

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// All example lines of the format files.
fn lines() -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        fs::read_dir(root().join("formats")).unwrap().map(|entry| entry.unwrap().path()).collect();
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

/// What a target begins with.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    match target {
        // Every fourth by a format that is named, wrongly mostly; the others as they are met.
        "line" => lines()
            .into_iter()
            .zip((0..=u8::MAX).cycle())
            .map(|(line, n)| [vec![if n % 4 == 0 { n / 4 } else { 255 }], line].concat())
            .collect(),
        "redact" => lines(),
        "records" => lines().chunks(4).map(|lines| lines.join(&b'\n')).collect(),
        "framing" => texts(&[
            "\x05\0<13>a line\n<13>another\r\n",
            "\x09\x007 <13>one11 <34>1 - - -<13>end\n",
            "\x01\x007 <13>one\x007 <13>two9999999999 <13>x\n",
            "\x30\x002026-11-24T09:41:12Z x\n42 is no count\n0 <a\n12 <13>unfin",
        ]),
        "usage" => texts(&[
            r#"0{"kind":"dossier","step":"closed","service":"khai-sinh","time":"2026-11-24T09:00:00+07:00","due":"2026-11-25T00:00:00Z","online":true}"#,
            r#"0{"specversion":"1.0","id":"1","source":"/p","type":"vn.gov.dossier.received.v1","time":"2026-11-24T09:00:00+07:00","data":{"service":"x","online":true}}"#,
            r#"1{"service":"x","online":true}"#,
            "0[{\"kind\":\"rating\",\"score\":4},\n7,{\"kind\":\"payment\",\"amount_vnd\":5,\"x\":[\"]\\\"\"]}]",
            r#"0{"records":[{"requestInTs":1764000000123,"serviceCode":"y","succeeded":true}]}"#,
            "0{\"kind\":\"rating\",\"score\":4}\n\n{\"kind\":\"session\",\"step\":\"logout\"}\n",
            r#"0{"specversion":"1.0","id":"1","source":"b","type":"rating","data_base64":"eyJzY29yZSI6NH0="}"#,
        ]),
        "drop" => texts(&[
            "0score;service;time\n4;\"khai;\"\"\nsinh\";24/11/2026 09:41\r\n5;x;2026-11-24\n",
            "0sep=,\nscore,online,amount_vnd\n1,có,1.250.000\n\"2,x\n",
            "1[{\"kind\":\"rating\",\"score\":4},\n{\"kind\":\"rating\",\"score\":9}]",
            "2{\"kind\":\"rating\",\"score\":4}\n\nno\n",
            "0\u{feff}score\tservice\n3\tĐăng ký\n",
        ]),
        "spool" => vec![[vec![128], (0..200).collect()].concat(), b"\x40 a record".to_vec()],
        "sealed" => {
            vec![b"\0\0\0\0\0VGSEAL1\n".to_vec(), b"\x20\0\0\0\x02\0\0\0\0\0\0\0\0".to_vec()]
        }
        other => unreachable!("{other} has no seeds"),
    }
}

/// What logs, terminals, spreadsheets and attackers put into texts.
const PIECES: [&[u8]; 30] = [
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
    b"\n",
    b"\r\n",
    b";",
    b",",
    b"<13>",
    b"<34>1 ",
    b"\"\"",
    "\u{202e}".as_bytes(),
    "\u{feff}".as_bytes(),
    b"99999999999999999999",
    b"-1",
    b"1e309",
    b"type=SYSCALL msg=audit(1.2:3): ",
    b"::ffff:203.0.113.7",
    b"password=",
    b"nguoi.dan@example.vn",
    b"001099012345",
    b"\xfd\xec",
];

fn damaged(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(5) {
        let at = dice.below(input.len() + 1);
        match dice.below(7) {
            0 => input.truncate(at),
            1 => {
                let end = (at + dice.below(8)).min(input.len());
                input.drain(at..end);
            }
            2 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = u8::try_from(dice.below(256)).unwrap();
                }
            }
            3 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len());
                input.splice(at..at, other[from..].iter().copied());
            }
            4 => {
                let end = (at + dice.below(40)).min(input.len());
                let again = input[at..end].repeat(1 + dice.below(20));
                input.splice(at..at, again);
            }
            5 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            _ => {
                let piece = PIECES[dice.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
    // Now and then one that is far too long.
    if dice.below(500) == 0 && !input.is_empty() {
        return input.repeat(100_000 / input.len() + 1);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// Gives a target damaged inputs until its time is over. An input that it does not bear is kept.
fn fuzz(name: &str) {
    let seconds = env::var("VONGGAC_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let share = Duration::from_secs_f64(seconds.unwrap_or(SECONDS) / TARGETS.len() as f64);
    let run = TARGETS.iter().find(|target| target.name == name).unwrap().run;
    let seeds = seeds(name);
    seeds.iter().for_each(|seed| run(seed));
    // A long run is another one each time.
    let seed = if seconds.is_some() { u64::from(std::process::id()) << 32 } else { 0 };
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ seed);
    let (begun, mut rounds) = (Instant::now(), 0);
    let mut slowest = Duration::ZERO;
    while rounds < ROUNDS_MIN || begun.elapsed() < share {
        let input = damaged(&seeds, &mut dice);
        let at = Instant::now();
        if let Err(why) = panic::catch_unwind(AssertUnwindSafe(|| run(&input))) {
            let folder = root().join("fuzz/artifacts").join(name);
            fs::create_dir_all(&folder).unwrap();
            let file = folder.join(format!("crash-{rounds}"));
            fs::write(&file, &input).unwrap();
            eprintln!("the input is in {}", file.display());
            panic::resume_unwind(why);
        }
        slowest = slowest.max(at.elapsed());
        rounds += 1;
    }
    eprintln!("{name}: {rounds} inputs, the slowest took {slowest:?}");
}

#[test]
fn dropped_files_hold_whatever_is_in_them() {
    fuzz("drop");
}

#[test]
fn frames_of_a_stream_hold_wherever_it_is_cut() {
    fuzz("framing");
}

#[test]
fn damaged_lines_are_read_by_every_way_and_none_is_lost() {
    fuzz("line");
}

#[test]
fn damaged_records_give_each_line_once() {
    fuzz("records");
}

#[test]
fn redaction_bears_every_text() {
    fuzz("redact");
}

#[test]
fn a_sealed_file_is_taken_as_it_was_made_or_not_at_all() {
    fuzz("sealed");
}

#[test]
fn a_damaged_segment_hides_no_record_that_was_there() {
    fuzz("spool");
}

#[test]
fn posts_of_every_kind_are_taken_or_told() {
    fuzz("usage");
}

#[test]
fn every_target_is_libfuzzers_too() {
    let files: BTreeSet<String> = fs::read_dir(root().join("fuzz/fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(files, names);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("fuzz_targets/{name}.rs")), "{name} is not built");
    }
}
