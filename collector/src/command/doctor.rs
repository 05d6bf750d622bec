//! `vonggac-collector doctor`: what is wrong, and what to do, in sentences.

use std::fmt::Write as _;

use serde_json::json;
use vonggac_answer::{
    rows::{self, Format, Row},
    sanitise::sanitise,
};
use vonggac_daemon::exit::Exit;
use vonggac_wire::Time;

use crate::{
    config::Config,
    doctor::{self, Level, Trouble, look},
    words::{self, Lang, Words},
};

/// How it is told.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// vi or en; else the environment's.
    #[arg(long)]
    lang: Option<String>,
    /// The form of the answer; sentences unless given.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// The answer; a failure if something is broken.
pub(super) async fn run(arguments: &Arguments, config: &Config) -> (String, Exit) {
    let words = words::of(Lang::asked(arguments.lang.as_deref()));
    let seen = look::look(config, Time::now()).await;
    let found = doctor::diagnose(&seen, &look::wanted(config));
    let broken = found.iter().any(|trouble| trouble.level == Level::Broken);
    let exit = if broken { Exit::Failure } else { Exit::Success };
    let text = match arguments.format {
        Some(format) => {
            let listed: Vec<Row> = found.iter().map(|trouble| row(trouble, &words)).collect();
            rows::write(&format, &listed)
        }
        None => sentences(&found, &words),
    };
    (text, exit)
}

fn sentences(found: &[Trouble], words: &Words) -> String {
    if found.is_empty() {
        return words.get("doctor-well");
    }
    let mut text = String::new();
    for trouble in found {
        let (what, remedy) = told(trouble, words);
        let level = words.get(&format!("doctor-level-{}", trouble.level.name()));
        // Writing to a string does not fail.
        let _written = writeln!(text, "{level}  {}\n  → {}\n", sanitise(&what), sanitise(&remedy));
    }
    let count = |level| found.iter().filter(|trouble| trouble.level == level).count().to_string();
    text.push_str(&words.with(
        "doctor-found",
        &[
            ("broken", &count(Level::Broken)),
            ("warnings", &count(Level::Warning)),
            ("notes", &count(Level::Note)),
        ],
    ));
    text
}

fn told(trouble: &Trouble, words: &Words) -> (String, String) {
    let values: Vec<(&str, &str)> =
        trouble.values.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let name = trouble.name;
    (
        words.with(&format!("doctor-{name}"), &values),
        words.with(&format!("doctor-{name}-do"), &values),
    )
}

fn row(trouble: &Trouble, words: &Words) -> Row {
    let (what, remedy) = told(trouble, words);
    rows::row(json!({
        "level": trouble.level.name(),
        "name": trouble.name,
        "what": what,
        "remedy": remedy,
    }))
}
