//! `hold`: what must not be deleted.

use clap::{Args, Subcommand};
use vonggac_wire::Time;

use super::sheet::{Cell, Format, Sheet};
use crate::{
    retention::hold::HoldEvent,
    store::{Store, retention::RetentionError},
};

/// What is asked of holds.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Place a hold: what it names is not deleted until it is lifted.
    Add(Add),
    /// Holds in force; with --all also those that were lifted.
    List {
        /// Also those that were lifted.
        #[arg(long)]
        all: bool,
        /// How it is written.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Lift a hold: what is past its time goes with the next run.
    Lift {
        /// Its name.
        name: String,
        /// Why.
        #[arg(long)]
        why: String,
        /// By whom.
        #[arg(long, env = "USER")]
        by: String,
    },
}

/// A hold to be placed. What is named must all be true of a row.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// Its name, used once: a file number.
    name: String,
    /// Why: an order, with its date.
    #[arg(long)]
    why: String,
    /// By whom.
    #[arg(long, env = "USER")]
    by: String,
    /// Of this agency.
    #[arg(long)]
    pub(super) agency: Option<String>,
    /// Of this host.
    #[arg(long)]
    host: Option<String>,
    /// An incident, with all that its agencies have from a day before it to a day after.
    #[arg(long)]
    incident: Option<u64>,
    /// From this time, like 2026-11-26 or 2026-11-26T09:00:00+07:00; a day begins where it begins first, in Viet Nam.
    #[arg(long, value_parser = since)]
    since: Option<Time>,
    /// To this time; a day ends where it ends last, in UTC.
    #[arg(long, value_parser = until)]
    until: Option<Time>,
}

pub(super) fn since(text: &str) -> Result<Time, String> {
    time(text, "T00:00:00+07:00")
}

pub(super) fn until(text: &str) -> Result<Time, String> {
    time(text, "T23:59:59.999999Z")
}

fn time(text: &str, of_day: &str) -> Result<Time, String> {
    let whole = if text.len() == 10 { format!("{text}{of_day}") } else { text.to_owned() };
    whole.parse().map_err(|error| {
        format!("{error}; wanted is a day or a time like 2026-11-26T09:00:00+07:00")
    })
}

/// The answer.
pub(super) async fn run(store: &Store, command: &Command) -> Result<String, RetentionError> {
    let now = Time::now().micros();
    match command {
        Command::Add(add) => {
            let event = HoldEvent {
                time: now,
                hold: add.name.clone(),
                action: "placed".into(),
                who: add.by.clone(),
                why: add.why.clone(),
                agency: add.agency.clone().unwrap_or_default(),
                host: add.host.clone().unwrap_or_default(),
                incident: add.incident.unwrap_or(0),
                since: add.since.map_or(0, Time::micros),
                until: add.until.map_or(0, Time::micros),
            };
            store.tell_hold(&event).await?;
            Ok(format!("the hold {} is in force", add.name))
        }
        Command::Lift { name, why, by } => {
            let event = HoldEvent {
                time: now,
                hold: name.clone(),
                action: "lifted".into(),
                who: by.clone(),
                why: why.clone(),
                ..HoldEvent::default()
            };
            store.tell_hold(&event).await?;
            Ok(format!("the hold {name} is lifted; what is past its time goes with the next run"))
        }
        Command::List { all, format } => {
            let mut sheet = Sheet::new(&[
                "hold",
                "agency",
                "host",
                "incident",
                "since",
                "until",
                "placed",
                "by",
                "why",
                "lifted",
                "lifted by",
                "lifted why",
            ]);
            for hold in store.holds().await? {
                if hold.lifted.is_some() && !all {
                    continue;
                }
                let placed = hold.placed;
                let lifted = hold.lifted.unwrap_or_default();
                let incident =
                    if placed.incident == 0 { Cell::None } else { Cell::Number(placed.incident) };
                sheet.push(vec![
                    Cell::text(placed.hold),
                    Cell::text(placed.agency),
                    Cell::text(placed.host),
                    incident,
                    Cell::time(placed.since),
                    Cell::time(placed.until),
                    Cell::time(placed.time),
                    Cell::text(placed.who),
                    Cell::text(placed.why),
                    Cell::time(lifted.time),
                    Cell::text(lifted.who),
                    Cell::text(lifted.why),
                ]);
            }
            Ok(sheet.write(*format))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_taken_where_it_begins_first_and_ends_last() {
        assert_eq!(since("2026-11-26").unwrap().to_string(), "2026-11-25T17:00:00Z");
        assert_eq!(until("2026-11-26").unwrap().to_string(), "2026-11-26T23:59:59.999999Z");
        assert_eq!(since("2026-11-26T09:00:00+07:00").unwrap().to_string(), "2026-11-26T02:00:00Z");
        assert!(since("yesterday").unwrap_err().contains("wanted is a day"));
    }
}
