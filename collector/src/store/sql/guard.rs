//! Every part of a statement, held against lists of what is known to be harmless. What is not in a list is refused by name.

use std::{collections::HashSet, ops::ControlFlow, sync::LazyLock};

use sqlparser::ast::{
    DataType, Expr, FunctionArguments, Ident, InTarget, Query, Select, SelectFlavor, SelectItem,
    SetExpr, TableFactor, Value, ValueWithSpan, VisitMut as _, VisitorMut,
};

/// Functions that compute from their arguments alone: none reads files, settings, other tables or the environment. In small letters.
static FUNCTIONS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("functions.txt").lines().collect());

/// Endings of an aggregate's name that change how it is applied.
const COMBINATORS: [&str; 10] = [
    "if",
    "array",
    "map",
    "state",
    "merge",
    "foreach",
    "distinct",
    "ordefault",
    "ornull",
    "simplestate",
];

/// Words that the engine takes for the beginning of its own clauses where they stand bare.
const WORDS: [&str; 2] = ["settings", "format"];

/// Whether a function may be called.
pub(super) fn is_function(name: &str) -> bool {
    let mut name = name.to_ascii_lowercase();
    // Combinators stand behind one another: uniqCombinedIfMerge.
    for _ in 0..4 {
        if FUNCTIONS.contains(name.as_str()) {
            return true;
        }
        let Some(rest) = COMBINATORS.iter().find_map(|ending| name.strip_suffix(ending)) else {
            return false;
        };
        name = rest.to_owned();
    }
    FUNCTIONS.contains(name.as_str())
}

/// Looks through a query, and makes its literals ones that the engine reads as they were meant.
///
/// # Errors
/// What is not known in it.
pub(super) fn look_through(query: &mut Query) -> Result<(), String> {
    match query.visit(&mut Guard) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(reason) => Err(reason),
    }
}

struct Guard;

fn refuse(reason: impl Into<String>) -> ControlFlow<String> {
    ControlFlow::Break(reason.into())
}

/// Refuses what is there, by its words.
fn none_of(parts: &[(bool, &str)]) -> ControlFlow<String> {
    match parts.iter().find(|(is_there, _)| *is_there) {
        Some((_, words)) => refuse(format!("{words} may not be used")),
        None => ControlFlow::Continue(()),
    }
}

impl VisitorMut for Guard {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        if query.settings.is_some() {
            return refuse("SETTINGS may not be given: the limits are the centre's");
        }
        if query.format_clause.is_some() {
            return refuse("FORMAT may not be given: --format says the form");
        }
        none_of(&[
            (query.with.as_ref().is_some_and(|with| with.recursive), "WITH RECURSIVE"),
            (query.fetch.is_some(), "FETCH"),
            (!query.locks.is_empty(), "locks"),
            (query.for_clause.is_some(), "FOR"),
            (!query.pipe_operators.is_empty(), "pipes"),
        ])?;
        body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        selected(select)
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        match factor {
            TableFactor::Table {
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_directives,
                inheritance,
                ..
            } => none_of(&[
                (args.as_ref().is_some_and(|args| args.settings.is_some()), "SETTINGS of a table"),
                (!with_hints.is_empty(), "hints"),
                (version.is_some(), "versions of a table"),
                (*with_ordinality, "WITH ORDINALITY"),
                (!partitions.is_empty(), "PARTITION"),
                (json_path.is_some(), "paths into a table"),
                (sample.is_some(), "SAMPLE"),
                (!index_directives.is_empty(), "hints of an index"),
                (inheritance.is_some(), "ONLY"),
            ]),
            TableFactor::Derived { lateral, sample, .. } => {
                none_of(&[(*lateral, "LATERAL"), (sample.is_some(), "SAMPLE")])
            }
            TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            other => refuse(format!("{other} may not be read from")),
        }
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<String> {
        expressed(expression)
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<String> {
        match &value.value {
            Value::SingleQuotedString(text) => {
                // As the engine reads it: printed by the parser's own rules a backslash would leave its quotes.
                value.value = Value::Placeholder(quoted(text));
                ControlFlow::Continue(())
            }
            Value::Number(..) | Value::Boolean(_) | Value::Null => ControlFlow::Continue(()),
            other => refuse(format!("{other} is no value that may be given")),
        }
    }

    fn pre_visit_ident(&mut self, ident: &mut Ident) -> ControlFlow<String> {
        named(ident)
    }
}

/// A text in quotes, with nothing in it that ends them.
pub(super) fn quoted(text: &str) -> String {
    let mut all = String::with_capacity(text.len() + 2);
    all.push('\'');
    for character in text.chars() {
        match character {
            '\'' | '\\' => all.extend(['\\', character]),
            '\0' => all.push_str("\\0"),
            other => all.push(other),
        }
    }
    all.push('\'');
    all
}

fn named(ident: &mut Ident) -> ControlFlow<String> {
    if ident.quote_style.is_none()
        && WORDS.iter().any(|known| ident.value.eq_ignore_ascii_case(known))
    {
        // A column of events has such a name: in quotes it is a name and nothing else.
        ident.quote_style = Some('`');
    }
    let word = ident.value.as_str();
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let fits = match ident.quote_style {
        None => !word.is_empty() && word.chars().all(plain),
        Some('`' | '"') => {
            !word.is_empty()
                && word.chars().all(|c| !c.is_control() && !matches!(c, '`' | '"' | '\'' | '\\'))
        }
        Some(_) => false,
    };
    if fits { ControlFlow::Continue(()) } else { refuse(format!("{word:?} is no name")) }
}

fn body(expression: &SetExpr) -> ControlFlow<String> {
    match expression {
        SetExpr::Select(_) | SetExpr::Query(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            body(left)?;
            body(right)
        }
        other => refuse(format!("{other} may not be asked")),
    }
}

fn selected(select: &Select) -> ControlFlow<String> {
    none_of(&[
        (select.into.is_some(), "INTO"),
        (select.top.is_some(), "TOP"),
        (select.exclude.is_some(), "EXCLUDE"),
        (select.select_modifiers.is_some(), "modifiers of SELECT"),
        (!select.optimizer_hints.is_empty(), "hints"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (select.value_table_mode.is_some(), "AS STRUCT"),
        (!matches!(select.flavor, SelectFlavor::Standard), "FROM before SELECT"),
    ])?;
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expression)
            | SelectItem::ExprWithAlias { expr: expression, .. } => {
                // A name for a lambda is a function, and could take the place of one that conditions are made of.
                if matches!(bare(expression), Expr::Lambda(_)) {
                    return refuse("a function of one's own may not have a name");
                }
            }
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                none_of(&[
                    (options.opt_ilike.is_some(), "ILIKE of columns"),
                    (options.opt_exclude.is_some(), "EXCLUDE"),
                    (options.opt_rename.is_some(), "RENAME"),
                    (options.opt_alias.is_some(), "a name of all columns"),
                ])?;
            }
            SelectItem::ExprWithAliases { .. } => {
                return refuse("several names of one column may not be used");
            }
        }
    }
    ControlFlow::Continue(())
}

/// Without brackets around it.
fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Nested(inner) => bare(inner),
        Expr::Tuple(all) if all.len() == 1 => all.first().map_or(expression, bare),
        other => other,
    }
}

fn expressed(expression: &Expr) -> ControlFlow<String> {
    match expression {
        Expr::Function(function) => {
            let name = match function.name.0.as_slice() {
                [part] => part.as_ident().map(|ident| ident.value.clone()).unwrap_or_default(),
                _ => String::new(),
            };
            if !is_function(&name) {
                let shown = function.name.to_string();
                return refuse(format!("the function {shown} may not be used"));
            }
            none_of(&[
                (function.uses_odbc_syntax, "ODBC's form of a function"),
                (matches!(function.args, FunctionArguments::None), "a function without brackets"),
                (!function.within_group.is_empty(), "WITHIN GROUP"),
            ])
        }
        Expr::In { target, .. } => within(target),
        Expr::Cast { data_type, .. } => typed(data_type),
        Expr::TypedString(typed_string) => typed(&typed_string.data_type),
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::CompoundFieldAccess { .. }
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::Between { .. }
        | Expr::BinaryOp { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::UnaryOp { .. }
        | Expr::Extract { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Position { .. }
        | Expr::Substring { .. }
        | Expr::Trim { .. }
        | Expr::Nested(_)
        | Expr::Value(_)
        | Expr::Case { .. }
        | Expr::Exists { .. }
        | Expr::Subquery(_)
        | Expr::Tuple(_)
        | Expr::Array(_)
        | Expr::Interval(_)
        | Expr::Lambda(_)
        | Expr::Wildcard(_)
        | Expr::QualifiedWildcard(..) => ControlFlow::Continue(()),
        other => refuse(format!("{other} may not be used")),
    }
}

/// A name alone behind IN is a table to the engine, also in brackets.
fn within(target: &InTarget) -> ControlFlow<String> {
    match target {
        InTarget::Subquery(_) => ControlFlow::Continue(()),
        InTarget::List(all) => match all.as_slice() {
            [one] if matches!(bare(one), Expr::Identifier(_) | Expr::CompoundIdentifier(_)) => {
                refuse("IN wants values or a query, no name")
            }
            _ => ControlFlow::Continue(()),
        },
        InTarget::Unnest(_) | InTarget::Table { .. } => {
            refuse("IN wants values or a query in brackets")
        }
    }
}

/// A type without texts in it, and times with their zone.
fn typed(data_type: &DataType) -> ControlFlow<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "_(), ".contains(c);
    let zone =
        |text: &String| text.chars().all(|c| c.is_ascii_alphanumeric() || "_/+-".contains(c));
    let fits = match data_type {
        DataType::Datetime64(_, Some(text)) => zone(text),
        other => other.to_string().chars().all(word),
    };
    if fits {
        ControlFlow::Continue(())
    } else {
        refuse(format!("the type {data_type} may not be used"))
    }
}
