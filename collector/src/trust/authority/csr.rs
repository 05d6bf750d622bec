//! What is taken from a certificate signing request: the public key, once its owner has shown to hold the private one. Whom the certificate
//! will name is decided elsewhere; a request that names somebody else is refused.

use rcgen::{
    CertificateSigningRequestParams, DnType, DnValue, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    PublicKey, PublicKeyData as _, SanType,
};
use vonggac_wire::Identity;

use super::ledger::Usage;

/// Bytes of a request as PEM: one of P-256 with its name has some five hundred.
pub const CSR_BYTES_MAX: usize = 8 << 10;

/// Bytes of an uncompressed point of P-256, and of a key of Ed25519.
const POINT_BYTES: usize = 65;
const ED25519_BYTES: usize = 32;

/// Characters of a unit that are shown.
const UNIT_CHARACTERS_MAX: usize = 64;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// It is too long.
    #[error("the signing request has {0} bytes, at most {CSR_BYTES_MAX} are allowed")]
    Long(usize),
    /// It is none, or is not signed by its own key.
    #[error("the signing request cannot be read: {0}")]
    Form(rcgen::Error),
    /// Its key is of another kind.
    #[error("the signing request has a key that is not taken; wanted is {0}")]
    Key(&'static str),
    /// It wants to be something else: to Kafka the subject's unit says what somebody is.
    #[error(
        "the signing request wants to be of the unit {found:?}, but is one of {meant:?} at most"
    )]
    Unit {
        /// What it wants to be.
        found: String,
        /// What it is.
        meant: &'static str,
    },
    /// It wants to be somebody else.
    #[error("the signing request names {found:?}, but may name {meant} only")]
    Identity {
        /// Whom it names.
        found: String,
        /// Whom the certificate would name.
        meant: Identity,
    },
}

/// The public key of a request for `identity`.
pub(super) fn public_key(
    pem: &str,
    identity: &Identity,
    usage: Usage,
) -> Result<PublicKey, CsrError> {
    if pem.len() > CSR_BYTES_MAX {
        return Err(CsrError::Long(pem.len()));
    }
    let request = CertificateSigningRequestParams::from_pem(pem).map_err(CsrError::Form)?;
    let key = request.public_key;
    let length = key.der_bytes().len();
    let (algorithm, bytes, wanted) = match usage {
        Usage::Tls => (&PKCS_ECDSA_P256_SHA256, POINT_BYTES, "ECDSA P-256"),
        Usage::Signing => (&PKCS_ED25519, ED25519_BYTES, "Ed25519"),
    };
    if key.algorithm() != algorithm || length != bytes {
        return Err(CsrError::Key(wanted));
    }
    let unit = super::certify::unit(identity);
    if let Some(found) = request.params.distinguished_name.get(&DnType::OrganizationalUnitName) {
        let found = text(found);
        if found != unit {
            let found = found.chars().take(UNIT_CHARACTERS_MAX).collect();
            return Err(CsrError::Unit { found, meant: unit });
        }
    }
    let meant = identity.to_string();
    for name in &request.params.subject_alt_names {
        if let SanType::URI(uri) = name
            && uri.as_str() != meant
        {
            return Err(CsrError::Identity {
                found: uri.as_str().chars().take(2 * meant.len()).collect(),
                meant: identity.clone(),
            });
        }
    }
    Ok(key)
}

fn text(value: &DnValue) -> &str {
    match value {
        DnValue::Utf8String(text) => text,
        DnValue::PrintableString(text) => text.as_str(),
        DnValue::Ia5String(text) => text.as_str(),
        DnValue::TeletexString(text) => text.as_str(),
        // Nobody writes a unit of ours so.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    fn made(algorithm: &'static SignatureAlgorithm, uri: Option<&str>) -> String {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            uri.map(|uri| SanType::URI(uri.try_into().unwrap())).into_iter().collect();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn a_request_gives_its_key_and_nothing_else() {
        let me = "spiffe://vonggac/agency/H49/agent/a";
        let other = "spiffe://vonggac/agency/H50/agent/a";
        let take = |pem: &str, usage| public_key(pem, &me.parse().unwrap(), usage);
        let (ec, ed) = (&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519);
        assert!(take(&made(ec, None), Usage::Tls).is_ok());
        assert!(take(&made(ec, Some(me)), Usage::Tls).is_ok());
        assert!(take(&made(ed, Some(me)), Usage::Signing).is_ok());
        let refused = take(&made(ec, Some(other)), Usage::Tls);
        assert!(matches!(refused, Err(CsrError::Identity { .. })));
        assert!(matches!(take(&made(ed, None), Usage::Tls), Err(CsrError::Key(_))));
        assert!(matches!(take(&made(ec, None), Usage::Signing), Err(CsrError::Key(_))));
        let p384 = made(&rcgen::PKCS_ECDSA_P384_SHA384, None);
        assert!(matches!(take(&p384, Usage::Tls), Err(CsrError::Key(_))));
        assert!(matches!(take(&"a".repeat(CSR_BYTES_MAX + 1), Usage::Tls), Err(CsrError::Long(_))));
    }

    #[test]
    fn a_request_that_wants_to_be_of_another_unit_is_refused() {
        let of = |unit: &str, me: &str| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
            let pem = params.serialize_request(&key).unwrap().pem().unwrap();
            public_key(&pem, &me.parse().unwrap(), Usage::Tls)
        };
        let (person, agent) =
            ("spiffe://vonggac/person/lan", "spiffe://vonggac/agency/H49/agent/a");
        assert!(of("person", person).is_ok() && of("agent", agent).is_ok());
        for (unit, me) in [
            ("collector", person),
            ("administrator", person),
            ("broker", agent),
            ("person", agent),
            ("", agent),
        ] {
            assert!(matches!(of(unit, me), Err(CsrError::Unit { .. })), "{unit:?} of {me}");
        }
    }

    #[test]
    fn a_request_that_was_changed_or_is_none_is_refused() {
        let identity = "spiffe://vonggac/collector/c".parse().unwrap();
        let right = made(&PKCS_ECDSA_P256_SHA256, None);
        for at in 0..right.len() {
            let mut bytes = right.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let Ok(text) = String::from_utf8(bytes) else { continue };
            // Some places are passed over by every reader: the label's end and the padding.
            if let Ok(key) = public_key(&text, &identity, Usage::Tls) {
                let whole = public_key(&right, &identity, Usage::Tls).unwrap();
                assert_eq!(key.der_bytes(), whole.der_bytes(), "{at}");
            }
        }
        for wrong in
            ["", "x", "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"]
        {
            assert!(public_key(wrong, &identity, Usage::Tls).is_err(), "{wrong:?}");
        }
    }
}
