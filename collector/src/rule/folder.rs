//! Folders of rules: files of ours, and Sigma as it is published with several documents in a file, correlations and filters.
//!
//! Filters and correlations speak of rules that may stand in files that are read after them, so they are taken when all are read.

use std::path::{Path, PathBuf};

use rsigma_parser::{ConditionExpr, CorrelationRule, FilterRule, FilterRuleTarget, LogSource};

use super::{Rule, RuleError, RuleSet, bounds, foreign, place};
use crate::{
    detect::{correlation, sigma},
    settling::is_hidden,
};

/// Folders within a folder of rules: published packs have five.
pub(crate) const FOLDERS_DEEP_MAX: usize = 8;

/// Bytes of a rule's file: the longest published one has 60 KB.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Rules: all that are published are 4,000.
const RULES_MAX: usize = 10_000;

/// What waits for the rules that it speaks of.
struct Waiting {
    name: String,
    text: String,
    what: About,
}

enum About {
    Filter(Box<FilterRule>),
    Correlation(Box<CorrelationRule>),
}

impl Waiting {
    fn refused(&self, reason: String) -> RuleError {
        RuleError::Sigma { name: self.name.clone(), line: place::line(&self.text, &reason), reason }
    }
}

impl RuleSet {
    /// Adds the files of a folder and of those in it; those that are wrong are left out and told.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn add_folder(&mut self, folder: &Path) -> Result<Vec<RuleError>, RuleError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| RuleError::Io { path, source }
        };
        let mut refused = Vec::new();
        let mut waiting = Vec::new();
        let mut folders = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = std::fs::read_dir(&folder).map_err(io(&folder))?;
            let mut paths = entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<PathBuf>, _>>()
                .map_err(io(&folder))?;
            // The order of a folder is chance, and which of two of one name is taken must not be.
            paths.sort();
            for path in paths {
                if path.is_dir() && depth < FOLDERS_DEEP_MAX && !is_hidden(&path) {
                    folders.push((path, depth + 1));
                } else if path.extension().is_some_and(|end| end == "yml" || end == "yaml") {
                    refused.extend(self.read(&path, &mut waiting).err());
                }
            }
        }
        refused.extend(self.take(waiting));
        Ok(refused)
    }

    /// Adds a file; what it speaks of has to be in it or known already.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn add_file(&mut self, path: &Path) -> Result<(), RuleError> {
        let mut waiting = Vec::new();
        self.read(path, &mut waiting)?;
        self.take(waiting).pop().map_or(Ok(()), Err)
    }

    fn read(&mut self, path: &Path, waiting: &mut Vec<Waiting>) -> Result<(), RuleError> {
        let io = |source| RuleError::Io { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(io)?.len();
        let name = path.display().to_string();
        let refused = |line, reason| RuleError::Sigma { name: name.clone(), line, reason };
        if length > FILE_BYTES_MAX || self.rules.len() >= RULES_MAX {
            return Err(refused(1, "the file is too large, or there are too many rules".into()));
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        bounds::of_text(&text).map_err(|reason| refused(place::line(&text, &reason), reason))?;
        if !foreign::is_several(&text) {
            let rule = Rule::parse(&name, &text)?;
            return self.add(rule, &name, &text);
        }
        let collection = foreign::several(&text)
            .map_err(|reason| refused(place::line(&text, &reason), reason))?;
        // A file is taken as a whole or not at all.
        let before = self.rules.len();
        for rule in collection.rules {
            let taken = self.own_name(rule, before).and_then(|rule| {
                self.add(rule, &name, &text).map_err(|error| match error {
                    RuleError::Sigma { reason, .. } => reason,
                    other => other.to_string(),
                })
            });
            if let Err(reason) = taken {
                self.cut(before);
                return Err(refused(place::line(&text, &reason), reason));
            }
        }
        let filters = collection.filters.into_iter().map(|filter| About::Filter(Box::new(filter)));
        let correlations =
            collection.correlations.into_iter().map(|rule| About::Correlation(Box::new(rule)));
        for what in filters.chain(correlations) {
            waiting.push(Waiting { name: name.clone(), text: text.clone(), what });
        }
        Ok(())
    }

    /// A published rule; the second of one name in a file, as `action: repeat` makes them, has a number.
    fn own_name(&self, sigma: rsigma_parser::SigmaRule, before: usize) -> Result<Rule, String> {
        let mut rule = foreign::rule(sigma)?;
        let plain = rule.meta.rule.to_string();
        let mut number = 1;
        while self.index(rule.meta.rule.as_str()).is_some_and(|place| place >= before) {
            number += 1;
            rule.meta.rule = vonggac_wire::RuleId::new(&format!("{plain}-{number}"))
                .map_err(|error| error.to_string())?;
        }
        Ok(rule)
    }

    fn add(&mut self, mut rule: Rule, name: &str, text: &str) -> Result<(), RuleError> {
        let id = rule.sigma.as_ref().filter(|_| rule.foreign).and_then(|sigma| sigma.id.clone());
        if let Some(id) = id {
            self.tell_apart(&mut rule, &id);
        }
        let refused = |line, reason| RuleError::Sigma { name: name.to_owned(), line, reason };
        if self.meta(rule.meta.rule.as_str()).is_some() {
            return Err(refused(1, format!("{} is defined already", rule.meta.rule)));
        }
        let others = rule
            .meta
            .part_of
            .iter()
            .chain(&rule.meta.incident)
            .chain(&rule.meta.after)
            .chain(&rule.meta.unless);
        if let Some(other) = others.into_iter().find(|other| self.index(other.as_str()).is_none()) {
            let line = place::line(text, &format!("'{other}'"));
            return Err(refused(line, format!("there is no rule {other}")));
        }
        if let Some(sigma) = &rule.sigma {
            // What parses may still not compile: an expression that is none, or one that would take endless space.
            let everything = sigma::matches_everything(sigma)
                .map_err(|reason| refused(place::line(text, &reason), reason))?;
            if everything {
                let reason = format!("{} would match every event", rule.meta.rule);
                return Err(refused(place::line(text, "condition"), reason));
            }
        }
        self.push(rule);
        Ok(())
    }

    /// Of two published rules of one title the second carries the beginning of its id; one of the same id is the same rule.
    fn tell_apart(&self, rule: &mut Rule, id: &str) {
        let is_taken = self.index(rule.meta.rule.as_str()).is_some();
        if is_taken && self.referred(id).is_empty() {
            let named = format!("{}-{}", rule.meta.rule, id.chars().take(8).collect::<String>());
            if let Ok(named) = vonggac_wire::RuleId::new(&named.to_ascii_lowercase()) {
                rule.meta.rule = named;
            }
        }
    }

    /// Filters first, for they change rules; then correlations, those of correlations after the ones that they speak of.
    fn take(&mut self, waiting: Vec<Waiting>) -> Vec<RuleError> {
        let mut refused = Vec::new();
        let mut left = Vec::new();
        let mut filters = 0;
        for one in waiting {
            if let About::Filter(filter) = &one.what {
                filters += 1;
                refused
                    .extend(self.filter(filter, filters).err().map(|reason| one.refused(reason)));
            } else {
                left.push(one);
            }
        }
        loop {
            let before = left.len();
            let mut later = Vec::new();
            for one in left {
                let About::Correlation(correlation) = &one.what else { continue };
                if correlation.rules.iter().all(|name| !self.referred(name).is_empty()) {
                    let taken = self.correlate(correlation);
                    refused.extend(taken.err().map(|reason| one.refused(reason)));
                } else {
                    later.push(one);
                }
            }
            if later.len() == before || later.is_empty() {
                refused.extend(later.iter().map(|one| {
                    let About::Correlation(correlation) = &one.what else {
                        return one.refused("it was not taken".into());
                    };
                    let missing = correlation.rules.iter().find(|r| self.referred(r).is_empty());
                    let missing = missing.map_or("", String::as_str);
                    one.refused(format!("there is no rule '{missing}'"))
                }));
                return refused;
            }
            left = later;
        }
    }

    fn correlate(&mut self, correlation: &CorrelationRule) -> Result<(), String> {
        correlation::compile(correlation)?;
        let mut rule = foreign::correlation(correlation)?;
        if let Some(id) = &correlation.id {
            self.tell_apart(&mut rule, id);
        }
        if self.meta(rule.meta.rule.as_str()).is_some() {
            return Err(format!("{} is defined already", rule.meta.rule));
        }
        if !correlation.generate {
            // What it counts is not told by itself.
            for name in &correlation.rules {
                for place in self.referred(name).to_vec() {
                    if let Some(rule) = self.rules.get_mut(place) {
                        rule.silent = !rule.told_too;
                    }
                }
            }
        } else {
            for name in &correlation.rules {
                for place in self.referred(name).to_vec() {
                    if let Some(rule) = self.rules.get_mut(place) {
                        (rule.silent, rule.told_too) = (false, true);
                    }
                }
            }
        }
        self.push(rule);
        Ok(())
    }

    /// Joins a filter's condition to the rules of others that it names, where their sources agree. Rules of ours have exceptions of
    /// their own.
    fn filter(&mut self, filter: &FilterRule, number: usize) -> Result<(), String> {
        let meant: Vec<usize> = match &filter.rules {
            FilterRuleTarget::Any => (0..self.rules.len()).collect(),
            FilterRuleTarget::Specific(names) => {
                let missing = names.iter().find(|name| self.referred(name).is_empty());
                if let Some(name) = missing {
                    return Err(format!("there is no rule '{name}'"));
                }
                names.iter().flat_map(|name| self.referred(name).to_vec()).collect()
            }
        };
        for place in meant {
            let Some(rule) = self.rules.get_mut(place).filter(|rule| rule.foreign) else {
                continue;
            };
            let Some(sigma) = &rule.sigma else { continue };
            let source = filter.logsource.clone().unwrap_or_default();
            if !covers(&source, &sigma.logsource) {
                continue;
            }
            let mut filtered = sigma.clone();
            let own = |name: &str| format!("filter_of_others_{number}_{name}");
            for (name, detection) in &filter.detection.named {
                filtered.detection.named.insert(own(name), detection.clone());
            }
            let all = |conditions: &[ConditionExpr]| ConditionExpr::Or(conditions.to_vec());
            let names: Vec<&String> = filter.detection.named.keys().collect();
            let joined = renamed(&all(&filter.detection.conditions), &names, &own);
            let both = ConditionExpr::And(vec![all(&filtered.detection.conditions), joined]);
            filtered.detection.condition_strings = vec![both.to_string()];
            filtered.detection.conditions = vec![both];
            sigma::matches_everything(&filtered)?;
            rule.sigma = Some(filtered);
        }
        Ok(())
    }
}

/// Whether a filter of this source is about rules of that one: what it names is the same there.
fn covers(filter: &LogSource, rule: &LogSource) -> bool {
    let same = |filter: &Option<String>, rule: &Option<String>| {
        filter.as_ref().is_none_or(|filter| {
            rule.as_ref().is_some_and(|rule| rule.eq_ignore_ascii_case(filter))
        })
    };
    same(&filter.category, &rule.category)
        && same(&filter.product, &rule.product)
        && same(&filter.service, &rule.service)
}

/// A filter's condition about its own selections, which stand among those of the rule under other names.
fn renamed(
    condition: &ConditionExpr,
    names: &[&String],
    own: &impl Fn(&str) -> String,
) -> ConditionExpr {
    use rsigma_parser::{Quantifier, SelectorPattern};
    let each = |parts: &[ConditionExpr]| {
        parts.iter().map(|part| renamed(part, names, own)).collect::<Vec<_>>()
    };
    match condition {
        ConditionExpr::And(parts) => ConditionExpr::And(each(parts)),
        ConditionExpr::Or(parts) => ConditionExpr::Or(each(parts)),
        ConditionExpr::Not(part) => ConditionExpr::Not(Box::new(renamed(part, names, own))),
        ConditionExpr::Identifier(name) => ConditionExpr::Identifier(own(name)),
        // "Them" are the filter's own, and not the rule's.
        ConditionExpr::Selector { quantifier, pattern } => match (quantifier, pattern) {
            (_, SelectorPattern::Pattern(text)) => ConditionExpr::Selector {
                quantifier: quantifier.clone(),
                pattern: SelectorPattern::Pattern(own(text)),
            },
            (Quantifier::All, SelectorPattern::Them) => ConditionExpr::And(
                names.iter().map(|name| ConditionExpr::Identifier(own(name))).collect(),
            ),
            (_, SelectorPattern::Them) => ConditionExpr::Selector {
                quantifier: quantifier.clone(),
                pattern: SelectorPattern::Pattern(own("*")),
            },
        },
    }
}
