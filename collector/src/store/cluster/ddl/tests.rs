use std::fmt::Write;

use super::*;
use crate::store::migrate::{MIGRATIONS, VERSIONS};

fn cluster() -> Layout {
    Layout::of(Some("nation"))
}

fn all(file: &str) -> Vec<String> {
    statements(&cluster(), "vonggac", 1, file).unwrap()
}

#[test]
fn the_sql_of_every_migration_is_shown_for_one_machine_and_for_a_cluster() {
    for (layout, name) in [(Layout::One, "one"), (cluster(), "cluster")] {
        let mut text = format!("{}\n\n{}\n", database(&layout, "vonggac"), {
            statements(&layout, "vonggac", 0, VERSIONS).unwrap().join("\n\n")
        });
        for (number, name, file) in MIGRATIONS {
            let _written = write!(text, "\n-- {number:04} {name}\n");
            for statement in statements(&layout, "vonggac", *number, file).unwrap() {
                let _written = writeln!(text, "{statement};");
            }
        }
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn one_machine_has_each_file_as_it_stands() {
    for (_, name, file) in MIGRATIONS {
        assert_eq!(statements(&Layout::One, "vonggac", 1, file).unwrap(), [plain(file)], "{name}");
    }
}

#[test]
fn a_table_of_shards_has_one_in_front_and_all_others_are_everywhere() {
    for (_, _, file) in
        MIGRATIONS.iter().filter(|(.., file)| plain(file).starts_with("CREATE TABLE"))
    {
        let made = all(file);
        let sharded = SHARDED
            .iter()
            .any(|name| plain(file).starts_with(&format!("CREATE TABLE IF NOT EXISTS {name}\n")));
        assert_eq!(made.len(), if sharded { 2 } else { 1 }, "{made:?}");
        assert_eq!(made[0].contains("/clickhouse/tables/{shard}/"), sharded, "{made:?}");
        assert!(made.iter().all(|text| text.contains(" ON CLUSTER `nation`")), "{made:?}");
        assert!(!made[0].contains("non_replicated"), "{made:?}");
    }
}

#[test]
fn arguments_of_an_engine_stay_behind_the_path() {
    let made = all(
        "CREATE TABLE IF NOT EXISTS a\n(\n    b UInt8\n)\nENGINE = ReplacingMergeTree(f(b, '('))\nORDER BY b",
    );
    assert_eq!(
        made,
        ["CREATE TABLE IF NOT EXISTS a ON CLUSTER `nation`\n(\n    b UInt8\n)\n\
          ENGINE = ReplicatedReplacingMergeTree('/clickhouse/everywhere/{database}/{table}', '{shard}-{replica}', f(b, '('))\n\
          ORDER BY b\nSETTINGS replicated_deduplication_window = 0"]
    );
}

#[test]
fn the_table_in_front_is_told_of_columns_only_and_after_the_rows() {
    let made = all(
        "ALTER TABLE events\n    ADD COLUMN a String ALIAS concat('x, y', f(1, 2)),\n    ADD INDEX i [a, b] TYPE minmax SETTINGS mutations_sync = 0",
    );
    assert_eq!(
        made,
        [
            "ALTER TABLE events_local ON CLUSTER `nation`\n    ADD COLUMN a String ALIAS concat('x, y', f(1, 2)),\n    ADD INDEX i [a, b] TYPE minmax SETTINGS mutations_sync = 0",
            "ALTER TABLE events ON CLUSTER `nation`\n    ADD COLUMN a String ALIAS concat('x, y', f(1, 2))",
        ]
    );
    assert_eq!(
        all("ALTER TABLE gaps ADD COLUMN a String"),
        ["ALTER TABLE gaps\n    ADD COLUMN a String"]
    );
}

#[test]
fn what_is_not_known_is_refused() {
    for (file, why) in [
        ("DROP TABLE events", "it begins with \"DROP TABLE events\""),
        (
            "CREATE TABLE IF NOT EXISTS a (b UInt8) ENGINE = Memory",
            "the engine Memory has no replicated form",
        ),
        (
            "ALTER TABLE events DELETE WHERE 1",
            "ALTER of the table events has the command \"DELETE WHERE 1\"",
        ),
        ("CREATE TABLE IF NOT EXISTS a (b UInt8)", "the table a has no engine"),
        ("CREATE TABLE IF NOT EXISTS a (b UInt8) ENGINE = MergeTree(", "a bracket does not close"),
    ] {
        let error = statements(&cluster(), "vonggac", 1, file).unwrap_err().to_string();
        assert_eq!(error, format!("bring this to a cluster: {why}"));
    }
}

#[test]
fn what_is_said_of_events_is_said_to_the_table_that_has_them_then() {
    let altered = |version| {
        let file = "ALTER TABLE events\n    ADD COLUMN a String";
        statements(&cluster(), "vonggac", version, file).unwrap().swap_remove(0)
    };
    assert!(altered(24).starts_with("ALTER TABLE events_local ON CLUSTER"), "{}", altered(24));
    assert!(
        altered(25).starts_with("ALTER TABLE events_sorted_local ON CLUSTER"),
        "{}",
        altered(25)
    );
    let made = statements(&cluster(), "vonggac", 24, RENAMED).unwrap();
    assert!(made[0].starts_with("CREATE OR REPLACE TABLE events ON CLUSTER"), "{made:?}");
    assert!(made[0].contains("'events_sorted_local'"), "{made:?}");
}
