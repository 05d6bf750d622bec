//! Receipts as the centre makes them; their form and what they are held against is [`vonggac_evidence::receipt`].
//!
//! An hour is the broker's. Its receipt is made when every partition is known to be past it, so that nothing more of it comes, and is written
//! once: all of an agency's hour as one block under a token of its own, of which the engine takes the first.

use std::sync::Arc;

pub use vonggac_evidence::receipt::*;
use vonggac_wire::{BatchHash, Signer, Time, seal::Purpose};

use crate::store::GapRow;

pub mod key;
pub mod maker;

/// Gaps that one receipt names; of a host with more all have one cause, and the count is whole.
const GAPS_MAX: usize = 1_000;

/// The receipt over an hour, signed.
///
/// # Errors
/// If the key does not sign.
pub fn sign(
    done: Hour,
    (agency, agent, hour): (&str, &str, Time),
    gaps: &[GapRow],
    previous: Option<BatchHash>,
    signer: &Arc<Signer>,
) -> Result<Signed, SignError> {
    let root = done.root();
    let mut lanes = done.into_lanes();
    for lane in &mut lanes {
        let mine = gaps.iter().filter(|gap| gap.agent == agent && gap.lane == lane.lane);
        lane.gaps = mine
            .take(GAPS_MAX)
            .map(|gap| GapOf {
                first_seq: gap.first_seq,
                last_seq: gap.last_seq,
                reason: gap.reason.clone(),
                events: gap.events,
            })
            .collect();
    }
    let key = signer.public_key().point.iter().map(|byte| format!("{byte:02x}")).collect();
    let receipt = Receipt {
        version: 1,
        agency: agency.into(),
        agent: agent.into(),
        hour: hour.to_string(),
        root,
        lanes,
        previous: previous.map(|hash| hash.to_string()).unwrap_or_default(),
        key,
    };
    let text = serde_json::to_string(&receipt)?;
    let hash = BatchHash::of(text.as_bytes());
    let seal = signer.sign(Purpose::Receipt, &hash)?;
    Ok(Signed { agency: agency.into(), agent: agent.into(), hour, hash, seal, text })
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It cannot be written.
    #[error("write a receipt: {0}")]
    Text(#[from] serde_json::Error),
    /// The key.
    #[error("sign a receipt: {0}")]
    Key(#[from] vonggac_wire::seal::SealError),
}

#[cfg(test)]
mod tests {
    use vonggac_evidence::batch::Batch;

    use super::*;

    const HOUR: Time = Time(1_764_000_000_000_000_000);

    fn signer() -> Arc<Signer> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Arc::new(Signer::without_certificate(&key.serialize_der()).unwrap())
    }

    fn batch(first_seq: u64) -> Batch {
        Batch {
            agency: "H49".into(),
            agent: "web-2".into(),
            lane: "security".into(),
            first_seq,
            last_seq: first_seq + 9,
            rows: 10,
            hash: [u8::try_from(first_seq % 250).unwrap(); 32],
            ..Batch::default()
        }
    }

    fn hour(batches: &[Batch]) -> Hour {
        let mut hour = Hour::default();
        batches.iter().for_each(|batch| hour.add(&batch.said()));
        hour
    }

    #[test]
    fn a_receipt_holds_for_its_batches_its_place_and_its_key() {
        let (signer, batches) = (signer(), [batch(1), batch(11)]);
        let key = signer.public_key();
        let root = hour(&batches).root();
        let id = ("H49", "web-2", HOUR);
        let signed = sign(hour(&batches), id, &[], None, &signer).unwrap();
        assert!(!is_wrong(&signed, &root, None, &key));
        let receipt: Receipt = serde_json::from_str(&signed.text).unwrap();
        assert_eq!((receipt.lanes[0].events, receipt.lanes[0].last_seq), (20, 20));

        let again = sign(hour(&batches), id, &[], None, &signer).unwrap();
        assert_eq!(again, signed, "the same receipt, whoever makes it");
        assert!(is_wrong(&signed, &hour(&batches[..1]).root(), None, &key));
        assert!(is_wrong(&signed, &root, None, &self::signer().public_key()));
        assert!(is_wrong(&signed, &root, Some(BatchHash([1; 32])), &key));
        let moved = Signed { hour: Time(HOUR.0 + HOUR_NANOS), ..signed.clone() };
        assert!(is_wrong(&moved, &root, None, &key));
        let text = signed.text.replace("\"events\":20", "\"events\":21");
        assert!(is_wrong(&Signed { text, ..signed.clone() }, &root, None, &key));
        let next = sign(hour(&batches), id, &[], Some(signed.hash), &signer).unwrap();
        assert!(!is_wrong(&next, &root, Some(signed.hash), &key));
    }
}
