//! Whether the examples of a rule would show that a part of it is broken: each part is taken away in turn, and some example has to come
//! out otherwise.

use std::collections::{BTreeMap, BTreeSet};

use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SelectorPattern,
};
use vonggac_wire::{Time, event::Body};

use super::*;

/// Values and demands that no example shows yet. It only ever gets smaller: a new part comes with its example.
const UNSHOWN_MAX: usize = 205;

/// What is taken away.
#[derive(Clone, Debug, PartialEq)]
enum Mutant {
    /// A selection is found nowhere.
    Never(String),
    /// A selection is found everywhere.
    Always(String),
    /// One demand of a selection is not made.
    WithoutItem(usize),
    /// One of several values of a demand is not known.
    WithoutValue(usize, usize),
}

/// One demand: a field and its values, by number within the rule.
struct Items<'a> {
    all: Vec<(&'a str, &'a DetectionItem)>,
}

impl<'a> Items<'a> {
    fn of(detections: &'a Detections) -> Self {
        let named: BTreeMap<&String, &Detection> = detections.named.iter().collect();
        let mut all = Vec::new();
        for (name, detection) in named {
            Self::walk(name, detection, &mut all);
        }
        Self { all }
    }

    fn walk(name: &'a str, detection: &'a Detection, all: &mut Vec<(&'a str, &'a DetectionItem)>) {
        match detection {
            Detection::AllOf(items) => all.extend(items.iter().map(|item| (name, item))),
            Detection::AnyOf(parts) => parts.iter().for_each(|part| Self::walk(name, part, all)),
            other => panic!("{name}: {other:?} is not looked at"),
        }
    }
}

/// Which values of each demand an event has.
type Truth = Vec<Vec<bool>>;

/// Asks one engine about every value of every rule, each as a rule of its own.
struct Probe {
    engine: Engine,
    /// Rule, item, value of each.
    places: Vec<(usize, usize, usize)>,
}

impl Probe {
    fn of(rules: &RuleSet) -> Self {
        let mut probe = Self { engine: Engine::new(), places: Vec::new() };
        for (index, rule) in rules.rules().iter().enumerate() {
            let Some(sigma) = &rule.sigma else { continue };
            for (place, (_, item)) in Items::of(&sigma.detection).all.iter().enumerate() {
                for (number, value) in item.values.iter().enumerate() {
                    let mut field = item.field.clone();
                    field.modifiers.retain(|modifier| *modifier != Modifier::All);
                    let one = DetectionItem { field, values: vec![value.clone()] };
                    let mut alone = sigma.clone();
                    alone.title = probe.places.len().to_string();
                    alone.detection = Detections {
                        named: HashMap::from([("s".to_owned(), Detection::AllOf(vec![one]))]),
                        conditions: vec![ConditionExpr::Identifier("s".into())],
                        condition_strings: vec!["s".into()],
                        timeframe: None,
                    };
                    probe.engine.add_rule(&alone).unwrap();
                    probe.places.push((index, place, number));
                }
            }
        }
        probe
    }

    fn ask(&self, event: &Event, activity: &Activity) -> BTreeSet<(usize, usize, usize)> {
        let threats = crate::threat::example();
        let mut view = View::new(event, activity);
        view.threats = Some(&threats);
        let found = self.engine.evaluate(&view);
        found
            .iter()
            .map(|result| self.places[result.header.rule_title.parse::<usize>().unwrap()])
            .collect()
    }
}

/// A rule's condition over an event's truth, with or without a mutant.
struct Verdict<'a> {
    rule: &'a SigmaRule,
    items: &'a Items<'a>,
    truth: &'a Truth,
    mutant: Option<&'a Mutant>,
}

impl Verdict<'_> {
    fn item(&self, place: usize) -> bool {
        if self.mutant == Some(&Mutant::WithoutItem(place)) {
            return true;
        }
        let known = |number: &usize| self.mutant != Some(&Mutant::WithoutValue(place, *number));
        let mut values = (0..self.truth[place].len()).filter(known).map(|n| self.truth[place][n]);
        if self.items.all[place].1.field.has_modifier(Modifier::All) {
            values.all(|is| is)
        } else {
            values.any(|is| is)
        }
    }

    fn detection(&self, detection: &Detection, next: &mut usize) -> bool {
        match detection {
            Detection::AllOf(items) => items.iter().fold(true, |all, _| {
                *next += 1;
                self.item(*next - 1) && all
            }),
            Detection::AnyOf(parts) => {
                let found = parts.iter().map(|part| self.detection(part, next));
                found.collect::<Vec<_>>().contains(&true)
            }
            _ => false,
        }
    }

    fn selection(&self, name: &str) -> bool {
        match self.mutant {
            Some(Mutant::Never(gone)) if gone == name => return false,
            Some(Mutant::Always(gone)) if gone == name => return true,
            _ => {}
        }
        let mut first = self.items.all.iter().position(|(own, _)| *own == name).unwrap();
        self.detection(&self.rule.detection.named[name], &mut first)
    }

    fn condition(&self, condition: &ConditionExpr) -> bool {
        match condition {
            ConditionExpr::And(parts) => parts.iter().all(|part| self.condition(part)),
            ConditionExpr::Or(parts) => parts.iter().any(|part| self.condition(part)),
            ConditionExpr::Not(part) => !self.condition(part),
            ConditionExpr::Identifier(name) => self.selection(name),
            ConditionExpr::Selector { quantifier, pattern } => {
                let meant = |name: &&String| match pattern {
                    SelectorPattern::Them => true,
                    SelectorPattern::Pattern(text) => name.starts_with(text.trim_end_matches('*')),
                };
                let names: Vec<&String> = self.rule.detection.named.keys().filter(meant).collect();
                let found = names.iter().filter(|name| self.selection(name)).count();
                match quantifier {
                    Quantifier::Any => found > 0,
                    Quantifier::All => found == names.len(),
                    Quantifier::Count(wanted) => found as u64 >= *wanted,
                }
            }
        }
    }

    /// Whether it matches, and which of the selections that count otherwise than others are found.
    fn outcome(&self, rule: &Rule) -> (bool, Vec<String>) {
        let matches = self.rule.detection.conditions.iter().any(|one| self.condition(one));
        let telling = rule.meta.weights.keys().chain(&rule.meta.echoes).chain(&rule.meta.forgives);
        let found = telling.filter(|name| matches && self.selection(name)).cloned().collect();
        (matches, found)
    }
}

fn mutants(rule: &SigmaRule, items: &Items<'_>) -> Vec<Mutant> {
    let mut all = Vec::new();
    for name in rule.detection.named.keys() {
        all.extend([Mutant::Never(name.clone()), Mutant::Always(name.clone())]);
    }
    for (place, (_, item)) in items.all.iter().enumerate() {
        all.push(Mutant::WithoutItem(place));
        if item.values.len() > 1 {
            all.extend((0..item.values.len()).map(|number| Mutant::WithoutValue(place, number)));
        }
    }
    all
}

fn told(rule: &Rule, items: &Items<'_>, mutant: &Mutant) -> String {
    let name = &rule.meta.rule;
    let item = |place: &usize| {
        let (selection, item) = items.all[*place];
        format!("{name}: {selection}.{}", item.field.name.as_deref().unwrap_or_default())
    };
    match mutant {
        Mutant::Never(selection) => format!("{name}: {selection} is never found"),
        Mutant::Always(selection) => format!("{name}: {selection} is always found"),
        Mutant::WithoutItem(place) => format!("{} is not asked for", item(place)),
        Mutant::WithoutValue(place, number) => {
            let value = format!("{:?}", items.all[*place].1.values[*number]);
            format!(
                "{} lacks {number}: {}",
                item(place),
                value.chars().take(90).collect::<String>()
            )
        }
    }
}

#[test]
fn the_examples_of_a_rule_show_each_of_its_parts() {
    let rules = RuleSet::builtin().unwrap();
    let probe = Probe::of(&rules);
    let mut survivors: Vec<(Mutant, String)> = Vec::new();
    let mut tried = 0;
    for (index, rule) in rules.rules().iter().enumerate() {
        let Some(sigma) = &rule.sigma else { continue };
        let items = Items::of(&sigma.detection);
        let examples = rule.meta.examples.fire.iter().chain(&rule.meta.examples.quiet);
        let truths: Vec<Truth> = examples
            .map(|example| {
                let text = example.activity.to_string().replace("{n}", "1");
                let activity: Activity =
                    serde_json::from_str(&text.replace("\"#n\"", "1")).unwrap();
                let now = Time::from_seconds(1_764_000_000);
                let event = Event::new(now, now, Body::Activity(activity.clone()));
                let found = probe.ask(&event, &activity);
                let of_item = |place: usize| {
                    let values = 0..items.all[place].1.values.len();
                    values.map(|number| found.contains(&(index, place, number))).collect()
                };
                (0..items.all.len()).map(of_item).collect()
            })
            .collect();
        for mutant in mutants(sigma, &items) {
            tried += 1;
            let shown = truths.iter().any(|truth| {
                let verdict =
                    |mutant| Verdict { rule: sigma, items: &items, truth, mutant }.outcome(rule);
                verdict(None) != verdict(Some(&mutant))
            });
            if !shown {
                let told = told(rule, &items, &mutant);
                survivors.push((mutant, told));
            }
        }
    }
    let all: Vec<&str> = survivors.iter().map(|(_, told)| told.as_str()).collect();
    eprintln!("{} of {tried} parts are shown by no example:\n{}", all.len(), all.join("\n"));
    let blind: Vec<&str> = survivors
        .iter()
        .filter(|(mutant, _)| matches!(mutant, Mutant::Never(_)))
        .map(|(_, told)| told.as_str())
        .collect();
    assert!(blind.is_empty(), "selections that no example needs:\n{}", blind.join("\n"));
    assert!(all.len() <= UNSHOWN_MAX, "an example is missing: {} parts are not shown", all.len());
}
