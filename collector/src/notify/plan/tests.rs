use proptest::prelude::*;
use vonggac_wire::proto::Entity;

use super::*;
use crate::notify::settings::tests::read;

/// Friday 27/11/2026 07:00 in Vietnam.
const SEVEN: i64 = 1_795_737_600;

const CHANNELS: &str = "[notify]\n\
    [[notify.channel]]\nname = \"mail\"\nkind = \"smtp\"\ntlp = \"amber\"\nhost = \"m\"\nfrom = \"v@e.vn\"\nto = [\"duty@e.vn\"]\n\
    [[notify.channel]]\nname = \"open\"\nkind = \"smtp\"\ntlp = \"red\"\nhost = \"m\"\nfrom = \"v@e.vn\"\n\
    [[notify.channel]]\nname = \"hook\"\nkind = \"webhook\"\ntlp = \"green\"\nurl = \"https://h.vn/\"\n\
    [[notify.marking]]\nrules = [\"break-glass\"]\ntlp = \"red\"\n\
    [[notify.recipient]]\naddress = \"of-h49@e.vn\"\nrole = \"agency-operator\"\nagencies = [\"H49\"]\n\
    [[notify.recipient]]\naddress = \"of-h57@e.vn\"\nrole = \"agency-operator\"\nagencies = [\"H57\"]\n\
    [[notify.recipient]]\naddress = \"nation@e.vn\"\nrole = \"national-operator\"\n";

fn settings(routes: &str) -> Settings {
    read(&format!("{CHANNELS}{routes}")).unwrap_or_else(|error| panic!("{error}"))
}

fn incident() -> Incident {
    Incident {
        id: 7,
        version: 3,
        state: IncidentState::New.into(),
        severity: 2,
        rule: "ssh-brute-force".into(),
        title_vi: "Dò mật khẩu".into(),
        title_en: "Guessed passwords".into(),
        entity: Some(Entity { kind: "src_ip".into(), value: "203.0.113.7".into() }),
        agency: "H49.12".into(),
        agencies: vec!["H49.12".into()],
        opened_unix_nano: Time::from_seconds(SEVEN).0,
        ..Incident::default()
    }
}

fn step(action: &str, from: IncidentState, after: Incident, seconds: i64) -> Transition {
    Transition {
        incident: after.id,
        version: after.version,
        time_unix_nano: Time::from_seconds(seconds).0,
        actor: "system".into(),
        action: action.into(),
        from_state: from.into(),
        to_state: after.state,
        after: Some(after),
        ..Transition::default()
    }
}

fn opened(incident: Incident) -> Transition {
    step("opened", IncidentState::Unspecified, incident, SEVEN)
}

fn planned(settings: &Settings, step: &Transition) -> Vec<Queued> {
    let registry = Registry::builtin().unwrap();
    Planner { settings, registry: &registry }.step(step)
}

const ALL: &str = "[[notify.route]]\nname = \"all\"\nchannels = [\"hook\"]\nevents = [\"opened\", \"escalated\", \"handed-over\", \"resolved\", \"breached\"]\n";

#[test]
fn a_step_is_worth_telling_by_what_it_did() {
    use IncidentState as S;
    for (action, from, to, told) in [
        ("opened", S::Unspecified, S::New, Some(Event::Opened)),
        ("reopened", S::Resolved, S::InProgress, Some(Event::Opened)),
        ("raised", S::New, S::New, Some(Event::Escalated)),
        ("handed_over", S::InProgress, S::InProgress, Some(Event::HandedOver)),
        ("resolved", S::InProgress, S::Resolved, Some(Event::Resolved)),
        ("closed", S::InProgress, S::Closed, Some(Event::Resolved)),
        ("closed", S::Resolved, S::Closed, None),
        ("merged", S::New, S::Closed, None),
        ("counted", S::New, S::New, None),
        ("noted", S::New, S::New, None),
    ] {
        let after = Incident { state: to.into(), ..incident() };
        assert_eq!(event(&step(action, from, after, SEVEN)), told, "{action} {from:?} {to:?}");
    }
}

#[test]
fn a_route_tells_what_it_is_for_and_nothing_else() {
    for (more, told) in [
        ("", true),
        ("severity = \"high\"\n", true),
        ("severity = \"critical\"\n", false),
        ("agencies = [\"H49\"]\n", true),
        ("agencies = [\"H57\"]\n", false),
        ("events = [\"resolved\"]\n", false),
        ("hours = \"07:00-17:00\"\n", true),
        ("hours = \"17:00-07:00\"\n", false),
        ("days = \"working\"\n", true),
        ("days = \"off\"\n", false),
    ] {
        let settings =
            settings(&format!("[[notify.route]]\nname = \"r\"\nchannels = [\"hook\"]\n{more}"));
        assert_eq!(!planned(&settings, &opened(incident())).is_empty(), told, "{more}");
    }
}

#[test]
fn a_holiday_is_no_working_day() {
    let settings =
        settings("[[notify.route]]\nname = \"r\"\nchannels = [\"hook\"]\ndays = \"working\"\n");
    // Tuesday, the day of Vietnam's culture.
    let holiday = step("opened", IncidentState::Unspecified, incident(), SEVEN - 3 * 86_400);
    assert!(planned(&settings, &holiday).is_empty());
    assert_eq!(planned(&settings, &opened(incident())).len(), 1);
}

#[test]
fn two_routes_to_one_channel_are_one_note_with_the_people_of_both() {
    let settings = settings(
        "[[notify.route]]\nname = \"a\"\nchannels = [\"mail\"]\nroles = [\"agency-operator\"]\n\
         [[notify.route]]\nname = \"b\"\nchannels = [\"mail\", \"hook\"]\nroles = [\"national-operator\"]\n",
    );
    let notes = planned(&settings, &opened(incident()));
    let told: Vec<(&str, &str, Vec<&str>)> = notes
        .iter()
        .map(|one| {
            let people = one.recipients.iter().map(String::as_str).collect();
            (one.channel.as_str(), one.route.as_str(), people)
        })
        .collect();
    // Of the agency's operators only those who have it.
    let people = vec!["duty@e.vn", "nation@e.vn", "of-h49@e.vn"];
    assert_eq!(told, [("hook", "b", vec![]), ("mail", "a, b", people)]);
}

#[test]
fn what_is_marked_above_a_channel_is_withheld_there_and_goes_by_the_others() {
    let settings = settings(
        "[[notify.route]]\nname = \"r\"\nchannels = [\"mail\", \"open\", \"hook\"]\nroles = [\"national-operator\"]\n",
    );
    let states = |incident| {
        let notes = planned(&settings, &opened(incident));
        notes.into_iter().map(|one| (one.channel, one.state, one.tlp)).collect::<Vec<_>>()
    };
    let of = |channel: &str, state, tlp: &str| (channel.to_owned(), state, tlp.to_owned());
    assert_eq!(
        states(incident()),
        [
            of("hook", State::Withheld, "amber"),
            of("mail", State::Waiting, "amber"),
            of("open", State::Waiting, "amber"),
        ]
    );
    let red = Incident { rule: "break-glass".into(), ..incident() };
    assert_eq!(
        states(red),
        [
            of("hook", State::Withheld, "red"),
            of("mail", State::Withheld, "red"),
            of("open", State::Waiting, "red"),
        ]
    );
}

#[test]
fn mail_to_nobody_is_told_as_withheld_and_not_left_out_in_silence() {
    let settings = settings(
        "[[notify.route]]\nname = \"r\"\nchannels = [\"open\"]\nroles = [\"agency-operator\"]\n",
    );
    let elsewhere =
        Incident { agency: "tk-48".into(), agencies: vec!["tk-48".into()], ..incident() };
    let notes = planned(&settings, &opened(elsewhere));
    assert_eq!(
        (notes.len(), notes[0].state, notes[0].error.as_str()),
        (1, State::Withheld, NOBODY)
    );
}

#[test]
fn what_is_hidden_or_simulated_is_not_told() {
    let settings = settings(ALL);
    let hidden =
        Incident { hidden_until_unix_nano: Some(Time::from_seconds(SEVEN + 60).0), ..incident() };
    assert!(planned(&settings, &opened(hidden)).is_empty());
    let simulated = Incident { simulated: true, ..incident() };
    assert!(planned(&settings, &opened(simulated.clone())).is_empty());
    let settings = Settings { simulated: true, ..settings };
    assert!(planned(&settings, &opened(simulated))[0].note.simulated);
}

#[test]
fn a_deadline_is_told_once_when_it_ends_and_again_if_it_was_moved() {
    let settings = settings(ALL);
    let registry = Registry::builtin().unwrap();
    let planner = Planner { settings: &settings, registry: &registry };
    let at = |seconds| Time::from_seconds(SEVEN + seconds);
    let of = |deadline, from, until| {
        let incident = Incident { deadline_unix_nano: Some(at(deadline).0), ..incident() };
        planner.breach(&incident, at(from), at(until))
    };
    assert!(of(60, 0, 59).is_empty() && of(60, 60, 90).is_empty());
    let first = of(60, 0, 60);
    assert_eq!((first.len(), first[0].note.event), (1, Event::Breached));
    assert_eq!(of(60, 30, 100)[0].id, first[0].id, "it is the same, whenever it is looked at");
    assert_ne!(of(70, 30, 100)[0].id, first[0].id);
    let over = Incident {
        deadline_unix_nano: Some(at(60).0),
        state: IncidentState::Resolved.into(),
        ..incident()
    };
    assert!(planner.breach(&over, at(0), at(90)).is_empty());
}

#[test]
fn a_digest_comes_at_its_times_and_names_what_its_channel_may_carry() {
    let settings = settings(
        "[[notify.digest]]\nname = \"d\"\nchannels = [\"mail\"]\nat = [\"07:30\", \"17:00\"]\ndays = \"working\"\n",
    );
    let registry = Registry::builtin().unwrap();
    let planner = Planner { settings: &settings, registry: &registry };
    // Wednesday: the day before was a holiday.
    let at = |seconds| Time::from_seconds(SEVEN - 2 * 86_400 + seconds);
    let incident = || Incident { opened_unix_nano: at(0).0, ..incident() };
    let half_past = 30 * 60;
    let red = Incident {
        id: 8,
        severity: 1,
        rule: "break-glass".into(),
        owner: "lan".into(),
        ..incident()
    };
    let over = Incident {
        id: 9,
        state: IncidentState::Resolved.into(),
        resolved_unix_nano: Some(at(60).0),
        // Two days ago; the digest before this one came on Monday.
        opened_unix_nano: at(-2 * 86_400).0,
        ..incident()
    };
    let all = [incident(), red, over];
    let none = planner.digests(all.iter(), at(0), at(half_past - 1));
    assert!(none.is_empty());
    let notes = planner.digests(all.iter(), at(0), at(half_past));
    assert_eq!(notes.len(), 1);
    let summary = notes[0].note.digest.clone().unwrap();
    assert_eq!((summary.open, summary.unowned, summary.withheld), ([1, 1, 0, 0], 1, 1));
    assert_eq!((summary.opened, summary.resolved), (2, 1));
    assert_eq!(summary.first.iter().map(|note| note.incident).collect::<Vec<_>>(), [7]);
    // After an outage it comes late, within reason, and is the same.
    let late = planner.digests(all.iter(), at(-86_400), at(half_past + 3_600));
    assert_eq!((late.len(), &late[0].id), (1, &notes[0].id));
    assert!(planner.digests(all.iter(), at(-86_400), at(half_past + 7 * 3_600)).is_empty());
    // On Saturday there is none.
    assert!(planner.digests(all.iter(), at(3 * 86_400), at(3 * 86_400 + half_past)).is_empty());
}

proptest! {
    /// Whoever plans a step again, at any time and with whatever else changed of the incident's words, plans the same notes.
    #[test]
    fn the_same_step_is_the_same_notes(version in 1_u64..50, other in 1_u64..50, seconds in 0_i64..100_000, title in ".{0,40}") {
        let settings = settings(ALL);
        let of = |version, title: &str| {
            let after = Incident { version, title_vi: title.into(), ..incident() };
            planned(&settings, &step("opened", IncidentState::Unspecified, after, SEVEN + seconds))
        };
        let (first, again, another) = (of(version, ""), of(version, &title), of(other, ""));
        prop_assert_eq!(first.len(), 1);
        prop_assert_eq!(&first[0].id, &again[0].id);
        prop_assert_eq!(first[0].version, again[0].version);
        prop_assert_eq!(first[0].id == another[0].id, version == other);
    }
}
