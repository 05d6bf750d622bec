//! Search by words in the real engine: letters and marks do not matter, bytes of any kind neither, and the index leaves nothing out.

use std::fs;

use clickhouse::Client;
use system_tests::engine::Engine;
use vonggac_collector::{
    config::Config,
    store::{Store, migrate, row::EventRow},
};
use vonggac_wire::{
    Time,
    proto::{SearchRequest, Term},
};

const NOON: i64 = 1_793_534_400;

/// Lines, with a message where it is not the line itself.
const LINES: [(&[u8], &str); 8] = [
    ("Mật KHẨU không đúng cho tài khoản lê.văn.an".as_bytes(), ""),
    ("Đăng nhập thành công, ĐƠN số 4711".as_bytes(), ""),
    (b"GET /dich-vu/ho-so?ma=9f3a2bc4 HTTP/1.1", ""),
    (b"\xff\xfe\xed\xa0\x80 Failed password for root \xc4", ""),
    (b"opaque", "Phiên làm việc đã hết hạn"),
    (b"100% done _ and [x] (y) 'quoted' \\ back", ""),
    (b"password failed for root", ""),
    (b"", ""),
];

async fn found(store: &Store, value: &str, negated: bool) -> anyhow::Result<Vec<u64>> {
    found_in(store, "text", value, negated).await
}

async fn found_in(
    store: &Store,
    field: &str,
    value: &str,
    negated: bool,
) -> anyhow::Result<Vec<u64>> {
    let term = Term { field: field.into(), value: value.into(), negated };
    let request = SearchRequest {
        since_unix_nano: Time::from_seconds(NOON - 60).nanos(),
        until_unix_nano: Time::from_seconds(NOON + 60).nanos(),
        terms: vec![term],
        oldest_first: true,
        ..SearchRequest::default()
    };
    let reply = store.search(&request, Time::from_seconds(NOON)).await?;
    Ok(reply.rows.iter().map(|row| row.seq).collect())
}

#[test]
fn words_are_found_whatever_their_letters_marks_and_bytes() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let path = folder.path().join("collector.toml");
    fs::write(&path, engine.configuration("words"))?;
    let store = Store::new(&Config::read(&path)?);
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store).await?;
        let rows: Vec<EventRow> = LINES
            .iter()
            .zip(0_u64..)
            .map(|((raw, message), seq)| EventRow {
                agency: "H49".into(),
                class: "process".into(),
                time: (NOON * 1_000_000) + i64::try_from(seq).unwrap_or(0),
                stored: NOON * 1_000_000,
                seq,
                raw: raw.to_vec(),
                message: (*message).into(),
                user: if seq == 3 { "root".into() } else { String::new() },
                actor_user: if seq == 5 { "root".into() } else { "lan".into() },
                ..EventRow::default()
            })
            .collect();
        store.insert_rows(&rows, "lines").await?;
        let without = store.clone().with_setting("use_skip_indexes", "0");
        for (sought, places) in [
            ("mat khau", vec![0]),
            ("MẬT khẩu", vec![0]),
            ("dang nhap", vec![1]),
            ("Đơn số 4711", vec![1]),
            ("9F3A2BC4", vec![2]),
            ("ho-so?ma", vec![2]),
            ("failed password", vec![3]),
            ("password", vec![3, 6]),
            ("phien lam viec", vec![4]),
            ("[x] (y)", vec![5]),
            ("100%", vec![5]),
            ("_", vec![5]),
            ("'quoted' \\", vec![5]),
            // A part of a word is no word, unless it is asked for.
            ("9f3a", vec![]),
            ("9f3a*", vec![2]),
            ("*hau*", vec![0]),
            ("nothing of this", vec![]),
        ] {
            assert_eq!(found(&store, sought, false).await?, places, "{sought}");
            assert_eq!(found(&without, sought, false).await?, places, "{sought}, without the index");
            let others: Vec<u64> = (0..LINES.len() as u64).filter(|n| !places.contains(n)).collect();
            assert_eq!(found(&store, sought, true).await?, others, "not {sought}");
        }
        assert_eq!(found_in(&store, "user", "root", false).await?, [3, 5]);
        assert_eq!(found_in(&store, "user", "lan", true).await?, [5]);
        let client = Client::default().with_url(engine.url()).with_database("words");
        let plan: Vec<String> = client
            .query("EXPLAIN indexes = 1 SELECT seq FROM events WHERE hasAll(tokens(folded), tokens('mat khau'))")
            .fetch_all()
            .await?;
        assert!(plan.iter().any(|line| line.contains("by_words")), "{plan:#?}");
        let plan: Vec<String> = client
            .query("EXPLAIN indexes = 1 SELECT seq FROM events WHERE has([user, actor_user], 'root')")
            .fetch_all()
            .await?;
        assert!(plan.iter().any(|line| line.contains("by_users")), "{plan:#?}");
        Ok(())
    })
}
