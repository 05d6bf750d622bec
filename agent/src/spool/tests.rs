use std::{fs::OpenOptions, os::unix::fs::FileExt, sync::Arc, time::Duration};

use proptest::prelude::*;
use vonggac_wire::event::{Activity, Body, Class, GapReason, Status};

use super::*;

const NOW: Time = Time::from_seconds(1_764_000_000);

fn open(dir: &Path) -> Spool {
    Spool::open(dir, "web-1", 64 << 20, Fsync::Interval(Duration::from_millis(200)), NOW).unwrap()
}

fn line(stream: &str, offset: u64, class: Class) -> Entry {
    let activity = Activity::of(class, 1, Status::Failure);
    Entry {
        event: Event::new(NOW, NOW, Body::Activity(activity))
            .with_raw(format!("{stream} {offset}").as_bytes(), 0),
        position: Some(Position { stream: Arc::from(stream), offset }),
    }
}

/// The security lane's segments with their sizes.
fn segments(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut all: Vec<_> = fs::read_dir(dir.join("security"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.path(), entry.metadata().unwrap().len()))
        .collect();
    all.sort();
    all
}

fn drain(spool: &mut Spool, lane: Lane) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    while let Some(pending) = spool.next(lane, 10, 1 << 20).unwrap() {
        for (n, event) in pending.events.iter().enumerate() {
            all.push((
                pending.first_seq + n as u64,
                String::from_utf8_lossy(event.raw()).into_owned(),
            ));
        }
    }
    all
}

#[test]
fn what_was_appended_is_handed_out_in_order_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let lines = (1..=25).map(|n| line("a", n, Class::Authentication)).collect();
    assert_eq!(spool.append(lines, &[], NOW).unwrap().written, 25);
    let all = drain(&mut spool, Lane::Security);
    assert_eq!(all.len(), 25);
    assert_eq!(all[24], (25, "a 25".into()));
    assert!(drain(&mut spool, Lane::Security).is_empty());
    spool.rewind(Lane::Security);
    assert_eq!(drain(&mut spool, Lane::Security).len(), 25);
}

#[test]
fn lines_that_come_a_second_time_after_a_crash_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    let chunk = || {
        vec![
            line("a", 10, Class::Authentication),
            line("a", 20, Class::Http),
            line("a", 30, Class::Authentication),
        ]
    };
    // The crash cut the chunk after its first entry: no ledger speaks of it.
    spool.append(vec![chunk().remove(0)], &[], NOW).unwrap();
    drop(spool);
    let mut spool = open(dir.path());
    assert_eq!(spool.append(chunk(), &[], NOW).unwrap(), Appended { written: 2, known: 1 });
    assert_eq!(drain(&mut spool, Lane::Security).len(), 2);
    assert_eq!(drain(&mut spool, Lane::Usage).len(), 1);
    assert_eq!(spool.resume("a"), Some(30));
}

#[test]
fn numbers_go_on_after_everything_was_acknowledged_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    spool.append((1..=5).map(|n| line("a", n, Class::Process)).collect(), &[], NOW).unwrap();
    spool.acknowledge(Lane::Security, 5).unwrap();
    spool.save().unwrap();
    drop(spool);
    let mut spool = open(dir.path());
    assert!(segments(dir.path()).is_empty(), "acknowledged segments are gone");
    spool.append(vec![line("a", 6, Class::Process)], &[], NOW).unwrap();
    assert_eq!(drain(&mut spool, Lane::Security), [(6, "a 6".into())]);
}

#[test]
fn a_torn_tail_costs_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    spool.append((1..=3).map(|n| line("a", n, Class::Process)).collect(), &[], NOW).unwrap();
    let (path, _) = segments(dir.path()).remove(0);
    drop(spool);
    let whole = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(whole - 7).unwrap();
    let mut spool = open(dir.path());
    assert!(spool.recovery().torn_bytes > 0);
    assert_eq!(drain(&mut spool, Lane::Security).len(), 2);
    // The torn line is read again by its source and gets its number again.
    assert_eq!(spool.append(vec![line("a", 3, Class::Process)], &[], NOW).unwrap().written, 1);
    assert_eq!(drain(&mut spool, Lane::Security), [(3, "a 3".into())]);
}

#[test]
fn reader_skips_a_corrupt_record_and_continues_and_the_gap_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    spool.append((1..=9).map(|n| line("a", n, Class::Process)).collect(), &[], NOW).unwrap();
    let (path, bytes) = segments(dir.path()).remove(0);
    drop(spool);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_at(&[0xff], bytes / 2).unwrap();
    let mut spool = open(dir.path());
    let all = drain(&mut spool, Lane::Security);
    assert_eq!(all.len(), 8, "{all:?}");
    let gap = spool.next(Lane::Uptime, 10, 1 << 20).unwrap().unwrap().events.remove(0);
    let Body::Gap(gap) = gap.body() else { panic!("a gap") };
    assert_eq!((gap.first_seq, gap.last_seq, gap.reason()), (5, 5, GapReason::Damage));
}

#[test]
fn a_damaged_end_never_lets_a_number_be_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path());
    spool.append((1..=3).map(|n| line("a", n, Class::Process)).collect(), &[], NOW).unwrap();
    let (path, bytes) = segments(dir.path()).remove(0);
    drop(spool);
    fs::remove_file(dir.path().join("ledger.json")).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().write_at(&[0xff], bytes - 3).unwrap();
    let mut spool = open(dir.path());
    spool.append(vec![line("b", 1, Class::Process)], &[], NOW).unwrap();
    let all = drain(&mut spool, Lane::Security);
    assert_eq!(all[..2], [(1, "a 1".into()), (2, "a 2".into())]);
    assert!(all[2].0 > 3, "{all:?}");
}

#[test]
fn a_full_spool_drops_usage_first_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let most = 3 * SEGMENT_BYTES_MAX;
    let mut spool = Spool::open(dir.path(), "web-1", most, Fsync::EachChunk, NOW).unwrap();
    let fat = |offset, class| {
        let mut entry = line("a", offset, class);
        entry.event = entry.event.with_raw(&vec![b'x'; 60_000], 0);
        entry
    };
    spool.append((1..=10).map(|n| fat(n, Class::Authentication)).collect(), &[], NOW).unwrap();
    for n in 11..=300 {
        spool.append(vec![fat(n, Class::Http)], &[], NOW).unwrap();
    }
    assert!(spool.bytes() <= most + SEGMENT_BYTES_MAX);
    assert_eq!(spool.figures(Lane::Security, NOW).dropped, 0);
    let dropped = spool.figures(Lane::Usage, NOW).dropped;
    assert!(dropped > 50, "{dropped}");
    assert_eq!(drain(&mut spool, Lane::Security).len(), 10);
    let usage = drain(&mut spool, Lane::Usage);
    assert_eq!(usage.len() as u64 + dropped, 290);
    let told: u64 = std::iter::from_fn(|| spool.next(Lane::Uptime, 100, 1 << 20).unwrap())
        .flat_map(|pending| pending.events)
        .map(|event| match event.body() {
            Body::Gap(gap) => gap.last_seq - gap.first_seq + 1,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(told, dropped);
}

#[test]
fn a_spool_that_was_made_smaller_drops_a_bounded_part_at_a_time_until_it_fits() {
    let dir = tempfile::tempdir().unwrap();
    let fat = |offset| {
        let mut entry = line("a", offset, Class::Http);
        entry.event = entry.event.with_raw(&vec![b'x'; 60_000], 0);
        entry
    };
    let lines = 1_400;
    let mut spool = Spool::open(dir.path(), "web-1", 1 << 30, Fsync::Never, NOW).unwrap();
    spool.append((1..=lines).map(fat).collect(), &[], NOW).unwrap();
    let before = spool.bytes();
    drop(spool);
    let most = 2 * SEGMENT_BYTES_MAX;
    let mut spool = Spool::open(dir.path(), "web-1", most, Fsync::Never, NOW).unwrap();
    spool.append(vec![fat(lines + 1)], &[], NOW).unwrap();
    let after = spool.bytes();
    assert!(after > most && after < before, "{before} {after}");
    assert!(before - after <= room::ROOM_BYTES_MAX + SEGMENT_BYTES_MAX, "{before} {after}");
    // Nothing more comes, and the rest goes all the same.
    for second in 1..=10 {
        spool.tick(NOW.plus(Duration::from_secs(second))).unwrap();
    }
    assert!(spool.bytes() <= most, "{}", spool.bytes());
    let dropped = spool.figures(Lane::Usage, NOW).dropped;
    assert_eq!(drain(&mut spool, Lane::Usage).len() as u64 + dropped, lines + 1);
}

#[test]
fn a_second_agent_on_the_folder_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    let error =
        Spool::open(dir.path(), "web-1", 1 << 20, Fsync::EachChunk, NOW).err().unwrap().to_string();
    assert!(error.contains("another agent is using the spool folder"), "{error}");
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8, bool),
    Take,
    Acknowledge,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u8..40, any::<bool>()).prop_map(|(n, http)| Step::Append(n, http)),
        2 => Just(Step::Take),
        2 => Just(Step::Acknowledge),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_mix_of_appends_acknowledgements_and_crashes_keeps_each_line_once(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path());
        let mut offset = 0;
        let mut taken: [Vec<u64>; 3] = Default::default();
        let mut sent = [0_u64; 3];
        for step in steps {
            match step {
                Step::Append(count, http) => {
                    let class = if http { Class::Http } else { Class::Process };
                    let lines: Vec<_> = (0..u64::from(count)).map(|n| line("a", offset + n + 1, class)).collect();
                    offset += u64::from(count);
                    spool.append(lines.clone(), &[], NOW).unwrap();
                    prop_assert_eq!(spool.append(lines, &[], NOW).unwrap().written, 0);
                }
                Step::Take => {
                    for lane in [Lane::Security, Lane::Usage] {
                        if let Some(pending) = spool.next(lane, 7, 1 << 20).unwrap() {
                            let numbers = (0..pending.events.len() as u64).map(|n| pending.first_seq + n);
                            taken[lane.index()].extend(numbers);
                        }
                    }
                }
                Step::Acknowledge => {
                    for lane in [Lane::Security, Lane::Usage] {
                        if let Some(last) = taken[lane.index()].last() {
                            spool.acknowledge(lane, *last).unwrap();
                            sent[lane.index()] = *last;
                        }
                    }
                }
                Step::Crash => {
                    drop(spool);
                    spool = open(dir.path());
                    for lane in [Lane::Security, Lane::Usage] {
                        taken[lane.index()].retain(|seq| *seq <= sent[lane.index()]);
                        // The ledger may lag: what was acknowledged may be handed out again, never less.
                        let mut probe = Vec::new();
                        while let Some(pending) = spool.next(lane, 100, 1 << 20).unwrap() {
                            probe.extend((0..pending.events.len() as u64).map(|n| pending.first_seq + n));
                        }
                        if let Some(first) = probe.first() {
                            prop_assert!(*first <= sent[lane.index()] + 1);
                        }
                        spool.rewind(lane);
                        spool.acknowledge(lane, sent[lane.index()]).unwrap();
                        spool.rewind(lane);
                    }
                }
            }
        }
        for lane in [Lane::Security, Lane::Usage] {
            while let Some(pending) = spool.next(lane, 100, 1 << 20).unwrap() {
                taken[lane.index()].extend((0..pending.events.len() as u64).map(|n| pending.first_seq + n));
            }
            let all: Vec<u64> = (1..spool.lanes[lane.index()].entry().next_seq).collect();
            prop_assert_eq!(&taken[lane.index()], &all);
        }
    }
}
