//! Syslog from machines that carry no agent: firewalls, switches, appliances, Windows hosts (RFC 3164, RFC 5424, RFC 6587, RFC 5425).
//!
//! What is sent cannot be read again. So datagrams that find no place are counted, by whether the kernel or the sender's own limit
//! dropped them, and streams are slowed instead: a sender that may not go on waits with what it has.

use std::{net::IpAddr, sync::Arc};

use tokio::task::JoinSet;
use vonggac_wire::{Event, Time};

use super::{Running, Source, SourceContext, SourceError};
use crate::{
    config::{SyslogConfig, Transport},
    format::{self, Context, connection::Connections},
    intake::{CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, Chunk, Entry},
};

mod connection;
mod datagram;
pub(crate) mod framing;
mod kept;
mod places;
mod senders;
mod stream;

use framing::Frame;

pub(super) struct Syslog {
    config: Arc<SyslogConfig>,
}

impl Syslog {
    pub(super) fn new(config: SyslogConfig) -> Self {
        Self { config: Arc::new(config) }
    }
}

impl Source for Syslog {
    fn name(&self) -> String {
        let listens: Vec<String> = self.config.listens.iter().map(ToString::to_string).collect();
        format!("syslog {}", listens.join(" "))
    }

    fn settings(&self) -> String {
        format!("syslog {:?}", self.config)
    }

    fn run(&self, context: SourceContext) -> Running {
        Box::pin(listen(Arc::clone(&self.config), context))
    }
}

async fn listen(config: Arc<SyslogConfig>, context: SourceContext) -> Result<(), SourceError> {
    let mut listeners = JoinSet::new();
    let stop = context.shutdown.child_token();
    for listen in config.listens.clone() {
        let config = Arc::clone(&config);
        let context = SourceContext { shutdown: stop.clone(), ..context.clone() };
        listeners.spawn(async move {
            match listen.transport {
                Transport::Udp => datagram::run(listen, &config, &context).await,
                Transport::Tcp | Transport::Tls => stream::run(listen, config, context).await,
            }
        });
    }
    // One that fails takes the others with it, and all begin again with the sockets that they have: half a receiver would not be
    // noticed.
    let mut outcome = Ok(());
    while let Some(ended) = listeners.join_next().await {
        let ended = ended.unwrap_or_else(|error| {
            Err(SourceError::Missing(format!("a listener ended: {error}")))
        });
        if ended.is_err() {
            stop.cancel();
        }
        outcome = outcome.and(ended);
    }
    outcome
}

/// Messages of one sender on their way into a chunk.
struct Gathered {
    connections: Connections,
    chunk: Chunk,
    bytes: usize,
    unparsed: u64,
}

impl Gathered {
    fn new() -> Self {
        let connections = Connections::default();
        Self { connections, chunk: Chunk::default(), bytes: 0, unparsed: 0 }
    }

    fn add(
        &mut self,
        frame: Frame,
        sender: IpAddr,
        transport: &str,
        config: &SyslogConfig,
        context: &Context,
    ) {
        self.bytes += frame.bytes.len();
        let (event, known) = event(frame, sender, transport, config, context);
        self.unparsed += u64::from(!known);
        let event = self.connections.complete("syslog", event);
        self.chunk.entries.push(Entry { event, position: None });
    }

    fn is_full(&self) -> bool {
        self.chunk.entries.len() >= CHUNK_ENTRIES_MAX || self.bytes >= CHUNK_BYTES_MAX
    }

    /// Hands over what was gathered.
    async fn send(&mut self, context: &SourceContext) -> Result<(), SourceError> {
        let (chunk, unparsed) =
            (std::mem::take(&mut self.chunk), std::mem::take(&mut self.unparsed));
        self.bytes = 0;
        if chunk.entries.is_empty() {
            return Ok(());
        }
        context.occurrences.lines_read(chunk.entries.len() as u64, unparsed);
        let sent = context.intake.send(chunk).await;
        sent.map_err(|error| SourceError::Missing(format!("failed to {error}")))
    }
}

/// An event of a message. The sender's address is kept as its source, and stands for the host where the message names none.
fn event(
    frame: Frame,
    sender: IpAddr,
    transport: &str,
    config: &SyslogConfig,
    context: &Context,
) -> (Event, bool) {
    let (event, known) = format::event(&config.format, &frame.bytes, frame.cut, context);
    let event =
        event.with_source(&format!("syslog:{transport}:{sender}"), 0).with_system(&config.system);
    let nameless = matches!(event.device(), "" | "-" | "localhost" | "localhost.localdomain");
    let event = if nameless { event.with_device(&sender.to_string()) } else { event };
    (event, known)
}

fn here() -> Context {
    Context::here(Time::now())
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
