//! The nation as rows: agencies, systems, agents and checks as they are now. Pure.

use std::{collections::HashSet, sync::Arc};

use vonggac_wire::{
    Time,
    proto::{
        Agency as AgencyRow, Agent as AgentRow, CheckRow, Estimate, HealthState as H, Incident,
        System as SystemRow, WatchReply,
    },
};

use super::{AgentState, Nation, day, impact, minutes::Minutes};
use crate::{duty, quiet::MAINTAINED};

impl Nation {
    fn agent_state(state: &AgentState, now: Time) -> H {
        match state.row.last_heard_unix_nano {
            None => H::NotConnected,
            Some(heard) if now.since(Time(heard)) >= state.interval * 3 - state.interval / 4 => {
                H::Silent
            }
            Some(_)
                if state.row.dropped_security > 0
                    || state.row.disk_utilization.is_some_and(|share| share >= 0.95) =>
            {
                H::Degraded
            }
            Some(_) => H::Fine,
        }
    }

    fn maintained(&self, agency: &str, system: &str, host: &str, now: Time) -> bool {
        self.quiet.maintained(agency, system, host, now)
    }

    /// Whether an agent is heard, maintained or not.
    fn is_heard(&self, row: &AgentRow, now: Time) -> bool {
        let known = self.agents.get(&row.agent);
        known.is_some_and(|state| {
            !matches!(Self::agent_state(state, now), H::Silent | H::NotConnected)
        })
    }

    /// Whether an incident tells that something is down which is maintained: then that is why.
    fn is_planned(&self, incident: &Incident, agency: &str, now: Time) -> bool {
        let first = |names: &[String]| names.first().cloned().unwrap_or_default();
        MAINTAINED.contains(&incident.rule.as_str())
            && self.maintained(agency, &first(&incident.systems), &first(&incident.hosts), now)
    }

    /// Every row as it is now.
    #[must_use]
    pub fn whole(&self, now: Time) -> WatchReply {
        let mut agents: Vec<AgentRow> = Vec::with_capacity(self.agents.len());
        for state in self.agents.values() {
            let mut row = state.row.clone();
            row.set_state(match Self::agent_state(state, now) {
                H::NotConnected => H::NotConnected,
                _ if self.maintained(&row.agency, &row.system, &row.host, now) => H::Maintenance,
                state => state,
            });
            agents.push(row);
        }
        let checks: Vec<CheckRow> = self
            .checks
            .values()
            .map(|state| {
                let mut row = state.row.clone();
                let age = row
                    .last_time_unix_nano
                    .map_or(f64::INFINITY, |time| now.seconds_since(Time(time)));
                // A run that is overdue says nothing about now.
                if age > row.interval_seconds * 3.0 + 15.0 {
                    row.set_state(H::Unknown);
                }
                if self.maintained(&row.agency, &row.system, &row.host, now) {
                    row.set_state(H::Maintenance);
                }
                row
            })
            .collect();
        let agencies: Vec<AgencyRow> = self
            .registry
            .agencies()
            .iter()
            .map(|a| self.agency(a, &agents, &checks, now))
            .collect();
        let incidents = self
            .incidents
            .values()
            .map(|incident| {
                let unserved = impact::of(incident, &agencies);
                Incident { unserved, ..incident.as_ref().clone() }
            })
            .collect();
        let systems = self.systems(&agents, &checks, now);
        WatchReply {
            snapshot: true,
            time_unix_nano: now.0,
            newest_event_unix_nano: self.newest.map_or(0, |time| time.0),
            simulated: self.simulated,
            agencies,
            systems,
            agents,
            checks,
            incidents,
            indicators: Vec::new(),
            flow: None,
            duties: duty::all(&self.registry, now),
        }
    }

    fn agency(
        &self,
        agency: &crate::registry::Agency,
        agents: &[AgentRow],
        checks: &[CheckRow],
        now: Time,
    ) -> AgencyRow {
        let code = agency.code.as_str();
        let mine: Vec<&AgentRow> = agents.iter().filter(|row| row.agency == code).collect();
        let heard = mine.iter().filter(|row| self.is_heard(row, now)).count();
        let open: Vec<&Arc<Incident>> = self
            .incidents
            .values()
            .filter(|i| i.current_state().is_open() && i.agencies.iter().any(|a| a == code))
            .collect();
        let mut row = AgencyRow {
            code: code.into(),
            name_vi: agency.name_vi.clone(),
            name_en: agency.name_en.clone(),
            short_vi: agency.short_vi.clone(),
            short_en: agency.short_en.clone(),
            kind: agency.board_group.clone(),
            statistics_code: agency.statistics_code.clone(),
            excluded_reason: agency.excluded.clone(),
            open_incidents: u32::try_from(open.len()).unwrap_or(u32::MAX),
            hosts_heard: u32::try_from(heard).unwrap_or(u32::MAX),
            hosts_enrolled: u32::try_from(mine.len()).unwrap_or(u32::MAX),
            last_heard_unix_nano: mine.iter().filter_map(|row| row.last_heard_unix_nano).max(),
            ..AgencyRow::default()
        };
        let (service, security, usage) = if !agency.excluded.is_empty() {
            (H::Excluded, H::Excluded, H::Excluded)
        } else if mine.is_empty() {
            (H::NotConnected, H::NotConnected, H::NotConnected)
        } else if heard == 0 && mine.iter().all(|row| row.state() == H::Maintenance) {
            (H::Maintenance, H::Maintenance, H::Maintenance)
        } else if heard == 0 {
            row.silent_since_unix_nano = row.last_heard_unix_nano;
            (H::Silent, H::Silent, H::Silent)
        } else {
            self.lamps(code, &open, (&mine[..], checks), now)
        };
        row.set_service(service);
        row.set_security(security);
        row.set_usage(usage);
        let worst = service.worse(security).worse(usage);
        // An unused portal with nothing wrong is told by its lamp; the agency is as well as what it has.
        row.set_state(if worst == H::Unknown { service.worse(security) } else { worst });
        if let Some(minutes) = self.usage.get(&(code.to_owned(), String::new())) {
            row.usage_cells = minutes.cells(now);
            row.unserved = self.unserved(code, &open, minutes, now);
        }
        row.baseline = self.baselines.get(&(code.to_owned(), String::new())).copied();
        for state in
            self.agents.values().filter(|state| state.row.agency == code && state.day == day(now))
        {
            row.events_held += state.held;
            let numbered: u64 = (0..3)
                .filter_map(|lane| {
                    state.numbered_from[lane].map(|from| state.next_seq[lane].saturating_sub(from))
                })
                .sum();
            row.events_numbered += numbered.max(state.held);
        }
        row
    }

    fn lamps(
        &self,
        code: &str,
        open: &[&Arc<Incident>],
        (agents, checks): (&[&AgentRow], &[CheckRow]),
        now: Time,
    ) -> (H, H, H) {
        let mut service = H::Fine;
        for check in checks.iter().filter(|row| row.agency == code) {
            let national = self
                .registry
                .system(&check.system)
                .is_some_and(crate::registry::System::is_national);
            // A fallen platform is not this agency's: it makes its services worse, not down.
            let state =
                if national && check.state() == H::Down { H::Degraded } else { check.state() };
            service = service.worse(state);
        }
        if agents.iter().any(|row| row.state() == H::Silent) {
            service = service.worse(H::Degraded);
        }
        if agents.iter().any(|row| row.state() == H::Maintenance) {
            service = service.worse(H::Maintenance);
        }
        let (mut security, mut usage) =
            (H::Fine, if self.usage_seen.contains(code) { H::Fine } else { H::Unknown });
        for incident in open.iter().filter(|i| i.severity < 4) {
            let attack = self.rules.meta(&incident.rule).is_some_and(|meta| meta.attack);
            match incident.rule.as_str() {
                "portal-without-use" if self.is_planned(incident, code, now) => {
                    usage = usage.worse(H::Maintenance);
                }
                _ if self.is_planned(incident, code, now) => {
                    service = service.worse(H::Maintenance);
                }
                "portal-without-use" => usage = usage.worse(H::Down),
                _ if attack => security = security.worse(H::UnderAttack),
                "service-down" => service = service.worse(H::Down),
                _ => service = service.worse(H::Degraded),
            }
        }
        (service, security, usage)
    }

    /// Dossiers a minute that do not come, where something stops them: the median of before less what comes now.
    fn unserved(
        &self,
        code: &str,
        open: &[&Arc<Incident>],
        minutes: &Minutes,
        now: Time,
    ) -> Option<Estimate> {
        let stops = open.iter().any(|i| impact::STOPS.contains(&i.rule.as_str()));
        let begun = open.iter().map(|i| i.first_time_unix_nano).min().map(Time);
        let portal =
            self.usage.get(&(code.to_owned(), "agency-one-stop".to_owned())).unwrap_or(minutes);
        if stops { portal.missing(begun?, now) } else { Some(Estimate::default()) }
    }

    fn systems(&self, agents: &[AgentRow], checks: &[CheckRow], now: Time) -> Vec<SystemRow> {
        let mut keys: HashSet<(&str, &str)> = HashSet::new();
        keys.extend(
            agents
                .iter()
                .filter(|row| !row.system.is_empty())
                .map(|row| (row.agency.as_str(), row.system.as_str())),
        );
        keys.extend(
            checks
                .iter()
                .filter(|row| !row.system.is_empty())
                .map(|row| (row.agency.as_str(), row.system.as_str())),
        );
        let mut rows: Vec<SystemRow> = keys
            .into_iter()
            .map(|(agency, id)| {
                let known = self.registry.system(id);
                let hosts: Vec<&AgentRow> =
                    agents.iter().filter(|row| row.agency == agency && row.system == id).collect();
                let heard = hosts.iter().filter(|row| self.is_heard(row, now)).count();
                let mut row = SystemRow {
                    id: id.into(),
                    agency: agency.into(),
                    name_vi: known.map_or_else(|| id.to_owned(), |system| system.name_vi.clone()),
                    name_en: known.map_or_else(|| id.to_owned(), |system| system.name_en.clone()),
                    grade: known.map_or(0, |system| system.grade),
                    hosts_heard: u32::try_from(heard).unwrap_or(0),
                    hosts_enrolled: u32::try_from(hosts.len()).unwrap_or(0),
                    ..SystemRow::default()
                };
                let mut state = if self.maintained(agency, id, "", now) {
                    H::Maintenance
                } else if hosts.is_empty() {
                    H::Unspecified
                } else if hosts.iter().all(|row| row.state() == H::Maintenance) {
                    H::Maintenance
                } else if heard == 0 {
                    H::Silent
                } else {
                    H::Fine
                };
                for check in
                    self.checks.values().filter(|c| c.row.agency == agency && c.row.system == id)
                {
                    let shown = checks
                        .iter()
                        .find(|r| r.agent == check.row.agent && r.name == check.row.name);
                    state = state.worse(shown.map_or(H::Unknown, CheckRow::state));
                    row.minutes_up = Some(
                        row.minutes_up
                            .unwrap_or(0)
                            .max(u32::try_from(check.up_minutes.len()).unwrap_or(0)),
                    );
                    row.minutes_open = Some(
                        row.minutes_open
                            .unwrap_or(0)
                            .max(u32::try_from(check.all_minutes.len()).unwrap_or(0)),
                    );
                    row.minutes_maintained = row
                        .minutes_maintained
                        .max(u32::try_from(check.planned_minutes.len()).unwrap_or(0));
                }
                for incident in self.incidents.values().filter(|i| i.current_state().is_open()) {
                    if incident.systems.iter().any(|s| s == id)
                        && incident.agencies.iter().any(|a| a == agency)
                    {
                        row.open_incidents += 1;
                        if incident.rule == "portal-without-use"
                            && !self.is_planned(incident, agency, now)
                        {
                            state = state.worse(H::Down);
                        }
                    }
                }
                row.set_state(if state == H::Unspecified { H::Unknown } else { state });
                if let Some(minutes) = self.usage.get(&(agency.to_owned(), id.to_owned())) {
                    row.usage_cells = minutes.cells(now);
                }
                row.baseline = self.baselines.get(&(agency.to_owned(), id.to_owned())).copied();
                row
            })
            .collect();
        rows.sort_by(|a, b| (&a.agency, a.grade, &a.id).cmp(&(&b.agency, b.grade, &b.id)));
        rows
    }
}
