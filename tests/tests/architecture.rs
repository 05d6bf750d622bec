//! Who may depend on whom.
#![expect(clippy::expect_used, reason = "a test stops where its ground is missing")]

use std::{collections::HashSet, path::Path, process::Command};

fn metadata() -> serde_json::Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo metadata runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn dependencies(metadata: &serde_json::Value, name: &str) -> HashSet<String> {
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == name).expect("the package");
    let all = package["dependencies"].as_array().expect("dependencies");
    all.iter()
        .filter(|d| d["kind"].is_null())
        .filter_map(|d| Some(d["name"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn agent_collector_and_console_never_meet() {
    let metadata = metadata();
    let sides = ["vonggac-agent", "vonggac-collector", "vonggac"];
    for side in sides {
        let needed = dependencies(&metadata, side);
        assert!(sides.iter().all(|other| !needed.contains(*other)), "{side} depends on {needed:?}");
        assert!(needed.contains("vonggac-wire"), "{side}");
    }
}

#[test]
fn the_contract_knows_neither_tokio_nor_kafka() {
    let needed = dependencies(&metadata(), "vonggac-wire");
    for refused in ["tokio", "rdkafka", "clickhouse", "hyper"] {
        assert!(!needed.contains(refused), "{refused}");
    }
}
