use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::notify::{
    note::Event,
    settings::{Form, Http, Way},
    tlp::Tlp,
};

fn channel(messages_per_hour_max: usize) -> Channel {
    Channel {
        name: "hook".into(),
        tlp: Tlp::Red,
        lang: vonggac_answer::words::Lang::En,
        messages_per_hour_max,
        gather: Duration::from_secs(10),
        way: Way::Http(Box::new(Http {
            url: vonggac_daemon::secret::Secret::new("https://h.vn/".into()),
            form: Form::Webhook,
            key: None,
            authorization: None,
            authorities: None,
        })),
    }
}

const fn at(seconds: i64) -> Time {
    Time::from_seconds(1_000_000 + seconds)
}

const DAY: Duration = Duration::from_secs(86_400);

fn note(number: u64, severity: Severity, since: Time) -> Queued {
    let mut note = Note::of_none(Event::Opened, severity, since);
    note.incident = number;
    Queued { version: 1, ..Queued::fresh(id(&[&number.to_string()]), "hook", note, since) }
}

fn low(number: u64, seconds: i64) -> Queued {
    note(number, Severity::Low, at(seconds))
}

fn sends(turn: Turn) -> Message {
    match turn {
        Turn::Send(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_comes_together_goes_together_once_it_was_gathered() {
    let waiting: Vec<Queued> =
        (0..12).map(|number| low(number, i64::try_from(number).unwrap())).collect();
    assert_eq!(decide(&channel(30), &waiting, &[], DAY, at(9)), Turn::Rest);
    let message = sends(decide(&channel(30), &waiting, &[], DAY, at(10)));
    assert_eq!(message.notes.len(), 12);
    assert!(message.notes.iter().all(|one| one.state == State::Sending && one.attempts == 1));
    assert!(message.notes.iter().all(|one| one.message == message.id && one.version > 1));
}

#[test]
fn other_addresses_are_another_message() {
    let mut waiting = vec![low(1, 0), low(2, 1), low(3, 2)];
    waiting[1].recipients = vec!["a@b".into()];
    let message = sends(decide(&channel(30), &waiting, &[], DAY, at(20)));
    let numbers: Vec<u64> = message.notes.iter().map(|one| one.note.incident).collect();
    assert_eq!(numbers, [1, 3]);
}

#[test]
fn an_hour_has_so_many_messages_and_a_quarter_of_them_is_kept_for_the_worst() {
    let sent: Vec<Time> = (0..3).map(at).collect();
    let waiting = [low(1, 0)];
    assert_eq!(decide(&channel(4), &waiting, &sent, DAY, at(60)), Turn::Rest);
    let with_critical = [low(1, 0), note(2, Severity::Critical, at(20))];
    let message = sends(decide(&channel(4), &with_critical, &sent, DAY, at(60)));
    assert_eq!(message.notes.len(), 2, "the others go along");
    let full: Vec<Time> = (0..4).map(at).collect();
    assert_eq!(decide(&channel(4), &with_critical, &full, DAY, at(60)), Turn::Rest);
    assert!(matches!(decide(&channel(4), &waiting, &full, DAY, at(3_600)), Turn::Rest));
    assert!(matches!(decide(&channel(4), &waiting, &full, DAY, at(3_602)), Turn::Send(_)));
    assert!(matches!(decide(&channel(1), &waiting, &[], DAY, at(60)), Turn::Send(_)));
}

#[test]
fn while_a_message_fails_nothing_else_is_tried_and_it_keeps_its_name() {
    let first = sends(decide(&channel(30), &[low(1, 0)], &[], DAY, at(20)));
    let mut waiting = settle(&first, &Outcome::Failed("away".into(), None), at(21));
    assert_eq!((waiting[0].state, waiting[0].error.as_str()), (State::Waiting, "away"));
    waiting.push(low(2, 0));
    assert_eq!(decide(&channel(30), &waiting, &[], DAY, at(22)), Turn::Rest);
    let again = sends(decide(&channel(30), &waiting, &[], DAY, waiting[0].next_try));
    assert_eq!((again.id.as_str(), again.notes.len()), (first.id.as_str(), 1));
    let taken = settle(&again, &Outcome::Taken, at(60));
    assert_eq!((taken[0].state, taken[0].sent, taken[0].attempts), (State::Sent, at(60), 2));
}

#[test]
fn a_try_that_nobody_ended_is_tried_again_when_its_time_is_over() {
    let message = sends(decide(&channel(30), &[low(1, 0)], &[], DAY, at(20)));
    assert_eq!(decide(&channel(30), &message.notes, &[], DAY, at(20 + 89)), Turn::Rest);
    let again = sends(decide(&channel(30), &message.notes, &[], DAY, at(20 + 90)));
    assert_eq!(again.id, message.id);
}

#[test]
fn what_is_refused_for_what_it_says_stands_aside_until_there_are_too_many() {
    let mut waiting = Vec::new();
    for number in 1..=3 {
        let loose: Vec<Queued> = waiting.iter().cloned().chain([low(number, 0)]).collect();
        let message = sends(decide(&channel(30), &loose, &[], DAY, at(20)));
        assert_eq!(message.notes[0].note.incident, number);
        waiting.extend(settle(&message, &Outcome::Refused("no".into()), at(20)));
    }
    waiting.push(low(4, 0));
    assert_eq!(decide(&channel(30), &waiting, &[], DAY, at(21)), Turn::Rest);
}

#[test]
fn what_is_too_old_is_given_up_but_not_while_it_is_tried() {
    let message = sends(decide(&channel(30), &[low(1, 0)], &[], DAY, at(86_390)));
    assert_eq!(decide(&channel(30), &message.notes, &[], DAY, at(86_400)), Turn::Rest);
    let failed = settle(&message, &Outcome::Failed("away".into(), None), at(86_400));
    let Turn::GiveUp(old) = decide(&channel(30), &failed, &[], DAY, at(86_400)) else {
        panic!("it is old")
    };
    assert_eq!((old[0].state, old[0].error.as_str()), (State::GivenUp, "away"));
}

#[test]
fn pauses_double_to_a_quarter_of_an_hour_and_are_never_shorter_than_was_asked() {
    let of = |attempts| pause("m", attempts, None).as_secs_f64();
    for (attempts, whole) in
        [(1, 10.0), (2, 20.0), (5, 160.0), (7, 640.0), (8, 900.0), (4_000_000, 900.0)]
    {
        let pause = of(attempts);
        assert!((whole * 0.75..=whole * 1.25).contains(&pause), "{attempts}: {pause}");
    }
    assert_eq!(pause("m", 1, Some(Duration::from_secs(120))), Duration::from_secs(120));
    assert_eq!(pause("m", 1, Some(Duration::from_secs(999_999))), ASKED_PAUSE_MAX);
    assert!(pause("m", 8, Some(Duration::from_secs(1))) >= Duration::from_secs(675));
    assert_ne!(pause("m", 3, None), pause("n", 3, None));
}

/// What the world does at a second.
#[derive(Clone, Debug)]
enum Happens {
    /// So many incidents open.
    Opens(u8),
    /// The other side takes messages from now on, or does not.
    Takes(bool),
    /// Whoever sends dies behind the next try, before its end is written down; the other side has it.
    Dies,
    /// Time passes.
    Passes(u16),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        (1_u8..10).prop_map(Happens::Opens),
        any::<bool>().prop_map(Happens::Takes),
        Just(Happens::Dies),
        (1_u16..1_800).prop_map(Happens::Passes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens: no hour has too many messages, each note is with the other side, under one message's name, and only a death makes a
    /// message come twice.
    #[test]
    fn no_note_is_lost_and_no_hour_is_flooded(steps in proptest::collection::vec(happens(), 1..25), most in 1_usize..8) {
        let channel = channel(most);
        let (mut store, mut now, mut takes, mut dies, mut number) = (BTreeMap::new(), at(0), true, false, 0);
        let mut came: BTreeMap<String, (BTreeSet<u64>, u32)> = BTreeMap::new();
        let (mut arrivals, mut deaths) = (Vec::new(), 0);
        let end = [Happens::Takes(true), Happens::Passes(60_000)];
        for step in steps.into_iter().chain(end) {
            let seconds = match step {
                Happens::Opens(count) => {
                    for _ in 0..count {
                        number += 1;
                        let one = note(number, Severity::Low, now);
                        store.insert(one.id.clone(), one);
                    }
                    1
                }
                Happens::Takes(now) => { takes = now; 1 }
                Happens::Dies => { dies = true; 1 }
                Happens::Passes(seconds) => i64::from(seconds),
            };
            let until = now.plus(Duration::from_secs(seconds.unsigned_abs()));
            while now < until {
                let waiting: Vec<Queued> = store.values().filter(|one: &&Queued| one.state.is_open()).cloned().collect();
                let sent: BTreeMap<&str, Time> = store.values().filter(|one| one.state == State::Sent).map(|one| (one.message.as_str(), one.sent)).collect();
                let sent: Vec<Time> = sent.into_values().collect();
                match decide(&channel, &waiting, &sent, DAY * 9, now) {
                    Turn::Rest => {}
                    Turn::GiveUp(_) => prop_assert!(false, "nothing is so old"),
                    Turn::Send(message) => {
                        for one in &message.notes {
                            prop_assert!(one.version > store[&one.id].version);
                            store.insert(one.id.clone(), one.clone());
                        }
                        if takes {
                            arrivals.push(now);
                            let numbers = message.notes.iter().map(|one| one.note.incident).collect();
                            let place = came.entry(message.id.clone()).or_insert((numbers, 0));
                            place.1 += 1;
                        }
                        if dies {
                            dies = false;
                            deaths += u32::from(takes);
                        } else {
                            let outcome = if takes { Outcome::Taken } else { Outcome::Failed("away".into(), None) };
                            for one in settle(&message, &outcome, now) {
                                store.insert(one.id.clone(), one);
                            }
                        }
                    }
                }
                now = now.plus(Duration::from_secs(29));
            }
        }
        prop_assert!(store.values().all(|one| one.state == State::Sent));
        let told: Vec<u64> = came.values().flat_map(|(numbers, _)| numbers.iter().copied()).collect();
        prop_assert_eq!(told.len(), usize::try_from(number).unwrap(), "each in one message");
        let twice: u32 = came.values().map(|(_, times)| times - 1).sum();
        prop_assert!(twice <= deaths, "{} came again after {} deaths", twice, deaths);
        for (place, first) in arrivals.iter().enumerate() {
            let hour = arrivals[place..].iter().take_while(|time| time.since(*first) < HOUR).count();
            // What came before a death is not known to have come.
            prop_assert!(hour <= most + usize::try_from(deaths).unwrap());
        }
    }
}
