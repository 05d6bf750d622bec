//! What a rule may not ask for, told before it is understood: nesting that would take the stack, expressions that would take endless memory,
//! windows that never end. Pure.
//!
//! Expressions cost a time that grows with the event alone, whatever they are: the engine's have no backtracking. What they take in memory
//! grows with what they repeat, and is bounded here.

use regex::RegexBuilder;
use serde::Deserialize;
use serde_yaml_ng::Value;

use super::Meta;

/// Keys and values of a rule with all that its anchors repeat: the longest published one has some hundreds.
const VALUES_MAX: usize = 50_000;

/// Bytes of a condition: the longest published one has 93.
const CONDITION_BYTES_MAX: usize = 4 * 1024;

/// Parentheses within parentheses of a condition: published ones have two. The parser goes down into each.
const PARENTHESES_MAX: usize = 32;

/// `not` one behind the other.
const NOTS_MAX: usize = 8;

/// What one expression may take once it is compiled, in steps: which of them it needs is all that can be asked.
const EXPRESSION_BYTES: [usize; 6] = [64 << 10, 256 << 10, 1 << 20, 2 << 20, 4 << 20, 10 << 20];

/// What all expressions of a rule may take.
const EXPRESSIONS_BYTES_MAX: usize = 128 << 20;

/// Expressions of one rule.
const EXPRESSIONS_MAX: usize = 500;

/// Seconds of a window: what is counted over a longer time is a question to the store.
const WINDOW_SECONDS_MAX: u64 = 7 * 86_400;

/// Matches of one entity that are kept. A rule that waits for more would never fire.
pub(crate) const MATCHES_KEPT_MAX: usize = 256;

/// Refuses what would not be bounded in the text of a file.
pub(super) fn of_text(text: &str) -> Result<(), String> {
    let mut values = 0;
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let document = Value::deserialize(document).map_err(|error| error.to_string())?;
        let mut expressions = Expressions::default();
        walk(&document, "", &mut values, &mut expressions)?;
    }
    Ok(())
}

/// Of one rule.
#[derive(Default)]
struct Expressions {
    number: usize,
    bytes: usize,
}

fn walk(
    value: &Value,
    key: &str,
    values: &mut usize,
    expressions: &mut Expressions,
) -> Result<(), String> {
    *values += 1;
    if *values > VALUES_MAX {
        return Err(format!("it has more than {VALUES_MAX} keys and values"));
    }
    match value {
        Value::Mapping(all) => all.iter().try_for_each(|(name, value)| {
            walk(value, name.as_str().unwrap_or_default(), values, expressions)
        }),
        Value::Sequence(all) => {
            all.iter().try_for_each(|value| walk(value, key, values, expressions))
        }
        Value::String(text) if key == "condition" => condition(text),
        Value::String(text) if key.split('|').skip(1).any(|modifier| modifier == "re") => {
            expressions.take(text)
        }
        _ => Ok(()),
    }
}

fn condition(text: &str) -> Result<(), String> {
    if text.len() > CONDITION_BYTES_MAX {
        return Err(format!("`condition` is longer than {CONDITION_BYTES_MAX} bytes"));
    }
    let (mut depth, mut nots) = (0_usize, 0);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > PARENTHESES_MAX {
            return Err(format!(
                "`condition` has more than {PARENTHESES_MAX} parentheses within each other"
            ));
        }
    }
    for word in text.split(|letter: char| letter.is_whitespace() || matches!(letter, '(' | ')')) {
        match word {
            "" => {}
            word if word.eq_ignore_ascii_case("not") => nots += 1,
            _ => nots = 0,
        }
        if nots > NOTS_MAX {
            return Err(format!("`condition` says `not` more than {NOTS_MAX} times in a row"));
        }
    }
    Ok(())
}

impl Expressions {
    fn take(&mut self, text: &str) -> Result<(), String> {
        self.number += 1;
        if self.number > EXPRESSIONS_MAX {
            return Err(format!("it has more than {EXPRESSIONS_MAX} expressions"));
        }
        // What is no expression is told by the engine.
        let fits = |bytes: &usize| {
            let built = RegexBuilder::new(text).size_limit(*bytes).build();
            !matches!(built, Err(regex::Error::CompiledTooBig(_)))
        };
        let Some(bytes) = EXPRESSION_BYTES.iter().find(|bytes| fits(bytes)) else {
            let begin: String = text.chars().take(40).collect();
            return Err(format!(
                "an expression would take endless memory; repeat less in `{begin}`"
            ));
        };
        self.bytes += bytes;
        if self.bytes > EXPRESSIONS_BYTES_MAX {
            return Err(format!(
                "its expressions would take more than {EXPRESSIONS_BYTES_MAX} bytes"
            ));
        }
        Ok(())
    }
}

/// Refuses numbers of ours that mean nothing, or a state without an end.
pub(super) fn of_meta(meta: &Meta) -> Result<(), String> {
    if !(1..=4).contains(&meta.severity) {
        return Err("`severity` has to be 1, 2, 3 or 4".into());
    }
    if !(1..=WINDOW_SECONDS_MAX).contains(&meta.window_seconds) {
        return Err(format!("`window_seconds` has to be between 1 and {WINDOW_SECONDS_MAX}"));
    }
    let kept = MATCHES_KEPT_MAX as u64;
    let thresholds = [Some(meta.threshold), meta.threshold_on_host];
    if thresholds.into_iter().flatten().any(|wanted| wanted == 0) {
        return Err("`threshold` has to be 1 or more".into());
    }
    if meta.threshold > kept && meta.weights.values().all(|weight| *weight <= 1) {
        return Err(format!(
            "`threshold` asks for more than {kept} matches, and no more are kept of one entity"
        ));
    }
    if meta.spacing_seconds.is_some_and(|spacing| {
        spacing.saturating_mul(meta.threshold) > meta.window_seconds.saturating_mul(2)
    }) {
        return Err("`spacing_seconds` leaves no room for `threshold` matches in the window".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use vonggac_wire::{
        Event, Time,
        event::{Activity, Body, Class, Status},
    };

    use crate::{
        detect::sigma::Matcher,
        rule::{RuleError, RuleSet},
    };

    /// What is said of a file; empty: it is taken.
    fn said(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bad.yml"), text).unwrap();
        std::fs::write(folder.path().join("good.yml"), GOOD).unwrap();
        let mut rules = RuleSet::default();
        let refused = rules.add_folder(folder.path()).unwrap();
        let good = rules.meta("good").is_some();
        assert!(good, "its neighbour is taken");
        assert!(refused.len() <= 1);
        refused.first().map(RuleError::to_string).unwrap_or_default()
    }

    const GOOD: &str = "title: Good\nlogsource: {product: linux}\ndetection: {sel: {Image: /bin/nc}, condition: sel}\n";

    fn rule(detection: &str) -> String {
        format!("title: Bad\nlogsource: {{product: linux}}\ndetection:\n{detection}\n")
    }

    fn ours(numbers: &str) -> String {
        format!(
            "{}vonggac: {{rule: bad, title_vi: a, title_en: b, group_by: host, {numbers}}}\n",
            rule("  sel: {Image: /bin/a}\n  condition: sel")
        )
    }

    fn correlation(of: &str) -> String {
        format!("{GOOD}---\ntitle: Bad\ncorrelation: {{rules: [Good], group-by: [user], {of}}}\n")
            .replace("title: Good", "title: Well\nname: Good")
    }

    #[test]
    fn a_rule_that_would_match_all_or_hold_or_cost_without_end_is_refused_with_file_and_line() {
        let image = "  sel: {Image: /bin/a}\n";
        let deep = |open: &str, times: usize, close: &str| {
            rule(&format!("{image}  condition: {}sel{}", open.repeat(times), close.repeat(times)))
        };
        let bomb: String = (1..20)
            .map(|n| format!("  a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1))
            .collect();
        let wide: String = (0..60).map(|n| format!("      - 'a{n}\\w{{150}}'\n")).collect();
        let many: String = (0..600).map(|n| format!("      - 'a{n}.*b'\n")).collect();
        for (text, reason) in [
            (rule("  sel: {Image: '*'}\n  condition: sel or not sel"), "would match every event"),
            (rule("  sel: {nothing: x}\n  condition: not sel"), "would match every event"),
            (rule("  sel: {nothing: null}\n  condition: sel"), "would match every event"),
            (rule("  sel: {nothing|exists: false}\n  condition: sel"), "would match every event"),
            (
                rule(
                    "  sel: {message|re: '.*'}\n  other: {nothing: x}\n  condition: sel or not other",
                ),
                "would match every event",
            ),
            (deep("(", 33, ")"), "parentheses within each other"),
            (deep("(", 20_000, ")"), "longer than 4096 bytes"),
            (deep("not ", 9, ""), "`not` more than 8 times"),
            (deep("not (", 9, ")"), "`not` more than 8 times"),
            (
                rule("  sel: {Image|re: '(a{1,1000}){1,1000}'}\n  condition: sel"),
                "an expression would take",
            ),
            (
                rule("  sel: {Image|re|i: '\\w{1,5000}'}\n  condition: sel"),
                "an expression would take",
            ),
            (rule("  sel: {Image|re: '(a'}\n  condition: sel"), "a"),
            (
                rule(&format!("  sel:\n    Image|re:\n{many}  condition: sel")),
                "more than 500 expressions",
            ),
            (
                rule(&format!("  sel:\n    Image|re:\n{wide}  condition: sel")),
                "expressions would take more than",
            ),
            (rule(&format!("  a0: &a0 [x, x, x, x]\n{bomb}{image}  condition: sel")), "bad.yml"),
            (ours("severity: 0"), "`severity` has to be"),
            (ours("severity: 5"), "`severity` has to be"),
            (ours("severity: 3, window_seconds: 0"), "`window_seconds` has to be"),
            (ours("severity: 3, window_seconds: 604801"), "`window_seconds` has to be"),
            (ours("severity: 3, threshold: 0"), "`threshold` has to be 1"),
            (ours("severity: 3, threshold: 257"), "more than 256 matches"),
            (
                ours("severity: 3, threshold: 10, window_seconds: 60, spacing_seconds: 60"),
                "leaves no room",
            ),
            (correlation("type: event_count, timespan: 8d, condition: {gte: 2}"), "seven days"),
            (correlation("type: event_count, timespan: 0s, condition: {gte: 2}"), "a"),
            (
                correlation("type: event_count, timespan: 1h, condition: {gte: 50001}"),
                "more than 50000",
            ),
        ] {
            let told = said(&text);
            assert!(told.contains(reason), "{told:?} does not say {reason:?} of\n{text:.400}");
            let place = told.split("bad.yml:").nth(1).and_then(|rest| rest.split(':').next());
            assert!(place.is_some_and(|line| line.parse::<usize>().is_ok()), "{told}");
        }
    }

    #[test]
    fn what_is_as_large_as_may_be_is_taken() {
        for text in [
            rule("  sel: {Image: /bin/a}\n  condition: ((((not sel))) and sel)"),
            rule("  sel: {Image|re: '(a+)+$'}\n  condition: sel"),
            ours("severity: 4, threshold: 256, window_seconds: 604800"),
            correlation("type: event_count, timespan: 7d, condition: {gte: 50000}"),
        ] {
            assert_eq!(said(&text), "", "{text}");
        }
    }

    #[test]
    fn an_expression_that_backtracks_elsewhere_takes_no_longer_for_a_hostile_line() {
        let folder = tempfile::tempdir().unwrap();
        for (number, expression) in
            ["(a+)+$", "(a|aa)+$", "(.*a){12}x", "^(([a-z])+.)+[A-Z]([a-z])+$"].iter().enumerate()
        {
            let text = rule(&format!("  sel: {{message|re: '{expression}'}}\n  condition: sel"));
            let text = text.replace("title: Bad", &format!("title: Bad {number}"));
            std::fs::write(folder.path().join(format!("{number}.yml")), text).unwrap();
        }
        let mut rules = RuleSet::default();
        assert!(rules.add_folder(folder.path()).unwrap().is_empty());
        let matcher = Matcher::new(&rules).unwrap();
        let mut activity = Activity::of(Class::Base, 1, Status::Unknown);
        activity.message = format!("{}!", "a".repeat(60_000));
        let event = Event::new(Time(0), Time(0), Body::Activity(activity.clone()));
        let begun = Instant::now();
        assert!(matcher.matches(&event, &activity).is_empty());
        // One that backtracks would take years.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
