//! librdkafka's settings for certificates, as pairs, and whether a client is still [alive](lifeline).
//!
//! Lists of revoked certificates are not among them. librdkafka reads one when a client is made and never again, and OpenSSL refuses every
//! broker once such a list is past its next update: a program that runs for longer than a list is good for would lose Kafka. Who may
//! come to Kafka is for the brokers to say.

use std::path::Path;

use crate::tls::Files;

#[cfg(feature = "kafka")]
pub mod lifeline;

/// What a client needs to speak TLS to Kafka; nothing in plain text.
#[must_use]
pub fn settings(files: Option<&Files>) -> Vec<(&'static str, String)> {
    let Some(files) = files else { return Vec::new() };
    let path = |path: &Path| path.display().to_string();
    vec![
        ("security.protocol", "ssl".into()),
        ("ssl.certificate.location", path(&files.certificate)),
        ("ssl.key.location", path(&files.key)),
        ("ssl.ca.location", path(&files.authorities)),
        ("ssl.endpoint.identification.algorithm", "https".into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_brokers_are_checked_and_plain_text_adds_nothing() {
        assert_eq!(settings(None), []);
        let of = settings(Some(&Files::of_set(Path::new("/set"))));
        assert!(of.contains(&("ssl.endpoint.identification.algorithm", "https".into())));
        assert!(of.contains(&("ssl.key.location", "/set/key.pem".into())));
    }
}
