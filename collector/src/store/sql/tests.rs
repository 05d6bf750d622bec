use super::*;

fn of(agencies: &[&str]) -> Rights {
    let agencies = agencies.iter().map(|agency| (*agency).to_owned()).collect();
    Rights::of(Role::AgencyOperator, &Scope::Agencies(agencies))
}

fn made(query: &str, rights: &Rights) -> Result<String, String> {
    confined_as(query, rights, "vonggac", "T").map_err(|error| error.to_string())
}

#[test]
fn a_table_is_replaced_by_the_rows_that_are_reached() {
    let rows = "(SELECT *, day, folded FROM `vonggac`.events AS row_T WHERE (row_T.agency IN ('H49') OR startsWith(row_T.agency, 'H49.') OR endsWith(row_T.agency, '.H49')))";
    for (query, wanted) in [
        ("SELECT count() FROM events", format!("SELECT count() FROM {rows} AS events")),
        ("SELECT e.host FROM vonggac.events AS e", format!("SELECT e.host FROM {rows} AS e")),
        ("SELECT format FROM events", format!("SELECT `format` FROM {rows} AS events")),
        (
            "SELECT 1 FROM events PREWHERE agency = 'a' WHERE host = 'b'",
            format!("SELECT 1 FROM {rows} AS events WHERE (agency = 'a') AND (host = 'b')"),
        ),
        (
            "WITH a AS (SELECT host FROM events) SELECT host FROM a",
            format!(
                "WITH `cte_T_a` AS (SELECT host FROM {rows} AS events) SELECT host FROM `cte_T_a` AS a"
            ),
        ),
        (
            "SELECT count() FROM gaps FINAL",
            "SELECT count() FROM (SELECT * FROM `vonggac`.gaps AS row_T FINAL /*T*/ WHERE (row_T.agency IN ('H49') OR startsWith(row_T.agency, 'H49.') OR endsWith(row_T.agency, '.H49'))) AS gaps".into(),
        ),
        ("SELECT '\\\\', 'it''s \\' ?'", "SELECT '\\\\', 'it\\'s \\' ?'".into()),
    ] {
        assert_eq!(made(query, &of(&["H49"])), Ok(wanted), "{query}");
    }
    let all = made("SELECT host FROM events AS e FINAL", &Rights::all());
    assert!(all.is_err(), "{all:?}");
    let all = made("SELECT host FROM gaps FINAL", &Rights::all());
    assert_eq!(all.unwrap(), "SELECT host FROM `vonggac`.gaps AS gaps FINAL /*T*/");
}

#[test]
fn what_an_operator_asks_in_earnest_is_understood() {
    for query in [
        "SELECT count() FROM events",
        "WITH a AS (SELECT agency, time FROM events) SELECT agency FROM a WHERE time > now() - INTERVAL 1 HOUR GROUP BY agency LIMIT 5",
        "SELECT number FROM numbers(5)",
        "SELECT * FROM vonggac.events ORDER BY time DESC LIMIT 1",
        "SELECT toStartOfHour(time) AS hour, count(), uniqExact(src_ip) FROM events WHERE class = 'authentication' GROUP BY hour ORDER BY hour",
        "SELECT a.host, b.n FROM events AS a INNER JOIN (SELECT host, count() AS n FROM events GROUP BY host) AS b ON a.host = b.host",
        "SELECT host FROM events WHERE src_ip IN (SELECT src_ip FROM events WHERE status = 'failure') UNION ALL SELECT host FROM gaps",
        "SELECT quantile(0.99)(total_seconds), countIf(status = 'up') FROM events WHERE time >= '2026-11-26 00:00:00'",
        "SELECT e.format, count() FROM events AS e WHERE format = 'unparsed' GROUP BY format",
        "SELECT fields['user_agent'] FROM events ARRAY JOIN mapKeys(fields) AS key WHERE key LIKE 'http%'",
        "SELECT arrayMap(x -> x + 1, [1, 2]), CAST(seq AS String), if(seq > 1, 'a', 'b') FROM events",
        "SELECT uniqCombinedIfMerge(users) FROM rollup_day",
        "SELECT CASE WHEN seq > 1 THEN 1 ELSE 0 END, * EXCEPT (raw) FROM events LIMIT 5 BY host",
        "SELECT host, row_number() OVER (PARTITION BY host ORDER BY time) FROM events QUALIFY 1",
        "SELECT positionCaseInsensitiveUTF8(raw, 'mật khẩu') FROM events WHERE match(raw, '\\\\d+') AND NOT startsWith(url, '/api?a=1')",
    ] {
        for rights in [of(&["H49", "tk-48"]), Rights::all()] {
            assert!(made(query, &rights).is_ok(), "{query}: {:?}", made(query, &rights));
        }
    }
}

#[test]
fn each_role_has_its_tables() {
    let may = |query: &str, rights: &Rights| made(query, rights).is_ok();
    let nation = Rights::of(Role::NationalOperator, &Scope::Nation);
    let auditor = Rights::of(Role::Auditor, &Scope::Nation);
    for (table, cells) in [
        // agency operator, national operator, auditor, administrator
        ("events", "yy-y"),
        ("rollup_hour", "yyyy"),
        ("gaps", "yyyy"),
        ("transitions", "-yyy"),
        ("hold_events", "-yyy"),
        ("audit", "--yy"),
        ("audit_heads", "--yy"),
        ("certificates", "--yy"),
        ("break_glass", "--yy"),
        ("batches", "yyyy"),
        ("receipts", "yyyy"),
        ("tokens", "----"),
        ("system.tables", "----"),
    ] {
        let all = [of(&["H49"]), nation.clone(), auditor.clone(), Rights::all()];
        for (rights, cell) in all.iter().zip(cells.chars()) {
            let query = format!("SELECT count() FROM {table}");
            assert_eq!(may(&query, rights), cell == 'y', "{table} {rights:?}");
            let described = format!("DESCRIBE TABLE {table}");
            assert_eq!(may(&described, rights), cell == 'y', "{described} {rights:?}");
        }
    }
    assert!(made("SHOW TABLES", &of(&["H49"])).is_ok_and(|text| !text.contains("audit")));
    let nobody = Rights::of(Role::Responder, &Scope::Cases("lan".into()));
    assert!(made("SELECT 1 FROM events", &nobody).is_ok_and(|text| text.contains("WHERE (0)")));
}

#[test]
fn row_policies_confine_the_users_of_a_cluster_in_the_same_way() {
    let agencies = ["H49".to_owned(), "000.00.15.H26".to_owned()];
    let text =
        row_policies(&crate::store::cluster::Layout::of(Some("nation")), "vonggac", &agencies);
    insta::assert_snapshot!(text.join(";\n"));
}
