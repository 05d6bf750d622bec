//! `vonggac-agent redact`: what would be taken out of each line of a file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::PathBuf,
};

use vonggac_daemon::exit::Exit;
use vonggac_wire::limits::RAW_BYTES_MAX;

use super::complain;
use crate::{
    config::Config,
    redact::{Pseudonyms, Redactor, Rules},
};

/// Which lines, by which rules.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file, or - for standard input: each line is shown before and after.
    #[arg(long, value_name = "FILE")]
    test: String,
    /// A configuration whose [redact] is used; without it the default rules are.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Only the lines that change.
    #[arg(long)]
    changed: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let rules = match &arguments.config {
        None => Rules::default(),
        Some(path) => match Config::read(path) {
            Ok(config) => config.redact.rules,
            Err(error) => return complain(&format!("{error}"), Exit::Configuration),
        },
    };
    let reader: Box<dyn Read> = if arguments.test == "-" {
        Box::new(io::stdin())
    } else {
        match File::open(&arguments.test) {
            Ok(file) => Box::new(file),
            Err(error) => {
                let text = format!("failed to open {}: {error}", arguments.test);
                return complain(&text, Exit::Failure);
            }
        }
    };
    // Pseudonyms of a key of its own: a test tells nothing about those that are kept.
    let redactor = Redactor::new(rules, Pseudonyms::fleeting());
    match show(&redactor, arguments.changed, BufReader::new(reader), io::stdout().lock()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => complain(&format!("failed to go on: {error}"), Exit::Failure),
    }
}

fn show(
    redactor: &Redactor,
    only_changed: bool,
    mut reader: impl BufRead,
    mut writer: impl Write,
) -> io::Result<()> {
    let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut number, mut changed) = (0_u64, 0_u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        let whole = line.strip_suffix(b"\n").unwrap_or(&line);
        let kept = &whole[..whole.len().min(RAW_BYTES_MAX)];
        let (after, kinds) = redactor.explain(kept);
        if kinds.is_empty() {
            if !only_changed {
                writeln!(writer, "{number:>6}   {}", visible(kept))?;
            }
            continue;
        }
        changed += 1;
        for kind in kinds {
            *taken.entry(kind).or_default() += 1;
        }
        writeln!(writer, "{number:>6} - {}", visible(kept))?;
        writeln!(writer, "{number:>6} + {}", visible(&after))?;
    }
    let taken: Vec<String> =
        taken.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    let taken = if taken.is_empty() { "nothing".to_owned() } else { taken.join(", ") };
    writeln!(writer, "{changed} of {number} lines changed: {taken}")?;
    writer.flush()
}

/// A log's bytes as a terminal may take them.
fn visible(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_changed_line_stands_before_and_after_with_a_sum_at_the_end() {
        let text = "plain\x1b[31m\nsdt 0912345678 token=abc\n";
        let mut out = Vec::new();
        show(&Redactor::default(), false, text.as_bytes(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], "     1   plain\u{fffd}[31m");
        assert_eq!(lines[1], "     2 - sdt 0912345678 token=abc");
        assert_eq!(lines[2], "     2 + sdt [phone] token=***");
        assert_eq!(lines[3], "1 of 2 lines changed: 1 x secret, 1 x telephone");
    }
}
