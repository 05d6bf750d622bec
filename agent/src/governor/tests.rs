use proptest::prelude::*;

use super::*;

const CEILINGS: Ceilings =
    Ceilings { cpu_percent_max: 50, memory_bytes_max: 100 << 20, open_files_max: 256 };

const SECOND: Duration = Duration::from_secs(1);

/// A host whose sources would take this much of a core each, by their rank, and sending besides.
struct Host {
    governor: Governor,
    wanted: [f64; 3],
    sending: f64,
    memory: u64,
    sample: Sample,
    now: Instant,
    paces: Paces,
}

impl Host {
    fn new(wanted: [f64; 3]) -> Self {
        let (governor, now) = (Governor::new(CEILINGS), Instant::now());
        let paces = Paces::full(256);
        let memory = 20 << 20;
        Self { governor, wanted, sending: 0.0, memory, sample: Sample::default(), now, paces }
    }

    /// What each rank takes in a second.
    fn taken(&self) -> [f64; 3] {
        [0, 1, 2].map(|rank| self.wanted[rank].min(self.paces.shares[rank]))
    }

    fn second(&mut self) -> Ruling {
        let used = self.taken().iter().sum::<f64>() + self.sending;
        self.sample.cpu += Duration::from_secs_f64(used);
        self.sample.resident_bytes = self.memory;
        self.now += SECOND;
        let ruling = self.governor.apply(self.sample, self.now);
        self.paces = ruling.paces;
        ruling
    }

    /// Mean of what was taken in so many seconds, by rank.
    fn mean(&mut self, seconds: u32) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for _ in 0..seconds {
            for (sum, taken) in sums.iter_mut().zip(self.taken()) {
                *sum += taken / f64::from(seconds);
            }
            self.second();
        }
        sums
    }
}

fn floor() -> f64 {
    STEP.powi(i32::try_from(STEPS).unwrap())
}

#[test]
fn a_burst_is_read_at_full_speed_and_what_lasts_is_slowed() {
    let mut host = Host::new([1.0, 0.0, 0.0]);
    for second in 0..8 {
        assert!(host.second().turns.is_empty(), "second {second} is within the credit");
    }
    let began = (0..10).flat_map(|_| host.second().turns).collect::<Vec<_>>();
    assert!(
        matches!(began[..], [Turn::Began { ceiling: Ceiling::Cpu, taken: 99..=100, most: 50 }]),
        "{began:?}"
    );
    host.mean(20);
    let mean = host.mean(120)[0];
    assert!((0.35..=0.51).contains(&mean), "{mean}");
}

#[test]
fn access_logs_and_back_fill_make_room_and_security_is_read_as_it_comes() {
    let mut host = Host::new([1.0, 0.2, 0.2]);
    host.mean(60);
    let [later, usual, security] = host.mean(120);
    assert!(later + usual + security <= 0.51, "{later} {usual} {security}");
    assert!(later < 0.15 && usual > 0.19 && security > 0.199, "{later} {usual} {security}");
    assert!((host.paces.shares[2] - 1.0).abs() < f64::EPSILON, "security is not slowed");
    // Now the usual logs flood too.
    host.wanted = [1.0, 1.0, 0.2];
    host.mean(60);
    let [later, usual, security] = host.mean(120);
    assert!(later + usual + security <= 0.53, "{later} {usual} {security}");
    assert!(later > 0.0 && security > 0.199, "{later} {usual} {security}");
}

#[test]
fn what_is_not_reading_slows_reading_but_never_stops_it() {
    let mut host = Host::new([1.0, 1.0, 1.0]);
    host.sending = 2.0;
    host.mean(120);
    assert!(host.paces.shares[0] >= floor() && host.paces.shares[2] > 0.24, "{:?}", host.paces);
    // The backlog is sent: everything comes back within seconds.
    (host.sending, host.wanted) = (0.0, [0.1, 0.1, 0.1]);
    host.mean(30);
    assert_eq!(host.paces.shares, [1.0; 3]);
}

#[test]
fn memory_slows_before_its_ceiling_is_reached_rank_by_rank() {
    let shares = |percent: u64| {
        let mut host = Host::new([0.0; 3]);
        host.memory = (100 << 20) / 100 * percent;
        host.second();
        host.second().paces.shares
    };
    assert_eq!(shares(89), [1.0; 3]);
    let half = shares(95);
    assert!(half[0] < 0.2 && half[1..] == [1.0, 1.0], "{half:?}");
    let full = shares(101);
    assert!((full[0] - floor()).abs() < 1e-9 && full[1] < 1.0, "{full:?}");
    assert!((full[2] - 1.0).abs() < f64::EPSILON, "{full:?}");
    let beyond = shares(300);
    assert!((beyond[1] - floor()).abs() < 1e-9 && (0.2..0.3).contains(&beyond[2]), "{beyond:?}");
}

#[test]
fn an_episode_is_told_once_and_its_time_is_counted() {
    let mut host = Host::new([0.0; 3]);
    let mut turns = Vec::new();
    host.second();
    // In and out of it every few seconds for ten minutes.
    for second in 0..600 {
        host.memory = if second % 20 < 10 { 95 << 20 } else { 50 << 20 };
        turns.extend(host.second().turns);
    }
    assert!(matches!(turns[..], [Turn::Began { ceiling: Ceiling::Memory, .. }]), "{turns:?}");
    turns.clear();
    host.memory = 50 << 20;
    turns.extend((0..70).flat_map(|_| host.second().turns));
    let [Turn::Ended { ceiling: Ceiling::Memory, slowed }] = turns[..] else {
        panic!("{turns:?}");
    };
    assert!((Duration::from_secs(290)..=Duration::from_secs(301)).contains(&slowed), "{slowed:?}");
}

#[test]
fn logs_have_the_open_files_that_others_do_not_take() {
    let mut governor = Governor::new(CEILINGS);
    let sample = |open_files, log_files| Sample { open_files, log_files, ..Sample::default() };
    let most = |governor: &mut Governor, sample| {
        governor.apply(sample, Instant::now()).paces.log_files_max
    };
    assert_eq!(most(&mut governor, sample(50, 10)), 216);
    assert_eq!(most(&mut governor, sample(300, 260)), 216, "logs have to be closed");
    assert_eq!(most(&mut governor, sample(1_000, 10)), LOG_FILES_MIN, "connections took them all");
    governor.set_ceilings(Ceilings { open_files_max: 1_000, ..CEILINGS });
    assert_eq!(most(&mut governor, sample(50, 10)), 960);
}

#[test]
fn a_host_that_slept_is_not_taken_for_one_that_worked() {
    let mut host = Host::new([0.4, 0.0, 0.0]);
    host.mean(5);
    host.now += Duration::from_secs(3_600);
    let ruling = host.second();
    assert_eq!(ruling.slowed_for, [Duration::ZERO; 3]);
    assert_eq!(ruling.paces.shares, [1.0; 3]);
}

#[test]
fn threads_share_the_logs_that_may_be_open() {
    let reading = Reading::default();
    reading.set(Paces::full(64));
    assert_eq!((reading.hold(0, 60), reading.hold(0, 10)), (0, 6));
    assert_eq!(reading.hold(60, 50), 0);
    assert_eq!(reading.log_files(), (60, 0));
}

proptest! {
    #[test]
    fn ranks_slow_in_their_order_and_none_ever_stops(
        samples in prop::collection::vec((0_u64..3_000, 0_u64..300, 0_u64..2_000, 0_u64..2_000, 0_u64..90_000), 1..200),
    ) {
        let (mut governor, mut now, mut cpu) = (Governor::new(CEILINGS), Instant::now(), Duration::ZERO);
        let (mut slowed, mut passed) = (Duration::ZERO, Duration::ZERO);
        for (milliseconds, memory, others, logs, later) in samples {
            cpu += Duration::from_millis(milliseconds);
            now += Duration::from_millis(later);
            passed += Duration::from_millis(later);
            let (open_files, resident_bytes) = (others + logs, memory << 20);
            let sample = Sample { cpu, resident_bytes, open_files, log_files: logs, log_files_closed: 0 };
            let ruling = governor.apply(sample, now);
            let [later, usual, security] = ruling.paces.shares;
            prop_assert!(later >= floor() - 1e-9 && usual >= floor() - 1e-9 && security > 0.24);
            prop_assert!(later <= 1.0 && usual <= 1.0 && security <= 1.0);
            prop_assert!(usual >= 1.0 || later <= floor() + 1e-9, "{:?}", ruling.paces);
            prop_assert!(security >= 1.0 || usual <= floor() + 1e-9, "{:?}", ruling.paces);
            prop_assert!(ruling.paces.log_files_max >= LOG_FILES_MIN);
            prop_assert!(ruling.paces.log_files_max + others <= 256 || ruling.paces.log_files_max == LOG_FILES_MIN);
            slowed += ruling.slowed_ranks[0];
        }
        prop_assert!(slowed <= passed);
    }
}
