//! What stands in each certificate (pure).

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::ServerName;
use time::OffsetDateTime;
use vonggac_wire::{AgentId, Identity, Time};

use super::ledger::Usage;

/// Names and addresses of one certificate: a broker with its name in each of its networks.
pub const NAMES_MAX: usize = 16;

/// Characters of a common name (X.520).
const COMMON_NAME_CHARACTERS_MAX: usize = 64;

/// Documents are signed, by RFC 9336: it keeps a signing key from opening connections.
const DOCUMENT_SIGNING: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 36];

/// What is wrong with a name.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// It is none.
    #[error("{0:?} is neither a host's name nor an address")]
    Name(String),
    /// There are too many.
    #[error("it has {0} names, at most {NAMES_MAX} are allowed")]
    Many(usize),
    /// It is kept free for who plays.
    #[error("the name {0} is one of players of a simulated nation; choose another")]
    Simulated(AgentId),
    /// Nobody connects to it.
    #[error("{0} is never connected to, so it has no names")]
    Client(Identity),
    /// It is connected to.
    #[error("{0} is connected to by a name: give --name with each of its names and addresses")]
    Nameless(Identity),
}

/// From when to when, and under which number.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) serial: Vec<u8>,
    pub(super) not_before: Time,
    pub(super) not_after: Time,
}

/// A moment as certificates have it, to the second.
pub(super) fn moment(time: Time) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn base(span: &Span, name: DistinguishedName) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = moment(span.not_before);
    params.not_after = moment(span.not_after);
    params.serial_number = Some(SerialNumber::from_slice(&span.serial));
    params.distinguished_name = name;
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority_name(what: &str, serial: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Vong Gac");
    // Two of a kind are told apart: revocation lists are looked up by this name.
    name.push(DnType::CommonName, format!("Vong Gac {what} {}", serial.get(..8).unwrap_or(serial)));
    name
}

/// The root: it signs issuers and its own list.
pub(super) fn root(span: &Span, serial: &str) -> CertificateParams {
    let mut params = base(span, authority_name("root", serial));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// An issuer: it signs certificates that sign nothing, and its own list.
pub(super) fn issuer(span: &Span, serial: &str) -> CertificateParams {
    let mut params = root(span, serial);
    params.distinguished_name = authority_name("issuer", serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params
}

/// The subject's unit: it says to Kafka what somebody is.
pub(super) const fn unit(identity: &Identity) -> &'static str {
    match identity {
        Identity::Agent { .. } => "agent",
        Identity::Collector(_) => "collector",
        Identity::Broker(_) => "broker",
        Identity::Person(_) => "person",
    }
}

/// A certificate for `identity`. The name in it is for Kafka's rules and for people; the identity is its one URI.
pub(super) fn leaf(
    span: &Span,
    identity: &Identity,
    names: &[String],
    usage: Usage,
) -> Result<CertificateParams, NameError> {
    let (name, agency) = match identity {
        Identity::Agent { agency, agent } => (agent, agency.as_str()),
        Identity::Collector(name) | Identity::Broker(name) | Identity::Person(name) => {
            (name, "Vong Gac")
        }
    };
    if name.is_simulated() {
        return Err(NameError::Simulated(name.clone()));
    }
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, agency);
    subject.push(DnType::OrganizationalUnitName, unit(identity));
    subject.push(
        DnType::CommonName,
        name.as_str().chars().take(COMMON_NAME_CHARACTERS_MAX).collect::<String>(),
    );
    let mut params = base(span, subject);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let uri = identity.to_string();
    let uri = uri.as_str().try_into().map_err(|_| NameError::Name(uri.clone()))?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    if usage == Usage::Signing {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(DOCUMENT_SIGNING.into())];
        return if names.is_empty() {
            Ok(params)
        } else {
            Err(NameError::Client(identity.clone()))
        };
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let server = matches!(identity, Identity::Collector(_) | Identity::Broker(_));
    match (server, names.len()) {
        (false, 0) => {}
        (false, _) => return Err(NameError::Client(identity.clone())),
        (true, 0) => return Err(NameError::Nameless(identity.clone())),
        (true, 1..=NAMES_MAX) => {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        (true, many) => return Err(NameError::Many(many)),
    }
    for name in names {
        params.subject_alt_names.push(alternative(name)?);
    }
    Ok(params)
}

fn alternative(name: &str) -> Result<SanType, NameError> {
    let wrong = || NameError::Name(name.chars().take(COMMON_NAME_CHARACTERS_MAX).collect());
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    match ServerName::try_from(name) {
        Ok(ServerName::DnsName(_)) => Ok(SanType::DnsName(name.try_into().map_err(|_| wrong())?)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_for_whom_others_connect_to_and_are_names() {
        let span = Span {
            serial: vec![1],
            not_before: Time::from_seconds(0),
            not_after: Time::from_seconds(9),
        };
        let of = |identity: &str, names: &[&str], usage| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            leaf(&span, &identity.parse().unwrap(), &names, usage).is_ok()
        };
        let (agent, broker) = ("spiffe://vonggac/agency/H49/agent/a", "spiffe://vonggac/broker/b");
        assert!(of(agent, &[], Usage::Tls) && of(agent, &[], Usage::Signing));
        assert!(!of(agent, &["a.example"], Usage::Tls));
        assert!(!of(agent, &["a.example"], Usage::Signing));
        let played = "spiffe://vonggac/agency/H49/agent/simulated_web-1";
        assert!(!of(played, &[], Usage::Tls) && !of(played, &[], Usage::Signing));
        assert!(of("spiffe://vonggac/person/p", &[], Usage::Tls));
        assert!(!of("spiffe://vonggac/person/p", &["p"], Usage::Tls));
        assert!(of(broker, &["b.example", "10.0.0.1", "::1", "localhost"], Usage::Tls));
        assert!(!of(broker, &[], Usage::Tls) && !of(broker, &["b"; 17], Usage::Tls));
        for wrong in ["", "a b", "*.example", "a/b", "10.0.0.300.", "a\nb", "http://a"] {
            assert!(!of(broker, &[wrong], Usage::Tls), "{wrong:?}");
        }
    }
}
