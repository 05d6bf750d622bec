//! Rules of others: Sigma as it is published, without `vonggac:`. What ours say there is taken from what Sigma says itself.

use std::collections::BTreeMap;

use rsigma_parser::{CorrelationRule, Level, SigmaCollection, SigmaRule};
use vonggac_wire::RuleId;

use super::{Examples, GroupBy, Meta, Rule};

/// Longest name that is made of a title.
const NAME_BYTES_MAX: usize = 60;

/// An incident of such a rule is over when nothing came for so long: an hour.
const QUIET_SECONDS: u64 = 3_600;

/// Whether a text is more than one plain rule: several documents, a correlation or a filter.
pub(super) fn is_several(text: &str) -> bool {
    let begins = |key: &str| text.lines().any(|line| line.starts_with(key));
    let documents = text
        .split("\n---")
        .filter(|part| part.lines().any(|line| !line.is_empty() && !line.starts_with(['#', '-'])))
        .count();
    documents > 1 || begins("correlation:") || begins("filter:")
}

/// All that a text of several documents holds.
pub(super) fn several(text: &str) -> Result<SigmaCollection, String> {
    if text.lines().any(|line| line.starts_with("vonggac:")) {
        return Err("`vonggac` stands in a file with one rule".into());
    }
    let collection = rsigma_parser::parse_sigma_yaml(text).map_err(|error| error.to_string())?;
    match collection.errors.first() {
        Some(error) => Err(error.clone()),
        None => Ok(collection),
    }
}

/// Gives a published rule an entity, a severity and words.
pub(super) fn rule(sigma: SigmaRule) -> Result<Rule, String> {
    let group_by = entity(sigma.logsource.category.as_deref());
    let meta = meta(&sigma.title, sigma.description.as_deref(), sigma.level, &sigma.tags)?;
    Ok(Rule::of(Meta { group_by: Some(group_by), ..meta }, Some(sigma), true))
}

/// The same for a correlation. Its groups are its entities.
pub(super) fn correlation(rule: &CorrelationRule) -> Result<Rule, String> {
    let meta = meta(&rule.title, rule.description.as_deref(), rule.level, &rule.tags)?;
    let meta = Meta { window_seconds: rule.timespan.seconds, ..meta };
    Ok(Rule { correlation: Some(rule.clone()), ..Rule::of(meta, None, true) })
}

fn meta(
    title: &str,
    description: Option<&str>,
    level: Option<Level>,
    named: &[String],
) -> Result<Meta, String> {
    let name = name(title);
    let rule = RuleId::new(&name).map_err(|error| format!("{name}: {error}"))?;
    let title = title.replace(['{', '}'], "");
    let steps: Vec<String> = description.iter().map(|text| text.trim().to_owned()).collect();
    Ok(Meta {
        rule,
        severity: severity(level),
        part_of: None,
        incident: None,
        label: None,
        group_by: None,
        threshold: 1,
        threshold_on_host: None,
        grave: None,
        weights: BTreeMap::new(),
        distinct: None,
        echoes: Vec::new(),
        forgives: None,
        window_seconds: 300,
        after: Vec::new(),
        unless: Vec::new(),
        spacing_seconds: None,
        machine: None,
        numbers: BTreeMap::new(),
        quiet_seconds: Some(QUIET_SECONDS),
        attack: false,
        title_vi: title.clone(),
        title_en: title,
        steps_vi: steps.clone(),
        steps_en: steps,
        attack_tags: tags(named),
        examples: Examples::default(),
    })
}

/// `Suspicious Curl - Linux` is `suspicious-curl-linux`.
fn name(title: &str) -> String {
    let mut name = String::new();
    for character in title.chars() {
        if character.is_ascii_alphanumeric() {
            name.extend(character.to_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() >= NAME_BYTES_MAX {
            break;
        }
    }
    name.trim_end_matches('-').to_owned()
}

const fn severity(level: Option<Level>) -> u32 {
    match level {
        Some(Level::Critical) => 2,
        Some(Level::High) => 3,
        _ => 4,
    }
}

fn entity(category: Option<&str>) -> GroupBy {
    match category {
        Some("webserver" | "proxy" | "firewall") => GroupBy::SrcIp,
        _ => GroupBy::Host,
    }
}

/// `attack.t1059.004` is T1059.004; tactics and other tags are left out.
fn tags(tags: &[String]) -> Vec<String> {
    let technique = |tag: &String| {
        let number = tag.strip_prefix("attack.")?.to_ascii_uppercase();
        let digits = number.strip_prefix('T')?.chars().next()?.is_ascii_digit();
        digits.then_some(number)
    };
    tags.iter().filter_map(technique).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = "title: Suspicious {Curl} - Linux/Unix\nlogsource: {category: process_creation, product: linux}\ndetection:\n  selection: {Image|endswith: /curl}\n  condition: selection\nlevel: high\ntags: [attack.execution, attack.t1059.004, car.2016]\n";

    #[test]
    fn a_published_rule_has_a_name_an_entity_a_severity_and_words() {
        let rule = Rule::parse("a.yml", PUBLISHED).unwrap();
        assert_eq!(rule.meta.rule.as_str(), "suspicious-curl-linux-unix");
        assert_eq!(rule.meta.group_by, Some(GroupBy::Host));
        assert_eq!(rule.meta.severity, 3);
        assert_eq!(rule.meta.title_en, "Suspicious Curl - Linux/Unix");
        assert_eq!(rule.meta.attack_tags, ["T1059.004"]);
    }
}
