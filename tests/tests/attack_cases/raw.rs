//! Batches as an attacker makes them: each part can be wrong by itself.

use std::{fs, time::Duration};

use anyhow::Context as _;
use prost::Message as _;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use vonggac_wire::{
    BatchHash, Signer, Time, proto,
    seal::Purpose,
    topic::{self, header},
};

use super::ground::Ground;

/// Where a record stands.
pub(crate) type Place = (String, i32, i64);

/// A batch of one agent, before it is sealed.
pub(crate) fn batch(
    agency: &str,
    agent: &str,
    word: &str,
    first_seq: u64,
    events: u64,
) -> proto::Batch {
    let now = Time::now();
    let event = |number: u64| proto::Event {
        time_unix_nano: now.0,
        observed_time_unix_nano: now.0,
        source: "/var/log/auth.log".into(),
        format: "sshd".into(),
        raw: format!("line {number} of {word}").into_bytes(),
        body: Some(proto::event::Body::Activity(proto::Activity {
            class_uid: 3002,
            activity_id: 99,
            severity_id: 1,
            user_name: format!("user-of-{word}"),
            unmapped: [("key".to_owned(), format!("value-of-{word}"))].into(),
            ..proto::Activity::default()
        })),
        ..proto::Event::default()
    };
    proto::Batch {
        schema_version: vonggac_wire::version::CURRENT,
        agent: agent.into(),
        agency: agency.into(),
        host: format!("host-of-{word}"),
        boot: vec![7; 16],
        lane: proto::Lane::Security.into(),
        first_seq,
        previous_hash: Vec::new(),
        events: (0..events).map(event).collect(),
        simulated: false,
        sealed_time_unix_nano: now.0,
        ahead: false,
    }
}

/// Who seals: key and chain of a set.
pub(crate) struct Hand {
    pub(crate) signer: Signer,
    pub(crate) chain: Vec<u8>,
}

impl Hand {
    /// That of a set.
    pub(crate) fn of(ground: &Ground, set: &str) -> anyhow::Result<Self> {
        let folder = ground.set(set);
        let key = PrivateKeyDer::from_pem_slice(&fs::read(folder.join("key.pem"))?)?;
        let chain = fs::read(folder.join("certificate.pem"))?;
        let chain: Vec<CertificateDer<'_>> =
            CertificateDer::pem_slice_iter(&chain).collect::<Result<_, _>>()?;
        let parts: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        Ok(Self { signer: Signer::new(key.secret_der(), &parts)?, chain: parts.concat() })
    }

    /// An envelope with this hand's seal.
    pub(crate) fn seal(&self, batch: &[u8]) -> anyhow::Result<proto::Envelope> {
        let seal = self.signer.sign(Purpose::Batch, &BatchHash::of(batch))?;
        Ok(proto::Envelope {
            batch: batch.to_vec(),
            signature: seal.signature,
            key_id: seal.key_id,
        })
    }
}

/// A record.
#[derive(Clone, Default)]
pub(crate) struct Sent {
    pub(crate) topic: Option<&'static str>,
    pub(crate) partition: i32,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Of librdkafka: `zstd`, or nothing.
    pub(crate) codec: &'static str,
}

impl Sent {
    /// An envelope on its agency's key.
    pub(crate) fn of(agency: &str, envelope: &proto::Envelope, hand: Option<&Hand>) -> Self {
        Self {
            key: agency.as_bytes().to_vec(),
            value: envelope.encode_to_vec(),
            certificate: hand.map(|hand| hand.chain.clone()).unwrap_or_default(),
            ..Self::default()
        }
    }
}

impl Ground {
    /// Writes a record with an agent's certificate, and says where it stands.
    pub(crate) fn send(&self, sent: &Sent) -> anyhow::Result<Place> {
        let mut client = self.kafka(Some("web-1"))?;
        if !sent.codec.is_empty() {
            client.set("compression.codec", sent.codec);
        }
        let topic = sent.topic.unwrap_or(topic::SECURITY);
        let mut headers = OwnedHeaders::new();
        if !sent.certificate.is_empty() {
            headers =
                headers.insert(Header { key: header::CERTIFICATE, value: Some(&sent.certificate) });
        }
        for (key, value) in &sent.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let delivered = self.runtime.block_on(async {
            let producer: FutureProducer = client.create()?;
            let record = FutureRecord::to(topic)
                .partition(sent.partition)
                .key(&sent.key)
                .payload(&sent.value)
                .headers(headers);
            let delivered = producer.send(record, Duration::from_secs(30)).await;
            delivered.map_err(|(error, _)| anyhow::Error::from(error))
        })?;
        Ok((topic.to_owned(), delivered.partition, delivered.offset))
    }

    /// The reason and the words by which a record was set aside.
    pub(crate) fn dead(&self, place: &Place) -> anyhow::Result<Option<(String, String)>> {
        let (topic, partition, offset) = place;
        let rows = self.sql(&format!(
            "SELECT reason, detail FROM dead_letters WHERE kafka_topic = '{topic}' AND kafka_partition = {partition} AND kafka_offset = {offset}"
        ))?;
        let Some(row) = rows.first() else { return Ok(None) };
        let text = |name: &str| row[name].as_str().map(str::to_owned).context("no text");
        Ok(Some((text("reason")?, text("detail")?)))
    }
}
