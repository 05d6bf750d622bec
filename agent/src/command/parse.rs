//! `vonggac-agent parse`: what the agent makes of each line, as JSON with OCSF's dotted names.
//!
//! It shows a line's owner their own line: nothing is taken out of it, neither of `raw` nor of a field. What the agent spools has
//! passed the redaction; `--redact` shows that, by the rules that hold where a configuration says nothing else.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
};

use jiff::{civil, tz::TimeZone};
use serde_json::{Map, Value, json};
use vonggac_daemon::exit::Exit;
use vonggac_wire::{Event, Time, event::Body, limits::RAW_BYTES_MAX};

use super::complain;
use crate::{
    format::{
        self, Context,
        connection::Connections,
        join::{Joined, Joiner},
    },
    redact::Redactor,
};

/// What to parse, and how.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A format's name, or "auto".
    #[arg(long, default_value = "auto")]
    format: String,
    /// The year of times without one.
    #[arg(long, value_parser = clap::value_parser!(i16).range(1..=9_999))]
    year: Option<i16>,
    /// The zone of times without one, e.g. Asia/Ho_Chi_Minh.
    #[arg(long)]
    tz: Option<String>,
    /// Without citizens' data and secrets, as the agent would keep it by its default rules.
    #[arg(long)]
    redact: bool,
    /// A file, or - for standard input.
    file: String,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    if !format::is_known(&arguments.format) {
        return complain(
            &format!("failed to find the format {:?}; see vonggac-agent formats", arguments.format),
            Exit::Usage,
        );
    }
    let zone = match &arguments.tz {
        Some(name) => match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(error) => {
                return complain(&format!("failed to find the zone: {error}"), Exit::Usage);
            }
        },
        None => TimeZone::system(),
    };
    // The last moment of the year: every day and month lies before it.
    let observed = arguments
        .year
        .and_then(|year| civil::date(year, 12, 31).at(23, 59, 59, 0).to_zoned(zone.clone()).ok())
        .map_or_else(Time::now, |end| Time::from_seconds(end.timestamp().as_second()));
    let context = Context::at(observed, zone);
    let reader: Box<dyn Read> = if arguments.file == "-" {
        Box::new(io::stdin())
    } else {
        match File::open(&arguments.file) {
            Ok(file) => Box::new(file),
            Err(error) => {
                return complain(
                    &format!("failed to open {}: {error}", arguments.file),
                    Exit::Failure,
                );
            }
        }
    };
    let redactor = arguments.redact.then(Redactor::default);
    let how = How { format: &arguments.format, redactor: redactor.as_ref() };
    match parse(&how, context, BufReader::new(reader), io::stdout().lock()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => complain(&format!("failed to go on: {error}"), Exit::Failure),
    }
}

/// How lines are read and shown.
struct How<'a> {
    format: &'a str,
    redactor: Option<&'a Redactor>,
}

fn parse(
    how: &How<'_>,
    mut context: Context,
    mut reader: impl BufRead,
    mut writer: impl Write,
) -> io::Result<()> {
    let (mut joiner, mut connections) = (Joiner::default(), Connections::default());
    let mut line = Vec::new();
    loop {
        line.clear();
        let end = reader.read_until(b'\n', &mut line)? == 0;
        let whole = line.strip_suffix(b"\n").unwrap_or(&line);
        let kept = &whole[..whole.len().min(RAW_BYTES_MAX)];
        let cut = (whole.len() - kept.len()) as u64;
        // The header is of the lines behind it: it is taken over after the line.
        let joined = if end { joiner.finish() } else { joiner.push(kept, cut, context.observed) };
        for joined in joined {
            write(how, &context, &joined, &mut connections, &mut writer)?;
        }
        if context.columns() != joiner.header() {
            context = context.with_columns(joiner.header());
        }
        if end {
            return writer.flush();
        }
    }
}

fn write(
    how: &How<'_>,
    context: &Context,
    joined: &Joined,
    connections: &mut Connections,
    writer: &mut impl Write,
) -> io::Result<()> {
    let (event, known) = format::event(how.format, &joined.text, joined.cut_bytes, context);
    let event = connections.complete("", event);
    let event = match how.redactor {
        Some(redactor) => redactor.apply(event),
        None => event,
    };
    let mut row = row(&event);
    row.insert("line".into(), json!(joined.line));
    if joined.lines > 1 {
        row.insert("lines".into(), json!(joined.lines));
    }
    if !known {
        row.insert("unparsed".into(), json!(true));
        let empty = joined.text.trim_ascii().is_empty();
        let reason = if empty { "the line is empty" } else { "no format knows this line" };
        row.insert("reason".into(), json!(reason));
    }
    writeln!(writer, "{}", Value::Object(row))
}

fn row(event: &Event) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("time".into(), json!(event.time().to_string()));
    row.insert("format".into(), json!(event.format()));
    row.insert("raw".into(), json!(String::from_utf8_lossy(event.raw())));
    if let Body::Activity(activity) = event.body() {
        row.insert("class_uid".into(), json!(activity.class_uid));
        row.insert("class_name".into(), json!(event.class_name()));
        row.insert("activity_id".into(), json!(activity.activity_id));
        row.insert("status_id".into(), json!(activity.status_id));
        let texts = [
            ("status_detail", activity.status_detail.clone()),
            ("user.name", activity.user_name.clone()),
            ("actor.user.name", activity.actor_user_name.clone()),
            (
                "src_endpoint.ip",
                activity.source_address().map(|a| a.to_string()).unwrap_or_default(),
            ),
            (
                "dst_endpoint.ip",
                activity.destination_address().map(|a| a.to_string()).unwrap_or_default(),
            ),
            ("service.name", activity.service_name.clone()),
            ("auth_protocol", activity.auth_protocol.clone()),
            ("process.name", activity.process_name.clone()),
            ("process.cmd_line", activity.process_cmd_line.clone()),
            ("dst_endpoint.hostname", activity.dst_hostname.clone()),
            ("file.path", activity.file_path.clone()),
            ("session.terminal", activity.session_terminal.clone()),
            ("group.name", activity.group_name.clone()),
            ("message", activity.message.clone()),
            ("device.hostname", event.device().to_owned()),
        ];
        for (name, text) in texts {
            if !text.is_empty() {
                row.insert(name.into(), json!(text));
            }
        }
        let numbers = [
            ("severity_id", activity.severity_id),
            ("src_endpoint.port", activity.src_port),
            ("dst_endpoint.port", activity.dst_port),
            ("process.pid", activity.process_pid),
        ];
        for (name, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
            row.insert(name.into(), json!(number));
        }
        if let Some(http) = &activity.http {
            row.insert("http_request.http_method".into(), json!(http.http_method));
            row.insert("http_request.url.path".into(), json!(http.url));
            row.insert("http_request.user_agent".into(), json!(http.user_agent));
            row.insert("http_request.referrer".into(), json!(http.referrer));
            row.insert("http_request.version".into(), json!(http.version));
            if !http.hostname.is_empty() {
                row.insert("http_request.url.hostname".into(), json!(http.hostname));
            }
            if let Some((_, query)) = http.url.split_once('?') {
                row.insert("http_request.url.query_string".into(), json!(query));
            }
            if let Some(seconds) = http.duration_seconds {
                row.insert("duration".into(), json!((seconds * 1e3).round()));
            }
            if http.status_code > 0 {
                row.insert("http_response.code".into(), json!(http.status_code));
                row.insert("http_response.length".into(), json!(http.response_bytes));
            }
        }
        for (name, value) in &activity.unmapped {
            row.insert(format!("unmapped.{name}"), json!(value));
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Value> {
        rows_of(text, None)
    }

    fn rows_of(text: &str, redactor: Option<&Redactor>) -> Vec<Value> {
        let context = Context::at("2026-11-24T09:30:00Z".parse().unwrap(), TimeZone::UTC);
        let mut out = Vec::new();
        parse(&How { format: "auto", redactor }, context, text.as_bytes(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn columns_are_those_of_the_header_above() {
        let rows = rows(
            "#Fields: date time c-ip cs-method cs-uri-stem sc-status\n2026-11-24 09:00:00 203.0.113.7 GET /a 404\n",
        );
        assert_eq!(rows[1]["src_endpoint.ip"], "203.0.113.7");
        assert_eq!(rows[1]["http_response.code"], 404);
        assert_eq!(rows[1]["time"], "2026-11-24T09:00:00Z");
        assert_eq!(rows[1]["line"], 2);
    }

    #[test]
    fn what_is_spooled_is_shown_without_secrets_and_a_second_time_takes_nothing_more() {
        let line = r#"203.0.113.7 - lan [24/Nov/2026:16:00:00 +0700] "GET /a?token=geheim12345&x=1 HTTP/1.1" 404 12 "https://a/?password=geheim12345" "x""#;
        let plain = rows(line);
        assert_eq!(plain[0]["raw"], line);
        assert_eq!(plain[0]["http_request.url.path"], "/a?token=geheim12345&x=1");
        let redactor = Redactor::default();
        let kept = rows_of(line, Some(&redactor));
        assert!(!kept[0].to_string().contains("geheim12345"), "{}", kept[0]);
        assert!(kept[0]["raw"].as_str().unwrap().contains("/a?token=***&x=1"));
        assert_eq!(kept[0]["src_endpoint.ip"], "203.0.113.7");
        let again = rows_of(kept[0]["raw"].as_str().unwrap(), Some(&redactor));
        assert_eq!(again[0]["raw"], kept[0]["raw"]);
        assert_eq!(again[0]["http_request.url.path"], kept[0]["http_request.url.path"]);
    }

    #[test]
    fn a_record_of_several_lines_is_one_row_and_binary_lines_are_kept() {
        let rows = rows(
            "--1a2b3c4d-A--\n[24/Nov/2026:09:00:00 +0000] X 203.0.113.7 5 10.0.0.5 443\n--1a2b3c4d-B--\nGET /a HTTP/1.1\n--1a2b3c4d-Z--\n\u{0}\u{1}x",
        );
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[0]["line"], &rows[0]["lines"]), (&json!(1), &json!(5)));
        assert_eq!(rows[0]["http_request.url.path"], "/a");
        assert_eq!((&rows[1]["line"], &rows[1]["unparsed"]), (&json!(6), &json!(true)));
    }
}
