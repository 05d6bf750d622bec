//! Usage and indicators: each with numerator, denominator, age and doubt.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{Time, proto::Indicator};

use super::{Area, line, plain, rule};
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

pub(super) fn lines(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let counted =
        app.model.indicators.iter().map(|indicator| indicator.agencies_counted).max().unwrap_or(0);
    let mut lines = vec![plain(&words.with("usage-line", &[("counted", &counted.to_string())]))];
    let cursor = app.place().cursor;
    let mut at = 0;
    for (kind, title) in [("usage", "usage-usage"), ("quality", "usage-quality")] {
        lines.push(rule(
            app,
            &words.get(title),
            &format!("{}   {}", words.get("col-ratio"), words.get("col-verdict")),
            area.width,
        ));
        for indicator in app
            .model
            .indicators
            .iter()
            .filter(|indicator| indicator.kind == kind && indicator.agency.is_empty())
        {
            let age = indicator.newest_unix_nano.map_or_else(
                || words.get("no-data"),
                |newest| wording::duration(words.lang(), area.now.since(Time(newest))),
            );
            let text = format!(
                "  {} {}  {} {}",
                fit(
                    words.pick(&indicator.name_vi, &indicator.name_en),
                    area.width.saturating_sub(60).clamp(20, 50)
                ),
                right(&ratio(app, indicator), 28),
                fit(&words.get(&format!("verdict-{}", indicator.verdict)), 18),
                age
            );
            let style = if at == cursor { app.theme.selected() } else { Style::new() };
            lines.push(line(vec![(fit(&text, area.width), style)]));
            at += 1;
        }
    }
    lines
}
