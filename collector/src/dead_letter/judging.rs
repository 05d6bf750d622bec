//! Seals of letters that are to be sent again, judged as the way from Kafka will judge them: so that what would be refused again is told before.

use vonggac_daemon::tls::{Current, TlsError};
use vonggac_wire::Time;

use crate::{
    config::Config,
    record::Record,
    store::{Store, StoreError},
    trust::seal::{Certificate, Demand, Refusal, known::Certificates, missing, sealed},
};

/// Judges seals.
pub struct Judge {
    demand: Demand,
    simulated_unsealed: bool,
    current: Option<Current>,
    certificates: Certificates,
}

impl Judge {
    /// By the authorities and the demand that the collector is configured with.
    ///
    /// # Errors
    /// If the files of `[tls]` cannot be used.
    pub fn new(config: &Config) -> Result<Self, TlsError> {
        let current = config.tls.clone().map(Current::once).transpose()?;
        Ok(Self {
            demand: Demand::of(config),
            simulated_unsealed: config.trust.simulated_unsealed,
            current,
            certificates: Certificates::default(),
        })
    }

    /// Whether a record's seal is taken; within, why it is not. Its place in the chain is not looked at: what is sent again has one before it
    /// that is long past.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn judge(
        &mut self,
        store: &Store,
        record: &Record,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let Some(current) = self.current.as_ref().filter(|_| self.demand != Demand::Off) else {
            return Ok(Ok(()));
        };
        let Some(seal) = &record.seal else {
            return Ok(missing(self.demand, self.simulated_unsealed, record));
        };
        let (key_id, now) = (&seal.key_id, Time::now());
        if !self.certificates.is_settled(key_id, now) {
            let chain = store.certificate(key_id).await?;
            match chain.and_then(|chain| Certificate::read(&chain).ok()) {
                Some(found) if found.key_id == *key_id => self.certificates.keep(found),
                _ => self.certificates.is_unknown(key_id, now),
            }
        }
        let believed = self.certificates.believed(key_id, &current.loaded(), record.appended);
        Ok(believed.and_then(|certificate| sealed(&certificate, record)))
    }
}
