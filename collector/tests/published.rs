//! Rules that others publish, where they are at hand: each loads, or is refused alone with its reason. They are not part of this
//! project; without them the test says so and passes.
#![expect(clippy::print_stderr, reason = "a table is printed")]

use std::path::{Path, PathBuf};

use vonggac_collector::{
    detect::sigma::Matcher,
    rule::{RuleError, RuleSet},
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

fn names(rules: &RuleSet, matcher: &Matcher, activity: Activity, format: &str) -> Vec<String> {
    let now = Time::from_seconds(1_764_000_000);
    let event = Event::new(now, now, Body::Activity(activity.clone())).with_format(format);
    let found = matcher.matches(&event, &activity);
    found.iter().map(|found| rules.rules()[found.rule].meta.rule.to_string()).collect()
}

#[test]
fn published_rules_load_and_see_events_of_their_source() {
    let Some(folder) = material("sigma-rules/rules") else { return };
    let mut rules = RuleSet::builtin().unwrap();
    let own = rules.rules().len();
    let refused = rules.add_folder(&folder).unwrap();
    for error in &refused {
        eprintln!("{error}");
    }
    let loaded = rules.rules().len() - own;
    eprintln!("{loaded} published rules load, {} are refused", refused.len());
    assert!(loaded >= 340 && refused.len() <= 10, "{loaded} loaded, {} refused", refused.len());
    let matcher = Matcher::new(&rules).unwrap();
    let mut process = Activity::of(Class::Process, 1, Status::Success);
    process.process_name = "/usr/bin/base64".into();
    process.process_cmd_line = "base64 -d /tmp/a".into();
    let said = names(&rules, &matcher, process, "auditd");
    assert!(said.iter().any(|rule| rule.contains("base64")), "{said:?}");
    // The same words in a request are no process.
    let mut request = Activity::of(Class::Http, 3, Status::Success);
    request.http = Some(HttpRequest { url: "/docs/base64-d".into(), ..HttpRequest::default() });
    assert!(names(&rules, &matcher, request, "combined").is_empty());
}

#[test]
fn what_is_no_rule_is_refused_alone_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let head = "title: A rule\nlogsource: {category: webserver}\n";
    write("a.yml", &format!("{head}detection:\n  sel: {{c-uri: /a}}\n  condition: sel\n"));
    write("b.yml", &format!("{head}detection:\n  sel: {{c-uri: /a}}\n condition: sel\n"));
    write("c.yml", &format!("{head}detection:\n  sel:\n    c-uri|re: '(a'\n  condition: sel\n"));
    write("d.yml", "title: ''\n");
    write("e.yml", "vonggac: {rule: a-b, severity: 3, title_vi: a, title_en: b, wrong: 1}\n");
    write("f.txt", "no rule");
    let mut rules = RuleSet::default();
    let refused = rules.add_folder(folder.path()).unwrap();
    assert_eq!(rules.rules().len(), 1);
    let told: Vec<String> = refused.iter().map(RuleError::to_string).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].contains("b.yml") && told[0].contains("line 5"), "{told:?}");
    assert!(told[1].contains("c.yml:"), "{told:?}");
    assert!(told.iter().all(|text| text.contains("line ") || text.contains(".yml:")), "{told:?}");
}
