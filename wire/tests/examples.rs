//! Golden events, one a kind and version. What was once written must stay readable.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test or bench stops where its ground is missing"
)]

use std::{collections::BTreeSet, fs, path::Path};

use vonggac_wire::{Event, event::Body};

fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<_> = fs::read_dir(folder)
        .expect("the examples folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("an example"))
        })
        .collect();
    examples.sort();
    examples
}

#[test]
fn every_example_survives_protobuf_and_json() {
    for (name, text) in examples() {
        let event: Event =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let decoded = Event::decode(&event.clone().encode())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded, event, "{name}");
        let again: Event =
            serde_json::from_str(&serde_json::to_string(&event).expect("JSON")).expect("an event");
        assert_eq!(again, event, "{name}");
    }
}

#[test]
fn no_field_of_an_example_is_unknown() {
    for (name, text) in examples() {
        let given: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let event: Event = serde_json::from_str(&text).expect("an event");
        let kept = serde_json::to_value(&event).expect("JSON");
        assert_within(&name, &given, &kept);
    }
}

/// Everything that is given is kept; the kept may have defaults besides.
fn assert_within(path: &str, given: &serde_json::Value, kept: &serde_json::Value) {
    use serde_json::Value;
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (key, value) in given {
                let path = format!("{path}.{key}");
                let kept = kept.get(key).unwrap_or_else(|| panic!("{path} is not kept"));
                assert_within(&path, value, kept);
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            assert_eq!(given.len(), kept.len(), "{path}");
            for (index, (given, kept)) in given.iter().zip(kept).enumerate() {
                assert_within(&format!("{path}[{index}]"), given, kept);
            }
        }
        (Value::Number(given), Value::Number(kept)) => {
            assert_eq!(given.as_f64(), kept.as_f64(), "{path}");
        }
        _ => assert_eq!(given, kept, "{path}"),
    }
}

#[test]
fn there_is_an_example_of_every_kind() {
    let kinds: BTreeSet<&str> = examples()
        .iter()
        .map(|(_, text)| {
            let event: Event = serde_json::from_str(text).expect("an event");
            match event.body() {
                Body::Heartbeat(_) => "heartbeat",
                Body::HostFigures(_) => "host_figures",
                Body::Check(_) => "check",
                Body::Gap(_) => "gap",
                Body::Activity(_) => "activity",
                Body::Session(_) => "session",
                Body::Dossier(_) => "dossier",
                Body::Document(_) => "document",
                Body::Payment(_) => "payment",
                Body::Rating(_) => "rating",
                Body::Exchange(_) => "exchange",
            }
        })
        .collect();
    assert_eq!(kinds.len(), 11, "{kinds:?}");
}
