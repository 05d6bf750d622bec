//! Each table of a statement as the rows of it that are reached.
//!
//! Names that come out of here carry a tag that is made anew for each statement: no name of the statement's own can stand in their way,
//! and a condition's columns are its table's whatever the statement calls by their names.

use std::{collections::BTreeSet, ops::ControlFlow};

use sqlparser::{
    ast::{
        Ident, Join, JoinOperator, ObjectName, Query, Select, SetExpr, Statement, TableAlias,
        TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
    },
    dialect::ClickHouseDialect,
    parser::Parser,
};

use super::{OF_AGENCIES, Rights, forbidden, guard, parse};
use crate::{
    store::StoreError,
    trust::scope::{beginning, ending},
};

/// Table functions that make numbers of nothing.
const TABLE_FUNCTIONS: [&str; 2] = ["numbers", "zeros"];

/// The database's name in statements, whatever it is called.
const DATABASE: &str = "vonggac";

/// Where a statement is going to be carried out.
pub(super) struct Place<'a> {
    pub(super) rights: &'a Rights,
    pub(super) database: &'a str,
    pub(super) tag: &'a str,
}

/// The tables that there are for somebody.
pub(super) fn shown(rights: &Rights) -> String {
    let names: Vec<String> = rights.tables().into_iter().map(|name| format!("'{name}'")).collect();
    format!("SELECT arrayJoin([{}]) AS name", names.join(", "))
}

/// The columns of a table.
pub(super) fn described(name: &ObjectName, place: &Place<'_>) -> Result<String, StoreError> {
    Ok(format!("DESCRIBE TABLE {}", place.table(name).map_err(forbidden)?.1))
}

/// A query that is confined to what is reached.
pub(super) fn query(query: &mut Query, place: &Place<'_>) -> Result<String, StoreError> {
    let mut ctes = Ctes::default();
    let _all: ControlFlow<()> = Visit::visit(&*query, &mut ctes);
    guard::look_through(query).map_err(forbidden)?;
    let mut rewriter = Rewriter { place, ctes: ctes.0, arrays: BTreeSet::new() };
    if let ControlFlow::Break(reason) = VisitMut::visit(query, &mut rewriter) {
        return Err(forbidden(reason));
    }
    let text = query.to_string();
    // The engine in a process adds the limits to what begins so.
    if !(text.starts_with("SELECT ") || text.starts_with("WITH ")) {
        return Err(forbidden("a query has to begin with SELECT or WITH"));
    }
    rewriter.look_again(&text)?;
    Ok(text)
}

/// Names of queries that stand before a query.
#[derive(Default)]
struct Ctes(BTreeSet<String>);

impl Visitor for Ctes {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let all = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(all.map(|cte| cte.alias.name.value.clone()));
        ControlFlow::Continue(())
    }
}

impl Place<'_> {
    /// A table that may be read, with where it is.
    fn table(&self, name: &ObjectName) -> Result<(&'static str, String), String> {
        let parts: Option<Vec<&str>> =
            name.0.iter().map(|part| part.as_ident().map(|ident| ident.value.as_str())).collect();
        let plain = match parts.as_deref() {
            Some([table]) => *table,
            Some([database, table]) if *database == DATABASE || *database == self.database => table,
            Some([database, _]) => return Err(format!("the database {database} may not be read")),
            _ => return Err(format!("{name} is no table's name")),
        };
        let known = self.rights.tables().into_iter().find(|table| *table == plain);
        let known = known.ok_or_else(|| {
            format!("there is no table {plain}; SHOW TABLES tells which there are")
        })?;
        Ok((known, format!("{}.{known}", Ident::with_quote('`', self.database))))
    }

    /// What holds for a reached row; `None`: for every one.
    fn condition(&self, row: &str) -> Option<String> {
        let agencies = self.rights.agencies.as_ref()?;
        if agencies.is_empty() {
            return Some("0".into());
        }
        let names: Vec<String> = agencies.iter().map(|agency| guard::quoted(agency)).collect();
        let mut parts = vec![format!("{row}.agency IN ({})", names.join(", "))];
        for agency in agencies {
            let (begin, end) = (guard::quoted(&beginning(agency)), guard::quoted(&ending(agency)));
            parts.push(format!(
                "startsWith({row}.agency, {begin}) OR endsWith({row}.agency, {end})"
            ));
        }
        Some(parts.join(" OR "))
    }

    /// The rows of a table that are reached, as what is read from.
    fn rows(
        &self,
        name: &ObjectName,
        alias: &Ident,
        is_final: bool,
    ) -> Result<TableFactor, String> {
        let (table, place) = self.table(name)?;
        // FINAL has no place in the parser's tree: what is made here is put in as it is.
        let last = if is_final { self.last() } else { String::new() };
        let row = format!("row_{}", self.tag);
        let Some(condition) = self.condition(&row) else {
            let alias = Ident::new(format!("{alias}{last}"));
            return table_of(ObjectName::from(vec![Ident::new(place)]), alias);
        };
        let more =
            OF_AGENCIES.iter().find(|(known, _)| *known == table).map_or("", |(_, more)| more);
        let text = format!("(SELECT *{more} FROM {place} AS {row}{last} WHERE ({condition}))");
        table_of(ObjectName::from(vec![Ident::new(text)]), alias.clone())
    }

    /// FINAL, with a mark by which it is known again.
    fn last(&self) -> String {
        format!(" FINAL /*{}*/", self.tag)
    }
}

/// A plain table under a name.
fn table_of(name: ObjectName, alias: Ident) -> Result<TableFactor, String> {
    let made = Parser::new(&ClickHouseDialect {})
        .try_with_sql("t")
        .and_then(|mut parser| parser.parse_table_factor())
        .map_err(|error| error.to_string())?;
    match made {
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
        } => Ok(TableFactor::Table {
            name,
            alias: Some(alias_of(alias)),
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_directives,
            inheritance,
        }),
        _ => Err("the parser has another idea of a table".into()),
    }
}

struct Rewriter<'a> {
    place: &'a Place<'a>,
    ctes: BTreeSet<String>,
    /// What arrays are joined: columns, which the parser takes for tables.
    arrays: BTreeSet<String>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = String;

    /// Behind all that is in it, so that what is put in is not visited again.
    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        let tag = self.place.tag;
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if cte.from.is_some() {
                return ControlFlow::Break("a query's name comes before it".into());
            }
            cte.alias.name = cte_name(tag, &cte.alias.name.value);
        }
        match self.body(&mut query.body) {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => ControlFlow::Break(reason),
        }
    }
}

fn cte_name(tag: &str, name: &str) -> Ident {
    Ident::with_quote('`', format!("cte_{tag}_{name}"))
}

impl Rewriter<'_> {
    fn body(&mut self, expression: &mut SetExpr) -> Result<(), String> {
        match expression {
            SetExpr::Select(select) => self.select(select),
            // Visited by itself.
            SetExpr::Query(_) => Ok(()),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left)?;
                self.body(right)
            }
            other => Err(format!("{other} may not be asked")),
        }
    }

    fn select(&mut self, select: &mut Select) -> Result<(), String> {
        for table in &mut select.from {
            self.joined(table)?;
        }
        // A query has no columns to be read before others.
        if let Some(first) = select.prewhere.take() {
            select.selection = Some(match select.selection.take() {
                None => first,
                Some(rest) => sqlparser::ast::Expr::BinaryOp {
                    left: Box::new(sqlparser::ast::Expr::Nested(Box::new(first))),
                    op: sqlparser::ast::BinaryOperator::And,
                    right: Box::new(sqlparser::ast::Expr::Nested(Box::new(rest))),
                },
            });
        }
        Ok(())
    }

    fn joined(&mut self, table: &mut TableWithJoins) -> Result<(), String> {
        self.factor(&mut table.relation)?;
        for Join { relation, join_operator, .. } in &mut table.joins {
            match join_operator {
                JoinOperator::ArrayJoin
                | JoinOperator::LeftArrayJoin
                | JoinOperator::InnerArrayJoin => self.array(relation)?,
                _ => self.factor(relation)?,
            }
        }
        Ok(())
    }

    /// What arrays are joined is a column, or made by a function.
    fn array(&mut self, relation: &TableFactor) -> Result<(), String> {
        let TableFactor::Table { name, args, .. } = relation else {
            return Err("ARRAY JOIN wants a column or a function".into());
        };
        if args.is_some() && !guard::is_function(&name.to_string()) {
            return Err(format!("the function {name} may not be used"));
        }
        self.arrays.insert(name.to_string());
        Ok(())
    }

    fn factor(&self, factor: &mut TableFactor) -> Result<(), String> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } => {
                let plain = name.to_string();
                if TABLE_FUNCTIONS.contains(&plain.as_str()) {
                    Ok(())
                } else {
                    Err(format!("the table function {plain} may not be used"))
                }
            }
            TableFactor::Table { name, alias, args: None, .. } => {
                let (alias, is_final) = final_of(alias.take());
                let own = name.0.last().and_then(|part| part.as_ident()).cloned();
                let own = own.ok_or_else(|| format!("{name} is no table's name"))?;
                let is_cte = name.0.len() == 1 && self.ctes.contains(&own.value);
                let shown = match alias {
                    Some(alias) if alias.columns.is_empty() && alias.at.is_none() => alias.name,
                    Some(alias) => return Err(format!("{alias} may not name columns")),
                    None => own.clone(),
                };
                *factor = if is_cte {
                    let cte = cte_name(self.place.tag, &own.value);
                    table_of(ObjectName::from(vec![cte]), shown)?
                } else {
                    self.place.rows(name, &shown, is_final)?
                };
                Ok(())
            }
            TableFactor::Derived { .. } => Ok(()),
            TableFactor::NestedJoin { table_with_joins, .. } => {
                let mut inner = Rewriter {
                    place: self.place,
                    ctes: self.ctes.clone(),
                    arrays: BTreeSet::new(),
                };
                inner.joined(table_with_joins)?;
                if inner.arrays.is_empty() {
                    Ok(())
                } else {
                    Err("ARRAY JOIN may not stand in brackets".into())
                }
            }
            other => Err(format!("{other} may not be read from")),
        }
    }

    /// What comes out, as a parser reads it: every table in it has to be one that was put there.
    fn look_again(&self, text: &str) -> Result<(), StoreError> {
        let statements = parse(&text.replace(&self.place.last(), ""))?;
        let [Statement::Query(query)] = statements.as_slice() else {
            return Err(forbidden("it does not read back as one query"));
        };
        let mut again = Again { rewriter: self };
        match Visit::visit(&**query, &mut again) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(reason) => Err(forbidden(reason)),
        }
    }
}

fn alias_of(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: Vec::new(), at: None }
}

/// FINAL is no table's name, though the parser takes it for one.
fn final_of(alias: Option<TableAlias>) -> (Option<TableAlias>, bool) {
    let is_final = alias.as_ref().is_some_and(|alias| {
        alias.name.quote_style.is_none() && alias.name.value.eq_ignore_ascii_case("final")
    });
    if is_final { (None, true) } else { (alias, false) }
}

/// Looks at what was made.
struct Again<'a> {
    rewriter: &'a Rewriter<'a>,
}

impl Visitor for Again<'_> {
    type Break = String;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<String> {
        let place = self.rewriter.place;
        let TableFactor::Table { name, alias, args, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let word = name.to_string();
        let is_row =
            alias.as_ref().is_some_and(|alias| alias.name.value == format!("row_{}", place.tag));
        let is_cte = word.starts_with(&format!("`cte_{}_", place.tag));
        let is_numbers = args.is_some() && TABLE_FUNCTIONS.contains(&word.as_str());
        let is_known = (is_row || place.rights.agencies.is_none()) && place.table(name).is_ok();
        if is_known || is_cte || is_numbers || self.rewriter.arrays.contains(&word) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(format!("{word} may not be read"))
        }
    }
}
