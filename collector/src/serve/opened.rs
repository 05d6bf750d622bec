//! The incidents that were opened in a span, closed ones too, as far as the caller reaches.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use vonggac_wire::{
    Time,
    proto::{Incident, IncidentsReply, IncidentsRequest},
};

use super::{
    Answers,
    asking::{Question, REPLIES_WAITING_MAX},
    status,
};
use crate::trust::scope::{Scope, view};

/// For the audit log.
pub(super) fn words(request: &IncidentsRequest) -> String {
    format!("{} {}", Time(request.since_unix_nano), Time(request.until_unix_nano))
}

/// Page by page, so that half a year takes the memory of one.
pub(super) fn answer(
    question: Question,
    scope: Scope,
    request: IncidentsRequest,
) -> Answers<IncidentsReply> {
    let (tell, replies) = mpsc::channel(REPLIES_WAITING_MAX);
    let until = match request.until_unix_nano {
        0 => Time::now(),
        nanos => Time(nanos),
    };
    let span = (Time(request.since_unix_nano), until);
    tokio::spawn(async move {
        let store = question.running.store();
        let mut after = 0;
        loop {
            let asked = tokio::select! {
                asked = store.incidents_opened(span, after) => asked,
                // The engine is told when the question is dropped.
                () = tell.closed() => return,
            };
            let reply = match asked {
                Ok(page) => {
                    let Some(last) = page.last() else { break };
                    after = last.id;
                    let incidents = page.iter().filter_map(|one| view::incident(&scope, one));
                    Ok(IncidentsReply { incidents: incidents.map(brief).collect() })
                }
                Err(error) => Err(status(error)),
            };
            let failed = reply.is_err();
            if tell.send(reply).await.is_err() || failed {
                return;
            }
        }
        question.running.over();
    });
    Box::pin(ReceiverStream::new(replies))
}

/// Without what only the screen of one incident shows.
fn brief(incident: Incident) -> Incident {
    Incident {
        evidence: Vec::new(),
        shares: Vec::new(),
        values: Default::default(),
        hosts: Vec::new(),
        ..incident
    }
}
