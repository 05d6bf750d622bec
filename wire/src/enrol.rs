//! How an agent, a collector or a person comes to a certificate: JSON over HTTPS.
//!
//! ```text
//! POST /v1/enrol   Asked -> Granted      with a token
//! POST /v1/renew   Renewal -> Granted    with the present certificate, by mutual TLS
//! GET  /v1/lists   Lists                 what is trusted and what is revoked
//! POST /v1/receipts Since -> Receipts    what the centre signed for of the agent that asks, by mutual TLS
//! ```
//! What is refused is answered with [`Refused`].

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a token is turned into a certificate.
pub const ENROL_PATH: &str = "/v1/enrol";

/// Where a certificate is turned into the next.
pub const RENEW_PATH: &str = "/v1/renew";

/// Where the lists are.
pub const LISTS_PATH: &str = "/v1/lists";

/// Where an agent has its receipts.
pub const RECEIPTS_PATH: &str = "/v1/receipts";

/// Receipts of one answer: eight days.
pub const RECEIPTS_MAX: usize = 200;

/// Bytes of a question: a token and two signing requests.
pub const ASKED_BYTES_MAX: usize = 32 << 10;

/// Bytes of an answer: revocation lists of a nation, forty bytes for each certificate that was revoked.
pub const GRANTED_BYTES_MAX: usize = 32 << 20;

/// Digits of a secret and of a fingerprint: 32 bytes in hexadecimal.
const DIGITS: usize = 64;

/// Characters of the centre's address.
const CENTRE_CHARACTERS_MAX: usize = 300;

/// What a token begins with: its form may change, and a text that begins so is found by scanners of secrets.
const FORM: &str = "vgt1";

/// What a person carries from the centre to a machine: who has it may enrol, and knows the centre when it answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    fingerprint: String,
    centre: String,
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no token: wanted is the whole word that `vonggac-collector token create` printed, beginning with {FORM}."
)]
pub struct TokenError;

fn digits(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// An address like `https://centre.example:7444`.
fn is_centre(text: &str) -> bool {
    text.len() <= CENTRE_CHARACTERS_MAX
        && text.strip_prefix("https://").is_some_and(|rest| {
            !rest.is_empty()
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
        })
}

impl Token {
    /// Puts a token together: 32 bytes each in hexadecimal digits, and an address.
    ///
    /// # Errors
    /// If a part cannot be.
    pub fn new(secret: String, fingerprint: String, centre: String) -> Result<Self, TokenError> {
        let right = digits(&secret) && digits(&fingerprint) && is_centre(&centre);
        if right { Ok(Self { secret, fingerprint, centre }) } else { Err(TokenError) }
    }

    /// What only its holder knows.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// SHA-256 of the root's certificate in hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The centre's address.
    #[must_use]
    pub fn centre(&self) -> &str {
        &self.centre
    }

    /// The whole word, for the one who carries it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{FORM}.{}.{}.{}", self.secret, self.fingerprint, self.centre)
    }

    /// The same token for a centre that is reached elsewhere.
    ///
    /// # Errors
    /// If that is no address.
    pub fn at(self, centre: &str) -> Result<Self, TokenError> {
        Self::new(self.secret, self.fingerprint, centre.trim_end_matches('/').to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{FORM}.***.{}.{}", self.fingerprint, self.centre)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let parts: Vec<&str> = text.trim().splitn(4, '.').collect();
        match parts.as_slice() {
            [FORM, secret, fingerprint, centre] => {
                Self::new((*secret).into(), (*fingerprint).into(), (*centre).into())
            }
            _ => Err(TokenError),
        }
    }
}

/// What asks. A token that is for another kind grants nothing, and is not used up by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An agent.
    Agent,
    /// A collector.
    Collector,
    /// A person.
    Person,
}

/// A question with a token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The token's secret.
    pub token: String,
    /// What asks; none: whatever the token is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The agent's name, where the token is for an agency; a collector's or a person's need not be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A signing request in PEM, of a key of P-256.
    pub csr: String,
    /// Another one, of an Ed25519 key that signs what is sent: an agent's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_csr: Option<String>,
}

/// A question with a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// A signing request in PEM, of a key of P-256.
    pub csr: String,
    /// Another one, of an Ed25519 key that signs what is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_csr: Option<String>,
}

/// A certificate with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Whom it names.
    pub identity: String,
    /// It and its issuers, in PEM.
    pub certificate: String,
    /// That of the signing key, in PEM, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_certificate: Option<String>,
    /// Until when it is valid, RFC 3339.
    pub until: String,
    /// What to trust, and what is revoked.
    #[serde(flatten)]
    pub lists: Lists,
    /// Kafka's addresses.
    pub kafka: Vec<String>,
}

/// What to trust, and what is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    /// In PEM.
    pub authorities: String,
    /// In PEM.
    pub revoked: String,
}

/// Which receipts are wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// From this hour on, RFC 3339.
    pub since: String,
}

/// Receipts, the oldest first; as many as there may be in an answer: there are more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipts {
    /// They.
    pub receipts: Vec<ReceiptOf>,
}

/// A receipt as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptOf {
    /// A [`Receipt`](crate::receipt::Receipt) as JSON, byte for byte.
    pub text: String,
    /// Its signature in hexadecimal digits.
    pub signature: String,
}

/// Why it was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// One word for programs: `token`, `request`, `taken`, `revoked`, `expired`, `busy`, `failed`.
    pub reason: String,
    /// A sentence for people.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_never_shown_by_chance() {
        let token =
            Token::new("a".repeat(64), "0".repeat(64), "https://centre.example:7444".into());
        let token = token.unwrap();
        assert_eq!(token.reveal().parse(), Ok(token.clone()));
        assert_eq!(format!(" {}\n", token.reveal()).parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("aaaa"));
        assert_eq!(token.at("https://[::1]:1/").unwrap().centre(), "https://[::1]:1");
    }

    #[test]
    fn what_is_not_quite_a_token_is_refused() {
        let (s, f) = ("a".repeat(64), "0".repeat(64));
        for wrong in [
            String::new(),
            "vgt1".into(),
            format!("vgt1.{s}.{f}"),
            format!("vgt1.{s}.{f}."),
            format!("vgt1.{s}.{f}.http://a"),
            format!("vgt1.{s}.{f}.https://"),
            format!("vgt1.{s}.{f}.https://a/b"),
            format!("vgt1.{s}.{f}.https://a b"),
            format!("vgt1.{s}.{f}.https://a\u{202e}"),
            format!("vgt2.{s}.{f}.https://a"),
            format!("vgt1.{}.{f}.https://a", "a".repeat(63)),
            format!("vgt1.{}.{f}.https://a", "A".repeat(64)),
            format!("vgt1.{}.{f}.https://a", "é".repeat(32)),
            format!("vgt1.{s}.{f}.https://{}", "a".repeat(300)),
        ] {
            assert_eq!(wrong.parse::<Token>(), Err(TokenError), "{wrong:?}");
        }
    }
}
