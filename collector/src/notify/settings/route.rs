//! Who is told what, and when.

use std::collections::BTreeSet;

use vonggac_daemon::settings::Table;
use vonggac_wire::{AgencyId, incident::Severity};

use super::{
    channel::{self, Channel, Way},
    name, severity, tlp,
};
use crate::{
    notify::{
        hours::{Clock, Days, Hours},
        note::Event,
        tlp::Tlp,
    },
    trust::{role::Role, scope::is_under},
};

/// Times of day of one digest: each hour.
const DIGEST_TIMES_MAX: usize = 24;

/// The nation, where agencies are named.
const NATION: &str = "*";

/// Steps that a route tells if nobody says: those that somebody has to do something about.
const EVENTS: [Event; 3] = [Event::Opened, Event::Escalated, Event::Breached];

/// A marking of some incidents; what is empty matches all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marking {
    /// Rules.
    pub rules: Vec<String>,
    /// Agencies and those under them.
    pub agencies: Vec<String>,
    /// And what is worse.
    pub severity: Severity,
    /// The marking.
    pub tlp: Tlp,
}

impl Marking {
    pub(super) fn take(table: &mut Table<'_>) -> Self {
        let rules = table.texts("rules").unwrap_or_default();
        let agencies = agencies(table);
        let severity = severity(table);
        let marked = tlp(table);
        if marked.is_none() {
            table.wrong("tlp", "is missing; wanted clear, green, amber, amber+strict or red");
        }
        Self { rules, agencies, severity, tlp: marked.unwrap_or(Tlp::Red) }
    }
}

/// Somebody with a role, and where mail reaches them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where.
    pub address: String,
    /// As what.
    pub role: Role,
    /// Of these agencies and those under them; empty: of the nation.
    pub agencies: Vec<String>,
}

impl Recipient {
    pub(super) fn take(table: &mut Table<'_>) -> Option<Self> {
        let address = channel::address(table, "address");
        let role = table.text_required("role");
        let found = Role::from_name(&role);
        if found.is_none() && !role.is_empty() {
            table.wrong("role", format!("is {role:?}; wanted one of {}", roles()));
        }
        let agencies = agencies(table);
        Some(Self { address: address?, role: found?, agencies })
    }
}

/// Who is told of which steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// By which channels.
    pub channels: Vec<String>,
    /// Of what is at least so bad.
    pub severity: Severity,
    /// Of these agencies and those under them; empty: of all.
    pub agencies: Vec<String>,
    /// Which steps.
    pub events: BTreeSet<Event>,
    /// When.
    pub hours: Hours,
    /// On which days.
    pub days: Days,
    /// By mail also those with these roles whose agencies it is about.
    pub roles: Vec<Role>,
}

impl Route {
    pub(super) fn take(
        table: &mut Table<'_>,
        (names, channels): (&[String], &[Channel]),
        recipients: &[Recipient],
    ) -> Self {
        let name = name(table);
        let named = channels_of(table, names);
        let roles = roles_of(table);
        let mail = |name: &String| {
            let channel = channels.iter().find(|channel| channel.name == *name);
            channel.is_none_or(|channel| matches!(channel.way, Way::Smtp(_)))
        };
        if !roles.is_empty() && !named.iter().any(mail) {
            table.wrong("roles", "has a meaning for mail alone; name a channel of kind \"smtp\"");
        }
        if let Some(role) =
            roles.iter().find(|role| recipients.iter().all(|one| one.role != **role))
        {
            table.wrong(
                "roles",
                format!("has {:?}, which no [[notify.recipient]] has; add one", role.name()),
            );
        }
        Self {
            name,
            channels: named,
            severity: severity(table),
            agencies: agencies(table),
            events: events(table),
            hours: table
                .parsed("hours", "hours like \"07:00-17:30\" on the clocks of Vietnam")
                .unwrap_or(Hours::ALL),
            days: days(table),
            roles,
        }
    }
}

/// Who is told what all of it came to, at times of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Its name.
    pub name: String,
    /// By which channels.
    pub channels: Vec<String>,
    /// When, in order.
    pub at: BTreeSet<Clock>,
    /// On which days.
    pub days: Days,
    /// Of what is at least so bad.
    pub severity: Severity,
    /// Of these agencies and those under them; empty: of all.
    pub agencies: Vec<String>,
}

impl Digest {
    pub(super) fn take(table: &mut Table<'_>, names: &[String]) -> Self {
        let name = name(table);
        let named = channels_of(table, names);
        let texts = table.texts_required("at");
        let mut at = BTreeSet::new();
        for text in &texts {
            match text.parse() {
                Ok(clock) => {
                    at.insert(clock);
                }
                Err(_) => table.wrong("at", format!("has {text:?}; wanted times like \"07:30\"")),
            }
        }
        if at.len() > DIGEST_TIMES_MAX {
            table.wrong(
                "at",
                format!("has {} times; at most {DIGEST_TIMES_MAX} are allowed", at.len()),
            );
        }
        Self {
            name,
            channels: named,
            at,
            days: days(table),
            severity: severity(table),
            agencies: agencies(table),
        }
    }
}

/// Whether one of an incident's agencies is one of these or under one of these; naming none means all.
#[must_use]
pub fn covers<'a>(named: &[String], mut agencies: impl Iterator<Item = &'a str>) -> bool {
    named.is_empty() || agencies.any(|agency| named.iter().any(|name| is_under(agency, name)))
}

fn channels_of(table: &mut Table<'_>, names: &[String]) -> Vec<String> {
    let named = table.texts_required("channels");
    for name in named.iter().filter(|name| !names.contains(name)) {
        table.wrong(
            "channels",
            format!(
                "has {name:?}, which no [[notify.channel]] is called; known are {}",
                names.join(", ")
            ),
        );
    }
    named
}

fn agencies(table: &mut Table<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for text in table.texts("agencies").unwrap_or_default() {
        if text == NATION {
            return Vec::new();
        }
        match AgencyId::folded(&text) {
            Ok(agency) => all.push(agency.to_string()),
            Err(error) => table.wrong("agencies", error.to_string()),
        }
    }
    all
}

fn events(table: &mut Table<'_>) -> BTreeSet<Event> {
    let Some(words) = table.texts("events") else { return EVENTS.into() };
    let mut events = BTreeSet::new();
    for word in &words {
        match Event::STEPS.into_iter().find(|event| event.name() == word) {
            Some(event) => {
                events.insert(event);
            }
            None => {
                let known = Event::STEPS.map(Event::name).join(", ");
                table.wrong("events", format!("has {word:?}; wanted some of {known}"));
            }
        }
    }
    if words.is_empty() {
        table.wrong("events", "is empty; leave it out for opened, escalated and breached");
    }
    events
}

fn days(table: &mut Table<'_>) -> Days {
    table.parsed("days", "all, working or off").unwrap_or_default()
}

fn roles() -> String {
    Role::ALL.map(Role::name).join(", ")
}

fn roles_of(table: &mut Table<'_>) -> Vec<Role> {
    let mut found = Vec::new();
    for word in table.texts("roles").unwrap_or_default() {
        match Role::from_name(&word) {
            Some(role) => found.push(role),
            None => table.wrong("roles", format!("has {word:?}; wanted some of {}", roles())),
        }
    }
    found
}
