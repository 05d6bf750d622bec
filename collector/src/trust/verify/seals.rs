//! Seals of batches against the certificates that are kept.

use std::collections::HashMap;

use vonggac_wire::{BatchHash, seal::Purpose};

use crate::{
    store::{Store, StoreError, batch::BatchRow},
    trust::seal::Certificate,
};

/// Certificates of one verification: of the agents of one agency.
const CERTIFICATES_MAX: usize = 20_000;

/// Certificates that were asked for.
#[derive(Default)]
pub(super) struct Seals(HashMap<String, Option<Certificate>>);

impl Seals {
    /// Whether a batch's seal is that of the certificate that it names, and the certificate its agent's. A batch without one has nothing to be
    /// wrong.
    pub(super) async fn is_right(
        &mut self,
        store: &Store,
        batch: &BatchRow,
    ) -> Result<bool, StoreError> {
        if batch.key_id.is_empty() {
            return Ok(batch.signature.is_empty());
        }
        if !self.0.contains_key(&batch.key_id) {
            let chain = store.certificate(&batch.key_id).await?;
            let read = chain.and_then(|chain| Certificate::read(&chain).ok());
            let read = read.filter(|certificate| certificate.key_id == batch.key_id);
            if self.0.len() >= CERTIFICATES_MAX {
                self.0.clear();
            }
            self.0.insert(batch.key_id.clone(), read);
        }
        let Some(Some(certificate)) = self.0.get(&batch.key_id) else { return Ok(false) };
        let hash = BatchHash(batch.hash);
        Ok(certificate.is_of(&batch.agency, &batch.agent)
            && certificate.key.verifies(Purpose::Batch, &hash, &batch.signature))
    }
}
