//! Rules that are measured: our own, those that others publish where they are at hand, and copies of these that differ.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use serde_yaml_ng::Value;
use vonggac_collector::rule::RuleSet;

#[path = "../../../material.rs"]
mod others;

/// Our own pack, with so many times the published rules; and how many of all are Sigma's.
pub(crate) fn rules(times: usize) -> anyhow::Result<(Arc<RuleSet>, usize)> {
    let mut rules = RuleSet::builtin()?;
    if let Some(folder) = others::material("sigma-rules/rules") {
        rules.add_folder(&folder)?;
        let copies = tempfile::tempdir()?;
        let mut files = Vec::new();
        walk(&folder, &mut files)?;
        for number in 1..times {
            for (at, file) in files.iter().enumerate() {
                let text = copy(&fs::read_to_string(file)?, number)?;
                fs::write(copies.path().join(format!("{number}-{at}.yml")), text)?;
            }
        }
        rules.add_folder(copies.path())?;
    }
    let sigma = rules.rules().iter().filter(|rule| rule.sigma.is_some()).count();
    Ok((Arc::new(rules), sigma))
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "yml") {
            files.push(path);
        }
    }
    Ok(())
}

/// The same rule about other values: a copy of the same ones would be found by one look into the engine's index.
fn copy(text: &str, number: usize) -> anyhow::Result<String> {
    let mut rule: Value = serde_yaml_ng::from_str(text)?;
    let title = rule.get("title").and_then(Value::as_str).context("a title")?;
    let title = format!("Copy {number} of {title}");
    let id = format!("{number:08x}-0000-4000-8000-{:012x}", crc32c::crc32c(text.as_bytes()));
    let mapping = rule.as_mapping_mut().context("a mapping")?;
    mapping.insert("title".into(), title.into());
    mapping.insert("id".into(), id.into());
    if let Some(selections) = mapping.get_mut("detection").and_then(Value::as_mapping_mut) {
        for (name, selection) in selections {
            if !matches!(name.as_str(), Some("condition" | "timeframe")) {
                differ(selection, number);
            }
        }
    }
    Ok(serde_yaml_ng::to_string(&rule)?)
}

fn differ(value: &mut Value, number: usize) {
    match value {
        Value::String(text) => text.push_str(&format!("~{number}")),
        Value::Sequence(all) => all.iter_mut().for_each(|one| differ(one, number)),
        Value::Mapping(all) => {
            // A network with something behind it is none.
            let plain = all
                .iter_mut()
                .filter(|(name, _)| !name.as_str().is_some_and(|name| name.contains("cidr")));
            plain.for_each(|(_, one)| differ(one, number));
        }
        _ => {}
    }
}
