//! Dead letters on the command line: looked at, sent again once the reason is gone, or dropped with a word why.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use clap::Subcommand;
use serde_json::json;
use vonggac_answer::{
    consent::{self, Consent},
    rows::{self, Format, Row},
    sanitise::sanitise,
};
use vonggac_daemon::{exit::Exit, settings::parse_duration, tls::TlsError};
use vonggac_wire::{Time, proto::Origin};

use super::person;
use crate::{
    config::Config,
    dead_letter::{
        judging::Judge,
        shelf::{self, Content, ShelfError},
    },
    decode::{self, Rejection, Taken},
    kafka::Producer,
    record::Record,
    registry::{Registry, RegistryError},
    store::{
        Store, StoreError,
        dead::{Dead, DeadFilter, DeadState, LETTERS_MAX},
    },
};

/// Bytes of a letter that are shown; `--out` writes them all.
const SHOWN_BYTES_MAX: usize = 2_048;

/// Letters of a list unless more are asked for: a page.
const LIMIT: u32 = 100;

/// What can be asked of dead letters.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
    /// One letter with its bytes, and whether it would be taken now.
    Show {
        /// TOPIC/PARTITION/OFFSET, as listed.
        origin: OriginArgument,
        /// Write the record's value to this file.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Send letters to their place again. Those that would still be refused are left, and told.
    Replay {
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Settle letters without sending them: nothing is lost by them.
    Drop {
        #[command(flatten)]
        chosen: Chosen,
        /// Why nothing is lost by it; it is kept with your name.
        #[arg(long)]
        why: String,
    },
}

/// Which letters.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// undecodable, identity, unknown-agency, wrong-topic, too-large, ...
    #[arg(long)]
    reason: Option<String>,
    /// The agency that the record named.
    #[arg(long)]
    pub(super) agency: Option<String>,
    /// Of the last 30m, 24h, 7d.
    #[arg(long)]
    since: Option<SinceArgument>,
    /// What was done about them.
    #[arg(long, value_enum)]
    state: Option<DeadState>,
}

/// Letters to do something with: named, or all open ones of a kind.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// TOPIC/PARTITION/OFFSET, as listed; none: all open ones of the reason, agency and time given.
    origins: Vec<OriginArgument>,
    #[command(flatten)]
    pub(super) which: Which,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Debug)]
pub(super) struct OriginArgument(shelf::Origin);

impl std::str::FromStr for OriginArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected TOPIC/PARTITION/OFFSET, as `dead list` gives it";
        let mut parts = text.rsplitn(3, '/');
        let (offset, partition, topic) = (parts.next(), parts.next(), parts.next());
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<i64>().ok());
        let partition = number(partition).and_then(|part| i32::try_from(part).ok());
        match (topic, partition, number(offset)) {
            (Some(topic), Some(partition), Some(offset)) if !topic.is_empty() => {
                Ok(Self((topic.to_owned(), partition, offset)))
            }
            _ => Err(wrong),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SinceArgument(Duration);

impl std::str::FromStr for SinceArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_duration(text).map(Self).ok_or("expected a time like 30m, 24h or 7d")
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error("make a Kafka producer: {0}")]
    Producer(#[from] rdkafka::error::KafkaError),
    #[error("read the registry: {0}")]
    Registry(#[from] RegistryError),
    #[error("judge seals: {0}")]
    Tls(#[from] TlsError),
    #[error("write {}: {source}; is the folder there, and yours?", .file.display())]
    Out { file: PathBuf, source: std::io::Error },
    #[error("find the letter {0}; see `dead list`")]
    Unknown(String),
    #[error("find its bytes: Kafka no longer keeps the letter {0}")]
    Gone(String),
    #[error("know which letters: name some, or give --reason, --agency or --since")]
    Which,
    #[error("go on without a yes: add --yes, or run it at a terminal")]
    Unasked,
    #[error("go on: it was not confirmed, and nothing was done")]
    Refused,
}

impl DeadError {
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Which | Self::Unasked => Exit::Usage,
            _ => Exit::Failure,
        }
    }
}

impl Which {
    fn filter(&self, now: Time) -> DeadFilter {
        DeadFilter {
            since: self.since.map(|SinceArgument(span)| now.minus(span)),
            reason: self.reason.clone(),
            agency: self.agency.clone(),
            state: self.state,
            origin: None,
        }
    }
}

/// The answer.
pub(super) async fn run(command: &Command, config: &Config) -> Result<String, DeadError> {
    let store = Store::new(config);
    match command {
        Command::List { which, limit, format } => {
            let letters = store.dead(&which.filter(Time::now()), *limit).await?;
            let listed: Vec<Row> = letters.iter().map(row).collect();
            if listed.is_empty() && matches!(format, Format::Table | Format::Md) {
                return Ok("no such letters".into());
            }
            Ok(rows::write(format, &listed))
        }
        Command::Show { origin, out } => {
            let letter = one(&store, &origin.0).await?;
            show(&store, config, &letter, out.as_ref()).await
        }
        Command::Replay { chosen } => replay(&store, config, chosen).await,
        Command::Drop { chosen, why } => {
            let letters = choose(&store, chosen, "drop").await?;
            store.settle_dead(&letters, DeadState::Dropped, (&person(), why), Time::now()).await?;
            Ok(format!("{} letters were dropped", letters.len()))
        }
    }
}

async fn one(store: &Store, origin: &shelf::Origin) -> Result<Dead, DeadError> {
    let filter = DeadFilter { origin: Some(origin.clone()), ..DeadFilter::default() };
    let found = store.dead(&filter, 1).await?;
    found.into_iter().next().ok_or_else(|| DeadError::Unknown(place(origin)))
}

/// The letters meant, after a yes.
async fn choose(store: &Store, chosen: &Chosen, what: &str) -> Result<Vec<Dead>, DeadError> {
    let mut letters = Vec::new();
    if chosen.origins.is_empty() {
        let which = &chosen.which;
        if which.reason.is_none() && which.agency.is_none() && which.since.is_none() {
            return Err(DeadError::Which);
        }
        let state = Some(which.state.unwrap_or(DeadState::Open));
        let filter = DeadFilter { state, ..which.filter(Time::now()) };
        letters = store.dead(&filter, LETTERS_MAX).await?;
    }
    for OriginArgument(origin) in &chosen.origins {
        letters.push(one(store, origin).await?);
    }
    if !chosen.yes && !letters.is_empty() {
        match consent::ask(&format!("{what} {} letters?", letters.len())) {
            Consent::Given => {}
            Consent::Refused => return Err(DeadError::Refused),
            Consent::NobodyThere => return Err(DeadError::Unasked),
        }
    }
    Ok(letters)
}

/// Sends what would be taken now, and tells what would not.
async fn replay(store: &Store, config: &Config, chosen: &Chosen) -> Result<String, DeadError> {
    let mut judges = Judges::new(config)?;
    let letters = choose(store, chosen, "send again").await?;
    let producer = Producer::new(config)?;
    let mut text = String::new();
    let (mut sent, mut refused) = (0_u64, 0_u64);
    let mut read = Vec::new();
    let runtime = tokio::runtime::Handle::current();
    let actor = person();
    tokio::task::block_in_place(|| {
        shelf::read(config, &letters, |content| {
            read.push(content.origin.clone());
            if let Err(reason) = runtime.block_on(judges.takable(store, content))? {
                refused += 1;
                // Writing to a string does not fail.
                let _written = writeln!(
                    text,
                    "{}: still refused: {}",
                    place(&content.origin),
                    sanitise(&reason)
                );
                return Ok(());
            }
            let letter = letters.iter().find(|letter| shelf::origin(letter) == content.origin);
            runtime.block_on(async {
                shelf::send_again(&producer, content).await?;
                sent += 1;
                let settled: Vec<Dead> = letter.cloned().into_iter().collect();
                let (state, now) = (DeadState::Replayed, Time::now());
                Ok(store.settle_dead(&settled, state, (&actor, ""), now).await?)
            })
        })
        .or_else(|error: DeadError| {
            if sent == 0 {
                Err(error)
            } else {
                let _written = writeln!(text, "failed to {error}");
                Ok(())
            }
        })
    })?;
    for letter in letters.iter().filter(|letter| !read.contains(&shelf::origin(letter))) {
        let _written =
            writeln!(text, "{}: Kafka no longer keeps its bytes", place(&shelf::origin(letter)));
    }
    let _written = writeln!(
        text,
        "{sent} of {} letters were sent again, {refused} are still refused",
        letters.len()
    );
    Ok(text)
}

/// What a letter is held against.
struct Judges {
    registry: Registry,
    seals: Judge,
}

impl Judges {
    fn new(config: &Config) -> Result<Self, DeadError> {
        Ok(Self { registry: Registry::builtin()?, seals: Judge::new(config)? })
    }

    /// Whether the collector would take it now; within, else why not.
    async fn takable(
        &mut self,
        store: &Store,
        content: &Content,
    ) -> Result<Result<String, String>, DeadError> {
        if !content.is_whole() {
            let kept = content.value.len();
            return Ok(Err(format!("of {} bytes only {kept} were kept", content.bytes)));
        }
        let record = match decoded(content, &self.registry) {
            Ok(record) => record,
            Err(rejection) => return Ok(Err(crate::dead_letter::sentence(&rejection))),
        };
        let sealed = self.seals.judge(store, &record).await?;
        Ok(sealed.map(|()| what(&record)).map_err(|refusal| refusal.to_string()))
    }
}

/// As the collector would read it now.
fn decoded(content: &Content, registry: &Registry) -> Result<Record, Rejection> {
    let (topic, partition, offset) = content.origin.clone();
    let taken = Taken {
        origin: Origin { topic, partition, offset },
        appended: Time::now(),
        key: content.key.clone(),
        value: content.value.clone(),
        replay_of: None,
        canary: None,
        certificates: Vec::new(),
        carried: false,
    };
    decode::decode(&taken, registry)
}

fn what(record: &Record) -> String {
    let batch = &record.batch;
    format!(
        "{} events of {} on {}, numbers {} to {}, lane {}",
        batch.events.len(),
        batch.agent,
        batch.host,
        batch.first_seq,
        batch.last_seq(),
        batch.lane.name()
    )
}

async fn show(
    store: &Store,
    config: &Config,
    letter: &Dead,
    out: Option<&PathBuf>,
) -> Result<String, DeadError> {
    let mut content = None;
    shelf::read(config, std::slice::from_ref(letter), |found| {
        content = Some(found.clone());
        Ok::<(), DeadError>(())
    })?;
    let mut text = String::new();
    for (name, value) in row(letter) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !value.is_empty() && value != "null" {
            let _written = writeln!(text, "{name:<10} {}", sanitise(&value));
        }
    }
    let content = content.ok_or_else(|| DeadError::Gone(place(&shelf::origin(letter))))?;
    let now = match Judges::new(config)?.takable(store, &content).await? {
        Ok(what) => format!("it would be taken: {what}"),
        Err(reason) => format!("it would be refused: {reason}"),
    };
    let _written = writeln!(text, "{:<10} {}", "now", sanitise(&now));
    let _written =
        writeln!(text, "{:<10} {}", "key", sanitise(&String::from_utf8_lossy(&content.key)));
    if let Some(file) = out {
        std::fs::write(file, &content.value)
            .map_err(|source| DeadError::Out { file: file.clone(), source })?;
        let _written =
            writeln!(text, "{:<10} {} bytes to {}", "written", content.value.len(), file.display());
    }
    dump(&content.value, &mut text);
    Ok(text)
}

/// Bytes as `hexdump -C` shows them.
fn dump(value: &[u8], text: &mut String) {
    for (line, bytes) in value.chunks(16).take(SHOWN_BYTES_MAX / 16).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let plain: String = bytes
            .iter()
            .map(
                |byte| {
                    if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' }
                },
            )
            .collect();
        let _written = writeln!(text, "{:08x}  {:<47}  |{plain}|", line * 16, hex.join(" "));
    }
    if value.len() > SHOWN_BYTES_MAX {
        let _written = writeln!(
            text,
            "... {} bytes more; --out FILE writes all",
            value.len() - SHOWN_BYTES_MAX
        );
    }
}

fn row(letter: &Dead) -> Row {
    let time = |micros: i64| (micros != 0).then(|| Time(micros.saturating_mul(1000)).to_string());
    rows::row(json!({
        "origin": place(&shelf::origin(letter)),
        "time": time(letter.time),
        "reason": letter.reason,
        "agency": letter.agency,
        "bytes": letter.bytes,
        "state": letter.state,
        "settled": time(letter.settled),
        "actor": letter.actor,
        "why": letter.why,
        "detail": letter.detail,
    }))
}

fn place((topic, partition, offset): &shelf::Origin) -> String {
    format!("{topic}/{partition}/{offset}")
}
