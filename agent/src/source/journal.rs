//! The systemd journal, through `journalctl`, which knows all its file formats.

use std::{process::Stdio, sync::Arc};

use serde_json::{Map, Value};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};
use vonggac_wire::Time;

use super::{Running, Source, SourceContext, SourceError};
use crate::{
    format::{self, Context},
    intake::{Chunk, Entry, Position},
};

/// Bytes of one entry; a longer one is skipped and said.
const ENTRY_BYTES_MAX: usize = 1 << 20;

pub(super) struct Journal;

impl Source for Journal {
    fn name(&self) -> String {
        "journal".into()
    }

    fn run(&self, context: SourceContext) -> Running {
        Box::pin(follow(context))
    }
}

async fn follow(context: SourceContext) -> Result<(), SourceError> {
    // The newest sequence that was read; entries carry "s=SEQUENCE;i=NUMBER;...".
    let known = context.checkpoints.known("journal:").into_iter().max_by_key(|(_, offset)| *offset);
    let mut command = Command::new("journalctl");
    command.args(["--output=json", "--follow", "--all", "--no-pager"]);
    match &known {
        Some((stream, offset)) => {
            let sequence = stream.trim_start_matches("journal:");
            command.arg(format!("--after-cursor=s={sequence};i={offset:x}"));
        }
        None => {
            command.arg("--lines=0");
        }
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| SourceError::Io { what: "start journalctl".into(), source })?;
    let Some(stdout) = child.stdout.take() else {
        return Err(SourceError::Missing("journalctl has no output".into()));
    };
    let mut lines = BufReader::with_capacity(64 * 1024, stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            read = lines.read_until(b'\n', &mut line) => read,
        };
        match read {
            Ok(0) => {
                return Err(SourceError::Missing(
                    "journalctl ended; is there a journal on this host?".into(),
                ));
            }
            Ok(bytes) if bytes > ENTRY_BYTES_MAX => {
                tracing::warn!(bytes, "an overlong journal entry was skipped");
            }
            Ok(_) => {
                if let Some(entry) = entry(&line) {
                    context.occurrences.lines_read(1, 0);
                    let chunk = Chunk { entries: vec![entry], ..Chunk::default() };
                    if context.intake.send(chunk).await.is_err() {
                        return Ok(());
                    }
                }
            }
            Err(source) => {
                return Err(SourceError::Io { what: "read from journalctl".into(), source });
            }
        }
    }
}

/// One entry: the fields are put into a syslog line, so that every program's format is found.
fn entry(json: &[u8]) -> Option<Entry> {
    let Value::Object(fields) = serde_json::from_slice(json).ok()? else { return None };
    let cursor = text(&fields, "__CURSOR");
    let part = |name: &str| cursor.split(';').find_map(|part| part.strip_prefix(name));
    let stream: Arc<str> = format!("journal:{}", part("s=")?).into();
    let offset = u64::from_str_radix(part("i=")?, 16).ok()?;
    let micros: i64 = text(&fields, "__REALTIME_TIMESTAMP").parse().ok()?;
    let time = Time(micros.saturating_mul(1000));
    let program = match text(&fields, "SYSLOG_IDENTIFIER") {
        name if name.is_empty() => text(&fields, "_COMM"),
        name => name,
    };
    let raw = format!(
        "{time} {} {}[{}]: {}",
        text(&fields, "_HOSTNAME"),
        program.replace([' ', ':'], "_"),
        text(&fields, "_PID"),
        text(&fields, "MESSAGE")
    );
    let (event, _) = format::event("syslog", raw.as_bytes(), 0, &Context::here(Time::now()));
    let source = format!("journal:{}", text(&fields, "_SYSTEMD_UNIT"));
    Some(Entry {
        event: event.with_source(&source, offset),
        position: Some(Position { stream, offset }),
    })
}

/// A field as text; binary ones come as lists of numbers.
fn text(fields: &Map<String, Value>, name: &str) -> String {
    match fields.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(bytes)) => {
            let bytes: Vec<u8> =
                bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_sshd_becomes_a_log_in() {
        let json = br#"{"__CURSOR":"s=ab12;i=1f;b=x;m=1;t=2;x=3","__REALTIME_TIMESTAMP":"1764000000000000","_HOSTNAME":"web-1","SYSLOG_IDENTIFIER":"sshd","_PID":"7","_SYSTEMD_UNIT":"ssh.service","MESSAGE":"Failed password for root from 203.0.113.7 port 5 ssh2"}"#;
        let entry = entry(json).unwrap();
        let position = entry.position.unwrap();
        assert_eq!((position.stream.as_ref(), position.offset), ("journal:ab12", 31));
        assert_eq!(entry.event.class_name(), "authentication");
        assert_eq!(entry.event.time(), Time::from_seconds(1_764_000_000));
    }
}
