//! A command, in the name of whoever the certificate names, on an incident that is theirs.

use tonic::Status;
use vonggac_wire::{
    Time,
    proto::{ActReply, Command, command::Action},
};

use super::Parts;
use crate::trust::{
    denial::Denial,
    door::Guest,
    scope::{deed, view},
};

/// Whose incident this is, for the audit log; also where who asks may not know it.
pub(super) fn agencies(parts: &Parts, id: u64) -> Vec<String> {
    let picture = parts.nation.now();
    let known = picture.incidents.iter().find(|known| known.id == id);
    known.map(|incident| incident.agencies.clone()).unwrap_or_default()
}

pub(super) async fn act(
    parts: &Parts,
    guest: &Guest,
    mut command: Command,
) -> Result<ActReply, Status> {
    command.time_unix_nano = Time::now().0;
    if guest.is_proven {
        command.actor.clone_from(&guest.name);
    }
    let id = command.incident;
    if command.id.is_empty() {
        command.id = uuid::Uuid::new_v4().to_string();
    }
    let picture = parts.nation.now();
    let known = |id: u64| picture.incidents.iter().find(|known| known.id == id);
    let into = match &command.action {
        Some(Action::Merge(merge)) => known(merge.into),
        _ => None,
    };
    deed::may(&guest.scope, &command, known(id), into).map_err(Denial::from)?;
    // Whoever sends the id of another's command is answered with what they may see of it, and no more.
    let seen = |incident| view::incident(&guest.scope, &incident);
    match parts.book.act(command).await {
        Some(Ok(incident)) => Ok(ActReply { refused: String::new(), incident: seen(incident) }),
        // With the incident as it is, so that the later of two operators reads who was faster.
        Some(Err(refusal)) => {
            let now = parts.nation.now();
            let incident = now.incidents.iter().find(|known| known.id == id).cloned();
            Ok(ActReply { refused: refusal.to_string(), incident: incident.and_then(seen) })
        }
        None => Err(Status::unavailable("the incident book did not take the command; try again")),
    }
}
