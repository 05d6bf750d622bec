//! How an agent, a collector or a person comes to a certificate: by a token once, by the certificate itself from then on.
//!
//! ```text
//! DIR/key.pem certificate.pem      for connections; the certificate with its issuers
//! DIR/signing.key.pem signing.pem  for signatures under what is sent: an agent's alone
//! DIR/authorities.pem revoked.pem  what is trusted, and what is no longer
//! DIR/enrolment.json               where the next certificate comes from
//! ```
//! Keys are made here and never leave the host. A renewal keeps them, so that each file is right at every moment; enrolling again replaces them.
//!
//! [`centre`] is the way to the centre, [`holding`] what somebody has, [`renewal`] how it is kept, [`owner`] whose the files are.

use std::{
    io,
    path::{Path, PathBuf},
};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType};
use ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use vonggac_daemon::{
    files::{self, FileError, Readers},
    secret::Secret,
};
use vonggac_wire::{
    AgentId, Identity, Time,
    enrol::{Asked, ENROL_PATH, Granted, Kind, Lists, Token},
};

pub mod centre;
pub mod holding;
pub mod owner;
pub mod renewal;

pub use holding::{Holding, Span};

use centre::{Centre, CentreError};
use holding::Enrolment;

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const SIGNING_KEY: &str = "signing.key.pem";
const SIGNING: &str = "signing.pem";
const AUTHORITIES: &str = "authorities.pem";
const REVOKED: &str = "revoked.pem";
const ENROLMENT: &str = "enrolment.json";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The centre, or what stands in its place.
    #[error(transparent)]
    Centre(#[from] CentreError),
    /// A key or a request.
    #[error("make a key: {0}")]
    Key(#[from] rcgen::Error),
    /// What the centre granted is not what was asked.
    #[error("take the centre's answer: {0}")]
    Granted(String),
    /// There is nothing to renew.
    #[error("find a certificate in {}: {reason}; enrol with a token", .dir.display())]
    NotEnrolled {
        /// The folder.
        dir: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// Files for another account.
    #[error("give {} to the account that it is for: {source}", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Who asks for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// An agent, which brings its name.
    Agent(AgentId),
    /// A collector, which the token names.
    Collector,
    /// A person, whom the token names.
    Person,
}

impl Who {
    const fn kind(&self) -> Kind {
        match self {
            Self::Agent(_) => Kind::Agent,
            Self::Collector => Kind::Collector,
            Self::Person => Kind::Person,
        }
    }

    /// Whether a certificate of `identity` is one for who asked.
    fn is(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Agent(meant), Identity::Agent { agent, .. }) => meant == agent,
            (Self::Collector, Identity::Collector(_)) | (Self::Person, Identity::Person(_)) => true,
            _ => false,
        }
    }
}

fn request(key: &KeyPair, identity: Option<&str>) -> Result<String, EnrolError> {
    let mut params = CertificateParams::default();
    if let Some(identity) = identity {
        params.subject_alt_names = vec![SanType::URI(identity.try_into()?)];
    }
    Ok(params.serialize_request(key)?.pem()?)
}

/// Turns a token into a certificate, and writes the set into `dir`.
///
/// # Errors
/// If the centre is not the token's, refuses, or a file cannot be written. The files are as before then.
pub async fn enrol(token: &Token, who: &Who, dir: &Path) -> Result<Granted, EnrolError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    // Only agents sign what they send.
    let (name, signing) = match who {
        Who::Agent(name) => (Some(name.to_string()), Some(KeyPair::generate_for(&PKCS_ED25519)?)),
        Who::Collector | Who::Person => (None, None),
    };
    let asked = Asked {
        token: token.secret().to_owned(),
        kind: Some(who.kind()),
        name,
        csr: request(&key, None)?,
        signing_csr: signing.as_ref().map(|signing| request(signing, None)).transpose()?,
    };
    let centre = Centre::known_by(token.centre(), token.fingerprint())?;
    let granted: Granted = centre.post(ENROL_PATH, &asked).await?;
    look_at(&granted, token, who)?;
    centre::certified(&granted.certificate, &key.serialize_pem(), &granted.lists.authorities)?;
    files::make(dir)?;
    let enrolment =
        Enrolment { centre: token.centre().to_owned(), identity: granted.identity.clone() };
    let enrolment = serde_json::to_string(&enrolment).unwrap_or_default();
    let put =
        |name: &str, text: &str| files::replace(&dir.join(name), text.as_bytes(), Readers::Owner);
    put(KEY, &key.serialize_pem())?;
    if let Some(signing) = signing {
        put(SIGNING_KEY, &signing.serialize_pem())?;
    }
    put(ENROLMENT, &enrolment)?;
    take(&granted, dir)?;
    Ok(granted)
}

/// Whether what was granted is what the token promises.
fn look_at(granted: &Granted, token: &Token, who: &Who) -> Result<(), EnrolError> {
    let wrong = |what: &str| EnrolError::Granted(what.to_owned());
    match granted.identity.parse() {
        Ok(identity) if who.is(&identity) => {}
        _ => return Err(wrong("it names somebody else; is the token one for who asks?")),
    }
    if granted.until.parse::<Time>().is_err() {
        return Err(wrong("it has no end"));
    }
    let root = CertificateDer::from_pem_slice(granted.lists.authorities.as_bytes());
    let root = root.map_err(|_| wrong("its authorities cannot be read"))?;
    if hexadecimal(digest(&SHA256, &root).as_ref()) != token.fingerprint() {
        return Err(wrong("its authority is not the one that the token names"));
    }
    Ok(())
}

/// Puts certificates and lists in place.
fn take(granted: &Granted, dir: &Path) -> Result<(), FileError> {
    take_lists(&granted.lists, dir)?;
    if let Some(signing) = &granted.signing_certificate {
        files::replace(&dir.join(SIGNING), signing.as_bytes(), Readers::All)?;
    }
    files::replace(&dir.join(CERTIFICATE), granted.certificate.as_bytes(), Readers::All)
}

fn take_lists(lists: &Lists, dir: &Path) -> Result<(), FileError> {
    files::replace(&dir.join(AUTHORITIES), lists.authorities.as_bytes(), Readers::All)?;
    files::replace(&dir.join(REVOKED), lists.revoked.as_bytes(), Readers::All)
}

fn hexadecimal(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// A token as a command line gives it: `-` is a line of `input`, where no list of processes shows it; `centre` is the address where the centre is
/// reached otherwise than the token says.
///
/// # Errors
/// What is wrong with it, as a fragment after "failed to".
pub fn token(
    given: &Secret,
    centre: Option<&str>,
    input: &mut impl io::BufRead,
) -> Result<Token, String> {
    let mut text = given.reveal().to_owned();
    if text == "-" {
        text.clear();
        let mut line = io::Read::take(input, TOKEN_BYTES_MAX);
        io::BufRead::read_line(&mut line, &mut text)
            .map_err(|error| format!("read the token: {error}"))?;
    }
    let token: Token = text.parse().map_err(|error| format!("read the token: {error}"))?;
    match centre {
        None => Ok(token),
        Some(centre) => token.at(centre).map_err(|_| {
            format!(
                "reach the centre: {:?} is no address like https://centre.example:7444",
                centre.chars().take(200).collect::<String>()
            )
        }),
    }
}

/// Bytes of a line that a token is read from.
const TOKEN_BYTES_MAX: u64 = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(identity: &str) -> Granted {
        let key = KeyPair::generate().unwrap();
        let root = CertificateParams::default().self_signed(&key).unwrap();
        Granted {
            identity: identity.into(),
            certificate: String::new(),
            signing_certificate: None,
            until: "2027-01-01T00:00:00Z".into(),
            lists: Lists { authorities: root.pem(), revoked: String::new() },
            kafka: Vec::new(),
        }
    }

    fn token_of(granted: &Granted) -> Token {
        let root = CertificateDer::from_pem_slice(granted.lists.authorities.as_bytes()).unwrap();
        let fingerprint = hexadecimal(digest(&SHA256, &root).as_ref());
        Token::new("a".repeat(64), fingerprint, "https://c:1".into()).unwrap()
    }

    #[test]
    fn a_certificate_of_another_kind_or_of_another_root_is_not_taken() {
        let agent = Who::Agent(AgentId::new("web-1").unwrap());
        for (identity, who, taken) in [
            ("spiffe://vonggac/person/lan", Who::Person, true),
            ("spiffe://vonggac/person/lan", Who::Collector, false),
            ("spiffe://vonggac/person/web-1", agent.clone(), false),
            ("spiffe://vonggac/agency/H49/agent/web-1", agent.clone(), true),
            ("spiffe://vonggac/agency/H49/agent/web-2", agent, false),
            ("spiffe://vonggac/agency/H49/agent/lan", Who::Person, false),
            ("spiffe://vonggac/collector/c", Who::Collector, true),
            ("spiffe://vonggac/broker/c", Who::Collector, false),
        ] {
            let granted = granted(identity);
            let looked = look_at(&granted, &token_of(&granted), &who);
            assert_eq!(looked.is_ok(), taken, "{identity} for {who:?}");
        }
        let (one, other) =
            (granted("spiffe://vonggac/person/lan"), granted("spiffe://vonggac/person/lan"));
        assert!(look_at(&one, &token_of(&other), &Who::Person).is_err());
        let endless = Granted { until: "never".into(), ..one.clone() };
        assert!(look_at(&endless, &token_of(&one), &Who::Person).is_err());
    }

    #[test]
    fn a_token_comes_from_the_call_or_from_a_line_and_is_read_no_further_than_it_may_be_long() {
        let word = format!("vgt1.{}.{}.https://c:1", "a".repeat(64), "0".repeat(64));
        let read = |given: &str, centre: Option<&str>, input: &str| {
            token(&Secret::new(given.into()), centre, &mut input.as_bytes())
        };
        assert_eq!(read(&word, None, "").unwrap().centre(), "https://c:1");
        assert_eq!(read("-", None, &format!("{word}\nx")).unwrap().centre(), "https://c:1");
        assert_eq!(read(&word, Some("https://d:2/"), "").unwrap().centre(), "https://d:2");
        let elsewhere = read(&word, Some("d"), "").unwrap_err();
        assert!(elsewhere.contains("https://centre.example:7444"), "{elsewhere}");
        assert!(read("-", None, "").is_err() && read("-", None, &"a".repeat(1 << 20)).is_err());
    }
}
