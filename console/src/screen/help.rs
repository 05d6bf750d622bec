//! Help, made from the keymap.

use ratatui::{
    text::Line,
    widgets::{Block, Paragraph},
};
use vonggac_wire::proto::HealthState as H;

use super::plain;
use crate::{app::App, keymap::Action, wording::fit};

/// Columns for the longest list of keys of one action.
const KEYS_WIDE: usize = 17;

fn name(action: Action) -> &'static str {
    Action::ALL.iter().find(|(known, _)| *known == action).map_or("", |(_, name)| *name)
}

/// Two columns of keys with what they do, and the symbols of states. Keys are never cut.
pub(super) fn widget(app: &App) -> Paragraph<'static> {
    let words = &app.words;
    let entry = |keys: &[&str], id: &str| {
        format!("{} {}", fit(&keys.join(" "), KEYS_WIDE), fit(&words.get(id), 18))
    };
    let (screens, others): (Vec<_>, Vec<_>) =
        app.keymap().shown().iter().partition(|(action, _)| name(*action).starts_with("screen_"));
    let mut shown: Vec<String> = others
        .iter()
        .map(|(action, keys)| {
            let keys: Vec<&str> =
                keys.iter().map(|key| if key == " " { "space" } else { key.as_str() }).collect();
            entry(&keys, &format!("do-{}", name(*action).replace('_', "-")))
        })
        .collect();
    // Nine screens are one line: what each is, its title says.
    let keys: Vec<&str> =
        screens.iter().filter_map(|(_, keys)| keys.first()).map(String::as_str).collect();
    shown.push(entry(&keys, "do-screens"));
    let half = shown.len().div_ceil(2);
    let mut lines: Vec<Line<'static>> = (0..half)
        .map(|row| {
            let cells: Vec<&str> = (0..2)
                .filter_map(|column| shown.get(row + column * half))
                .map(String::as_str)
                .collect();
            plain(&cells.join(""))
        })
        .collect();
    lines.push(Line::default());
    let states = [
        (H::Down, "state-down"),
        (H::UnderAttack, "state-attack"),
        (H::Silent, "state-silent"),
        (H::Degraded, "state-degraded"),
        (H::Unknown, "state-unknown"),
        (H::Maintenance, "state-maintenance"),
        (H::NotConnected, "state-not-connected"),
        (H::Excluded, "state-excluded"),
        (H::Fine, "state-fine"),
    ];
    for row in states.chunks(4) {
        let cells: Vec<String> = row
            .iter()
            .map(|(state, id)| fit(&format!("{} {}", app.theme.state(*state), words.get(id)), 18))
            .collect();
        lines.push(plain(&cells.concat()));
    }
    Paragraph::new(lines).block(Block::bordered().title(words.get("screen-help")))
}
