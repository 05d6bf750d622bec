//! What a centre holds against what was sent to it: each event once, in rows, in roll-ups and in the counts of incidents.

use std::{
    collections::BTreeMap,
    fmt, thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use vonggac_collector::store::rollup::Span;

use crate::{centre::Centre, collector::Collector, digest, load::Sent};

/// Everything was taken, and nothing changes for so long: what is missing will not come. Longer than a group's session and a refused insert's longest wait.
pub const QUIET: Duration = Duration::from_secs(25);

/// Until then everything must have been taken: who takes a partition over late in a long story reads a quarter of an hour of it again.
const REST_WITHIN: Duration = Duration::from_secs(600);

/// What would be doubled comes a little later.
const SETTLE: Duration = Duration::from_secs(4);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(700);

/// Differences that are told one by one.
const TOLD_MAX: usize = 40;

/// Records that are told because no step came from them; the first of each address are among them, being below its threshold.
const WITHOUT_MAX: usize = 200;

/// The rule whose incidents count the refused log-ins.
const RULE: &str = "ssh-brute-force";

/// Where a difference was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Rows of events, by agent and lane.
    Rows,
    /// Sums of the roll-ups, by agency and span.
    RollUps,
    /// Counts of incidents, by address and collector that was asked.
    Incidents,
    /// Numbers that were told to be missing.
    Gaps,
    /// Records that were set aside.
    DeadLetters,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Where.
    pub measure: Measure,
    /// Of what.
    pub of: String,
    /// Events that are not there.
    pub missing: u64,
    /// Events that are there too often, or should not be.
    pub double: u64,
}

/// All differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// None: each event is there once.
    pub differences: Vec<Difference>,
}

impl Verdict {
    /// Whether each event is there once, everywhere.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }

    /// Events that are missing by one measure.
    #[must_use]
    pub fn missing(&self, measure: Measure) -> u64 {
        self.of(measure).map(|difference| difference.missing).sum()
    }

    /// Events that are there too often by one measure.
    #[must_use]
    pub fn double(&self, measure: Measure) -> u64 {
        self.of(measure).map(|difference| difference.double).sum()
    }

    fn of(&self, measure: Measure) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(move |difference| difference.measure == measure)
    }

    fn compare(&mut self, measure: Measure, of: String, wanted: u64, found: u64) {
        self.note(measure, of, wanted.saturating_sub(found), found.saturating_sub(wanted));
    }

    fn note(&mut self, measure: Measure, of: String, missing: u64, double: u64) {
        if missing > 0 || double > 0 {
            self.differences.push(Difference { measure, of, missing, double });
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return write!(formatter, "each event once in rows, roll-ups and incidents");
        }
        for difference in self.differences.iter().take(TOLD_MAX) {
            let Difference { measure, of, missing, double } = difference;
            writeln!(formatter, "{measure:?} of {of}: {missing} missing, {double} too many")?;
        }
        let more = self.differences.len().saturating_sub(TOLD_MAX);
        if more > 0 {
            writeln!(formatter, "and {more} more differences")?;
        }
        Ok(())
    }
}

/// Waits until the centre has come to rest, which it has when all is well, or everything was taken and nothing changed for `quiet`, and
/// judges it.
///
/// # Errors
/// If it cannot be asked.
pub fn judge(centre: &mut Centre, sent: &Sent, quiet: Duration) -> anyhow::Result<Verdict> {
    let (begun, mut changed, mut last) = (Instant::now(), Instant::now(), None);
    loop {
        centre.look_after()?;
        let looked = look(centre, sent);
        if looked.as_ref().is_ok_and(Verdict::is_clean) {
            break;
        }
        let now = looked.map_err(|error| format!("{error:#}"));
        let lag = centre.lag();
        if last.as_ref() != Some(&now) || !matches!(lag, Ok(0)) {
            (changed, last) = (Instant::now(), Some(now));
        }
        if begun.elapsed() > REST_WITHIN {
            eprintln!("after {REST_WITHIN:?} records are still not taken: {lag:?}");
            break;
        }
        if changed.elapsed() > quiet {
            break;
        }
        thread::sleep(LOOK);
    }
    eprintln!("at rest after {:?}", begun.elapsed());
    thread::sleep(SETTLE);
    look(centre, sent)
}

/// How things are now.
fn look(centre: &Centre, sent: &Sent) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    rows(centre, sent, &mut verdict)?;
    rollups(centre, sent, &mut verdict)?;
    for collector in &centre.collectors {
        // Who does not run or is frozen says nothing.
        if collector.is_up() {
            incidents(collector, sent, &mut verdict)?;
        }
    }
    for (measure, table) in [(Measure::Gaps, "gaps"), (Measure::DeadLetters, "dead_letters")] {
        let found = centre.number(&format!("SELECT count() FROM {table}"))?;
        verdict.compare(measure, format!("the table {table}"), 0, found);
    }
    verdict.differences.sort();
    Ok(verdict)
}

/// Only what the load sent: canaries are no events.
const OURS: &str = "agent LIKE 'numbered-%'";

fn rows(centre: &Centre, sent: &Sent, verdict: &mut Verdict) -> anyhow::Result<()> {
    let query = format!(
        "SELECT toString(agent), toString(lane), count(), uniqExact(seq), max(seq), uniqExact(raw) FROM events WHERE {OURS} GROUP BY agent, lane"
    );
    let found: BTreeMap<(String, String), (u64, u64, u64, u64)> = centre
        .ask::<(String, String, u64, u64, u64, u64)>(&query)?
        .into_iter()
        .map(|(agent, lane, rows, numbers, highest, texts)| {
            ((agent, lane), (rows, numbers, highest, texts))
        })
        .collect();
    for ((agent, lane), wanted) in &sent.lanes {
        let key = (agent.clone(), lane.clone());
        let (rows, numbers, highest, texts) = found.get(&key).copied().unwrap_or_default();
        // Numbers begin at 1, each has its own text.
        let right = numbers.min(texts).saturating_sub(highest.saturating_sub(*wanted));
        verdict.note(
            Measure::Rows,
            format!("{agent}, {lane}"),
            wanted.saturating_sub(right),
            rows.saturating_sub(right),
        );
    }
    let strangers = found.keys().filter(|key| !sent.lanes.contains_key(*key)).count();
    verdict.compare(Measure::Rows, "lanes that nobody sent".into(), 0, strangers as u64);
    Ok(())
}

fn rollups(centre: &Centre, sent: &Sent, verdict: &mut Verdict) -> anyhow::Result<()> {
    // The agency is in the agent's name.
    let agency = |agent: &str| agent.trim_start_matches("numbered-").to_owned();
    for span in Span::ALL {
        let query = format!(
            "SELECT toString(agency), toString(lane), sum(events) FROM rollups WHERE span = '{}' GROUP BY agency, lane",
            span.name()
        );
        let found: BTreeMap<(String, String), u64> = centre
            .ask::<(String, String, u64)>(&query)?
            .into_iter()
            .map(|(agency, lane, events)| ((agency, lane), events))
            .collect();
        let before = verdict.differences.len();
        for ((agent, lane), wanted) in &sent.lanes {
            let of = (agency(agent), lane.clone());
            let events = found.get(&of).copied().unwrap_or(0);
            verdict.compare(
                Measure::RollUps,
                format!("{}, {lane}, by {}", of.0, span.name()),
                *wanted,
                events,
            );
        }
        // Equal sums may hide a wrong bucket.
        let agencies: Vec<String> =
            sent.lanes.keys().map(|(agent, _)| format!("'{}'", agency(agent))).collect();
        let condition = format!("agency IN ({})", agencies.join(", "));
        let (of_rows, of_rollups) = digest::queries(span, &condition);
        let digests = (
            centre.ask::<(u64, i64, String)>(&of_rows)?,
            centre.ask::<(u64, i64, String)>(&of_rollups)?,
        );
        if before == verdict.differences.len() && digests.0 != digests.1 {
            let of =
                format!("buckets by {}: {:?}, rows say {:?}", span.name(), digests.1, digests.0);
            verdict.note(Measure::RollUps, of, 1, 1);
        }
    }
    Ok(())
}

fn incidents(collector: &Collector, sent: &Sent, verdict: &mut Verdict) -> anyhow::Result<()> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let rows = collector.rows(&["incidents", "--rule", RULE, "--limit", "0"])?;
    for row in &rows {
        let address = row["entity"].as_str().with_context(|| format!("{row} has no entity"))?;
        let count = row["count"].as_u64().with_context(|| format!("{row} has no count"))?;
        *counts.entry(address.to_owned()).or_default() += count;
    }
    for (address, wanted) in &sent.addresses {
        let found = counts.remove(address).unwrap_or(0);
        let of = format!("{address}, as {} tells", collector.name);
        verdict.compare(Measure::Incidents, of, *wanted, found);
    }
    for (address, found) in counts {
        let of = format!("{address}, from which nothing came, as {} tells", collector.name);
        verdict.compare(Measure::Incidents, of, 0, found);
    }
    Ok(())
}

/// What is known of the rows that are missing or there twice: their numbers, and where each came from.
///
/// # Errors
/// If the engine cannot be asked.
pub fn evidence(centre: &Centre, sent: &Sent) -> anyhow::Result<String> {
    let doubles = centre.ask::<(String, String, u64, String)>(&format!(
        "SELECT toString(agent), toString(lane), seq, toString(groupArray((toString(kafka_topic), kafka_partition, kafka_offset, kafka_index, stored, _part))) \
         FROM events WHERE {OURS} GROUP BY agent, lane, seq HAVING count() > 1 ORDER BY agent, lane, seq LIMIT {TOLD_MAX}"
    ))?;
    let mut text = String::new();
    for (agent, lane, number, places) in doubles {
        text.push_str(&format!("double: {agent} {lane} {number}: {places}\n"));
    }
    for ((agent, lane), wanted) in &sent.lanes {
        let missing = centre.ask::<u64>(&format!(
            "SELECT number + 1 AS n FROM numbers({wanted}) WHERE n NOT IN (SELECT seq FROM events WHERE agent = '{agent}' AND lane = '{lane}') LIMIT {TOLD_MAX}"
        ))?;
        if !missing.is_empty() {
            text.push_str(&format!("missing: {agent} {lane} {missing:?}\n"));
        }
    }
    text.push_str(&steps(centre, sent)?);
    for gap in centre.ask::<(String, String, u64, u64, String)>(&format!(
        "SELECT toString(agent), toString(lane), first_seq, last_seq, toString(reason) FROM gaps ORDER BY agent, lane, first_seq LIMIT {TOLD_MAX}"
    ))? {
        text.push_str(&format!("gap: {gap:?}\n"));
    }
    Ok(text)
}

/// What the store has of incidents' steps: the counts of addresses by their newest steps, and records with log-ins from which no step came.
fn steps(centre: &Centre, sent: &Sent) -> anyhow::Result<String> {
    let mut text = String::new();
    let counts: BTreeMap<String, u64> = centre
        .ask::<(String, u64)>(&format!(
            "SELECT entity, sum(count) FROM (SELECT incident, argMax(splitByChar('|', origin_key)[3], version) AS entity, \
             argMax(JSONExtractUInt(after, 'count'), version) AS count FROM transitions WHERE rule = '{RULE}' GROUP BY incident) GROUP BY entity"
        ))?
        .into_iter()
        .collect();
    for (address, wanted) in &sent.addresses {
        let found = counts.get(address).copied().unwrap_or(0);
        if found != *wanted {
            text.push_str(&format!("steps of {address}: {found} of {wanted}\n"));
        }
    }
    let without = centre.ask::<(String, i32, i64, String, u64, i64)>(&format!(
        "SELECT toString(src_ip), kafka_partition, kafka_offset, toString(any(agent)), count(), toInt64(min(stored)) FROM events \
         WHERE {OURS} AND toString(src_ip) IN (SELECT DISTINCT splitByChar('|', origin_key)[3] FROM transitions WHERE rule = '{RULE}') \
         AND (toString(src_ip), toString(kafka_topic), kafka_partition, kafka_offset) NOT IN (SELECT splitByChar('|', origin_key)[3], \
         splitByChar('|', origin_key)[5], toInt32OrZero(splitByChar('|', origin_key)[6]), origin_offset FROM transitions WHERE rule = '{RULE}') \
         GROUP BY src_ip, kafka_topic, kafka_partition, kafka_offset ORDER BY kafka_partition, kafka_offset LIMIT {WITHOUT_MAX}"
    ))?;
    for record in without {
        text.push_str(&format!("without a step: {record:?}\n"));
    }
    Ok(text)
}
