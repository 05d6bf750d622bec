//! How long things are kept, as data. Pure.
//!
//! A row of `events` belongs to the first rule that matches it; the three last rules match a whole set each, so that there is always
//! one. Ages are whole days of the row's own day (`events.day`): a row is past its rule when its day lies before today less the rule's
//! days, so it is kept at least as long as the rule says.
//!
//! * [`hold`]: what must not be deleted whatever a rule says;
//! * [`forecast`]: what the store will hold;
//! * [`place`]: where the cold tier is.

use serde::{Deserialize, Serialize};
use vonggac_daemon::settings::Table;
use vonggac_wire::{Lane, Time, event::Class};

use crate::registry::Registry;

pub mod forecast;
pub mod hold;
pub mod place;

pub use place::ColdPlace;

/// Twelve months with a leap day: what the decrees that bind security logs ask for.
const SECURITY_DAYS: u64 = 366;

/// Three months of raw probes and heartbeats: long enough for a quarter's report; roll-ups tell of older ones.
const UPTIME_DAYS: u64 = 92;

/// A year of dossiers and requests: one comparison with the year before.
const USAGE_DAYS: u64 = 366;

/// Incidents are what is left of an attack when its lines are gone; three years cover inspections of the years before.
const INCIDENTS_DAYS: u64 = 1_096;

/// Gaps say what a year's figures lack, so they are there as long as the figures.
const GAPS_DAYS: u64 = 366;

/// Dead letters are a work list; Kafka's topic keeps the bytes.
const DEAD_LETTERS_DAYS: u64 = 92;

/// Roll-ups are small, and trends need years.
const ROLLUPS_DAYS: u64 = 1_096;

/// Nothing is deleted earlier. The book knows signals and commands again by the last week of its steps, a replay reads Kafka's last days:
/// a month is far from both.
pub const DAYS_LEAST: u64 = 30;

/// A century: in practice for ever.
const DAYS_MOST: u64 = 36_500;

/// Rules that a configuration may have: each is a branch that every old row is asked.
const RULES_MAX: usize = 64;

const DAY_SECONDS: u64 = 86_400;

/// What is kept for how long, each a lane of `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Set {
    /// Log-ins, attacks, changes: and lanes that this program does not know, because it keeps longest.
    Security,
    /// Probes, heartbeats, figures of hosts.
    Uptime,
    /// Requests, dossiers, documents, payments.
    Usage,
}

impl Set {
    const ALL: [Self; 3] = [Self::Security, Self::Uptime, Self::Usage];

    /// Its name, which is its lane's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Security => Lane::Security.name(),
            Self::Uptime => Lane::Uptime.name(),
            Self::Usage => Lane::Usage.name(),
        }
    }
}

/// Which rows, and how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// As the plan and the deletion log call it: `rule[0]`, or the name of the set.
    pub name: String,
    /// The set.
    pub set: Set,
    /// Classes of events; empty: all.
    pub classes: Vec<String>,
    /// Agencies; empty: all.
    pub agencies: Vec<String>,
    /// Systems, those of the grade that the setting names; empty: all, and events of no system.
    pub systems: Vec<String>,
    /// Days in the engine, if they go to the cold tier then.
    pub hot_days: Option<u32>,
    /// Days in all.
    pub keep_days: u32,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Tried in this order; the last three are the sets.
    pub rules: Vec<Rule>,
    /// Days of incidents after their last step.
    pub incidents_days: u32,
    /// Days of gaps.
    pub gaps_days: u32,
    /// Days of dead letters.
    pub dead_letters_days: u32,
    /// Days of roll-ups.
    pub rollups_days: u32,
}

/// What the settings say beside the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// How long.
    pub policy: Policy,
    /// `serve` applies it once a day.
    pub daily: bool,
    /// The cold tier; `None`: rows stay in the engine until they are deleted.
    pub cold: Option<ColdPlace>,
}

impl Default for Policy {
    fn default() -> Self {
        let days = |days| u32::try_from(days).unwrap_or(u32::MAX);
        let rule = |set: Set, keep| Rule {
            name: set.name().into(),
            set,
            classes: Vec::new(),
            agencies: Vec::new(),
            systems: Vec::new(),
            hot_days: None,
            keep_days: days(keep),
        };
        Self {
            rules: vec![
                rule(Set::Uptime, UPTIME_DAYS),
                rule(Set::Usage, USAGE_DAYS),
                rule(Set::Security, SECURITY_DAYS),
            ],
            incidents_days: days(INCIDENTS_DAYS),
            gaps_days: days(GAPS_DAYS),
            dead_letters_days: days(DEAD_LETTERS_DAYS),
            rollups_days: days(ROLLUPS_DAYS),
        }
    }
}

/// Days of a setting like `"366d"`.
fn days(table: &mut Table<'_>, name: &'static str) -> Option<u32> {
    let of = |days: u64| std::time::Duration::from_secs(days * DAY_SECONDS);
    let found = table.duration(name, of(DAYS_LEAST), of(DAYS_MOST))?;
    if found.as_secs() % DAY_SECONDS != 0 {
        table.wrong(name, "is no whole number of days; wanted e.g. \"366d\"");
    }
    u32::try_from(found.as_secs() / DAY_SECONDS).ok()
}

/// `hot` and `keep` of a rule or set.
fn ages(table: &mut Table<'_>, has_cold: bool) -> (Option<u32>, Option<u32>) {
    let (hot, keep) = (days(table, "hot"), days(table, "keep"));
    if let (Some(hot), Some(keep)) = (hot, keep)
        && hot >= keep
    {
        table.wrong("hot", format!("is {hot} days, but all is over after `keep`, {keep} days; leave `hot` out where nothing goes to the cold tier"));
    }
    if hot.is_some() && !has_cold {
        table
            .wrong("hot", "asks for a cold tier, and there is none; name its folder in [cold] dir, or its bucket in [cold.s3]");
    }
    (hot, keep)
}

impl Keeping {
    /// Takes `[retention]` and `[cold]`.
    pub fn take(root: &mut Table<'_>) -> Self {
        // A place with mistakes is one, too: that it is missing would be a mistake too many.
        let (has_cold, cold) =
            root.table("cold", |cold| (cold.has("dir") || cold.has("s3"), ColdPlace::take(cold)));
        let (daily, policy) = root.table("retention", |retention| {
            (retention.bool("daily").unwrap_or(true), Policy::take(retention, has_cold))
        });
        Self { policy, daily, cold }
    }
}

impl Policy {
    fn take(table: &mut Table<'_>, has_cold: bool) -> Self {
        let mut policy = Self::default();
        for (name, place) in [
            ("incidents", &mut policy.incidents_days),
            ("gaps", &mut policy.gaps_days),
            ("dead_letters", &mut policy.dead_letters_days),
            ("rollups", &mut policy.rollups_days),
        ] {
            *place = days(table, name).unwrap_or(*place);
        }
        for rule in &mut policy.rules {
            let (hot, keep) = table.table(rule.set.name(), |set| {
                let (hot, keep) = ages(set, has_cold);
                let whole = keep.unwrap_or(rule.keep_days);
                if keep.is_none() && hot.is_some_and(|hot| hot >= whole) {
                    set.wrong(
                        "hot",
                        format!("is longer than `keep`, {whole} days if it is not said"),
                    );
                }
                (hot, keep)
            });
            rule.hot_days = hot;
            rule.keep_days = keep.unwrap_or(rule.keep_days);
        }
        let registry = Registry::builtin().ok();
        let (mut rules, mut index) = (Vec::new(), 0_usize);
        table.tables("rule", |rule| {
            let read = Rule::take(rule, index, has_cold, &policy, registry.as_ref());
            if let Some(earlier) = rules.iter().find(|earlier: &&Rule| earlier.hides(&read)) {
                rule.wrong(
                    "set",
                    format!(
                        "never comes to be asked: {} before it matches all of it",
                        earlier.name
                    ),
                );
            }
            index += 1;
            rules.push(read);
        });
        if rules.len() > RULES_MAX {
            table.wrong(
                "rule",
                format!("are {}; at most {RULES_MAX} are tried on each row", rules.len()),
            );
        }
        policy.rules.splice(0..0, rules);
        policy
    }
}

impl Rule {
    fn take(
        table: &mut Table<'_>,
        index: usize,
        has_cold: bool,
        policy: &Policy,
        registry: Option<&Registry>,
    ) -> Self {
        let noted = table.text_required("set");
        let set = Set::ALL.into_iter().find(|set| set.name() == noted);
        if set.is_none() && !noted.is_empty() {
            table.wrong("set", format!("is {noted:?}; wanted security, uptime or usage"));
        }
        let classes = table.text_or_texts("class").unwrap_or_default();
        for class in classes.iter().filter(|class| !known_class(class)) {
            table.wrong("class", format!("names {class:?}, which no event has"));
        }
        let agencies = table.text_or_texts("agency").unwrap_or_default();
        for agency in &agencies {
            if registry.is_some_and(|registry| registry.agency(agency).is_none()) {
                table.wrong("agency", format!("names {agency:?}, which is not in the registry"));
            }
        }
        let systems = table.integer("grade", 1, 4).map(|grade| {
            registry.map(|registry| registry.systems_of_grade(grade)).unwrap_or_default()
        });
        if systems.as_ref().is_some_and(Vec::is_empty) {
            table.wrong("grade", "is of no system of the registry");
        }
        let (hot_days, keep) = ages(table, has_cold);
        let of_set =
            |set: Set| policy.rules.iter().find(|rule| rule.set == set).map(|rule| rule.keep_days);
        let keep_days = keep.or_else(|| of_set(set?)).unwrap_or(u32::MAX);
        if keep.is_none() && hot_days.is_some_and(|hot| hot >= keep_days) {
            table.wrong("hot", format!("is longer than `keep` of its set, {keep_days} days"));
        }
        Self {
            name: format!("rule[{index}]"),
            set: set.unwrap_or(Set::Security),
            classes,
            agencies,
            systems: systems.unwrap_or_default(),
            hot_days,
            keep_days,
        }
    }

    /// Whether all that `later` matches is matched by this one.
    fn hides(&self, later: &Self) -> bool {
        let wider = |mine: &[String], theirs: &[String]| {
            mine.is_empty() || (!theirs.is_empty() && theirs.iter().all(|one| mine.contains(one)))
        };
        self.set == later.set
            && wider(&self.classes, &later.classes)
            && wider(&self.agencies, &later.agencies)
            && wider(&self.systems, &later.systems)
    }

    /// The last day that is past these days, exclusive: rows of days before it are.
    fn limit(today: u16, days: u32) -> u16 {
        u16::try_from(u32::from(today).saturating_sub(days)).unwrap_or(0)
    }

    fn condition(&self) -> String {
        let mut parts = Vec::new();
        // The last rule takes what lanes of other versions there may be.
        if self.set != Set::Security || self.name != Set::Security.name() {
            parts.push(format!("lane = {}", quoted(self.set.name())));
        }
        for (column, values) in
            [("class", &self.classes), ("agency", &self.agencies), ("system", &self.systems)]
        {
            if !values.is_empty() {
                let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
                parts.push(format!("{column} IN ({})", values.join(", ")));
            }
        }
        if parts.is_empty() { "1".into() } else { parts.join(" AND ") }
    }
}

fn known_class(name: &str) -> bool {
    const BODIES: [&str; 9] = [
        "check",
        "heartbeat",
        "host_figures",
        "gap",
        "dossier",
        "document",
        "payment",
        "rating",
        "exchange",
    ];
    Class::ALL.iter().any(|class| class.name() == name)
        || BODIES.contains(&name)
        || name == "session"
}

/// A text as SQL has it.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

/// Days since 1970, as the engine counts a `Date`.
#[must_use]
pub fn day_of(time: Time) -> u16 {
    u16::try_from(time.seconds().div_euclid(86_400)).unwrap_or(0)
}

/// A day as "2026-11-26".
#[must_use]
pub fn day_text(day: u16) -> String {
    Time::from_seconds(i64::from(day) * 86_400).to_string().chars().take(10).collect()
}

/// What is to be done with a row, as SQL over the columns of `events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The index of the row's rule.
    pub rule: String,
    /// The row is past its time in all.
    pub over: String,
    /// The row is past its time in the engine, and not in all.
    pub cold: String,
    /// Rows of this day and later are neither.
    pub before_day: u16,
}

impl Policy {
    /// The policy on `today`.
    #[must_use]
    pub fn asked(&self, today: u16) -> Asked {
        let (last, first) =
            self.rules.split_last().map_or((0, &[][..]), |(_, first)| (first.len(), first));
        let branches: Vec<String> = first
            .iter()
            .enumerate()
            .map(|(index, rule)| format!("{}, {index}", rule.condition()))
            .collect();
        let rule = if branches.is_empty() {
            "0".to_owned()
        } else {
            format!("multiIf({}, {last})", branches.join(", "))
        };
        let keep: Vec<u16> =
            self.rules.iter().map(|rule| Rule::limit(today, rule.keep_days)).collect();
        let hot: Vec<u16> = self
            .rules
            .iter()
            .map(|rule| Rule::limit(today, rule.hot_days.unwrap_or(rule.keep_days)))
            .collect();
        let past = |limits: &[u16]| {
            let limits: Vec<String> = limits.iter().map(u16::to_string).collect();
            // What came late, or from a clock that is wrong by years, is kept as long from when it came.
            format!("toUInt16(greatest(day, toDate(stored))) < [{}][{rule} + 1]", limits.join(", "))
        };
        let over = past(&keep);
        Asked {
            cold: format!("({} AND NOT ({over}))", past(&hot)),
            before_day: hot.into_iter().chain(keep).max().unwrap_or(0),
            rule,
            over,
        }
    }

    /// How long cold files of a set and agency are kept: as long as the longest rule that may have rows in them.
    #[must_use]
    pub fn cold_days(&self, set: &str, agency: &str) -> u32 {
        self.rules
            .iter()
            .filter(|rule| rule.set.name() == set)
            .filter(|rule| {
                rule.agencies.is_empty() || rule.agencies.iter().any(|one| one == agency)
            })
            .map(|rule| rule.keep_days)
            .max()
            .unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
