//! `rehearse`: how often rules would have fired on events in a file.

use std::{
    fmt::Write,
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    sync::Arc,
};

use clap::Args;
use vonggac_daemon::exit::Exit;

use crate::{
    detect::sigma::Matcher,
    registry::Registry,
    rehearse::{Outcome, Rehearsal},
    rule::RuleSet,
};

/// Bytes of a line: an event with its raw line is much shorter.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What to rehearse.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A folder of rules beside our own.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Events, a line of JSON each, as they are sent or as `vonggac-agent parse` prints them; `-`: standard input.
    #[arg(long)]
    events: PathBuf,
    /// Only this rule.
    #[arg(long)]
    rule: Option<String>,
}

/// The answer.
pub(super) fn run(arguments: &Arguments) -> (String, Exit) {
    match rehearsed(arguments) {
        Ok(text) => (text, Exit::Success),
        Err(error) => (format!("failed to {error}"), Exit::Failure),
    }
}

fn rehearsed(arguments: &Arguments) -> Result<String, String> {
    let mut rules = RuleSet::builtin().map_err(|error| error.to_string())?;
    let mut text = String::new();
    if let Some(folder) = &arguments.rules {
        for refused in rules.add_folder(folder).map_err(|error| error.to_string())? {
            // Writing to a string does not fail.
            let _written = writeln!(text, "left out: failed to {refused}");
        }
    }
    if let Some(rule) = arguments.rule.as_deref().filter(|rule| rules.meta(rule).is_none()) {
        return Err(format!("find the rule {rule}; `rules list` names them"));
    }
    let rules = Arc::new(rules);
    let matcher = Matcher::new(&rules).map_err(|error| error.to_string())?;
    let registry = Arc::new(Registry::builtin().map_err(|error| error.to_string())?);
    let mut rehearsal = Rehearsal::new(&rules, &registry, matcher);
    let path = arguments.events.display();
    let file: Box<dyn BufRead> = if arguments.events.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file =
            File::open(&arguments.events).map_err(|error| format!("open {path}: {error}"))?;
        Box::new(BufReader::new(file))
    };
    read(file, &mut rehearsal).map_err(|error| format!("read {path}: {error}"))?;
    table(&mut text, &rehearsal.finish(), arguments.rule.as_deref());
    Ok(text.trim_end().to_owned())
}

/// Line by line, each bounded.
fn read(mut file: Box<dyn BufRead>, rehearsal: &mut Rehearsal) -> std::io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let taken = std::io::Read::take(&mut file, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if taken == 0 {
            return Ok(());
        }
        rehearsal.line(&String::from_utf8_lossy(&line));
    }
}

fn table(text: &mut String, outcome: &Outcome, rule: Option<&str>) {
    let _written =
        writeln!(text, "{} events, {} lines without one", outcome.events, outcome.unread);
    for (line, reason) in &outcome.unread_first {
        let _written = writeln!(text, "line {line}: {reason}");
    }
    let told = outcome.told.iter().filter(|(name, _)| rule.is_none_or(|rule| rule == *name));
    for (name, told) in told {
        // What a log says is hostile to terminals.
        let entities: Vec<String> =
            told.entities.iter().map(|entity| entity.escape_debug().to_string()).collect();
        let _written = writeln!(
            text,
            "{name:<34} {:>6} incidents {:>9} events  {}",
            told.incidents,
            told.events,
            entities.join(" ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_a_folder_is_rehearsed_on_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let rule = "title: A path\nlogsource: {category: webserver}\ndetection: {sel: {c-uri: /a}, condition: sel}\n";
        std::fs::write(folder.path().join("a.yml"), rule).unwrap();
        let row = "{\"time\":\"2025-11-24T16:00:05Z\",\"class_uid\":4002,\"src_endpoint.ip\":\"203.0.113.9\",\"http_request.url.path\":\"/a\"}\n";
        let events = folder.path().join("events.jsonl");
        std::fs::write(&events, row.repeat(3)).unwrap();
        let arguments = |rule: &str| Arguments {
            rules: Some(folder.path().into()),
            events: events.clone(),
            rule: Some(rule.into()),
        };
        let (text, exit) = run(&arguments("a-path"));
        assert_eq!(exit, Exit::Success, "{text}");
        assert!(text.contains("3 events") && text.contains("a-path"), "{text}");
        assert!(text.contains("1 incidents         3 events  203.0.113.9"), "{text}");
        let (text, exit) = run(&arguments("nothing"));
        assert!(exit == Exit::Failure && text.contains("find the rule nothing"), "{text}");
    }
}
