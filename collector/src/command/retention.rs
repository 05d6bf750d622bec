//! `retention`: what goes, what went, and what will be.

use std::time::Duration;

use clap::Subcommand;
use vonggac_answer::consent::{self, Consent};
use vonggac_wire::Time;

use super::sheet::{Cell, Format, Sheet, human};
use crate::{
    retention::{
        Keeping,
        forecast::{self, Forecast, HORIZONS_DAYS, Line},
    },
    store::{
        Store,
        retention::{RetentionError, plan::PlanLine},
    },
};

/// Days that a forecast looks back at, if it is not said: two of each day of the week.
const DAYS_SEEN: u16 = 14;

/// How long a check of a configuration waits for the store.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What is asked of retention.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tell what would be deleted or moved to the cold tier today, and what holds keep.
    Plan {
        /// How it is written.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Do it. What is deleted is gone for ever.
    Apply {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// By whom.
        #[arg(long, env = "USER")]
        by: String,
        /// Seconds after which no further step is begun; the next run goes on.
        #[arg(long, default_value_t = 86_400)]
        seconds_max: u64,
    },
    /// Tell what the store will hold, and when the disk is full.
    Forecast {
        /// Days that are looked back at.
        #[arg(long, default_value_t = DAYS_SEEN, value_parser = clap::value_parser!(u16).range(1..=400))]
        days: u16,
        /// How it is written.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Tell what was deleted and moved, newest first.
    Log {
        /// Lines.
        #[arg(long, default_value_t = 200)]
        limit: u32,
        /// How it is written.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
}

/// The answer; `tell` hears of steps under way.
pub(super) async fn run(
    store: &Store,
    keeping: &Keeping,
    command: &Command,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<String, RetentionError> {
    let now = Time::now();
    match command {
        Command::Plan { format } => {
            let reached = store.reached(&keeping.policy, now).await?;
            if !reached.is_empty() {
                return Err(RetentionError::Held(reached));
            }
            let mut text = planned(&store.plan(keeping, now).await?).write(*format);
            if let (Some(place), Format::Table | Format::Md) = (&keeping.cold, format) {
                text.push_str(&format!("\n\ncold tier: {place}"));
            }
            Ok(text)
        }
        Command::Apply { yes, by, seconds_max } => {
            if !yes {
                let plan = store.plan(keeping, now).await?;
                tell(&planned(&plan).write(Format::Table));
                if consent::ask("what is deleted is gone for ever; go on?") != Consent::Given {
                    return Ok("nothing was done; say yes, or --yes".into());
                }
            }
            let report = store.apply(keeping, by, Duration::from_secs(*seconds_max), tell).await?;
            Ok(format!(
                "run {}: {} rows to {} cold files ({}{}), {} rows and {} cold files deleted, {} parts as a whole, {} incidents, {} other rows{}",
                report.run,
                report.cooled_rows,
                report.cold_files,
                human_bytes(report.cold_bytes),
                keeping.cold.as_ref().map(|place| format!(" in {place}")).unwrap_or_default(),
                report.deleted_rows,
                report.deleted_files,
                report.parts,
                report.incidents,
                report.others,
                if report.unfinished { "; the time was over, run it again" } else { "" }
            ))
        }
        Command::Forecast { days, format } => {
            let (told, free) = store.forecast(&keeping.policy, *days, now).await?;
            let mut text = forecasted(&told).write(*format);
            if matches!(format, Format::Table | Format::Md) {
                text.push_str(&format!("\n\n{}", in_words(&told, free)));
            }
            Ok(text)
        }
        Command::Log { limit, format } => Ok(logged(store, *limit).await?.write(*format)),
    }
}

/// Whether a hold forbids the policy, if the store can be asked; where the store is away, or not there yet, the settings alone are looked at.
pub(super) async fn checked(store: &Store, keeping: &Keeping) -> Result<(), RetentionError> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, store.reached(&keeping.policy, Time::now()));
    match asked.await {
        Ok(Ok(reached)) if !reached.is_empty() => Err(RetentionError::Held(reached)),
        Ok(Err(error)) if error.is_configuration() => Err(error),
        _ => Ok(()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "for eyes")]
fn human_bytes(bytes: u64) -> String {
    human(bytes as f64)
}

fn planned(lines: &[PlanLine]) -> Sheet {
    let mut sheet = Sheet::new(&[
        "month", "agency", "what", "rule", "action", "rows", "bytes", "held", "by holds", "waiting",
    ]);
    for line in lines {
        let holds: Vec<String> =
            line.held.iter().map(|(hold, rows)| format!("{hold}: {rows}")).collect();
        #[expect(clippy::cast_precision_loss, reason = "bytes of a plan are about")]
        let bytes = line.bytes as f64;
        sheet.push(vec![
            Cell::text(format!("{}-{:02}", line.month / 100, line.month % 100)),
            Cell::text(&line.agency),
            Cell::text(&line.what),
            Cell::text(&line.rule),
            Cell::text(&line.action),
            Cell::Number(line.rows),
            Cell::Bytes(bytes),
            // A row that several holds keep is counted by each of them.
            Cell::Number(line.held.iter().map(|(_, rows)| *rows).max().unwrap_or(0)),
            Cell::text(holds.join(", ")),
            Cell::Number(line.waiting),
        ]);
    }
    sheet
}

fn forecasted(told: &Forecast) -> Sheet {
    let mut sheet = Sheet::new(&[
        "rule",
        "in days",
        "daily low",
        "daily",
        "daily high",
        "engine low",
        "engine",
        "engine high",
        "cold low",
        "cold",
        "cold high",
    ]);
    let all = forecast::total(&told.lines);
    for line in told.lines.iter().chain([&all]) {
        let Line { name, daily, now, then } = line;
        let mut push = |days: u64, cells: [f64; 6]| {
            let mut row = vec![Cell::text(name), Cell::Number(days)];
            row.extend(
                [daily.low, daily.expected, daily.high].into_iter().chain(cells).map(Cell::Bytes),
            );
            sheet.push(row);
        };
        push(0, [now.0, now.0, now.0, now.1, now.1, now.1]);
        for (days, (hot, cold)) in HORIZONS_DAYS.iter().zip(then) {
            push(
                (*days).into(),
                [hot.low, hot.expected, hot.high, cold.low, cold.expected, cold.high],
            );
        }
    }
    sheet
}

fn in_words(told: &Forecast, free: u64) -> String {
    let (soonest, expected, latest) = told.full_in_days;
    let mut text = match (soonest, expected) {
        (None, _) => {
            format!("{} are free; the disk is not full within ten years", human_bytes(free))
        }
        (Some(soonest), None) => format!(
            "{} are free; the disk is not full within ten years, or in {soonest} days if each day is as the busiest tenth",
            human_bytes(free)
        ),
        (Some(soonest), Some(expected)) => format!(
            "{} are free; the disk is full in {expected} days ({soonest} to {})",
            human_bytes(free),
            latest.map_or_else(|| "never".to_owned(), |days| days.to_string())
        ),
    };
    if told.days_seen < forecast::DAYS_LEAST {
        text.push_str(&format!(
            "; only {} whole days were seen, which says little",
            told.days_seen
        ));
    }
    text
}

async fn logged(store: &Store, limit: u32) -> Result<Sheet, RetentionError> {
    let mut sheet = Sheet::new(&[
        "time", "state", "action", "what", "agency", "month", "rule", "rows", "bytes", "by", "why",
        "run",
    ]);
    for row in store.deletions(limit).await? {
        #[expect(clippy::cast_precision_loss, reason = "for eyes")]
        let bytes = row.bytes as f64;
        sheet.push(vec![
            Cell::time(row.time),
            Cell::text(row.state),
            Cell::text(row.kind),
            Cell::text(row.what),
            Cell::text(row.agency),
            Cell::text(format!("{}-{:02}", row.month / 100, row.month % 100)),
            Cell::text(row.rule),
            Cell::Number(row.rows),
            Cell::Bytes(bytes),
            Cell::text(row.who),
            Cell::text(row.why),
            Cell::text(row.run),
        ]);
    }
    Ok(sheet)
}
