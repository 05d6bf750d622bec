//! Collector, engine and Kafka are killed again and again, at random places, while numbered events come; each is stored, summed and counted once.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a story stops where its ground is missing, and tells how it went"
)]

use std::{
    collections::BTreeMap,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use system_tests::{
    between::{Between, Fault, Reach},
    centre::{Centre, Settings},
    load::Load,
    verdict::{self, Measure, Verdict},
};

/// Events a second: little enough that what is replayed after each of a thousand starts stays short.
const EVENTS_PER_SECOND: u64 = 150;

/// A short block, so that most of a collector's time is insert, signal and progress, where a kill tells most.
const BLOCK_INTERVAL: &str = "40ms";

/// From the moment when something was sent to a kill: the way of an event through Kafka, gathering, insert, signal, progress.
const INTO_WORK_MILLIS: Range<u64> = 0..350;

/// From a start to a kill that comes before the first row, or just behind it.
const COMING_UP_MILLIS: Range<u64> = 1..1_500;

/// How long something is frozen.
const FROZEN_MILLIS: Range<u64> = 50..2_000;

/// How long a centre is left alone where nobody is killed.
const UNDISTURBED: Duration = Duration::from_secs(8);

/// Kills of a story with a bug in it, and how long nothing may change there: what is wanted is a difference.
const BUG_KILLS: usize = 2;
const BUG_QUIET: Duration = Duration::from_secs(8);

/// From the moment when a bug has something in its hands to a kill: what hangs on its answer is done, and it still holds it.
const WITH_BUG_MILLIS: Range<u64> = 100..700;

/// How long it may take until it has something.
const BUG_WITHIN: Duration = Duration::from_secs(20);

/// Answers that are lost where nobody is killed, and how long that may take.
const BUG_LOST: u64 = 2;
const BUG_LOST_WITHIN: Duration = Duration::from_secs(60);

/// How long a store that confirms too early keeps a block in its hands; shorter than it is away, so that it then has lost all of them.
const CONFIRMED_BEFORE: Duration = Duration::from_millis(1_000);

/// How long an engine is away that comes back later.
const AWAY: Duration = Duration::from_millis(1_200);

/// How long a first taking-over may take on a machine that does other things.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);

/// What is done to a centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    /// The collector, at its work.
    Collector,
    /// The collector, and once more while it comes up.
    CollectorTwice,
    /// The engine, at its work.
    Engine,
    /// The engine, which comes back only a second later.
    EngineAway,
    /// Both at once.
    CollectorAndEngine,
    /// Both, and the engine comes back only a second later.
    CollectorAndEngineAway,
    /// The engine is frozen with a block in its hands, the collector dies; the next one comes while the block is still under way.
    CollectorBehindFrozenEngine,
    /// The collector is frozen and declared dead; another takes over; the first comes back with a block in its hands.
    Zombie,
    /// Kafka.
    Kafka,
    /// Kafka and the collector.
    KafkaAndCollector,
    /// Kafka is frozen for a while.
    FrozenKafka,
}

impl Deed {
    /// Each with its weight: Kafka takes longest to come back. The first six are what the ordinary run has.
    const ALL: [(Self, u32); 11] = [
        (Self::Collector, 34),
        (Self::Engine, 17),
        (Self::CollectorAndEngine, 14),
        (Self::CollectorBehindFrozenEngine, 6),
        (Self::Zombie, 5),
        (Self::KafkaAndCollector, 2),
        (Self::CollectorTwice, 18),
        (Self::Kafka, 2),
        (Self::FrozenKafka, 2),
        (Self::EngineAway, 2),
        (Self::CollectorAndEngineAway, 2),
    ];

    fn any(chance: &mut StdRng) -> Self {
        let all: u32 = Self::ALL.iter().map(|(_, weight)| weight).sum();
        let mut at = chance.random_range(0..all);
        for (deed, weight) in Self::ALL {
            if at < weight {
                return deed;
            }
            at -= weight;
        }
        Self::Collector
    }
}

/// A bug put in on purpose between collector and engine.
struct Bug {
    between: Between,
    reach: Reach,
    fault: Fault,
}

/// A centre with one collector at a time, which dies and is started again.
struct Play<'a> {
    centre: &'a mut Centre,
    load: &'a Load,
    bug: Option<&'a Bug>,
    chance: StdRng,
    /// Which of the collectors has the work.
    on: usize,
    kills: usize,
}

impl Play<'_> {
    fn rest(&mut self, millis: Range<u64>) {
        thread::sleep(Duration::from_millis(self.chance.random_range(millis)));
    }

    /// Some moment while what was just sent is on its way, or while the bug has something in its hands.
    fn wait_for_work(&mut self) {
        if let Some(bug) = self.bug {
            let (begun, before) = (Instant::now(), bug.between.counts().touched);
            while bug.between.counts().touched == before && begun.elapsed() < BUG_WITHIN {
                thread::sleep(Duration::from_millis(2));
            }
            return self.rest(WITH_BUG_MILLIS);
        }
        self.load.wait_for_more(Duration::from_secs(5));
        self.rest(INTO_WORK_MILLIS);
    }

    /// Some time without a kill, or until a bug has lost enough answers.
    fn undisturbed(&self) {
        let Some(bug) = self.bug else { return thread::sleep(UNDISTURBED) };
        let begun = Instant::now();
        while bug.between.counts().lost < BUG_LOST && begun.elapsed() < BUG_LOST_WITHIN {
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        self.kills += 1;
        self.centre.look_after()?;
        self.centre.collectors[self.on].kill()
    }

    /// Starts the collector again; the group knows already that the one before is dead.
    fn start(&mut self) -> anyhow::Result<()> {
        self.centre.bury()?;
        self.centre.collectors[self.on].start()
    }

    /// One deed, up to the next progress.
    fn turn(&mut self, deed: Deed) -> anyhow::Result<()> {
        self.wait_for_work();
        match deed {
            Deed::Collector => {
                self.kill()?;
                self.start()?;
            }
            Deed::CollectorTwice => {
                self.kill()?;
                self.start()?;
                self.rest(COMING_UP_MILLIS);
                self.kill()?;
                self.start()?;
            }
            Deed::Engine => {
                self.kills += 1;
                self.centre.kill_engine()?;
            }
            Deed::EngineAway => {
                self.kills += 1;
                self.centre.engine.kill();
                thread::sleep(AWAY);
                self.centre.engine.again()?;
            }
            Deed::CollectorAndEngineAway => {
                self.kills += 1;
                self.centre.engine.kill();
                self.kill()?;
                thread::sleep(AWAY);
                self.centre.engine.again()?;
                self.start()?;
            }
            Deed::CollectorAndEngine => {
                self.kills += 1;
                // Either of them first.
                if self.chance.random() {
                    self.kill()?;
                    self.centre.kill_engine()?;
                } else {
                    self.centre.engine.kill();
                    self.rest(0..30);
                    self.kill()?;
                    self.centre.engine.again()?;
                }
                self.start()?;
            }
            Deed::CollectorBehindFrozenEngine => {
                self.centre.signal_engine(Signal::STOP)?;
                self.rest(20..300);
                self.kill()?;
                self.start()?;
                self.rest(FROZEN_MILLIS);
                self.centre.signal_engine(Signal::CONT)?;
            }
            Deed::Zombie => self.zombie()?,
            Deed::Kafka => {
                self.kills += 1;
                self.centre.kill_kafka()?;
            }
            Deed::KafkaAndCollector => {
                self.kills += 1;
                self.kill()?;
                self.centre.kill_kafka()?;
                self.start()?;
            }
            Deed::FrozenKafka => {
                let time = Duration::from_millis(self.chance.random_range(FROZEN_MILLIS));
                self.centre.freeze_kafka(time)?;
            }
        }
        let before = self.centre.progress()?;
        self.centre.wait_for_progress(before)
    }

    fn zombie(&mut self) -> anyhow::Result<()> {
        let (first, second) = (self.on, 1 - self.on);
        let before = self.centre.progress()?;
        self.centre.collectors[first].freeze()?;
        self.centre.bury()?;
        self.centre.collectors[second].start()?;
        self.centre.wait_for_progress(before)?;
        self.rest(0..300);
        self.centre.collectors[first].thaw()?;
        self.rest(0..1_500);
        // One of them goes on alone.
        self.on = if self.chance.random() { first } else { second };
        self.kills += 1;
        self.centre.look_after()?;
        self.centre.collectors[1 - self.on].kill()?;
        self.centre.bury()
    }
}

fn seed() -> u64 {
    std::env::var("VONGGAC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026)
}

/// Kills: few in the ordinary run, as many as `VONGGAC_KILLS` says otherwise.
fn kills() -> usize {
    std::env::var("VONGGAC_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(8)
}

fn settings() -> Settings {
    Settings { block_interval: BLOCK_INTERVAL.into() }
}

/// What is done to one centre.
struct Story<D> {
    kills: usize,
    /// What the next turn does.
    deed: D,
    /// How long nothing may change before what is missing is given up.
    quiet: Duration,
}

impl<D: Fn(usize, &mut StdRng) -> Deed> Story<D> {
    /// Kills parts of a centre, and judges what it holds at the end. A bug begins when everything has come up.
    fn tell(&self, centre: &mut Centre, bug: Option<&Bug>) -> anyhow::Result<Verdict> {
        let seed = seed();
        let load = Load::start(centre.kafka(), EVENTS_PER_SECOND, seed);
        centre.collectors[0].start()?;
        centre.wait_for_progress(0)?;
        if let Some(bug) = bug {
            bug.between.set_for(bug.reach.clone(), bug.fault.clone());
        }
        let begun = Instant::now();
        let chance = StdRng::seed_from_u64(seed);
        let mut play = Play { centre, load: &load, bug, chance, on: 0, kills: 0 };
        let done = self.play(&mut play).with_context(|| format!("seed {seed}"))?;
        let (kills, played) = (play.kills, begun.elapsed());
        let sent = load.stop()?;
        if let Some(bug) = bug.filter(|_| self.kills == 0) {
            // What it does to inserts that are tried again is done; what comes from now on is whole.
            bug.between.set(Fault::None);
        }
        let verdict = verdict::judge(centre, &sent, self.quiet)?;
        eprintln!(
            "seed {seed}: {kills} kills in {played:?}, {} events, judged after {:?}: {done:?}",
            sent.events(),
            begun.elapsed()
        );
        if !centre.ended.is_empty() {
            eprintln!("{} collectors ended by themselves", centre.ended.len());
        }
        if !verdict.is_clean() || std::env::var_os("VONGGAC_EVIDENCE").is_some() {
            eprintln!("{verdict}\n{}", verdict::evidence(centre, &sent)?);
        }
        Ok(verdict)
    }

    fn play(&self, play: &mut Play<'_>) -> anyhow::Result<BTreeMap<Deed, usize>> {
        let begun = Instant::now();
        let mut done: BTreeMap<Deed, usize> = BTreeMap::new();
        if self.kills == 0 {
            play.undisturbed();
        }
        let mut told = 0;
        while play.kills < self.kills {
            let deed = (self.deed)(done.values().sum(), &mut play.chance);
            let (at, turn) = (play.kills, Instant::now());
            play.turn(deed).with_context(|| format!("after {at} kills, {deed:?}"))?;
            if std::env::var_os("VONGGAC_TURNS").is_some() {
                eprintln!("{:?}: {deed:?} took {:?}", begun.elapsed(), turn.elapsed());
            }
            *done.entry(deed).or_default() += 1;
            if play.kills / 50 > told {
                told = play.kills / 50;
                eprintln!("{} kills in {:?}", play.kills, begun.elapsed());
            }
        }
        Ok(done)
    }
}

/// Each deed once, then chance has it.
fn any(turn: usize, chance: &mut StdRng) -> Deed {
    Deed::ALL.get(turn).map_or_else(|| Deed::any(chance), |(deed, _)| *deed)
}

#[test]
fn a_centre_killed_again_and_again_has_each_event_once() {
    let straight = |engine: &str| Ok(engine.to_owned());
    let Some(mut centre) = Centre::up(2, &settings(), straight).expect("a centre") else { return };
    let story = Story { kills: kills(), deed: any, quiet: verdict::QUIET };
    let verdict = story
        .tell(&mut centre, None)
        .unwrap_or_else(|error| panic!("{error:#}\n{}", centre.words()));
    assert!(verdict.is_clean(), "seed {}: {verdict}", seed());
}

#[test]
fn how_far_signals_are_given_is_written_down_before_anything_is_stored() {
    let straight = |engine: &str| Ok(engine.to_owned());
    let Some(mut centre) = Centre::up(2, &settings(), straight).expect("a centre") else { return };
    centre.collectors[0].start().expect("a collector");
    // Of each partition of the three topics; nothing was sent yet.
    let query = "SELECT uniqExact(topic, partition) FROM progress WHERE startsWith(toString(topic), 'signalled/')";
    let begun = Instant::now();
    while centre.number(query).ok() != Some(12) {
        assert!(begun.elapsed() < WRITTEN_WITHIN, "{}", centre.words());
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(centre.number("SELECT count() FROM events").ok(), Some(0));
}

/// The same story with a bug put in on purpose between collector and engine; without a deed nobody is killed. `None`: the programs are missing.
fn with_a_bug(reach: Reach, fault: Fault, deed: Option<Deed>) -> Option<Verdict> {
    let mut between = None;
    let centre = Centre::up(2, &settings(), |engine| {
        let pass = Between::to(engine.parse()?)?;
        let address = pass.address().to_string();
        between = Some(pass);
        Ok(address)
    });
    let mut centre = centre.expect("a centre")?;
    let bug = Bug { between: between.expect("a pass"), reach, fault };
    let kills = if deed.is_some() { BUG_KILLS } else { 0 };
    let deed = deed.unwrap_or(Deed::Collector);
    let story = Story { kills, deed: |_, _: &mut StdRng| deed, quiet: BUG_QUIET };
    let verdict = story
        .tell(&mut centre, Some(&bug))
        .unwrap_or_else(|error| panic!("{error:#}\n{}", centre.words()));
    eprintln!("{:?}", bug.between.counts());
    Some(verdict)
}

#[test]
fn a_store_that_confirms_before_it_stores_is_found_out() {
    let fault = Fault::AnswerBeforeStoring(CONFIRMED_BEFORE);
    let found = with_a_bug(Reach::Into("events".into()), fault, Some(Deed::EngineAway));
    let Some(verdict) = found else { return };
    assert!(verdict.missing(Measure::Rows) > 0, "rows are missing, and nobody sees it: {verdict}");
}

#[test]
fn roll_ups_that_are_confirmed_before_they_are_stored_are_found_out() {
    let fault = Fault::AnswerBeforeStoring(CONFIRMED_BEFORE);
    let found = with_a_bug(Reach::Into("rollups".into()), fault, Some(Deed::EngineAway));
    let Some(verdict) = found else { return };
    let missing = verdict.missing(Measure::RollUps);
    assert!(missing > 0, "sums are missing, and nobody sees it: {verdict}");
}

#[test]
fn steps_of_incidents_that_are_confirmed_before_they_are_stored_are_found_out() {
    let fault = Fault::AnswerBeforeStoring(CONFIRMED_BEFORE);
    let found =
        with_a_bug(Reach::Into("transitions".into()), fault, Some(Deed::CollectorAndEngineAway));
    let Some(verdict) = found else { return };
    let missing = verdict.missing(Measure::Incidents);
    assert!(missing > 0, "counts are missing, and nobody sees it: {verdict}");
}

#[test]
fn events_without_their_token_are_found_out() {
    let fault = Fault::WithoutToken { every: 4 };
    let found = with_a_bug(Reach::Into("events".into()), fault, Some(Deed::Collector));
    let Some(verdict) = found else { return };
    assert!(verdict.double(Measure::Rows) > 0, "rows are double, and nobody sees it: {verdict}");
}

#[test]
fn roll_ups_without_their_token_are_found_out() {
    // Whoever comes up asks what is in already, and sums nothing twice: the bug is in what a living collector tries again.
    let fault = Fault::WithoutToken { every: 2 };
    let found = with_a_bug(Reach::Into("rollups".into()), fault, None);
    let Some(verdict) = found else { return };
    let double = verdict.double(Measure::RollUps);
    assert!(double > 0, "sums are double, and nobody sees it: {verdict}");
}
