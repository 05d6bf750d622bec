//! An agent is given the receipts that the centre made of it, and no others.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming};
use vonggac_wire::{
    Identity, Time,
    enrol::{RECEIPTS_MAX, ReceiptOf, Receipts, Since},
};

use super::{
    desk::Caller,
    door::{asked, json, refused},
};
use crate::store::Store;

/// Answers who asks; with the word that is counted.
pub(super) async fn answer(
    request: Request<Incoming>,
    caller: Option<&Caller>,
    store: Option<&Store>,
) -> (&'static str, Response<Full<Bytes>>) {
    let Some(store) = store else {
        return ("request", refused(StatusCode::NOT_FOUND, "request", "there is nothing here"));
    };
    // Late certificates are let in to be renewed, and for nothing else.
    let known = caller.filter(|caller| caller.not_after > Time::now());
    let Some(Identity::Agent { agency, agent }) = known.map(|caller| &caller.identity) else {
        let text = "receipts are for agents; show an agent's certificate that is valid";
        return ("certificate", refused(StatusCode::FORBIDDEN, "certificate", text));
    };
    let Since { since } = match asked(request).await {
        Ok(since) => since,
        Err(refused) => return ("request", refused),
    };
    let Ok(since) = since.parse::<Time>() else {
        let text = "since is no time; wanted is RFC 3339";
        return ("request", refused(StatusCode::BAD_REQUEST, "request", text));
    };
    match store.receipts_of_agent(agency.as_str(), agent.as_str(), since, RECEIPTS_MAX).await {
        Ok(signed) => {
            let of = |signed: crate::trust::receipt::Signed| ReceiptOf {
                text: signed.text,
                signature: data_encoding::HEXLOWER.encode(&signed.seal.signature),
            };
            let receipts = Receipts { receipts: signed.into_iter().map(of).collect() };
            ("receipts", json(StatusCode::OK, &receipts))
        }
        Err(error) => {
            tracing::warn!(%error, "an agent is not given its receipts");
            let text = "the store does not answer; ask again later";
            ("failed", refused(StatusCode::SERVICE_UNAVAILABLE, "failed", text))
        }
    }
}
