//! The centre's receipts of this agent, kept on its host: what was acknowledged here can be held against the centre later, by whoever has this
//! file, even if the centre forgot it.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use vonggac_daemon::files::{self, FileError, Readers};
use vonggac_enrol::{EnrolError, Holding};
use vonggac_wire::{
    BatchHash, Identity, Time,
    enrol::{RECEIPTS_MAX, RECEIPTS_PATH, ReceiptOf, Receipts, Since},
    receipt::Receipt,
    seal::{Algorithm, PublicKey, Purpose},
};

/// The file, in the folder of the certificate: a receipt a line.
const FILE: &str = "receipts.jsonl";

/// Receipts that are kept: a hundred days, in some megabytes.
pub const KEPT_MAX: usize = 24 * 100;

/// Answers that are asked for at a time; what is older comes at the next.
const ANSWERS_MAX: usize = KEPT_MAX / RECEIPTS_MAX + 1;

/// Why a receipt is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is none.
    #[error("it is no receipt: {0}")]
    Text(String),
    /// It is another's.
    #[error("it is of {0}")]
    Another(String),
    /// Its signature is wrong.
    #[error("its signature is not its key's")]
    Signature,
    /// Another key signed it.
    #[error(
        "the key {0} signed it, and {1} those before; ask the centre whether it has another key"
    )]
    Key(String, String),
    /// It does not name the one before it.
    #[error("it does not follow on that of {0}: one between them was taken away, or was made anew")]
    Chain(String),
}

/// A receipt that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it says.
    pub receipt: Receipt,
    /// As it came.
    raw: ReceiptOf,
}

/// Takes a receipt, held against whom it has to be of and the last one that is kept (pure).
fn take(raw: ReceiptOf, identity: &str, last: Option<&Kept>) -> Result<Kept, NotTaken> {
    let receipt: Receipt =
        serde_json::from_str(&raw.text).map_err(|error| NotTaken::Text(error.to_string()))?;
    let named = match identity.parse() {
        Ok(Identity::Agent { agency, agent }) => {
            receipt.agency == agency.as_str() && receipt.agent == agent.as_str()
        }
        _ => false,
    };
    if !named || receipt.hour.parse::<Time>().is_err() {
        return Err(NotTaken::Another(format!("{}/{}", receipt.agency, receipt.agent)));
    }
    let bytes = |text: &str| HEXLOWER.decode(text.as_bytes()).map_err(|_| NotTaken::Signature);
    let key = PublicKey { algorithm: Algorithm::Ed25519, point: bytes(&receipt.key)? };
    let hash = BatchHash::of(raw.text.as_bytes());
    if !key.verifies(Purpose::Receipt, &hash, &bytes(&raw.signature)?) {
        return Err(NotTaken::Signature);
    }
    if let Some(last) = last {
        if last.receipt.key != receipt.key {
            return Err(NotTaken::Key(receipt.key, last.receipt.key.clone()));
        }
        if receipt.previous != BatchHash::of(last.raw.text.as_bytes()).to_string() {
            return Err(NotTaken::Chain(last.receipt.hour.clone()));
        }
    }
    Ok(Kept { receipt, raw })
}

/// What is kept in a folder, the oldest first. A line that is none is left out.
#[must_use]
pub fn kept(dir: &Path) -> Vec<Kept> {
    let text = files::read(&path(dir)).unwrap_or_default();
    let line = |line: &str| {
        let raw: ReceiptOf = serde_json::from_str(line).ok()?;
        Some(Kept { receipt: serde_json::from_str(&raw.text).ok()?, raw })
    };
    text.lines().filter_map(line).collect()
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

fn keep(dir: &Path, kept: &[Kept]) -> Result<(), FileError> {
    let from = kept.len().saturating_sub(KEPT_MAX);
    let mut text = String::new();
    for kept in kept.iter().skip(from) {
        text.push_str(&serde_json::to_string(&kept.raw).unwrap_or_default());
        text.push('\n');
    }
    files::replace(&path(dir), text.as_bytes(), Readers::Owner)
}

/// Why receipts did not come.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptsError {
    /// The centre, or the certificate that it is shown.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What the centre says that it holds.
    #[error("take a receipt of the centre: {0}")]
    Receipt(#[from] NotTaken),
}

/// Fetches the receipts that came since the last one that is kept; gives how many.
///
/// # Errors
/// If the centre does not answer, a receipt is not taken, or a file cannot be written. What was taken before is kept.
pub async fn fetch(holding: &Holding) -> Result<usize, ReceiptsError> {
    let mut all = kept(holding.dir());
    let (centre, mut came) = (holding.centre()?, 0);
    for _ in 0..ANSWERS_MAX {
        let begin = "1970-01-01T00:00:00Z".to_owned();
        let since = all.last().map_or(begin, |last| last.receipt.hour.clone());
        let answer: Receipts =
            centre.post(RECEIPTS_PATH, &Since { since }).await.map_err(EnrolError::from)?;
        let full = answer.receipts.len() >= RECEIPTS_MAX;
        let mut fresh = 0;
        let mut wrong = None;
        for raw in answer.receipts {
            // The last one is asked for again, so that it is known to be the same.
            if all.last().is_some_and(|last| last.raw.text == raw.text) {
                continue;
            }
            match take(raw, holding.identity(), all.last()) {
                Ok(kept) => all.push(kept),
                Err(error) => {
                    wrong = Some(error);
                    break;
                }
            }
            fresh += 1;
        }
        if fresh > 0 {
            keep(holding.dir(), &all)?;
            came += fresh;
        }
        if let Some(error) = wrong {
            return Err(error.into());
        }
        if !full || fresh == 0 {
            break;
        }
    }
    Ok(came)
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use vonggac_wire::Signer;

    use super::*;

    const ME: &str = "spiffe://vonggac/agency/H49/agent/web-1";

    fn signer() -> Signer {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Signer::without_certificate(&key.serialize_der()).unwrap()
    }

    fn made(signer: &Signer, agent: &str, hour: &str, previous: Option<&Kept>) -> ReceiptOf {
        let hash = |kept: &Kept| BatchHash::of(kept.raw.text.as_bytes()).to_string();
        let receipt = Receipt {
            version: 1,
            agency: "H49".into(),
            agent: agent.into(),
            hour: hour.into(),
            root: String::new(),
            lanes: Vec::new(),
            previous: previous.map(hash).unwrap_or_default(),
            key: HEXLOWER.encode(&signer.public_key().point),
        };
        let text = serde_json::to_string(&receipt).unwrap();
        let seal = signer.sign(Purpose::Receipt, &BatchHash::of(text.as_bytes())).unwrap();
        ReceiptOf { text, signature: HEXLOWER.encode(&seal.signature) }
    }

    #[test]
    fn receipts_are_taken_in_their_chain_and_no_others() {
        let signer = signer();
        let (one, two) = ("2026-11-27T01:00:00Z", "2026-11-27T02:00:00Z");
        let first = take(made(&signer, "web-1", one, None), ME, None).unwrap();
        let second = made(&signer, "web-1", two, Some(&first));
        assert!(take(second.clone(), ME, Some(&first)).is_ok());

        let another = made(&signer, "web-2", two, Some(&first));
        assert_eq!(take(another, ME, Some(&first)), Err(NotTaken::Another("H49/web-2".into())));
        let alone = made(&signer, "web-1", two, None);
        assert_eq!(take(alone, ME, Some(&first)), Err(NotTaken::Chain(one.into())));
        let forged = ReceiptOf { text: second.text.replace("02:00", "03:00"), ..second.clone() };
        assert_eq!(take(forged, ME, Some(&first)), Err(NotTaken::Signature));
        let theirs = made(&self::signer(), "web-1", two, Some(&first));
        assert!(matches!(take(theirs, ME, Some(&first)), Err(NotTaken::Key(..))));
        let torn = ReceiptOf { text: "{".into(), ..second };
        assert!(matches!(take(torn, ME, Some(&first)), Err(NotTaken::Text(_))));
    }

    #[test]
    fn what_is_kept_is_read_back_without_a_torn_line_and_does_not_grow_for_ever() {
        let (signer, dir) = (signer(), tempfile::tempdir().unwrap());
        assert!(kept(dir.path()).is_empty());
        let first = take(made(&signer, "web-1", "2026-11-27T01:00:00Z", None), ME, None).unwrap();
        let many = vec![first.clone(); KEPT_MAX + 3];
        keep(dir.path(), &many).unwrap();
        assert_eq!(kept(dir.path()), many[3..]);
        keep(dir.path(), std::slice::from_ref(&first)).unwrap();
        let mut text = std::fs::read_to_string(path(dir.path())).unwrap();
        text.push_str("{\"text\":\"{");
        std::fs::write(path(dir.path()), text).unwrap();
        assert_eq!(kept(dir.path()), [first]);
    }
}
