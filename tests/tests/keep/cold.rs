//! The cold tier: rows are moved, found, finished after a crash, kept by holds, and go at last.

use super::*;

pub(super) fn cooling(keep: &Keep) -> String {
    format!(
        "{}[retention.security]\nhot = \"60d\"\n[retention.usage]\nhot = \"95d\"\n",
        keep.cold()
    )
}

pub(super) async fn cold_rows_are_found_by_the_same_search(keep: &Keep) -> anyhow::Result<()> {
    let more = cooling(keep);
    let store = keep.store(&more)?;
    let before = found(&store, &[]).await?;
    let of_one = found(&store, &[("agency", "H49"), ("text", "raw 180")]).await?;
    assert_eq!(of_one.len() as u64, EACH * 2, "security and usage");
    let sums = "sum(cityHash64(agency, class, time, observed, stored, host, agent, lane, seq, raw, fields, isNull(online), toString(kafka_offset)))";
    let whole: u64 =
        keep.client().query_raw(&format!("SELECT {sums} FROM events")).fetch_one().await?;

    let report = keep.apply(&more).await?;
    // Security of 75, 91, 100, 180, 200, 300 days; usage of 100, 180, 200, 300: of two agencies.
    assert_eq!(
        (report.cooled_rows, report.cold_files, report.deleted_rows),
        (10 * 2 * EACH, 20, 0)
    );
    assert_eq!(keep.ages("H49", "security").await?, [1, 20, 59]);
    assert_eq!(found(&store, &[]).await?, before);
    assert_eq!(found(&store, &[("agency", "H49"), ("text", "raw 180")]).await?, of_one);
    let path = format!("{}/**/*.parquet", keep.folder.join("cold").display());
    let both: u64 = keep
        .client()
        .query_raw(&format!(
            "SELECT assumeNotNull((SELECT {sums} FROM events) + (SELECT {sums} FROM file('{path}', 'Parquet')))"
        ))
        .fetch_one()
        .await?;
    assert_eq!(both, whole, "each row is there once, in one of the two");
    assert_eq!(of_view(&store).await?, before.len() as u64);

    // Evidence of an incident, and the spread of an address, reach into the cold tier.
    let (time, seq): (i64, u64) = keep
        .client()
        .query_raw(&format!("SELECT toUnixTimestamp64Micro(time), seq FROM file('{path}', 'Parquet', 'time DateTime64(6, \\'UTC\\'), seq UInt64, agent String, lane String') WHERE agent = 'a' AND lane = 'security' LIMIT 1"))
        .fetch_one()
        .await?;
    let reference = EventRef {
        agent: "a".into(),
        lane: Lane::Security.into(),
        seq,
        time_unix_nano: time * 1_000,
    };
    assert_eq!(store.evidence(&[reference], &Reach::Nation).await?.len(), 1);
    let now = Time::now();
    let spread = store
        .spread(
            "status",
            "failure",
            (now.minus(Duration::from_secs(400 * DAY_SECONDS)), now),
            &Reach::Nation,
        )
        .await?;
    assert_eq!(spread.iter().map(|row| row.count).sum::<u64>(), before.len() as u64);
    // While roll-ups are being made, figures are summed over rows, cold ones among them.
    let window = Window::of(now.minus(Duration::from_secs(400 * DAY_SECONDS)), now);
    let usage = store.usage_of(Read::Rows, window, "H49").await?;
    let requests = SUMS.iter().position(|sum| sum.name == "requests").context("requests")?;
    let held: u64 = usage.iter().map(|one| one.sums[requests]).sum();
    let of_usage = before.iter().filter(|row| row.1 == "H49" && row.2 == "usage").count();
    assert_eq!(held, of_usage as u64);
    let again = keep.apply(&more).await?;
    assert_eq!((again.cooled_rows, again.cold_files), (0, 0));
    Ok(())
}

/// Between manifest and deletion a row is in both places.
pub(super) async fn what_a_crash_left_is_finished_and_meanwhile_found_once(
    keep: &Keep,
) -> anyhow::Result<()> {
    let more = cooling(keep);
    let store = keep.store(&more)?;
    let before = found(&store, &[]).await?;
    let path: String = keep
        .client()
        .query("SELECT path FROM cold_files FINAL WHERE rows = 3 ORDER BY path LIMIT 1")
        .fetch_one()
        .await?;
    let file = keep.folder.join("cold").join(&path);
    keep.client()
        .query_raw(&format!("INSERT INTO cold_files SELECT * REPLACE ('moving' AS state, version + 1 AS version) FROM cold_files FINAL WHERE path = '{path}'"))
        .execute()
        .await?;
    let rows = keep.count("events").await?;
    let columns: Vec<String> = keep
        .client()
        .query("SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events' AND default_kind = ''")
        .fetch_all()
        .await?;
    let columns = columns.join(", ");
    keep.client()
        .query_raw(&format!(
            "INSERT INTO events ({columns}) SELECT {columns} FROM file('{}', 'Parquet')",
            file.display()
        ))
        .execute()
        .await?;
    assert_eq!(keep.count("events").await?, rows + EACH);
    assert_eq!(found(&store, &[]).await?, before, "found once while it is in both places");
    assert_eq!(of_view(&store).await?, before.len() as u64, "and once in the view");
    let report = keep.apply(&more).await?;
    assert_eq!((report.cooled_rows, report.cold_files), (EACH, 0));
    assert_eq!(keep.count("events").await?, rows);
    assert_eq!(found(&store, &[]).await?, before);
    Ok(())
}

pub(super) async fn a_damaged_file_takes_no_row_out(keep: &Keep) -> anyhow::Result<()> {
    let more = cooling(keep);
    let state = |state: &str| {
        format!(
            "INSERT INTO cold_files SELECT * REPLACE ('{state}' AS state, version + 1 AS version) FROM cold_files FINAL ORDER BY path LIMIT 1"
        )
    };
    let path: String = keep
        .client()
        .query("SELECT path FROM cold_files FINAL ORDER BY path LIMIT 1")
        .fetch_one()
        .await?;
    let file = keep.folder.join("cold").join(&path);
    let whole = fs::read(&file)?;
    let mut torn = whole.clone();
    torn[whole.len() / 2] ^= 1;
    fs::write(&file, &torn)?;
    keep.client().query_raw(&state("moving")).execute().await?;
    let rows = keep.count("events").await?;
    let told = keep.apply(&more).await.expect_err("refused").to_string();
    assert!(told.contains(&path) && told.contains("BLAKE3"), "{told}");
    assert_eq!(keep.count("events").await?, rows);
    fs::write(&file, &whole)?;
    keep.apply(&more).await?;
    assert_eq!(keep.count("cold_files FINAL WHERE state = 'moving'").await?, 0);
    Ok(())
}

pub(super) async fn a_policy_that_reaches_what_is_held_is_refused(
    keep: &Keep,
) -> anyhow::Result<()> {
    let more = cooling(keep);
    let store = keep.store(&more)?;
    store
        .tell_hold(&HoldEvent {
            agency: "G22".into(),
            until: Time::now().minus(Duration::from_secs(70 * DAY_SECONDS)).micros(),
            ..placed("case-2")
        })
        .await?;
    keep.apply(&more).await.context("what was applied before is not refused")?;
    let shorter = more
        .replace("hot = \"60d\"", "keep = \"80d\"\nhot = \"60d\"")
        .replace("[retention.usage]\nhot = \"95d\"", "[retention.uptime]\nkeep = \"74d\"");
    let before = found(&store, &[]).await?;
    match keep.apply(&shorter).await {
        Err(RetentionError::Held(reached)) => {
            // In the engine uptime of 75 and 91 days; of the cold tier security of 91 days and more.
            let told: Vec<(&str, &str, u64)> = reached
                .iter()
                .map(|one| (one.hold.as_str(), one.rule.as_str(), one.rows))
                .collect();
            assert_eq!(told, [("case-2", "uptime", 2 * EACH), ("case-2", "security", 5 * EACH)]);
        }
        other => anyhow::bail!("not refused: {other:?}"),
    }
    for arguments in [
        &["retention", "apply", "--yes", "--by", "Lan"][..],
        &["retention", "plan"],
        &["check-config"],
    ] {
        let output = keep.command(&shorter, arguments)?;
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(
            told.contains(
                "uptime would delete 6 rows that the hold \"case-2\" keeps (order 12/2026)"
            ),
            "{told}"
        );
    }
    assert_eq!(found(&store, &[]).await?, before);
    let unnamed = keep.apply("").await;
    assert!(matches!(unnamed, Err(RetentionError::NoShelf { files: 20 })), "{unnamed:?}");
    Ok(())
}

pub(super) async fn cold_files_go_when_their_hold_is_lifted(keep: &Keep) -> anyhow::Result<()> {
    let shorter = format!("{}[retention.security]\nkeep = \"80d\"\nhot = \"60d\"\n", keep.cold());
    let (lift, by) = (["hold", "lift", "case-2", "--why", "the court said so"], ["--by", "Minh"]);
    let output = keep.command(&shorter, &[&lift[..], &by].concat())?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = keep.command(&shorter, &["hold", "list", "--all", "--format", "csv"])?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains("case-2,G22,,,") && list.contains(",Minh,the court said so"), "{list}");
    let plan = keep.command(&shorter, &["retention", "plan", "--format", "json"])?;
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout)?;
    let rows: u64 =
        plan.as_array().context("a list")?.iter().filter_map(|line| line["rows"].as_u64()).sum();
    assert_eq!(rows, 5 * 2 * EACH, "{plan}");
    let asked = keep.command(&shorter, &["retention", "apply", "--by", "Lan"])?;
    assert!(
        String::from_utf8_lossy(&asked.stdout).contains("nothing was done"),
        "without a terminal nobody agrees"
    );
    let report = keep.apply(&shorter).await?;
    assert_eq!((report.deleted_files, report.deleted_rows), (10, 5 * 2 * EACH));
    let files: u64 = keep.count("cold_files FINAL WHERE state = 'settled'").await?;
    assert_eq!(files, 10);
    let folder = keep.folder.join("cold/H49");
    let left: usize = fs::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|day| fs::read_dir(day.path()).map_or(0, Iterator::count))
        .sum();
    assert_eq!(left, 5);
    let store = keep.store(&shorter)?;
    assert_eq!(of_view(&store).await?, found(&store, &[]).await?.len() as u64);
    let rows = found(&store, &[("lane", "security")]).await?;
    assert_eq!(rows.len() as u64, 4 * 2 * EACH);
    let forecast = keep.command(&shorter, &["retention", "forecast", "--format", "json"])?;
    let forecast: serde_json::Value = serde_json::from_slice(&forecast.stdout)?;
    assert!(forecast.as_array().is_some_and(|lines| lines.len() == 16), "{forecast}");
    let log = keep.command(&shorter, &["retention", "log", "--format", "md"])?;
    assert!(String::from_utf8_lossy(&log.stdout).contains("| done | delete | cold files | H49 |"));
    Ok(())
}
