//! What collector and console agree on when they speak of incidents: names of states, severities and verdicts, and which step
//! may follow which.

use crate::{
    id::IncidentId,
    proto::{self, ClockState, Incident, IncidentState, ServiceClock, Verdict, command::Action},
    time::Time,
};

/// M1 (critical) to M4 (low).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// M1, nghiêm trọng: people cannot be served, or a host is taken.
    Critical,
    /// M2, cao.
    High,
    /// M3, vừa.
    Medium,
    /// M4, thấp: changes no lamp.
    Low,
}

impl Severity {
    /// 1 to 4; another number is taken for the nearest.
    #[must_use]
    pub const fn from_level(level: u32) -> Self {
        match level {
            0 | 1 => Self::Critical,
            2 => Self::High,
            3 => Self::Medium,
            _ => Self::Low,
        }
    }

    /// 1 to 4.
    #[must_use]
    pub const fn level(self) -> u32 {
        match self {
            Self::Critical => 1,
            Self::High => 2,
            Self::Medium => 3,
            Self::Low => 4,
        }
    }

    /// "critical", "high", "medium", "low".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

impl IncidentState {
    /// "new", "in_progress", "on_hold", "resolved", "closed", as JSON and the store name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::New => "new",
            Self::InProgress => "in_progress",
            Self::OnHold => "on_hold",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }

    /// Work is still owed: new, in progress or on hold.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::New | Self::InProgress | Self::OnHold)
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::New, Self::InProgress, Self::OnHold, Self::Resolved, Self::Closed]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

impl Verdict {
    /// All that an operator may choose.
    pub const ALL: [Self; 6] = [
        Self::FalsePositive,
        Self::TruePositive,
        Self::Benign,
        Self::Test,
        Self::InsufficientData,
        Self::Duplicate,
    ];

    /// In snake case; "" when not judged.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::FalsePositive => "false_positive",
            Self::TruePositive => "true_positive",
            Self::Benign => "benign",
            Self::Test => "test",
            Self::InsufficientData => "insufficient_data",
            Self::Duplicate => "duplicate",
        }
    }

    /// By its name, with `_` or `-`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

impl ClockState {
    /// "running", "paused", "met", "breached", as JSON and messages name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Met => "met",
            Self::Breached => "breached",
        }
    }
}

impl Incident {
    /// Its clock of a kind: "answer" or "solve".
    #[must_use]
    pub fn clock(&self, kind: &str) -> Option<&ServiceClock> {
        self.clocks.iter().find(|clock| clock.kind == kind)
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> IncidentId {
        IncidentId(self.id)
    }

    /// Its state; an unknown number is `Unspecified`.
    #[must_use]
    pub fn current_state(&self) -> IncidentState {
        IncidentState::try_from(self.state).unwrap_or(IncidentState::Unspecified)
    }

    /// Its verdict, if judged.
    #[must_use]
    pub fn current_verdict(&self) -> Option<Verdict> {
        Verdict::try_from(self.verdict).ok().filter(|verdict| *verdict != Verdict::Unspecified)
    }

    /// M1 to M4.
    #[must_use]
    pub const fn level(&self) -> Severity {
        Severity::from_level(self.severity)
    }

    /// How long it lasted, or lasts at `now`.
    #[must_use]
    pub fn duration(&self, now: Time) -> std::time::Duration {
        let end = self.resolved_unix_nano.map_or(now, Time);
        end.since(Time(self.first_time_unix_nano))
    }
}

/// Why an action cannot be done. The console shows it as a sentence in the operator's language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No incident has this number.
    #[error("not-found")]
    NotFound,
    /// The action does not fit the state.
    #[error("wrong-state {state}", state = .0.name())]
    WrongState(IncidentState),
    /// Somebody else was faster; the console shows who.
    #[error("moved-on {actor} {version}")]
    MovedOn {
        /// Who acted last.
        actor: String,
        /// The version now.
        version: u64,
    },
    /// Closing needs a result.
    #[error("result-missing")]
    ResultMissing,
    /// Closing needs a verdict.
    #[error("verdict-missing")]
    VerdictMissing,
    /// The incident to merge into is not open, or is this one.
    #[error("no-such-target")]
    NoSuchTarget,
    /// A split must name some of the agencies, and leave some.
    #[error("split-names-none-or-all")]
    SplitNamesNoneOrAll,
    /// Hiding ends later than now, and within the limit.
    #[error("hide-end")]
    HideEnd,
    /// No law's clock of incidents has this name.
    #[error("unknown-duty {0}")]
    UnknownDuty(String),
    /// A report was sent before the incident was opened, or later than now.
    #[error("report-time")]
    ReportTime,
    /// An incident has as many reports as it may.
    #[error("too-many-reports")]
    TooManyReports,
    /// A note, reason, owner or result is empty.
    #[error("text-missing")]
    TextMissing,
    /// A text is longer than allowed.
    #[error("text-too-long")]
    TextTooLong,
    /// The command names no action, or no actor.
    #[error("malformed")]
    Malformed,
}

/// The state after an action, or why it may not be. The table of states is here alone: the book enforces it, the console offers by it.
///
/// # Errors
/// [`Refusal::WrongState`] when the action does not fit.
pub fn next_state(state: IncidentState, action: &Action) -> Result<IncidentState, Refusal> {
    use IncidentState as S;
    match (action, state) {
        (Action::Acknowledge(_), S::New | S::OnHold) => Ok(S::InProgress),
        (Action::Assign(_) | Action::HandOver(_), S::New | S::InProgress) => Ok(S::InProgress),
        (Action::Assign(_) | Action::HandOver(_), S::OnHold) => Ok(S::OnHold),
        (Action::Hold(_), S::New | S::InProgress) => Ok(S::OnHold),
        (Action::Resolve(_), S::New | S::InProgress | S::OnHold) => Ok(S::Resolved),
        (Action::Merge(_), S::New | S::InProgress | S::OnHold) => Ok(S::Closed),
        (Action::Split(_) | Action::Hide(_), S::New | S::InProgress | S::OnHold) => Ok(state),
        (Action::Close(_), S::New | S::InProgress | S::OnHold | S::Resolved) => Ok(S::Closed),
        (Action::Reopen(_), S::Resolved | S::Closed) => Ok(S::InProgress),
        // What a law wants is often sent when all is over.
        (Action::Note(_) | Action::Judge(_) | Action::Report(_), state)
            if state != S::Unspecified =>
        {
            Ok(state)
        }
        (_, state) => Err(Refusal::WrongState(state)),
    }
}

/// The word of an action in [`proto::Transition::action`] and in the audit.
#[must_use]
pub const fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Acknowledge(_) => "acknowledged",
        Action::Assign(_) => "assigned",
        Action::Note(_) => "noted",
        Action::Hold(_) => "held",
        Action::Resolve(_) => "resolved",
        Action::Close(_) => "closed",
        Action::Reopen(_) => "reopened",
        Action::Judge(_) => "judged",
        Action::HandOver(_) => "handed_over",
        Action::Merge(_) => "merged",
        Action::Split(_) => "split",
        Action::Hide(_) => "hidden",
        Action::Report(_) => "reported",
    }
}

impl proto::HealthState {
    /// "down", "under_attack", "silent", "degraded", "unknown", "maintenance", "not_connected", "excluded", "ok".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified | Self::Unknown => "unknown",
            Self::Down => "down",
            Self::UnderAttack => "under_attack",
            Self::Silent => "silent",
            Self::Degraded => "degraded",
            Self::Maintenance => "maintenance",
            Self::NotConnected => "not_connected",
            Self::Excluded => "excluded",
            Self::Fine => "ok",
        }
    }

    /// The worse of two: the smaller number, where "unspecified" yields to anything.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unspecified, state) | (state, Self::Unspecified) => state,
            (one, two) => {
                if (one as i32) <= (two as i32) {
                    one
                } else {
                    two
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_incident_can_only_be_noted_judged_or_reopened() {
        let closed = IncidentState::Closed;
        assert!(next_state(closed, &Action::Resolve(proto::Resolve::default())).is_err());
        assert!(next_state(closed, &Action::Acknowledge(proto::Acknowledge {})).is_err());
        assert_eq!(
            next_state(closed, &Action::Reopen(proto::Reopen::default())),
            Ok(IncidentState::InProgress)
        );
        assert_eq!(next_state(closed, &Action::Note(proto::Note::default())), Ok(closed));
    }

    #[test]
    fn names_of_states_and_verdicts_are_read_back() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_name(verdict.name()), Some(verdict));
        }
        assert_eq!(IncidentState::from_name("on_hold"), Some(IncidentState::OnHold));
    }

    #[test]
    fn down_is_worse_than_silent_and_silent_is_never_fine() {
        use proto::HealthState as H;
        assert_eq!(H::Silent.worse(H::Down), H::Down);
        assert_eq!(H::Fine.worse(H::Silent), H::Silent);
        assert_eq!(H::Unspecified.worse(H::Fine), H::Fine);
    }
}
