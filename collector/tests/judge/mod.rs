//! What our rules say of one request.
#![expect(clippy::unwrap_used, reason = "a test stops where its ground is missing")]

use std::collections::BTreeMap;

use vonggac_collector::{
    detect::sigma::Matcher,
    rule::{Rule, RuleSet},
};
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, HttpRequest, Status},
};

/// The rules that call one request an attack.
pub(crate) struct Judge {
    rules: RuleSet,
    matcher: Matcher,
}

impl Judge {
    pub(crate) fn new() -> Self {
        let rules = RuleSet::builtin().unwrap();
        let matcher = Matcher::new(&rules).unwrap();
        Self { rules, matcher }
    }

    /// The rules by which this request alone is an attack.
    pub(crate) fn says(
        &self,
        method: &str,
        url: &str,
        agent: &str,
        referrer: &str,
        code: u32,
    ) -> Vec<String> {
        let (enough, parts) = self.parts(method, url, agent, referrer, code);
        if enough { parts } else { Vec::new() }
    }

    /// The rules of attacks that see anything in this request, and whether that is enough for an incident.
    pub(crate) fn parts(
        &self,
        method: &str,
        url: &str,
        agent: &str,
        referrer: &str,
        code: u32,
    ) -> (bool, Vec<String>) {
        let mut activity = Activity::of(Class::Http, 3, Status::Unknown);
        activity.set_source_address("203.0.113.7".parse().unwrap());
        activity.http = Some(HttpRequest {
            http_method: method.into(),
            url: url.into(),
            user_agent: agent.into(),
            referrer: referrer.into(),
            status_code: code,
            ..HttpRequest::default()
        });
        let now = Time::from_seconds(1_764_000_000);
        let event = Event::new(now, now, Body::Activity(activity.clone()));
        let name =
            |at: usize| self.rules.rules().get(at).map(|rule: &Rule| rule.meta.rule.to_string());
        let mut weights: BTreeMap<usize, u64> = BTreeMap::new();
        let mut said = Vec::new();
        for found in self.matcher.matches(&event, &activity) {
            let Some(rule) = self.rules.rules().get(found.rule) else { continue };
            if rule.meta.part_of.is_some() {
                *weights.entry(self.rules.head(found.rule)).or_default() += found.weight(rule);
                said.extend(name(found.rule));
            }
        }
        let enough = |(head, weight): (&usize, &u64)| {
            self.rules.rules().get(*head).is_some_and(|head| *weight >= head.meta.threshold)
        };
        (weights.iter().any(enough), said)
    }
}
