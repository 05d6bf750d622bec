//! One sender's stream. It is slowed and never dropped from: who is too fast waits with what it has.

use std::{
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Gathered, framing::Framing, here, places::Place};
use crate::{
    config::SyslogConfig,
    source::{SourceContext, SourceError, allowance::Allowance},
};

/// Bytes read at once.
const BLOCK_BYTES: usize = 16 * 1024;

/// What a sender has sent already is taken when the agent stops, up to so many bytes of each.
const LAST_BYTES_MAX: usize = 4 << 20;

/// What is there already is there at once.
const LAST_WAIT: Duration = Duration::from_millis(5);

/// A connection with what it said last, which may be half a message.
pub(super) struct Connection {
    pub(super) stream: Box<dyn AsyncRead + Unpin + Send>,
    pub(super) sender: IpAddr,
    pub(super) transport: &'static str,
    framing: Framing,
}

/// Why no more is read.
enum Ended {
    /// The sender left, or its place was needed.
    Left(io::Result<()>),
    /// The listener stops: the connection stays.
    Stopped,
}

impl Connection {
    pub(super) fn new(
        stream: impl AsyncRead + Unpin + Send + 'static,
        sender: IpAddr,
        transport: &'static str,
    ) -> Self {
        Self { stream: Box::new(stream), sender, transport, framing: Framing::default() }
    }

    /// Reads until the sender leaves; gives the connection back if the listener stops before.
    pub(super) async fn serve(
        mut self,
        place: &Place,
        config: &SyslogConfig,
        context: &SourceContext,
    ) -> Result<Option<Self>, SourceError> {
        let mut gathered = Gathered::new();
        let mut allowance = Allowance::new(config.messages_per_second_max, Instant::now());
        let mut block = vec![0; BLOCK_BYTES];
        let ended = loop {
            let read = tokio::select! {
                () = context.shutdown.cancelled() => break Ended::Stopped,
                () = place.leave.cancelled() => break Ended::Left(Ok(())),
                read = self.stream.read(&mut block) => read,
            };
            let length = match read {
                Ok(0) => break Ended::Left(Ok(())),
                Ok(length) => length,
                Err(error) => break Ended::Left(Err(error)),
            };
            place.heard(Instant::now());
            let mut frames = Vec::new();
            self.framing.push(&block[..length], &mut frames);
            while let Err(wait) =
                allowance.take(frames.len() as u64, config.messages_per_second_max, Instant::now())
            {
                // An agent that stops takes what it has read, and waits for nothing.
                tokio::select! {
                    () = context.shutdown.cancelled() => break,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            self.hand_over(frames, &mut gathered, config, context).await?;
        };
        match ended {
            // What came before a torn connection counts all the same.
            Ended::Left(left) => {
                let last = std::mem::take(&mut self.framing).finish();
                self.hand_over(last.into_iter().collect(), &mut gathered, config, context).await?;
                let what = format!("read from {}", self.sender);
                left.map(|()| None).map_err(|source| SourceError::Io { what, source })
            }
            Ended::Stopped => {
                let is_open = self.read_what_is_there(&mut block, config, context).await?;
                Ok(is_open.then_some(self))
            }
        }
    }

    /// What the kernel has taken from the sender already; `false`: the sender left.
    async fn read_what_is_there(
        &mut self,
        block: &mut [u8],
        config: &SyslogConfig,
        context: &SourceContext,
    ) -> Result<bool, SourceError> {
        let (mut gathered, mut bytes) = (Gathered::new(), 0);
        while bytes < LAST_BYTES_MAX {
            let mut frames = Vec::new();
            match tokio::time::timeout(LAST_WAIT, self.stream.read(block)).await {
                Err(_) => break,
                Ok(Ok(length)) if length > 0 => {
                    bytes += length;
                    self.framing.push(&block[..length], &mut frames);
                    self.hand_over(frames, &mut gathered, config, context).await?;
                }
                Ok(_) => {
                    frames.extend(std::mem::take(&mut self.framing).finish());
                    self.hand_over(frames, &mut gathered, config, context).await?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn hand_over(
        &mut self,
        frames: Vec<super::Frame>,
        gathered: &mut Gathered,
        config: &SyslogConfig,
        context: &SourceContext,
    ) -> Result<(), SourceError> {
        let formats = here();
        for frame in frames {
            gathered.add(frame, self.sender, self.transport, config, &formats);
            if gathered.is_full() {
                gathered.send(context).await?;
            }
        }
        gathered.send(context).await
    }
}
