//! What lies over a screen: help, the menu, forms, the palette, what is new, sheets.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::Line,
    widgets::{Block, Clear, Paragraph, Widget},
};
use unicode_width::UnicodeWidthStr;
use vonggac_wire::Time;

use super::{Area, do_word, help, line, news, plain, typing, valid, window};
use crate::{
    app::{App, Form, Overlay, Palette, VERDICTS},
    keymap::Action,
    wording::{self, fit},
};

/// Columns of an overlay, with its frame.
const WIDE: u16 = 76;

/// Rows that a sheet takes at most, with its frame.
const HIGH: u16 = 22;

/// A frame's content: its title, its lines, what stands in the lower edge.
struct Sheet {
    title: String,
    lines: Vec<Line<'static>>,
    foot: String,
}

/// Draws what lies over the screen, if anything does.
pub(super) fn render(app: &App, area: Rect, buffer: &mut Buffer, now: Time) {
    let Some(overlay) = &app.overlay else { return };
    let inner = usize::from(WIDE.min(area.width)) - 4;
    let room = usize::from(HIGH.min(area.height)) - 2;
    let space = Area { width: inner, height: room, now };
    let words = &app.words;
    let sheet = match overlay {
        Overlay::Help(page) => Sheet {
            title: words.get("screen-help"),
            lines: help::page(app, *page).iter().map(|text| plain(&fit(text, inner))).collect(),
            foot: words.with(
                "help-foot",
                &[("page", &(page + 1).to_string()), ("pages", &help::pages(app).to_string())],
            ),
        },
        Overlay::Menu(at) => menu(app, *at, space),
        Overlay::Form(form) => self::form(app, form, space),
        Overlay::Palette(palette) => self::palette(app, palette, space),
        Overlay::News => Sheet {
            title: words.with("news-title", &[("time", &wording::since(app.seen, now))]),
            lines: news::lines(app, space),
            foot: words.get("news-foot"),
        },
        Overlay::Sheet { title, lines, from } => {
            let all = sheet_rows(lines, inner);
            let from = (*from).min(all.len().saturating_sub(room));
            let to = all.len().min(from + room);
            let foot = if all.len() > room {
                let values = [from + 1, to, all.len()].map(|number| number.to_string());
                words.with(
                    "sheet-foot-more",
                    &[("from", &values[0]), ("to", &values[1]), ("all", &values[2])],
                )
            } else {
                words.get("sheet-foot")
            };
            Sheet { title: title.clone(), lines: all[from..to].to_vec(), foot }
        }
    };
    frame(app, sheet, area, buffer);
}

/// Rows that a sheet has at most: more than anybody reads in a frame.
const SHEET_ROWS_MAX: usize = 2_000;

fn sheet_rows(lines: &[String], width: usize) -> Vec<Line<'static>> {
    lines.iter().flat_map(|text| wrapped(text, width)).take(SHEET_ROWS_MAX).collect()
}

/// The last row that a sheet can be read from.
pub(crate) fn sheet_last(app: &App, lines: &[String]) -> usize {
    let inner = usize::from(WIDE.min(app.size.0)).saturating_sub(4);
    let room = usize::from(HIGH.min(app.size.1)).saturating_sub(2);
    sheet_rows(lines, inner).len().saturating_sub(room)
}

fn frame(app: &App, sheet: Sheet, area: Rect, buffer: &mut Buffer) {
    let wide = WIDE.min(area.width);
    let rows = u16::try_from(sheet.lines.len()).unwrap_or(HIGH).saturating_add(2);
    let high = rows.min(HIGH).min(area.height);
    let place = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - high) / 2,
        width: wide,
        height: high,
    };
    // A wide letter cut in two by the frame would shift the line.
    let mut block = Block::bordered()
        .title(plain(&format!(
            " {} ",
            fit(&sheet.title, sheet.title.width().min(usize::from(wide) - 6))
        )))
        .title_bottom(plain(&format!(" {} ", sheet.foot)))
        .padding(ratatui::widgets::Padding::horizontal(1));
    if app.theme.ascii {
        block = block.border_set(ASCII);
    }
    Clear.render(place, buffer);
    Paragraph::new(sheet.lines).block(block).render(place, buffer);
}

const ASCII: ratatui::symbols::border::Set<'static> = ratatui::symbols::border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// A text as lines of this width, broken at blanks, and within a word only where it is longer than a line.
fn wrapped(text: &str, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let text = crate::sanitise::within(text, width * usize::from(HIGH));
    for word in text.split(' ') {
        let blank = usize::from(!line.trim().is_empty());
        if line.width() + blank + word.width() > width && !line.trim().is_empty() {
            lines.push(std::mem::replace(&mut line, "  ".to_owned()));
        }
        if !line.trim().is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.width() > width {
            let (mut cut, _) = wording::lines(&line, width, usize::from(HIGH));
            line = cut.pop().unwrap_or_default();
            lines.append(&mut cut);
        }
    }
    lines.push(line);
    lines.iter().map(|text| plain(&fit(text, width))).collect()
}

fn menu(app: &App, at: usize, area: Area) -> Sheet {
    let actions = valid(app);
    let at = at.min(actions.len().saturating_sub(1));
    let lines = window(at, actions.len(), area.height)
        .map(|row| {
            let action = actions[row];
            let key = fit(&app.keymap().label(action), 7);
            let text = fit(&format!("{key} {}", app.words.get(&do_word(action))), area.width - 2);
            let (mark, style) = if row == at {
                (app.theme.cursor(), app.theme.selected())
            } else {
                (" ", ratatui::style::Style::new())
            };
            line(vec![(format!("{mark} {text}"), style)])
        })
        .collect();
    Sheet { title: app.words.get("menu-title"), lines, foot: app.words.get("menu-foot") }
}

/// What the form is about: its action, and the incident or how many.
fn form_title(app: &App, form: &Form) -> String {
    let action = app.words.get(&do_word(form.action));
    match form.ids.as_slice() {
        [] => action,
        [id] => {
            let title = app
                .model
                .incidents
                .get(id)
                .map_or("", |incident| app.words.pick(&incident.title_vi, &incident.title_en));
            format!("{action} #{id} {title}")
        }
        many => {
            let count = many.len().to_string();
            format!("{action}: {}", app.words.with("ask-many", &[("count", &count)]))
        }
    }
}

fn form(app: &App, form: &Form, area: Area) -> Sheet {
    let words = &app.words;
    let mut lines = Vec::new();
    let label = form
        .fields
        .iter()
        .map(|field| words.get(&format!("field-{}", field.id)).width())
        .max()
        .unwrap_or(0);
    for (at, field) in form.fields.iter().enumerate() {
        let name = fit(&words.get(&format!("field-{}", field.id)), label);
        let star = if field.required { "*" } else { " " };
        let here = at == form.at;
        let head = format!("{name} {star} ");
        let text = if here {
            typing(&head, &field.text, area.width)
        } else {
            format!("{head}{}", field.text)
        };
        let style = if here { app.theme.selected() } else { ratatui::style::Style::new() };
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    lines.push(Line::default());
    if let Some(field) = form.fields.get(form.at) {
        let hint = if field.id == "verdict" {
            verdicts(app)
        } else {
            words.get(&format!("hint-{}", field.id))
        };
        lines.extend(wrapped(&hint, area.width));
    }
    if form.fields.is_empty() {
        lines.push(plain(&fit(&words.get("form-sure"), area.width)));
    }
    for text in [&form.moved, &form.wrong] {
        if !text.is_empty() {
            lines.push(line(vec![(fit(text, area.width), app.theme.loud())]));
        }
    }
    Sheet { title: form_title(app, form), lines, foot: words.get("form-foot") }
}

/// `f báo sai  t đúng ...`
fn verdicts(app: &App) -> String {
    let each = VERDICTS.map(|(letter, verdict)| {
        format!("{letter} {}", app.words.get(&format!("judged-{}", verdict.name())))
    });
    each.join("  ")
}

fn palette(app: &App, palette: &Palette, area: Area) -> Sheet {
    let shown = app.suggestions(&palette.text);
    let mut lines = vec![
        line(vec![(
            fit(&typing(":", &palette.text, area.width), area.width),
            app.theme.selected(),
        )]),
        Line::default(),
    ];
    let columns = shown.iter().map(|one| one.line.width()).max().unwrap_or(0).min(28);
    for (at, one) in shown.iter().enumerate() {
        let mark = if palette.at == Some(at) { app.theme.cursor() } else { " " };
        let text =
            format!("{mark} {}  {}  {}", fit(&one.line, columns), fit(&one.about, 22), one.does);
        let style = if palette.at == Some(at) {
            app.theme.selected()
        } else {
            ratatui::style::Style::new()
        };
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    if shown.is_empty() && !palette.text.is_empty() {
        lines.push(plain(&app.words.with("told-unknown", &[("text", &palette.text)])));
    }
    Sheet {
        title: app.words.get(&do_word(Action::Command)),
        lines,
        foot: app.words.get("palette-foot"),
    }
}
