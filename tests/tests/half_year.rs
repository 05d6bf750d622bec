//! The incidents of half a year, from the real engine: each once, as it is now, page by page, and none of before or behind.

use std::fs;

use system_tests::engine::Engine;
use vonggac_collector::{
    config::Config,
    store::{Store, StoredTransition, migrate},
};
use vonggac_wire::{
    Time,
    proto::{Incident, Transition},
};

const HOUR: i64 = 3_600;
const BEGIN: i64 = 1_782_838_800;

/// More than a page.
const OPENED: u64 = 1_200;

fn step(id: u64, version: u64, hours: i64, result: &str) -> StoredTransition {
    let time = Time::from_seconds(BEGIN + hours * HOUR);
    let after = Incident { id, version, result: result.into(), ..Incident::default() };
    StoredTransition {
        transition: Transition {
            incident: id,
            version,
            time_unix_nano: time.0,
            action: if version == 1 { "opened" } else { "resolved" }.into(),
            after: Some(after),
            ..Transition::default()
        },
        origin_key: String::new(),
        origin_offset: 0,
        command: String::new(),
    }
}

#[test]
fn each_incident_of_the_span_is_told_once_as_it_is_now() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let path = folder.path().join("collector.toml");
    fs::write(&path, engine.configuration("half"))?;
    let store = Store::new(&Config::read(&path)?);
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store).await?;
        let mut steps = vec![step(1, 1, -1, "before"), step(2_000, 1, 4_416, "behind")];
        steps.extend((2..2 + OPENED).map(|id| step(id, 1, 0, "")));
        // What was opened in the span and ended behind it is told as it is now; what was opened before and ended in it is not.
        steps.extend([step(2, 2, 5_000, "ended"), step(1, 2, 10, "ended")]);
        store.insert_transitions(&steps, "half-year").await?;
        let span = (Time::from_seconds(BEGIN), Time::from_seconds(BEGIN + 4_416 * HOUR));
        let (mut told, mut after, mut pages) = (Vec::new(), 0, 0);
        loop {
            let page = store.incidents_opened(span, after).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            pages += 1;
            told.extend(page);
        }
        let ids: Vec<u64> = told.iter().map(|incident| incident.id).collect();
        assert_eq!(ids, (2..2 + OPENED).collect::<Vec<u64>>());
        assert_eq!((pages, told[0].result.as_str(), told[0].version), (3, "ended", 2));
        Ok(())
    })
}
