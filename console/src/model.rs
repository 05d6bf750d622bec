//! What is known. No style, no words.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;
use vonggac_wire::{
    Time,
    proto::{
        Agency, Agent, CheckRow, DeadLetter, Flow, HealthState as H, Incident, IncidentDetail,
        Indicator, QuietPeriod, SavedSearch, SearchReply, SpreadRow, SqlReply, System, WatchReply,
    },
};

use crate::wording::folded;

mod folds;

pub use folds::Fold;

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
    /// The rows that the search's events are shown in, repeats in one.
    pub folds: Vec<Fold>,
    /// Rows of the search that were given up above those that are kept.
    pub rows_before: u64,
    /// The SQL answer that was asked for last.
    pub sql: Option<SqlReply>,
    /// The spread that was asked for last.
    pub spread: Vec<SpreadRow>,
    /// Figures over a time, each agency's or the nation's, as asked for last.
    pub by_agency: Vec<Indicator>,
    /// Dead letters, as asked for last; until then those of the picture.
    pub dead: Option<Vec<DeadLetter>>,
    /// Searches that are saved at the centre, as asked for last.
    pub saved: Vec<SavedSearch>,
    /// What is kept quiet, as asked for last.
    pub quiet: Vec<QuietPeriod>,
}

/// An incident is of a flood's rate for so long after it was opened.
const LATELY: std::time::Duration = std::time::Duration::from_secs(600);

/// Dead letters that are kept in a list: more than anybody goes through on a shift.
const DEAD_MAX: usize = 1_000;

impl Model {
    /// Takes a snapshot or a delta.
    pub fn fold(&mut self, reply: WatchReply) {
        if reply.snapshot {
            // What was asked for stays until it is asked for again.
            *self = Self {
                detail: self.detail.take(),
                search: self.search.take(),
                folds: std::mem::take(&mut self.folds),
                rows_before: self.rows_before,
                sql: self.sql.take(),
                spread: std::mem::take(&mut self.spread),
                by_agency: std::mem::take(&mut self.by_agency),
                dead: self.dead.take(),
                saved: std::mem::take(&mut self.saved),
                quiet: std::mem::take(&mut self.quiet),
                ..Self::default()
            };
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
            self.add_dead_letters();
        }
    }

    /// Dead letters that came after the list was asked for stand in it too, the newest first.
    fn add_dead_letters(&mut self) {
        let (Some(known), Some(flow)) = (&mut self.dead, &self.flow) else { return };
        let place = |letter: &DeadLetter| (letter.topic.clone(), letter.partition, letter.offset);
        let there: BTreeSet<_> = known.iter().map(place).collect();
        let new = flow.dead_letters.iter().filter(|letter| !there.contains(&place(letter)));
        let newest = known.first().map_or(i64::MIN, |letter| letter.time_unix_nano);
        // What is older than the list was left out of it on purpose.
        let new: Vec<DeadLetter> =
            new.filter(|letter| letter.time_unix_nano >= newest).cloned().collect();
        known.splice(0..0, new);
        known.truncate(DEAD_MAX);
    }

    /// Repeats are found anew, once the events of the search are others.
    pub fn refold(&mut self) {
        self.folds =
            self.search.as_ref().map(|reply| folds::folds(&reply.rows)).unwrap_or_default();
    }

    /// Open incidents that are not hidden, in the order of urgency.
    #[must_use]
    pub fn urgent(&self) -> Vec<&Incident> {
        let mut all: Vec<&Incident> = self
            .incidents
            .values()
            .filter(|incident| incident.current_state().is_open() && !self.is_hidden(incident))
            .collect();
        all.sort_by(|one, two| urgency(one, two));
        all
    }

    /// Left out of lists until its end.
    #[must_use]
    pub fn is_hidden(&self, incident: &Incident) -> bool {
        let now = self.time.unwrap_or_default();
        incident.hidden_until_unix_nano.is_some_and(|until| until > now.0)
    }

    /// Open incidents that are hidden.
    #[must_use]
    pub fn hidden(&self) -> usize {
        let open = |incident: &&Incident| incident.current_state().is_open();
        self.incidents.values().filter(open).filter(|incident| self.is_hidden(incident)).count()
    }

    /// Incidents opened in the last ten minutes.
    #[must_use]
    pub fn opened_lately(&self) -> usize {
        let since = self.time.unwrap_or_default().minus(LATELY);
        self.incidents.values().filter(|incident| incident.opened_unix_nano > since.0).count()
    }

    /// Open incidents of an agency.
    #[must_use]
    pub fn open_of(&self, code: &str) -> usize {
        let open = self.incidents.values().filter(|incident| incident.current_state().is_open());
        open.filter(|incident| incident.agencies.iter().any(|agency| agency == code)).count()
    }

    /// Agencies by code or name, accents optional; what is written as it was asked comes first, then beginnings of names.
    #[must_use]
    pub fn agencies_named(&self, asked: &str) -> Vec<&Agency> {
        let asked: String = asked.trim().nfc().collect::<String>().to_lowercase();
        let plain = folded(&asked);
        if plain.is_empty() {
            return Vec::new();
        }
        let rank = |agency: &Agency| {
            let names = [&agency.name_vi, &agency.name_en, &agency.short_vi, &agency.short_en];
            if agency.code.to_lowercase() == plain {
                return Some(0);
            }
            let exact = names.map(|name| name.nfc().collect::<String>().to_lowercase());
            if exact.iter().any(|name| name.contains(&asked)) {
                return Some(if exact.contains(&asked) { 1 } else { 2 });
            }
            let bare = names.map(|name| folded(name));
            if bare.iter().any(|name| name.starts_with(&plain)) {
                return Some(3);
            }
            bare.iter().any(|name| name.contains(&plain)).then_some(4)
        };
        let mut hits: Vec<(u8, &Agency)> =
            self.agencies.iter().filter_map(|agency| Some((rank(agency)?, agency))).collect();
        hits.sort_by_key(|(rank, _)| *rank);
        hits.into_iter().map(|(_, agency)| agency).collect()
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

    /// Dead letters, newest first.
    #[must_use]
    pub fn dead_letters(&self) -> &[DeadLetter] {
        match (&self.dead, &self.flow) {
            (Some(dead), _) => dead,
            (None, Some(flow)) => &flow.dead_letters,
            (None, None) => &[],
        }
    }

    /// Somebody has sent data.
    #[must_use]
    pub fn anybody(&self) -> bool {
        !self.agents.is_empty()
    }
}

/// Severity first; then what is unknown, and what is served least; then the newest.
#[must_use]
pub fn urgency(one: &Incident, two: &Incident) -> std::cmp::Ordering {
    let impact = |incident: &Incident| {
        incident.unserved.as_ref().map_or(f64::INFINITY, |estimate| estimate.value)
    };
    (!one.current_state().is_open())
        .cmp(&!two.current_state().is_open())
        .then(one.severity.cmp(&two.severity))
        .then(impact(two).total_cmp(&impact(one)))
        .then(two.opened_unix_nano.cmp(&one.opened_unix_nano))
        .then(one.id.cmp(&two.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(code: &str, name: &str) -> Agency {
        Agency {
            code: code.into(),
            name_vi: format!("Tỉnh {name}"),
            name_en: name.into(),
            short_vi: name.into(),
            short_en: name.into(),
            ..Agency::default()
        }
    }

    #[test]
    fn accents_are_optional_and_what_is_written_as_asked_comes_first() {
        let agencies = vec![
            named("tk-22", "Quảng Ninh"),
            named("tk-37", "Ninh Bình"),
            named("tk-48", "Đà Nẵng"),
        ];
        let model = Model { agencies, ..Model::default() };
        let codes = |asked: &str| -> Vec<String> {
            model.agencies_named(asked).iter().map(|agency| agency.code.clone()).collect()
        };
        assert_eq!(codes("da nang"), ["tk-48"]);
        assert_eq!(codes("Đa\u{300} Nẵng"), ["tk-48"], "decomposed letters too");
        assert_eq!(codes("ninh binh"), ["tk-37"]);
        assert_eq!(codes("TK-22"), ["tk-22"]);
        assert!(codes(" ").is_empty());
    }

    #[test]
    fn a_dead_letter_that_comes_later_stands_in_the_list_once() {
        let letter =
            |offset, time_unix_nano| DeadLetter { offset, time_unix_nano, ..DeadLetter::default() };
        let mut model =
            Model { dead: Some(vec![letter(2, 20), letter(1, 10)]), ..Model::default() };
        let told = |letters: Vec<DeadLetter>| WatchReply {
            flow: Some(Flow { dead_letters: letters, ..Flow::default() }),
            ..WatchReply::default()
        };
        model.fold(told(vec![letter(3, 30), letter(2, 20), letter(0, 5)]));
        model.fold(told(vec![letter(3, 30), letter(2, 20)]));
        let offsets: Vec<i64> = model.dead_letters().iter().map(|row| row.offset).collect();
        assert_eq!(offsets, [3, 2, 1]);
    }

    #[test]
    fn unknown_impact_is_above_zero_and_a_hidden_incident_is_counted_apart() {
        let incident = |id, value: Option<f64>| Incident {
            id,
            severity: 2,
            state: 1,
            unserved: value
                .map(|value| vonggac_wire::proto::Estimate { value, ..Default::default() }),
            ..Incident::default()
        };
        let hidden = Incident { hidden_until_unix_nano: Some(i64::MAX), ..incident(4, None) };
        let all = [incident(1, Some(0.0)), incident(2, None), incident(3, Some(9.0)), hidden];
        let model = Model {
            incidents: all.into_iter().map(|row| (row.id, row)).collect(),
            ..Model::default()
        };
        let order: Vec<u64> = model.urgent().iter().map(|row| row.id).collect();
        assert_eq!((order, model.hidden()), (vec![2, 3, 1], 1));
    }
}
