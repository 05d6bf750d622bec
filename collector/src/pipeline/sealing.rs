//! The part of judging that is about seals: certificates are found before a record is judged, in its record or in the store, and the last
//! batches of each agent are remembered.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use vonggac_daemon::tls::{Current, Loaded};
use vonggac_wire::{
    Batch, Seal, Time,
    proto::{Entity, Signal, SignalKind},
    topic,
};

use super::claim::keep_trying;
use crate::{
    config::Config,
    decode::Taken,
    figures::Figures,
    offsets::PartitionState,
    record::Record,
    registry::Registry,
    rule::RuleSet,
    store::{Store, StoreError},
    tenure::Key,
    trust::seal::{
        Certificate, Demand, RULE, Refusal, chain::Chains, known::Certificates, missing, sealed,
    },
};

/// What the gathering task knows of seals.
#[derive(Default)]
pub(super) struct Seals {
    demand: Demand,
    simulated_unsealed: bool,
    current: Option<Current>,
    certificates: Certificates,
    chains: HashMap<Key, Chains>,
    /// The record that is judged next stands elsewhere, too.
    elsewhere: Option<String>,
}

impl Seals {
    /// Without authorities nothing can be demanded.
    pub(super) fn new(config: &Config, current: Option<Current>) -> Self {
        let demand = if current.is_none() { Demand::Off } else { Demand::of(config) };
        let simulated_unsealed = config.trust.simulated_unsealed;
        Self { demand, simulated_unsealed, current, ..Self::default() }
    }

    /// Partitions were taken over: what is remembered of them is what was written down below their progress.
    pub(super) async fn begin(
        &mut self,
        store: &Store,
        figures: &Figures,
        places: &BTreeMap<Key, i64>,
    ) -> Result<BTreeSet<(Key, i64)>, StoreError> {
        self.chains.clear();
        if self.demand == Demand::Off {
            return Ok(BTreeSet::new());
        }
        for (key, next) in places {
            let links =
                keep_trying(figures, "batches", || store.recent_batches(key, *next)).await?;
            let chains = self.chains.entry(key.clone()).or_default();
            for (agency, agent, link) in links {
                chains.know(&agency, &agent, link);
            }
        }
        keep_trying(figures, "refused batches", || store.refused_batches(places)).await
    }

    /// Finds the certificate that a record's seal names. A certificate that is seen first is kept before anything that it sealed is stored.
    pub(super) async fn learn(
        &mut self,
        store: &Store,
        figures: &Figures,
        taken: &Taken,
        state: Option<&PartitionState>,
    ) -> Result<(), StoreError> {
        self.elsewhere = None;
        let Some(current) = self.current.as_ref().filter(|_| self.demand != Demand::Off) else {
            return Ok(());
        };
        if taken.canary.is_some() {
            return Ok(());
        }
        let Ok(Some(Seal { key_id, .. })) = Seal::of(&taken.value) else { return Ok(()) };
        if !taken.certificates.is_empty()
            && !self.certificates.holds(&key_id)
            && let Ok(certificate) = Certificate::read(&taken.certificates)
            && certificate.key_id == key_id
            // What nobody vouches for is not kept: anybody could fill the store with it.
            && certificate.is_believed(current.loaded().verifier(), taken.appended).is_ok()
        {
            let keep = || store.keep_certificate(&certificate);
            keep_trying(figures, "a certificate", keep).await?;
            self.certificates.keep(certificate);
        }
        let now = Time::now();
        if !self.certificates.is_settled(&key_id, now) {
            let ask = || store.certificate(&key_id);
            let chain = keep_trying(figures, "a certificate", ask).await?;
            match chain.and_then(|chain| Certificate::read(&chain).ok()) {
                Some(certificate) if certificate.key_id == key_id => {
                    self.certificates.keep(certificate);
                }
                _ => self.certificates.is_unknown(&key_id, now),
            }
        }
        // Who sealed it is who it is of, or it is refused: the batch need not be opened to know whether its agent was heard here.
        let heard = |agent: &str| state.is_some_and(|state| state.numbers(agent).is_some());
        if self.certificates.agent(&key_id).is_none_or(heard) {
            return Ok(());
        }
        self.look_elsewhere(store, figures, taken).await
    }

    /// An agent's numbers are known on its partition alone. Of one that was never heard on this one it is asked whether its batch stands elsewhere.
    async fn look_elsewhere(
        &mut self,
        store: &Store,
        figures: &Figures,
        taken: &Taken,
    ) -> Result<(), StoreError> {
        let lane = topic::lane_of(&taken.origin.topic);
        let opened = lane.and_then(|lane| Batch::open(&taken.value, lane).ok());
        if let Some((batch, hash)) = opened {
            let ask = || store.batch_elsewhere(&batch, hash, &taken.origin);
            self.elsewhere = keep_trying(figures, "a batch", ask).await?;
        }
        Ok(())
    }

    /// Judges a record's seal and its place in the chain.
    pub(super) fn judge(&mut self, taken: &Taken, record: &Record) -> Result<(), Refusal> {
        let Some(current) = self.current.as_ref().filter(|_| self.demand != Demand::Off) else {
            return Ok(());
        };
        let Some(seal) = &record.seal else {
            return missing(self.demand, self.simulated_unsealed, record);
        };
        let loaded = current.loaded();
        let believed = self.certificates.believed(&seal.key_id, &loaded, record.appended);
        let believed =
            believed.map_err(|refusal| brought(taken, &seal.key_id, &loaded, refusal))?;
        sealed(&believed, record)?;
        let again = taken.carried || taken.replay_of.is_some();
        if let Some(place) = self.elsewhere.take().filter(|_| !again) {
            return Err(Refusal::Replayed { place });
        }
        let key = (record.origin.topic.clone(), record.origin.partition);
        self.chains.entry(key).or_default().judge(record, again)
    }
}

/// Why a certificate is not known: where the record itself brings it, because nobody vouches for it, and that is told instead.
fn brought(taken: &Taken, key_id: &str, loaded: &Loaded, refusal: Refusal) -> Refusal {
    if !matches!(refusal, Refusal::Unknown { .. }) || taken.certificates.is_empty() {
        return refusal;
    }
    match Certificate::read(&taken.certificates) {
        Err(unreadable) => unreadable.into(),
        Ok(other) if other.key_id != key_id => refusal,
        Ok(certificate) => certificate
            .is_believed(loaded.verifier(), taken.appended)
            .err()
            .map_or(refusal, Refusal::from),
    }
}

/// The signal of a refusal. The record's place is its origin, so that it is told once.
pub(super) fn signal(
    record: &Record,
    refusal: &Refusal,
    rules: &RuleSet,
    registry: &Arc<Registry>,
    now: Time,
) -> Option<Signal> {
    let meta = rules.machine(RULE).filter(|_| refusal.is_signal())?;
    let batch = &record.batch;
    let agency = batch.agency.as_str();
    let agent = format!("{agency}/{}", batch.agent);
    let (short_vi, short_en) = registry.short_name(agency);
    let values = [
        ("agency_vi", short_vi),
        ("agency_en", short_en),
        ("agent", batch.agent.to_string()),
        ("host", batch.host.clone()),
        ("reason", refusal.reason().to_owned()),
    ];
    Some(Signal {
        rule: RULE.into(),
        kind: SignalKind::Raised.into(),
        severity: meta.severity,
        entity: Some(Entity { kind: "agent".into(), value: agent.clone() }),
        group: agent,
        agency: agency.into(),
        system: String::new(),
        host: batch.host.clone(),
        count: 1,
        first_time_unix_nano: record.appended.0,
        last_time_unix_nano: record.appended.0,
        origin: Some(record.origin.clone()),
        evidence: Vec::new(),
        values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        simulated: batch.simulated,
        found_time_unix_nano: now.0,
    })
}
