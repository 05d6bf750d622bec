//! Collectors join and leave their group while events come: stopped in order, killed, and frozen for longer than the group waits for them, so
//! that they come back with a block in their hands. Each event is stored, summed and counted once, and every collector tells the same incidents.
#![expect(clippy::print_stderr, reason = "a story tells how it went")]

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use system_tests::{
    centre::{Centre, Settings},
    load::Load,
    verdict::{self, Verdict},
};

/// Collectors of the group, of which one at least always works.
const MEMBERS: usize = 3;

/// From one joining or leaving to the next in the ordinary run, and in one that lasts as long as it is told.
const TURN: Duration = Duration::from_secs(4);
const LONG_TURN: Duration = Duration::from_secs(10);

/// How long the ordinary run lasts: each kind of joining and leaving, and a thaw.
const ORDINARY: Duration = Duration::from_secs(36);

/// Longer than the group's session of ten seconds: who is frozen so long has lost its partitions to others.
const FROZEN: Duration = Duration::from_secs(12);

/// Events a second in the ordinary run.
const EVENTS_PER_SECOND: u64 = 300;

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Join,
    Stop,
    Kill,
    Freeze,
    Thaw,
}

struct Play<'a> {
    centre: &'a mut Centre,
    chance: StdRng,
    /// When each frozen one is thawed.
    frozen: BTreeMap<usize, Instant>,
    done: BTreeMap<Deed, usize>,
}

impl Play<'_> {
    fn count(&mut self, deed: Deed, member: usize, begun: Instant) {
        eprintln!("{:?}: {deed:?} {}", begun.elapsed(), self.centre.collectors[member].name);
        *self.done.entry(deed).or_default() += 1;
    }

    /// Who could join, and who works.
    fn members(&mut self) -> (Vec<usize>, Vec<usize>) {
        let of = |wanted: &dyn Fn(&mut system_tests::collector::Collector) -> bool,
                  centre: &mut Centre| {
            let all = centre.collectors.iter_mut().enumerate();
            all.filter_map(|(at, one)| wanted(one).then_some(at)).collect::<Vec<_>>()
        };
        let away = of(&|one| !one.is_running(), self.centre);
        let working = of(&|one| one.is_up(), self.centre);
        (away, working)
    }

    fn any(&mut self, of: &[usize]) -> usize {
        of[self.chance.random_range(0..of.len())]
    }

    /// One joins or leaves.
    fn turn(&mut self, turn: usize, begun: Instant) -> anyhow::Result<()> {
        self.centre.look_after()?;
        let (away, working) = self.members();
        let join = working.len() < 2 || (working.len() < MEMBERS && self.chance.random());
        if join && !away.is_empty() {
            let member = self.any(&away);
            self.count(Deed::Join, member, begun);
            return self.centre.collectors[member].start();
        }
        if working.len() < 2 {
            // The others are frozen: they come back by themselves.
            return Ok(());
        }
        let member = self.any(&working);
        // The first to leave is frozen, so that even a short run sees it thaw.
        let leaves = [Deed::Freeze, Deed::Kill, Deed::Stop];
        let left = self.done.iter().filter(|(deed, _)| leaves.contains(deed));
        let left: usize = left.map(|(_, count)| count).sum();
        let deed = leaves.get(left).copied();
        let deed = deed.unwrap_or_else(|| leaves[self.chance.random_range(0..leaves.len())]);
        self.count(deed, member, begun);
        let collector = &mut self.centre.collectors[member];
        match deed {
            Deed::Stop => collector.stop().map(|in_order| {
                if !in_order {
                    eprintln!("{} did not stop in time, and was killed", collector.name);
                }
            }),
            Deed::Kill => collector.kill(),
            _ => {
                self.frozen.insert(member, Instant::now() + FROZEN);
                collector.freeze()
            }
        }
        .map_err(|error| error.context(format!("turn {turn}, {deed:?}")))
    }

    fn thaw_who_is_due(&mut self, begun: Instant) -> anyhow::Result<()> {
        let now = Instant::now();
        let due: Vec<usize> =
            self.frozen.iter().filter(|(_, at)| **at <= now).map(|(member, _)| *member).collect();
        for member in due {
            self.frozen.remove(&member);
            self.count(Deed::Thaw, member, begun);
            self.centre.collectors[member].thaw()?;
        }
        Ok(())
    }

    fn run(&mut self, time: Duration, turn: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut turns = 0;
        while begun.elapsed() < time || !self.frozen.is_empty() {
            self.thaw_who_is_due(begun)?;
            if begun.elapsed() >= turn * turns && begun.elapsed() < time {
                self.turn(usize::try_from(turns)?, begun)?;
                turns += 1;
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn tell(centre: &mut Centre) -> anyhow::Result<Verdict> {
    let seed = number("VONGGAC_SEED").unwrap_or(2026);
    let long = number("VONGGAC_MEMBERS_SECONDS").map(Duration::from_secs);
    let rate = number("VONGGAC_EVENTS_PER_SECOND").unwrap_or(EVENTS_PER_SECOND);
    let load = Load::start(centre.kafka(), rate, seed);
    centre.collectors[0].start()?;
    centre.wait_for_progress(0)?;
    let begun = Instant::now();
    let mut play = Play {
        centre,
        chance: StdRng::seed_from_u64(seed),
        frozen: BTreeMap::new(),
        done: BTreeMap::new(),
    };
    play.run(long.unwrap_or(ORDINARY), if long.is_some() { LONG_TURN } else { TURN })?;
    let done = play.done;
    // Whoever was away comes back: all of them must tell the same.
    for collector in &mut centre.collectors {
        if !collector.is_running() {
            collector.start()?;
        }
    }
    let sent = load.stop()?;
    let verdict = verdict::judge(centre, &sent, verdict::QUIET)?;
    eprintln!(
        "seed {seed}: {} events, judged after {:?}: {done:?}",
        sent.events(),
        begun.elapsed()
    );
    for ended in &centre.ended {
        eprintln!("{}", ended.lines().next().unwrap_or_default());
    }
    if !verdict.is_clean() {
        eprintln!("{verdict}{}", verdict::evidence(centre, &sent)?);
    }
    Ok(verdict)
}

#[test]
fn collectors_join_and_leave_and_each_event_is_there_once() {
    let straight = |engine: &str| Ok(engine.to_owned());
    let settings = Settings::default();
    let Some(mut centre) = Centre::up(MEMBERS, &settings, straight).expect("a centre") else {
        return;
    };
    let verdict = tell(&mut centre).unwrap_or_else(|error| panic!("{error:#}\n{}", centre.words()));
    assert!(verdict.is_clean(), "{verdict}");
}
