//! What a line means: class, activity, outcome, fixed values; and the cases that decide it by values.

use vonggac_daemon::settings::Table;
use vonggac_wire::event::{Class, Status};

use super::{
    expression::Expression,
    field::{Draft, Field, is_nothing},
};
use crate::format::Context;

/// What is said of a line; what is not said stays as it is.
#[derive(Debug, Default)]
pub(crate) struct Meaning {
    class: Option<Class>,
    activity: Option<u32>,
    status: Option<Status>,
    detail: String,
    severity: Option<u32>,
    set: Vec<(Field, String)>,
}

impl Meaning {
    pub(super) fn take(table: &mut Table<'_>) -> Self {
        let class = class(table);
        let status = table.text("status").and_then(|name| match name.as_str() {
            "success" => Some(Status::Success),
            "failure" => Some(Status::Failure),
            "unknown" => Some(Status::Unknown),
            _ => {
                table.wrong("status", format!("is {name:?}; wanted success, failure or unknown"));
                None
            }
        });
        let number = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
        let mut set = Vec::new();
        for (name, values) in table.pairs("set") {
            match (Field::from_name(&name), values.into_iter().next()) {
                (Some(field), Some(value)) => set.push((field, value)),
                _ => table.wrong("set", format!("{name:?} is no field")),
            }
        }
        Self {
            class,
            activity: number(table.integer("activity", 0, 99)),
            status,
            detail: table.text("detail").unwrap_or_default(),
            severity: number(table.integer("severity", 0, 6)),
            set,
        }
    }

    pub(super) fn apply(&self, draft: &mut Draft, context: &Context) {
        let activity = &mut draft.activity;
        if let Some(class) = self.class {
            activity.class_uid = class.uid();
        }
        if let Some(number) = self.activity {
            activity.activity_id = number;
        }
        if let Some(status) = self.status {
            activity.status_id = status.id();
        }
        if let Some(severity) = self.severity {
            activity.severity_id = severity;
        }
        if !self.detail.is_empty() {
            activity.status_detail.clone_from(&self.detail);
        }
        for (field, value) in &self.set {
            draft.put(field, value, context);
        }
    }
}

/// The class that a table names.
pub(super) fn class(table: &mut Table<'_>) -> Option<Class> {
    let name = table.text("class")?;
    let class = Class::ALL.iter().copied().find(|class| class.name() == name);
    if class.is_none() {
        let known: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
        table.wrong("class", format!("{name:?} is no class; known: {}", known.join(", ")));
    }
    class
}

/// A meaning that holds when all its expressions are found.
#[derive(Debug)]
pub(crate) struct Case {
    /// Field, group or key, and what its value must hold.
    when: Vec<(String, Expression)>,
    meaning: Meaning,
    /// Fields that are taken from other keys than usually: whose name a value is depends on what happened.
    take: Vec<(Field, Vec<String>)>,
}

impl Case {
    pub(super) fn take(table: &mut Table<'_>, check: bool) -> Self {
        let mut when = Vec::new();
        for (key, values) in table.pairs("when") {
            match values.into_iter().next().map(|text| Expression::new(text, Vec::new(), check)) {
                Some(Ok(expression)) => when.push((key, expression)),
                Some(Err(message)) => table.wrong("when", format!("{key}: {message}")),
                None => table.wrong("when", format!("{key}: is an empty list")),
            }
        }
        if when.is_empty() {
            table.wrong("when", "is missing; wanted at least one field with an expression");
        }
        let mut take = Vec::new();
        for (name, keys) in table.pairs("take") {
            match Field::from_name(&name) {
                Some(field) => take.push((field, keys)),
                None => table.wrong("take", format!("{name:?} is no field")),
            }
        }
        Self { when, meaning: Meaning::take(table), take }
    }

    fn holds(&self, draft: &Draft, groups: &[(&str, &str)]) -> bool {
        self.when.iter().all(|(key, expression)| {
            let group = groups.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
            match (group, Field::from_name(key)) {
                // Words for a severity are many; what they mean is compared.
                (_, Some(Field::Severity)) => expression.is_in(&draft.get(&Field::Severity)),
                (Some(value), _) => expression.is_in(value),
                (None, Some(field)) => expression.is_in(&draft.get(&field)),
                (None, None) => expression.is_in(""),
            }
        })
    }
}

/// Applies the first case that holds, and says whether one did.
pub(super) fn decide(
    cases: &[Case],
    draft: &mut Draft,
    groups: &[(&str, &str)],
    context: &Context,
) -> bool {
    let found = cases.iter().find(|case| case.holds(draft, groups));
    if let Some(case) = found {
        case.meaning.apply(draft, context);
        for (field, keys) in &case.take {
            let value = keys.iter().find_map(|key| {
                let (_, value) = groups.iter().find(|(name, _)| name == key)?;
                (!is_nothing(value)).then_some(*value)
            });
            match value {
                Some(value) => draft.put(field, value, context),
                None if *field == Field::User => draft.activity.user_name.clear(),
                None => {}
            }
        }
    }
    found.is_some()
}
