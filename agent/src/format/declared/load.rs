//! A format's file into a [`Format`], with all mistakes told at once.

use vonggac_daemon::settings::{Document, SettingsError, Table};

use super::{
    Case, Example, Expression, Field, Format, Meaning, Pattern, Shape, meaning, shape::End,
};

/// `check`: compile every expression now, to tell what is wrong with it; files of this program are checked by a test.
pub(super) fn format(document: &Document, check: bool) -> Result<Format, SettingsError> {
    document.finish(|table| {
        let name = table.text_required("name");
        let about = table.text_required("about");
        let source = table.text_required("source");
        let heads = expressions(table, "head", check);
        let mut map = Vec::new();
        for (name, keys) in table.pairs("map") {
            match Field::from_name(&name) {
                Some(field) => map.push((field, keys)),
                None => table.wrong("map", format!("{name:?} is no field; known: {}", Field::NAMES.join(", "))),
            }
        }
        let shapes = shapes(table, check);
        let patterns = table.tables("pattern", |table| pattern(table, check));
        let programs = table.texts("programs").unwrap_or_default();
        if programs.is_empty() && heads.is_empty() && shapes.is_empty() && !patterns.iter().any(|p| p.line) {
            table.wrong("programs", "is missing, and so are head, json, pairs, columns and a pattern with line = true: nothing would ever be read");
        }
        Format {
            name: leak(name),
            about: leak(about),
            source: leak(source),
            programs,
            rank: table.integer("rank", 0, 9).unwrap_or(5),
            heads,
            shapes,
            map,
            patterns,
            cases: table.tables("case", |table| Case::take(table, check)),
            doubt: doubt(table, check),
            guesses: table.bool("guess").unwrap_or(true),
            meaning: Meaning::take(table),
            fire: table.tables("example", example),
            quiet: table.tables("counterexample", example),
        }
    })
}

/// Names of formats live as long as the program: there are as many as files.
fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// What may be in a line once only.
fn doubt(table: &mut Table<'_>, check: bool) -> Option<Expression> {
    let text = table.text("doubt")?;
    match Expression::new(text, Vec::new(), check) {
        Ok(expression) => Some(expression),
        Err(message) => {
            table.wrong("doubt", message);
            None
        }
    }
}

/// A list of texts as expressions.
fn expressions(table: &mut Table<'_>, name: &'static str, check: bool) -> Vec<Expression> {
    let needs = table.texts("needs").unwrap_or_default();
    let mut all = Vec::new();
    for text in table.texts(name).unwrap_or_default() {
        match Expression::new(text, needs.clone(), check) {
            Ok(expression) => all.push(expression),
            Err(message) => table.wrong(name, message),
        }
    }
    all
}

fn pattern(table: &mut Table<'_>, check: bool) -> Pattern {
    let needs = table.texts("needs").unwrap_or_default();
    let text = table.text_required("text");
    let expression = Expression::new(text, needs, check).unwrap_or_else(|message| {
        table.wrong("text", message);
        Expression::nothing()
    });
    Pattern {
        text: expression,
        line: table.bool("line").unwrap_or(false),
        meaning: Meaning::take(table),
    }
}

fn lead(table: &mut Table<'_>, check: bool) -> Expression {
    let needs = table.texts("needs").unwrap_or_default();
    let text = table.text_required("lead");
    Expression::new(text, needs, check).unwrap_or_else(|message| {
        table.wrong("lead", message);
        Expression::nothing()
    })
}

/// The ways in which its lines name their values: a program may write JSON or pairs, as it is told to.
fn shapes(table: &mut Table<'_>, check: bool) -> Vec<Shape> {
    let mut found = table.tables("json", |table| {
        let has = table.texts_required("has");
        let mut like = Vec::new();
        for (key, texts) in table.pairs("like") {
            for text in texts {
                match Expression::new(text, Vec::new(), check) {
                    Ok(expression) => like.push((key.clone(), expression)),
                    Err(message) => table.wrong("like", message),
                }
            }
        }
        Shape::Json { has, like }
    });
    found.extend(table.tables("pairs", |table| {
        let lead = lead(table, check);
        let separator = table.text("separator").and_then(|text| text.chars().next());
        let end = match separator {
            Some(separator) => End::Separator(separator),
            None if table.bool("spaces").unwrap_or(false) => End::Key,
            None => End::Space,
        };
        Shape::Pairs { lead, end }
    }));
    found.extend(table.tables("columns", |table| {
        let lead = lead(table, check);
        let names = table.texts_required("names");
        let separator = table.text("separator").and_then(|text| text.chars().next());
        Shape::Columns { lead, separator: separator.unwrap_or(','), names }
    }));
    found
}

fn example(table: &mut Table<'_>) -> Example {
    let mut is = Vec::new();
    for (name, values) in table.pairs("is") {
        match (Field::from_name(&name), values.into_iter().next()) {
            (Some(field), Some(value)) => is.push((field, value)),
            _ => table.wrong("is", format!("{name:?} is no field")),
        }
    }
    Example {
        class: meaning::class(table),
        line: table.text_required("line"),
        program: table.text("program").unwrap_or_default(),
        is,
    }
}
