//! What is known. No style, no words.

use std::collections::BTreeMap;

use vonggac_wire::{
    Time,
    proto::{
        Agency, Agent, CheckRow, Flow, HealthState as H, Incident, IncidentDetail, Indicator,
        SearchReply, SpreadRow, System, WatchReply,
    },
};

/// The picture as the collector tells it.
#[derive(Debug, Default)]
pub struct Model {
    /// In the registry's order: no tile ever moves.
    pub agencies: Vec<Agency>,
    /// By agency and id.
    pub systems: BTreeMap<(String, String), System>,
    /// By agency and agent.
    pub agents: BTreeMap<(String, String), Agent>,
    /// By agent and name.
    pub checks: BTreeMap<(String, String), CheckRow>,
    /// By number.
    pub incidents: BTreeMap<u64, Incident>,
    /// By id, in the collector's order.
    pub indicators: Vec<Indicator>,
    /// The data's own way.
    pub flow: Option<Flow>,
    /// A scenario player's.
    pub simulated: bool,
    /// The centre's time of the newest reply.
    pub time: Option<Time>,
    /// The detail that was asked for last.
    pub detail: Option<IncidentDetail>,
    /// The search that was asked for last.
    pub search: Option<SearchReply>,
    /// The spread that was asked for last.
    pub spread: Vec<SpreadRow>,
}

impl Model {
    /// Takes a snapshot or a delta.
    pub fn fold(&mut self, reply: WatchReply) {
        if reply.snapshot {
            let kept = (self.detail.take(), self.search.take(), std::mem::take(&mut self.spread));
            *self = Self::default();
            (self.detail, self.search, self.spread) = kept;
        }
        self.time = Some(Time(reply.time_unix_nano));
        self.simulated = reply.simulated;
        for agency in reply.agencies {
            match self.agencies.iter_mut().find(|known| known.code == agency.code) {
                Some(known) => *known = agency,
                None => self.agencies.push(agency),
            }
        }
        self.systems.extend(
            reply.systems.into_iter().map(|row| ((row.agency.clone(), row.id.clone()), row)),
        );
        self.agents.extend(
            reply.agents.into_iter().map(|row| ((row.agency.clone(), row.agent.clone()), row)),
        );
        self.checks.extend(
            reply.checks.into_iter().map(|row| ((row.agent.clone(), row.name.clone()), row)),
        );
        self.incidents.extend(reply.incidents.into_iter().map(|row| (row.id, row)));
        for indicator in reply.indicators {
            match self
                .indicators
                .iter_mut()
                .find(|known| known.id == indicator.id && known.agency == indicator.agency)
            {
                Some(known) => *known = indicator,
                None => self.indicators.push(indicator),
            }
        }
        if reply.flow.is_some() {
            self.flow = reply.flow;
        }
    }

    /// Incidents in the order of urgency: open first, by severity, the newest first. `text` is folded and must be in the title.
    #[must_use]
    pub fn urgent(&self, open_only: bool, text: &str) -> Vec<&Incident> {
        let mut all: Vec<&Incident> = self
            .incidents
            .values()
            .filter(|incident| !open_only || incident.current_state().is_open())
            .filter(|incident| {
                text.is_empty()
                    || crate::wording::folded(&format!(
                        "{} {} {}",
                        incident.title_vi, incident.title_en, incident.owner
                    ))
                    .contains(text)
            })
            .collect();
        all.sort_by_key(|i| {
            (!i.current_state().is_open(), i.severity, std::cmp::Reverse(i.opened_unix_nano), i.id)
        });
        all
    }

    /// Agencies of a group of the board.
    pub fn group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Agency> {
        self.agencies.iter().filter(move |agency| agency.kind == group)
    }

    /// An agency by its code.
    #[must_use]
    pub fn agency(&self, code: &str) -> Option<&Agency> {
        self.agencies.iter().find(|agency| agency.code == code)
    }

    /// How many agencies are in a state, of those on the board.
    #[must_use]
    pub fn count(&self, state: H) -> usize {
        self.agencies
            .iter()
            .filter(|agency| agency.kind != "other" && agency.state() == state)
            .count()
    }

    /// Somebody has sent data.
    #[must_use]
    pub fn anybody(&self) -> bool {
        !self.agents.is_empty()
    }
}
