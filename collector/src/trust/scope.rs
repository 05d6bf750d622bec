//! What a role sees and does, call by call. Pure.

use vonggac_wire::proto::Incident;

use super::role::{Grant, Role};

pub mod deed;
pub mod view;

/// A call of the console's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// The picture.
    Watch,
    /// Events.
    SearchEvents,
    /// One incident.
    GetIncident,
    /// The incidents of a span.
    Incidents,
    /// A command.
    Act,
    /// Figures.
    Usage,
    /// A query of the caller's own.
    Sql,
    /// What was set aside.
    DeadLetters,
    /// What was told of incidents.
    Notifications,
    /// A value against agencies.
    Spread,
    /// Events as they come.
    Tail,
    /// Searches under a name.
    SavedSearches,
    /// Changing one.
    ChangeSavedSearch,
    /// The audit log.
    Audit,
    /// Receipts, and stored rows against what was written down of them.
    Evidence,
    /// An agency's rows, to be taken away.
    Export,
    /// What was opened by two persons.
    BreakGlass,
    /// Asking for it, confirming, refusing and ending it.
    ChangeBreakGlass,
    /// Times in which what matches opens no incident.
    Quiet,
    /// Adding and ending them.
    ChangeQuiet,
    /// Why no incident was opened.
    Why,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Watch,
        Self::SearchEvents,
        Self::GetIncident,
        Self::Incidents,
        Self::Act,
        Self::Usage,
        Self::Sql,
        Self::DeadLetters,
        Self::Notifications,
        Self::Spread,
        Self::Tail,
        Self::SavedSearches,
        Self::ChangeSavedSearch,
        Self::Audit,
        Self::Evidence,
        Self::Export,
        Self::BreakGlass,
        Self::ChangeBreakGlass,
        Self::Quiet,
        Self::ChangeQuiet,
        Self::Why,
    ];

    /// The word in refusals and the audit log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::SearchEvents => "search-events",
            Self::GetIncident => "get-incident",
            Self::Incidents => "incidents",
            Self::Act => "act",
            Self::Usage => "usage",
            Self::Sql => "sql",
            Self::DeadLetters => "dead-letters",
            Self::Notifications => "notifications",
            Self::Spread => "spread",
            Self::Tail => "tail",
            Self::SavedSearches => "saved-searches",
            Self::ChangeSavedSearch => "change-saved-search",
            Self::Audit => "audit",
            Self::Evidence => "evidence",
            Self::Export => "export",
            Self::BreakGlass => "break-glass",
            Self::ChangeBreakGlass => "change-break-glass",
            Self::Quiet => "quiet",
            Self::ChangeQuiet => "change-quiet",
            Self::Why => "why",
        }
    }
}

/// What of the nation somebody reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Nation,
    /// These agencies and those under them.
    Agencies(Vec<String>),
    /// Incidents that this person owns, and what they are about.
    Cases(String),
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not for the role {}; an administrator of the centre gives roles", .call.name(), .role.name())]
pub struct NotForRole {
    /// Which call.
    pub call: Call,
    /// Whose.
    pub role: Role,
}

/// The one table: what a grant reaches by a call.
///
/// # Errors
/// If the call is not for the role.
pub fn permit(grant: &Grant, call: Call) -> Result<Scope, NotForRole> {
    use Call::{
        Act, Audit, BreakGlass, ChangeSavedSearch, DeadLetters, Evidence, GetIncident, Incidents,
        Notifications, Quiet, SavedSearches, SearchEvents, Spread, Sql, Tail, Usage, Watch, Why,
    };
    let permitted = match grant.role {
        Role::Administrator => true,
        Role::NationalOperator | Role::AgencyOperator => call != Audit,
        Role::Responder => matches!(
            call,
            Watch
                | SearchEvents
                | GetIncident
                | Incidents
                | Act
                | SavedSearches
                | ChangeSavedSearch
        ),
        // A change of a saved search is refused by its own word.
        Role::Observer => matches!(
            call,
            Watch
                | SearchEvents
                | GetIncident
                | Incidents
                | Usage
                | Sql
                | DeadLetters
                | Notifications
                | Evidence
                | Spread
                | Tail
                | SavedSearches
                | ChangeSavedSearch
                | BreakGlass
                | Quiet
                | Why
        ),
        Role::Auditor => matches!(
            call,
            Watch
                | GetIncident
                | Incidents
                | Usage
                | Sql
                | DeadLetters
                | Notifications
                | Evidence
                | SavedSearches
                | ChangeSavedSearch
                | Audit
                | BreakGlass
                | Quiet
        ),
    };
    if permitted { Ok(grant.scope.clone()) } else { Err(NotForRole { call, role: grant.role }) }
}

impl Scope {
    /// All of the nation.
    #[must_use]
    pub const fn is_nation(&self) -> bool {
        matches!(self, Self::Nation)
    }

    /// Whether an agency's own things are in it.
    #[must_use]
    pub fn has_agency(&self, agency: &str) -> bool {
        match self {
            Self::Nation => true,
            Self::Agencies(agencies) => agencies.iter().any(|own| is_under(agency, own)),
            Self::Cases(_) => false,
        }
    }

    /// Whether one of the agencies that it names is so; all of the nation, and cases, name none.
    pub fn names(&self, is: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Agencies(agencies) => agencies.iter().any(|own| is(own)),
            Self::Nation | Self::Cases(_) => false,
        }
    }

    /// Whether an incident concerns it.
    #[must_use]
    pub fn has_incident(&self, incident: &Incident) -> bool {
        match self {
            Self::Nation => true,
            Self::Agencies(_) => {
                self.has_agency(&incident.agency)
                    || incident.agencies.iter().any(|agency| self.has_agency(agency))
                    || (!incident.responsible_agency.is_empty()
                        && self.has_agency(&incident.responsible_agency))
            }
            Self::Cases(person) => incident.owner == *person,
        }
    }
}

/// How the codes of agencies under one begin (Decision 20/2020): under `G06` is `G06.12`.
#[must_use]
pub fn beginning(own: &str) -> String {
    format!("{own}.")
}

/// How they end in the older form (QCVN 102:2016): under `000.00.15.H49` is `000.03.15.H49`.
#[must_use]
pub fn ending(own: &str) -> String {
    let mut rest = own;
    while let Some((group, behind)) = rest.split_once('.') {
        if !group.bytes().all(|b| b == b'0') {
            break;
        }
        rest = behind;
    }
    format!(".{rest}")
}

/// Whether an agency is this one, or under it by its code.
#[must_use]
pub fn is_under(agency: &str, own: &str) -> bool {
    agency == own || agency.starts_with(&beginning(own)) || agency.ends_with(&ending(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(role: Role) -> Grant {
        Grant::new(role, Scope::Nation)
    }

    #[test]
    fn each_role_reaches_what_its_column_says_and_nothing_else() {
        use Call::*;
        let rows: [(Call, &str); 21] = [
            // administrator, national operator, agency operator, responder, observer, auditor
            (Watch, "yyyyyy"),
            (SearchEvents, "yyyyy-"),
            (GetIncident, "yyyyyy"),
            (Incidents, "yyyyyy"),
            (Act, "yyyy--"),
            (Usage, "yyy-yy"),
            (Sql, "yyy-yy"),
            (DeadLetters, "yyy-yy"),
            (Notifications, "yyy-yy"),
            (Spread, "yyy-y-"),
            (Tail, "yyy-y-"),
            (SavedSearches, "yyyyyy"),
            (ChangeSavedSearch, "yyyyyy"),
            (Audit, "y----y"),
            (Evidence, "yyy-yy"),
            (Export, "yyy---"),
            (BreakGlass, "yyy-yy"),
            (ChangeBreakGlass, "yyy---"),
            (Quiet, "yyy-yy"),
            (ChangeQuiet, "yyy---"),
            (Why, "yyy-y-"),
        ];
        for (call, row) in rows {
            for (role, cell) in Role::ALL.into_iter().zip(row.chars()) {
                let permitted = permit(&grant(role), call).is_ok();
                assert_eq!(permitted, cell == 'y', "{} {}", role.name(), call.name());
            }
        }
    }

    #[test]
    fn who_is_under_whom_is_in_the_code() {
        for (agency, own, under) in [
            ("H49", "H49", true),
            ("000.00.15.H49", "H49", true),
            ("000.03.15.H49", "000.00.15.H49", true),
            ("000.00.16.H49", "000.00.15.H49", false),
            ("000.00.115.H49", "000.00.15.H49", false),
            ("H49", "000.00.15.H49", false),
            ("G06.12", "G06", true),
            ("G06.12.3", "G06.12", true),
            ("G06.1", "G06.12", false),
            ("G06.123", "G06.12", false),
            ("XH49", "H49", false),
            ("H4", "H49", false),
            ("tk-48", "tk-48", true),
            ("tk-4", "tk-48", false),
            ("local", "H49", false),
            ("", "H49", false),
        ] {
            assert_eq!(is_under(agency, own), under, "{agency} under {own}");
        }
    }

    #[test]
    fn an_incident_is_seen_by_whom_it_concerns() {
        let incident = Incident {
            agency: "G22".into(),
            agencies: vec!["G22".into(), "000.00.15.H49".into()],
            owner: "lan".into(),
            ..Incident::default()
        };
        let of = |agency: &str| Scope::Agencies(vec![agency.into()]);
        assert!(of("H49").has_incident(&incident) && of("G22").has_incident(&incident));
        assert!(!of("tk-48").has_incident(&incident));
        assert!(Scope::Cases("lan".into()).has_incident(&incident));
        assert!(!Scope::Cases("minh".into()).has_incident(&incident));
        assert!(!Scope::Cases(String::new()).has_agency("G22"));
    }
}
