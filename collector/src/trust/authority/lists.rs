//! Revocation lists: one of the root and one of each issuer, together in `revoked.pem`.

use std::{path::Path, time::Duration};

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, RevocationReason, RevokedCertParams,
    SerialNumber,
};
use vonggac_wire::Time;

use super::{
    AuthorityError, REVOKED,
    certify::moment,
    folder::{self, Readers},
    issuers,
    ledger::{REMEMBERED, Reason, Register, Revocation},
    signer::Certified,
};

/// A list is valid from a little earlier, for clocks that are behind.
const BEHIND: Duration = Duration::from_secs(3_600);

const fn reason_code(reason: Reason) -> Option<RevocationReason> {
    Some(match reason {
        // RFC 5280 wants the extension to be absent then.
        Reason::Unspecified => return None,
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
        Reason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
    })
}

fn list<'a>(
    signer: &Issuer<'_, Certified>,
    revoked: impl Iterator<Item = (&'a String, &'a Revocation)>,
    (now, valid): (Time, Duration),
) -> Result<String, AuthorityError> {
    let mut revoked_certs = Vec::new();
    for (serial, revocation) in revoked {
        revoked_certs.push(RevokedCertParams {
            serial_number: SerialNumber::from_slice(&super::bytes_of(serial)?),
            revocation_time: moment(revocation.time),
            reason_code: reason_code(revocation.reason),
            invalidity_date: None,
        });
    }
    let number = u64::try_from(now.nanos()).unwrap_or(0) / 1_000_000;
    let list = CertificateRevocationListParams {
        this_update: moment(now.minus(BEHIND)),
        next_update: moment(now.plus(valid)),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(list.signed_by(signer)?.pem()?)
}

/// Makes the lists of all issuers anew, and puts all lists together. The caller holds the folder.
pub(super) fn renew(
    dir: &Path,
    register: &Register,
    now: Time,
    valid: Duration,
) -> Result<(), AuthorityError> {
    let mut all = folder::read(&dir.join(issuers::ROOT_LIST))?;
    for path in issuers::all(dir)? {
        let (signing, signer) = issuers::opened(&path)?;
        if signing.not_after.plus(REMEMBERED) < now {
            continue;
        }
        let its = register.revoked.iter().filter(|(serial, _)| {
            register.issued.get(*serial).is_some_and(|known| known.issuer == signing.serial)
        });
        let made = list(&signer, its, (now, valid))?;
        folder::replace(&path.join(issuers::LIST), made.as_bytes(), Readers::All)?;
        all.push_str(&made);
    }
    folder::replace(&dir.join(REVOKED), all.as_bytes(), Readers::All)?;
    Ok(())
}

/// Makes the root's list anew. The caller holds the folder.
pub(super) fn renew_root(
    dir: &Path,
    signer: &Issuer<'_, Certified>,
    register: &Register,
    now: Time,
    valid: Duration,
) -> Result<(), AuthorityError> {
    let mut serials = Vec::new();
    for path in issuers::all(dir)? {
        serials.push(issuers::Signing::read(&path.join(issuers::CERTIFICATE))?.serial);
    }
    let its = register.revoked.iter().filter(|(serial, _)| serials.contains(serial));
    let made = list(signer, its, (now, valid))?;
    folder::replace(&dir.join(issuers::ROOT_LIST), made.as_bytes(), Readers::All)?;
    Ok(())
}
