//! The way of a message out of the house. Nothing is decided here: what is tried, and how often, is the queue's.

use std::{
    error::Error,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

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

/// Who vouches for others cannot be known.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootsError {
    /// The certificates of this machine.
    #[error("read this machine's certificates; install ca-certificates, or name authorities")]
    Machine(#[source] std::io::Error),
    /// Those of the configuration.
    #[error("understand the channel's authorities; wanted certificates in PEM")]
    Named(#[source] rustls_pki_types::pem::Error),
    /// One of them.
    #[error("use one of the channel's authorities")]
    Refused(#[from] rustls::Error),
}

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

/// An error with what caused it, on one line.
fn said(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        // Some errors say their cause themselves.
        if !text.contains(&more) {
            // Writing to a string does not fail.
            let _written = write!(text, ": {more}");
        }
        cause = inner.source();
    }
    text
}

/// How a server is believed: by the authorities that the channel names, else by those of this machine.
fn believed(authorities: Option<&[u8]>) -> Result<Arc<ClientConfig>, RootsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.map_err(RootsError::Named)?)?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
                return Err(RootsError::Machine(std::io::Error::other(why)));
            }
            // A machine may have some that no program reads.
            let _counts = roots.add_parsable_certificates(found.certs);
        }
    }
    let settings = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(settings))
}

#[cfg(test)]
pub(super) mod tests;
