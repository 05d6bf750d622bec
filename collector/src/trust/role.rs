//! Who is what: the person that a certificate names, and the role that the centre gives them.
//!
//! ```toml
//! [[person]]
//! name = "nguyen.van.a"            # as the certificate has it
//! role = "agency-operator"
//! agencies = ["H49"]               # and those under them: H49.12, 000.00.15.H49
//!
//! [[person]]
//! name = "tran.thi.b"
//! role = "observer"
//! agencies = ["*"]                 # the nation
//!
//! [[person]]
//! name = "le.van.c"
//! role = "administrator"
//! break_glass = ["confirm"]        # confirms what others ask for, asks for nothing; unsaid: as the role
//! exports_alone = true             # takes rows away without a second person: whoever has the machine has them anyway
//! ```
//!
//! Whoever is not in it may do nothing. The file is [read anew](watch) when it changes.

use std::{collections::HashMap, path::Path};

use vonggac_daemon::settings::{Document, SettingsError, Table};
use vonggac_wire::{AgencyId, id::AgentId};

use super::scope::Scope;
use crate::allowance;

pub mod watch;

/// People of one file: all operators of a nation's agencies, many times over.
pub const PEOPLE_MAX: usize = 20_000;

/// Agencies of one person: each is a condition in every query.
pub const AGENCIES_MAX: usize = 64;

/// The nation, where agencies are named.
const NATION: &str = "*";

/// What a person is to the centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sees and does everything, the audit log and certificates with it.
    Administrator,
    /// Watches the nation and acts on every incident.
    NationalOperator,
    /// The same for named agencies and those under them.
    AgencyOperator,
    /// Works on the cases that were assigned to them.
    Responder,
    /// Looks alone.
    Observer,
    /// Reads what was done: the audit log and the books, no lines.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Administrator,
        Self::NationalOperator,
        Self::AgencyOperator,
        Self::Responder,
        Self::Observer,
        Self::Auditor,
    ];

    /// The word in files, refusals and the audit log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::NationalOperator => "national-operator",
            Self::AgencyOperator => "agency-operator",
            Self::Responder => "responder",
            Self::Observer => "observer",
            Self::Auditor => "auditor",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whose share of the store it uses.
    #[must_use]
    pub const fn allowance(self) -> allowance::Role {
        match self {
            Self::Observer | Self::Auditor => allowance::Role::Observer,
            _ => allowance::Role::Operator,
        }
    }

    /// Whether it asks for what wants two persons, and confirms it.
    const fn is_of_two(self) -> bool {
        matches!(self, Self::Administrator | Self::NationalOperator | Self::AgencyOperator)
    }

    /// Whether agencies have to be named with it.
    const fn is_of_agencies(self) -> bool {
        matches!(self, Self::AgencyOperator | Self::Observer)
    }
}

/// What somebody may do where two persons are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Asks for a break-glass.
    pub asks: bool,
    /// Confirms what another one asked for.
    pub confirms: bool,
    /// Takes rows away without any.
    pub exports_alone: bool,
}

/// What one person may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// As what.
    pub role: Role,
    /// Of what.
    pub scope: Scope,
    /// And where two are asked for.
    pub duty: Duty,
}

impl Grant {
    /// Of a role, with the duty that is usual for it.
    #[must_use]
    pub const fn new(role: Role, scope: Scope) -> Self {
        let usual = role.is_of_two();
        let duty = Duty { asks: usual, confirms: usual, exports_alone: false };
        Self { role, scope, duty }
    }
}

/// All people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleBook {
    people: HashMap<String, Grant>,
}

impl RoleBook {
    /// Reads a file.
    ///
    /// # Errors
    /// All its mistakes.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        Document::read(file)?.finish(Self::take)
    }

    /// The same of a text that was read.
    ///
    /// # Errors
    /// All its mistakes.
    pub fn from_text(file: &Path, text: String) -> Result<Self, SettingsError> {
        Document::from_text(file, text).finish(Self::take)
    }

    fn take(root: &mut Table<'_>) -> Self {
        let mut people = HashMap::new();
        let all = root.tables("person", person);
        if all.len() > PEOPLE_MAX {
            root.wrong(
                "person",
                format!("names {} people, at most {PEOPLE_MAX} are allowed", all.len()),
            );
        }
        let mut twice = Vec::new();
        for (name, grant) in all.into_iter().flatten() {
            if people.insert(name.clone(), grant).is_some() {
                twice.push(name);
            }
        }
        for name in twice {
            root.wrong("person", format!("names {name:?} twice: a person has one role"));
        }
        Self { people }
    }

    /// What a person may reach; `None`: nothing.
    #[must_use]
    pub fn of(&self, person: &str) -> Option<&Grant> {
        self.people.get(person)
    }

    /// How many people there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody may do anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }
}

fn person(table: &mut Table<'_>) -> Option<(String, Grant)> {
    let name = table.text_required("name");
    if let Err(error) = AgentId::new(&name) {
        table.wrong("name", format!("is {name:?}: {error}"));
    }
    let wanted = Role::ALL.map(Role::name).join(", ");
    let word = table.text_required("role");
    let role = Role::from_name(&word);
    if role.is_none() && !word.is_empty() {
        table.wrong("role", format!("is {word:?}; wanted one of {wanted}"));
    }
    let agencies = table.texts("agencies");
    let parts = table.texts("break_glass");
    let alone = table.bool("exports_alone");
    let role = role?;
    let duty = duty(table, role, parts.as_deref(), alone.unwrap_or(false));
    let scope = match agencies {
        None if role.is_of_agencies() => {
            table.wrong("agencies", format!("is missing: for {} it says of which", role.name()));
            return None;
        }
        None => None,
        Some(_) if !role.is_of_agencies() => {
            table.wrong("agencies", format!("has no meaning for {}; leave it out", role.name()));
            return None;
        }
        Some(agencies) => Some(of_agencies(table, role, agencies)?),
    };
    let scope = match (role, scope) {
        (_, Some(scope)) => scope,
        (Role::Responder, None) => Scope::Cases(name.clone()),
        _ => Scope::Nation,
    };
    Some((name, Grant { role, scope, duty: duty? }))
}

fn duty(
    table: &mut Table<'_>,
    role: Role,
    parts: Option<&[String]>,
    exports_alone: bool,
) -> Option<Duty> {
    let usual = Grant::new(role, Scope::Nation).duty;
    let of_nation = matches!(role, Role::Administrator | Role::NationalOperator);
    let without_meaning = match (parts.is_some() && !role.is_of_two(), exports_alone && !of_nation)
    {
        (true, _) => Some("break_glass"),
        (_, true) => Some("exports_alone"),
        _ => None,
    };
    if let Some(key) = without_meaning {
        table.wrong(key, format!("has no meaning for {}; leave it out", role.name()));
        return None;
    }
    let Some(parts) = parts else { return Some(Duty { exports_alone, ..usual }) };
    if let Some(other) = parts.iter().find(|part| !["request", "confirm"].contains(&&***part)) {
        table.wrong(
            "break_glass",
            format!("names {other:?}; wanted are \"request\" and \"confirm\""),
        );
        return None;
    }
    let has = |word: &str| parts.iter().any(|part| part == word);
    Some(Duty { asks: has("request"), confirms: has("confirm"), exports_alone })
}

fn of_agencies(table: &mut Table<'_>, role: Role, agencies: Vec<String>) -> Option<Scope> {
    if agencies == [NATION] && role == Role::Observer {
        return Some(Scope::Nation);
    }
    if agencies.is_empty() || agencies.len() > AGENCIES_MAX {
        table.wrong("agencies", format!("names {}; wanted 1 to {AGENCIES_MAX}", agencies.len()));
        return None;
    }
    let mut all = Vec::with_capacity(agencies.len());
    for code in agencies {
        match AgencyId::folded(&code) {
            Ok(agency) => all.push(agency.to_string()),
            Err(error) => {
                table.wrong("agencies", error.to_string());
                return None;
            }
        }
    }
    Some(Scope::Agencies(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RoleBook, String> {
        RoleBook::from_text(Path::new("roles.toml"), text.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_person_has_the_role_that_the_file_says_and_nobody_else_has_one() {
        let book = read(
            "[[person]]\nname = \"a\"\nrole = \"agency-operator\"\nagencies = [\"000.00.00.H49\", \"tk-48\"]\n\
             [[person]]\nname = \"b\"\nrole = \"observer\"\nagencies = [\"*\"]\n\
             [[person]]\nname = \"c\"\nrole = \"responder\"\n\
             [[person]]\nname = \"d\"\nrole = \"auditor\"\n",
        )
        .unwrap();
        let scope = |name: &str| book.of(name).map(|grant| grant.scope.clone());
        assert_eq!(scope("a"), Some(Scope::Agencies(vec!["H49".into(), "tk-48".into()])));
        assert_eq!(scope("b"), Some(Scope::Nation));
        assert_eq!(scope("c"), Some(Scope::Cases("c".into())));
        assert_eq!(book.of("d").map(|grant| grant.role), Some(Role::Auditor));
        assert_eq!((scope("A"), scope("")), (None, None));
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn who_asks_and_who_confirms_is_the_roles_or_the_persons_own() {
        let book = read(
            "[[person]]\nname = \"a\"\nrole = \"national-operator\"\n\
             [[person]]\nname = \"b\"\nrole = \"administrator\"\nbreak_glass = [\"confirm\"]\nexports_alone = true\n\
             [[person]]\nname = \"c\"\nrole = \"auditor\"\n",
        )
        .unwrap();
        let duty = |name: &str| {
            let duty = book.of(name).unwrap().duty;
            (duty.asks, duty.confirms, duty.exports_alone)
        };
        assert_eq!(duty("a"), (true, true, false));
        assert_eq!(duty("b"), (false, true, true));
        assert_eq!(duty("c"), (false, false, false));
        let of = |role: &str, more: &str| {
            read(&format!("[[person]]\nname = \"a\"\nrole = \"{role}\"\n{more}\n")).unwrap_err()
        };
        assert!(of("auditor", "break_glass = [\"confirm\"]").contains("no meaning"));
        assert!(of("responder", "exports_alone = true").contains("no meaning"));
        let agency = "agencies = [\"H49\"]\nexports_alone = true";
        assert!(of("agency-operator", agency).contains("no meaning"));
        assert!(of("administrator", "break_glass = [\"all\"]").contains("confirm"));
    }

    #[test]
    fn every_mistake_of_the_file_is_told() {
        let wrong = read(
            "[[person]]\nname = \"a b\"\nrole = \"king\"\n\
             [[person]]\nname = \"c\"\nrole = \"agency-operator\"\n\
             [[person]]\nname = \"d\"\nrole = \"agency-operator\"\nagencies = [\"*\"]\n\
             [[person]]\nname = \"e\"\nrole = \"administrator\"\nagencies = [\"H49\"]\n\
             [[person]]\nname = \"f\"\nrole = \"auditor\"\npower = 1\n\
             [[person]]\nname = \"f\"\nrole = \"responder\"\n",
        )
        .unwrap_err();
        for told in ["a b", "king", "agencies", "power", "twice", "no meaning"] {
            assert!(wrong.contains(told), "{told}: {wrong}");
        }
    }
}
