//! The rows of a screen as the command of the same name writes them, for exports out of the screen.

use vonggac_answer::rows::{self, Format, Row};
use vonggac_wire::Time;

use super::{quiet, row};
use crate::{
    app::App,
    query,
    screen::{self, Item, Screen},
};

/// The rows that are shown as "csv", "json" or "md"; `None`: there are none, or no such form. Simulated data says so in each row.
pub(crate) fn exported(app: &App, form: &str, now: Time) -> Option<String> {
    let form = match form {
        "csv" => Format::Csv,
        "json" => Format::Json,
        "md" => Format::Md,
        _ => return None,
    };
    let mut rows = rows(app, now);
    if rows.is_empty() {
        return None;
    }
    for row in &mut rows {
        row.insert("simulated".into(), app.model.simulated.into());
    }
    Some(rows::write(&form, &rows))
}

fn rows(app: &App, now: Time) -> Vec<Row> {
    if let (Screen::Events, Some(sql)) = (&app.place().screen, &app.model.sql) {
        let values = |text: &String| serde_json::from_str::<Vec<serde_json::Value>>(text).ok();
        return sql
            .rows_json
            .iter()
            .filter_map(values)
            .map(|values| sql.columns.iter().cloned().zip(values).collect())
            .collect();
    }
    if let (Screen::Events, Some(reply)) = (&app.place().screen, &app.model.search) {
        // Each event for itself, however the screen folds them.
        return reply.rows.iter().map(row::event).collect();
    }
    if let Some(event) =
        screen::event(app).filter(|_| matches!(app.place().screen, Screen::Event(_)))
    {
        return vec![row::event(event)];
    }
    let items = screen::sections(app);
    // Of a screen with several panes the one with the cursor is exported.
    let pane = (0..items.len()).find(|pane| screen::cursor_in(app, *pane).is_some()).unwrap_or(0);
    items.get(pane).into_iter().flatten().filter_map(|item| of(app, item, now)).collect()
}

fn of(app: &App, item: &Item, now: Time) -> Option<Row> {
    let model = &app.model;
    let words = &app.words;
    Some(match item {
        Item::Incident(id) => row::incident(model.incidents.get(id)?, words, now),
        Item::Agency(code) => match &app.place().screen {
            Screen::ByAgency(id) => {
                let figure =
                    model.by_agency.iter().find(|row| row.id == *id && row.agency == *code)?;
                row::indicator(figure, words, now)
            }
            _ => row::agency(model.agency(code)?, words),
        },
        Item::System(agency, id) => {
            row::system(model.systems.get(&(agency.clone(), id.clone()))?, words)
        }
        Item::Host(agency, agent) => {
            row::agent(model.agents.get(&(agency.clone(), agent.clone()))?)
        }
        Item::Step(version) => {
            let steps = &model.detail.as_ref()?.timeline;
            row::step(steps.iter().find(|step| step.version == *version)?)
        }
        Item::Event(at) => match &app.place().screen {
            Screen::Incident(id) => row::event(screen::detail(app, *id)?.evidence.get(*at)?),
            _ => row::event(model.search.as_ref()?.rows.get(*at)?),
        },
        Item::Indicator(id) => {
            let code = app.place().filter.as_str();
            let day = code.is_empty() && !app.place().month;
            let all = if day { &model.indicators } else { &model.by_agency };
            row::indicator(all.iter().find(|row| row.id == *id && row.agency == code)?, words, now)
        }
        Item::Spread(at) => row::spread(model.spread.get(*at)?),
        Item::Dead(at) => row::dead(model.dead_letters().get(*at)?),
        Item::Saved(at) => row::saved(model.saved.get(*at)?),
        Item::Quiet(at) => quiet::of(model.quiet.get(*at)?),
        Item::Row(_) | Item::Line(_) => return None,
    })
}

/// The options of `vonggac events` for a query line. What has no option of its own becomes `--text`.
pub(crate) fn options_of(line: &str) -> String {
    const OPTIONS: [(&str, &str); 8] = [
        ("agency", "--agency"),
        ("host", "--host"),
        ("class", "--class"),
        ("user", "--user"),
        ("src_ip", "--src-ip"),
        ("system", "--system"),
        ("status", "--status"),
        ("rule", "--rule"),
    ];
    let now = Time::now();
    let request = query::parse(line, now);
    let back = now.since(Time(request.since_unix_nano)).as_secs();
    let mut text = format!("--since {back}s");
    for term in request.terms.iter().filter(|term| !term.negated) {
        let option = OPTIONS
            .iter()
            .find(|(field, _)| *field == term.field)
            .map_or("--text", |(_, option)| *option);
        // Quoted for a shell.
        text.push_str(&format!(" {option} '{}'", term.value.replace('\'', "'\\''")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_becomes_options_that_a_shell_takes_as_they_are() {
        let options = options_of("agency:tk-48 user:o'neil \"wrong password\" -2h");
        assert_eq!(
            options,
            "--since 7200s --agency 'tk-48' --user 'o'\\''neil' --text 'wrong password'"
        );
    }
}
