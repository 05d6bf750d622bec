//! What somebody may do to an incident. Pure.

use vonggac_wire::proto::{Command, Incident, command::Action};

use super::Scope;

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotYours {
    /// As if there were none: whoever may not see it is not told that it is there.
    #[error("no incident #{0}")]
    Unknown(u64),
    /// It concerns this agency, but another one's operator leads it.
    #[error("incident #{0} is led by another agency: it takes notes from you, nothing else")]
    Shared(u64),
    /// Responders work on a case; what becomes of it is an operator's.
    #[error("responders acknowledge, note, hold, resolve and hand over; the rest is an operator's")]
    Responder,
    /// It names an agency that is not the operator's own.
    #[error("the command names an agency that is not yours")]
    Agency,
}

/// Whether a command may be carried out, on an incident as it is, with the one that it is merged into.
///
/// # Errors
/// Why not.
pub fn may(
    scope: &Scope,
    command: &Command,
    incident: Option<&Incident>,
    into: Option<&Incident>,
) -> Result<(), NotYours> {
    if scope.is_nation() {
        return Ok(());
    }
    let unknown = NotYours::Unknown(command.incident);
    let incident = incident.filter(|incident| scope.has_incident(incident)).ok_or(unknown)?;
    let Some(action) = &command.action else { return Ok(()) };
    match scope {
        Scope::Nation => Ok(()),
        Scope::Cases(_) => match action {
            Action::Acknowledge(_)
            | Action::Note(_)
            | Action::Hold(_)
            | Action::Resolve(_)
            | Action::HandOver(_) => Ok(()),
            _ => Err(NotYours::Responder),
        },
        Scope::Agencies(_) => {
            if !leads(scope, incident) {
                return match action {
                    Action::Note(_) => Ok(()),
                    _ => Err(NotYours::Shared(incident.id)),
                };
            }
            match action {
                Action::Merge(merge) => {
                    let into = into.filter(|into| scope.has_incident(into));
                    let into = into.ok_or(NotYours::Unknown(merge.into))?;
                    if leads(scope, into) { Ok(()) } else { Err(NotYours::Shared(into.id)) }
                }
                Action::Split(split)
                    if !split.agencies.iter().all(|code| scope.has_agency(code)) =>
                {
                    Err(NotYours::Agency)
                }
                Action::Assign(assign)
                    if !assign.responsible_agency.is_empty()
                        && !scope.has_agency(&assign.responsible_agency) =>
                {
                    Err(NotYours::Agency)
                }
                _ => Ok(()),
            }
        }
    }
}

/// Whose incident it is: of whom was made responsible, else of those whose agencies are all that it has.
fn leads(scope: &Scope, incident: &Incident) -> bool {
    if !incident.responsible_agency.is_empty() {
        return scope.has_agency(&incident.responsible_agency);
    }
    scope.has_agency(&incident.agency)
        && incident.agencies.iter().all(|agency| scope.has_agency(agency))
}

#[cfg(test)]
mod tests {
    use vonggac_wire::proto::{
        Acknowledge, Assign, Close, HandOver, Hide, Hold, Judge, Merge, Note, Reopen, Report,
        Resolve, Split,
    };

    use super::*;

    fn incident(id: u64, agencies: &[&str]) -> Incident {
        Incident {
            id,
            agency: agencies[0].into(),
            agencies: agencies.iter().map(|agency| (*agency).to_owned()).collect(),
            owner: "lan".into(),
            ..Incident::default()
        }
    }

    fn all() -> Vec<Action> {
        vec![
            Action::Acknowledge(Acknowledge {}),
            Action::Note(Note::default()),
            Action::Hold(Hold::default()),
            Action::Resolve(Resolve::default()),
            Action::HandOver(HandOver::default()),
            Action::Assign(Assign::default()),
            Action::Close(Close::default()),
            Action::Reopen(Reopen::default()),
            Action::Judge(Judge::default()),
            Action::Merge(Merge { into: 2 }),
            Action::Split(Split::default()),
            Action::Hide(Hide::default()),
            Action::Report(Report::default()),
        ]
    }

    fn tried(scope: &Scope, incident: &Incident) -> String {
        let into = Incident { id: 2, ..incident.clone() };
        let cell = |action: Action| {
            let command =
                Command { incident: incident.id, action: Some(action), ..Command::default() };
            match may(scope, &command, Some(incident), Some(&into)) {
                Ok(()) => 'y',
                Err(NotYours::Unknown(_)) => '?',
                Err(_) => '-',
            }
        };
        all().into_iter().map(cell).collect()
    }

    #[test]
    fn an_operator_acts_on_own_incidents_notes_shared_ones_and_knows_of_no_others() {
        let h49 = Scope::Agencies(vec!["H49".into()]);
        assert_eq!(tried(&h49, &incident(1, &["H49", "000.00.15.H49"])), "yyyyyyyyyyyyy");
        assert_eq!(tried(&h49, &incident(1, &["H49", "tk-48"])), "-y-----------");
        assert_eq!(tried(&h49, &incident(1, &["tk-48"])), "?????????????");
        let led = Incident { responsible_agency: "H49".into(), ..incident(1, &["tk-48"]) };
        assert_eq!(tried(&h49, &led), "yyyyyyyyyyyyy");
        let given = Incident { responsible_agency: "tk-48".into(), ..incident(1, &["H49"]) };
        assert_eq!(tried(&h49, &given), "-y-----------");
        assert_eq!(tried(&Scope::Nation, &incident(1, &["tk-48"])), "yyyyyyyyyyyyy");
        assert_eq!(tried(&Scope::Cases("lan".into()), &incident(1, &["tk-48"])), "yyyyy--------");
        assert_eq!(tried(&Scope::Cases("minh".into()), &incident(1, &["tk-48"])), "?????????????");
    }

    #[test]
    fn what_a_command_names_besides_its_incident_has_to_be_ones_own_too() {
        let h49 = Scope::Agencies(vec!["H49".into()]);
        let (own, foreign) = (incident(1, &["H49"]), incident(2, &["tk-48"]));
        let act = |action| Command { incident: 1, action: Some(action), ..Command::default() };
        let merge = act(Action::Merge(Merge { into: 2 }));
        assert_eq!(may(&h49, &merge, Some(&own), Some(&foreign)), Err(NotYours::Unknown(2)));
        assert_eq!(may(&h49, &merge, Some(&own), None), Err(NotYours::Unknown(2)));
        let shared = incident(2, &["H49", "tk-48"]);
        assert_eq!(may(&h49, &merge, Some(&own), Some(&shared)), Err(NotYours::Shared(2)));
        let split =
            act(Action::Split(Split { agencies: vec!["tk-48".into()], reason: "r".into() }));
        assert_eq!(may(&h49, &split, Some(&own), None), Err(NotYours::Agency));
        let assign = Assign { responsible_agency: "tk-48".into(), ..Assign::default() };
        let assign = act(Action::Assign(assign));
        assert_eq!(may(&h49, &assign, Some(&own), None), Err(NotYours::Agency));
        assert_eq!(may(&h49, &assign, None, None), Err(NotYours::Unknown(1)));
    }
}
