//! The audit log in the real engine: chains that two programs write to at once, and rows that are changed, removed and added behind the
//! store's back.

use std::{fs, path::Path, process::Command};

use system_tests::{engine::Engine, machine::program};
use vonggac_collector::{
    config::Config,
    store::{Store, migrate},
    trust::{
        audit::{
            AuditRow, Deed, ledger,
            log::{AuditLog, Chain, PLACES_MAX},
            verify::Finding,
        },
        authority::Authority,
    },
};

fn store(engine: &Engine, folder: &std::path::Path, database: &str) -> anyhow::Result<Store> {
    let path = folder.join("collector.toml");
    fs::write(&path, engine.configuration(database))?;
    Ok(Store::new(&Config::read(&path)?))
}

fn deed(words: &str) -> Deed {
    Deed { time: 7, who: "lan".into(), call: "sql".into(), words: words.into(), ..Deed::default() }
}

async fn found(store: &Store) -> anyhow::Result<Vec<(String, u64, Vec<Finding>)>> {
    let all = store.verify_audit().await?;
    Ok(all.into_iter().map(|chain| (chain.chain, chain.rows, chain.findings)).collect())
}

#[test]
fn a_row_that_is_changed_removed_or_added_behind_the_stores_back_is_named() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(mut engine) = Engine::start(folder.path())? else { return Ok(()) };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let store = store(&engine, folder.path(), "audited")?;
        migrate::run(&store).await?;
        // Two who write to one chain: none of their rows is lost, and the chain is whole.
        let mut one = Chain::new(store.clone(), "a".into());
        let mut other = Chain::new(store.clone(), "a".into());
        for number in 0..10 {
            one.append(&[deed(&format!("one {number}")), deed("more")]).await?;
            other.append(&[deed(&format!("other {number}"))]).await?;
        }
        assert_eq!(found(&store).await?, [("a".into(), 30, vec![])]);

        let client = engine.client("audited");
        let forged: Vec<AuditRow> =
            client.query("SELECT ?fields FROM audit WHERE number = 12").fetch_all().await?;
        for statement in [
            "ALTER TABLE audit UPDATE who = 'minh' WHERE number = 5 SETTINGS mutations_sync = 1",
            "DELETE FROM audit WHERE number IN (8, 9)",
            "DELETE FROM audit WHERE number = 30",
        ] {
            client.query(statement).execute().await?;
        }
        let mut insert = client.insert::<AuditRow>("audit").await?;
        for row in &forged {
            insert.write(&AuditRow { who: "minh".into(), ..row.clone() }).await?;
        }
        insert.end().await?;
        let named = [
            Finding::Changed(5),
            Finding::Removed { first: 8, last: 9 },
            Finding::Added(12),
            Finding::Removed { first: 30, last: 30 },
        ];
        let told = found(&store).await?;
        let told = &told.first().expect("a chain").2;
        assert!(named.iter().all(|finding| told.contains(finding)), "{told:?}");

        let configuration = folder.path().join("collector.toml");
        let verified = Command::new(program("vonggac-collector"))
            .args(["audit", "verify", "--config"])
            .arg(&configuration)
            .output()?;
        let text = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(!verified.status.success() && text.contains("rows 8 to 9 were removed"), "{text}");
        commands_are_in_the_log(&client, &configuration).await
    })?;
    engine.kill();
    Ok(())
}

/// A command that changes something is in the log, with how it ended.
async fn commands_are_in_the_log(
    client: &clickhouse::Client,
    configuration: &Path,
) -> anyhow::Result<()> {
    let held = Command::new(program("vonggac-collector"))
        .args(["hold", "add", "h", "--why", "w", "--by", "lan", "--agency", "H49", "--config"])
        .arg(configuration)
        .output()?;
    assert!(held.status.success(), "{held:?}");
    let rows: Vec<(String, String, String)> = client
        .query("SELECT outcome, agency, address FROM audit WHERE call = 'hold add' AND role = 'command' ORDER BY number")
        .fetch_all()
        .await?;
    let row = |outcome: &str| (outcome.to_owned(), "H49".to_owned(), "local".to_owned());
    assert_eq!(rows, [row("begun"), row("ok")]);
    // One that fails is there as one that failed.
    let again = Command::new(program("vonggac-collector"))
        .args(["restore", "--from", "/nowhere", "--yes", "--config"])
        .arg(configuration)
        .output()?;
    assert!(!again.status.success(), "{again:?}");
    let failed = "SELECT count() FROM audit WHERE call = 'restore' AND outcome = 'failed'";
    assert_eq!(client.query(failed).fetch_one::<u64>().await?, 1);
    Ok(())
}

/// The authority works without a store: what it did comes to the log when the store can be reached, once, by whomever.
#[test]
fn what_the_authority_does_is_in_the_log_also_where_the_store_was_away() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(mut engine) = Engine::start(folder.path())? else { return Ok(()) };
    let store = store(&engine, folder.path(), "ledger")?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(migrate::run(&store))?;
    let configuration = folder.path().join("collector.toml");
    let pki = format!("[trust.pki]\ndir = \"{}\"\n", folder.path().join("pki").display());
    fs::write(&configuration, fs::read_to_string(&configuration)? + &pki)?;
    let asked = |words: &str| {
        let output = Command::new(program("vonggac-collector"))
            .args(words.split(' '))
            .arg("--config")
            .arg(&configuration)
            .env("VONGGAC_ROOT_PASSPHRASE", "correct horse battery")
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::Ok((output.status.success(), told))
    };
    engine.kill();
    let (made, told) = asked("pki init")?;
    assert!(made && told.contains("ledger has it"), "{told}");
    let out = folder.path().join("lan").display().to_string();
    let (issued, told) = asked(&format!("pki issue --person lan --out {out}"))?;
    assert!(issued && told.contains("ledger has it"), "{told}");
    engine.again()?;
    let (made, told) = asked("token create --agency H49 --centre https://c.example:7444")?;
    assert!(made && !told.contains("ledger"), "{told}");
    let (revoked, _) = asked("pki revoke 00 --yes")?;
    assert!(!revoked);

    runtime.block_on(async {
        let client = engine.client("ledger");
        let rows: Vec<(String, String)> = client
            .query("SELECT call, agency FROM audit WHERE role = 'authority' ORDER BY number")
            .fetch_all()
            .await?;
        let row = |call: &str, agency: &str| (call.to_owned(), agency.to_owned());
        let wanted =
            [row("authority founded", ""), row("certificate issued", ""), row("token made", "H49")];
        assert_eq!(rows, wanted);
        let ended: Vec<(String, String)> = client
            .query("SELECT call, outcome FROM audit WHERE role = 'command' ORDER BY number")
            .fetch_all()
            .await?;
        assert_eq!(ended, [row("token create", "ok"), row("pki revoke", "failed")]);
        let authority = Authority::open(&folder.path().join("pki"))?;
        // Whoever comes later finds nothing to do, and two at once do it once.
        let (one, other) = tokio::join!(
            ledger::take_over(&store, &authority),
            ledger::take_over(&store, &authority)
        );
        assert_eq!((one?, other?), (0, 0));
        assert!(found(&store).await?.iter().all(|(_, _, findings)| findings.is_empty()));
        fs::write(folder.path().join("pki/ledger.jsonl"), "")?;
        let shorter = ledger::take_over(&store, &authority).await;
        let told = shorter.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("it has 0 lines, and the audit log 3"), "{told}");
        anyhow::Ok(())
    })?;
    engine.kill();
    Ok(())
}

#[test]
fn while_the_store_takes_no_rows_calls_are_refused_when_the_queue_is_full() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(mut engine) = Engine::start(folder.path())? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let store = store(&engine, folder.path(), "full")?;
        migrate::run(&store).await?;
        engine.kill();
        let (log, _written) =
            AuditLog::spawn(Chain::new(store.clone(), "a".into()), Default::default());
        let mut taken = 0_usize;
        let refused = loop {
            match log.begin(deed(&taken.to_string())) {
                Ok(open) => open.ended("ok", 0),
                Err(refused) => break refused,
            }
            taken += 1;
            assert!(taken <= 2 * PLACES_MAX, "the queue has no end");
        };
        assert!(refused.message().contains("audit log"), "{refused}");
        engine.again()?;
        let begun = std::time::Instant::now();
        while found(&store).await.map_or(0, |all| all.first().map_or(0, |chain| chain.1))
            < taken as u64
        {
            anyhow::ensure!(begun.elapsed().as_secs() < 60, "rows that waited are not written");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        assert_eq!(found(&store).await?, [("a".into(), taken as u64, vec![])]);
        assert!(log.begin(deed("again")).is_ok());
        anyhow::Ok(())
    })
}
