//! The queue of notifications as rows, and the steps that fill it.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{
    Time,
    proto::{Incident, IncidentState, Transition},
};

use super::{
    ProgressPart, Store, StoreError,
    query::{Reach, bind},
};
use crate::notify::queue::{Queued, State};

/// Notes of a channel that are read at once: those on their way, a few messages of five hundred, and what is next. More wait in the store.
const CHANNEL_NOTES_MAX: u32 = 4_000;

/// Notes of all channels that are read at once, so that one that is dead does not hold up the others.
const QUEUE_MAX: u32 = 40_000;

/// Notes of one answer to a person.
pub const LIST_MAX: u32 = 10_000;

/// Days that the queue looks back: longer than anything is tried.
const QUEUE_DAYS: u32 = 14;

/// How far steps were planned, and how far the clock: names in `progress` of no topic.
pub const MARKS: [&str; 2] = ["notify/steps", "notify/clock"];

/// Times are microseconds.
#[derive(Debug, Row, Serialize, Deserialize)]
struct NoteRow {
    id: String,
    time: i64,
    since: i64,
    channel: String,
    route: String,
    event: String,
    incident: u64,
    severity: u8,
    agency: String,
    tlp: String,
    recipients: Vec<String>,
    note: String,
    state: String,
    version: u64,
    message: String,
    attempts: u32,
    next_try: i64,
    sent: i64,
    refused: bool,
    error: String,
    actor: String,
    why: String,
}

/// A step's place among all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it was made, microseconds.
    pub micros: i64,
    /// Of which incident.
    pub incident: u64,
    /// Which of its steps.
    pub version: u64,
}

#[derive(Debug, Row, Deserialize)]
struct StepRow {
    incident: u64,
    version: u64,
    at: i64,
    actor: String,
    action: String,
    from_state: String,
    to_state: String,
    text: String,
    after: String,
}

/// What is asked of the queue; what is `None` does not limit.
#[derive(Clone, Debug, Default)]
pub struct NoteFilter {
    /// One note.
    pub id: Option<String>,
    /// By this channel.
    pub channel: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Of this incident.
    pub incident: Option<u64>,
    /// Of this agency.
    pub agency: Option<String>,
    /// Of what happened since.
    pub since: Option<Time>,
    /// And before.
    pub until: Option<Time>,
}

/// How a channel is, for the doctor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Deserialize)]
pub struct ChannelSeen {
    /// Its name.
    pub channel: String,
    /// Notes that wait.
    pub waiting: u64,
    /// Since when the oldest of them, microseconds.
    pub oldest: i64,
    /// What the last try met.
    pub said: String,
    /// Notes of the last day that were given up.
    pub given_up: u64,
    /// What the last of those met.
    pub given_up_said: String,
}

impl Store {
    /// Writes notes as they are now. The same a second time is harmless.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub async fn write_notes(&self, notes: &[Queued]) -> Result<(), StoreError> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut insert = self.client().insert::<NoteRow>("notifications").await?;
        for one in notes {
            insert.write(&row(one)?).await?;
        }
        Ok(insert.end().await?)
    }

    /// Notes that are to be sent or are being sent: first those of messages that were tried, then the oldest.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn waiting_notes(&self) -> Result<Vec<Queued>, StoreError> {
        self.settle("notifications").await?;
        let text = format!(
            "SELECT ?fields FROM notifications FINAL WHERE time >= now() - INTERVAL {QUEUE_DAYS} DAY AND state IN ('waiting', 'sending') \
             ORDER BY message = '', time, id LIMIT {CHANNEL_NOTES_MAX} BY channel LIMIT {QUEUE_MAX}"
        );
        Ok(all(self.client().query(&text).fetch_all().await?))
    }

    /// When each message of a channel was taken, since a time.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn sent_messages(&self, since: Time) -> Result<Vec<(String, Time)>, StoreError> {
        let text = format!(
            "SELECT toString(channel), toUnixTimestamp64Micro(max(sent)) FROM notifications FINAL WHERE time >= now() - INTERVAL {QUEUE_DAYS} DAY AND state = 'sent' \
             AND sent >= fromUnixTimestamp64Micro(?) GROUP BY channel, message"
        );
        let rows: Vec<(String, i64)> =
            self.client().query(&text).bind(since.micros()).fetch_all().await?;
        Ok(rows.into_iter().map(|(channel, sent)| (channel, time(sent))).collect())
    }

    /// Notes, the newest first.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn notes(&self, filter: &NoteFilter, limit: u32) -> Result<Vec<Queued>, StoreError> {
        self.notes_within(filter, limit, &Reach::Nation).await
    }

    /// Notes about agencies that are reached, the newest first. What is of no agency is the nation's.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn notes_within(
        &self,
        filter: &NoteFilter,
        limit: u32,
        reach: &Reach,
    ) -> Result<Vec<Queued>, StoreError> {
        self.settle("notifications").await?;
        let reached = reach.and();
        let mut text = String::from("SELECT ?fields FROM notifications FINAL WHERE 1");
        for (set, condition) in [
            (filter.since.is_some(), " AND time >= fromUnixTimestamp64Micro(?)"),
            (filter.until.is_some(), " AND time < fromUnixTimestamp64Micro(?)"),
            (filter.id.is_some(), " AND startsWith(id, ?)"),
            (filter.channel.is_some(), " AND channel = ?"),
            (filter.state.is_some(), " AND state = ?"),
            (filter.agency.is_some(), " AND agency = ?"),
            (filter.incident.is_some(), " AND incident = ?"),
        ] {
            if set {
                text.push_str(condition);
            }
        }
        text.push_str(&reached.text);
        text.push_str(" ORDER BY time DESC, id LIMIT ?");
        let mut query = self.client().query(&text);
        for time in [filter.since, filter.until].into_iter().flatten() {
            query = query.bind(time.micros());
        }
        let texts = [
            filter.id.as_deref(),
            filter.channel.as_deref(),
            filter.state.map(State::name),
            filter.agency.as_deref(),
        ];
        for text in texts.into_iter().flatten() {
            query = query.bind(text);
        }
        if let Some(incident) = filter.incident {
            query = query.bind(incident);
        }
        let query = bind(query, &reached.values);
        Ok(all(query.bind(limit.clamp(1, LIST_MAX)).fetch_all().await?))
    }

    /// Steps behind a place, in their order, but for those that only count.
    ///
    /// # Errors
    /// If the engine does not answer, or a step does not read back.
    pub async fn steps_behind(
        &self,
        place: Place,
        limit: u32,
    ) -> Result<Vec<(Place, Transition)>, StoreError> {
        self.settle("transitions").await?;
        let rows: Vec<StepRow> = self
            .client()
            .query(
                "SELECT incident, version, toUnixTimestamp64Micro(time) AS at, actor, toString(action) AS action, toString(from_state) AS from_state, \
                 toString(to_state) AS to_state, text, after FROM transitions \
                 WHERE time >= fromUnixTimestamp64Micro(?) AND (toUnixTimestamp64Micro(time), incident, version) > (?, ?, ?) AND incident > 0 \
                 AND action NOT IN ('counted', 'cleared', 'released', 'affected') ORDER BY time, incident, version LIMIT ?",
            )
            .bind(place.micros)
            .bind(place.micros)
            .bind(place.incident)
            .bind(place.version)
            .bind(limit)
            .fetch_all()
            .await?;
        rows.into_iter().map(step).collect()
    }

    /// How far steps and the clock were planned; `None`: never yet.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn notify_marks(&self) -> Result<Option<[Time; 2]>, StoreError> {
        let keys = MARKS.map(|mark| (mark.to_owned(), 0));
        let progress = self.progress(&keys).await?;
        let of = |key| progress.get(key).and_then(|one| one.next_offset).map(time);
        let [steps, clock] = &keys;
        Ok(of(steps).zip(of(clock)).map(|(steps, clock)| [steps, clock]))
    }

    /// Writes how far they were planned.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn save_notify_marks(&self, marks: [Time; 2]) -> Result<(), StoreError> {
        let part = |(name, mark): (&str, Time)| ProgressPart {
            topic: name.to_owned(),
            partition: 0,
            next_offset: mark.micros(),
            held: Vec::new(),
        };
        let parts: Vec<ProgressPart> = MARKS.into_iter().zip(marks).map(part).collect();
        self.save_progress(&parts, None).await
    }

    /// How each channel is that has something open, or gave something up since a time.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn notify_channels(&self, since: Time) -> Result<Vec<ChannelSeen>, StoreError> {
        let text = format!(
            "SELECT toString(channel) AS channel, countIf(state IN ('waiting', 'sending')) AS waiting, \
             toUnixTimestamp64Micro(minIf(since, state IN ('waiting', 'sending'))) AS oldest, \
             argMaxIf(error, version, state IN ('waiting', 'sending') AND error != '') AS said, \
             countIf(state = 'given-up' AND version >= ?) AS given_up, argMaxIf(error, version, state = 'given-up') AS given_up_said \
             FROM notifications FINAL WHERE time >= now() - INTERVAL {QUEUE_DAYS} DAY GROUP BY channel HAVING waiting > 0 OR given_up > 0 ORDER BY channel"
        );
        // A note's version is the time of its last change.
        let since = u64::try_from(since.micros()).unwrap_or(0);
        Ok(self.client().query(&text).bind(since).fetch_all().await?)
    }
}

const fn time(micros: i64) -> Time {
    Time(micros.saturating_mul(1_000))
}

fn row(one: &Queued) -> Result<NoteRow, StoreError> {
    Ok(NoteRow {
        id: one.id.clone(),
        time: one.time.micros(),
        since: one.since.micros(),
        channel: one.channel.clone(),
        route: one.route.clone(),
        event: one.note.event.name().into(),
        incident: one.note.incident,
        severity: u8::try_from(one.note.severity).unwrap_or(4),
        agency: one.note.agency.clone(),
        tlp: one.tlp.clone(),
        recipients: one.recipients.clone(),
        note: serde_json::to_string(&one.note)?,
        state: one.state.name().into(),
        version: one.version,
        message: one.message.clone(),
        attempts: one.attempts,
        next_try: one.next_try.micros(),
        sent: one.sent.micros(),
        refused: one.refused,
        error: one.error.clone(),
        actor: one.by.clone(),
        why: one.why.clone(),
    })
}

/// Notes of rows; what a later version wrote and this one does not understand is left to that one.
fn all(rows: Vec<NoteRow>) -> Vec<Queued> {
    rows.into_iter().filter_map(queued).collect()
}

fn queued(row: NoteRow) -> Option<Queued> {
    Some(Queued {
        note: serde_json::from_str(&row.note).ok()?,
        state: State::from_name(&row.state)?,
        id: row.id,
        time: time(row.time),
        since: time(row.since),
        channel: row.channel,
        route: row.route,
        tlp: row.tlp,
        recipients: row.recipients,
        version: row.version,
        message: row.message,
        attempts: row.attempts,
        next_try: time(row.next_try),
        sent: time(row.sent),
        refused: row.refused,
        error: row.error,
        by: row.actor,
        why: row.why,
    })
}

fn step(row: StepRow) -> Result<(Place, Transition), StoreError> {
    let state =
        |name: &str| IncidentState::from_name(name).unwrap_or(IncidentState::Unspecified).into();
    let place = Place { micros: row.at, incident: row.incident, version: row.version };
    let transition = Transition {
        incident: row.incident,
        version: row.version,
        time_unix_nano: time(row.at).0,
        from_state: state(&row.from_state),
        to_state: state(&row.to_state),
        actor: row.actor,
        action: row.action,
        text: row.text,
        origin: None,
        after: serde_json::from_str::<Option<Incident>>(&row.after)?,
    };
    Ok((place, transition))
}
