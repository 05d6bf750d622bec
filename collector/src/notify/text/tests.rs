use vonggac_answer::words::message_ids;
use vonggac_wire::incident::Severity;

use super::*;
use crate::notify::queue::{Queued, State};

const HOSTILE: &str = "x\r\nBcc: a@b.vn <a href=\"h\">`<!channel>` {owner} \u{202e}*b*";

fn queued(note: Note, seconds: i64) -> Queued {
    Queued {
        route: "r".into(),
        tlp: "amber".into(),
        state: State::Sending,
        message: "m".into(),
        attempts: 1,
        ..Queued::fresh(format!("n{seconds}"), "c", note, Time::from_seconds(seconds))
    }
}

fn note(event: Event, incident: u64, severity: Severity) -> Note {
    Note {
        incident,
        title_vi: "Dò mật khẩu SSH".into(),
        title_en: "Guessed SSH passwords".into(),
        agency: "tk-48".into(),
        agency_vi: "Đà Nẵng".into(),
        agency_en: "Da Nang".into(),
        agencies: 3,
        state: "new".into(),
        count: 12,
        deadline: Time::from_seconds(1_795_737_600).0,
        ..Note::of_none(event, severity, Time::from_seconds(1_795_700_000))
    }
}

fn message(notes: Vec<Queued>) -> Message {
    Message { id: "m".into(), recipients: Vec::new(), notes }
}

#[test]
fn one_incident_is_told_in_a_subject_and_two_lines() {
    let message = message(vec![queued(note(Event::Opened, 7, Severity::High), 1)]);
    let text = Text::of(&message, Lang::Vi);
    assert_eq!(text.subject(), "[Vọng Gác] M2 #7 mới: Dò mật khẩu SSH");
    assert_eq!(
        text.body(Medium::Plain, 10_000),
        "M2 #7 mới, Đà Nẵng và 2 cơ quan khác: Dò mật khẩu SSH\n  chưa ai nhận; hạn 27/11 07:00; 12 sự kiện\n\
         Xem trên bảng điều khiển: vonggac incidents\nTLP:AMBER"
    );
    let text = Text::of(&message, Lang::En);
    assert_eq!(text.subject(), "[Vọng Gác] M2 #7 opened: Guessed SSH passwords");
    assert!(
        text.body(Medium::Mrkdwn, 10_000)
            .starts_with("M2 #7 opened, `Da Nang` and 2 more: `Guessed")
    );
}

#[test]
fn all_that_happened_to_an_incident_is_one_line_and_its_newest_state() {
    let first = note(Event::Opened, 7, Severity::Medium);
    let last =
        Note { version: 3, owner: "lan".into(), ..note(Event::Escalated, 7, Severity::Critical) };
    let message = message(vec![queued(last, 9), queued(first, 1)]);
    let text = Text::of(&message, Lang::En);
    assert_eq!(text.incidents.len(), 1);
    let body = text.body(Medium::Plain, 10_000);
    assert!(body.starts_with("M1 #7 opened, worse, Da Nang"), "{body}");
    assert!(body.contains("lan has it"), "{body}");
}

#[test]
fn of_many_the_worst_are_named_and_the_rest_is_a_number() {
    let notes = (1..=22).map(|number| {
        let severity = if number == 20 { Severity::Critical } else { Severity::Low };
        queued(note(Event::Opened, number, severity), i64::try_from(number).unwrap())
    });
    let message = message(notes.collect());
    let text = Text::of(&message, Lang::En);
    assert_eq!(text.subject(), "[Vọng Gác] 22 incidents, the worst M1");
    let body = text.body(Medium::Plain, 10_000);
    assert!(body.starts_with("M1 #20 ") && body.contains("And 12 incidents more."), "{body}");
    let short = text.body(Medium::Html, 400);
    assert!(short.chars().count() <= 400 && short.contains("incidents more."), "{short}");
    assert_eq!(text.json()["incidents"].as_array().map(Vec::len), Some(22));
}

#[test]
fn a_digest_is_counts_and_the_most_urgent() {
    let summary = Summary {
        open: [1, 2, 0, 4],
        unowned: 3,
        overdue: 1,
        opened: 9,
        resolved: 8,
        withheld: 2,
        first: vec![note(Event::Digest, 5, Severity::Critical)],
    };
    let digest = Note {
        digest: Some(summary),
        ..Note::of_none(Event::Digest, Severity::Critical, Time::from_seconds(1_795_737_600))
    };
    let message = message(vec![queued(digest, 1)]);
    let text = Text::of(&message, Lang::En);
    assert_eq!(text.subject(), "[Vọng Gác] 27/11 07:00: 7 incidents are open");
    assert_eq!(
        text.body(Medium::Plain, 10_000),
        "Open: M1 1, M2 2, M3 0, M4 4; nobody has 3, overdue are 1.\nSince the last digest: 9 opened, 8 resolved.\n\
         2 of them are marked above what this channel may carry, and are not named.\n\
         M1 #5 new, Da Nang and 2 more: Guessed SSH passwords\nTLP:AMBER"
    );
}

#[test]
fn hostile_words_stay_words_in_every_medium() {
    let hostile = Note {
        title_vi: HOSTILE.into(),
        owner: HOSTILE.into(),
        agency_vi: HOSTILE.into(),
        said: HOSTILE.into(),
        ..note(Event::HandedOver, 7, Severity::Low)
    };
    let message = message(vec![queued(hostile, 1)]);
    let text = Text::of(&message, Lang::Vi);
    let subject = text.subject();
    assert!(
        !subject.chars().any(char::is_control) && subject.contains("\\x0d\\x0aBcc"),
        "{subject}"
    );
    let lines = |medium| text.body(medium, 10_000).lines().count();
    assert_eq!([Medium::Plain, Medium::Html, Medium::Mrkdwn].map(lines), [4; 3]);
    let html = text.body(Medium::Html, 10_000);
    assert!(!html.contains(['<', '"']), "{html}");
    let mrkdwn = text.body(Medium::Mrkdwn, 10_000);
    assert!(!mrkdwn.contains('<') && mrkdwn.matches('`').count().is_multiple_of(2), "{mrkdwn}");
}

#[test]
fn a_template_is_filled_and_keeps_its_shape_whatever_the_values_say() {
    let template =
        json!({"to": ["{agency}"], "body": {"t": "{level}: {subject} {unknown} {", "n": 1}});
    let values = BTreeMap::from([
        ("agency", "\"]} {level}".to_owned()),
        ("level", "M1".to_owned()),
        ("subject", "s".to_owned()),
    ]);
    assert_eq!(
        fill(&template, &values),
        json!({"to": ["\"]} {level}"], "body": {"t": "M1: s {unknown} {", "n": 1}})
    );
}

#[test]
fn our_own_words_have_no_markup_and_every_word_is_there() {
    for (lang, text) in crate::words::TEXTS {
        let words = words::of(lang);
        for id in message_ids(text).unwrap().iter().filter(|id| id.starts_with("notify-")) {
            let said = words.get(id);
            assert!(!said.contains(['<', '&', '`', '\n']), "{id}: {said}");
        }
        for event in Event::STEPS {
            let id = format!("notify-event-{}", event.name());
            assert_ne!(words.get(&id), id);
        }
        for state in ["new", "in-progress", "on-hold", "resolved", "closed", "unknown"] {
            let id = format!("notify-state-{state}");
            assert_ne!(words.get(&id), id);
        }
    }
}
