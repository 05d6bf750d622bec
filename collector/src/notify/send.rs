//! The way of a message out of the house. Nothing is decided here: what is tried, and how often, is the queue's.

use std::time::{Duration, Instant};

use super::{
    queue::{Message, Outcome},
    settings::{Channel, Way},
    text::Text,
};

mod http;
mod smtp;
mod syslog;

/// How long one try may last, from the first packet to the last answer: well within the lease of a try.
const SEND_WITHIN: Duration = Duration::from_secs(45);

/// How long a connection may take to come about.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);

/// Tries a message. Whatever happens is an outcome, within the time that a try may take.
pub async fn send(channel: &Channel, message: &Message) -> Outcome {
    let begun = Instant::now();
    let trying = async {
        let text = Text::of(message, channel.lang);
        match &channel.way {
            Way::Smtp(smtp) => smtp::send(smtp, &text, &message.recipients).await,
            Way::Http(http) => http::send(http, &text).await,
            Way::Syslog(syslog) => syslog::send(syslog, &text, channel.lang).await,
        }
    };
    let outcome = tokio::time::timeout(SEND_WITHIN, trying).await;
    outcome.unwrap_or_else(|_| {
        Outcome::Failed(format!("no answer within {} s", begun.elapsed().as_secs()), None)
    })
}

#[cfg(test)]
pub(super) mod tests;
