//! What is kept quiet, on the screen.

use vonggac_console::{
    app::{App, Effect},
    feed::{Ask, Told},
    screen::Screen,
    words::Lang,
};
use vonggac_wire::proto::{QuietPeriod, QuietScope};

use crate::morning::{app, draw, now, press};

fn period(kind: &str, id: &str, rule: &str, agency: &str, withheld: u64) -> QuietPeriod {
    let scope = QuietScope { rule: rule.into(), agency: agency.into(), ..QuietScope::default() };
    QuietPeriod {
        id: id.into(),
        kind: kind.into(),
        owner: "Lan".into(),
        reason: "máy quét của ta".into(),
        scope: Some(scope),
        until_unix_nano: now().0,
        withheld,
        ..QuietPeriod::default()
    }
}

fn listed(app: &mut App, command: &str) -> String {
    let effects = press(app, command);
    assert!(matches!(effects.as_slice(), [Effect::Ask(Ask::Quiet(_))]), "{effects:?}");
    let all = vec![
        period("suppression", "1a2b3c4d-1", "web-attack", "H49", 1_234),
        period("maintenance", "5e6f7a8b-1", "", "tk-48", 7),
    ];
    app.told(Told::Quiet(app.questions.quiet.number, all), now());
    draw(app, 120, 36)
}

#[test]
fn what_is_quiet_is_listed_with_what_it_withheld_and_maintenance_alone_by_its_own_command() {
    for (lang, number) in [(Lang::Vi, "1.234"), (Lang::En, "1,234")] {
        let mut both = app(lang, false);
        let text = listed(&mut both, ":giuim\n");
        for word in ["1a2b3c4d", "web-attack", "H49", number, "Lan", "5e6f7a8b", "tk-48"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(both.place().screen, Screen::Quiet);
        let mut planned = app(lang, false);
        let text = listed(&mut planned, ":maint\n");
        assert!(text.contains("5e6f7a8b") && !text.contains("1a2b3c4d"), "{text}");
    }
}

#[test]
fn nothing_that_is_quiet_is_said_and_a_refusal_is_told() {
    let mut app = app(Lang::En, false);
    press(&mut app, ":quiet\n");
    let number = app.questions.quiet.number;
    app.told(Told::Refused(number, "not for you".into()), now());
    assert!(draw(&app, 80, 24).contains("not for you"));
    press(&mut app, "r");
    app.told(Told::Quiet(app.questions.quiet.number, Vec::new()), now());
    assert!(draw(&app, 80, 24).contains("Nothing is kept quiet."));
}
