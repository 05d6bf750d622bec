//! Who may take an agency's rows away. Pure.

use std::collections::BTreeMap;

use vonggac_wire::Time;

use super::{Record, Settings, State, What};
use crate::trust::{
    denial::Denial,
    door::Guest,
    scope::{Scope, is_under},
};

/// Under which record somebody exports an agency's rows; `None`: they need none.
///
/// An agency's operator needs none for what is theirs. Whoever reaches the nation needs one where the configuration asks for it, unless their
/// own data say that they export alone. In plain text nobody proves who they are, and everything is a test centre's: none is asked for.
///
/// # Errors
/// If they need one, and none is open.
pub fn may(
    guest: &Guest,
    agency: &str,
    records: &BTreeMap<String, Record>,
    settings: &Settings,
    now: Time,
) -> Result<Option<String>, Denial> {
    if needs_none(guest, agency, settings) {
        return Ok(None);
    }
    let opens = |record: &&Record| {
        record.what == What::Export
            && record.asked.0 == guest.name
            && record.state(now) == State::Open
            && is_under(agency, &record.agency)
    };
    let open = records.values().find(opens);
    open.map(|record| Some(record.id.clone())).ok_or_else(|| Denial::NotOpen(agency.to_owned()))
}

/// Whether somebody exports an agency's rows by their role alone.
#[must_use]
pub fn needs_none(guest: &Guest, agency: &str, settings: &Settings) -> bool {
    match &guest.scope {
        Scope::Nation => !guest.is_proven || !settings.required || guest.duty.exports_alone,
        scope => scope.has_agency(agency),
    }
}
