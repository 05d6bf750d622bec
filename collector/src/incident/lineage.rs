//! Which incident a signal belongs to after splits and merges, and what a command does to the incident on its other side. Pure.
//!
//! A signal's home is an incident of its rule and group: the newest that was split off with its agency, else the newest that was not split
//! off. What is counted for a home stands in the incident that it was merged into, if it was.

use vonggac_wire::{
    Time,
    proto::{Command, Incident, IncidentState, Signal, command::Action},
};

use super::{IncidentBook, grouping, reopens};

/// Incidents of one rule and group that are looked at, the newest first.
const HOMES_MAX: usize = 64;

/// Merges of merges that are followed.
const MERGES_DEEP_MAX: usize = 64;

impl IncidentBook {
    /// The incidents that a signal may belong to, the likeliest first: those split off with its agency, then the others.
    pub(super) fn homes(&self, rule: &str, group: &str, agency: &str) -> Vec<&Incident> {
        let of_group = self.of_group(rule, group);
        let (split, mut whole): (Vec<&Incident>, Vec<&Incident>) =
            of_group.into_iter().partition(|home| home.split_from != 0);
        // One that was opened again goes before a newer one that is closed.
        whole.sort_by_key(|home| !self.container(home).current_state().is_open());
        let has = |home: &&Incident| home.agencies.iter().any(|named| named == agency);
        split.into_iter().filter(has).chain(whole).collect()
    }

    /// The incident that a signal goes on with and the home it is counted for: where its entity is raised already, else the first of its
    /// homes that is open or may be opened again.
    pub(super) fn goes_on(
        &self,
        signal: &Signal,
        machine: bool,
        now: Time,
    ) -> Option<(u64, Incident)> {
        let holding = self.holding.iter().filter(|_| machine);
        let holding = holding.filter_map(|id| self.incidents.get(id));
        let open = holding.filter(|incident| incident.current_state().is_open());
        let mut raised = open.filter_map(|incident| {
            Some((grouping::raised_home(incident, signal)?, incident.clone()))
        });
        raised.next().or_else(|| {
            self.homes(&signal.rule, &signal.group, &signal.agency).into_iter().find_map(|home| {
                let incident = self.container(home);
                let goes_on = incident.current_state().is_open() || reopens(incident, now);
                goes_on.then(|| (home.id, incident.clone()))
            })
        })
    }

    /// The incidents of a rule and group with those that were split off, the newest first.
    pub(super) fn of_group(&self, rule: &str, group: &str) -> Vec<&Incident> {
        let ids = self.by_group.get(&(rule.to_owned(), group.to_owned()));
        let newest = ids.into_iter().flat_map(|ids| ids.iter().rev()).take(HOMES_MAX);
        newest.filter_map(|id| self.incidents.get(id)).collect()
    }

    /// The incident that what is counted for this one stands in: itself, or the one that it was merged into.
    pub(super) fn container<'a>(&'a self, home: &'a Incident) -> &'a Incident {
        let mut found = home;
        for _ in 0..MERGES_DEEP_MAX {
            match self.incidents.get(&found.merged_into) {
                Some(into) if found.merged_into != 0 => found = into,
                _ => break,
            }
        }
        found
    }

    /// The open incident that a signal belongs to.
    pub(super) fn open_of(&self, signal: &Signal) -> Option<&Incident> {
        self.homes(&signal.rule, &signal.group, &signal.agency)
            .into_iter()
            .map(|home| self.container(home))
            .find(|incident| incident.current_state().is_open())
    }

    /// Where a signal's entity is raised, or pulled along: in whatever state, so that one that is opened again does not hold what has
    /// long been fine.
    pub(super) fn raised_at(&self, signal: &Signal, pulled: bool) -> Vec<u64> {
        let holding = self.holding.iter().filter_map(|id| self.incidents.get(id));
        holding
            .filter(|incident| grouping::is_raised(incident, signal, pulled))
            .map(|incident| incident.id)
            .collect()
    }

    /// The incidents of the platforms that a signal's system needs.
    pub(super) fn platforms(&self, signal: &Signal) -> Vec<&Incident> {
        let system = self.registry.system(&signal.system);
        let needed = system.into_iter().flat_map(|system| system.dependencies());
        needed.flat_map(|platform| self.homes("platform-down", platform, &signal.agency)).collect()
    }

    /// Moves what a split, a merge or its undoing moves: `after` is the incident that was acted on, the answer the one on the other side.
    pub(super) fn other_side(
        &mut self,
        before: &Incident,
        after: &mut Incident,
        asked: &Command,
        now: Time,
    ) -> Option<(Incident, &'static str)> {
        match asked.action.as_ref()? {
            Action::Merge(merge) => {
                let mut target = self.incidents.get(&merge.into)?.clone();
                grouping::put(&mut target, before.shares.clone());
                Some((target, "merged"))
            }
            Action::Split(split) => {
                let moved = grouping::take(after, |share| split.agencies.contains(&share.agency));
                let id = self.next_id;
                self.next_id += 1;
                let mut fresh = split_off(before, id, now);
                fresh.group = format!("{}#{id}", base_group(before));
                let moved =
                    moved.into_iter().map(|share| vonggac_wire::proto::Share { home: id, ..share });
                grouping::put(&mut fresh, moved.collect());
                fresh.agency = fresh.agencies.first().cloned().unwrap_or_default();
                Some((fresh, "split"))
            }
            Action::Reopen(_) if before.merged_into != 0 => {
                let mut container = self.container(before).clone();
                if container.id == before.id {
                    return None;
                }
                let back =
                    grouping::take(&mut container, |share| self.leads_through(share.home, before));
                after.shares.clear();
                grouping::put(after, back);
                Some((container, "split"))
            }
            _ => None,
        }
    }

    /// Whether what is counted for `home` came by way of `merged`.
    fn leads_through(&self, home: u64, merged: &Incident) -> bool {
        let mut at = home;
        for _ in 0..MERGES_DEEP_MAX {
            if at == merged.id {
                return true;
            }
            match self.incidents.get(&at) {
                Some(incident) if incident.merged_into != 0 => at = incident.merged_into,
                Some(_) => return false,
                // It has left the memory: what was merged knows that it held it.
                None => return merged.shares.iter().any(|share| share.home == home),
            }
        }
        false
    }
}

/// The incident that takes the place of the agencies that were split off, before it has any share.
fn split_off(before: &Incident, id: u64, now: Time) -> Incident {
    let mut fresh = before.clone();
    fresh.id = id;
    fresh.version = 0;
    fresh.shares.clear();
    fresh.split_from = before.id;
    fresh.opened_unix_nano = now.0;
    fresh.state =
        if fresh.owner.is_empty() { IncidentState::New } else { IncidentState::InProgress }.into();
    fresh
}

/// The group whose signals an incident stands for: that of one split off ends in its own number.
pub(super) fn base_group(incident: &Incident) -> &str {
    let own = format!("#{}", incident.id);
    let split = (incident.split_from != 0).then(|| incident.group.strip_suffix(&own)).flatten();
    split.unwrap_or(&incident.group)
}
