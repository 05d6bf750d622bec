//! What is changed behind the system's back: rows of the audit log and of events. Whoever owns the store can do it; nobody can do it unseen.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
};

use anyhow::{Context as _, ensure};
use system_tests::machine::program;

use super::{
    ground::{Ground, OWN},
    tally::{Tally, says},
};

/// A call at the engine's own port.
fn call(ground: &Ground, headers: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(ground.machine.address("engine")?)?;
    let head = format!(
        "POST /?query=SELECT+count()+FROM+vonggac.events HTTP/1.1\r\nHost: e\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 403"), "answered {answer:.300}");
    Ok(())
}

fn carry_out(ground: &Ground, statements: &[String]) -> anyhow::Result<()> {
    let client = ground.engine()?;
    for statement in statements {
        let done = ground.runtime.block_on(client.query(statement).execute());
        done.with_context(|| statement.clone())?;
    }
    Ok(())
}

/// What `audit verify` says.
fn audit(ground: &Ground) -> anyhow::Result<(bool, String)> {
    let output = Command::new(program("vonggac-collector"))
        .args(["audit", "verify", "--config"])
        .arg(ground.machine.data().join("etc/collector.toml"))
        .output()?;
    let both = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&both).into_owned()))
}

/// What `verify` says of the operator's agency.
fn rows(ground: &Ground) -> anyhow::Result<(bool, String)> {
    let asked = ["verify", "--agency", OWN, "--since", "2h", "--format", "json"];
    let output = ground.machine.ask(&asked)?;
    let both = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&both).into_owned()))
}

fn found(said: anyhow::Result<(bool, String)>, words: &[&str]) -> anyhow::Result<()> {
    let (clean, text) = said?;
    ensure!(!clean, "it is called clean: {text:.300}");
    says(&text, words)
}

fn clean(said: anyhow::Result<(bool, String)>) -> anyhow::Result<()> {
    let (clean, text) = said?;
    ensure!(clean, "it is not clean: {text:.600}");
    Ok(())
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    for (sentence, headers) in [
        ("who has no password asks the engine nothing", ""),
        (
            "who has a wrong password asks the engine nothing",
            "X-ClickHouse-User: vonggac\r\nX-ClickHouse-Key: guess\r\n",
        ),
        (
            "who is another user asks the engine nothing",
            "X-ClickHouse-User: default\r\nX-ClickHouse-Key:\r\n",
        ),
    ] {
        tally.note(sentence, call(ground, headers));
    }
    tally.note("an audit log that nobody touched is whole", clean(audit(ground)));
    let longest =
        ground.sql("SELECT chain FROM audit GROUP BY chain ORDER BY count() DESC LIMIT 1")?;
    let chain = longest.first().and_then(|row| row["chain"].as_str()).context("no chain")?;
    let of = format!("chain = '{chain}'");
    for (sentence, statement, words) in [
        (
            "a row of the audit log that was changed is found",
            format!("ALTER TABLE audit UPDATE who = 'minh' WHERE {of} AND number = 5"),
            ["5", "changed"],
        ),
        (
            "a row of the audit log that was removed is found",
            format!("DELETE FROM audit WHERE {of} AND number = 9"),
            ["9", "removed"],
        ),
        (
            "a row of the audit log that was added is found",
            format!(
                "INSERT INTO audit SELECT * REPLACE ('minh' AS who) FROM audit WHERE {of} AND number = 12"
            ),
            ["12", "added"],
        ),
    ] {
        let done = carry_out(ground, &[statement]);
        tally.note(sentence, done.and_then(|()| found(audit(ground), &words)));
    }
    tally.note("rows that nobody touched are whole", clean(rows(ground)));
    let place = |seq: u64| format!("agency = '{OWN}' AND agent = 'web-1' AND seq = {seq}");
    for (sentence, statement, word) in [
        (
            "an event that was changed in the store is found",
            format!("ALTER TABLE events UPDATE user = 'nobody' WHERE {}", place(3)),
            "changed",
        ),
        (
            "an event that was removed from the store is found",
            format!("ALTER TABLE events DELETE WHERE {}", place(5)),
            "removed",
        ),
    ] {
        let done = carry_out(ground, &[statement]);
        tally.note(sentence, done.and_then(|()| found(rows(ground), &[word])));
    }
    Ok(())
}
