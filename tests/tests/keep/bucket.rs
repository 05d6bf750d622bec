//! The cold tier in a bucket: the same as in a folder, and what happens when the bucket does not do what it should.

use system_tests::objects::Fault;
use vonggac_collector::store::cold::ColdError;

use super::*;

/// Days of a lane and agency that go to the bucket: security of 75, 91, 100, 180 and 300 days, usage of 100, 180 and 300, of two agencies.
const FILES: u64 = (5 + 3) * 2;

fn of_bucket(objects: &Objects) -> String {
    format!(
        "{}[retention.security]\nhot = \"60d\"\n[retention.usage]\nhot = \"95d\"\n",
        objects.settings()
    )
}

/// Files as they lie in the bucket.
fn lie(objects: &Objects) -> u64 {
    let all = if objects.files().exists() { all_below(&objects.files()) } else { Vec::new() };
    all.iter().filter(|path| path.extension().is_some_and(|end| end == "parquet")).count() as u64
}

pub(super) async fn rows_go_to_a_bucket_and_are_found_by_the_same_search(
    keep: &Keep,
    objects: &Objects,
) -> anyhow::Result<()> {
    // What is past its time goes first, so that each step below is about the bucket alone.
    keep.apply("").await?;
    let more = of_bucket(objects);
    let store = keep.store(&more)?;
    let before = found(&store, &[]).await?;
    let of_one = found(&store, &[("agency", "H49"), ("text", "raw 180")]).await?;
    assert_eq!(of_one.len() as u64, EACH * 2, "security and usage");
    let plan = keep.command(&more, &["retention", "plan"])?;
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        plan.contains("cold tier: http://127.0.0.1:") && plan.contains("/nation/cold/"),
        "{plan}"
    );

    let applied = keep.command(&more, &["retention", "apply", "--yes", "--by", "Lan"])?;
    let told = String::from_utf8_lossy(&applied.stdout).into_owned();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    assert!(
        told.contains(&format!("{} rows to {FILES} cold files", FILES * EACH))
            && told.contains("/vonggac-cold/nation/cold/"),
        "{told}"
    );
    assert_eq!(lie(objects), FILES);
    assert_eq!(keep.ages("H49", "security").await?, [1, 20, 59]);
    assert_eq!(found(&store, &[]).await?, before);
    assert_eq!(found(&store, &[("agency", "H49"), ("text", "raw 180")]).await?, of_one);
    assert_eq!(of_view(&store).await?, before.len() as u64);

    let to = keep.folder.join("from-bucket");
    let since = Time::now().minus(Duration::from_secs(500 * DAY_SECONDS)).to_string();
    let to_text = to.display().to_string();
    let exported = keep
        .command(&more, &["export", "--format", "parquet", "--to", &to_text, "--since", &since])?;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let rows = keep.count(&format!("file('{to_text}/*/*.parquet', 'Parquet')")).await?;
    assert_eq!(rows, before.len() as u64);

    let copy = keep.folder.join("copy-of-bucket");
    let manifest = store.backup(&copy, "Lan", &|_| ()).await?;
    assert_eq!(manifest.cold.len() as u64, FILES, "a copy has the files of the bucket");
    let again = keep.apply(&more).await?;
    assert_eq!((again.cooled_rows, again.cold_files), (0, 0));
    Ok(())
}

/// Neither the bucket nor its key is in anything that somebody may read.
pub(super) async fn nobody_reads_the_key_or_past_the_rows(
    keep: &Keep,
    objects: &Objects,
) -> anyhow::Result<()> {
    let more = of_bucket(objects);
    let store = keep.store(&more)?;
    for wrong in [
        "SELECT {cold_secret:String}",
        "SELECT * FROM events_cold",
        "SELECT * FROM s3('http://127.0.0.1:1/vonggac-cold/nation/cold/*/*/*.parquet')",
        "SELECT create_table_query FROM system.tables",
        "SHOW CREATE TABLE events_cold",
    ] {
        let refused = store.sql(wrong, 10).await;
        assert!(refused.is_err(), "{wrong}: {refused:?}");
    }
    let shown: Vec<String> = keep
        .client()
        .query("SELECT create_table_query FROM system.tables WHERE name LIKE 'events_%'")
        .fetch_all()
        .await?;
    assert!(shown.iter().any(|text| text.contains("S3(")), "{shown:?}");
    assert!(shown.iter().all(|text| !text.contains("not+a/secret")), "{shown:?}");
    for arguments in [&["retention", "log"][..], &["check-config"]] {
        let output = keep.command(&more, arguments)?;
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(!told.contains(Objects::secret()), "{told}");
    }
    Ok(())
}

pub(super) async fn a_hold_keeps_files_of_a_bucket(
    keep: &Keep,
    objects: &Objects,
) -> anyhow::Result<()> {
    let more = of_bucket(objects);
    let store = keep.store(&more)?;
    store.tell_hold(&HoldEvent { agency: "G22".into(), ..placed("case-1") }).await?;
    keep.apply(&more).await.context("what was applied before is not refused")?;
    let shorter = more.replace("hot = \"60d\"", "keep = \"80d\"\nhot = \"60d\"");
    match keep.apply(&shorter).await {
        Err(RetentionError::Held(reached)) => {
            // Security of 91, 100, 180 and 300 days.
            let told: Vec<(&str, u64)> =
                reached.iter().map(|one| (one.hold.as_str(), one.rows)).collect();
            assert_eq!(told, [("case-1", 4 * EACH)]);
        }
        other => anyhow::bail!("not refused: {other:?}"),
    }
    assert_eq!(lie(objects), FILES);
    store.tell_hold(&lifted("case-1")).await?;
    let report = keep.apply(&shorter).await?;
    assert_eq!((report.deleted_files, report.deleted_rows), (8, 8 * EACH));
    assert_eq!(lie(objects), FILES - 8);
    assert_eq!(of_view(&store).await?, found(&store, &[]).await?.len() as u64);
    Ok(())
}

/// Whatever the bucket does, rows leave the engine behind their files alone.
pub(super) async fn a_bucket_that_does_something_else_takes_no_row_out(
    keep: &Keep,
    objects: &Objects,
) -> anyhow::Result<()> {
    let more = of_bucket(objects);
    let store = keep.store(&more)?;
    keep.insert(120, 9_000).await?;
    keep.progress(10_000).await?;
    keep.summed(10_000).await?;
    let rows = keep.count("events").await?;
    let cold = lie(objects);

    objects.set(Fault::Refuses);
    let refused = keep.apply(&more).await;
    assert!(
        matches!(refused, Err(RetentionError::Cold(ColdError::Bucket { .. }))),
        "refuses: {refused:?}"
    );
    assert!(found(&store, &[]).await.is_err(), "a search never leaves rows out in silence");
    let doctor = keep.command(&more, &["doctor"])?;
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(told.contains("The cold tier does not answer") || told.contains("Tầng lạnh"), "{told}");

    objects.set(Fault::Turns);
    match keep.apply(&more).await {
        Err(RetentionError::Cold(ColdError::Differs { found, .. })) => {
            assert!(found.contains("BLAKE3"), "{found}");
        }
        other => anyhow::bail!("not refused: {other:?}"),
    }

    objects.set(Fault::Hangs);
    let begun = std::time::Instant::now();
    let hung = keep.apply(&more).await;
    assert!(matches!(hung, Err(RetentionError::Cold(ColdError::Bucket { .. }))), "hangs: {hung:?}");
    assert!(begun.elapsed() < Duration::from_secs(300), "no wait is without an end");
    assert_eq!(keep.count("events").await?, rows, "all of it is still in the engine");

    objects.set(Fault::None);
    let before = found(&store, &[]).await?;
    let report = keep.apply(&more).await?;
    // Of two agencies security and usage; uptime of that age goes for ever.
    assert_eq!((report.cooled_rows, report.cold_files), (4 * EACH, 4));
    assert_eq!(lie(objects), cold + 4);
    let after = found(&store, &[]).await?;
    let of_uptime = |row: &&(String, String, String, String)| row.2 == "uptime" && row.0 == "120";
    assert_eq!(after.len() + before.iter().filter(of_uptime).count(), before.len());
    Ok(())
}
