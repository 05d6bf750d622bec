//! Notifications on the command line: what was told to whom, tried again, dropped with a word why; and a test of a channel.

use std::{fmt::Write as _, time::Duration};

use clap::Subcommand;
use serde_json::json;
use vonggac_answer::{
    consent::{self, Consent},
    rows::{self, Format, Row},
    sanitise::sanitise,
    words::Lang,
};
use vonggac_daemon::{exit::Exit, settings::parse_duration};
use vonggac_wire::{Time, incident::Severity};

use super::person;
use crate::{
    config::Config,
    notify::{
        note::{Event, Note, id},
        queue::{Message, Outcome, Queued, State},
        send::send,
        settings::{Channel, Settings, Way},
    },
    store::{
        Store, StoreError,
        notify::{LIST_MAX, NoteFilter},
    },
};

/// Notes of a list unless more are asked for: a page.
const LIMIT: u32 = 100;

/// What can be asked of notifications.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send a test by a channel, past its queue, and tell how that went.
    Test {
        /// The channel's name in [notify].
        channel: String,
    },
    /// Which there are, newest first.
    List {
        #[command(flatten)]
        which: Which,
        /// Rows at most.
        #[arg(long, default_value_t = LIMIT)]
        limit: u32,
        /// The form of the answer.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// One of them with all that is known.
    Show {
        /// Its id, or the beginning of it.
        id: String,
        /// The form of the answer.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Try them at once, also those that were given up or dropped. Their age counts from now on.
    Retry {
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Settle them without sending.
    Drop {
        #[command(flatten)]
        chosen: Chosen,
        /// Why nobody has to be told; it is kept with your name.
        #[arg(long)]
        why: String,
    },
}

/// Which notes.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Where they are.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// The channel's name.
    #[arg(long)]
    channel: Option<String>,
    /// The incident's number.
    #[arg(long)]
    incident: Option<u64>,
    /// Of the last 30m, 24h, 7d.
    #[arg(long, value_parser = since)]
    since: Option<Duration>,
}

/// Notes to do something with: named, or all of a kind.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// Ids, or the beginnings of them; none: all that the options say.
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

fn since(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time like 30m, 24h or 7d".into())
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotifyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("test a channel: the configuration has no [notify]")]
    NoNotify,
    #[error("find the channel {0:?} in the configuration; known are {1}")]
    NoChannel(String, String),
    #[error("send by the channel {channel:?}: {said}")]
    NotSent { channel: String, said: String },
    #[error("test the channel {0:?}: it names no address of its own; give it `to`")]
    NoAddress(String),
    #[error("find the notification {0}; see `notify list`")]
    Unknown(String),
    #[error("know which notification {0} is: it is the beginning of several; write more of it")]
    Several(String),
    #[error(
        "send the notification {0}: it is marked above what its channel may carry, or has no address; change [notify] for the next ones"
    )]
    Withheld(String),
    #[error(
        "know which notifications: name some, or give --state, --channel, --incident or --since"
    )]
    Which,
    #[error("go on without a yes: add --yes, or run it at a terminal")]
    Unasked,
    #[error("go on: it was not confirmed, and nothing was done")]
    NotConfirmed,
}

impl NotifyError {
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Which | Self::Unasked | Self::NoChannel(..) | Self::Several(_) => Exit::Usage,
            Self::NoNotify | Self::NoAddress(_) => Exit::Configuration,
            _ => Exit::Failure,
        }
    }
}

impl Which {
    fn filter(&self, now: Time) -> NoteFilter {
        NoteFilter {
            channel: self.channel.clone(),
            state: self.state,
            incident: self.incident,
            since: self.since.map(|span| now.minus(span)),
            ..NoteFilter::default()
        }
    }

    const fn is_all(&self) -> bool {
        self.state.is_none()
            && self.channel.is_none()
            && self.incident.is_none()
            && self.since.is_none()
    }
}

/// The answer.
pub(super) async fn run(command: &Command, config: &Config) -> Result<String, NotifyError> {
    let (store, now) = (Store::new(config), Time::now());
    match command {
        Command::Test { channel } => test(config.notify.as_deref(), channel, now).await,
        Command::List { which, limit, format } => {
            let found = store.notes(&which.filter(now), *limit).await?;
            let listed: Vec<Row> = found.iter().map(row).collect();
            if listed.is_empty() && matches!(format, Format::Table | Format::Md) {
                return Ok("no such notifications".into());
            }
            Ok(rows::write(format, &listed))
        }
        Command::Show { id, format } => Ok(shown(&one(&store, id).await?, format)),
        Command::Retry { chosen } => {
            let found = choose(&store, chosen, "retry").await?;
            let changed: Vec<Queued> = found.into_iter().map(|one| again(one, now)).collect();
            store.write_notes(&changed).await?;
            Ok(format!("{} notifications are tried again", changed.len()))
        }
        Command::Drop { chosen, why } => {
            let found = choose(&store, chosen, "drop").await?;
            let dropped = |one: Queued| {
                one.changed(now, |one| {
                    (one.state, one.by, one.why) = (State::Dropped, person(), why.clone());
                })
            };
            let changed: Vec<Queued> = found.into_iter().map(dropped).collect();
            store.write_notes(&changed).await?;
            Ok(format!("{} notifications were dropped", changed.len()))
        }
    }
}

/// A message that says that it is none.
async fn test(settings: Option<&Settings>, name: &str, now: Time) -> Result<String, NotifyError> {
    let settings = settings.ok_or(NotifyError::NoNotify)?;
    let channel = settings.channel(name).ok_or_else(|| {
        let known: Vec<&str> = settings.channels.iter().map(|one| one.name.as_str()).collect();
        NotifyError::NoChannel(name.to_owned(), known.join(", "))
    })?;
    let recipients = match &channel.way {
        Way::Smtp(smtp) if smtp.to.is_empty() => {
            return Err(NotifyError::NoAddress(name.to_owned()));
        }
        Way::Smtp(smtp) => smtp.to.clone(),
        Way::Http(_) | Way::Syslog(_) => Vec::new(),
    };
    let failed = |said: String| NotifyError::NotSent { channel: name.to_owned(), said };
    match send(channel, &test_message(channel, recipients, now)).await {
        Outcome::Taken => Ok(format!("the channel {name} took the test")),
        Outcome::Refused(said) | Outcome::Failed(said, _) => {
            Err(failed(sanitise(&said).into_owned()))
        }
    }
}

fn test_message(channel: &Channel, recipients: Vec<String>, now: Time) -> Message {
    let name = id(&["test", &channel.name, &now.micros().to_string()]);
    let note = Queued {
        recipients: recipients.clone(),
        state: State::Sending,
        message: name.clone(),
        attempts: 1,
        ..Queued::fresh(
            name.clone(),
            &channel.name,
            Note::of_none(Event::Test, Severity::Low, now),
            now,
        )
    };
    Message { id: name, recipients, notes: vec![note] }
}

/// To be tried now, as if it had just happened. It keeps its message: a receiver that has it knows it.
fn again(one: Queued, now: Time) -> Queued {
    one.changed(now, |one| {
        one.state = State::Waiting;
        (one.since, one.next_try, one.attempts, one.refused) = (now, now, 0, false);
        (one.by, one.why) = (person(), "retry".into());
    })
}

async fn one(store: &Store, id: &str) -> Result<Queued, NotifyError> {
    let filter = NoteFilter { id: Some(id.to_owned()), ..NoteFilter::default() };
    let mut found = store.notes(&filter, 2).await?;
    if found.len() > 1 {
        return Err(NotifyError::Several(id.to_owned()));
    }
    found.pop().ok_or_else(|| NotifyError::Unknown(id.to_owned()))
}

/// The notes meant, after a yes. Nothing is done to what was sent.
async fn choose(store: &Store, chosen: &Chosen, what: &str) -> Result<Vec<Queued>, NotifyError> {
    let mut found = Vec::new();
    if chosen.ids.is_empty() {
        if chosen.which.is_all() {
            return Err(NotifyError::Which);
        }
        found = store.notes(&chosen.which.filter(Time::now()), LIST_MAX).await?;
        found.retain(|one| one.state != State::Withheld);
    }
    for id in &chosen.ids {
        let one = one(store, id).await?;
        if one.state == State::Withheld {
            return Err(NotifyError::Withheld(one.id));
        }
        found.push(one);
    }
    found.retain(|one| one.state != State::Sent);
    if !chosen.yes && !found.is_empty() {
        match consent::ask(&format!("{what} {} notifications?", found.len())) {
            Consent::Given => {}
            Consent::Refused => return Err(NotifyError::NotConfirmed),
            Consent::NobodyThere => return Err(NotifyError::Unasked),
        }
    }
    Ok(found)
}

fn row(one: &Queued) -> Row {
    let time = |time: Time| (time.0 > 0).then(|| time.to_string());
    let words = Lang::asked(None);
    let title = match words {
        Lang::Vi => &one.note.title_vi,
        Lang::En => &one.note.title_en,
    };
    rows::row(json!({
        "id": one.id,
        "time": time(one.time),
        "state": one.state.name(),
        "channel": one.channel,
        "event": one.note.event.name(),
        "incident": one.note.incident,
        "severity": format!("M{}", one.note.severity),
        "agency": one.note.agency,
        "tlp": one.tlp,
        "attempts": one.attempts,
        "sent": time(one.sent),
        "error": one.error,
        "title": title,
    }))
}

fn shown(one: &Queued, format: &Format) -> String {
    let time = |time: Time| (time.0 > 0).then(|| time.to_string());
    let mut row = row(one);
    let more = rows::row(json!({
        "route": one.route,
        "recipients": one.recipients,
        "message": one.message,
        "since": time(one.since),
        "next_try": time(one.next_try).filter(|_| one.state.is_open()),
        "actor": one.by,
        "why": one.why,
        "said": one.note.said,
    }));
    row.extend(more);
    if !matches!(format, Format::Table) {
        return rows::write(format, &[row]);
    }
    let mut text = String::new();
    for (name, value) in &row {
        let value = match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(items) => {
                items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(" ")
            }
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        if !value.is_empty() {
            // Writing to a string does not fail.
            let _written = writeln!(text, "{name:<10} {}", sanitise(&value));
        }
    }
    text
}
