//! Incidents as a STIX 2.1 bundle: each with the agencies that it touched, and where its entity is an address, with what was observed of it.
//!
//! Identifiers are made of what they name, so that a second export of the same incident is the same object with a later `modified`, and a
//! receiver keeps one.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;
use vonggac_wire::{Time, proto::Incident};

/// STIX 2.1's namespace for deterministic identifiers of observables, section 2.9.
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);

/// Ours, for all else.
const OURS: Uuid = Uuid::from_u128(0x6f0d_6c8e_54b1_5c7a_9c1e_7d20_6b6f_3a11);

/// STIX's limit of `number_observed`.
const OBSERVED_MAX: u64 = 999_999_999;

fn id(kind: &str, name: &str) -> String {
    format!("{kind}--{}", Uuid::new_v5(&OURS, format!("{kind}/{name}").as_bytes()))
}

/// RFC 3339 with milliseconds at most, as STIX wants.
fn time(nanos: i64) -> String {
    Time(nanos.div_euclid(1_000_000) * 1_000_000).to_string()
}

/// The bundle; `centre` names who tells, and is part of every identifier.
#[must_use]
pub fn bundle(centre: &str, incidents: &[Incident]) -> Value {
    let mut objects: BTreeMap<String, Value> = BTreeMap::new();
    let author = id("identity", centre);
    let first = incidents.iter().map(|incident| incident.opened_unix_nano).min().unwrap_or(0);
    objects.insert(
        author.clone(),
        json!({
            "type": "identity", "spec_version": "2.1", "id": author, "created": time(first), "modified": time(first),
            "name": centre, "identity_class": "organization",
        }),
    );
    for incident in incidents {
        add(&mut objects, centre, &author, incident);
    }
    let all: Vec<Value> = objects.into_values().collect();
    let names: Vec<&str> = all.iter().filter_map(|object| object["id"].as_str()).collect();
    json!({ "type": "bundle", "id": id("bundle", &names.join(",")), "objects": all })
}

fn add(objects: &mut BTreeMap<String, Value>, centre: &str, author: &str, incident: &Incident) {
    let (created, modified) =
        (incident.opened_unix_nano, incident.updated_unix_nano.max(incident.opened_unix_nano));
    let own = id("incident", &format!("{centre}/{}", incident.id));
    let common = |kind: &str, id: &str| {
        json!({
            "type": kind, "spec_version": "2.1", "id": id, "created_by_ref": author,
            "created": time(created), "modified": time(modified),
        })
    };
    let mut object = common("incident", &own);
    let title = if incident.title_en.is_empty() { &incident.rule } else { &incident.title_en };
    object["name"] = json!(if title.is_empty() { "incident" } else { title });
    object["description"] = json!(format!(
        "{} (rule {}, {} {}): {} events at {} agencies from {} to {}",
        incident.title_vi,
        incident.rule,
        incident.entity.as_ref().map_or("", |entity| entity.kind.as_str()),
        incident.entity.as_ref().map_or("", |entity| entity.value.as_str()),
        incident.count,
        incident.agencies.len(),
        time(incident.first_time_unix_nano),
        time(incident.last_time_unix_nano),
    ));
    let mut labels =
        vec![incident.level().name().to_owned(), incident.current_state().name().to_owned()];
    labels.extend(incident.current_verdict().map(|verdict| verdict.name().to_owned()));
    if incident.simulated {
        labels.push("simulated".into());
    }
    object["labels"] = json!(labels);
    object["external_references"] = json!([
        { "source_name": "vonggac", "external_id": incident.id.to_string() },
        { "source_name": "vonggac-rule", "external_id": if incident.rule.is_empty() { "none" } else { &incident.rule } },
    ]);
    objects.insert(own.clone(), object);
    let relate = |objects: &mut BTreeMap<String, Value>, target: &str| {
        let name = id("relationship", &format!("{own}/{target}"));
        let mut relation = common("relationship", &name);
        relation["relationship_type"] = json!("related-to");
        relation["source_ref"] = json!(own);
        relation["target_ref"] = json!(target);
        objects.insert(name, relation);
    };
    for agency in
        incident.agencies.iter().chain([&incident.agency]).filter(|agency| !agency.is_empty())
    {
        let name = id("identity", &format!("{centre}/agency/{agency}"));
        objects.entry(name.clone()).or_insert_with(|| {
            let mut object = common("identity", &name);
            object["name"] = json!(agency);
            object["identity_class"] = json!("organization");
            object["sectors"] = json!(["government"]);
            object
        });
        relate(objects, &name);
    }
    let Some((kind, address)) = address(incident) else { return };
    let seen = format!(
        "{kind}--{}",
        Uuid::new_v5(&OBSERVABLES, json!({ "value": address }).to_string().as_bytes())
    );
    objects.insert(
        seen.clone(),
        json!({ "type": kind, "spec_version": "2.1", "id": seen, "value": address }),
    );
    let name = id("observed-data", &format!("{own}/{seen}"));
    let mut observed = common("observed-data", &name);
    observed["first_observed"] = json!(time(incident.first_time_unix_nano));
    observed["last_observed"] =
        json!(time(incident.last_time_unix_nano.max(incident.first_time_unix_nano)));
    observed["number_observed"] = json!(incident.count.clamp(1, OBSERVED_MAX));
    observed["object_refs"] = json!([seen]);
    objects.insert(name.clone(), observed);
    relate(objects, &name);
}

/// The address that an incident is about, with STIX's name for its kind.
fn address(incident: &Incident) -> Option<(&'static str, String)> {
    let entity = incident.entity.as_ref().filter(|entity| entity.kind == "src_ip")?;
    let address: std::net::IpAddr = entity.value.parse().ok()?;
    Some((if address.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" }, address.to_string()))
}

#[cfg(test)]
mod tests {
    use vonggac_wire::proto::Entity;

    use super::*;

    fn incident(id: u64, kind: &str, value: &str) -> Incident {
        Incident {
            id,
            rule: "ssh-brute-force".into(),
            title_en: "Brute force".into(),
            agency: "H49".into(),
            agencies: vec!["H49".into(), "G22".into()],
            count: 40,
            state: 5,
            severity: 2,
            verdict: 2,
            opened_unix_nano: 1_764_000_000_123_456_789,
            updated_unix_nano: 1_764_000_100_000_000_000,
            first_time_unix_nano: 1_763_999_990_000_000_000,
            last_time_unix_nano: 1_764_000_090_000_000_000,
            entity: Some(Entity { kind: kind.into(), value: value.into() }),
            ..Incident::default()
        }
    }

    /// The rules of STIX 2.1 that any consumer checks: sections 2.9, 2.10, 3.2, 3.6, 4.14, 5.1 and 8.
    fn check(bundle: &Value) {
        assert_eq!(bundle["type"], "bundle");
        let objects = bundle["objects"].as_array().unwrap();
        let ids: Vec<&str> = objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
        for object in objects.iter().chain([bundle]) {
            let (kind, id) = (object["type"].as_str().unwrap(), object["id"].as_str().unwrap());
            let (prefix, uuid) = id.split_once("--").unwrap();
            assert_eq!(prefix, kind);
            assert_eq!(Uuid::parse_str(uuid).unwrap().get_version_num(), 5);
            if kind == "bundle" {
                continue;
            }
            assert_eq!(object["spec_version"], "2.1");
            if !kind.ends_with("-addr") {
                let (created, modified): (Time, Time) = (
                    object["created"].as_str().unwrap().parse().unwrap(),
                    object["modified"].as_str().unwrap().parse().unwrap(),
                );
                assert!(created <= modified && object["created"].as_str().unwrap().ends_with('Z'));
            }
            for (name, value) in object.as_object().unwrap() {
                assert!(
                    name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                    "{name}"
                );
                assert!(!value.is_null() && value != &json!([]), "{name}");
                let references = match value {
                    Value::String(text) if name.ends_with("_ref") => vec![text.as_str()],
                    Value::Array(all) if name.ends_with("_refs") => {
                        all.iter().filter_map(Value::as_str).collect()
                    }
                    _ => Vec::new(),
                };
                assert!(
                    references.iter().all(|reference| ids.contains(reference)),
                    "{name}: {value}"
                );
            }
            let required: &[&str] = match kind {
                "incident" | "identity" => &["name"],
                "relationship" => &["relationship_type", "source_ref", "target_ref"],
                "observed-data" => {
                    &["first_observed", "last_observed", "number_observed", "object_refs"]
                }
                "ipv4-addr" | "ipv6-addr" => &["value"],
                other => panic!("{other}"),
            };
            assert!(required.iter().all(|name| object.get(name).is_some()), "{object:#}");
        }
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ids.len());
    }

    #[test]
    fn a_bundle_is_whole_and_refers_only_to_itself() {
        let all = [
            incident(1, "src_ip", "203.0.113.7"),
            incident(2, "src_ip", "2001:db8::1"),
            incident(3, "check", "203.0.113.7"),
            Incident::default(),
        ];
        let bundle = bundle("centre", &all);
        check(&bundle);
        let count = |kind: &str| {
            bundle["objects"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|object| object["type"] == kind)
                .count()
        };
        assert_eq!(
            (count("incident"), count("identity"), count("observed-data"), count("ipv6-addr")),
            (4, 3, 2, 1)
        );
        let first = bundle["objects"]
            .as_array()
            .unwrap()
            .iter()
            .find(|object| object["name"] == "Brute force")
            .unwrap();
        assert_eq!(first["labels"], json!(["high", "closed", "true_positive"]));
        assert_eq!(first["created"], "2025-11-24T16:00:00.123Z");
    }

    #[test]
    fn the_same_incident_is_the_same_object_again() {
        let one = bundle("centre", &[incident(1, "src_ip", "203.0.113.7")]);
        assert_eq!(one, bundle("centre", &[incident(1, "src_ip", "203.0.113.7")]));
        let other = bundle("elsewhere", &[incident(1, "src_ip", "203.0.113.7")]);
        let of = |bundle: &Value, kind: &str| {
            let objects = bundle["objects"].as_array().unwrap();
            objects.iter().find(|object| object["type"] == kind).unwrap()["id"].clone()
        };
        assert_ne!(
            of(&one, "incident"),
            of(&other, "incident"),
            "two centres count for themselves"
        );
        assert_eq!(
            of(&one, "ipv4-addr"),
            of(&other, "ipv4-addr"),
            "an address is the same everywhere"
        );
    }
}
