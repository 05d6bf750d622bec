//! What is small, and what is written for others.

use super::*;
use crate::cold::cooling;

pub(super) fn all_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files
}

/// Also what is cold by now.
pub(super) async fn others_get_all_of_it_in_their_words(keep: &Keep) -> anyhow::Result<()> {
    let more = cooling(keep);
    let whole = found(&keep.store(&more)?, &[]).await?.len();
    let since = Time::now().minus(Duration::from_secs(500 * DAY_SECONDS)).to_string();
    for form in ["ocsf", "cef", "parquet"] {
        let to = keep.folder.join(form);
        let output = keep.command(
            &more,
            &["export", "--format", form, "--to", &to.display().to_string(), "--since", &since],
        )?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains(&format!("{whole} of {whole} events")), "progress is shown: {told}");
        let files = all_below(&to);
        assert!(files.len() >= 16, "each day of an agency by itself: {files:?}");
        if form == "parquet" {
            let rows: u64 =
                keep.count(&format!("file('{}/*/*.parquet', 'Parquet')", to.display())).await?;
            assert_eq!(rows, whole as u64);
            continue;
        }
        let text: String =
            files.iter().map(|file| fs::read_to_string(file).expect("text")).collect();
        assert_eq!(text.lines().count(), whole);
        for line in text.lines() {
            if form == "cef" {
                assert!(
                    line.starts_with("CEF:0|Vong Gac|")
                        && line.contains("rawEvent=\u{fffd}\\\\u001b'raw "),
                    "{line}"
                );
                continue;
            }
            let event: serde_json::Value = serde_json::from_str(line)?;
            assert!(event["metadata"]["version"] == "1.5.0" && event["time"].is_i64(), "{line}");
        }
    }
    Ok(())
}

pub(super) fn step(id: u64, age: u64, state: IncidentState) -> StoredTransition {
    let time = Time::now().minus(Duration::from_secs(age * DAY_SECONDS)).0;
    let incident = Incident {
        id,
        version: 1,
        state: state.into(),
        rule: "ssh-brute-force".into(),
        agency: "H49".into(),
        agencies: vec!["H49".into()],
        first_time_unix_nano: time,
        last_time_unix_nano: time,
        opened_unix_nano: time,
        updated_unix_nano: time,
        entity: Some(Entity { kind: "src_ip".into(), value: "203.0.113.7".into() }),
        ..Incident::default()
    };
    StoredTransition {
        transition: Transition {
            incident: id,
            version: 1,
            time_unix_nano: time,
            action: "opened".into(),
            to_state: state.into(),
            after: Some(incident),
            ..Transition::default()
        },
        origin_key: String::new(),
        origin_offset: 0,
        command: String::new(),
    }
}

pub(super) async fn incidents_gaps_and_dead_letters_have_their_own_days(
    keep: &Keep,
) -> anyhow::Result<()> {
    let store = keep.store(&keep.cold())?;
    let unknown = store.tell_hold(&HoldEvent { incident: 77, ..placed("case-3") }).await;
    assert!(matches!(unknown, Err(RetentionError::NoIncident { incident: 77, .. })), "{unknown:?}");
    store
        .insert_transitions(
            &[
                step(1, 1_200, IncidentState::Closed),
                step(2, 1_200, IncidentState::InProgress),
                step(3, 1_200, IncidentState::Resolved),
                step(4, 900, IncidentState::Closed),
            ],
            "steps",
        )
        .await?;
    for (age, number) in [(400, 1), (300, 2)] {
        let gaps = format!(
            "INSERT INTO gaps (time, agency, agent, lane, first_seq, last_seq, reason) VALUES (now() - INTERVAL {age} DAY, 'H49', 'a', 'usage', {number}, 9, 'overflow')"
        );
        keep.client().query_raw(&gaps).execute().await?;
        let dead = format!(
            "INSERT INTO dead_letters (time, agency, kafka_topic, kafka_offset) VALUES (now() - INTERVAL {} DAY, 'H49', 't', {number})",
            age - 250
        );
        keep.client().query_raw(&dead).execute().await?;
    }
    store.tell_hold(&HoldEvent { incident: 3, ..placed("case-3") }).await?;
    let config = keep.config(&keep.cold())?;
    let plan = store.plan(&config.keeping, Time::now()).await?;
    let lines: Vec<_> = plan.iter().filter(|line| line.what == "incidents").collect();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].agency.as_str(), lines[0].rows), ("H49", 1));
    assert_eq!(lines[0].held, [("case-3".to_owned(), 1)]);
    let report = keep.apply(&keep.cold()).await?;
    assert_eq!((report.incidents, report.others), (1, 2));
    let left: Vec<u64> = keep
        .client()
        .query("SELECT incident FROM transitions ORDER BY incident")
        .fetch_all()
        .await?;
    assert_eq!(left, [2, 3, 4], "the open one, the held one, the younger one");
    assert_eq!((keep.count("gaps").await?, keep.count("dead_letters").await?), (1, 1));

    let to = keep.folder.join("stix");
    let output = keep.command(
        &keep.cold(),
        &[
            "export",
            "--format",
            "stix",
            "--to",
            &to.display().to_string(),
            "--since",
            "2020-01-01",
            "--agency",
            "H49",
        ],
    )?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = all_below(&to);
    let bundle: serde_json::Value =
        serde_json::from_slice(&fs::read(files.first().context("a bundle")?)?)?;
    let objects = bundle["objects"].as_array().context("objects")?;
    assert_eq!(objects.iter().filter(|object| object["type"] == "incident").count(), 3);
    store.tell_hold(&lifted("case-3")).await?;
    Ok(())
}
