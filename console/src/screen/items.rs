//! What the cursor walks over: the things of a screen, pane by pane, in the order in which they are drawn.

use std::rc::Rc;

use vonggac_wire::{
    Time,
    proto::{Agency, EventRow, HealthState as H, Incident, IncidentDetail},
};

use super::{Screen, agencies, board, events, flow, incidents, quiet, saved, systems, usage};
use crate::{app::App, keymap::Action, wording::folded};

/// A thing that the cursor may be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An incident, by number.
    Incident(u64),
    /// An agency, by code.
    Agency(String),
    /// A system: agency and id.
    System(String, String),
    /// A host: agency and agent.
    Host(String, String),
    /// A step of an incident's timeline, by version.
    Step(u64),
    /// An event: its place in the search or among the evidence.
    Event(usize),
    /// A row of a SQL answer.
    Row(usize),
    /// A figure, by id.
    Indicator(String),
    /// An agency that a value was seen at, by its place.
    Spread(usize),
    /// A dead letter, by its place.
    Dead(usize),
    /// A line of a long text, by its place.
    Line(usize),
    /// A search that is saved, by its place.
    Saved(usize),
    /// A quiet period.
    Quiet(usize),
}

/// A list of things for each pane.
pub(crate) type Panes = Rc<Vec<Vec<Item>>>;

/// The things of this screen, a list for each pane. While a picture is drawn nothing changes, so they are made once for it.
pub(crate) fn sections(app: &App) -> Panes {
    match &*app.drawing.borrow() {
        Some(panes) => Rc::clone(panes),
        None => Rc::new(panes(app)),
    }
}

/// Runs with the things of this screen at hand.
pub(super) fn with_panes(app: &App, draw: impl FnOnce()) {
    let panes = Rc::new(panes(app));
    app.drawing.replace(Some(panes));
    draw();
    app.drawing.replace(None);
}

fn panes(app: &App) -> Vec<Vec<Item>> {
    let numbers = |all: Vec<&Incident>| all.iter().map(|i| Item::Incident(i.id)).collect();
    match &app.place().screen {
        Screen::Board => {
            let tiles = board::tiles(app);
            vec![
                numbers(board::incidents_shown(app)),
                tiles.iter().map(|agency| Item::Agency(agency.code.clone())).collect(),
            ]
        }
        Screen::Incidents | Screen::Shift => vec![numbers(incidents::shown(app))],
        Screen::Incident(id) => {
            let Some(detail) = detail(app, *id) else { return vec![Vec::new(), Vec::new()] };
            let steps = incidents::steps(detail);
            vec![
                steps.iter().map(|step| Item::Step(step.version)).collect(),
                (0..detail.evidence.len()).map(Item::Event).collect(),
            ]
        }
        Screen::Agencies => vec![
            agencies::shown(app).iter().map(|agency| Item::Agency(agency.code.clone())).collect(),
        ],
        Screen::Agency(code) => agencies::sections(app, code),
        Screen::Systems => vec![
            systems::shown(app)
                .iter()
                .map(|system| Item::System(system.agency.clone(), system.id.clone()))
                .collect(),
        ],
        Screen::System(agency, id) => vec![
            systems::hosts(app, agency, id)
                .iter()
                .map(|host| Item::Host(host.agency.clone(), host.agent.clone()))
                .collect(),
        ],
        Screen::Events => match (&app.model.sql, &app.model.search) {
            (Some(sql), _) => vec![(0..sql.rows_json.len()).map(Item::Row).collect()],
            (None, Some(reply)) if app.place().other => {
                vec![(0..reply.rows.len()).map(Item::Event).collect()]
            }
            (None, Some(_)) => {
                vec![app.model.folds.iter().map(|fold| Item::Event(fold.at)).collect()]
            }
            (None, None) => vec![Vec::new()],
        },
        Screen::Usage => usage::sections(app),
        Screen::ByAgency(id) => vec![
            usage::of_agencies(app, id)
                .iter()
                .map(|row| Item::Agency(row.agency.clone()))
                .collect(),
        ],
        Screen::Spread => vec![(0..app.model.spread.len()).map(Item::Spread).collect()],
        Screen::Flow => flow::sections(app),
        Screen::Saved => vec![saved::shown(app).into_iter().map(Item::Saved).collect()],
        Screen::Quiet => vec![quiet::shown(app).into_iter().map(Item::Quiet).collect()],
        Screen::Event(at) => vec![(0..events::text(app, *at).len()).map(Item::Line).collect()],
        Screen::Host(..) => vec![Vec::new()],
    }
}

/// Things that the cursor may be on.
pub(crate) fn rows(app: &App) -> usize {
    sections(app).iter().map(Vec::len).sum()
}

/// The thing that the cursor is on.
pub(crate) fn item(app: &App) -> Option<Item> {
    let all = sections(app);
    let last = all.iter().map(Vec::len).sum::<usize>().checked_sub(1)?;
    all.iter().flatten().nth(app.place().cursor.min(last)).cloned()
}

/// The place in its own pane that the cursor is at, if it is in this pane.
pub(crate) fn cursor_in(app: &App, pane: usize) -> Option<usize> {
    let sections = sections(app);
    let before: usize = sections.iter().take(pane).map(Vec::len).sum();
    let all: usize = sections.iter().map(Vec::len).sum();
    let at = app.place().cursor.min(all.saturating_sub(1)).checked_sub(before)?;
    (at < sections.get(pane)?.len()).then_some(at)
}

/// First and last row of the pane that a row is in.
pub(crate) fn bounds(sections: &[Vec<Item>], cursor: usize) -> (usize, usize) {
    let mut first = 0;
    for section in sections {
        if cursor < first + section.len() {
            return (first, first + section.len() - 1);
        }
        first += section.len();
    }
    (0, first.saturating_sub(1))
}

/// The row that Tab leads to: the first of the next pane that has rows; on the board's tiles the worst one.
pub(crate) fn pane_beside(
    app: &App,
    sections: &[Vec<Item>],
    cursor: usize,
    forward: bool,
) -> Option<usize> {
    let mut firsts = Vec::new();
    let mut first = 0;
    for section in sections {
        if !section.is_empty() {
            firsts.push(first);
        }
        first += section.len();
    }
    let here = firsts.iter().rposition(|first| *first <= cursor)?;
    let count = firsts.len();
    if count < 2 {
        return None;
    }
    let to = firsts[if forward { here + 1 } else { here + count - 1 } % count];
    let tiles = app.place().screen == Screen::Board && to > 0 || sections.first()?.is_empty();
    Some(if tiles && app.place().screen == Screen::Board { to + board::worst(app) } else { to })
}

/// The tile beside one, in the form in which the board is drawn.
pub(crate) fn tile_beside(app: &App, at: usize, action: Action) -> Option<usize> {
    board::tile_beside(app, at, action)
}

/// What Enter opens.
pub(crate) fn target(app: &App) -> Option<Screen> {
    let evidence = matches!(app.place().screen, Screen::Incident(_) | Screen::Events);
    match item(app) {
        Some(Item::Incident(id)) => Some(Screen::Incident(id)),
        Some(Item::Agency(code)) => Some(Screen::Agency(code)),
        Some(Item::System(agency, id)) => Some(Screen::System(agency, id)),
        Some(Item::Host(agency, agent)) => Some(Screen::Host(agency, agent)),
        Some(Item::Event(at)) if evidence => Some(Screen::Event(at)),
        Some(Item::Indicator(id)) => Some(Screen::ByAgency(id)),
        Some(Item::Spread(at)) => {
            app.model.spread.get(at).map(|row| Screen::Agency(row.agency.clone()))
        }
        None => match app.place().screen {
            Screen::Host(..) | Screen::System(..) => Some(Screen::Events),
            _ => None,
        },
        _ => None,
    }
}

/// The incident that actions are about.
pub(crate) fn incident(app: &App) -> Option<u64> {
    match (&app.place().screen, item(app)) {
        (Screen::Incident(id), _) => Some(*id),
        (_, Some(Item::Incident(id))) => Some(id),
        _ => None,
    }
}

/// The incidents that are listed here.
pub(crate) fn incident_ids(app: &App) -> Vec<u64> {
    if !matches!(app.place().screen, Screen::Incidents | Screen::Shift) {
        return Vec::new();
    }
    incidents::shown(app).iter().map(|incident| incident.id).collect()
}

/// The event that the cursor is on, or that is open.
pub(crate) fn event(app: &App) -> Option<&EventRow> {
    events::current(app)
}

/// An incident's detail, if it has come.
pub(crate) fn detail(app: &App, id: u64) -> Option<&IncidentDetail> {
    let detail = app.model.detail.as_ref()?;
    (detail.incident.as_ref()?.id == id).then_some(detail)
}

/// The agency that one is at.
pub(crate) fn agency_here(app: &App) -> Option<String> {
    if let Screen::Agency(code) | Screen::System(code, _) | Screen::Host(code, _) =
        &app.place().screen
    {
        return Some(code.clone());
    }
    match item(app)? {
        Item::Agency(code) | Item::System(code, _) | Item::Host(code, _) => Some(code),
        _ => None,
    }
}

/// An agency's name, or its code where it is not known; `–` for none.
pub(crate) fn agency_name(app: &App, code: &str) -> String {
    if code.is_empty() {
        return app.words.get("no-data");
    }
    app.model.agency(code).map_or_else(
        || code.to_owned(),
        |agency| format!("{} {code}", app.words.pick(&agency.name_vi, &agency.name_en)),
    )
}

fn bad(state: H) -> bool {
    matches!(state, H::Down | H::UnderAttack | H::Silent)
}

fn worried(state: H) -> bool {
    matches!(state, H::Degraded | H::Unknown)
}

fn state(app: &App, item: &Item) -> Option<H> {
    Some(match item {
        Item::Agency(code) => app.model.agency(code)?.state(),
        Item::System(agency, id) => app.model.systems.get(&(agency.clone(), id.clone()))?.state(),
        Item::Host(agency, agent) => {
            app.model.agents.get(&(agency.clone(), agent.clone()))?.state()
        }
        _ => return None,
    })
}

fn event_of<'a>(app: &'a App, item: &Item) -> Option<&'a EventRow> {
    let Item::Event(at) = item else { return None };
    match &app.place().screen {
        Screen::Incident(id) => detail(app, *id)?.evidence.get(*at),
        _ => app.model.search.as_ref()?.rows.get(*at),
    }
}

/// An incident that nobody has, what does not serve, an event that went wrong.
pub(crate) fn is_trouble(app: &App, item: &Item) -> bool {
    match item {
        Item::Incident(id) => {
            app.model.incidents.get(id).is_some_and(|incident| incident.owner.is_empty())
        }
        Item::Dead(_) => true,
        Item::Event(_) => {
            event_of(app, item).is_some_and(|row| matches!(row.status.as_str(), "failure" | "down"))
        }
        Item::Indicator(id) => {
            app.model.indicators.iter().any(|row| row.id == *id && row.doubt == "disputed")
        }
        _ => state(app, item).is_some_and(bad),
    }
}

/// What is worse than fine but no trouble yet: an incident whose deadline has passed, a worse service, a figure with a note.
pub(crate) fn is_warning(app: &App, item: &Item) -> bool {
    match item {
        Item::Incident(id) => {
            let now = app.model.time.unwrap_or_default();
            app.model.incidents.get(id).is_some_and(|incident| {
                incident.deadline_unix_nano.is_some_and(|at| Time(at).since(now).is_zero())
            })
        }
        Item::Event(_) => event_of(app, item).is_some_and(|row| row.status == "degraded"),
        Item::Indicator(id) => {
            app.model.indicators.iter().any(|row| row.id == *id && row.doubt == "note")
        }
        _ => state(app, item).is_some_and(worried),
    }
}

/// The lines of the event that is open.
pub(crate) fn event_lines(app: &App) -> Option<Vec<String>> {
    let Screen::Event(at) = &app.place().screen else { return None };
    Some(events::text(app, *at).iter().map(ToString::to_string).collect())
}

/// A thing as one line of text, for copying and for finding.
pub(crate) fn text_of(app: &App, item: &Item) -> String {
    let words = &app.words;
    match item {
        Item::Incident(id) => app
            .model
            .incidents
            .get(id)
            .map_or_else(String::new, |incident| incidents::as_text(app, incident)),
        Item::Agency(code) => {
            let state = app.model.agency(code).map_or("", |agency| app.theme.state(agency.state()));
            format!("{} {state}", agency_name(app, code)).trim_end().to_owned()
        }
        Item::System(agency, id) => {
            let key = (agency.clone(), id.clone());
            app.model.systems.get(&key).map_or_else(String::new, |system| {
                let name = words.pick(&system.name_vi, &system.name_en);
                format!("{agency} {id} {name} {}", app.theme.state(system.state()))
            })
        }
        Item::Host(agency, agent) => {
            let key = (agency.clone(), agent.clone());
            app.model.agents.get(&key).map_or_else(String::new, |row| {
                format!("{agency} {} {agent} {}", row.host, app.theme.state(row.state()))
            })
        }
        Item::Step(version) => {
            let steps = app.model.detail.iter().flat_map(|detail| &detail.timeline);
            steps
                .filter(|step| step.version == *version)
                .map(|step| {
                    format!(
                        "{} {} {} {}",
                        Time(step.time_unix_nano),
                        step.actor,
                        step.action,
                        step.text
                    )
                })
                .next()
                .unwrap_or_default()
        }
        Item::Event(_) => event_of(app, item).map_or_else(String::new, |row| {
            format!("{} {} {} {} {}", row.agency, row.host, row.user, row.src_ip, row.raw)
        }),
        Item::Saved(at) => app.model.saved.get(*at).map_or_else(String::new, saved::as_text),
        Item::Quiet(at) => {
            let period = app.model.quiet.get(*at);
            period.map_or_else(String::new, |period| quiet::as_text(period, &app.words))
        }
        Item::Line(at) => {
            event_lines(app).and_then(|lines| lines.get(*at).cloned()).unwrap_or_default()
        }
        Item::Row(at) => {
            let rows = app.model.sql.as_ref().map(|sql| &sql.rows_json);
            rows.and_then(|rows| rows.get(*at)).cloned().unwrap_or_default()
        }
        Item::Indicator(id) => {
            let found = app.model.indicators.iter().find(|row| row.id == *id);
            found.map_or_else(String::new, |row| {
                let name = words.pick(&row.name_vi, &row.name_en);
                format!("{id} {name} {}", usage::ratio(app, row))
            })
        }
        Item::Spread(at) => app.model.spread.get(*at).map_or_else(String::new, |row| {
            format!("{} {}", agency_name(app, &row.agency), row.count)
        }),
        Item::Dead(at) => app.model.dead_letters().get(*at).map_or_else(String::new, |letter| {
            format!(
                "{} {} {}/{}/{} {}",
                letter.reason,
                letter.agency,
                letter.topic,
                letter.partition,
                letter.offset,
                letter.detail
            )
        }),
    }
}

/// Whether text passes a filter: each of its words is in it, accents optional; `a|b` is either, `!` before it all that do not.
pub(crate) fn passes(filter: &str, text: &str) -> bool {
    let (inverse, filter) =
        filter.trim().strip_prefix('!').map_or((false, filter.trim()), |rest| (true, rest));
    if filter.is_empty() {
        return true;
    }
    let text = folded(text);
    let hit =
        folded(filter).split('|').any(|one| one.split_whitespace().all(|word| text.contains(word)));
    hit != inverse
}

/// What "elsewhere" is about: a field and its value.
pub(crate) fn value(app: &App) -> Option<(String, String)> {
    if let Some(row) = event(app) {
        let (field, value) =
            if row.src_ip.is_empty() { ("user", &row.user) } else { ("src_ip", &row.src_ip) };
        if !value.is_empty() {
            return Some((field.to_owned(), value.clone()));
        }
    }
    let entity = app.model.incidents.get(&incident(app)?)?.entity.as_ref()?;
    ["src_ip", "user"]
        .contains(&entity.kind.as_str())
        .then(|| (entity.kind.clone(), entity.value.clone()))
}

/// Why an agency is shown in its state: each lamp, its hosts, its open incidents, what is missing.
pub(crate) fn why(app: &App, code: &str) -> Vec<String> {
    let Some(agency) = app.model.agency(code) else { return vec![code.to_owned()] };
    let words = &app.words;
    let mut lines = vec![agencies::lamp_line(app, agency), agencies::connection(app, agency)];
    lines.extend(silent_hosts(app, agency));
    let open: Vec<&Incident> = app
        .model
        .urgent()
        .into_iter()
        .filter(|incident| incident.agencies.iter().any(|known| known == code))
        .collect();
    lines.push(format!("{} {}", words.get("agency-open"), open.len()));
    lines.extend(open.iter().map(|incident| format!(" {}", incidents::as_text(app, incident))));
    for check in app.model.checks.values().filter(|row| row.agency == code) {
        if bad(check.state()) || worried(check.state()) {
            lines.push(format!(
                " {} {} {}: {}",
                app.theme.state(check.state()),
                check.host,
                check.name,
                check.detail
            ));
        }
    }
    lines
}

fn silent_hosts(app: &App, agency: &Agency) -> Vec<String> {
    let silent = app
        .model
        .agents
        .values()
        .filter(|row| row.agency == agency.code && row.state() == H::Silent);
    silent.map(|row| format!(" {} {}", app.theme.state(H::Silent), row.host)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_words_alternatives_or_their_opposite() {
        assert!(passes("", "anything"));
        assert!(passes("da nang", "Đà Nẵng: cổng trả lời"));
        assert!(passes("cong nang", "Đà Nẵng: cổng trả lời"), "each word, in any order");
        assert!(passes("hue|da nang", "Đà Nẵng"));
        assert!(!passes("!da nang", "Đà Nẵng") && passes("!da nang", "Huế"));
    }

    #[test]
    fn the_pane_of_a_row_is_found_by_its_bounds() {
        let panes = vec![vec![Item::Event(0); 3], Vec::new(), vec![Item::Event(1); 2]];
        assert_eq!(
            (bounds(&panes, 0), bounds(&panes, 2), bounds(&panes, 3)),
            ((0, 2), (0, 2), (3, 4))
        );
        assert_eq!(bounds(&[], 0), (0, 0));
    }
}
