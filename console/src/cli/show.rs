//! Asks the collector and makes rows.

use vonggac_answer::rows::{self, Format, Row};
use vonggac_wire::{
    Time,
    proto::{
        DeadLettersRequest, ExportRequest, SearchRequest, SpreadRequest, SqlRequest, UsageRequest,
        WatchReply, WatchRequest,
    },
};

use super::{filter::Filter, print, progress::Cost, row};
use crate::{
    client::{self, Client},
    words::Words,
};

type Rows = Result<Vec<Row>, String>;

/// Rows of one page of events.
const PAGE_ROWS: u32 = 10_000;

/// Rows of an event search that names no limit.
const EVENTS_DEFAULT: u32 = 1_000;

/// A failure in the person's language.
pub(super) fn said(words: &Words) -> impl Fn(tonic::Status) -> String + '_ {
    |status| client::in_words(words, &client::failure(&status))
}

/// The whole picture, once.
pub(super) async fn whole(client: &mut Client, words: &Words) -> Result<WatchReply, String> {
    let mut stream = client.watch(WatchRequest::default()).await.map_err(said(words))?.into_inner();
    stream
        .message()
        .await
        .map_err(said(words))?
        .ok_or_else(|| "the collector sent nothing".to_owned())
}

pub(super) async fn picture(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    screen: &str,
) -> Rows {
    let picture = whole(client, words).await?;
    let now = Time(picture.time_unix_nano);
    let agency = |code: &str| Filter::passes(filter.agency.as_ref(), code);
    let mut rows: Vec<Row> = match screen {
        "systems" => picture
            .systems
            .iter()
            .filter(|s| agency(&s.agency) && Filter::passes(filter.system.as_ref(), &s.id))
            .filter(|s| Filter::passes(filter.status.as_ref(), s.state().name()))
            .map(|system| row::system(system, words))
            .collect(),
        "agents" => picture
            .agents
            .iter()
            .filter(|a| agency(&a.agency) && Filter::passes(filter.host.as_ref(), &a.host))
            .filter(|a| Filter::passes(filter.system.as_ref(), &a.system))
            .filter(|a| Filter::passes(filter.status.as_ref(), a.state().name()))
            .map(row::agent)
            .collect(),
        "checks" => picture
            .checks
            .iter()
            .filter(|c| agency(&c.agency) && Filter::passes(filter.host.as_ref(), &c.host))
            .filter(|c| Filter::passes(filter.system.as_ref(), &c.system))
            .filter(|c| Filter::passes(filter.status.as_ref(), c.state().name()))
            .map(row::check)
            .collect(),
        "flow" => picture.flow.iter().map(row::flow).collect(),
        "gaps" => picture
            .flow
            .iter()
            .flat_map(|flow| &flow.gaps)
            .filter(|gap| agency(&gap.agency) && Filter::passes(filter.host.as_ref(), &gap.host))
            .map(row::gap)
            .collect(),
        "incidents" => incidents(&picture, words, filter, now)?,
        "health" => picture
            .agencies
            .iter()
            .filter(|a| agency(&a.code) && a.hosts_enrolled > 0)
            .map(|agency| row::agency(agency, words))
            .collect(),
        _ => picture
            .agencies
            .iter()
            .filter(|a| agency(&a.code) && Filter::passes(filter.status.as_ref(), a.state().name()))
            .map(|agency| row::agency(agency, words))
            .collect(),
    };
    if let Some(limit) = filter.limit.filter(|limit| *limit > 0) {
        rows.truncate(limit as usize);
    }
    Ok(rows)
}

fn incidents(picture: &WatchReply, words: &Words, filter: &Filter, now: Time) -> Rows {
    let since = match &filter.since {
        Some(_) => {
            Some(filter.window(now).map_err(|text| words.with("bad-time", &[("text", &text)]))?.0)
        }
        None => None,
    };
    let mut shown: Vec<_> = picture
        .incidents
        .iter()
        .filter(|i| filter.agency.as_ref().is_none_or(|agency| i.agencies.contains(agency)))
        .filter(|i| Filter::passes(filter.rule.as_ref(), &i.rule))
        .filter(|i| Filter::passes(filter.status.as_ref(), i.current_state().name()))
        .filter(|i| {
            filter
                .src_ip
                .as_ref()
                .is_none_or(|address| i.entity.as_ref().is_some_and(|e| e.value == *address))
        })
        .filter(|i| since.is_none_or(|since| i.updated_unix_nano >= since.0))
        .collect();
    shown.sort_by_key(|i| {
        (!i.current_state().is_open(), i.severity, std::cmp::Reverse(i.updated_unix_nano))
    });
    Ok(shown.into_iter().map(|incident| row::incident(incident, words, now)).collect())
}

/// Events page by page, so that a long answer takes little memory.
pub(super) async fn events(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
) -> Result<(), String> {
    let request =
        filter.search(Time::now()).map_err(|text| words.with("bad-time", &[("text", &text)]))?;
    pages(client, words, filter, form, request, None).await
}

/// All rows of an agency that match, to be taken away, unless a limit is named.
pub(super) async fn export(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
) -> Result<(), String> {
    let agency = filter.agency.clone().ok_or_else(|| words.get("evidence-agency"))?;
    let all = Filter { agency: None, limit: filter.limit.or(Some(0)), ..filter.clone() };
    let request =
        all.search(Time::now()).map_err(|text| words.with("bad-time", &[("text", &text)]))?;
    pages(client, words, &all, form, request, Some(&agency)).await
}

/// The pages of a search, or of an agency's export, and at its end what was read for it.
pub(super) async fn pages(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
    mut request: SearchRequest,
    exported: Option<&str>,
) -> Result<(), String> {
    let mut cost = Cost::new(words);
    let mut left = match filter.limit {
        Some(0) => u64::MAX,
        Some(limit) => limit.into(),
        None => EVENTS_DEFAULT.into(),
    };
    let stream = *form == Format::Jsonl;
    let mut all = Vec::new();
    while left > 0 {
        request.limit = u32::try_from(left.min(PAGE_ROWS.into())).unwrap_or(PAGE_ROWS);
        let (rows, next) = page(client, words, &request, exported, &mut cost).await?;
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
    cost.clear();
    if !stream {
        print(&rows::write(form, &all));
    }
    cost.tell();
    Ok(())
}

async fn page(
    client: &mut Client,
    words: &Words,
    request: &SearchRequest,
    exported: Option<&str>,
    cost: &mut Cost<'_>,
) -> Result<(Vec<Row>, String), String> {
    let asked = match exported {
        None => client.search_events(request.clone()).await,
        Some(agency) => {
            let (agency, search) = (agency.to_owned(), Some(request.clone()));
            client.export(ExportRequest { agency, search }).await
        }
    };
    let mut stream = asked.map_err(said(words))?.into_inner();
    let (mut rows, mut next) = (Vec::new(), String::new());
    while let Some(reply) = stream.message().await.map_err(said(words))? {
        rows.extend(reply.rows.iter().map(row::event));
        if reply.done {
            cost.add(reply.rows_read, reply.bytes_read, reply.elapsed_seconds, reply.cut);
            next = reply.next_cursor;
        } else if reply.rows.is_empty() {
            cost.so_far(
                reply.rows_read,
                reply.bytes_read,
                reply.elapsed_seconds,
                reply.rows_to_read,
            );
        }
    }
    Ok((rows, next))
}

pub(super) async fn usage(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    by_agency: bool,
) -> Rows {
    let now = Time::now();
    let (since, until) =
        filter.window(now).map_err(|text| words.with("bad-time", &[("text", &text)]))?;
    let request = UsageRequest {
        since_unix_nano: since.0,
        until_unix_nano: until.0,
        agency: filter.agency.clone().unwrap_or_default(),
        by_agency,
    };
    let reply = client.usage(request).await.map_err(said(words))?.into_inner();
    Ok(reply.indicators.iter().map(|indicator| row::indicator(indicator, words, now)).collect())
}

pub(super) async fn dead(client: &mut Client, words: &Words, filter: &Filter) -> Rows {
    let request = DeadLettersRequest { limit: filter.limit.unwrap_or(100) };
    let reply = client.dead_letters(request).await.map_err(said(words))?.into_inner();
    Ok(reply.letters.iter().map(row::dead).collect())
}

pub(super) async fn spread(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    what: &str,
) -> Rows {
    let (since, until) =
        filter.window(Time::now()).map_err(|text| words.with("bad-time", &[("text", &text)]))?;
    let (field, value) = what.split_once('=').unwrap_or(("src_ip", what));
    let request = SpreadRequest {
        field: field.into(),
        value: value.into(),
        since_unix_nano: since.0,
        until_unix_nano: until.0,
    };
    let reply = client.spread(request).await.map_err(said(words))?.into_inner();
    Ok(reply.rows.iter().map(row::spread).collect())
}

pub(super) async fn sql(client: &mut Client, words: &Words, query: &str, filter: &Filter) -> Rows {
    let request = SqlRequest {
        query: query.into(),
        rows_max: filter.limit.unwrap_or(1_000),
        seconds_max: 10.0,
    };
    let mut stream = client.sql(request).await.map_err(said(words))?.into_inner();
    let mut rows = Vec::new();
    let mut cost = Cost::new(words);
    while let Some(reply) = stream.message().await.map_err(said(words))? {
        let (read, bytes, seconds) = (reply.rows_read, reply.bytes_read, reply.elapsed_seconds);
        if reply.done {
            // The rows alone are cut here, which is what --limit asked for.
            cost.add(read, bytes, seconds, false);
        } else if reply.rows_json.is_empty() {
            cost.so_far(read, bytes, seconds, reply.rows_to_read);
        }
        for text in &reply.rows_json {
            let values: Vec<serde_json::Value> =
                serde_json::from_str(text).map_err(|error| error.to_string())?;
            rows.push(reply.columns.iter().cloned().zip(values).collect());
        }
    }
    cost.clear();
    cost.tell();
    Ok(rows)
}
