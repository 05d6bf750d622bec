//! Writes a bundle, file by file.

use std::io::{self, Write};

use data_encoding::HEXLOWER;
use serde::Serialize;
use vonggac_wire::{
    BatchHash, Signer,
    seal::{Purpose, SealError},
};

use super::{ENTRIES_MAX, ENTRY_BYTES_MAX, Entry, Head, Manifest, Name, Receipt, Seal, Voucher};
use crate::{batch::Batch, receipt::Signed};

/// zstd's level: read rarely, kept for years.
const LEVEL: i32 = 9;

/// Why a bundle cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file.
    #[error("write the bundle: {0}")]
    Io(#[from] io::Error),
    /// Something has no form.
    #[error("write the bundle: {0}")]
    Form(#[from] serde_json::Error),
    /// The key.
    #[error("sign the bundle: {0}")]
    Key(#[from] SealError),
    /// Too large for whoever reads it.
    #[error("write the bundle: {0} is larger than a checker takes; ask for a shorter time")]
    Large(String),
}

/// A bundle while it is written.
pub struct Writer<W: Write> {
    tar: tar::Builder<zstd::Encoder<'static, W>>,
    manifest: Manifest,
    made: u64,
}

/// Somebody's word that a key is the centre's.
///
/// # Errors
/// If their key does not sign.
pub fn vouch(of: &Signer, by: &Signer) -> Result<Voucher, SealError> {
    let hash = BatchHash::of(&of.public_key().point);
    let seal = by.sign(Purpose::Voucher, &hash)?;
    Ok(Voucher {
        chain: HEXLOWER.encode(by.certificates()),
        signature: HEXLOWER.encode(&seal.signature),
    })
}

impl<W: Write> Writer<W> {
    /// Begins one. `made`: now, in seconds since 1970.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(to: W, head: &Head, made: u64) -> Result<Self, WriteError> {
        let tar = tar::Builder::new(zstd::Encoder::new(to, LEVEL)?);
        let mut writer = Self { tar, manifest: Manifest::default(), made };
        writer.add(&Name::Head, &serde_json::to_vec_pretty(head)?)?;
        Ok(writer)
    }

    fn add(&mut self, name: &Name, bytes: &[u8]) -> Result<(), WriteError> {
        let name = name.to_string();
        if bytes.len() > ENTRY_BYTES_MAX || self.manifest.files.len() >= ENTRIES_MAX {
            return Err(WriteError::Large(name));
        }
        self.put(&name, bytes)?;
        let blake3 = BatchHash::of(bytes).to_string();
        self.manifest.files.push(Entry { name, blake3 });
        Ok(())
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(self.made);
        self.tar.append_data(&mut header, name, bytes)
    }

    /// A certificate with its issuers.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn certificate(&mut self, key_id: &str, chain: &[u8]) -> Result<(), WriteError> {
        self.add(&Name::Certificate(key_id.to_owned()), chain)
    }

    /// Some records of an hour, and their rows as [`framed`] puts them together.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn records(
        &mut self,
        (hour, number): (i64, u32),
        batches: &[Batch],
        rows: &[u8],
    ) -> Result<(), WriteError> {
        self.add(&Name::Batches(hour, number), &lines(batches.iter())?)?;
        self.add(&Name::Rows(hour, number), rows)?;
        self.manifest.batches += batches.len() as u64;
        self.manifest.rows += batches.iter().map(|batch| u64::from(batch.rows)).sum::<u64>();
        Ok(())
    }

    /// An hour's receipts, which end it.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn receipts(&mut self, hour: i64, receipts: &[Signed]) -> Result<(), WriteError> {
        let text = lines(receipts.iter().map(Receipt::from))?;
        self.manifest.receipts += receipts.len() as u64;
        self.add(&Name::Receipts(hour), &text)
    }

    /// Signs and ends it; gives what it holds, and what was written into.
    ///
    /// # Errors
    /// If it cannot be written or signed.
    pub fn finish(mut self, signer: &Signer) -> Result<(Manifest, W), WriteError> {
        let text = serde_json::to_vec(&self.manifest)?;
        if text.len() > ENTRY_BYTES_MAX {
            return Err(WriteError::Large(Name::Manifest.to_string()));
        }
        self.put(&Name::Manifest.to_string(), &text)?;
        let seal = signer.sign(Purpose::Bundle, &BatchHash::of(&text))?;
        let seal = Seal { key_id: seal.key_id, signature: HEXLOWER.encode(&seal.signature) };
        self.put(&Name::Seal.to_string(), &serde_json::to_vec_pretty(&seal)?)?;
        Ok((self.manifest, self.tar.into_inner()?.finish()?))
    }
}

/// Adds a row behind others.
pub fn framed(rows: &mut Vec<u8>, row: &[u8]) {
    // A row is smaller than a record, and that than four gigabytes.
    let length = u32::try_from(row.len()).unwrap_or(u32::MAX);
    rows.extend_from_slice(&length.to_le_bytes());
    rows.extend_from_slice(row);
}

fn lines<T: Serialize>(all: impl Iterator<Item = T>) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::new();
    for one in all {
        serde_json::to_writer(&mut text, &one)?;
        text.push(b'\n');
    }
    Ok(text)
}
