//! Whom a certificate names. The bytes come from outside.

use rustls::pki_types::CertificateDer;
use vonggac_wire::Identity;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::NamesNobody;

/// What is told of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Whom it names.
    pub identity: Identity,
    /// Its serial number in hexadecimal digits, without leading zero bytes.
    pub serial: String,
    /// When it begins, in seconds since 1970.
    pub not_before: i64,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
}

/// Reads the one SPIFFE URI of a certificate. Whether the certificate may be believed is for the verifier to say.
///
/// # Errors
/// If it has none, several, or one that is none of ours.
pub fn of(certificate: &CertificateDer<'_>) -> Result<Named, NamesNobody> {
    let unreadable = |error: &dyn std::fmt::Display| NamesNobody::Unreadable(error.to_string());
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| unreadable(&error))?;
    let names = parsed.subject_alternative_name().map_err(|error| unreadable(&error))?;
    let all = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let uris: Vec<&str> = all
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    let [uri] = uris.as_slice() else { return Err(NamesNobody::Uris(uris.len())) };
    let serial = parsed.raw_serial();
    let begin = serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len());
    let digits = serial.iter().skip(begin).map(|byte| format!("{byte:02x}")).collect();
    Ok(Named {
        identity: uri.parse()?,
        serial: digits,
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
    })
}
