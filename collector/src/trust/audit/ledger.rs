//! What the authority did, taken from its ledger into the audit log: a chain of its own, in which each line of the ledger is the row of its number.
//!
//! The authority works without a store, so its ledger is written first. Whoever reaches the store takes over what is missing there, the running
//! collector or a command; two at once write the same rows. A ledger that was shortened or changed behind its back is still in the log as it was.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vonggac_wire::Identity;

use super::{AuditRow, Deed, Head};
use crate::{
    store::{Store, StoreError},
    trust::authority::{
        Authority, AuthorityError,
        ledger::{Entry, Event, Usage},
    },
};

/// Lines that are taken over at once.
const LINES_MAX: usize = 512;

/// How often the ledger is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(20);

/// Characters of the fingerprint in the chain's name.
const NAME_CHARACTERS: usize = 16;

/// Why it was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The ledger.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rows are gone that the store took once: it takes none twice.
    #[error(
        "take the ledger over: the store took row {0} of its chain before, and does not have it; see `audit verify`"
    )]
    Gone(u64),
    /// Lines are gone.
    #[error(
        "take the ledger over: it has {lines} lines, and the audit log {taken} of them; restore it from a newer copy"
    )]
    Shorter {
        /// How many it has.
        lines: u64,
        /// How many were taken over.
        taken: u64,
    },
}

/// The chain's name: that of one authority, wherever its folder lies.
fn chain_of(authority: &Authority) -> Result<String, AuthorityError> {
    let fingerprint = authority.fingerprint()?;
    Ok(format!("authority:{}", fingerprint.get(..NAME_CHARACTERS).unwrap_or(&fingerprint)))
}

/// Takes over what the log does not have yet; gives how many lines that were.
///
/// # Errors
/// If the ledger cannot be read, has become shorter, or the store does not take it. What was taken before stays.
pub async fn take_over(store: &Store, authority: &Authority) -> Result<u64, TakeOverError> {
    let chain = chain_of(authority)?;
    let (mut taken, mut last) = (0, None);
    loop {
        let mut head = store.audit_end(&chain).await?;
        let before = head.number;
        if last.replace(before) == Some(before) {
            return Err(TakeOverError::Gone(before + 1));
        }
        let (entries, lines) = authority.ledger_behind(before, LINES_MAX)?;
        if lines < before {
            return Err(TakeOverError::Shorter { lines, taken: before });
        }
        if entries.is_empty() {
            return Ok(taken);
        }
        let rows = rows(&chain, &mut head, entries);
        let token = format!("audit-{chain}-{}", before + 1);
        store.insert_audit(&rows, &token).await?;
        // Somebody who took over fewer lines at the same time was first: the rest comes in the next turn.
        if store.audit_hash(&chain, head.number).await?.as_ref() == Some(&head.hash) {
            store.insert_audit_head(&chain, &head).await?;
            taken += head.number - before;
        }
    }
}

fn rows(chain: &str, head: &mut Head, entries: Vec<Entry>) -> Vec<AuditRow> {
    let row = |entry| {
        let row = AuditRow::after(chain, head, deed(entry));
        *head = row.head();
        row
    };
    entries.into_iter().map(row).collect()
}

/// A line as a deed (pure): the same whoever takes it over.
fn deed(entry: Entry) -> Deed {
    let agency = |identity: &Identity| match identity {
        Identity::Agent { agency, .. } => agency.to_string(),
        _ => String::new(),
    };
    let (call, words, agency) = match entry.event {
        Event::Founded { fingerprint, issuer } => (
            "authority founded",
            format!("root sha256:{fingerprint}, issuer {issuer}"),
            String::new(),
        ),
        Event::Rotated { issuer, before } => {
            ("issuer rotated", format!("issuer {issuer} after {before}"), String::new())
        }
        Event::Issued(known) => {
            let usage = match known.usage {
                Usage::Tls => "",
                Usage::Signing => ", for signatures",
            };
            let names = match known.names.is_empty() {
                true => String::new(),
                false => format!(", names {}", known.names.join(" ")),
            };
            let words = format!(
                "{} for {} until {}{usage}{names}",
                known.serial, known.identity, known.not_after
            );
            ("certificate issued", words, agency(&known.identity))
        }
        Event::Revoked { serial, reason } => {
            let reason = serde_json::to_string(&reason).unwrap_or_default();
            (
                "certificate revoked",
                format!("{serial}: {}", reason.trim_matches('"')),
                String::new(),
            )
        }
        Event::TokenMade { token, purpose, uses, until, agency } => {
            ("token made", format!("{token} for {purpose}, {uses} uses until {until}"), agency)
        }
        Event::TokenRevoked { token } => ("token revoked", token, String::new()),
        Event::Admitted { identity, until } => {
            ("admitted", format!("{identity} until {until}"), agency(&identity))
        }
    };
    Deed {
        time: entry.time.micros(),
        who: entry.by,
        role: "authority".into(),
        address: "local".into(),
        call: call.into(),
        words,
        agency,
        outcome: "ok".into(),
        ..Deed::default()
    }
}

/// Takes over what comes, until `stop`.
pub async fn run(store: Store, authority: Authority, stop: CancellationToken) {
    let (mut told, mut whole) = (false, None);
    loop {
        // A ledger that did not grow is not read again: after years it is long.
        let bytes = authority.ledger_bytes();
        let taken = if bytes == whole { Ok(0) } else { take_over(&store, &authority).await };
        match taken {
            Ok(0) => (told, whole) = (false, bytes),
            Ok(lines) => {
                told = false;
                tracing::info!(lines, "the audit log took the authority's ledger over");
            }
            // The store is waited for elsewhere, and told there; what it says may come from rows.
            Err(TakeOverError::Store(error)) => {
                let error = vonggac_daemon::log::Harmless(&error.to_string()).to_string();
                tracing::debug!(error, "the authority's ledger waits for the store");
            }
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::error!(%error, "the audit log lacks what the authority did");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::Time;

    use super::*;
    use crate::trust::authority::ledger::Certificate;

    fn entry(event: Event) -> Entry {
        Entry { time: Time::from_seconds(7), by: "lan".into(), event }
    }

    fn issued(identity: &str) -> Event {
        Event::Issued(Certificate {
            serial: "5f".into(),
            issuer: "0a".into(),
            identity: identity.parse().unwrap(),
            names: Vec::new(),
            usage: Usage::Tls,
            not_after: Time::from_seconds(9),
        })
    }

    #[test]
    fn a_line_becomes_a_row_that_says_who_did_what_to_whom() {
        let of_agent = deed(entry(issued("spiffe://vonggac/agency/H49/agent/web-1")));
        assert_eq!((of_agent.who.as_str(), of_agent.agency.as_str()), ("lan", "H49"));
        assert_eq!(
            (of_agent.call.as_str(), of_agent.address.as_str()),
            ("certificate issued", "local")
        );
        assert!(of_agent.words.contains("5f") && of_agent.words.contains("agent/web-1"));
        assert_eq!(deed(entry(issued("spiffe://vonggac/person/lan"))).agency, "");
        let made = Event::TokenMade {
            token: "1a2b".into(),
            purpose: "agents of H49".into(),
            uses: 3,
            until: Time::from_seconds(9),
            agency: "H49".into(),
        };
        let made = deed(entry(made));
        assert_eq!((made.call.as_str(), made.agency.as_str()), ("token made", "H49"));
    }

    #[test]
    fn rows_are_the_same_whoever_makes_them_and_in_whatever_portions() {
        let lines = || (0..5).map(|_| entry(issued("spiffe://vonggac/collector/c")));
        let mut whole = Head::default();
        let all = rows("a", &mut whole, lines().collect());
        let mut parts = Head::default();
        let mut portions = rows("a", &mut parts, lines().take(2).collect());
        portions.extend(rows("a", &mut parts, lines().skip(2).collect()));
        assert_eq!((all, whole), (portions, parts));
    }
}
