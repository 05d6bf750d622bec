//! The audit log, as those read it who may: pages of what was done, or whether every chain holds.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use vonggac_wire::{
    Time,
    proto::{AuditChain, AuditFault, AuditReply, AuditRequest},
};

use super::{
    Answers,
    asking::{Question, REPLIES_WAITING_MAX},
    status,
};
use crate::{
    store::{Store, StoreError, audit::Verified},
    trust::audit::verify::Finding,
};

/// A day, where nobody says.
const SPAN: Duration = Duration::from_secs(86_400);

/// Records of one message: each may have some thousand characters of words.
const RECORDS_AT_ONCE: usize = 200;

/// For the audit log itself.
pub(super) fn words(request: &AuditRequest) -> String {
    if request.verify {
        return "verify".into();
    }
    let all = [
        ("who", &request.who),
        ("call", &request.call),
        ("outcome", &request.outcome),
        ("agency", &request.agency),
    ];
    let said: Vec<String> = all
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    said.join(" ")
}

/// What is asked for, in messages of a bearable size.
pub(super) fn answer(question: Question, request: AuditRequest) -> Answers<AuditReply> {
    let (tell, replies) = mpsc::channel(REPLIES_WAITING_MAX);
    tokio::spawn(async move {
        let store = question.running.store();
        let asked = tokio::select! {
            asked = asked(&store, &request) => asked,
            // The engine is told when the question is dropped.
            () = tell.closed() => return,
        };
        question.running.over();
        match asked {
            Ok(replies) => {
                for reply in replies {
                    if tell.send(Ok(reply)).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => drop(tell.send(Err(status(error))).await),
        }
    });
    Box::pin(ReceiverStream::new(replies))
}

async fn asked(store: &Store, request: &AuditRequest) -> Result<Vec<AuditReply>, StoreError> {
    if request.verify {
        let chains = store.verify_audit().await?;
        let chains = chains.into_iter().map(chain).collect();
        return Ok(vec![AuditReply { chains, done: true, ..AuditReply::default() }]);
    }
    let now = Time::now();
    let or = |nanos: i64, other: Time| if nanos == 0 { other } else { Time(nanos) };
    let since = or(request.since_unix_nano, now.minus(SPAN));
    let until = or(request.until_unix_nano, now.plus(Duration::from_secs(60)));
    let page = store.audit_page(request, since, until).await?;
    let mut replies: Vec<AuditReply> = page
        .records
        .chunks(RECORDS_AT_ONCE)
        .map(|records| AuditReply { records: records.to_vec(), ..AuditReply::default() })
        .collect();
    let next_cursor = page.next_cursor;
    replies.push(AuditReply { next_cursor, done: true, ..AuditReply::default() });
    Ok(replies)
}

fn chain(verified: Verified) -> AuditChain {
    let fault = |finding: &Finding| {
        let (fault, first, last) = match *finding {
            Finding::Changed(number) => ("changed", number, number),
            Finding::Removed { first, last } => ("removed", first, last),
            Finding::Added(number) => ("added", number, number),
        };
        AuditFault { fault: fault.into(), first, last }
    };
    AuditChain {
        chain: verified.chain,
        rows: verified.rows,
        faults: verified.findings.iter().map(fault).collect(),
        more: verified.more,
    }
}
