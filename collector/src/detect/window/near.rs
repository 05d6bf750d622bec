//! Windows that are not full.

use std::collections::HashSet;

use super::{Who, Windows, attempts::Attempts};
use crate::{
    detect::near::{About, Near},
    rule::{Meta, RuleSet},
    trust::scope::is_under,
};

impl Windows {
    /// Those with a match since a time at an agency, of which `places` are the hosts.
    pub(in crate::detect) fn near(
        &self,
        rules: &RuleSet,
        about: &About,
        places: &HashSet<u64>,
    ) -> Vec<Near> {
        let is_there = |who: &Who, window: &Attempts| match who {
            Who::Address(_) => window.is_at(places),
            Who::Named(name) => {
                name.split_once('/').is_some_and(|(agency, _)| is_under(agency, &about.agency))
            }
        };
        let mut found = Vec::new();
        for ((rule, who), window) in self.windows.iter().chain(&self.behind) {
            if window.fired || window.last < about.since || !is_there(who, window) {
                continue;
            }
            let Some(meta) = rules.rules().get(*rule).map(|rule| &rule.meta) else { continue };
            let told = rules.told_by(*rule);
            if !about.rule.is_empty() && about.rule != told && about.rule != meta.rule.as_str() {
                continue;
            }
            let (count, wanted) = weighed(window, meta);
            // What was taken back, and what an echo told alone, weighs nothing.
            if count > 0 {
                found.push(Near {
                    rule: meta.rule.to_string(),
                    entity: entity(who),
                    count,
                    wanted,
                    window_seconds: meta.window_seconds,
                    last: window.last,
                });
            }
        }
        found
    }
}

/// What the matches weigh, and what they have to: on one host fewer may be enough.
fn weighed(window: &Attempts, meta: &Meta) -> (u64, u64) {
    let on_one = meta.threshold_on_host.filter(|_| window.is_on_one_host());
    (window.weight(meta.distinct.is_some()), on_one.unwrap_or(meta.threshold))
}

fn entity(who: &Who) -> String {
    match who {
        Who::Address(address) => address.to_string(),
        Who::Named(name) => name.split_once('/').map_or("", |(_, entity)| entity).to_owned(),
    }
}
