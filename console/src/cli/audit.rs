//! The audit log, and whether its chains hold.

use serde_json::json;
use vonggac_answer::rows::{self, Format, Row};
use vonggac_daemon::exit::Exit;
use vonggac_wire::{
    Time,
    proto::{AuditChain, AuditRecord, AuditRequest},
};

use super::{complain, filter::Filter, print, row, show::said};
use crate::{client::Client, wording, words::Words};

/// What is asked for besides a time and an agency.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Options {
    /// What this person did.
    #[arg(long)]
    who: Option<String>,
    /// Calls of this kind: sql, act, export, ...
    #[arg(long)]
    call: Option<String>,
    /// What ended so: ok, permission-denied, ...
    #[arg(long)]
    outcome: Option<String>,
    /// Go along every chain, and tell whether it holds.
    #[arg(long)]
    pub(super) verify: bool,
}

/// Records of a call that names no limit.
const RECORDS_DEFAULT: u32 = 1_000;

/// Records of one page.
const PAGE_RECORDS: u32 = 1_000;

/// Pages of what was done; or, of every chain, whether it is as it was written: what is not ends the program with a failure.
pub(super) async fn run(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
    options: &Options,
) -> Result<Exit, String> {
    if options.verify {
        return verify(client, words, form).await;
    }
    let (since, until) =
        filter.window(Time::now()).map_err(|text| words.with("bad-time", &[("text", &text)]))?;
    let mut request = AuditRequest {
        since_unix_nano: since.0,
        until_unix_nano: until.0,
        who: options.who.clone().unwrap_or_default(),
        call: options.call.clone().unwrap_or_default(),
        outcome: options.outcome.clone().unwrap_or_default(),
        agency: filter.agency.clone().unwrap_or_default(),
        ..AuditRequest::default()
    };
    let mut left = match filter.limit {
        Some(0) => u64::MAX,
        Some(limit) => limit.into(),
        None => RECORDS_DEFAULT.into(),
    };
    let stream = *form == Format::Jsonl;
    let mut all = Vec::new();
    while left > 0 {
        request.limit = u32::try_from(left.min(PAGE_RECORDS.into())).unwrap_or(PAGE_RECORDS);
        let (rows, next) = page(client, words, &request).await?;
        left = left.saturating_sub(rows.len() as u64);
        if stream {
            print(&rows::write(form, &rows));
        } else {
            all.extend(rows);
        }
        if next.is_empty() {
            break;
        }
        request.cursor = next;
    }
    if !stream {
        if all.is_empty() && *form == Format::Table {
            complain(&words.get("empty"), Exit::Success);
        }
        print(&rows::write(form, &all));
    }
    Ok(Exit::Success)
}

async fn page(
    client: &mut Client,
    words: &Words,
    request: &AuditRequest,
) -> Result<(Vec<Row>, String), String> {
    let said = said(words);
    let mut stream = client.audit(request.clone()).await.map_err(&said)?.into_inner();
    let (mut rows, mut next) = (Vec::new(), None);
    while let Some(reply) = stream.message().await.map_err(&said)? {
        rows.extend(reply.records.iter().map(record));
        next = reply.done.then_some(reply.next_cursor);
    }
    Ok((rows, next.ok_or_else(|| words.get("audit-cut"))?))
}

fn record(record: &AuditRecord) -> Row {
    rows::row(json!({
        "time": row::time(Some(record.time_unix_nano)),
        "who": record.who,
        "role": record.role,
        "call": record.call,
        "outcome": record.outcome,
        "rows": record.rows,
        "agency": record.agency,
        "words": record.words,
        "address": record.address,
        "serial": record.serial,
        "microseconds": record.microseconds,
        "chain": record.chain,
        "number": record.number,
        "hash": record.hash,
    }))
}

async fn verify(client: &mut Client, words: &Words, form: &Format) -> Result<Exit, String> {
    let said = said(words);
    let request = AuditRequest { verify: true, ..AuditRequest::default() };
    let mut stream = client.audit(request).await.map_err(&said)?.into_inner();
    let (mut chains, mut done) = (Vec::new(), false);
    while let Some(reply) = stream.message().await.map_err(&said)? {
        chains.extend(reply.chains);
        done |= reply.done;
    }
    // An answer that was cut proves nothing.
    if !done {
        return Err(words.get("audit-cut"));
    }
    let faults: Vec<Row> = chains.iter().flat_map(faults).collect();
    if !faults.is_empty() || *form != Format::Table {
        print(&rows::write(form, &faults));
    }
    let count = |count: fn(&AuditChain) -> u64| {
        wording::number(words.lang(), chains.iter().map(count).sum())
    };
    let (rows, found) =
        (count(|chain| chain.rows), count(|chain| chain.faults.len() as u64 + chain.more));
    let number = wording::number(words.lang(), chains.len() as u64);
    let values = [("rows", &*rows), ("chains", &*number), ("found", &*found)];
    if faults.is_empty() {
        complain(&words.with("audit-holds", &values), Exit::Success);
        return Ok(Exit::Success);
    }
    Ok(complain(&words.with("audit-broken", &values), Exit::Failure))
}

fn faults(chain: &AuditChain) -> Vec<Row> {
    let row = |fault: &vonggac_wire::proto::AuditFault| {
        rows::row(json!({
            "chain": chain.chain,
            "fault": fault.fault,
            "first": fault.first,
            "last": fault.last,
        }))
    };
    chain.faults.iter().map(row).collect()
}
