//! Lines that command a terminal, a spreadsheet or a page, on the console's screen and in each form in which rows are told.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use system_tests::machine::program;

use super::{ground::Ground, tally::Tally};

/// How long the screen is looked at.
const LOOKED: Duration = Duration::from_secs(8);

struct Case {
    sentence: &'static str,
    /// By what its line is found.
    mark: &'static str,
    /// What is written in the place of a user's name.
    evil: &'static str,
}

const CASES: [Case; 18] = [
    Case {
        sentence: "a line that clears the screen clears none",
        mark: "mark00",
        evil: "\u{1b}[2J\u{1b}[Hroot",
    },
    Case {
        sentence: "a line that names the terminal's window names none",
        mark: "mark01",
        evil: "\u{1b}]0;owned\u{7}",
    },
    Case {
        sentence: "a line that fills the clipboard fills none",
        mark: "mark02",
        evil: "\u{1b}]52;c;ZXZpbA==\u{7}",
    },
    Case {
        sentence: "a line that links to elsewhere links nowhere",
        mark: "mark03",
        evil: "\u{1b}]8;;http://evil.example\u{1b}\\x",
    },
    Case {
        sentence: "a line that asks the terminal asks nothing",
        mark: "mark04",
        evil: "\u{1b}[6n\u{1b}[c",
    },
    Case {
        sentence: "a line of eight-bit commands commands nothing",
        mark: "mark05",
        evil: "\u{9b}31mred\u{9d}0;x\u{9c}",
    },
    Case {
        sentence: "a line that turns the direction turns none",
        mark: "mark06",
        evil: "\u{202e}toor\u{202c}",
    },
    Case {
        sentence: "a line of isolates turns no direction",
        mark: "mark07",
        evil: "\u{2066}a\u{2067}b\u{2069}",
    },
    Case {
        sentence: "a line that goes back to its beginning overwrites nothing",
        mark: "mark08",
        evil: "x\rAccepted",
    },
    Case {
        sentence: "a line that takes letters back takes none",
        mark: "mark09",
        evil: "root\u{8}\u{8}\u{8}\u{8}",
    },
    Case { sentence: "a line that rings the bell rings none", mark: "mark10", evil: "\u{7}\u{7}" },
    Case {
        sentence: "a line with an end in it is one line",
        mark: "mark11",
        evil: "a\u{85}b\u{2028}c\u{b}d",
    },
    Case {
        sentence: "a formula of a link is no formula",
        mark: "mark12",
        evil: "=HYPERLINK(\"http://evil.example\",\"x\")",
    },
    Case { sentence: "a formula behind a plus is none", mark: "mark13", evil: "+cmd|'/C calc'!A0" },
    Case {
        sentence: "a formula behind a minus is none",
        mark: "mark14",
        evil: "-2+3+cmd|'/C calc'!A0",
    },
    Case { sentence: "a formula behind an at is none", mark: "mark15", evil: "@SUM(1+1)*cmd" },
    Case {
        sentence: "a line of markup is no markup",
        mark: "mark16",
        evil: "<script>alert(1)</script>",
    },
    Case {
        sentence: "a line of Markdown makes no link and no cell",
        mark: "mark17",
        evil: "|[x](javascript:alert(1))|",
    },
];

const FORMS: [&str; 5] = ["table", "csv", "md", "json", "jsonl"];

fn is_command(c: char) -> bool {
    let bidi =
        matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    bidi || (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The cells of a CSV text.
fn cells(text: &str) -> anyhow::Result<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let mut cells = Vec::new();
    for record in reader.records() {
        cells.extend(record?.iter().map(str::to_owned));
    }
    Ok(cells)
}

fn told(ground: &Ground, arguments: &[&str], form: &str, case: &Case) -> anyhow::Result<()> {
    let output = ground.machine.ask(&[arguments, &["--format", form]].concat())?;
    let text = String::from_utf8(output.stdout).context("not UTF-8")?;
    ensure!(output.status.success() && text.contains(case.mark), "{form}: not shown: {text:.300}");
    let command = text.chars().find(|c| is_command(*c));
    ensure!(command.is_none(), "{form}: {command:?} is in {text:.600?}");
    match form {
        "csv" => {
            let formula = cells(&text)?.into_iter().find(|cell| {
                cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err()
            });
            ensure!(formula.is_none(), "csv: the cell {formula:?}");
        }
        "md" => {
            ensure!(!text.contains("<script") && !text.contains("[x](java"), "md: {text:.600}");
            let bars = |line: &str| line.replace("\\|", "").matches('|').count();
            let counts: Vec<usize> =
                text.lines().filter(|l| l.starts_with('|')).map(bars).collect();
            ensure!(counts.windows(2).all(|two| two[0] == two[1]), "md: cells {counts:?}");
        }
        "json" => {
            let _rows: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        }
        _ => {}
    }
    Ok(())
}

fn try_one(ground: &Ground, case: &Case) -> anyhow::Result<()> {
    let by_text = ["events", "--text", case.mark];
    for form in FORMS {
        told(ground, &by_text, form, case)?;
    }
    let query =
        format!("SELECT user, raw, host FROM events WHERE position(raw, '{}') > 0", case.mark);
    for form in FORMS {
        told(ground, &["sql", &query], form, case)?;
    }
    Ok(())
}

/// What the console's screen of events writes to a terminal.
fn screen(ground: &Ground) -> anyhow::Result<Vec<u8>> {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    tcsetwinsize(&terminal, Winsize { ws_row: 60, ws_col: 220, ws_xpixel: 0, ws_ypixel: 0 })?;
    let name = ptsname(&terminal, Vec::new())?.to_string_lossy().into_owned();
    let end = || File::options().read(true).write(true).open(&name);
    let mut child = Command::new(program("vonggac"))
        .args(["--lang", "en", "--data"])
        .arg(ground.machine.data())
        .env("TERM", "xterm-256color")
        .stdin(Stdio::from(end()?))
        .stdout(Stdio::from(end()?))
        .stderr(Stdio::from(end()?))
        .spawn()?;
    let mut terminal = File::from(terminal);
    let mut reading = terminal.try_clone()?;
    let (sender, written) = std::sync::mpsc::channel::<Vec<u8>>();
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 65_536];
        // Ends when the terminal does.
        while let Ok(count @ 1..) = reading.read(&mut bytes) {
            if sender.send(bytes[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    terminal.write_all(b":events\r")?;
    let mut all = Vec::new();
    while begun.elapsed() < LOOKED {
        if let Ok(bytes) = written.recv_timeout(Duration::from_millis(200)) {
            all.extend(bytes);
        }
    }
    child.kill()?;
    child.wait()?;
    drop((terminal, written));
    reader.join().ok().context("a panic")?;
    Ok(all)
}

fn on_screen(ground: &Ground) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(&screen(ground)?).into_owned();
    let marks = CASES.iter().filter(|case| text.contains(case.mark)).count();
    ensure!(marks > 0, "no line is on the screen: {text:.400?}");
    for command in [
        "\u{1b}]52;",
        "\u{1b}]0;owned",
        "\u{1b}]8;;http",
        "\u{202e}",
        "\u{2066}",
        "\u{9b}",
        "\u{85}",
        "\u{7}",
    ] {
        ensure!(!text.contains(command), "{command:?} reaches the terminal");
    }
    Ok(())
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    let now = jiff::Zoned::now().strftime("%b %d %H:%M:%S").to_string();
    let line = |case: &Case| {
        format!(
            "{now} {} sshd[7]: Failed password for invalid user {} from 203.0.113.7 port 4711 ssh2\n",
            case.mark, case.evil
        )
    };
    let lines: String = CASES.iter().map(line).collect();
    ground.machine.append(&lines)?;
    ground.wait("the lines", || {
        let count = "SELECT count() FROM events WHERE position(raw, ' mark') > 0";
        Ok(ground.machine.count(count)? >= CASES.len() as u64)
    })?;
    for case in &CASES {
        tally.note(case.sentence, try_one(ground, case));
    }
    tally.note("no line commands the terminal of the console", on_screen(ground));
    Ok(())
}
