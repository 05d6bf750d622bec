//! SQL of somebody who reaches one agency alone, attacked against the real engine: whatever is asked, nothing of others is seen.

use std::{collections::BTreeSet, fs};

use anyhow::Context;
use rand::{Rng, SeedableRng, rngs::StdRng};
use system_tests::engine::Engine;
use vonggac_collector::{
    config::Config,
    store::{Store, migrate, row::EventRow, sql::Rights},
    trust::{role::Role, scope::Scope},
};

/// Stands in every text of other agencies' rows, and nowhere else.
const FOREIGN: &str = "zebra";

/// How many rows others have: a count that tells of them is above this.
const FOREIGN_ROWS: u64 = 7_000;

/// Rows of the operator's own agency and those under it.
const OWN_ROWS: u64 = 30;

/// What an operator of one agency tries. Each is refused, or answered with own rows alone.
const ATTACKS: &[(&str, &str)] = &[
    ("the whole table", "SELECT * FROM events"),
    ("another agency by name", "SELECT raw FROM events WHERE agency = 'tk-48'"),
    ("all but one's own", "SELECT raw FROM events WHERE agency != 'H49'"),
    ("or true", "SELECT raw FROM events WHERE agency = 'H49' OR 1 = 1"),
    ("or true behind a bracket", "SELECT raw FROM events WHERE 1) OR (1"),
    ("a count of all", "SELECT count() FROM events"),
    ("a count without a column", "SELECT count(*) AS c FROM vonggac.events"),
    ("prewhere", "SELECT raw FROM events PREWHERE agency = 'tk-48'"),
    ("final", "SELECT detail FROM dead_letters FINAL"),
    ("final of gaps", "SELECT host FROM gaps FINAL WHERE 1"),
    ("sample", "SELECT raw FROM events SAMPLE 1"),
    ("another database", "SELECT * FROM system.tables"),
    ("another database in quotes", "SELECT * FROM `system`.`tables`"),
    ("another database in double quotes", "SELECT * FROM \"system\".\"columns\""),
    ("the query log", "SELECT * FROM system.query_log"),
    ("what runs", "SELECT query FROM system.processes"),
    ("parts", "SELECT * FROM system.parts"),
    ("settings of the engine", "SELECT * FROM system.settings"),
    ("the information schema", "SELECT * FROM information_schema.tables"),
    ("the information schema in capitals", "SELECT * FROM INFORMATION_SCHEMA.COLUMNS"),
    ("the default database", "SELECT * FROM default.events"),
    ("three parts of a name", "SELECT * FROM a.vonggac.events"),
    ("transitions", "SELECT after FROM transitions"),
    ("holds", "SELECT * FROM hold_events"),
    ("saved searches", "SELECT line FROM saved_searches"),
    ("the audit log", "SELECT words FROM audit"),
    ("the ends of the audit log", "SELECT * FROM audit_heads"),
    ("certificates", "SELECT * FROM certificates"),
    ("the table of before", "SELECT * FROM events_before"),
    ("the cold table", "SELECT * FROM events_cold"),
    ("a table that nobody named", "SELECT * FROM secret_of_others"),
    ("a join with itself", "SELECT b.raw FROM events AS a CROSS JOIN events AS b"),
    ("a join by using", "SELECT raw FROM events AS a INNER JOIN events AS b USING (agency)"),
    ("a left join", "SELECT b.raw FROM gaps AS a RIGHT JOIN events AS b ON a.agency = b.agency"),
    ("a full join", "SELECT a.raw, b.raw FROM events AS a FULL JOIN events AS b ON a.seq = b.seq"),
    ("a join with commas", "SELECT b.raw FROM events AS a, events AS b"),
    (
        "a join in brackets",
        "SELECT b.raw FROM (events AS a INNER JOIN events AS b ON a.seq = b.seq)",
    ),
    (
        "a join of dead letters",
        "SELECT d.detail FROM events AS e RIGHT JOIN dead_letters AS d ON d.agency = e.agency",
    ),
    ("a subquery", "SELECT raw FROM (SELECT * FROM events)"),
    ("a subquery as a value", "SELECT (SELECT max(raw) FROM events)"),
    (
        "a subquery in an array",
        "SELECT (SELECT groupArray(raw) FROM events WHERE agency = 'tk-48')",
    ),
    (
        "a subquery in IN",
        "SELECT seq FROM events WHERE raw IN (SELECT raw FROM events WHERE agency = 'tk-48')",
    ),
    (
        "a subquery in EXISTS",
        "SELECT count() FROM numbers(8000) WHERE EXISTS (SELECT 1 FROM events WHERE agency = 'tk-48')",
    ),
    ("a subquery in the limit", "SELECT 1 FROM numbers(9000) LIMIT (SELECT count() FROM events)"),
    ("a subquery in numbers", "SELECT count() FROM numbers((SELECT count() FROM events))"),
    (
        "a subquery in HAVING",
        "SELECT count() AS c FROM events GROUP BY host HAVING c > (SELECT count() FROM events WHERE agency = 'tk-48')",
    ),
    ("a subquery in the order", "SELECT 1 ORDER BY (SELECT max(raw) FROM events)"),
    ("a subquery in CASE", "SELECT CASE WHEN 1 THEN (SELECT max(raw) FROM events) END"),
    ("a subquery in a window", "SELECT max(raw) OVER () FROM events"),
    ("union all", "SELECT 'a' UNION ALL SELECT raw FROM events"),
    ("union distinct", "SELECT 'a' UNION DISTINCT SELECT raw FROM events"),
    ("intersect", "SELECT raw FROM events INTERSECT SELECT raw FROM events"),
    ("except", "SELECT raw FROM events EXCEPT SELECT raw FROM events WHERE agency = 'H49'"),
    (
        "union in a subquery",
        "SELECT * FROM (SELECT raw FROM events UNION ALL SELECT raw FROM events)",
    ),
    ("a query with a name", "WITH a AS (SELECT raw FROM events) SELECT * FROM a"),
    (
        "a name of a table for a query",
        "WITH events AS (SELECT 1 AS x) SELECT * FROM (SELECT x FROM events)",
    ),
    (
        "a name that hides a book",
        "WITH hold_events AS (SELECT 1 AS x) SELECT who FROM vonggac.hold_events",
    ),
    (
        "a name in another place",
        "SELECT who FROM hold_events, (WITH hold_events AS (SELECT 1) SELECT * FROM hold_events)",
    ),
    ("a value with the column's name", "WITH 'H49' AS agency SELECT raw FROM events"),
    (
        "a column with the column's name",
        "SELECT 'H49' AS agency, raw FROM events WHERE agency = 'H49'",
    ),
    ("all columns replaced", "SELECT * REPLACE ('H49' AS agency) FROM events"),
    (
        "a function with the name of a condition's",
        "SELECT ((a, b) -> 1) AS endsWith, raw FROM events",
    ),
    (
        "a function with the name of another",
        "WITH ((a, b) -> 1) AS startsWith SELECT raw FROM events",
    ),
    ("a function with the name of IN", "SELECT ((a, b) -> 1) AS `in`, raw FROM events"),
    (
        "a recursion",
        "WITH RECURSIVE a AS (SELECT raw FROM events UNION ALL SELECT raw FROM a) SELECT * FROM a",
    ),
    ("a table behind IN", "SELECT 'x' IN hold_events"),
    ("a table behind IN in brackets", "SELECT 'x' IN (hold_events)"),
    ("a table behind IN in two brackets", "SELECT 'x' IN ((hold_events))"),
    ("IN as a function", "SELECT in('x', hold_events)"),
    ("GLOBAL IN a table", "SELECT 'x' GLOBAL IN hold_events"),
    ("array join", "SELECT k FROM events ARRAY JOIN mapKeys(fields) AS k"),
    ("array join of a table", "SELECT 1 FROM events ARRAY JOIN hold_events"),
    ("array join with another table", "SELECT who FROM events ARRAY JOIN hold_events, hold_events"),
    ("url", "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')"),
    ("file", "SELECT * FROM file('/etc/passwd', 'LineAsString')"),
    ("file as a function", "SELECT file('/etc/passwd')"),
    ("remote", "SELECT * FROM remote('127.0.0.1', vonggac, events)"),
    ("remoteSecure", "SELECT * FROM remoteSecure('127.0.0.1', vonggac, events)"),
    ("cluster", "SELECT * FROM cluster('default', vonggac, events)"),
    ("s3", "SELECT * FROM s3('http://a/b', 'CSV')"),
    ("merge", "SELECT * FROM merge('vonggac', '.*')"),
    ("view", "SELECT * FROM view(SELECT * FROM events)"),
    ("executable", "SELECT * FROM executable('id', TSV, 'a String')"),
    ("mysql", "SELECT * FROM mysql('a', 'b', 'c', 'd', 'e')"),
    ("postgresql", "SELECT * FROM postgresql('a', 'b', 'c', 'd', 'e')"),
    ("input", "SELECT * FROM input('a String')"),
    ("mergeTreeIndex", "SELECT * FROM mergeTreeIndex(vonggac, events)"),
    ("dictionary", "SELECT * FROM dictionary('a')"),
    ("loop", "SELECT * FROM loop(vonggac.events) LIMIT 9"),
    ("a table function in capitals", "SELECT * FROM REMOTE('127.0.0.1', vonggac, events)"),
    ("a table function in quotes", "SELECT * FROM `remote`('127.0.0.1', vonggac, events)"),
    ("dictGet", "SELECT dictGet('a', 'b', 1)"),
    ("joinGet", "SELECT joinGet('vonggac.events', 'raw', 1)"),
    ("hasColumnInTable", "SELECT hasColumnInTable('vonggac', 'hold_events', 'who')"),
    ("getSetting", "SELECT getSetting('max_threads')"),
    ("getMacro", "SELECT getMacro('a')"),
    ("the host's name", "SELECT hostName()"),
    ("the user's name", "SELECT currentUser()"),
    ("a certificate of the server", "SELECT showCertificate()"),
    ("catboost", "SELECT catboostEvaluate('/etc/passwd', 1)"),
    ("sleep", "SELECT sleep(3)"),
    ("a setting", "SELECT raw FROM events SETTINGS additional_table_filters = {}"),
    ("a setting in a subquery", "SELECT * FROM (SELECT raw FROM events SETTINGS max_threads = 1)"),
    ("a name that is a setting to the engine", "SELECT 1 AS x FROM numbers(1) WHERE settings = 1"),
    ("a setting as a column", "SELECT raw AS settings FROM events WHERE settings = 'a'"),
    ("a form", "SELECT raw FROM events FORMAT TSV"),
    ("into a file", "SELECT raw FROM events INTO OUTFILE '/tmp/x'"),
    ("into a table", "SELECT raw INTO a FROM events"),
    ("two statements", "SELECT 1; SELECT raw FROM events"),
    ("an insert", "INSERT INTO gaps SELECT * FROM gaps"),
    ("a drop", "DROP TABLE events"),
    ("a set", "SET readonly = 0"),
    ("a kill", "KILL QUERY WHERE 1"),
    ("a grant", "GRANT ALL ON *.* TO a"),
    ("use", "USE system"),
    ("explain", "EXPLAIN SELECT * FROM hold_events"),
    ("explain of parts", "EXPLAIN ESTIMATE SELECT * FROM events"),
    ("describe of a book", "DESCRIBE TABLE hold_events"),
    ("show create", "SHOW CREATE TABLE events"),
    ("show databases", "SHOW DATABASES"),
    ("show tables", "SHOW TABLES"),
    ("from before select", "FROM events SELECT raw"),
    ("the table command", "TABLE hold_events"),
    ("brackets around", "(SELECT raw FROM events) UNION ALL (SELECT who FROM hold_events)"),
    ("a backslash that ends a text", "SELECT '\\\\', ' FROM hold_events -- '"),
    ("a quote behind a backslash", "SELECT '\\' FROM hold_events -- ', 'x'"),
    ("two quotes", "SELECT 'a'' FROM hold_events -- '"),
    ("a backslash in a name", "SELECT 1 AS `a\\`, who FROM hold_events -- `"),
    ("a text as a name", "SELECT 1 AS 'a\\', who FROM hold_events -- '"),
    (
        "a zone with a quote",
        "SELECT CAST(now() AS DateTime64(3, 'UTC\\')), who FROM hold_events -- '))",
    ),
    ("a type with a text", "SELECT CAST('a' AS Enum8('a\\', who FROM hold_events -- ' = 1))"),
    ("a dollar text", "SELECT $$a$$ FROM events"),
    ("a text of bytes", "SELECT x'41' FROM events"),
    ("a parameter", "SELECT {a:Identifier} FROM events"),
    ("a question mark", "SELECT raw FROM events WHERE agency = ?"),
    (
        "a comment in the middle",
        "SELECT raw FROM events /* */ -- \n WHERE 1 UNION ALL SELECT who FROM hold_events",
    ),
    ("an empty name", "SELECT raw FROM ``"),
    ("a row's own name", "SELECT row.raw FROM events"),
    ("a limit by", "SELECT raw FROM events LIMIT 5 BY agency"),
    ("with fill", "SELECT seq FROM events ORDER BY seq WITH FILL FROM 0 TO 10"),
    ("with totals", "SELECT agency, count() FROM events GROUP BY agency WITH TOTALS"),
    ("a cube", "SELECT agency, count() FROM events GROUP BY agency WITH CUBE"),
    ("roll-ups", "SELECT agency, sum(events) FROM rollups GROUP BY agency"),
    ("roll-ups by hour", "SELECT agency FROM rollup_hour"),
    ("dead letters", "SELECT detail FROM dead_letters"),
    ("gaps", "SELECT host, source FROM gaps"),
    ("words", "SELECT folded FROM events"),
    ("hidden columns", "SELECT _part, _table, _database FROM events"),
    ("hidden columns of all", "SELECT events._part, raw FROM events"),
    ("columns by expression", "SELECT COLUMNS('raw') FROM events"),
    ("a state of all", "SELECT hex(groupArrayState(raw)) FROM events"),
    ("a text that grows", "SELECT arrayStringConcat(groupArray(raw)) FROM events"),
    (
        "deep nesting",
        "SELECT * FROM (SELECT * FROM (SELECT * FROM (SELECT * FROM (SELECT raw FROM events))))",
    ),
];

fn rows(agency: &str, word: &str, count: u64) -> Vec<EventRow> {
    (0..count)
        .map(|seq| EventRow {
            agency: agency.into(),
            class: "authentication".into(),
            host: format!("host-of-{word}"),
            agent: format!("agent-of-{word}"),
            lane: "security".into(),
            seq,
            time: 1_793_534_400_000_000,
            stored: 1_793_534_400_000_000,
            raw: format!("line {seq} of {word}").into_bytes(),
            fields: vec![(format!("key-of-{word}"), word.into())],
            kafka_topic: "vonggac.security.v1".into(),
            kafka_partition: if word == FOREIGN { 1 } else { 0 },
            kafka_offset: i64::try_from(seq).unwrap_or(0),
            ..EventRow::default()
        })
        .collect()
}

async fn filled(engine: &Engine, folder: &std::path::Path) -> anyhow::Result<Store> {
    let path = folder.join("collector.toml");
    fs::write(&path, engine.configuration("vonggac"))?;
    let store = Store::new(&Config::read(&path)?);
    migrate::run(&store).await?;
    store.insert_rows(&rows("H49", "own", OWN_ROWS - 10), "own").await?;
    store.insert_rows(&rows("000.00.15.H49", "under", 10), "under").await?;
    store.insert_rows(&rows("tk-48", FOREIGN, FOREIGN_ROWS), "foreign").await?;
    let client = engine.client("vonggac");
    for statement in [
        format!(
            "INSERT INTO gaps (time, agency, host, agent, lane, first_seq, last_seq, reason, source) VALUES (now(), 'tk-48', '{FOREIGN}', 'a', 'usage', 1, 2, 'overflow', '{FOREIGN}')"
        ),
        format!(
            "INSERT INTO dead_letters (time, reason, detail, agency) VALUES (now(), 'identity', '{FOREIGN}', 'tk-48')"
        ),
        format!(
            "INSERT INTO hold_events (time, hold, action, who) VALUES (now(), '{FOREIGN}', 'placed', '{FOREIGN}')"
        ),
        format!(
            "INSERT INTO transitions (incident, version, time, actor, after) VALUES (1, 1, now(), '{FOREIGN}', '{FOREIGN}')"
        ),
        format!("INSERT INTO saved_searches (id, line) VALUES ('{FOREIGN}', '{FOREIGN}')"),
        format!("INSERT INTO audit (chain, number, words) VALUES ('{FOREIGN}', 1, '{FOREIGN}')"),
        format!(
            "CREATE TABLE secret_of_others ENGINE = MergeTree ORDER BY who AS SELECT '{FOREIGN}' AS who"
        ),
    ] {
        client.query(&statement).execute().await.context(statement)?;
    }
    Ok(store)
}

fn own() -> Rights {
    Rights::of(Role::AgencyOperator, &Scope::Agencies(vec!["H49".into()]))
}

/// Whether an answer tells of others: their word in it, also as hexadecimal digits, or a number that is as large as theirs.
fn tells(rows: &[String]) -> bool {
    let hex: String = FOREIGN.bytes().map(|byte| format!("{byte:02X}")).collect();
    let number = |row: &String| {
        let digits: BTreeSet<u64> = row
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .filter(|number| (FOREIGN_ROWS..FOREIGN_ROWS + 1_000).contains(number))
            .collect();
        !digits.is_empty()
    };
    let words =
        rows.iter().any(|row| row.contains(FOREIGN) || row.contains("tk-48") || row.contains(&hex));
    words || rows.iter().any(number) || rows.len() as u64 >= FOREIGN_ROWS
}

#[test]
fn nothing_of_others_is_seen_whatever_an_operator_of_one_agency_asks() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let store = filled(&engine, folder.path()).await?;
        let (mut refused, mut answered) = (0, 0);
        for (name, query) in ATTACKS {
            match store.sql_within(query, 100_000, &own()).await {
                Ok(answer) => {
                    // What an operator wrote into their own question is no answer.
                    let asked_for = query.contains("'tk-48'") && !query.contains("raw");
                    assert!(
                        !tells(&answer.rows) || asked_for,
                        "{name}: {query}: {:?}",
                        answer.rows.first()
                    );
                    answered += 1;
                }
                Err(error) => {
                    assert!(!error.to_string().contains(FOREIGN), "{name}: {error}");
                    refused += 1;
                }
            }
        }
        println!("{} attacks: {refused} refused, {answered} answered with own rows", ATTACKS.len());
        assert!(ATTACKS.len() >= 80 && answered >= 25 && refused >= 60, "{refused} {answered}");

        // The ground is true: own rows are seen, and whoever reaches the nation sees all.
        let count = "SELECT count() FROM events";
        assert_eq!(store.sql_within(count, 9, &own()).await?.rows, [format!("[{OWN_ROWS}]")]);
        let all = store.sql(count, 9).await?.rows;
        assert_eq!(all, [format!("[{}]", OWN_ROWS + FOREIGN_ROWS)]);
        assert!(tells(
            &store
                .sql("SELECT * FROM events WHERE agency != 'H49' ORDER BY seq DESC LIMIT 9", 9)
                .await?
                .rows
        ));
        assert!(tells(&store.sql("SELECT words FROM audit", 9).await?.rows));
        anyhow::Ok(())
    })
}

/// A query of parts that are put together by chance.
fn made(random: &mut StdRng, depth: u32) -> String {
    let pick =
        |random: &mut StdRng, all: &[&str]| all[random.random_range(0..all.len())].to_owned();
    let source = |random: &mut StdRng| {
        if depth > 0 && random.random_bool(0.4) {
            format!("({}) AS q{depth}", made(random, depth - 1))
        } else {
            pick(
                random,
                &[
                    "events",
                    "events AS e",
                    "vonggac.events AS events",
                    "gaps FINAL",
                    "dead_letters",
                    "rollups",
                    "hold_events",
                    "numbers(3)",
                    "`events`",
                    "transitions",
                    "c",
                    "system.tables",
                ],
            )
        }
    };
    let mut text = String::new();
    if random.random_bool(0.3) {
        text.push_str(&format!("WITH c AS ({}) ", "SELECT agency, host FROM events"));
    }
    let columns = [
        "*",
        "agency",
        "count()",
        "max(host)",
        "groupUniqArray(agency)",
        "1",
        "host, agency",
        "any(host) OVER ()",
    ];
    text.push_str(&format!("SELECT {} FROM {}", pick(random, &columns), source(random)));
    if random.random_bool(0.3) {
        let join = ["CROSS JOIN", "INNER JOIN", "LEFT JOIN", "FULL JOIN", ","];
        let kind = pick(random, &join);
        text.push_str(&format!(" {kind} {}", source(random)));
        if kind.contains("INNER") || kind.contains("LEFT") || kind.contains("FULL") {
            text.push_str(" USING (agency)");
        }
    }
    let conditions = [
        "1",
        "agency = 'tk-48'",
        "agency != 'H49' OR 1",
        "agency IN (SELECT agency FROM events)",
        "NOT endsWith(agency, 'H49')",
        "EXISTS (SELECT 1 FROM events)",
        "host LIKE '%e%'",
        "agency IN (hold_events)",
        "(agency, host) IN (SELECT agency, host FROM gaps)",
    ];
    for word in ["PREWHERE", "WHERE"] {
        if random.random_bool(0.3) {
            text.push_str(&format!(" {word} {}", pick(random, &conditions)));
        }
    }
    if random.random_bool(0.2) {
        text.push_str(&format!(
            " UNION ALL {}",
            if depth > 0 { made(random, depth - 1) } else { "SELECT agency FROM events".into() }
        ));
    }
    text
}

#[test]
fn nothing_of_others_is_seen_by_queries_that_are_put_together_by_chance() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let seed = std::env::var("VONGGAC_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut random = StdRng::seed_from_u64(seed.unwrap_or(49));
    tokio::runtime::Runtime::new()?.block_on(async {
        let store = filled(&engine, folder.path()).await?;
        let mut answered = 0;
        for _ in 0..600 {
            let query = made(&mut random, 2);
            if let Ok(answer) = store.sql_within(&query, 1_000, &own()).await {
                answered += 1;
                let told =
                    answer.rows.iter().any(|row| row.contains(FOREIGN) || row.contains("tk-48"));
                assert!(!told, "{query}: {:?}", answer.rows);
            }
        }
        println!("{answered} of 600 were answered");
        assert!(answered > 50, "{answered}");
        anyhow::Ok(())
    })
}
