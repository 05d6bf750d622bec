//! Whose fault: what the probes say about where it is broken, by whether those at the place and those elsewhere reach it.

use std::collections::BTreeSet;

use vonggac_wire::proto::{CheckRow, HealthState as H, Incident};

use crate::app::App;

/// Probes of one side: how many fail, of how many that say something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Side {
    failed: usize,
    all: usize,
}

impl Side {
    fn count(&mut self, check: &CheckRow) {
        // A probe that is overdue says neither.
        if matches!(check.state(), H::Fine | H::Degraded | H::Down) {
            self.all += 1;
            self.failed += usize::from(check.state() == H::Down);
        }
    }

    const fn fails(self) -> bool {
        self.failed > 0 && self.failed == self.all
    }

    const fn works(self) -> bool {
        self.all > 0 && self.failed == 0
    }
}

/// The message that names the place, as far as the probes tell it.
const fn place(here: Side, elsewhere: Side) -> &'static str {
    match (here, elsewhere) {
        _ if here.failed + elsewhere.failed == 0 => "fault-none",
        _ if here.fails() && elsewhere.fails() => "fault-system",
        _ if here.works() && elsewhere.fails() => "fault-way",
        _ if here.fails() && elsewhere.works() => "fault-inside",
        _ if elsewhere.all == 0 => "fault-here-only",
        _ if here.all == 0 && elsewhere.fails() => "fault-elsewhere-only",
        _ => "fault-partly",
    }
}

/// Where it is broken; `None` where no probe speaks of the incident's systems.
pub(super) fn text(app: &App, incident: &Incident) -> Option<String> {
    let owner = if incident.responsible_agency.is_empty() {
        &incident.agency
    } else {
        &incident.responsible_agency
    };
    let concerned = |check: &&CheckRow| {
        incident.systems.contains(&check.system)
            && (incident.agencies.contains(&check.agency) || check.agency == incident.agency)
    };
    let checks = || app.model.checks.values();
    let targets: BTreeSet<&str> =
        checks().filter(concerned).map(|check| check.target.as_str()).collect();
    let (mut here, mut elsewhere) = (Side::default(), Side::default());
    for check in checks().filter(|check| targets.contains(check.target.as_str())) {
        if check.agency == *owner || check.agency == incident.agency {
            here.count(check);
        } else {
            elsewhere.count(check);
        }
    }
    if here.all + elsewhere.all == 0 {
        return None;
    }
    let words = &app.words;
    let values = [
        ("here", format!("{}/{}", here.failed, here.all)),
        ("elsewhere", format!("{}/{}", elsewhere.failed, elsewhere.all)),
    ];
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Some(format!("{}; {}", words.get(place(here, elsewhere)), words.with("fault-probes", &values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_told_as_far_as_the_probes_tell_it() {
        let side = |failed, all| Side { failed, all };
        let cases = [
            (side(0, 2), side(0, 3), "fault-none"),
            (side(2, 2), side(3, 3), "fault-system"),
            (side(0, 2), side(3, 3), "fault-way"),
            (side(2, 2), side(0, 3), "fault-inside"),
            (side(2, 2), side(0, 0), "fault-here-only"),
            (side(0, 0), side(3, 3), "fault-elsewhere-only"),
            (side(1, 2), side(1, 3), "fault-partly"),
            (side(0, 2), side(1, 3), "fault-partly"),
        ];
        for (here, elsewhere, wanted) in cases {
            assert_eq!(place(here, elsewhere), wanted, "{here:?} {elsewhere:?}");
        }
    }
}
