//! Receipts and verification, answered as they are found.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use vonggac_wire::{
    Signer, Time,
    proto::{EvidenceFault, EvidenceRequest, ReceiptsReply, VerifyReply},
};

use super::{
    Answers, Parts,
    asking::{Places, Question, REPLIES_WAITING_MAX},
    status,
    visit::Asked,
};
use crate::{
    store::batch::Span,
    trust::{
        denial::Denial,
        door::Guest,
        holding,
        verify::{self, Answer, Sum, Told},
    },
};

/// Lanes of one reply.
const LANES_AT_ONCE: usize = 200;

/// A day, where nobody says.
const SPAN: Duration = Duration::from_secs(86_400);

/// What is asked of; an agency has to be named.
fn span(request: EvidenceRequest, now: Time) -> Result<Span, Status> {
    if request.agency.is_empty() {
        return Err(Status::invalid_argument("the request names no agency; add --agency"));
    }
    let or = |nanos: i64, other: Time| if nanos == 0 { other } else { Time(nanos) };
    Ok(Span {
        agency: request.agency,
        host: request.host,
        since: or(request.since_unix_nano, now.minus(SPAN)),
        until: or(request.until_unix_nano, now.plus(Duration::from_secs(60))),
    })
}

/// For the audit log.
pub(super) fn words(request: &EvidenceRequest) -> Asked {
    let words = format!("agency={} host={}", request.agency, request.host);
    Asked::about(&request.agency, words)
}

/// A question about an agency that the caller reaches.
pub(super) async fn begin(
    parts: &Parts,
    places: &Places,
    guest: &Guest,
    request: EvidenceRequest,
) -> Result<(Question, Span), Status> {
    let span = span(request, Time::now())?;
    if !guest.scope.has_agency(&span.agency) {
        return Err(Denial::Agency(span.agency).into());
    }
    Ok((Question::begin(&parts.store, places, guest).await?, span))
}

/// What is held of each lane.
pub(super) fn receipts(question: Question, span: Span) -> Answers<ReceiptsReply> {
    let (tell, replies) = mpsc::channel(REPLIES_WAITING_MAX);
    tokio::spawn(async move {
        let store = question.running.store();
        let asked = tokio::select! {
            asked = holding::receipts(&store, &span) => asked,
            // The engine is told when the question is dropped.
            () = tell.closed() => return,
        };
        question.running.over();
        match asked {
            Ok(lanes) => {
                for lanes in lanes.chunks(LANES_AT_ONCE) {
                    if tell.send(Ok(ReceiptsReply { lanes: lanes.to_vec() })).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => drop(tell.send(Err(status(error))).await),
        }
    });
    Box::pin(ReceiverStream::new(replies))
}

/// Each finding, and how far it is.
pub(super) fn verify(
    question: Question,
    span: Span,
    signer: Option<Arc<Signer>>,
) -> Answers<VerifyReply> {
    let (tell, replies) = mpsc::channel(REPLIES_WAITING_MAX);
    tokio::spawn(async move {
        let store = question.running.store();
        let (answer, mut answers) = mpsc::channel(REPLIES_WAITING_MAX);
        let verifying = async {
            let signer = signer.as_deref();
            let verified = verify::verify(&store, &span, Time::now(), signer, &answer).await;
            drop(answer);
            verified
        };
        let telling = async {
            while let Some(answer) = answers.recv().await {
                if tell.send(Ok(reply(answer))).await.is_err() {
                    return;
                }
            }
        };
        let verified = tokio::select! {
            (verified, ()) = async { tokio::join!(verifying, telling) } => verified,
            () = tell.closed() => return,
        };
        question.running.over();
        if let Err(error) = verified {
            let _gone = tell.send(Err(status(error))).await;
        }
    });
    Box::pin(ReceiverStream::new(replies))
}

fn reply(answer: Answer) -> VerifyReply {
    let of = |sum: Sum, done| VerifyReply {
        faults: Vec::new(),
        batches: sum.batches,
        rows: sum.rows,
        found: sum.faults,
        retired: sum.retired,
        done,
    };
    match answer {
        Answer::Fault(told) => VerifyReply { faults: vec![fault(told)], ..VerifyReply::default() },
        Answer::SoFar(sum) => of(sum, false),
        Answer::Done(sum) => of(sum, true),
    }
}

fn fault(told: Told) -> EvidenceFault {
    EvidenceFault {
        fault: told.fault.name().into(),
        agency: told.agency,
        agent: told.agent,
        host: told.host,
        lane: told.lane,
        seq: told.seq,
        topic: told.key.0,
        partition: told.key.1,
        offset: told.offset,
        index: told.index,
    }
}
