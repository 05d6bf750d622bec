use std::io::Read as _;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use vonggac_wire::{Signer, seal::Purpose};

use super::{
    check::{Finding, Known, Verdict, check},
    read::ReadError,
    write::{Writer, framed, vouch},
    *,
};
use crate::{
    batch::Batch,
    merkle::{MARK_BYTES, Tree},
    receipt::{Hour, Signed},
    row,
};

const HOUR: i64 = 1_793_534_400;
const TOPIC: &str = "vonggac.security";

/// Who signs, and whom they name.
struct Centre {
    root: String,
    receipts: Signer,
    collector: Signer,
    agent: Signer,
}

fn centre() -> Centre {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let issue = |uri: &str| {
        let mut params = CertificateParams::default();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Signer::new(&key.serialize_der(), &[certificate.der()]).unwrap()
    };
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    Centre {
        root,
        receipts: Signer::without_certificate(&key.serialize_der()).unwrap(),
        collector: issue("spiffe://vonggac/collector/c-1"),
        agent: issue("spiffe://vonggac/agency/H49/agent/web-2"),
    }
}

/// A record of three rows, sealed.
fn record(centre: &Centre, offset: i64, rows: &mut Vec<u8>) -> Batch {
    let mut batch = Batch {
        agency: "H49".into(),
        agent: "web-2".into(),
        host: "web-2".into(),
        lane: "security".into(),
        topic: TOPIC.into(),
        offset,
        first_seq: u64::try_from(offset * 3 + 1).unwrap(),
        last_seq: u64::try_from(offset * 3 + 3).unwrap(),
        rows: 3,
        appended: (HOUR + offset) * 1_000_000,
        hash: [u8::try_from(offset).unwrap(); 32],
        key_id: centre.agent.key_id().into(),
        ..Batch::default()
    };
    let hash = BatchHash(batch.hash);
    batch.signature = centre.agent.sign(Purpose::Batch, &hash).unwrap().signature;
    let mut tree = Tree::default();
    for index in 0..3 {
        let row = row::made(TOPIC, offset, index, &format!("line {offset} {index}"));
        let leaf = row::leaf(&row);
        tree.add(leaf);
        batch.marks.extend_from_slice(&leaf[..MARK_BYTES]);
        framed(rows, &row);
    }
    batch.root = tree.root();
    batch
}

fn receipt(centre: &Centre, batches: &[Batch]) -> Signed {
    let mut hour = Hour::default();
    batches.iter().for_each(|batch| hour.add(&batch.said()));
    let (time, root) = (Time::from_seconds(HOUR), hour.root());
    let receipt = crate::receipt::Receipt {
        version: 1,
        agency: "H49".into(),
        agent: "web-2".into(),
        hour: time.to_string(),
        root,
        lanes: hour.into_lanes(),
        previous: String::new(),
        key: HEXLOWER.encode(&centre.receipts.public_key().point),
    };
    let text = serde_json::to_string(&receipt).unwrap();
    let hash = BatchHash::of(text.as_bytes());
    let seal = centre.receipts.sign(Purpose::Receipt, &hash).unwrap();
    Signed { agency: "H49".into(), agent: "web-2".into(), hour: time, hash, seal, text }
}

fn bundle(centre: &Centre) -> Vec<u8> {
    let head = Head {
        version: VERSION,
        agency: "H49".into(),
        since: Time::from_seconds(HOUR).to_string(),
        until: Time::from_seconds(HOUR + 7_200).to_string(),
        made: Time::now().to_string(),
        authorities: centre.root.clone(),
        key: HEXLOWER.encode(&centre.receipts.public_key().point),
        voucher: Some(vouch(&centre.receipts, &centre.collector).unwrap()),
        retired_months: Vec::new(),
    };
    let mut writer = Writer::begin(Vec::new(), &head, 7).unwrap();
    writer.certificate(centre.agent.key_id(), centre.agent.certificates()).unwrap();
    let mut rows = Vec::new();
    let batches: Vec<Batch> = (0..4).map(|offset| record(centre, offset, &mut rows)).collect();
    writer.records((HOUR, 1), &batches, &rows).unwrap();
    writer.receipts(HOUR, &[receipt(centre, &batches)]).unwrap();
    let (manifest, bytes) = writer.finish(&centre.receipts).unwrap();
    assert_eq!((manifest.batches, manifest.rows, manifest.receipts), (4, 12, 1));
    bytes
}

type Files = Vec<(String, Vec<u8>)>;

fn unpacked(bytes: &[u8]) -> Files {
    let mut archive = tar::Archive::new(zstd::Decoder::new(bytes).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (String::from_utf8_lossy(&entry.path_bytes()).into_owned(), content)
    });
    entries.collect()
}

fn packed(files: &Files) -> Vec<u8> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, &content[..]).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn checked(bytes: &[u8], known: &Known) -> (Result<Verdict, ReadError>, Vec<Finding>) {
    let mut found = Vec::new();
    let verdict = check(bytes, known, &mut |finding| found.push(finding));
    (verdict, found)
}

fn faults(bytes: &[u8]) -> Vec<String> {
    let (verdict, found) = checked(bytes, &Known::default());
    assert_eq!(verdict.unwrap().found, found.len() as u64);
    let place = |f: &Finding| f.index.map(|index| format!(" {}/{index}", f.offset));
    found.iter().map(|f| format!("{}{}", f.fault, place(f).unwrap_or_default())).collect()
}

#[test]
fn a_bundle_proves_itself_and_says_by_whom() {
    let centre = centre();
    let bytes = bundle(&centre);
    let (verdict, found) = checked(&bytes, &Known::default());
    assert_eq!(found, []);
    let verdict = verdict.unwrap();
    assert_eq!((verdict.batches, verdict.rows, verdict.receipts), (4, 12, 1));
    assert_eq!(verdict.key.as_deref(), Some(centre.receipts.key_id()));
    assert_eq!(verdict.voucher.as_deref(), Some("spiffe://vonggac/collector/c-1"));
    let known = Known { root: verdict.root.clone(), key: verdict.key };
    assert_eq!(checked(&bytes, &known).1, []);
    let other = Known { root: Some("0".repeat(64)), key: Some("1".repeat(64)) };
    let faults: Vec<_> = checked(&bytes, &other).1.iter().map(|f| f.fault).collect();
    assert_eq!(faults, ["key", "root"]);
    assert_eq!(self::faults(&packed(&unpacked(&bytes))), Vec::<String>::new());
}

#[test]
fn each_thing_that_was_changed_is_named() {
    let bytes = bundle(&centre());
    let told = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut files = unpacked(&bytes);
        let file = files.iter_mut().find(|(file, _)| file.ends_with(name)).unwrap();
        change(&mut file.1);
        faults(&packed(&files))
    };
    let text = |from: &'static str, to: &'static str| {
        move |bytes: &mut Vec<u8>| {
            let text = String::from_utf8_lossy(bytes).replacen(from, to, 1);
            *bytes = text.into_bytes();
        }
    };
    let within = |from: &'static [u8], to: &'static [u8]| {
        move |bytes: &mut Vec<u8>| {
            let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    };
    assert_eq!(told(".rows", &within(b"line 2 1", b"line 2 7")), ["changed 2/1", "file"]);
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 5);
    assert_eq!(told(".rows", &cut), ["file", "removed 3/2", "file"]);
    let receipted = ["receipt", "file"];
    assert_eq!(told("batches.jsonl", &text("\"host\":\"web-2\"", "\"host\":\"web-3\"")), receipted);
    assert_eq!(
        told("batches.jsonl", &text("\"rows\":3", "\"rows\":2")),
        ["batch", "receipt", "file", "manifest"]
    );
    assert_eq!(
        told("batches.jsonl", &text("0202020202", "0202020203")),
        ["seal", "receipt", "file"]
    );
    assert_eq!(told("receipts.jsonl", &text("\\\"events\\\":12", "\\\"events\\\":13")), receipted);
    let seals = ["certificate", "seal", "seal", "seal", "seal", "file"];
    assert_eq!(told(".der", &|bytes| bytes[100] ^= 1), seals);
    assert_eq!(
        told("manifest.json", &text("\"rows\":12", "\"rows\":13")),
        ["manifest", "manifest"]
    );
    assert_eq!(
        told("manifest.seal.json", &text("\"signature\": \"", "\"signature\": \"00")),
        ["manifest"]
    );
    assert_eq!(told("bundle.json", &text("-0", "-1")), ["file"]);
}

#[test]
fn what_was_taken_out_or_put_in_is_named() {
    let bytes = bundle(&centre());
    let mut files = unpacked(&bytes);
    let receipts = files.iter().position(|(name, _)| name.ends_with("receipts.jsonl")).unwrap();
    let taken = files.remove(receipts);
    assert_eq!(faults(&packed(&files)), ["file", "file", "manifest"]);
    files.insert(receipts, taken);
    files.insert(receipts + 1, (format!("{}/receipts.jsonl", HOUR + 3_600), Vec::new()));
    assert_eq!(faults(&packed(&files)), ["file", "manifest"]);
}

#[test]
fn a_bundle_that_was_cut_proves_nothing() {
    let bytes = bundle(&centre());
    for cut in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        let (verdict, found) = checked(&bytes[..cut], &Known::default());
        assert!(matches!(verdict, Err(ReadError::Cut)), "{cut}: {verdict:?}");
        assert_eq!(found, [], "{cut}");
    }
    let mut files = unpacked(&bytes);
    files.pop();
    assert!(matches!(checked(&packed(&files), &Known::default()).0, Err(ReadError::Cut)));
    assert!(matches!(checked(b"no bundle", &Known::default()).0, Err(ReadError::Damaged(_))));
}

#[test]
fn a_hostile_bundle_is_put_away_before_it_takes_anything() {
    let bytes = bundle(&centre());
    let head = unpacked(&bytes).remove(0);
    let told = |files: Files| checked(&packed(&files), &Known::default()).0.unwrap_err();
    for name in ["../../etc/passwd", "/etc/passwd", "1/../receipts.jsonl", "01/receipts.jsonl"] {
        let error = told(vec![head.clone(), (name.into(), Vec::new())]);
        assert!(matches!(error, ReadError::Strange(_)), "{name}: {error:?}");
    }
    assert!(matches!(told(vec![head.clone(), head.clone()]), ReadError::Strange(_)));
    assert!(matches!(told(vec![("1/receipts.jsonl".into(), Vec::new())]), ReadError::Strange(_)));

    // Two files of one byte: each might be one of ours, but for what they grow to.
    let same = |number| (format!("1/{number:06}.rows"), vec![255; 48 << 20]);
    assert!(matches!(told(vec![head, same(1), same(2)]), ReadError::Bomb));

    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_path("bundle.json").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    tar.append(&header, &b"x"[..]).unwrap();
    let bytes = tar.into_inner().unwrap().finish().unwrap();
    let error = checked(&bytes, &Known::default()).0.unwrap_err();
    assert!(matches!(error, ReadError::Large(_)), "{error:?}");
}

#[test]
fn names_are_written_in_one_way() {
    for name in [
        Name::Head,
        Name::Certificate("ab".into()),
        Name::Batches(HOUR, 1),
        Name::Rows(HOUR, 1_000_001),
        Name::Receipts(-3_600),
        Name::Manifest,
        Name::Seal,
    ] {
        assert_eq!(Name::read(&name.to_string()), Some(name));
    }
    for text in ["", "/", "1/1.rows", "+1/receipts.jsonl", "x/receipts.jsonl", "1/receipts.json"] {
        assert_eq!(Name::read(text), None, "{text}");
    }
}
