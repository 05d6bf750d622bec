//! Who may begin which quiet period, and who may end it. Pure.

use std::collections::BTreeMap;

use vonggac_wire::{
    Time,
    limits::NAME_CHARACTERS_MAX,
    proto::{AddQuiet, EndQuiet, QuietScope, change_quiet_request::Change},
};

use super::{
    AHEAD_DAYS_MAX, Event, Kind, NEVER, OF_PERSON_MAX, Period, REASON_CHARACTERS_MAX, STANDING_MAX,
    Step, Terms, days,
    scope::{Network, Scope},
};
use crate::{
    registry::Registry,
    rule::RuleSet,
    trust::{door::Guest, scope::is_under},
};

/// Characters of an id that name it where they name it alone.
const ID_CHARACTERS_MIN: usize = 4;

/// Characters of a name in a scope: a path on a host, or a check with its agency and agent.
const VALUE_CHARACTERS_MAX: usize = 300;

/// The gravest that an agency's operator keeps quiet: what is M1 is the nation's matter.
const OF_AGENCY_GRAVEST: u32 = 2;

/// Why it is not done, as a word with what it is about behind it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither of both.
    #[error("kind-unknown {0}")]
    KindUnknown(String),
    /// Without one nobody can judge it.
    #[error("reason-missing")]
    ReasonMissing,
    /// A text is longer than it may be.
    #[error("text-too-long {0}")]
    TextTooLong(usize),
    /// It would withhold everything, or all of an agency.
    #[error("scope-too-wide")]
    ScopeTooWide,
    /// Maintenance is of an agency, a system or a host.
    #[error("scope-not-maintained")]
    ScopeNotMaintained,
    /// It is more than an organisation's.
    #[error("network-too-wide {0}")]
    NetworkTooWide(String),
    /// Neither an address nor a network.
    #[error("address-unknown {0}")]
    AddressUnknown(String),
    /// The registry does not have it.
    #[error("agency-unknown {0}")]
    AgencyUnknown(String),
    /// Whoever answers for agencies says for which it is.
    #[error("agency-missing")]
    AgencyMissing,
    /// It is another's.
    #[error("not-your-agency {0}")]
    NotYourAgency(String),
    /// The registry does not have it.
    #[error("system-unknown {0}")]
    SystemUnknown(String),
    /// There is none of that name.
    #[error("rule-unknown {0}")]
    RuleUnknown(String),
    /// What it finds is told by another rule.
    #[error("rule-told-by {0}")]
    RuleToldBy(String),
    /// It is there so that nobody can keep it quiet.
    #[error("rule-never {0}")]
    RuleNever(String),
    /// It tells M1 alone.
    #[error("needs-nation {0}")]
    NeedsNation(String),
    /// It ends before it begins, or before now.
    #[error("no-time")]
    NoTime,
    /// It lasts longer than it may, in days.
    #[error("too-long {0}")]
    TooLong(u64),
    /// It begins later than it may, in days.
    #[error("too-far {0}")]
    TooFar(u64),
    /// There are as many as there may be.
    #[error("too-many {0}")]
    TooMany(usize),
    /// There is none, as far as they may know.
    #[error("not-found {0}")]
    NotFound(String),
    /// Several begin so.
    #[error("ambiguous {0}")]
    Ambiguous(String),
    /// It is over.
    #[error("wrong-state {0}")]
    WrongState(&'static str),
}

/// What a decision stands on.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Those that are there.
    pub periods: &'a BTreeMap<String, Period>,
    /// Agencies and systems.
    pub registry: &'a Registry,
    /// Rules.
    pub rules: &'a RuleSet,
    /// By the centre's clock.
    pub now: Time,
}

/// The step that somebody takes. `fresh`: the id of one that is new.
///
/// # Errors
/// Why they do not.
pub fn decide(
    ground: Ground<'_>,
    change: &Change,
    guest: &Guest,
    fresh: &str,
) -> Result<Event, Refusal> {
    let who = guest.name.clone();
    match change {
        Change::Add(add) => {
            let step = Step::Added(Box::new(added(ground, add, guest)?));
            Ok(Event { id: fresh.to_owned(), time: ground.now, who, step })
        }
        Change::End(end) => {
            let (period, reason) = ended(ground, end, guest)?;
            // Behind the adding, although this collector's clock may be behind the other's.
            let time = ground.now.max(period.added.1.plus(std::time::Duration::from_micros(1)));
            Ok(Event { id: period.id.clone(), time, who, step: Step::Ended { reason } })
        }
    }
}

fn added(ground: Ground<'_>, add: &AddQuiet, guest: &Guest) -> Result<Terms, Refusal> {
    let kind = Kind::from_name(&add.kind).ok_or_else(|| Refusal::KindUnknown(add.kind.clone()))?;
    let reason = reason(&add.reason)?;
    let owner = limited(&add.owner, NAME_CHARACTERS_MAX)?;
    let owner = if owner.is_empty() { guest.name.clone() } else { owner };
    let scope = scope(ground, kind, &add.scope.clone().unwrap_or_default(), guest)?;
    let gravest = match kind {
        Kind::Suppression => gravest(ground.rules, &scope.rule, guest)?,
        Kind::Maintenance => 1,
    };
    let (begins, ends) = times(kind, add, ground.now)?;
    let standing = || ground.periods.values().filter(|period| period.stands(ground.now));
    if standing().count() >= STANDING_MAX {
        return Err(Refusal::TooMany(STANDING_MAX));
    }
    if standing().filter(|period| period.added.0 == guest.name).count() >= OF_PERSON_MAX {
        return Err(Refusal::TooMany(OF_PERSON_MAX));
    }
    Ok(Terms { kind, owner, reason, scope, gravest, begins, ends })
}

/// From when until when: never from before now, whatever was asked for.
fn times(kind: Kind, add: &AddQuiet, now: Time) -> Result<(Time, Time), Refusal> {
    let (begins, ends) = (Time(add.from_unix_nano).max(now), Time(add.until_unix_nano));
    if ends <= begins {
        return Err(Refusal::NoTime);
    }
    if begins.since(now) > days(AHEAD_DAYS_MAX) {
        return Err(Refusal::TooFar(AHEAD_DAYS_MAX));
    }
    if ends.since(begins) > days(kind.days_max()) {
        return Err(Refusal::TooLong(kind.days_max()));
    }
    Ok((begins, ends))
}

fn scope(
    ground: Ground<'_>,
    kind: Kind,
    asked: &QuietScope,
    guest: &Guest,
) -> Result<Scope, Refusal> {
    let text = |text: &str| limited(text, VALUE_CHARACTERS_MAX);
    let address = match asked.address.trim() {
        "" => None,
        said => {
            let network: Network =
                said.parse().map_err(|()| Refusal::AddressUnknown(said.to_owned()))?;
            Some(network)
        }
    };
    let scope = Scope {
        rule: text(&asked.rule)?,
        agency: text(&asked.agency)?,
        host: text(&asked.host)?,
        user: text(&asked.user)?,
        address,
        entity: text(&asked.entity)?,
        system: text(&asked.system)?,
    };
    if let Some(network) = scope.address.filter(|network| !network.is_narrow()) {
        return Err(Refusal::NetworkTooWide(network.to_string()));
    }
    is_theirs(ground, &scope, guest)?;
    if !scope.system.is_empty() && ground.registry.system(&scope.system).is_none() {
        return Err(Refusal::SystemUnknown(scope.system));
    }
    match kind {
        Kind::Suppression if scope.is_agency_alone() => Err(Refusal::ScopeTooWide),
        Kind::Suppression => {
            is_told(ground.rules, &scope.rule)?;
            Ok(scope)
        }
        Kind::Maintenance => {
            let Scope { rule, agency, host, user, address, entity, system } = &scope;
            let is_place = rule.is_empty() && user.is_empty() && entity.is_empty();
            if !is_place || address.is_some() {
                return Err(Refusal::ScopeNotMaintained);
            }
            if [agency, host, system].iter().all(|text| text.is_empty()) {
                return Err(Refusal::ScopeTooWide);
            }
            Ok(scope)
        }
    }
}

fn is_theirs(ground: Ground<'_>, scope: &Scope, guest: &Guest) -> Result<(), Refusal> {
    let agency = scope.agency.as_str();
    if agency.is_empty() {
        return if guest.scope.is_nation() { Ok(()) } else { Err(Refusal::AgencyMissing) };
    }
    if !guest.scope.has_agency(agency) {
        return Err(Refusal::NotYourAgency(agency.to_owned()));
    }
    match ground.registry.agency(agency) {
        Some(_) => Ok(()),
        None => Err(Refusal::AgencyUnknown(agency.to_owned())),
    }
}

/// Whether there is such a rule, and it tells what it finds itself.
fn is_told(rules: &RuleSet, rule: &str) -> Result<(), Refusal> {
    if rule.is_empty() {
        return Ok(());
    }
    if NEVER.contains(&rule) {
        return Err(Refusal::RuleNever(rule.to_owned()));
    }
    let place = rules.index(rule).ok_or_else(|| Refusal::RuleUnknown(rule.to_owned()))?;
    match rules.told_by(place) {
        told if told == rule => Ok(()),
        told => Err(Refusal::RuleToldBy(told.to_owned())),
    }
}

/// The gravest that is withheld: all by whoever reaches the nation; by others what is below M1, and nothing of a rule that has nothing below.
fn gravest(rules: &RuleSet, rule: &str, guest: &Guest) -> Result<u32, Refusal> {
    if guest.scope.is_nation() {
        return Ok(1);
    }
    match rules.meta(rule) {
        Some(meta) if meta.severity < OF_AGENCY_GRAVEST => {
            Err(Refusal::NeedsNation(rule.to_owned()))
        }
        _ => Ok(OF_AGENCY_GRAVEST),
    }
}

fn ended<'a>(
    ground: Ground<'a>,
    end: &EndQuiet,
    guest: &Guest,
) -> Result<(&'a Period, String), Refusal> {
    let reason = reason(&end.reason)?;
    let unknown = || Refusal::NotFound(end.id.clone());
    if end.id.chars().count() < ID_CHARACTERS_MIN {
        return Err(unknown());
    }
    let seen = |period: &&Period| is_shown(&period.terms.scope, guest);
    let named: Vec<&Period> = ground
        .periods
        .values()
        .filter(|period| period.id.starts_with(&end.id))
        .filter(seen)
        .collect();
    let period = match named.as_slice() {
        [] => return Err(unknown()),
        [one] => *one,
        _ => return Err(Refusal::Ambiguous(end.id.clone())),
    };
    let agency = &period.terms.scope.agency;
    if !guest.scope.is_nation() && !guest.scope.has_agency(agency) {
        return Err(Refusal::NotYourAgency(agency.clone()));
    }
    match period.state(ground.now) {
        state if !period.stands(ground.now) => Err(Refusal::WrongState(state.name())),
        _ => Ok((period, reason)),
    }
}

/// Whether somebody may know of a period: it is of their agencies, or holds for them, too.
#[must_use]
pub fn is_shown(scope: &Scope, guest: &Guest) -> bool {
    guest.scope.is_nation()
        || guest.scope.has_agency(&scope.agency)
        || guest.scope.names(|own| scope.agency.is_empty() || is_under(own, &scope.agency))
}

fn reason(text: &str) -> Result<String, Refusal> {
    match limited(text, REASON_CHARACTERS_MAX)? {
        reason if reason.is_empty() => Err(Refusal::ReasonMissing),
        reason => Ok(reason),
    }
}

/// Without what has no place in a line.
fn limited(text: &str, characters_max: usize) -> Result<String, Refusal> {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.trim();
    if plain.chars().count() > characters_max {
        return Err(Refusal::TextTooLong(characters_max));
    }
    Ok(plain.to_owned())
}
