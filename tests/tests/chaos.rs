//! Parts are killed at random moments; each line is stored once, and the incidents are those of an undisturbed run.

use std::{thread, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use system_tests::{
    digest, lines,
    machine::{Machine, Part},
};

/// Lines and rounds: small in the ordinary run, the whole with `VONGGAC_CHAOS=full`.
fn size() -> (usize, usize) {
    if std::env::var_os("VONGGAC_CHAOS").is_some_and(|value| value == "full") {
        (100_000, 10)
    } else {
        (10_000, 4)
    }
}

#[test]
fn whoever_is_killed_each_line_is_stored_once() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let (all, rounds) = size();
    let addresses = 5;
    let seed =
        std::env::var("VONGGAC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    let mut chance = StdRng::seed_from_u64(seed);
    for round in 0..rounds {
        let each = all / rounds;
        let (begin, end) = (round * each, (round + 1) * each);
        let killed = Part::ALL[round % Part::ALL.len()];
        let also = Part::ALL[chance.random_range(0..Part::ALL.len())];
        for (at, number) in (begin..end).enumerate() {
            if at % 200 == 0 {
                let text: String = (number..(number + 200).min(end))
                    .map(|n| lines::refused(n, &format!("203.0.113.{}", n % addresses)))
                    .collect();
                machine.append(&text).expect("appended");
                thread::sleep(Duration::from_millis(chance.random_range(1..30)));
            }
            if at == each / 3 || at == each / 2 {
                let part = if at == each / 2 { also } else { killed };
                eprintln!("round {round}: kill {part:?}");
                let _being_started = machine.signal(part, "KILL");
            }
        }
    }
    let wanted = u64::try_from(all).expect("a count");
    let query = "SELECT count() FROM events WHERE class = 'authentication'";
    machine
        .until("all lines", Duration::from_secs(240), |m| m.count(query), |count| *count >= wanted)
        .expect("stored");
    thread::sleep(Duration::from_secs(5));
    assert_eq!(machine.count(query).expect("counted"), wanted, "rows");
    let distinct = machine
        .count("SELECT uniqExact(raw) FROM events WHERE class = 'authentication'")
        .expect("counted");
    let places = machine
        .count("SELECT uniqExact(source_offset) FROM events WHERE class = 'authentication'")
        .expect("counted");
    assert_eq!(places, wanted, "distinct places in the file ({distinct} distinct texts)");
    let rolled = digest::alike(&machine, "class = 'authentication'").expect("roll-ups");
    assert_eq!(rolled, wanted, "rolled up");
    let incidents = machine
        .until(
            "the incidents of an undisturbed run",
            Duration::from_secs(60),
            |m| m.rows(&["incidents", "--rule", "ssh-brute-force"]),
            |rows| {
                rows.len() == addresses
                    && rows.iter().filter_map(|row| row["count"].as_u64()).sum::<u64>() == wanted
            },
        )
        .expect("incidents");
    assert!(
        incidents.iter().all(|row| row["count"].as_u64() == Some(wanted / addresses as u64)),
        "{incidents:#?}"
    );
}
