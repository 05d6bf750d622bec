//! What consoles ask: search, evidence, sums. Every value is bound, never spliced into the text.

use std::time::{Duration, Instant};

use clickhouse::{Row, query::Query};
use serde::{Deserialize, Serialize};
use vonggac_wire::{
    Time,
    event::Class,
    limits::SEARCH_ROWS_MAX,
    proto::{
        self, EventRef, HistogramColumn, SearchReply, SearchRequest, SpreadRow, Term, Transition,
    },
};

use super::{Store, StoreError, row::EventRow};

/// Rows of one page if the console does not say.
const PAGE_ROWS: u32 = 200;

/// Longest time of a search.
const SECONDS_MAX: f64 = 30.0;

/// Columns of a histogram.
const HISTOGRAM_COLUMNS_MAX: u32 = 400;

/// Columns of [`EventRow`], which a search reads.
const COLUMNS: &str = "?fields";

/// A condition with what is bound to its question marks.
struct Condition {
    text: String,
    values: Vec<Value>,
}

enum Value {
    Text(String),
    Number(u64),
    Signed(i64),
}

fn bind(mut query: Query, values: &[Value]) -> Query {
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text.as_str()),
            Value::Number(number) => query.bind(*number),
            Value::Signed(number) => query.bind(*number),
        };
    }
    query
}

/// Where `since`, `until` and all terms hold.
fn conditions(request: &SearchRequest, since: Time, until: Time) -> Result<Condition, StoreError> {
    let mut parts = vec![
        "time >= fromUnixTimestamp64Micro(?, 'UTC')".to_owned(),
        "time <= fromUnixTimestamp64Micro(?, 'UTC')".to_owned(),
    ];
    let mut values = vec![Value::Signed(since.micros()), Value::Signed(until.micros())];
    for term in &request.terms {
        let condition = condition(term)?;
        parts.push(if term.negated { format!("NOT ({})", condition.text) } else { condition.text });
        values.extend(condition.values);
    }
    Ok(Condition { text: parts.join(" AND "), values })
}

fn condition(term: &Term) -> Result<Condition, StoreError> {
    let text = |text: &str, values: Vec<Value>| Ok(Condition { text: text.into(), values });
    let value = || Value::Text(term.value.clone());
    match term.field.as_str() {
        "agency" => text("agency = ?", vec![value()]),
        "host" => text("host = ?", vec![value()]),
        "agent" => text("agent = ?", vec![value()]),
        "system" => text("system = ?", vec![value()]),
        "lane" => text("lane = ?", vec![value()]),
        "format" => text("format = ?", vec![value()]),
        "status" => text("status = ?", vec![value()]),
        "src_ip" => text("src_ip = ?", vec![value()]),
        "user" => text("has([user, actor_user], ?)", vec![value()]),
        "url" => text("positionCaseInsensitiveUTF8(url, ?) > 0", vec![value()]),
        "class" | "kind" => match term.value.parse::<u32>() {
            Ok(uid) => text("class = ?", vec![Value::Text(Class::from_uid(uid).name().into())]),
            Err(_) => text("class = ?", vec![value()]),
        },
        "seq" => text("seq = ?", vec![Value::Number(term.value.parse().unwrap_or(0))]),
        "text" => Ok(words(&term.value)),
        "regex" => text("match(raw, ?)", vec![value()]),
        other => Err(StoreError::Forbidden(format!(
            "{other:?} is no field; known: agency, host, agent, system, class, user, src_ip, status, url, text, regex, lane, format"
        ))),
    }
}

/// A text as the column `folded` has it: in small letters, without marks.
const FOLDED: &str = "replaceAll(lowerUTF8(removeDiacriticsUTF8(toValidUTF8(?))), 'đ', 'd')";

/// What the column `folded` is made of, for rows that lie outside the table: as in its migration.
pub(super) const FOLDED_OF_ROW: &str = "if(isValidASCII(concat(raw, '\\n', message)), lower(concat(raw, '\\n', message)), \
    replaceAll(lowerUTF8(removeDiacriticsUTF8(toValidUTF8(concat(raw, '\\n', message)))), 'đ', 'd'))";

/// Where these words stand beside one another. With a star before or behind them they may be parts of words, for which every row of the
/// window is read; whole words are looked up in the index.
fn words(text: &str) -> Condition {
    let sought = text.trim_matches('*').to_owned();
    let beside = format!("position(folded, {FOLDED}) > 0");
    if sought.len() < text.len() {
        return Condition { text: beside, values: vec![Value::Text(sought)] };
    }
    Condition {
        text: format!("(hasAll(tokens(folded), tokens({FOLDED})) AND {beside})"),
        values: vec![Value::Text(sought.clone()), Value::Text(sought)],
    }
}

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
        let all = conditions(request, since, until)?;
        let mut page = conditions(request, since, until)?;
        let (order, compare) = if request.oldest_first { ("ASC", ">") } else { ("DESC", "<") };
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
        let seconds = if request.seconds_max > 0.0 {
            request.seconds_max.min(SECONDS_MAX)
        } else {
            SECONDS_MAX
        };
        let limits =
            |query: Query| query.with_setting("max_execution_time", format!("{seconds:.0}"));
        let source = self.events_of(since, until, &agencies(&request.terms)).await?;
        let text = format!(
            "SELECT {COLUMNS} FROM {source} WHERE {} ORDER BY time {order}, agent {order}, lane {order}, seq {order} LIMIT {limit}",
            page.text
        );
        let rows: Vec<EventRow> =
            limits(bind(self.client().query(&text), &page.values)).fetch_all().await?;
        let next_cursor = match rows.last() {
            Some(last) if rows.len() >= limit as usize => {
                format!("{}|{}|{}|{}", last.time, last.agent, last.lane, last.seq)
            }
            _ => String::new(),
        };
        let mut reply = SearchReply {
            rows: rows.into_iter().map(event_row).collect(),
            next_cursor,
            done: true,
            ..SearchReply::default()
        };
        if request.histogram_columns > 0 {
            reply.histogram = self
                .histogram(
                    &source,
                    &all,
                    (since, until),
                    request.histogram_columns.min(HISTOGRAM_COLUMNS_MAX),
                )
                .await?;
            reply.total = Some(reply.histogram.iter().map(|column| column.count).sum());
        }
        reply.rows_read = reply.total.unwrap_or(reply.rows.len() as u64);
        reply.elapsed_seconds = begun.elapsed().as_secs_f64();
        Ok(reply)
    }

    async fn histogram(
        &self,
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
        let counts: Vec<(i64, u64)> =
            bind(self.client().query(&text), &all.values).fetch_all().await?;
        Ok(counts
            .into_iter()
            .map(|(place, count)| HistogramColumn {
                time_unix_nano: (since.micros() + place * width) * 1000,
                count,
            })
            .collect())
    }

    /// The events that an incident names.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn evidence(
        &self,
        references: &[EventRef],
    ) -> Result<Vec<proto::EventRow>, StoreError> {
        let mut rows = Vec::new();
        for reference in references {
            let lane =
                vonggac_wire::Lane::try_from(reference.lane).map_or("", vonggac_wire::Lane::name);
            let time = Time(reference.time_unix_nano);
            let source = self.events_of(time, time, &[]).await?;
            let found: Option<EventRow> = self
                .client()
                .query(&format!("SELECT {COLUMNS} FROM {source} WHERE agent = ? AND lane = ? AND seq = ? AND time = fromUnixTimestamp64Micro(?, 'UTC') LIMIT 1"))
                .bind(reference.agent.as_str())
                .bind(lane)
                .bind(reference.seq)
                .bind(Time(reference.time_unix_nano).micros())
                .fetch_optional()
                .await?;
            rows.extend(found.map(event_row));
        }
        Ok(rows)
    }

    /// The steps of an incident, oldest first, without the incident after each.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn timeline(&self, incident: u64) -> Result<Vec<Transition>, StoreError> {
        #[derive(Row, Serialize, Deserialize)]
        struct Step {
            version: u64,
            time: i64,
            actor: String,
            action: String,
            to_state: String,
            text: String,
        }
        let steps: Vec<Step> = self
            .client()
            .query("SELECT ?fields FROM transitions WHERE incident = ? ORDER BY version LIMIT 1000")
            .bind(incident)
            .fetch_all()
            .await?;
        Ok(steps
            .into_iter()
            .map(|step| Transition {
                incident,
                version: step.version,
                time_unix_nano: step.time.saturating_mul(1000),
                actor: step.actor,
                action: step.action,
                to_state: proto::IncidentState::from_name(&step.to_state)
                    .unwrap_or(proto::IncidentState::Unspecified)
                    .into(),
                text: step.text,
                ..Transition::default()
            })
            .collect())
    }

    /// A value against agencies.
    ///
    /// # Errors
    /// If the field is unknown, or the engine does not answer.
    pub async fn spread(
        &self,
        field: &str,
        value: &str,
        since: Time,
        until: Time,
    ) -> Result<Vec<SpreadRow>, StoreError> {
        let term = Term { field: field.into(), value: value.into(), negated: false };
        let condition = condition(&term)?;
        let source = self.events_of(since, until, &[]).await?;
        let text = format!(
            "SELECT agency, count(), uniqExact(host), countIf(status = 'success'), toUnixTimestamp64Micro(min(time)), toUnixTimestamp64Micro(max(time)) \
             FROM {source} WHERE time >= fromUnixTimestamp64Micro(?, 'UTC') AND time <= fromUnixTimestamp64Micro(?, 'UTC') AND {} \
             GROUP BY agency ORDER BY count() DESC LIMIT 200",
            condition.text
        );
        let query = self.client().query(&text).bind(since.micros()).bind(until.micros());
        let rows: Vec<(String, u64, u64, u64, i64, i64)> =
            bind(query, &condition.values).fetch_all().await?;
        Ok(rows
            .into_iter()
            .map(|(agency, count, hosts, successes, first, last)| SpreadRow {
                agency,
                count,
                hosts,
                successes,
                first_unix_nano: first.saturating_mul(1000),
                last_unix_nano: last.saturating_mul(1000),
            })
            .collect())
    }

    /// Agents that were heard in the last thirty days, with their last heartbeat's record.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn agents(&self) -> Result<Vec<KnownAgent>, StoreError> {
        Ok(self
            .client()
            .query(
                "SELECT agency, agent, argMax(host, observed) AS host, argMax(system, observed) AS system, max(toUnixTimestamp64Micro(stored)) AS heard, \
                 argMax(kafka_partition, observed) AS partition, max(simulated) AS simulated \
                 FROM events WHERE class = 'heartbeat' AND time > now() - INTERVAL 30 DAY GROUP BY agency, agent LIMIT 100000",
            )
            .fetch_all::<KnownAgent>()
            .await?)
    }

    /// Bytes that the store takes.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn bytes(&self) -> Result<u64, StoreError> {
        Ok(self
            .client()
            .query(&format!(
                "SELECT sum(bytes_on_disk) FROM {} WHERE active",
                self.layout.system("parts")
            ))
            .fetch_one()
            .await?)
    }

    /// Runs a checked query; each row comes as a JSON array.
    ///
    /// # Errors
    /// If it is forbidden, or the engine refuses.
    pub async fn sql(
        &self,
        query: &str,
        rows_max: u32,
        seconds_max: f64,
    ) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let checked = super::sql::read_only(query)?;
        // A question mark of the operator's is no place for a value.
        let text = checked.replace('?', "??");
        let mut cursor = self
            .client()
            .query(&text)
            .with_setting("readonly", "1")
            .with_setting(
                "max_execution_time",
                format!("{:.0}", seconds_max.clamp(1.0, SECONDS_MAX)),
            )
            .with_setting("max_result_rows", rows_max.to_string())
            .with_setting("result_overflow_mode", "break")
            .fetch_bytes("JSONCompactEachRowWithNames")?;
        let bytes = cursor.collect().await?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let columns =
            lines.next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        Ok((columns, lines.take(rows_max as usize).map(str::to_owned).collect()))
    }
}

/// An agent that was heard before.
#[derive(Clone, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct KnownAgent {
    /// Its agency.
    pub agency: String,
    /// Its name.
    pub agent: String,
    /// Its host.
    pub host: String,
    /// The host's system.
    pub system: String,
    /// When it was last stored, microseconds.
    pub heard: i64,
    /// The partition that its agency is on.
    pub partition: i32,
    /// Made by a scenario player.
    pub simulated: bool,
}

/// Agencies that a search is limited to; none: it is not.
fn agencies(terms: &[Term]) -> Vec<&str> {
    let mut named = terms.iter().filter(|term| term.field == "agency" && !term.negated);
    match (named.next(), named.next()) {
        (Some(one), None) => vec![one.value.as_str()],
        _ => Vec::new(),
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

fn event_row(row: EventRow) -> proto::EventRow {
    let mut fields: std::collections::BTreeMap<String, String> = row.fields.into_iter().collect();
    let texts = [
        ("status_detail", row.status_detail),
        ("actor.user.name", row.actor_user),
        ("service.name", row.service),
        ("process.name", row.process),
        ("process.cmd_line", row.command),
        ("http_request.http_method", row.http_method),
        ("http_request.url", row.url),
        ("http_request.user_agent", row.user_agent),
        ("check.name", row.check_name),
        ("check.target", row.check_target),
        ("service", row.usage_service),
        ("step", row.step),
    ];
    fields.extend(
        texts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (name.into(), text)),
    );
    let numbers = [
        ("process.pid", u64::from(row.pid)),
        ("http_response.code", u64::from(row.http_status)),
        ("http_response.length", row.response_bytes),
        ("score", u64::from(row.score)),
        ("activity_id", u64::from(row.activity_id)),
        ("severity_id", u64::from(row.severity_id)),
    ];
    fields.extend(
        numbers
            .into_iter()
            .filter(|(_, number)| *number > 0)
            .map(|(name, number)| (name.into(), number.to_string())),
    );
    let flags = [
        ("online", row.online),
        ("full_process", row.full_process),
        ("digitised", row.digitised),
        ("on_time", row.on_time),
        ("electronic", row.electronic),
    ];
    fields.extend(
        flags.into_iter().filter_map(|(name, flag)| Some((name.into(), flag?.to_string()))),
    );
    if row.total_seconds > 0.0 {
        fields.insert("total.seconds".into(), row.total_seconds.to_string());
    }
    proto::EventRow {
        time_unix_nano: row.time.saturating_mul(1000),
        observed_time_unix_nano: row.observed.saturating_mul(1000),
        stored_time_unix_nano: row.stored.saturating_mul(1000),
        agency: row.agency,
        host: row.host,
        system: row.system,
        agent: row.agent,
        lane: row.lane,
        seq: row.seq,
        class_uid: row.class_uid,
        class: row.class,
        user: row.user,
        src_ip: row.src_ip,
        src_port: row.src_port.into(),
        status: row.status,
        message: row.message,
        raw: String::from_utf8_lossy(&row.raw).into_owned(),
        raw_cut_bytes: row.raw_cut_bytes,
        source: row.source,
        source_offset: row.source_offset,
        format: row.format,
        time_doubt: row.time_doubt,
        fields,
        simulated: row.simulated,
        topic: row.kafka_topic,
        partition: row.kafka_partition,
        offset: row.kafka_offset,
    }
}
