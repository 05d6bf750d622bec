//! Which actions are valid where: for the menu, help, the last line, and for refusing what is not.

use vonggac_wire::{
    incident::next_state,
    proto::{Incident, command::Action as Wire},
};

use super::{Screen, agency_here, detail, event, incident, item, target, value};
use crate::{app::App, keymap::Action};

/// The name of an action's words.
pub(crate) fn do_word(action: Action) -> String {
    let name = Action::ALL.iter().find(|(known, _)| *known == action).map_or("", |(_, name)| name);
    format!("do-{}", name.replace('_', "-"))
}

/// What an action is called here: events are followed live where other screens are frozen.
pub(crate) fn word(app: &App, action: Action) -> String {
    let live = action == Action::Freeze && means(app, action);
    match (live, app.live.is_some()) {
        (false, _) => app.words.get(&do_word(action)),
        (true, false) => app.words.get("do-live"),
        (true, true) => app.words.get("do-live-end"),
    }
}

/// Actions on incidents: an observer has none of them.
pub(crate) const ON_INCIDENTS: [Action; 13] = [
    Action::Acknowledge,
    Action::Assign,
    Action::Note,
    Action::Hold,
    Action::Resolve,
    Action::Close,
    Action::Reopen,
    Action::HandOver,
    Action::Verdict,
    Action::Merge,
    Action::Split,
    Action::Hide,
    Action::Report,
];

/// Whether an incident's state allows an action.
pub(crate) fn allows(incident: &Incident, action: Action) -> bool {
    use vonggac_wire::proto as p;
    let wire = match action {
        Action::Acknowledge => Wire::Acknowledge(p::Acknowledge {}),
        Action::Assign => Wire::Assign(p::Assign::default()),
        Action::Note => Wire::Note(p::Note::default()),
        Action::Hold => Wire::Hold(p::Hold::default()),
        Action::Resolve => Wire::Resolve(p::Resolve::default()),
        Action::Close => Wire::Close(p::Close::default()),
        Action::Reopen => Wire::Reopen(p::Reopen::default()),
        Action::HandOver => Wire::HandOver(p::HandOver::default()),
        Action::Verdict => Wire::Judge(p::Judge::default()),
        Action::Merge => Wire::Merge(p::Merge::default()),
        Action::Split => Wire::Split(p::Split::default()),
        Action::Hide => Wire::Hide(p::Hide::default()),
        Action::Report => Wire::Report(p::Report::default()),
        _ => return false,
    };
    next_state(incident.current_state(), &wire).is_ok()
        && (action != Action::Split || incident.agencies.len() > 1)
}

/// Whether an action that changes the form of a screen means something here.
pub(crate) fn means(app: &App, action: Action) -> bool {
    let screen = &app.place().screen;
    match action {
        Action::Sort | Action::Reverse => screen.sorts().len() > 1,
        Action::OtherForm => matches!(
            screen,
            Screen::Board
                | Screen::Events
                | Screen::Incidents
                | Screen::Shift
                | Screen::Agency(_)
                | Screen::System(..)
        ),
        Action::Detail => matches!(screen, Screen::Events | Screen::Incidents | Screen::Shift),
        Action::Freeze => *screen == Screen::Events && app.frozen.is_none(),
        Action::Period => matches!(screen, Screen::Usage | Screen::ByAgency(_)),
        Action::Full => matches!(screen, Screen::Board | Screen::Incident(_)),
        Action::HourOn | Action::HourBack | Action::DayOn | Action::DayBack | Action::Midnight => {
            *screen == Screen::Events
        }
        Action::ZoomIn | Action::ZoomOut => matches!(screen, Screen::Events | Screen::System(..)),
        Action::Elsewhere => {
            value(app).is_some()
                || incident(app)
                    .and_then(|id| app.model.incidents.get(&id))
                    .is_some_and(|incident| incident.agencies.len() > 1)
        }
        Action::Runbook => incident(app).is_some_and(|id| detail(app, id).is_some()),
        Action::Tell => incident(app).is_some() || agency_here(app).is_some(),
        Action::Mark | Action::MarkAll => matches!(screen, Screen::Incidents | Screen::Shift),
        Action::Copy => item(app).is_some() || event(app).is_some(),
        Action::Enter => {
            target(app).is_some()
                || matches!(item(app), Some(super::Item::Dead(_) | super::Item::Saved(_)))
        }
        _ => false,
    }
}

/// What is valid here, in the order of the menu.
pub(crate) fn valid(app: &App) -> Vec<Action> {
    let incident = incident(app).and_then(|id| app.model.incidents.get(&id));
    let on_incident = ON_INCIDENTS.into_iter().filter(|action| {
        !app.options.observer && incident.is_some_and(|incident| allows(incident, *action))
    });
    const HERE: [Action; 18] = [
        Action::Enter,
        Action::Mark,
        Action::MarkAll,
        Action::Elsewhere,
        Action::Tell,
        Action::Runbook,
        Action::Sort,
        Action::Reverse,
        Action::OtherForm,
        Action::Detail,
        Action::Period,
        Action::Full,
        Action::HourBack,
        Action::DayBack,
        Action::ZoomIn,
        Action::ZoomOut,
        Action::Copy,
        Action::Usage,
    ];
    let here = HERE.into_iter().filter(|action| means(app, *action));
    let always =
        [Action::Filter, Action::NextTrouble, Action::News, Action::Freeze, Action::Export];
    on_incident.chain(here).chain(always).collect()
}
