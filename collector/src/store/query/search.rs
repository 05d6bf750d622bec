//! A page of events with its histogram.

use std::time::{Duration, Instant};

use clickhouse::{RowOwned, RowRead, query::Query};
use vonggac_wire::{
    Time,
    limits::SEARCH_ROWS_MAX,
    proto::{HistogramColumn, SearchReply, SearchRequest},
};

use super::{
    Named, Reach, Read,
    condition::{Condition, Value, agencies, bind, conditions},
};
use crate::store::{Store, StoreError, row::EventRow};

/// Rows of one page if the console does not say.
const PAGE_ROWS: u32 = 200;

/// Longest time of a search that nobody limits otherwise.
const SECONDS_MAX: f64 = 30.0;

/// Columns of a histogram.
const HISTOGRAM_COLUMNS_MAX: u32 = 400;

/// What is left for the histogram where the page took all the time.
const SECONDS_LEAST: f64 = 1.0;

impl Store {
    /// A page of events, with histogram and count where they are asked for.
    ///
    /// # Errors
    /// If a term is unknown, or the engine does not answer.
    pub async fn search(
        &self,
        request: &SearchRequest,
        now: Time,
    ) -> Result<SearchReply, StoreError> {
        self.search_named(request, &Named::default(), &Reach::Nation, now).await
    }

    /// The same where terms may mean incidents, of the rows that the caller reaches. What the limits of time, rows or bytes leave unread is told as `cut`: rows are then missing
    /// anywhere in the window, so there is no further page.
    ///
    /// # Errors
    /// If a term is unknown, or the engine does not answer.
    pub async fn search_named(
        &self,
        request: &SearchRequest,
        named: &Named,
        reach: &Reach,
        now: Time,
    ) -> Result<SearchReply, StoreError> {
        let begun = Instant::now();
        let until = if request.until_unix_nano == 0 {
            now.plus(Duration::from_secs(600))
        } else {
            Time(request.until_unix_nano)
        };
        let since = if request.since_unix_nano == 0 {
            now.minus(Duration::from_secs(3600))
        } else {
            Time(request.since_unix_nano)
        };
        let limit = if request.limit == 0 { PAGE_ROWS } else { request.limit.min(SEARCH_ROWS_MAX) };
        let all = conditions(request, (since, until), named, reach)?;
        let page = page(request, (since, until), named, reach)?;
        let seconds = if request.seconds_max > 0.0 {
            request.seconds_max.min(SECONDS_MAX)
        } else {
            SECONDS_MAX
        };
        let source = self.events_of(since, until, &agencies(&request.terms)).await?;
        let order = if request.oldest_first { "ASC" } else { "DESC" };
        let text = format!(
            "SELECT ?fields FROM {source} WHERE {} ORDER BY time {order}, agent {order}, lane {order}, seq {order} LIMIT {limit}",
            page.text
        );
        let mut asking = Asking { store: self, seconds, begun, read: Read::default(), cut: false };
        let rows: Vec<EventRow> =
            asking.rows(bind(self.reader().query(&text), &page.values)).await?;
        let next_cursor = match rows.last() {
            Some(last) if rows.len() >= limit as usize && !asking.cut => {
                format!("{}|{}|{}|{}", last.time, last.agent, last.lane, last.seq)
            }
            _ => String::new(),
        };
        let mut reply = SearchReply {
            rows: rows.into_iter().map(EventRow::into_proto).collect(),
            next_cursor,
            done: true,
            ..SearchReply::default()
        };
        if request.histogram_columns > 0 {
            let columns = request.histogram_columns.min(HISTOGRAM_COLUMNS_MAX);
            reply.histogram = asking.histogram(&source, &all, (since, until), columns).await?;
            reply.total = Some(reply.histogram.iter().map(|column| column.count).sum());
        }
        reply.rows_read = asking.read.rows;
        reply.bytes_read = asking.read.bytes;
        reply.cut = asking.cut;
        reply.elapsed_seconds = begun.elapsed().as_secs_f64();
        Ok(reply)
    }
}

/// Where the page after a cursor lies.
fn page(
    request: &SearchRequest,
    window: (Time, Time),
    named: &Named,
    reach: &Reach,
) -> Result<Condition, StoreError> {
    let mut page = conditions(request, window, named, reach)?;
    let compare = if request.oldest_first { ">" } else { "<" };
    if let Some((time, agent, lane, seq)) = cursor(&request.cursor) {
        page.text = format!(
            "{} AND (time, agent, lane, seq) {compare} (fromUnixTimestamp64Micro(?, 'UTC'), ?, ?, ?)",
            page.text
        );
        page.values.extend([
            Value::Signed(time),
            Value::Text(agent),
            Value::Text(lane),
            Value::Number(seq),
        ]);
    }
    Ok(page)
}

/// The questions of one search, one after the other, within one time.
struct Asking<'a> {
    store: &'a Store,
    seconds: f64,
    begun: Instant,
    read: Read,
    cut: bool,
}

impl Asking<'_> {
    async fn rows<T: RowOwned + RowRead>(&mut self, query: Query) -> Result<Vec<T>, StoreError> {
        let left = (self.seconds - self.begun.elapsed().as_secs_f64()).max(SECONDS_LEAST);
        let begun = Instant::now();
        let mut cursor = query
            .with_setting("max_execution_time", format!("{left:.1}"))
            .with_setting("timeout_overflow_mode", "break")
            .with_setting("read_overflow_mode", "break")
            // The figures of what was read stand before the answer, so the answer has to be whole before it begins.
            .with_setting("wait_end_of_query", "1")
            .fetch::<T>()?;
        let mut rows = Vec::new();
        while let Some(row) = cursor.next().await? {
            rows.push(row);
        }
        let read = cursor.summary().map(Read::of).unwrap_or_default();
        self.cut |= begun.elapsed().as_secs_f64() >= left || self.store.is_at_ceiling(&read);
        self.read = self.read.plus(read);
        Ok(rows)
    }

    async fn histogram(
        &mut self,
        source: &str,
        all: &Condition,
        (since, until): (Time, Time),
        columns: u32,
    ) -> Result<Vec<HistogramColumn>, StoreError> {
        let width = ((until.micros() - since.micros()) / i64::from(columns)).max(1);
        let text = format!(
            "SELECT intDiv(toUnixTimestamp64Micro(time) - {}, {width}) AS place, count() FROM {source} WHERE {} GROUP BY place ORDER BY place",
            since.micros(),
            all.text
        );
        let query = bind(self.store.reader().query(&text), &all.values);
        let counts: Vec<(i64, u64)> = self.rows(query).await?;
        Ok(counts
            .into_iter()
            .map(|(place, count)| HistogramColumn {
                time_unix_nano: (since.micros() + place * width) * 1000,
                count,
            })
            .collect())
    }
}

fn cursor(text: &str) -> Option<(i64, String, String, u64)> {
    let mut parts = text.split('|');
    Some((
        parts.next()?.parse().ok()?,
        parts.next()?.to_owned(),
        parts.next()?.to_owned(),
        parts.next()?.parse().ok()?,
    ))
}
