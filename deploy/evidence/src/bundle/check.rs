//! Checks a bundle on a machine that has nothing else: file by file, in memory that does not grow with it but for the names of its files.

use std::{
    collections::{BTreeSet, HashMap},
    io::Read,
    sync::Arc,
};

use data_encoding::HEXLOWER;
use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use serde::{Serialize, de::DeserializeOwned};
use vonggac_wire::{
    BatchHash, Identity, Time,
    seal::{Algorithm, PublicKey, Purpose, key_id},
};

use super::{
    CERTIFICATES_MAX, ENTRIES_MAX, Entry, Head, Manifest, Name, Seal, VERSION,
    read::{self, ReadError},
};
use crate::{batch::Batch, certificate::Certificate};

mod hours;

use hours::Hours;

/// Findings that are told one by one; what is beyond them is counted.
const FINDINGS_MAX: u64 = 10_000;

/// Bytes of a certificate with its issuers.
const CHAIN_BYTES_MAX: usize = 64 << 10;

/// Authorities of one centre.
const AUTHORITIES_MAX: usize = 16;

/// What whoever checks knows by themselves.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The root's fingerprint: SHA-256 in hexadecimal digits.
    pub root: Option<String>,
    /// The name of the key that signs receipts.
    pub key: Option<String>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// "removed", "changed", "added", "disguised", "batch", "seal", "receipt", "certificate", "file", "manifest", "root" or "key".
    pub fault: &'static str,
    /// The file of the bundle.
    pub file: String,
    /// Whose it is.
    pub agency: String,
    /// Its agent.
    pub agent: String,
    /// The agent's host.
    pub host: String,
    /// Its lane.
    pub lane: String,
    /// The event's number; of a whole batch its first.
    pub seq: u64,
    /// The record's topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset; of a receipt, its hour in seconds since 1970.
    pub offset: i64,
    /// The place in the record; `None`: all of it.
    pub index: Option<u32>,
}

/// What a bundle came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What it is of.
    pub head: Option<Head>,
    /// Fingerprint of its root; to be compared with what the centre said by another way.
    pub root: Option<String>,
    /// Name of the key that signed it; the same.
    pub key: Option<String>,
    /// Who says, by a certificate of that root, that the key is the centre's.
    pub voucher: Option<String>,
    /// Records.
    pub batches: u64,
    /// Rows.
    pub rows: u64,
    /// Receipts.
    pub receipts: u64,
    /// Hours with records and without a receipt: the newest.
    pub hours_open: u64,
    /// Rows that are not there, of months of which retention took rows.
    pub retired: u64,
    /// Findings.
    pub found: u64,
}

/// Checks a bundle; `tell` hears of each finding.
///
/// # Errors
/// If it cannot be read to its end: then nothing is proved.
pub fn check(
    from: impl Read,
    known: &Known,
    tell: &mut dyn FnMut(Finding),
) -> Result<Verdict, ReadError> {
    let mut checker = Checker {
        known,
        out: Out { tell, verdict: Verdict::default() },
        state: None,
        files: Vec::new(),
        manifest: None,
        sealed: false,
    };
    read::files(from, |(name, bytes)| checker.file(&name, &bytes))?;
    checker.end()
}

/// Where findings go.
struct Out<'a> {
    tell: &'a mut dyn FnMut(Finding),
    verdict: Verdict,
}

impl Out<'_> {
    fn found(&mut self, finding: Finding) {
        self.verdict.found += 1;
        if self.verdict.found <= FINDINGS_MAX {
            (self.tell)(finding);
        }
    }

    fn file(&mut self, fault: &'static str, name: impl ToString) {
        self.found(Finding { fault, file: name.to_string(), ..Finding::default() });
    }
}

/// What is known once the head was read.
struct State {
    agency: String,
    key: PublicKey,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    certificates: HashMap<String, Certificate>,
    hours: Hours,
}

struct Checker<'a> {
    known: &'a Known,
    out: Out<'a>,
    state: Option<State>,
    files: Vec<Entry>,
    manifest: Option<(Manifest, BatchHash)>,
    sealed: bool,
}

impl Checker<'_> {
    fn file(&mut self, name: &Name, bytes: &[u8]) -> Result<(), ReadError> {
        if !matches!(name, Name::Manifest | Name::Seal) {
            if self.files.len() >= ENTRIES_MAX {
                return Err(ReadError::Many("files"));
            }
            let blake3 = BatchHash::of(bytes).to_string();
            self.files.push(Entry { name: name.to_string(), blake3 });
        }
        // Behind the manifest nothing is signed.
        if self.manifest.is_some() && *name != Name::Seal {
            return Err(ReadError::Strange(name.to_string()));
        }
        let Some(state) = &mut self.state else {
            return match name {
                Name::Head => self.head(bytes),
                other => Err(ReadError::Strange(other.to_string())),
            };
        };
        match name {
            Name::Head => return Err(ReadError::Strange(name.to_string())),
            Name::Certificate(key_id) => state.certificate(key_id, bytes, &mut self.out)?,
            Name::Batches(hour, _) => match lines::<Batch>(bytes) {
                Some(batches) => state.hours.batches(*hour, name, batches, &mut self.out)?,
                None => self.out.file("file", name),
            },
            Name::Rows(hour, _) => {
                let seals = (&state.certificates, state.agency.as_str());
                state.hours.rows(*hour, name, bytes, seals, &mut self.out)?;
            }
            Name::Receipts(hour) => match lines(bytes) {
                Some(receipts) => {
                    state.hours.receipts(*hour, name, receipts, &state.key, &mut self.out)?;
                }
                None => self.out.file("file", name),
            },
            Name::Manifest => match serde_json::from_slice(bytes) {
                Ok(manifest) => self.manifest = Some((manifest, BatchHash::of(bytes))),
                Err(_) => {
                    self.out.file("manifest", name);
                    self.manifest = Some((Manifest::default(), BatchHash::of(bytes)));
                }
            },
            Name::Seal => self.seal(bytes),
        }
        Ok(())
    }

    fn head(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let head: Head = serde_json::from_slice(bytes)
            .map_err(|error| ReadError::Damaged(std::io::Error::other(error)))?;
        let point = HEXLOWER.decode(head.key.as_bytes()).ok().filter(|_| head.version == VERSION);
        let Some(point) = point else {
            let text = format!("version {}; this program reads version {VERSION}", head.version);
            return Err(ReadError::Damaged(std::io::Error::other(text)));
        };
        let name = key_id(&point);
        if self.known.key.as_ref().is_some_and(|known| *known != name) {
            self.out.file("key", Name::Head);
        }
        let key = PublicKey { algorithm: Algorithm::Ed25519, point };
        let roots = authorities(&head.authorities);
        let root = roots.first().map(|root| key_id(root));
        if self.known.root.is_some() && self.known.root != root {
            self.out.file("root", Name::Head);
        }
        let verifier = verifier(&roots);
        if verifier.is_none() && !head.authorities.is_empty() {
            self.out.file("root", Name::Head);
        }
        let verdict = &mut self.out.verdict;
        (verdict.root, verdict.key) = (root, Some(name));
        if let Some(voucher) = &head.voucher {
            let by = verifier.as_deref().and_then(|verifier| {
                let made = head.made.parse().ok()?;
                vouched(&voucher.chain, &voucher.signature, &key, verifier, made)
            });
            match by {
                Some(by) => self.out.verdict.voucher = Some(by),
                None => self.out.file("key", Name::Head),
            }
        }
        let retired = head.retired_months.iter().copied().collect::<BTreeSet<u32>>();
        self.state = Some(State {
            agency: head.agency.clone(),
            key,
            verifier,
            certificates: HashMap::new(),
            hours: Hours::new(head.agency.clone(), retired),
        });
        self.out.verdict.head = Some(head);
        Ok(())
    }

    fn seal(&mut self, bytes: &[u8]) {
        let seal = serde_json::from_slice::<Seal>(bytes).ok();
        let signature = seal.and_then(|seal| HEXLOWER.decode(seal.signature.as_bytes()).ok());
        let right = match (&self.manifest, &self.state, signature) {
            (Some((_, hash)), Some(state), Some(signature)) => {
                state.key.verifies(Purpose::Bundle, hash, &signature)
            }
            _ => false,
        };
        if !right {
            self.out.file("manifest", Name::Seal);
        }
        self.sealed = true;
    }

    /// Holds all that was read against the manifest.
    fn end(mut self) -> Result<Verdict, ReadError> {
        let (Some((manifest, _)), Some(state), true) = (self.manifest, self.state, self.sealed)
        else {
            return Err(ReadError::Cut);
        };
        state.hours.end(&mut self.out);
        let named: HashMap<&str, &str> =
            manifest.files.iter().map(|file| (file.name.as_str(), file.blake3.as_str())).collect();
        for file in &self.files {
            if named.get(file.name.as_str()) != Some(&file.blake3.as_str()) {
                self.out.file("file", &file.name);
            }
        }
        let there: BTreeSet<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        for file in manifest.files.iter().filter(|file| !there.contains(file.name.as_str())) {
            self.out.file("file", &file.name);
        }
        let in_order = manifest.files.iter().map(|file| &file.name);
        let is_in_order = in_order.eq(self.files.iter().map(|file| &file.name));
        let verdict = &self.out.verdict;
        let sums = (verdict.batches, verdict.rows, verdict.receipts);
        if !is_in_order || sums != (manifest.batches, manifest.rows, manifest.receipts) {
            self.out.file("manifest", Name::Manifest);
        }
        Ok(self.out.verdict)
    }
}

impl State {
    fn certificate(
        &mut self,
        key_id: &str,
        bytes: &[u8],
        out: &mut Out<'_>,
    ) -> Result<(), ReadError> {
        if self.certificates.len() >= CERTIFICATES_MAX {
            return Err(ReadError::Many("certificates"));
        }
        let name = Name::Certificate(key_id.to_owned());
        let read = Some(bytes).filter(|bytes| bytes.len() <= CHAIN_BYTES_MAX);
        let read = read.and_then(|bytes| Certificate::read(bytes).ok());
        let read = read.filter(|certificate| certificate.key_id == key_id);
        let believed = |certificate: &Certificate| {
            let at = Time::from_seconds(certificate.named.not_before);
            self.verifier.as_deref().is_some_and(|v| certificate.is_believed(v, at).is_ok())
        };
        match read.filter(believed) {
            Some(certificate) => drop(self.certificates.insert(key_id.to_owned(), certificate)),
            None => out.file("certificate", name),
        }
        Ok(())
    }
}

/// Whom a voucher names, if it holds.
fn vouched(
    chain: &str,
    signature: &str,
    key: &PublicKey,
    verifier: &dyn ClientCertVerifier,
    made: Time,
) -> Option<String> {
    let chain = HEXLOWER.decode(chain.as_bytes()).ok()?;
    let signature = HEXLOWER.decode(signature.as_bytes()).ok()?;
    let certificate = Certificate::read(&chain).ok()?;
    certificate.is_believed(verifier, made).ok()?;
    let hash = BatchHash::of(&key.point);
    let is_collector = matches!(certificate.named.identity, Identity::Collector(_));
    (is_collector && certificate.key.verifies(Purpose::Voucher, &hash, &signature))
        .then(|| certificate.named.identity.to_string())
}

fn authorities(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .take(AUTHORITIES_MAX)
        .filter_map(Result::ok)
        .collect()
}

fn verifier(roots: &[CertificateDer<'static>]) -> Option<Arc<dyn ClientCertVerifier>> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).ok()?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build().ok()
}

/// Each line's value; `None`: one is none.
fn lines<T: DeserializeOwned>(bytes: &[u8]) -> Option<Vec<T>> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).ok()).collect()
}
