use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use vonggac_daemon::tls::{Current, Files, Loaded};
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane, Seal, Signer, Time,
    event::{Activity, Body, Class, Status},
    proto::Origin,
};

use super::{
    chain::{Chains, RECENT_MAX},
    known::Certificates,
    *,
};

const NOW: i64 = 1_795_000_000;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn at(seconds: i64) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A signer whose certificate names an agent, for a day before and behind now.
    fn signer(&self, uri: &str, algorithm: &'static rcgen::SignatureAlgorithm) -> Signer {
        let mut params = CertificateParams::new(vec!["web-2".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        params.not_before = at(NOW - 86_400).into();
        params.not_after = at(NOW + 86_400).into();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signer::new(&key.serialize_der(), &[certificate.der().as_ref()]).unwrap()
    }

    fn loaded(&self) -> Arc<Loaded> {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let uri = "spiffe://vonggac/collector/centre-1";
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let files = Files::of_set(dir.path());
        fs::write(&files.certificate, pem).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&files.authorities, &self.pem).unwrap();
        fs::write(files.revoked.as_ref().unwrap(), "").unwrap();
        Current::once(files).unwrap().loaded()
    }
}

fn batch(first_seq: u64, previous: Option<BatchHash>) -> Batch {
    let time = Time::from_seconds(NOW);
    let activity = Activity::of(Class::Authentication, 1, Status::Failure);
    Batch {
        agent: AgentId::new("web-2").unwrap(),
        agency: AgencyId::new("H49").unwrap(),
        host: "web-2".into(),
        boot: [1; 16],
        lane: Lane::Security,
        first_seq,
        previous,
        events: vec![Event::new(time, time, Body::Activity(activity))],
        simulated: false,
        sealed: time,
        ahead: false,
    }
}

fn record(batch: Batch, signer: Option<&Signer>, offset: i64) -> Record {
    let sealed = batch.clone().seal();
    Record {
        origin: Origin { topic: "vonggac.security.v1".into(), partition: 0, offset },
        appended: Time::from_seconds(NOW),
        seal: signer.map(|signer| signer.sign(Purpose::Batch, &sealed.hash).unwrap()),
        hash: sealed.hash,
        batch,
        bytes: 0,
        known: Default::default(),
    }
}

#[test]
fn a_forged_mark_of_simulation_opens_nothing_for_an_agency() {
    let tried = |name: &str, simulated: bool, plays: bool, demand: Demand| {
        let agent = AgentId::new(name).unwrap();
        let batch = Batch { agent, simulated, ..batch(1, None) };
        missing(demand, plays, &record(batch, None, 0)).is_ok()
    };
    let player = "simulated_H49-web-1";
    assert!(tried(player, true, true, Demand::Required));
    // An agent's own name, no mark, and a machine on which nobody plays: each is enough to want a seal.
    assert!(!tried("web-2", true, true, Demand::Required));
    assert!(!tried(player, false, true, Demand::Required));
    assert!(!tried(player, true, false, Demand::Required));
    assert!(tried("web-2", false, false, Demand::Checked));
}

#[test]
fn where_there_are_certificates_seals_are_required_unless_it_is_said() {
    let config = |text: &str| {
        let rest = "[kafka]\nbrokers = [\"k:1\"]\n[engine]\nurl = \"http://e\"\n[grpc]\nlisten = \"127.0.0.1:1\"\n";
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{text}{rest}")).unwrap();
        Config::read(file.path()).unwrap()
    };
    let tls = "[tls]\ncertificate = \"/c\"\nkey = \"/k\"\nauthorities = \"/a\"\n";
    assert_eq!(Demand::of(&config("plain_text = true\n")), Demand::Off);
    assert_eq!(Demand::of(&config(tls)), Demand::Required);
    let said = format!("{tls}[trust]\nsigned = \"checked\"\n");
    assert_eq!(Demand::of(&config(&said)), Demand::Checked);
}

const WEB_2: &str = "spiffe://vonggac/agency/H49/agent/web-2";

/// What somebody does to a record on its way.
type Change<'a> = &'a dyn Fn(&mut Record);

#[test]
fn a_batch_is_taken_of_the_agent_that_its_certificate_names_and_of_nobody_else() {
    let centre = Authority::new("centre");
    let (loaded, stranger) = (centre.loaded(), Authority::new("stranger"));
    let p256 = &rcgen::PKCS_ECDSA_P256_SHA256;
    let judge = |signer: &Signer, change: &dyn Fn(&mut Record)| {
        let certificate = Certificate::read(signer.certificates()).unwrap();
        let mut record = record(batch(1, None), Some(signer), 0);
        change(&mut record);
        let believed =
            certificate.is_believed(loaded.verifier(), record.appended).map_err(Refusal::from);
        match believed.and_then(|()| sealed(&certificate, &record)) {
            Ok(()) => "taken",
            Err(refusal) => refusal.reason(),
        }
    };
    let ours = centre.signer(WEB_2, p256);
    let unchanged = |_: &mut Record| {};
    assert_eq!(judge(&ours, &unchanged), "taken");
    assert_eq!(judge(&centre.signer(WEB_2, &rcgen::PKCS_ED25519), &unchanged), "taken");
    assert_eq!(judge(&stranger.signer(WEB_2, p256), &unchanged), "certificate-refused");
    for uri in [
        "spiffe://vonggac/agency/H31/agent/web-2",
        "spiffe://vonggac/agency/H49/agent/web-3",
        "spiffe://vonggac/person/web-2",
        "spiffe://vonggac/collector/web-2",
    ] {
        assert_eq!(judge(&centre.signer(uri, p256), &unchanged), "foreign", "{uri}");
    }
    let other = centre.signer(WEB_2, p256);
    let changes: [(&str, Change<'_>); 7] = [
        ("forged", &|record| record.hash = BatchHash([7; 32])),
        ("forged", &|record| record.seal.as_mut().unwrap().signature[9] ^= 1),
        ("forged", &|record| record.seal.as_mut().unwrap().signature = vec![0; 5_000]),
        ("forged", &|record| {
            let seal = other.sign(Purpose::Batch, &record.hash).unwrap();
            record.seal = Some(Seal { key_id: ours.key_id().into(), ..seal });
        }),
        ("unsigned", &|record| record.seal = None),
        ("certificate-refused", &|record| {
            record.appended = Time::from_seconds(NOW + 2 * 86_400);
            record.batch.sealed = record.appended;
        }),
        ("certificate-refused", &|record| record.appended = Time::from_seconds(NOW + 60 * 86_400)),
    ];
    for (number, (wanted, change)) in changes.iter().enumerate() {
        assert_eq!(judge(&ours, *change), *wanted, "{number}");
    }
    // On a stick for two weeks: sealed when its certificate was valid. And an agent whose clock is wrong by years.
    let late = |record: &mut Record| record.appended = Time::from_seconds(NOW + 15 * 86_400);
    assert_eq!(judge(&ours, &late), "taken");
    assert_eq!(judge(&ours, &|record| record.batch.sealed = Time::from_seconds(3)), "taken");
}

#[test]
fn a_certificate_is_unknown_until_it_was_seen_and_is_judged_once_for_each_set_of_authorities() {
    let (centre, other) = (Authority::new("centre"), Authority::new("other"));
    let signer = centre.signer(WEB_2, &rcgen::PKCS_ECDSA_P256_SHA256);
    let (loaded, now) = (centre.loaded(), Time::from_seconds(NOW));
    let mut known = Certificates::default();
    let unknown = known.believed(signer.key_id(), &loaded, now).unwrap_err();
    assert_eq!((unknown.reason(), unknown.is_signal()), ("certificate-unknown", false));
    assert!(!known.is_settled(signer.key_id(), now));
    known.is_unknown(signer.key_id(), now);
    assert!(known.is_settled(signer.key_id(), now));
    assert!(!known.is_settled(signer.key_id(), now.plus(Duration::from_secs(60))));
    known.keep(Certificate::read(signer.certificates()).unwrap());
    for _ in 0..2 {
        assert!(known.believed(signer.key_id(), &loaded, now).is_ok());
        assert!(known.believed(signer.key_id(), &other.loaded(), now).is_err());
    }
}

#[test]
fn bytes_that_are_no_chain_are_refused() {
    let signer = Authority::new("a").signer(WEB_2, &rcgen::PKCS_ED25519);
    let one = signer.certificates();
    for bytes in [&b""[..], b"nonsense", &one[..one.len() - 1], &[one, b"x"].concat()] {
        assert_eq!(
            Refusal::from(Certificate::read(bytes).unwrap_err()).reason(),
            "certificate-refused"
        );
    }
    assert!(Certificate::read(&one.repeat(4)).is_ok());
    assert!(Certificate::read(&one.repeat(5)).is_err());
}

#[test]
fn what_comes_twice_or_stands_where_another_stands_is_refused_and_what_is_honest_is_not() {
    let mut chains = Chains::default();
    let mut judge = |batch: Batch, offset, again| {
        let record = record(batch, None, offset);
        let judged = chains.judge(&record, again);
        (record.hash, judged.map_or_else(|refusal| refusal.reason(), |()| "taken"))
    };
    let (first, taken) = judge(batch(1, None), 0, false);
    assert_eq!(taken, "taken");
    assert_eq!(judge(batch(1, None), 1, false).1, "replayed");
    // By hand, or by the centre.
    assert_eq!(judge(batch(1, None), 2, true).1, "taken");
    let (second, taken) = judge(batch(2, Some(first)), 3, false);
    assert_eq!(taken, "taken");
    assert_eq!(judge(batch(3, Some(first)), 4, false).1, "forked");
    // After an error the same numbers come again, cut otherwise; in the chain they stand behind what was sent, whether it came or not.
    assert_eq!(judge(batch(2, Some(second)), 5, false).1, "taken");
    assert_eq!(judge(batch(2, Some(BatchHash([9; 32]))), 6, false).1, "taken");
    // A new producer of the same start, and a new start, begin anew.
    let anew = Batch { sealed: Time::from_seconds(NOW + 1), ..batch(2, None) };
    assert_eq!(judge(anew.clone(), 7, false).1, "taken");
    assert_eq!(judge(Batch { boot: [2; 16], ..anew }, 8, false).1, "taken");
    assert_eq!(judge(Batch { boot: [2; 16], ..batch(2, Some(first)) }, 9, false).1, "taken");
    // Another agent has a chain of its own.
    let agent = AgentId::new("web-3").unwrap();
    assert_eq!(judge(Batch { agent, ..batch(3, Some(first)) }, 10, false).1, "taken");
}

#[test]
fn a_chain_is_the_same_whether_it_was_remembered_or_read_again() {
    let mut chains = Chains::default();
    let mut links = Vec::new();
    for offset in 0..40 {
        let record = record(batch(u64::try_from(offset).unwrap() + 1, None), None, offset);
        chains.judge(&record, false).unwrap();
        let (boot, hash) = (record.batch.boot, record.hash);
        links.push(chain::Link { offset, boot, hash, previous: None });
    }
    let mut again = Chains::default();
    for link in &links[links.len() - RECENT_MAX..] {
        again.know("H49", "web-2", *link);
    }
    assert_eq!(again, chains);
}
