//! Usage and indicators: each with numerator, denominator, age and doubt.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{Time, proto::Indicator};

use super::{Area, Item, agency_name, cursor_in, line, plain, rule, window};
use crate::{
    app::App,
    wording::{self, fit, right},
};

/// `61,4 % 6.615/10.779`, with its mark; what was not measured is `–`.
pub(super) fn ratio(app: &App, indicator: &Indicator) -> String {
    let lang = app.words.lang();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    let number = |value: f64| wording::number(lang, value as u64);
    let mark = match indicator.doubt.as_str() {
        "disputed" => "?",
        "note" => "*",
        "approximate" => "≈",
        _ => "",
    };
    match (indicator.numerator, indicator.denominator) {
        (Some(above), Some(below)) if below > 0.0 => {
            format!(
                "{}{mark} {}/{}",
                wording::percent(lang, above / below),
                number(above),
                number(below)
            )
        }
        (Some(above), Some(below)) => format!("{}/{}{mark}", number(above), number(below)),
        (Some(above), None) => format!("{}{mark}", number(above)),
        (None, _) => app.words.get("no-data"),
    }
}

/// Kinds of figures in the order of the screen; provision is apart from usage: they are never one sum.
const KINDS: [(&str, &str); 5] = [
    ("usage", "usage-usage"),
    ("quality", "usage-quality"),
    ("provision", "usage-provision"),
    ("connection", "usage-connection"),
    ("security", "usage-security"),
];

/// The nation's figures, or those of the agency in the filter.
fn figures(app: &App) -> Vec<&Indicator> {
    let place = app.place();
    let code = place.filter.as_str();
    // The nation's day is in the picture; everything else is asked for.
    let rows =
        if code.is_empty() && !place.month { &app.model.indicators } else { &app.model.by_agency };
    rows.iter().filter(|row| row.agency == code).collect()
}

fn of_kind<'a>(app: &'a App, kind: &str) -> Vec<&'a Indicator> {
    figures(app).into_iter().filter(|row| row.kind == kind).collect()
}

/// Why there are no figures: they are on their way, cannot be had, or nobody measured any.
fn absent(app: &App, area: Area) -> String {
    let asked = usage_is_asked(app).then_some(&app.questions.usage);
    super::unanswered(app, asked, area).unwrap_or_else(|| app.words.get("not-measured"))
}

fn usage_is_asked(app: &App) -> bool {
    let place = app.place();
    place.screen != super::Screen::Usage || place.month || !place.filter.is_empty()
}

/// A pane for each kind.
pub(super) fn sections(app: &App) -> Vec<Vec<Item>> {
    KINDS
        .iter()
        .map(|(kind, _)| {
            of_kind(app, kind).iter().map(|row| Item::Indicator(row.id.clone())).collect()
        })
        .collect()
}

fn verdict(app: &App, indicator: &Indicator) -> String {
    let id = format!("verdict-{}", indicator.verdict);
    let word = app.words.get(&id);
    if word == id { indicator.verdict.clone() } else { word }
}

pub(super) fn lines(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let place = app.place();
    let all = figures(app);
    let counted = all.iter().map(|row| row.agencies_counted).max().unwrap_or(0);
    let missing = all.iter().map(|row| row.agencies_missing).max().unwrap_or(0);
    let whose = if place.filter.is_empty() {
        words.get("usage-nation")
    } else {
        agency_name(app, &place.filter)
    };
    let values = [
        ("whose", whose),
        ("period", words.get(if place.month { "usage-month" } else { "usage-day" })),
        ("counted", counted.to_string()),
        ("missing", missing.to_string()),
    ];
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut lines = vec![plain(&fit(&words.with("usage-line", &values), area.width))];
    if all.is_empty() {
        lines.push(plain(&absent(app, area)));
    }
    // The last lines tell why the chosen figure has its verdict.
    let room = area.height.saturating_sub(lines.len() + WHY_LINES);
    let mut rows = Vec::new();
    let mut at_row = 0;
    for (pane, (kind, title)) in KINDS.iter().enumerate() {
        let figures = of_kind(app, kind);
        if figures.is_empty() {
            continue;
        }
        let remark = format!("{}   {}", words.get("col-ratio"), words.get("col-verdict"));
        rows.push(rule(app, &words.get(title), &remark, area.width));
        let cursor = cursor_in(app, pane);
        for (at, indicator) in figures.iter().enumerate() {
            if cursor == Some(at) {
                at_row = rows.len();
            }
            rows.push(row(app, indicator, cursor == Some(at), area));
        }
    }
    let shown = window(at_row, rows.len(), room);
    lines.extend(rows.into_iter().skip(shown.start).take(shown.len()));
    lines.resize(area.height.saturating_sub(WHY_LINES).max(lines.len()), Line::default());
    lines.extend(why(app, area));
    lines
}

/// Lines below the list: a rule and three of text.
const WHY_LINES: usize = 4;

fn row(app: &App, indicator: &Indicator, chosen: bool, area: Area) -> Line<'static> {
    let words = &app.words;
    let age = indicator.newest_unix_nano.map_or_else(
        || words.get("no-data"),
        |newest| wording::duration(words.lang(), area.now.since(Time(newest))),
    );
    let spark =
        if area.width >= 100 { app.theme.sparkline(&indicator.cells, 8) } else { String::new() };
    let text = format!(
        "{} {} {}  {} {} {}",
        if chosen { app.theme.cursor() } else { " " },
        fit(
            words.pick(&indicator.name_vi, &indicator.name_en).trim_start_matches("Tỷ lệ "),
            area.width.saturating_sub(57).clamp(18, 50)
        ),
        right(&ratio(app, indicator), 26),
        fit(&verdict(app, indicator), 15),
        right(&age, 6),
        spark
    );
    let style = if chosen { app.theme.selected() } else { Style::new() };
    line(vec![(fit(&text, area.width), style)])
}

/// May this figure be reported? Its verdict, its state, who is missing in it.
fn why(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let Some(Item::Indicator(id)) = super::item(app) else { return Vec::new() };
    let Some(indicator) = figures(app).into_iter().find(|row| row.id == id) else {
        return Vec::new();
    };
    let state = match indicator.doubt.as_str() {
        "disputed" => "court-disputed",
        "note" | "approximate" => "court-note",
        _ if indicator.numerator.is_none() => "court-unmeasured",
        _ => "court-accepted",
    };
    let name = words.pick(&indicator.name_vi, &indicator.name_en);
    let missing = words.with(
        "court-missing",
        &[
            ("counted", &indicator.agencies_counted.to_string()),
            ("missing", &indicator.agencies_missing.to_string()),
        ],
    );
    vec![
        rule(
            app,
            &words.with("court-title", &[("name", name.trim_start_matches("Tỷ lệ "))]),
            &verdict(app, indicator),
            area.width,
        ),
        plain(&fit(&format!(" {}", words.get(state)), area.width)),
        plain(&fit(&format!(" {missing}"), area.width)),
        plain(&fit(&format!(" {id}  {}", words.get("court-hint")), area.width)),
    ]
}

/// One figure of each agency that has it, in the order chosen.
pub(super) fn of_agencies<'a>(app: &'a App, id: &str) -> Vec<&'a Indicator> {
    let place = app.place();
    let mut all: Vec<&Indicator> =
        app.model.by_agency.iter().filter(|row| row.id == id && !row.agency.is_empty()).collect();
    let at = |code: &str| app.model.agencies.iter().position(|agency| agency.code == code);
    let share = |row: &Indicator| match (row.numerator, row.denominator) {
        (Some(above), Some(below)) if below > 0.0 => above / below,
        (Some(above), None) => above,
        // What is not measured is above what is low.
        _ => f64::NEG_INFINITY,
    };
    match place.screen.sorts().get(place.sort).copied() {
        Some("lowest") => all.sort_by(|one, two| share(one).total_cmp(&share(two))),
        _ => all.sort_by_key(|row| at(&row.agency)),
    }
    if place.reverse {
        all.reverse();
    }
    all
}

pub(super) fn by_agency(app: &App, id: &str, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let all = of_agencies(app, id);
    let place = app.place();
    let known = app.model.indicators.iter().find(|row| row.id == id && row.agency.is_empty());
    let name = known.map_or(id, |row| words.pick(&row.name_vi, &row.name_en));
    // The picture has the nation's day alone.
    let nation =
        known.filter(|_| !place.month).map_or_else(|| words.get("no-data"), |row| ratio(app, row));
    let sort = place.screen.sorts().get(place.sort).copied().unwrap_or("register");
    let turned = if place.reverse { words.get("sort-turned") } else { String::new() };
    let values = [
        ("name", name.to_owned()),
        ("nation", nation),
        ("count", all.len().to_string()),
        ("sort", format!("{}{turned}", words.get(&format!("sort-{sort}")))),
        ("period", words.get(if place.month { "usage-month" } else { "usage-day" })),
    ];
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut lines = vec![
        plain(&fit(&words.with("by-agency-line", &values), area.width)),
        rule(app, &words.get("col-agency"), &words.get("col-ratio"), area.width),
    ];
    if all.is_empty() {
        lines.push(plain(&absent(app, area)));
    }
    let cursor = cursor_in(app, 0);
    let height = area.height.saturating_sub(lines.len());
    for at in window(cursor.unwrap_or(0), all.len(), height) {
        let chosen = cursor == Some(at);
        let text = format!(
            "{} {} {}  {}",
            if chosen { app.theme.cursor() } else { " " },
            fit(&agency_name(app, &all[at].agency), area.width.saturating_sub(56).clamp(18, 50)),
            right(&ratio(app, all[at]), 28),
            verdict(app, all[at])
        );
        let style = if chosen { app.theme.selected() } else { Style::new() };
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    lines
}
