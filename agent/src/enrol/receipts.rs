//! The centre's receipts of this agent, kept on its host: what was acknowledged here can be held against the centre later, by whoever has this
//! file, even if the centre forgot it.
//!
//! Where the agent has another name than its file's receipts, or the centre another key, the file is put aside under the day's name, told, and a
//! new one begun: what was signed for before stays evidence, and what is signed for now is kept.

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

/// What a file is called that was put aside: `receipts.2026-11-27.jsonl`, with a number behind the day from the second of a day on.
const ASIDE: (&str, &str) = ("receipts.", ".jsonl");

/// Files that are put aside on one day: a key that changes more often is no key.
const ASIDE_OF_DAY_MAX: usize = 10;

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
    /// Another key signed it; with what it is all the same.
    #[error(
        "the key {0} signed it, and {1} those before; ask the centre whether it has another key"
    )]
    Key(String, String, Box<Kept>),
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
            let (now, before) = (receipt.key.clone(), last.receipt.key.clone());
            return Err(NotTaken::Key(now, before, Box::new(Kept { receipt, raw })));
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

/// Whether what is kept is not this agent's: it was enrolled anew under another name.
fn is_of_another(kept: &[Kept], identity: &str) -> bool {
    kept.last().is_some_and(|last| {
        let Kept { receipt, .. } = last;
        let of_kept = format!("/agency/{}/agent/{}", receipt.agency, receipt.agent);
        !identity.ends_with(&of_kept)
    })
}

/// Puts the file aside; gives where to.
fn put_aside(dir: &Path, now: Time) -> Result<PathBuf, ReceiptsError> {
    let day: String = now.to_string().chars().take(10).collect();
    let name = |number: usize| match number {
        1 => format!("{}{day}{}", ASIDE.0, ASIDE.1),
        more => format!("{}{day}-{more}{}", ASIDE.0, ASIDE.1),
    };
    let free = (1..=ASIDE_OF_DAY_MAX).map(|number| dir.join(name(number)));
    let aside = free.into_iter().find(|path| !path.exists());
    let aside = aside.ok_or_else(|| ReceiptsError::Aside(dir.to_owned()))?;
    std::fs::rename(path(dir), &aside).map_err(files::failed("put aside", &path(dir)))?;
    files::sync_folder(&aside)?;
    Ok(aside)
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
    /// The agent or the key changed too often.
    #[error(
        "put the receipts in {} aside: {ASIDE_OF_DAY_MAX} files were put aside today; look why the centre's key or this agent's name changes, and take them away", .0.display()
    )]
    Aside(PathBuf),
}

/// Fetches the receipts that came since the last one that is kept; gives how many.
///
/// # Errors
/// If the centre does not answer, a receipt is not taken, or a file cannot be written. What was taken before is kept.
pub async fn fetch(holding: &Holding) -> Result<usize, ReceiptsError> {
    let mut all = kept(holding.dir());
    let (centre, mut came) = (holding.centre()?, 0);
    if is_of_another(&all, holding.identity()) {
        let aside = put_aside(holding.dir(), Time::now())?;
        tracing::warn!(file = %aside.display(), "the receipts of another agent were put aside: this one was enrolled under another name");
        all.clear();
    }
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
                // Signed rightly, and by the centre whose certificate answered: it begins a chain of its own.
                Err(NotTaken::Key(now, before, kept)) => {
                    if fresh > 0 {
                        keep(holding.dir(), &all)?;
                    }
                    let aside = put_aside(holding.dir(), Time::now())?;
                    tracing::warn!(file = %aside.display(), before, now, "the centre signs receipts by another key; those of the former one were put aside: ask the centre whether it changed");
                    all = vec![*kept];
                }
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
    fn receipts_of_another_name_or_key_are_put_aside_and_none_is_written_over() {
        let (signer, dir) = (signer(), tempfile::tempdir().unwrap());
        let hour = "2026-11-27T01:00:00Z";
        let first = take(made(&signer, "web-1", hour, None), ME, None).unwrap();
        let one = std::slice::from_ref(&first);
        assert!(!is_of_another(one, ME) && !is_of_another(&[], ME));
        assert!(is_of_another(one, "spiffe://vonggac/agency/H49/agent/web-2"));
        assert!(is_of_another(one, "spiffe://vonggac/agency/tk-48/agent/web-1"));

        let now: Time = "2026-11-27T09:00:00Z".parse().unwrap();
        let mut names = Vec::new();
        for _ in 0..ASIDE_OF_DAY_MAX {
            keep(dir.path(), one).unwrap();
            let aside = put_aside(dir.path(), now).unwrap();
            assert!(aside.exists() && kept(dir.path()).is_empty());
            names.push(aside.file_name().unwrap().to_str().unwrap().to_owned());
        }
        assert_eq!(names[..2], ["receipts.2026-11-27.jsonl", "receipts.2026-11-27-2.jsonl"]);
        keep(dir.path(), one).unwrap();
        let full = put_aside(dir.path(), now).unwrap_err().to_string();
        assert!(full.contains("10 files"), "{full}");
        assert_eq!(kept(dir.path()), one);
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
