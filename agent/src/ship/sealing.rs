//! Seals on what is sent: each batch is signed with the key of the agent's certificate, and now and then the certificate goes along, so that a
//! centre that begins anywhere finds it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use vonggac_daemon::tls::{Files, identity_of};
use vonggac_wire::{
    BatchHash, Identity, Lane, Seal,
    batch::SealedFrames,
    seal::{Purpose, SealError, Signer},
};

use super::Sender;

/// How often the certificate goes along on a lane: a kilobyte a minute, where a centre without it sets batches aside.
const SHOWN_EVERY: Duration = Duration::from_secs(60);

/// How often the files are looked at: a renewed certificate is used without a restart.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// Why nothing can be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// A file cannot be read.
    #[error("read {file}: {source}", file = .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("understand {file}: {why}", file = .file.display())]
    NotPem {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The certificate is somebody else's.
    #[error("seal by {file}: it names {found}, and this is {wanted}; enrol this agent", file = .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// Whom it names.
        found: String,
        /// Who sends.
        wanted: Identity,
    },
    /// The key.
    #[error("seal with {file}: {source}", file = .file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: SealError,
    },
}

/// Seals what is sent. A copy begins anew with showing its certificate.
pub struct Sealing {
    certificate: PathBuf,
    key: PathBuf,
    /// Who sends: a seal of anybody else is none.
    identity: Identity,
    /// The certificate's file as it was read.
    read: Vec<u8>,
    signer: Arc<Signer>,
    looked: Instant,
    shown: [Option<Instant>; 3],
}

impl Clone for Sealing {
    fn clone(&self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            identity: self.identity.clone(),
            read: self.read.clone(),
            signer: Arc::clone(&self.signer),
            looked: self.looked,
            shown: [None; 3],
        }
    }
}

/// By the agent's certificate, where there is one and it names the sender. Without, batches go as they are: whether that will do is for the
/// centre to say.
#[must_use]
pub fn of(files: Option<&Files>, sender: &Sender) -> Option<Sealing> {
    let files = files?;
    match Sealing::open(&files.certificate, &files.key, sender) {
        Ok(sealing) => Some(sealing),
        Err(error) => {
            tracing::warn!("failed to {error}; batches are sent without a seal");
            None
        }
    }
}

impl Sealing {
    /// With a certificate that names the sender, those of its issuers behind it, and its key; both files are PEM.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn open(certificate: &Path, key: &Path, sender: &Sender) -> Result<Self, SealingError> {
        let (agency, agent) = (sender.agency.clone(), sender.agent.clone());
        let identity = Identity::Agent { agency, agent };
        let read = bytes(certificate)?;
        let signer = Arc::new(signer(certificate, &read, key, &identity)?);
        Ok(Self {
            identity,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            read,
            signer,
            looked: Instant::now(),
            shown: [None; 3],
        })
    }

    /// The seal of a batch.
    pub fn sign(&mut self, hash: &BatchHash) -> Option<Seal> {
        self.look();
        let signed = self.signer.sign(Purpose::Batch, hash);
        signed.inspect_err(|error| tracing::error!(%error, "a batch is sent without a seal")).ok()
    }

    /// Seals a batch. Gives the certificates, when it is time that they go along.
    pub fn seal(&mut self, lane: Lane, sealed: &mut SealedFrames) -> Option<Vec<u8>> {
        let seal = self.sign(&sealed.hash)?;
        sealed.add(&seal);
        let shown = &mut self.shown[lane.index()];
        if shown.is_some_and(|shown| shown.elapsed() < SHOWN_EVERY) {
            return None;
        }
        *shown = Some(Instant::now());
        Some(self.signer.certificates().to_vec())
    }

    /// What was sent of a lane may not have come: the certificate goes along again.
    pub const fn show_again(&mut self, lane: Lane) {
        self.shown[lane.index()] = None;
    }

    /// The certificates in DER, one behind the other.
    #[must_use]
    pub fn certificates(&self) -> &[u8] {
        self.signer.certificates()
    }

    /// Reads the files again where they changed. Half of a renewal is told, and what was there before stays in use.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOKED_AT_EVERY {
            return;
        }
        self.looked = Instant::now();
        let now = match bytes(&self.certificate) {
            Ok(now) if now != self.read => now,
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "the certificate of before seals on"),
        };
        match signer(&self.certificate, &now, &self.key, &self.identity) {
            Ok(signer) => {
                (self.read, self.signer, self.shown) = (now, Arc::new(signer), [None; 3]);
            }
            Err(error) => tracing::warn!(%error, "the certificate of before seals on"),
        }
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, SealingError> {
    fs::read(file).map_err(|source| SealingError::Unreadable { file: file.to_owned(), source })
}

fn signer(
    certificate: &Path,
    pem: &[u8],
    key: &Path,
    wanted: &Identity,
) -> Result<Signer, SealingError> {
    let not_pem = |file: &Path, why: String| SealingError::NotPem { file: file.to_owned(), why };
    let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(certificate, format!("{error:?}")))?;
    let named = chain.first().map(|leaf| identity_of(leaf));
    let found = match named {
        Some(Ok(named)) if named.identity == *wanted => None,
        Some(Ok(named)) => Some(named.identity.to_string()),
        Some(Err(error)) => Some(error.to_string()),
        None => Some("nobody".into()),
    };
    if let Some(found) = found {
        let (file, wanted) = (certificate.to_owned(), wanted.clone());
        return Err(SealingError::Foreign { file, found, wanted });
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?)
        .map_err(|error| not_pem(key, format!("{error:?}")))?;
    let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
    let signer = Signer::new(private.secret_der(), &chain)
        .map_err(|source| SealingError::Key { file: key.to_owned(), source })?;
    if !pairs(&chain, &signer) {
        return Err(not_pem(certificate, "it is not the certificate of this key".into()));
    }
    Ok(signer)
}

/// Whether the key is the certificate's: its public half stands in it. Between two renames of a renewal it does not.
fn pairs(chain: &[&[u8]], signer: &Signer) -> bool {
    let point = signer.public_key().point;
    chain.first().is_some_and(|leaf| leaf.windows(point.len()).any(|bytes| bytes == point))
}

#[cfg(test)]
mod tests {
    use vonggac_wire::{
        AgencyId, AgentId, Batch, Time,
        batch::Framed,
        event::{Body, Event, Heartbeat},
    };

    use super::*;

    fn made(agent: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        let uri = format!("spiffe://vonggac/agency/H49/agent/{agent}");
        params.subject_alt_names.push(rcgen::SanType::URI(uri.try_into().unwrap()));
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn sender() -> Sender {
        Sender {
            agent: AgentId::new("web-2").unwrap(),
            agency: AgencyId::new("H49").unwrap(),
            host: "web-2".into(),
            boot: [7; 16],
            simulated: false,
        }
    }

    fn batch() -> SealedFrames {
        let now = Time::from_seconds(1_764_000_000);
        let mut framed = Framed::with_room(64);
        framed.push(&Event::new(now, now, Body::Heartbeat(Heartbeat::default())).encode());
        let batch = Batch {
            agent: AgentId::new("web-2").unwrap(),
            agency: AgencyId::new("H49").unwrap(),
            host: "web-2".into(),
            boot: [7; 16],
            lane: Lane::Uptime,
            first_seq: 1,
            previous: None,
            events: Vec::new(),
            simulated: false,
            sealed: now,
            ahead: false,
        };
        batch.seal_framed(framed)
    }

    #[test]
    fn a_batch_is_sealed_and_the_certificate_goes_along_first_and_after_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        let (first, second) = (made("web-2"), made("web-2"));
        fs::write(&certificate, &first.0).unwrap();
        fs::write(&key, &first.1).unwrap();
        let mut sealing = Sealing::open(&certificate, &key, &sender()).unwrap();
        let mut frames = batch();
        assert!(sealing.seal(Lane::Uptime, &mut frames).is_some());
        let seal = Seal::of(frames.value()).unwrap().unwrap();
        let public = sealing.signer.public_key();
        assert!(public.verifies(Purpose::Batch, &frames.hash, &seal.signature));
        assert_eq!(Batch::open(frames.value(), Lane::Uptime).unwrap().1, frames.hash);
        assert!(sealing.seal(Lane::Uptime, &mut batch()).is_none());
        assert!(sealing.seal(Lane::Usage, &mut batch()).is_some());
        sealing.show_again(Lane::Uptime);
        assert!(sealing.seal(Lane::Uptime, &mut batch()).is_some());

        // Half of a renewal changes nothing; the whole of it is used and shown.
        fs::write(&certificate, &second.0).unwrap();
        sealing.looked = Instant::now().checked_sub(LOOKED_AT_EVERY).unwrap();
        assert!(sealing.seal(Lane::Uptime, &mut batch()).is_none());
        fs::write(&key, &second.1).unwrap();
        sealing.looked = Instant::now().checked_sub(LOOKED_AT_EVERY).unwrap();
        assert!(sealing.seal(Lane::Uptime, &mut batch()).is_some());
        assert_ne!(sealing.signer.public_key(), public);
    }

    #[test]
    fn files_that_are_no_pair_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        assert!(matches!(
            Sealing::open(&certificate, &key, &sender()),
            Err(SealingError::Unreadable { .. })
        ));
        fs::write(&certificate, made("web-2").0).unwrap();
        fs::write(&key, made("web-2").1).unwrap();
        assert!(matches!(
            Sealing::open(&certificate, &key, &sender()),
            Err(SealingError::NotPem { .. })
        ));
        let other = made("web-3");
        fs::write(&certificate, other.0).unwrap();
        fs::write(&key, other.1).unwrap();
        assert!(matches!(
            Sealing::open(&certificate, &key, &sender()),
            Err(SealingError::Foreign { .. })
        ));
    }
}
