use std::path::Path;

use vonggac_daemon::settings::{Document, SettingsError};

use super::*;

fn keeping(text: &str) -> Result<Keeping, String> {
    Document::from_text(Path::new("c.toml"), text.into()).finish(Keeping::take).map_err(|error| {
        match error {
            SettingsError::Wrong(mistakes) => mistakes.to_string(),
            other => other.to_string(),
        }
    })
}

#[test]
fn what_is_not_said_is_kept_as_the_law_is_read() {
    let keeping = keeping("").unwrap();
    assert_eq!((keeping.daily, keeping.cold), (true, None));
    let days: Vec<(&str, Option<u32>, u32)> = keeping
        .policy
        .rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.hot_days, rule.keep_days))
        .collect();
    assert_eq!(days, [("uptime", None, 92), ("usage", None, 366), ("security", None, 366)]);
    assert_eq!(keeping.policy.incidents_days, 1_096);
}

#[test]
fn rules_stand_before_the_sets_and_inherit_their_days() {
    let policy = keeping(
        "[cold]\ndir = \"/srv/cold\"\n[retention]\ndaily = false\nincidents = \"2000d\"\n[retention.security]\nhot = \"60d\"\nkeep = \"730d\"\n\
         [[retention.rule]]\nset = \"security\"\nagency = \"H49\"\ngrade = 1\nhot = \"90d\"\n\
         [[retention.rule]]\nset = \"usage\"\nclass = [\"http_activity\"]\nkeep = \"30d\"\n",
    )
    .unwrap();
    assert!(!policy.daily);
    let rules = &policy.policy.rules;
    assert_eq!((rules[0].hot_days, rules[0].keep_days), (Some(90), 730));
    assert!(rules[0].systems.contains(&"ndxp".to_owned()) || !rules[0].systems.is_empty());
    assert_eq!((rules[1].hot_days, rules[1].keep_days), (None, 30));
    assert_eq!(rules[4].hot_days, Some(60));
    let asked = policy.policy.asked(20_000);
    assert!(
        asked.rule.starts_with("multiIf(lane = 'security' AND agency IN ('H49') AND system IN ("),
        "{}",
        asked.rule
    );
    assert!(asked.rule.ends_with("lane = 'usage' AND class IN ('http_activity'), 1, lane = 'uptime', 2, lane = 'usage', 3, 4)"), "{}", asked.rule);
    assert!(
        asked.over.starts_with(
            "toUInt16(greatest(day, toDate(stored))) < [19270, 19970, 19908, 19634, 19270][multiIf("
        ),
        "{}",
        asked.over
    );
    assert_eq!(asked.before_day, 19_970);
}

#[test]
fn all_mistakes_are_told_with_their_lines() {
    let told = keeping(
        "[cold]\ndir = \"cold\"\n[retention]\ngaps = \"3d\"\nincident = \"400d\"\n[retention.uptime]\nhot = \"92d\"\nkeep = \"40d\"\n\
         [[retention.rule]]\nset = \"secure\"\nclass = \"nothing\"\nagency = \"Q99\"\ngrade = 7\nkeep = \"36h\"\n\
         [[retention.rule]]\nset = \"usage\"\n[[retention.rule]]\nset = \"usage\"\nagency = \"H49\"\n",
    )
    .unwrap_err();
    for part in [
        "c.toml:1: `cold.dir`: is relative",
        "c.toml:4: `retention.gaps`: is \"3d\"",
        "c.toml:5: `retention.incident`: is unknown; did you mean `incidents`?",
        "`retention.uptime.hot`: is 92 days, but all is over after `keep`, 40 days",
        "`retention.rule[0].set`: is \"secure\"",
        "`retention.rule[0].class`: names \"nothing\"",
        "`retention.rule[0].agency`: names \"Q99\"",
        "`retention.rule[0].grade`: is 7",
        "`retention.rule[0].keep`: is \"36h\"",
        "`retention.rule[2].set`: never comes to be asked: rule[1] before it matches all of it",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let told = keeping("[retention.usage]\nhot = \"90d\"\n").unwrap_err();
    assert!(told.contains("asks for a cold tier, and there is none"), "{told}");
}

#[test]
fn a_row_is_kept_for_as_many_whole_days_as_the_rule_says() {
    let policy = Policy::default();
    let asked = policy.asked(20_783);
    assert_eq!(day_text(20_783), "2026-11-26");
    // Uptime of 92 days before, 2026-08-26, stays today and goes tomorrow.
    assert_eq!(day_text(asked.before_day), "2026-08-26");
    assert_eq!(day_of(Time::from_seconds(20_783 * 86_400 + 5)), 20_783);
}

#[test]
fn cold_files_stay_as_long_as_the_longest_rule_that_may_have_rows_in_them() {
    let policy = keeping(
        "[cold]\ndir = \"/c\"\n[retention.security]\nkeep = \"400d\"\nhot = \"100d\"\n\
         [[retention.rule]]\nset = \"security\"\nagency = \"H49\"\nclass = \"authentication\"\nkeep = \"900d\"\n",
    )
    .unwrap()
    .policy;
    assert_eq!(policy.cold_days("security", "H49"), 900);
    assert_eq!(policy.cold_days("security", "G22"), 400);
    assert_eq!(policy.cold_days("unheard", "G22"), u32::MAX);
}

/// Files as a bucket's settings name them.
fn keys(folder: &std::path::Path) -> (String, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    (file("id", "KEYID\n"), file("secret", "hunter2\n"))
}

#[test]
fn a_bucket_is_named_with_its_key_and_spoken_to_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (id, secret) = keys(folder.path());
    let text = format!(
        "[cold.s3]\nendpoint = \"https://s3.example.vn/\"\nbucket = \"vn-cold\"\nprefix = \"nation/a\"\nkey_id_file = \"{id}\"\nsecret_file = \"{secret}\"\n\
         [retention.security]\nhot = \"60d\"\n"
    );
    let kept = keeping(&text).unwrap();
    let Some(place @ ColdPlace::Bucket(bucket)) = &kept.cold else { panic!("{:?}", kept.cold) };
    assert_eq!(place.to_string(), "https://s3.example.vn/vn-cold/nation/a/");
    assert_eq!(
        (bucket.region.as_str(), bucket.key_id.reveal(), bucket.secret.reveal()),
        ("us-east-1", "KEYID", "hunter2")
    );
    assert!(!format!("{kept:?}").contains("hunter2"));
    let plain = text.replace("https:", "http:");
    assert!(keeping(&plain).unwrap_err().contains("plain_text"), "TLS unless it is said by name");
    let said = plain.replace("bucket =", "plain_text = true\nbucket =");
    assert_eq!(
        keeping(&said).unwrap().cold.unwrap().to_string(),
        "http://s3.example.vn/vn-cold/nation/a/"
    );
}

#[test]
fn all_mistakes_of_a_bucket_are_told_at_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (id, secret) = keys(folder.path());
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = keeping(&format!(
        "[cold]\ndir = \"/srv/cold\"\n[cold.s3]\nendpoint = \"https://u:p@s3.example.vn/cold\"\nregion = \"Hà Nội\"\nbucket = \"Cold\"\nprefix = \"../a\"\nkey = 1\n\
         secret_file = \"{secret}\"\nauthorities = \"{id}\"\n"
    ))
    .unwrap_err();
    for part in [
        "`cold.dir`: is a folder, and [cold.s3] a bucket",
        "`cold.s3.endpoint`: is no address of an object store",
        "`cold.s3.region`: is \"Hà Nội\"",
        "`cold.s3.bucket`: is \"Cold\"",
        "`cold.s3.prefix`: is \"../a\"",
        "`cold.s3.key`: is unknown",
        "`cold.s3.key_id_file`: is missing",
        "which everybody can read (mode 644)",
        "which has no certificate in PEM",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!told.contains("u:p"), "{told}");
}
