//! One plain engine of rsigma's, which is asked about every rule, and ours with its routing, its index and its events that are never JSON,
//! say the same: of events made of the words of published rules, of real logs, and of our own pack's examples. Rules and logs of others are
//! not part of this project; without them our own pack is left, and that is told.
#![expect(
    clippy::print_stderr,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "counts are printed, and a test stops where its ground is missing"
)]

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rsigma_eval::{Engine, EventValue, JsonEvent};
use rsigma_parser::Detection;
use serde_json::{Map, Value};
use vonggac_collector::{
    detect::sigma::{Matcher, flat},
    rule::{Rule, RuleSet},
    threat::{ThreatList, reload::Threats},
};
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class},
};

mod logs;
mod made;
#[path = "../../material.rs"]
mod material;

use made::Chance;
use material::material;

/// Without optimisation a tenth is compared.
const SHARE: usize = if cfg!(debug_assertions) { 10 } else { 1 };

/// Pairs of a rule and an event, whole.
const PAIRS_MIN: usize = 1_000_000;

/// Of so many lines one is taken: all are twenty thousand, and each is asked about four hundred rules twice.
const LINES_APART: usize = 4;

/// Rules that are tried until one is asked about an event of its class.
const TRIES_MAX: usize = 20;

/// Differences that are printed.
const TOLD_MAX: usize = 10;

/// Both, with the same rules.
struct Both {
    rules: RuleSet,
    ours: Matcher,
    plain: Engine,
    /// Every field that a rule asks for.
    fields: BTreeSet<String>,
    threats: ThreatList,
}

/// What came of it.
#[derive(Default)]
struct Tally {
    events: usize,
    pairs: usize,
    theirs: usize,
    ours: usize,
    rules: BTreeMap<usize, usize>,
    different: Vec<String>,
}

/// An event of rsigma's own: fields by name, and the texts in which keywords are looked for.
struct Flat {
    fields: Map<String, Value>,
    texts: [String; 3],
}

impl rsigma_eval::Event for Flat {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        self.fields.get(path).map(EventValue::from)
    }

    fn any_string_value(&self, predicate: &dyn Fn(&str) -> bool) -> bool {
        self.texts.iter().any(|text| predicate(text))
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        self.texts.iter().map(|text| Cow::Borrowed(text.as_str())).collect()
    }

    fn to_json(&self) -> Value {
        Value::Object(self.fields.clone())
    }
}

impl Both {
    fn of(rules: RuleSet) -> Self {
        let mut threats = ThreatList::default();
        threats.add_csv("type,value,expires,name\nip,203.0.113.250,,an example\n");
        let ours = Matcher::new(&rules).expect("they compile");
        let ours = ours.with_threats(Threats::of(Arc::new(threats.clone()), Time(0)));
        let (mut plain, mut fields) = (Engine::new(), BTreeSet::new());
        for (at, rule) in rules.rules().iter().enumerate() {
            let Some(sigma) = &rule.sigma else { continue };
            let mut sigma = sigma.clone();
            sigma.title = at.to_string();
            sigma.detection.named.values().for_each(|detection| asked(detection, &mut fields));
            plain.add_rule(&sigma).expect("it compiles");
        }
        Self { rules, ours, plain, fields, threats }
    }

    fn flat(&self, event: &Event, activity: &Activity) -> Flat {
        let names = self.fields.iter().map(String::as_str).chain(["request", "message"]);
        let fields = flat(event, activity, &self.threats, names);
        let text = |name: &str| {
            fields.get(name).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
        };
        let raw = String::from_utf8_lossy(event.raw()).into_owned();
        Flat { texts: [raw, text("request"), text("message")], fields }
    }

    fn compare(
        &self,
        tally: &mut Tally,
        event: &Event,
        activity: &Activity,
        plain: &impl rsigma_eval::Event,
    ) {
        let mut theirs: Vec<usize> = self
            .plain
            .evaluate(plain)
            .iter()
            .map(|found| found.header.rule_title.parse().expect("a place"))
            .filter(|at: &usize| {
                is_asked(&self.rules.rules()[*at], activity)
                    && self.ours.is_meant(*at, event, activity)
            })
            .collect();
        let mut ours: Vec<usize> =
            self.ours.matches(event, activity).iter().map(|found| found.rule).collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        tally.events += 1;
        tally.pairs += self.rules.rules().iter().filter(|rule| rule.sigma.is_some()).count();
        (tally.theirs, tally.ours) = (tally.theirs + theirs.len(), tally.ours + ours.len());
        for rule in &ours {
            *tally.rules.entry(*rule).or_default() += 1;
        }
        if theirs != ours {
            let names = |all: &[usize]| {
                let name = |at: &usize| self.rules.rules()[*at].meta.rule.to_string();
                all.iter().map(name).collect::<Vec<_>>()
            };
            tally.different.push(format!(
                "plain {:?}, ours {:?}: {} {}",
                names(&theirs),
                names(&ours),
                event.format(),
                String::from_utf8_lossy(event.raw())
            ));
        }
    }
}

/// Whether a rule is asked about events of this class: requests are for rules of web servers, proxies and applications, and what hosts say for
/// all but those of web servers and proxies.
fn is_asked(rule: &Rule, activity: &Activity) -> bool {
    let category = rule.sigma.as_ref().and_then(|sigma| sigma.logsource.category.as_deref());
    match activity.class() {
        Class::Http => matches!(category, Some("webserver" | "proxy" | "application")),
        _ => !matches!(category, Some("webserver" | "proxy")),
    }
}

/// The fields that a detection asks for.
fn asked(detection: &Detection, fields: &mut BTreeSet<String>) {
    match detection {
        Detection::AllOf(items) => {
            fields.extend(items.iter().filter_map(|item| item.field.name.clone()));
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter().for_each(|part| asked(part, fields));
        }
        _ => {}
    }
}

impl Tally {
    /// Prints the counts; fails where both differ, or too little was compared to mean anything.
    fn judge(&self, what: &str, pairs: usize, matches: usize, rules: usize) {
        eprintln!(
            "{what}: {} events, {} pairs of rule and event; plain matches {}, ours {}, of {} rules; {} events differ",
            self.events,
            self.pairs,
            self.theirs,
            self.ours,
            self.rules.len(),
            self.different.len()
        );
        let told = &self.different[..self.different.len().min(TOLD_MAX)];
        assert!(told.is_empty(), "{what}: {}", told.join("\n"));
        assert!(self.pairs >= pairs, "{what}: {} pairs, wanted are {pairs}", self.pairs);
        let least = self.theirs.min(self.ours);
        assert!(least >= matches, "{what}: {least} matches mean nothing, wanted are {matches}");
        let named = self.rules.len();
        assert!(named >= rules, "{what}: {named} rules matched, wanted are {rules}");
    }
}

/// The published rules, with or without our own pack.
fn published(mut rules: RuleSet) -> Option<Both> {
    let folder = material("sigma-rules/rules")?;
    rules.add_folder(&folder).expect("a folder");
    Some(Both::of(rules))
}

#[test]
fn plain_and_ours_say_the_same_of_events_made_of_rules() {
    let Some(both) = published(RuleSet::default()) else { return };
    let mut chance = Chance(7);
    let mut tally = Tally::default();
    for _ in 0..3_500 / SHARE {
        let (event, activity, json) = made::event(both.rules.rules(), &mut chance);
        both.compare(&mut tally, &event, &activity, &JsonEvent::borrow(&json));
    }
    tally.judge("made of rules", PAIRS_MIN / SHARE, 800 / SHARE, 100 / SHARE);
}

#[test]
fn plain_and_ours_say_the_same_of_real_logs() {
    let Some(both) = published(RuleSet::builtin().expect("the pack")) else { return };
    let Some(events) = logs::events(LINES_APART * SHARE) else { return };
    let rules: Vec<_> = both.rules.rules().iter().filter(|rule| rule.sigma.is_some()).collect();
    let mut chance = Chance(11);
    let mut tally = Tally::default();
    for event in &events {
        let Some(activity) = event.activity() else { continue };
        both.compare(&mut tally, event, activity, &both.flat(event, activity));
        // The same line, into which somebody wrote what a rule looks for.
        let mut tries = (0..TRIES_MAX).filter_map(|_| chance.pick(&rules).copied());
        let rule = tries.find(|rule| is_asked(rule, activity));
        let planted = rule.and_then(|rule| made::planted(event, rule, &mut chance));
        if let Some((event, activity)) = planted {
            both.compare(&mut tally, &event, &activity, &both.flat(&event, &activity));
        }
    }
    tally.judge("real logs", PAIRS_MIN / SHARE, 2_000 / SHARE, 50 / SHARE);
}

#[test]
fn plain_and_ours_say_the_same_of_the_examples_of_our_own_pack() {
    let both = Both::of(RuleSet::builtin().expect("the pack"));
    let mut tally = Tally::default();
    let now = Time::from_seconds(1_764_000_000);
    for rule in both.rules.rules() {
        for example in rule.meta.examples.fire.iter().chain(&rule.meta.examples.quiet) {
            let text = example.activity.to_string().replace("{n}", "1").replace("\"#n\"", "1");
            let activity: Activity = serde_json::from_str(&text).expect("an example");
            // Each in a line of its own, and behind a byte that is no letter.
            for first in [&b""[..], b"\xff"] {
                let line = [first, text.as_bytes()].concat();
                let event = Event::new(now, now, Body::Activity(activity.clone()))
                    .with_format("syslog")
                    .with_raw(&line, 0);
                both.compare(&mut tally, &event, &activity, &both.flat(&event, &activity));
            }
        }
    }
    tally.judge("examples of our own pack", 10_000, 500, 30);
}
