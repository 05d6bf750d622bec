//! The local socket: portals post usage events as JSON lines and get an answer for each once it is in the spool.

use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use vonggac_wire::Time;

use super::{Running, Source, SourceContext, SourceError, usage::posted};
use crate::config::SocketConfig;

pub(super) mod post;

/// Bytes of one line.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Writers at once.
const CONNECTIONS_MAX: usize = 64;

/// A writer that says nothing for so long is cut.
const IDLE_MAX: Duration = Duration::from_secs(300);

pub(super) struct UsageSocket {
    config: SocketConfig,
}

impl UsageSocket {
    pub(super) const fn new(config: SocketConfig) -> Self {
        Self { config }
    }
}

impl Source for UsageSocket {
    fn name(&self) -> String {
        format!("socket {}", self.config.path.display())
    }

    fn settings(&self) -> String {
        format!("socket {:?}", self.config)
    }

    fn run(&self, context: SourceContext) -> Running {
        Box::pin(listen(self.config.clone(), context))
    }
}

async fn listen(config: SocketConfig, context: SourceContext) -> Result<(), SourceError> {
    let io = |what: &str| {
        let what = format!("{what} {}", config.path.display());
        move |source| SourceError::Io { what, source }
    };
    if let Err(error) = std::fs::remove_file(&config.path) {
        if error.kind() != std::io::ErrorKind::NotFound {
            return Err(io("replace")(error));
        }
    }
    let listener = UnixListener::bind(&config.path).map_err(io("listen on"))?;
    std::fs::set_permissions(&config.path, std::fs::Permissions::from_mode(0o660))
        .map_err(io("protect"))?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, _) = tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted.map_err(io("accept on"))?,
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(
                CONNECTIONS_MAX,
                "too many writers on the usage socket; one was sent away"
            );
            continue;
        };
        let (context, system) = (context.clone(), config.system.clone());
        tokio::spawn(async move {
            if let Err(error) = talk(stream, &context, &system).await {
                tracing::debug!(%error, "a writer on the usage socket left");
            }
            drop(place);
        });
    }
}

/// Reads lines, answers each.
async fn talk(stream: UnixStream, context: &SourceContext, system: &str) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut number = 0_u64;
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(LINE_BYTES_MAX as u64 + 1);
        let read = tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            read = tokio::time::timeout(IDLE_MAX, limited.read_until(b'\n', &mut line)) => match read {
                Ok(read) => read?,
                Err(_) => return Ok(()),
            },
        };
        if read == 0 {
            return Ok(());
        }
        number += 1;
        if line.len() > LINE_BYTES_MAX {
            writer
                .write_all(
                    answer(number, Err(format!("longer than {LINE_BYTES_MAX} bytes"))).as_bytes(),
                )
                .await?;
            return Ok(());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let outcome = match posted::line(text, system, Time::now()) {
            Ok(event) => spool(context, event).await,
            Err(error) => Err(error),
        };
        writer.write_all(answer(number, outcome).as_bytes()).await?;
    }
}

/// Hands an event over and waits until it is in the spool.
async fn spool(context: &SourceContext, event: vonggac_wire::Event) -> Result<(), String> {
    context.occurrences.lines_read(1, 0);
    let spooled = context.intake.spool_events([event]).await;
    spooled.map_err(|_| "the agent is stopping; post it again".to_owned())
}

fn answer(line: u64, outcome: Result<(), String>) -> String {
    let value = match outcome {
        Ok(()) => serde_json::json!({ "ok": true, "line": line }),
        Err(error) => serde_json::json!({ "ok": false, "line": line, "error": error }),
    };
    format!("{value}\n")
}
