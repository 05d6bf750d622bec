//! What a search's terms are to the engine. Every value is bound, never spliced into the text.

use std::collections::BTreeMap;

use clickhouse::query::Query;
use vonggac_wire::{
    Lane, Time,
    event::Class,
    proto::{Incident, SearchRequest, Term},
};

use super::Reach;
use crate::store::StoreError;

/// Incidents whose events one term may ask for: the newest ones. Each is a condition of its own in the query.
const INCIDENTS_MAX: usize = 50;

/// A condition with what is bound to its question marks.
pub(in crate::store) struct Condition {
    pub(in crate::store) text: String,
    pub(in crate::store) values: Vec<Value>,
}

/// A value that is bound.
pub(in crate::store) enum Value {
    Text(String),
    Number(u64),
    Signed(i64),
}

pub(in crate::store) fn bind(mut query: Query, values: &[Value]) -> Query {
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text.as_str()),
            Value::Number(number) => query.bind(*number),
            Value::Signed(number) => query.bind(*number),
        };
    }
    query
}

/// The incidents that the terms `rule` and `incident` mean, by field and value: the store keeps events, the book knows what they led to.
#[derive(Clone, Debug, Default)]
pub struct Named(BTreeMap<(String, String), Vec<Incident>>);

impl Named {
    /// Those of a request's terms among all that are known.
    #[must_use]
    pub fn of(terms: &[Term], known: &[Incident]) -> Self {
        let mut named = BTreeMap::new();
        for term in terms {
            let means = |incident: &&Incident| match term.field.as_str() {
                "rule" => incident.rule == term.value,
                "incident" => term.value.trim_start_matches('#').parse() == Ok(incident.id),
                _ => false,
            };
            let mut found: Vec<Incident> = known.iter().filter(means).cloned().collect();
            found.sort_by_key(|incident| std::cmp::Reverse(incident.last_time_unix_nano));
            found.truncate(INCIDENTS_MAX);
            if !found.is_empty() {
                named.insert((term.field.clone(), term.value.clone()), found);
            }
        }
        Self(named)
    }
}

/// Where `since`, `until` and all terms hold, of what is reached.
pub(super) fn conditions(
    request: &SearchRequest,
    (since, until): (Time, Time),
    named: &Named,
    reach: &Reach,
) -> Result<Condition, StoreError> {
    let mut parts = vec![
        "time >= fromUnixTimestamp64Micro(?, 'UTC')".to_owned(),
        "time <= fromUnixTimestamp64Micro(?, 'UTC')".to_owned(),
    ];
    let mut values = vec![Value::Signed(since.micros()), Value::Signed(until.micros())];
    for term in &request.terms {
        let condition = condition(term, named)?;
        parts.push(if term.negated { format!("NOT ({})", condition.text) } else { condition.text });
        values.extend(condition.values);
    }
    if let Some(reached) = reach.condition() {
        parts.push(format!("({})", reached.text));
        values.extend(reached.values);
    }
    Ok(Condition { text: parts.join(" AND "), values })
}

pub(super) fn condition(term: &Term, named: &Named) -> Result<Condition, StoreError> {
    let text = |text: &str, values: Vec<Value>| Ok(Condition { text: text.into(), values });
    let value = || Value::Text(term.value.clone());
    match term.field.as_str() {
        "agency" => text("agency = ?", vec![value()]),
        "host" => text("host = ?", vec![value()]),
        "agent" => text("agent = ?", vec![value()]),
        "system" => text("system = ?", vec![value()]),
        "lane" => text("lane = ?", vec![value()]),
        "format" => text("format = ?", vec![value()]),
        "status" => text("status = ?", vec![value()]),
        "src_ip" => text("src_ip = ?", vec![value()]),
        "user" => text("has([user, actor_user], ?)", vec![value()]),
        "url" => text("positionCaseInsensitiveUTF8(url, ?) > 0", vec![value()]),
        "class" | "kind" => text("class = ?", vec![Value::Text(class(&term.value))]),
        "seq" => text("seq = ?", vec![Value::Number(term.value.parse().unwrap_or(0))]),
        "text" => Ok(words(&term.value)),
        "regex" => text("match(raw, ?)", vec![value()]),
        "rule" | "incident" => {
            let key = (term.field.clone(), term.value.clone());
            Ok(of_incidents(named.0.get(&key).map_or(&[], Vec::as_slice)))
        }
        other => Err(StoreError::Forbidden(format!(
            "{other:?} is no field; known: agency, host, agent, system, class, user, src_ip, status, url, text, regex, lane, format, seq, rule, incident"
        ))),
    }
}

/// A class's name; its OCSF number is understood too.
pub(crate) fn class(value: &str) -> String {
    value.parse::<u32>().map_or_else(|_| value.to_owned(), |uid| Class::from_uid(uid).name().into())
}

/// What incidents are about: the events that they name as evidence, and those of the same address, user or host at their agencies and in
/// their time. None known: no event.
pub(super) fn of_incidents(incidents: &[Incident]) -> Condition {
    let mut parts = Vec::new();
    let mut values = Vec::new();
    for incident in incidents {
        for event in &incident.evidence {
            parts.push(
                "(agent = ? AND lane = ? AND seq = ? AND time = fromUnixTimestamp64Micro(?, 'UTC'))"
                    .to_owned(),
            );
            let lane = Lane::try_from(event.lane).map_or("", Lane::name);
            values.extend([
                Value::Text(event.agent.clone()),
                Value::Text(lane.into()),
                Value::Number(event.seq),
                Value::Signed(Time(event.time_unix_nano).micros()),
            ]);
        }
        let Some(entity) = &incident.entity else { continue };
        let about = match entity.kind.as_str() {
            "src_ip" => "src_ip = ?",
            "user" => "has([user, actor_user], ?)",
            "host" => "host = ?",
            _ => continue,
        };
        if incident.agencies.is_empty() {
            continue;
        }
        let places = vec!["?"; incident.agencies.len()].join(", ");
        parts.push(format!(
            "({about} AND agency IN ({places}) AND time >= fromUnixTimestamp64Micro(?, 'UTC') AND time <= fromUnixTimestamp64Micro(?, 'UTC'))"
        ));
        values.push(Value::Text(entity.value.clone()));
        values.extend(incident.agencies.iter().cloned().map(Value::Text));
        values.push(Value::Signed(Time(incident.first_time_unix_nano).micros()));
        values.push(Value::Signed(Time(incident.last_time_unix_nano).micros()));
    }
    if parts.is_empty() {
        return Condition { text: "0".into(), values };
    }
    Condition { text: format!("({})", parts.join(" OR ")), values }
}

/// A text as the column `folded` has it: in small letters, without marks.
const FOLDED: &str = "replaceAll(lowerUTF8(removeDiacriticsUTF8(toValidUTF8(?))), 'đ', 'd')";

/// What the column `folded` is made of, for rows that lie outside the table: as in its migration.
pub(in crate::store) const FOLDED_OF_ROW: &str = "if(isValidASCII(concat(raw, '\\n', message)), lower(concat(raw, '\\n', message)), \
    replaceAll(lowerUTF8(removeDiacriticsUTF8(toValidUTF8(concat(raw, '\\n', message)))), 'đ', 'd'))";

/// Where these words stand beside one another. With a star before or behind them they may be parts of words, for which every row of the
/// window is read; whole words are looked up in the index.
fn words(text: &str) -> Condition {
    let sought = text.trim_matches('*').to_owned();
    let beside = format!("position(folded, {FOLDED}) > 0");
    if sought.len() < text.len() {
        return Condition { text: beside, values: vec![Value::Text(sought)] };
    }
    Condition {
        text: format!("(hasAll(tokens(folded), tokens({FOLDED})) AND {beside})"),
        values: vec![Value::Text(sought.clone()), Value::Text(sought)],
    }
}

/// Agencies that a search is limited to; none: it is not.
pub(super) fn agencies(terms: &[Term]) -> Vec<&str> {
    let mut named = terms.iter().filter(|term| term.field == "agency" && !term.negated);
    match (named.next(), named.next()) {
        (Some(one), None) => vec![one.value.as_str()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::proto::{Entity, EventRef};

    use super::*;

    fn incident(id: u64, rule: &str, kind: &str, last: i64) -> Incident {
        Incident {
            id,
            rule: rule.into(),
            entity: Some(Entity { kind: kind.into(), value: "203.0.113.7".into() }),
            agencies: vec!["H49".into(), "tk-48".into()],
            last_time_unix_nano: last,
            evidence: vec![EventRef { agent: "a".into(), lane: 1, seq: 7, time_unix_nano: 1_000 }],
            ..Incident::default()
        }
    }

    fn term(field: &str, value: &str) -> Term {
        Term { field: field.into(), value: value.into(), negated: false }
    }

    #[test]
    fn every_question_mark_has_its_value() {
        let known = [incident(7, "r", "src_ip", 5), incident(8, "r", "check", 9)];
        let terms = [
            term("rule", "r"),
            term("incident", "#7"),
            term("text", "a b"),
            term("text", "*a*"),
            term("class", "3002"),
            term("user", "?"),
        ];
        let named = Named::of(&terms, &known);
        for term in &terms {
            let condition = condition(term, &named).unwrap();
            assert_eq!(condition.text.matches('?').count(), condition.values.len(), "{term:?}");
        }
        assert!(condition(&term("mac", "x"), &named).is_err());
    }

    #[test]
    fn incidents_are_found_by_rule_and_number_and_unknown_ones_have_no_event() {
        let known = [incident(7, "r", "src_ip", 5), incident(8, "s", "check", 9)];
        let all = Named::of(&[term("rule", "r"), term("incident", "8"), term("rule", "x")], &known);
        assert_eq!(all.0.len(), 2);
        assert_eq!(condition(&term("rule", "x"), &all).unwrap().text, "0");
        assert!(condition(&term("rule", "r"), &all).unwrap().text.contains("src_ip = ?"));
        assert!(!condition(&term("incident", "8"), &all).unwrap().text.contains("agency"));
    }

    #[test]
    fn of_many_incidents_the_newest_are_asked_for() {
        let known: Vec<Incident> = (0..200).map(|n| incident(n, "r", "src_ip", n as i64)).collect();
        let named = Named::of(&[term("rule", "r")], &known);
        let found = &named.0[&("rule".to_owned(), "r".to_owned())];
        assert_eq!((found.len(), found[0].id), (INCIDENTS_MAX, 199));
    }
}
