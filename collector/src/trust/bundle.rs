//! Gives out all evidence of an agency and a span as one file; its form, and what is held against it, is [`vonggac_evidence::bundle`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    sync::Arc,
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use vonggac_daemon::tls::Files;
use vonggac_evidence::{
    batch::Batch,
    bundle::{
        Head, Manifest, ROWS_BYTES_ENOUGH, VERSION,
        write::{WriteError, Writer, framed, vouch},
    },
};
use vonggac_wire::{
    Signer, Time,
    seal::{PublicKey, SealError},
};

use super::receipt::{HOUR_NANOS, maker::hour_of};
use crate::{
    store::{
        Store, StoreError,
        batch::{BatchRow, Span},
        row::{EventRow, Leaves},
    },
    tenure::Key,
};

/// Records whose rows are asked for at once: so many thousand rows are in memory.
const BATCHES_AT_ONCE: u32 = 40;

/// How often it is told how far it is, in hours of the span.
const TOLD_EVERY_HOURS: u64 = 24;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file of certificates.
    #[error("read {file} for the bundle: {why}")]
    Certificates {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// A key.
    #[error("sign the bundle: {0}")]
    Key(#[from] SealError),
    /// Nothing is written down.
    #[error("find evidence of {0} in this time; see `vonggac receipts`")]
    Nothing(String),
}

/// What is given out. The span is widened to full hours: a receipt is over one.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The agency.
    pub agency: String,
    /// From this time on.
    pub since: Time,
    /// To this one.
    pub until: Time,
}

/// Who signs.
pub struct By<'a> {
    /// The key of receipts.
    pub signer: &'a Arc<Signer>,
    /// The collector's own certificate, by which it vouches for that key; `None`: it has none.
    pub files: Option<&'a Files>,
}

/// Writes a bundle; `tell` hears how far it is.
///
/// # Errors
/// If the store does not answer, or the file cannot be written.
pub async fn write<W: Write + Send>(
    store: &Store,
    wanted: &Wanted,
    by: &By<'_>,
    to: W,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<(Manifest, W), BundleError> {
    let begins = store.evidence_begins().await?;
    let nothing = || BundleError::Nothing(wanted.agency.clone());
    let since = hour_of(wanted.since.max(begins.ok_or_else(nothing)?));
    let now = Time::now();
    let until = hour_of(Time(wanted.until.min(now).0.saturating_add(HOUR_NANOS - 1)));
    let span =
        |since, until| Span { agency: wanted.agency.clone(), host: String::new(), since, until };
    let head = head(store, wanted, by, (since, until, now)).await?;
    let made = u64::try_from(now.seconds()).unwrap_or(0);
    let mut writer = Writer::begin(to, &head, made)?;
    let mut certificates = BTreeSet::new();
    let mut hour = since;
    let mut done = 0;
    while hour < until {
        let end = Time(hour.0.saturating_add(HOUR_NANOS));
        let receipts = store.receipts(&wanted.agency, hour, end).await?;
        let any = of_hour(store, &span(hour, end), &mut certificates, &mut writer).await?;
        if any || !receipts.is_empty() {
            writer.receipts(hour.seconds(), &receipts)?;
        }
        hour = end;
        done += 1;
        if done % TOLD_EVERY_HOURS == 0 {
            tell(&format!("until {hour}"));
        }
    }
    let (manifest, to) = writer.finish(by.signer)?;
    if manifest.batches + manifest.receipts == 0 {
        return Err(nothing());
    }
    Ok((manifest, to))
}

async fn head(
    store: &Store,
    wanted: &Wanted,
    by: &By<'_>,
    (since, until, made): (Time, Time, Time),
) -> Result<Head, BundleError> {
    let PublicKey { point, .. } = by.signer.public_key();
    let (authorities, voucher) = match by.files {
        None => (String::new(), None),
        Some(files) => {
            let own = own(files)?;
            (read(&files.authorities)?, Some(vouch(by.signer, &own)?))
        }
    };
    Ok(Head {
        version: VERSION,
        agency: wanted.agency.clone(),
        since: since.to_string(),
        until: until.to_string(),
        made: made.to_string(),
        authorities,
        key: data_encoding::HEXLOWER.encode(&point),
        voucher,
        retired_months: store.retired_months(&wanted.agency).await?.into_iter().collect(),
    })
}

fn read(path: &std::path::Path) -> Result<String, BundleError> {
    fs::read_to_string(path).map_err(|error| wrong(path, &error))
}

fn wrong(path: &std::path::Path, why: &dyn std::fmt::Display) -> BundleError {
    BundleError::Certificates { file: path.display().to_string(), why: why.to_string() }
}

/// The collector's own key with its certificate.
fn own(files: &Files) -> Result<Signer, BundleError> {
    let (chain, key) = (read(&files.certificate)?, read(&files.key)?);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.map_err(|error| wrong(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
    let key = key.map_err(|error| wrong(&files.key, &error))?;
    let chain: Vec<&[u8]> = chain.iter().map(|one| &**one).collect();
    Ok(Signer::new(key.secret_der(), &chain)?)
}

/// The records of an hour with their rows; `false`: it has none.
async fn of_hour<W: Write>(
    store: &Store,
    span: &Span,
    certificates: &mut BTreeSet<String>,
    writer: &mut Writer<W>,
) -> Result<bool, BundleError> {
    let mut number = 0;
    let mut file = File::default();
    for key in store.batch_partitions(span).await? {
        let mut from = 0;
        loop {
            let batches = store.batches(span, &key, from, BATCHES_AT_ONCE).await?;
            let Some(last) = batches.last() else { break };
            from = last.offset.saturating_add(1);
            let mut rows = rows(store, span, &key, &batches).await?;
            for batch in batches {
                let key = &batch.key_id;
                // Before what it sealed: agents renew theirs while a bundle is written.
                if !key.is_empty()
                    && certificates.insert(key.clone())
                    && let Some(chain) = store.certificate(key).await?
                {
                    writer.certificate(key, &chain)?;
                }
                file.add(batch, &mut rows);
                if file.rows.len() >= ROWS_BYTES_ENOUGH {
                    number += 1;
                    file.put((span.since.seconds(), number), writer)?;
                }
            }
        }
    }
    if !file.batches.is_empty() {
        number += 1;
        file.put((span.since.seconds(), number), writer)?;
    }
    Ok(number > 0)
}

/// The rows of records that stand in order, by record, wherever they lie.
async fn rows(
    store: &Store,
    span: &Span,
    key: &Key,
    batches: &[BatchRow],
) -> Result<BTreeMap<i64, Vec<EventRow>>, BundleError> {
    let mut all: BTreeMap<i64, Vec<EventRow>> = BTreeMap::new();
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(all) };
    let wanted: u64 = batches.iter().map(|batch| u64::from(batch.rows)).sum();
    let ends = (first.offset, last.offset);
    let about = (wanted, (span.since, span.until));
    for row in store.rows_anywhere(&span.agency, key, ends, about).await? {
        all.entry(row.kafka_offset).or_default().push(row);
    }
    Ok(all)
}

/// Records that go into one file, and their rows.
#[derive(Default)]
struct File {
    batches: Vec<Batch>,
    rows: Vec<u8>,
    leaves: Leaves,
}

impl File {
    fn add(&mut self, batch: BatchRow, rows: &mut BTreeMap<i64, Vec<EventRow>>) {
        let mut rows = rows.remove(&batch.offset).unwrap_or_default();
        rows.sort_by_key(|row| row.kafka_index);
        for row in &rows {
            framed(&mut self.rows, self.leaves.bytes_of(&row.columns()));
        }
        self.batches.push(batch.into_batch());
    }

    fn put<W: Write>(
        &mut self,
        place: (i64, u32),
        writer: &mut Writer<W>,
    ) -> Result<(), BundleError> {
        writer.records(place, &self.batches, &self.rows)?;
        self.batches.clear();
        self.rows.clear();
        Ok(())
    }
}
