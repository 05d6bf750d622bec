//! What an operator does on a shift, key by key: acting alone and together, being slower than a colleague, looking back.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use vonggac_console::{
    app::{App, Effect, Link, Overlay},
    feed::Told,
    keymap::Action,
    screen::{self, Screen},
};
use vonggac_wire::{
    Time,
    proto::{ActReply, Incident, IncidentState, WatchReply, command::Action as Wire},
};

use crate::duty::{self, SECOND, app, app_with, delta, draw, incident, now, press, sent};

#[test]
fn each_action_has_its_form_and_sends_what_was_typed() {
    let cases = [
        ("2A", "Minh\ttk-48\tcall the vendor\t2h\n", "assign"),
        ("2+", "called, they come at 10\n", "note"),
        ("2H", "waiting for parts\n", "hold"),
        ("2R", "cluster moved\n", "resolve"),
        ("2C", "t\tcluster moved\n", "close"),
        ("2B", "Minh\twatch the disk\n", "hand_over"),
        ("2V", "benign\n", "judge"),
        ("2M", "#2\n", "merge"),
        ("2T", "tk-01\tanother cause\n", "split"),
        ("2X", "known work\t2h\n", "hide"),
        ("2L", "incident-notice\t12/BC\t\t2h\n", "report"),
    ];
    for (open, typed, name) in cases {
        let mut app = app();
        press(&mut app, open);
        assert!(matches!(app.overlay, Some(Overlay::Form(_))), "{name} opens a form");
        let sent = sent(&press(&mut app, typed));
        assert_eq!(sent.len(), 1, "{name}");
        let (id, action) = &sent[0];
        assert_eq!(*id, 1, "{name}: the most urgent");
        match (action, name) {
            (Wire::Assign(a), "assign") => {
                assert_eq!((a.owner.as_str(), a.responsible_agency.as_str()), ("Minh", "tk-48"));
                assert_eq!(a.deadline_unix_nano, Some(now().0 + 7_200 * SECOND));
            }
            (Wire::Note(n), "note") => assert_eq!(n.text, "called, they come at 10"),
            (Wire::Hold(h), "hold") => assert_eq!(h.reason, "waiting for parts"),
            (Wire::Resolve(r), "resolve") => assert_eq!(r.result, "cluster moved"),
            (Wire::Close(c), "close") => {
                assert_eq!((c.result.as_str(), c.verdict), ("cluster moved", 2));
            }
            (Wire::HandOver(h), "hand_over") => {
                assert_eq!((h.owner.as_str(), h.note.as_str()), ("Minh", "watch the disk"));
            }
            (Wire::Judge(j), "judge") => assert_eq!(j.verdict, 3),
            (Wire::Merge(m), "merge") => assert_eq!(m.into, 2),
            (Wire::Split(s), "split") => assert_eq!(s.agencies, ["tk-01"]),
            (Wire::Hide(h), "hide") => assert_eq!(h.until_unix_nano, now().0 + 7_200 * SECOND),
            (Wire::Report(r), "report") => {
                assert_eq!((r.duty.as_str(), r.reference.as_str()), ("incident-notice", "12/BC"));
                assert_eq!(r.sent_unix_nano, now().0 - 7_200 * SECOND);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_required_is_named_and_nothing_is_sent_without_it() {
    let mut app = app();
    assert!(sent(&press(&mut app, "2C\n")).is_empty());
    assert!(draw(&app).contains("verdict is missing."));
    assert!(sent(&press(&mut app, "t\n")).is_empty(), "the result is missing too");
    assert!(draw(&app).contains("result is missing."));
    assert_eq!(sent(&press(&mut app, "done\n")).len(), 1);
    let mut app = duty::app();
    assert!(sent(&press(&mut app, "2Xwork\tyesterday\n")).is_empty());
    assert!(draw(&app).contains("That is no time."));
    press(&mut app, "\u{1b}");
    assert!(app.overlay.is_none(), "Esc leaves the form");
}

#[test]
fn the_later_of_two_operators_reads_who_was_faster() {
    // Before sending: the incident changed while the form was open.
    let mut app = app();
    press(&mut app, "2jA");
    app.told(
        Told::Picture(Box::new(delta(vec![incident(2, 2, IncidentState::InProgress, "Minh")]))),
        now(),
    );
    assert!(sent(&press(&mut app, "Lan\n")).is_empty(), "told before anything is sent");
    assert!(draw(&app).contains("Minh took #2 at 09:40:52."), "{}", draw(&app));
    assert_eq!(sent(&press(&mut app, "\n")).len(), 1, "Enter again sends it all the same");
    // After sending: the book refuses and says how the incident is.
    let mut app = duty::app();
    press(&mut app, "2ja");
    let reply = ActReply {
        refused: "wrong-state in_progress".into(),
        incident: Some(incident(2, 2, IncidentState::InProgress, "Minh")),
    };
    app.told(Told::Acted(2, Box::new(reply)), now());
    assert!(
        app.message.contains("the incident is active")
            && app.message.contains("Minh took #2 at 09:40:52."),
        "{}",
        app.message
    );
}

#[test]
fn what_a_colleague_did_is_told_in_the_message_line() {
    let mut app = app();
    app.told(
        Told::Picture(Box::new(delta(vec![incident(3, 3, IncidentState::OnHold, "Hùng")]))),
        now(),
    );
    assert!(app.message.contains("#3: hold, owner Hùng."), "{}", app.message);
}

#[test]
fn an_observer_sees_no_action_keys_and_a_refusal_names_the_role() {
    let mut app = app_with(|options| options.observer = true);
    press(&mut app, "2");
    let drawn = draw(&app);
    assert!(drawn.contains("observer") && !drawn.contains("assign"), "{drawn}");
    assert!(
        press(&mut app, "a").is_empty() && app.message.contains("observer role"),
        "{}",
        app.message
    );
    press(&mut app, ".");
    assert!(!draw(&app).contains("hand over"));
    press(&mut app, "\u{1b}?");
    assert!(!draw(&app).contains("acknowledge"));
}

#[test]
fn marks_survive_a_filter_and_several_are_acted_on_at_once() {
    let mut app = app();
    press(&mut app, "2*");
    assert_eq!(app.marks.len(), 3);
    press(&mut app, "X");
    assert!(draw(&app).contains("3 incidents"), "the count is named first");
    let sent = sent(&press(&mut app, "planned work\t3h\n"));
    assert_eq!(sent.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(app.marks.is_empty());
}

#[test]
fn a_hidden_incident_leaves_the_list_and_stays_counted() {
    let mut app = app();
    let hidden = Incident {
        hidden_until_unix_nano: Some(now().0 + SECOND),
        ..incident(2, 2, IncidentState::New, "")
    };
    app.told(Told::Picture(Box::new(delta(vec![hidden]))), now());
    press(&mut app, "2");
    let drawn = draw(&app);
    assert!(drawn.contains("hidden 1") && !drawn.contains("#2 "), "{drawn}");
    press(&mut app, "v");
    assert!(draw(&app).contains("#2 "), "the other form shows all");
    // Shown again before its end.
    press(&mut app, "jX");
    let sent = sent(&press(&mut app, "over\t0\n"));
    assert!(matches!(&sent[0], (2, Wire::Hide(hide)) if hide.until_unix_nano == 0), "{sent:?}");
}

#[test]
fn what_is_new_worse_or_gone_since_one_looked_is_marked_until_c() {
    let mut app = app();
    let later = |mut incident: Incident| {
        incident.updated_unix_nano = now().0 + SECOND;
        incident
    };
    let fresh =
        Incident { opened_unix_nano: now().0 + SECOND, ..incident(9, 2, IncidentState::New, "") };
    let gone = Incident {
        resolved_unix_nano: Some(now().0 + SECOND),
        ..incident(3, 3, IncidentState::Resolved, "")
    };
    let worse = incident(2, 1, IncidentState::New, "");
    let reply = WatchReply {
        time_unix_nano: now().0 + 2 * SECOND,
        ..delta(vec![later(fresh), later(worse), later(gone)])
    };
    app.told(Told::Picture(Box::new(reply)), now());
    assert!(draw(&app).contains("Since 09:41: +1 ↑1 −1"), "{}", draw(&app));
    press(&mut app, "c");
    let drawn = draw(&app);
    assert!(
        drawn.contains("+ ▓M2 #9") && drawn.contains("↑ █M1 #2") && drawn.contains("− ▒M3 #3"),
        "{drawn}"
    );
    let effects = press(&mut app, "c");
    assert!(effects.contains(&Effect::Remember));
    assert!(draw(&app).contains("Since 09:41: no change"));
}

#[test]
fn a_flood_folds_what_is_mild_and_drops_nothing() {
    let mut app = app();
    let new = |id, severity| Incident {
        opened_unix_nano: now().0,
        ..incident(id, severity, IncidentState::New, "")
    };
    let many = (100..111).map(|id| new(id, 4)).chain([new(200, 1)]).collect();
    app.told(Told::Picture(Box::new(delta(many))), now());
    press(&mut app, "2");
    let drawn = draw(&app);
    assert!(drawn.contains("FLOOD 12/10 min"), "{drawn}");
    assert!(
        drawn.contains("and 12 incidents M3–M4 in 6 groups") && drawn.contains("#200"),
        "{drawn}"
    );
    press(&mut app, "v");
    assert!(draw(&app).contains("15/15"), "all of them are a key away");
}

#[test]
fn the_cursor_stays_on_its_incident_while_the_list_moves() {
    let mut app = app();
    press(&mut app, "2j");
    assert_eq!(screen::Item::Incident(2), screen_item(&app));
    app.tick(Time(now().0 + 6 * SECOND));
    app.told(Told::Picture(Box::new(delta(vec![incident(50, 1, IncidentState::New, "")]))), now());
    assert_eq!(screen::Item::Incident(2), screen_item(&app), "a new row came above it");
}

fn screen_item(app: &App) -> screen::Item {
    // Enter opens what the cursor is on.
    let mut place = app.places.last().expect("a place").clone();
    place.filter.clear();
    let numbers: Vec<u64> = {
        let mut all = app.model.urgent();
        if !app.order().is_empty() {
            all.sort_by_key(|i| {
                app.order().iter().position(|id| *id == i.id).unwrap_or(usize::MAX)
            });
        }
        all.iter().map(|i| i.id).collect()
    };
    screen::Item::Incident(numbers[place.cursor])
}

#[test]
fn a_frozen_picture_holds_what_comes_and_says_how_much_of_it_is_new() {
    let mut app = app();
    press(&mut app, "f");
    app.told(Told::Picture(Box::new(delta(vec![incident(70, 1, IncidentState::New, "")]))), now());
    assert!(draw(&app).contains("FROZEN 09:41, +1 new") && !draw(&app).contains("#70"));
    press(&mut app, "f");
    assert!(draw(&app).contains("#70"));
}

#[test]
fn what_is_copied_and_exported_is_harmless() {
    let mut app = app();
    let hostile = Incident {
        title_en: "=HYPERLINK(\"http://x\")\u{1b}[2J".into(),
        ..incident(2, 1, IncidentState::New, "")
    };
    app.told(Told::Picture(Box::new(delta(vec![hostile]))), now());
    press(&mut app, "2");
    let effects = press(&mut app, "jy");
    let copied = effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.clone()),
        _ => None,
    });
    assert!(copied.is_some_and(|text| !text.contains('\u{1b}')));
    press(&mut app, ":xuat\n");
    let effects = press(&mut app, "\n");
    let (name, text) = effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Write(name, text) => Some((name.clone(), text.clone())),
            _ => None,
        })
        .expect("a file");
    assert_eq!(name, "vonggac-incidents-20261124-094107.csv");
    assert!(text.contains("'=HYPERLINK") && !text.contains('\u{1b}'), "{text}");
    assert!(text.lines().next().is_some_and(|head| head.contains("simulated")));
}

#[test]
fn commands_need_no_accents_and_lead_where_keys_lead() {
    let mut app = app();
    press(&mut app, ":coquan da nang\n");
    assert_eq!(app.place().screen, Screen::Agency("tk-48".into()));
    press(&mut app, ":sựcố 2\n");
    assert_eq!(app.place().screen, Screen::Incident(2));
    press(&mut app, ":luong\n");
    assert_eq!(app.place().screen, Screen::Flow);
    press(&mut app, ":visao tk-48\n");
    assert!(draw(&app).contains("Why Đà Nẵng tk-48"), "{}", draw(&app));
    press(&mut app, "\u{1b}:tieng vi\n");
    assert!(draw(&app).contains("Luồng dữ liệu"));
    press(&mut app, ":xyz\n");
    assert!(app.message.contains("xyz"), "{}", app.message);
    // Tab completes to the first suggestion.
    press(&mut app, ":hen\u{7f}\u{7f}eth\t\n");
    assert_eq!(app.place().screen, Screen::Systems);
}

#[test]
fn screens_are_gone_back_to_with_their_filters() {
    let mut app = app();
    press(&mut app, "2/number 2\n");
    assert!(draw(&app).contains("1/3"));
    press(&mut app, "\n");
    assert_eq!(app.place().screen, Screen::Incident(2));
    press(&mut app, "\u{1b}");
    assert!(draw(&app).contains("Filter: number 2"), "the filter survives the return");
    press(&mut app, "\u{1b}");
    assert!(draw(&app).contains("3/3"), "Esc drops the filter first");
    press(&mut app, "8-");
    assert_eq!(app.place().screen, Screen::Incidents);
    press(&mut app, "/!number 2\n");
    let drawn = draw(&app);
    assert!(drawn.contains("2/3") && !drawn.contains("number 2 ("), "the inverse: {drawn}");
}

#[test]
fn the_board_walks_by_tiles_and_its_worst_tile_is_a_tab_away() {
    let mut app = app();
    press(&mut app, "\t\n");
    assert_eq!(app.place().screen, Screen::Agency("tk-48".into()), "the worst, not the first");
    press(&mut app, "\u{1b}");
    press(&mut app, "h\n");
    assert_eq!(app.place().screen, Screen::Agency("tk-01".into()), "left of it");
}

#[test]
fn nothing_acts_while_the_link_is_lost_and_it_is_never_queued() {
    let mut app = app();
    app.told(Told::Lost { error: "timeout".into(), wait: 8, attempt: 6 }, now());
    assert!(matches!(app.link, Link::Lost { .. }));
    press(&mut app, "2A");
    assert!(sent(&press(&mut app, "Minh\n")).is_empty());
    assert!(app.message.contains("Not sent"), "{}", app.message);
    let again = Told::Picture(Box::new(delta(Vec::new())));
    assert!(app.told(again, now()).is_empty(), "nothing was kept for later");
}

#[test]
fn every_key_of_the_last_line_acts() {
    for keys in ["", "2", "\n", "3", "\t\n", "4", "5", "6", "7", "8", "9"] {
        let mut app = app();
        press(&mut app, keys);
        let drawn = draw(&app);
        let last = drawn.lines().last().expect("a last line").trim().to_owned();
        for part in last.split("  ").filter(|part| !part.is_empty()) {
            let key = part.split(' ').next().unwrap_or_default();
            let known =
                app.keymap().shown().iter().any(|(action, _)| {
                    *action != Action::Quit && app.keymap().label(*action) == key
                });
            assert!(known || key == "Ctrl-c", "{keys:?}: {part}");
            if key.chars().count() == 1 {
                let mut pressed = duty::app();
                press(&mut pressed, keys);
                press(&mut pressed, key);
                assert!(
                    !pressed.message.contains("nothing here"),
                    "{keys:?}: {part}: {}",
                    pressed.message
                );
            }
        }
    }
}

#[test]
fn a_letter_of_an_input_method_outside_a_field_says_so_and_fires_nothing() {
    let mut app = app();
    press(&mut app, "ạ");
    assert!(!app.message.is_empty() && app.place().screen == Screen::Board);
    press(&mut app, "2");
    press(&mut app, "ê");
    assert_eq!(app.place().cursor, 1, "the second e is e");
}

#[test]
fn a_wall_takes_no_keys_but_can_be_left() {
    let mut app = app_with(|options| options.wall = true);
    assert!(press(&mut app, "2a\n:q\n").is_empty() && app.place().screen == Screen::Board);
    let leave = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(app.key(leave, now()), [Effect::Quit]);
    assert!(!draw(&app).contains('▸'), "no cursor");
}

#[test]
fn an_incident_says_where_its_probes_find_the_fault() {
    use vonggac_wire::proto::{CheckRow, HealthState as H};
    let mut app = app();
    let check = |agency: &str, agent: &str, state: H| {
        let mut row = CheckRow {
            agency: agency.into(),
            system: "portal".into(),
            agent: agent.into(),
            name: "front".into(),
            target: "https://dvc.example.vn/".into(),
            ..CheckRow::default()
        };
        row.set_state(state);
        row
    };
    let portal = Incident {
        agency: "tk-48".into(),
        systems: vec!["portal".into()],
        ..incident(1, 1, IncidentState::InProgress, "Lan")
    };
    let mut reply = delta(vec![portal]);
    reply.checks = vec![
        check("tk-48", "a", H::Fine),
        check("tk-01", "b", H::Down),
        check("tk-79", "c", H::Down),
        check("tk-80", "d", H::Unknown),
    ];
    app.told(Told::Picture(Box::new(reply)), now());
    press(&mut app, "\n");
    let drawn = draw(&app);
    assert!(drawn.contains("the network to it"), "{drawn}");
    assert!(drawn.contains("down inside 0/1, outside 2/2"), "{drawn}");
    // Without a probe of its systems nothing is guessed.
    press(&mut app, "1j\n");
    assert!(!draw(&app).contains("Fault in"), "{}", draw(&app));
}
