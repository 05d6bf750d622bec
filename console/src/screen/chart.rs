//! A chart of the last minutes with what is usual at this hour of the week as a band behind it.

use ratatui::text::Line;
use vonggac_wire::proto::{Baseline, Cell};

use super::{Area, plain};
use crate::{
    app::App,
    wording::{self, fit, right},
};

/// Columns before the bars: a number and the axis.
const AXIS: usize = 7;

/// Rows of bars.
const ROWS: usize = 4;

/// What one place of the chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dot {
    Full,
    Part(usize),
    Band,
    Empty,
    Absent,
}

/// The places of one column, from the lowest row: bars over the band; no data is a dash in the lowest row alone.
fn column(value: Option<f64>, baseline: Option<&Baseline>, top: f64) -> [Dot; ROWS] {
    let mut dots = [Dot::Empty; ROWS];
    #[expect(clippy::cast_precision_loss, reason = "few rows")]
    let each = top / ROWS as f64;
    for (row, dot) in dots.iter_mut().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "few rows")]
        let (from, to) = (row as f64 * each, (row + 1) as f64 * each);
        let banded = baseline.is_some_and(|b| b.low < to && b.high > from);
        *dot = match value {
            None if row == 0 => Dot::Absent,
            Some(value) if value >= to => Dot::Full,
            Some(value) if value > from || row == 0 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 7"
                )]
                let eighths = ((value - from) / each * 8.0).floor().clamp(0.0, 7.0) as usize;
                if eighths == 0 && row > 0 && banded { Dot::Band } else { Dot::Part(eighths) }
            }
            _ if banded => Dot::Band,
            _ => Dot::Empty,
        };
    }
    dots
}

fn letter(dot: Dot, ascii: bool) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    match (dot, ascii) {
        (Dot::Full, false) => '█',
        (Dot::Full, true) => '8',
        (Dot::Part(eighths), false) => BARS[eighths.min(7)],
        (Dot::Part(eighths), true) => char::from(b'1' + u8::try_from(eighths.min(7)).unwrap_or(0)),
        (Dot::Band, false) => '░',
        (Dot::Band, true) => '.',
        (Dot::Empty, _) => ' ',
        (Dot::Absent, false) => '–',
        (Dot::Absent, true) => '-',
    }
}

/// Bars of the last cells, `zoom` times halved, with the band, its legend and the clock below.
pub(super) fn lines(
    app: &App,
    cells: &[Cell],
    baseline: Option<&Baseline>,
    zoom: usize,
    area: Area,
) -> Vec<Line<'static>> {
    let words = &app.words;
    let lang = words.lang();
    if cells.is_empty() {
        return vec![plain(&words.get("chart-none"))];
    }
    let shown = (cells.len() >> zoom).max(1);
    let cells = &cells[cells.len() - shown..];
    let room = area.width.saturating_sub(AXIS + 2).max(1);
    // Columns are a minute each, or several; a wide screen draws each minute wider.
    let each = cells.len().div_ceil(room).max(1);
    let wide = (room / cells.len().div_ceil(each)).clamp(1, 3);
    let columns: Vec<Option<f64>> = cells
        .chunks(each)
        .map(|minutes| {
            let known: Vec<f64> = minutes.iter().filter_map(|cell| cell.value).collect();
            #[expect(clippy::cast_precision_loss, reason = "minutes")]
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        })
        .collect();
    let most = columns.iter().flatten().copied().fold(0.0, f64::max);
    let top = most.max(baseline.map_or(0.0, |b| b.high)).max(1.0);
    let drawn: Vec<[Dot; ROWS]> =
        columns.iter().map(|value| column(*value, baseline, top)).collect();
    let mut lines = Vec::new();
    for row in (0..ROWS).rev() {
        let label = match row {
            r if r == ROWS - 1 => wording::decimal(lang, top, 0),
            0 => "0".to_owned(),
            _ => String::new(),
        };
        let axis = if app.theme.ascii { "|" } else { "┤" };
        let bars: String = drawn
            .iter()
            .map(|dots| letter(dots[row], app.theme.ascii).to_string().repeat(wide))
            .collect();
        lines.push(plain(&fit(&format!("{}{axis}{bars}", right(&label, AXIS - 1)), area.width)));
    }
    let until = app.model.time.unwrap_or(area.now);
    let since = until.minus(std::time::Duration::from_secs(60 * shown as u64));
    let span = columns.len() * wide;
    let legend = match baseline {
        Some(b) => {
            let number = |value| wording::decimal(lang, value, 0);
            words.with(
                "chart-band",
                &[
                    ("median", &number(b.median)),
                    ("low", &number(b.low)),
                    ("high", &number(b.high)),
                    ("weeks", &b.weeks.to_string()),
                ],
            )
        }
        None => words.get("chart-no-band"),
    };
    let clocks = format!(
        "{}{}",
        fit(&wording::minute(since), span.saturating_sub(5)),
        wording::minute(until)
    );
    lines.push(plain(&fit(&format!("{}{clocks}", " ".repeat(AXIS)), area.width)));
    let now = columns.last().copied().flatten();
    let now = now.map_or_else(|| words.get("no-data"), |value| wording::decimal(lang, value, 0));
    lines.push(plain(&fit(
        &format!(" {}   {legend}", words.with("chart-now", &[("now", &now)])),
        area.width,
    )));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_zero_is_the_lowest_bar_and_no_data_is_a_dash() {
        let zero = column(Some(0.0), None, 8.0);
        assert_eq!((zero[0], zero[1]), (Dot::Part(0), Dot::Empty));
        let none = column(None, None, 8.0);
        assert_eq!((letter(none[0], false), letter(zero[0], false)), ('–', '▁'));
    }

    #[test]
    fn the_band_is_behind_the_bars() {
        let band = Baseline { median: 5.0, low: 4.0, high: 6.0, weeks: 26 };
        let dots = column(Some(0.0), Some(&band), 8.0);
        assert_eq!(dots, [Dot::Part(0), Dot::Empty, Dot::Band, Dot::Empty]);
        assert_eq!(column(Some(8.0), Some(&band), 8.0), [Dot::Full; ROWS]);
    }
}
