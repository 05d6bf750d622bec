//! What an incident keeps from being served: a sum of what its agencies lack, where its kind stops services.

use vonggac_wire::proto::{Agency, Estimate, Incident};

/// Rules whose incidents stop services.
pub(super) const STOPS: [&str; 3] = ["portal-without-use", "service-down", "platform-down"];

/// Rules of silence: whoever is silent may serve or not, nobody knows.
const SILENT: [&str; 2] = ["agency-silent", "agent-silent"];

/// Dossiers a minute that do not come because of it; `None`: nobody can say. An incident that stops nothing is a zero, and so is one that is over.
pub(super) fn of(incident: &Incident, agencies: &[Agency]) -> Option<Estimate> {
    if !incident.current_state().is_open() {
        return Some(Estimate::default());
    }
    if SILENT.contains(&incident.rule.as_str()) {
        return None;
    }
    if !STOPS.contains(&incident.rule.as_str()) {
        return Some(Estimate::default());
    }
    let mine = agencies.iter().filter(|agency| incident.agencies.contains(&agency.code));
    let mut sum: Option<Estimate> = None;
    // What is known of some agencies is a floor: better than nothing, and its range says how sure it is.
    for estimate in mine.filter_map(|agency| agency.unserved.as_ref()) {
        let so_far = sum.unwrap_or_default();
        sum = Some(Estimate {
            value: so_far.value + estimate.value,
            low: so_far.low + estimate.low,
            high: so_far.high + estimate.high,
        });
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agency(code: &str, unserved: Option<f64>) -> Agency {
        let unserved =
            unserved.map(|value| Estimate { value, low: value - 1.0, high: value + 1.0 });
        Agency { code: code.into(), unserved, ..Agency::default() }
    }

    fn incident(rule: &str, agencies: &[&str]) -> Incident {
        Incident {
            state: 1,
            rule: rule.into(),
            agencies: agencies.iter().map(|code| (*code).to_owned()).collect(),
            ..Incident::default()
        }
    }

    #[test]
    fn a_fallen_platform_keeps_what_all_its_agencies_lack_from_being_served() {
        let all = [
            agency("a", Some(10.0)),
            agency("b", Some(5.0)),
            agency("c", None),
            agency("d", Some(7.0)),
        ];
        let down = of(&incident("platform-down", &["a", "b", "c"]), &all).unwrap();
        assert_eq!((down.value, down.low, down.high), (15.0, 13.0, 17.0));
        assert_eq!(of(&incident("service-down", &["c"]), &all), None, "no base to estimate it");
    }

    #[test]
    fn silence_is_unknown_and_an_attack_alone_is_a_zero() {
        let all = [agency("a", Some(10.0))];
        assert_eq!(of(&incident("agency-silent", &["a"]), &all), None);
        assert_eq!(of(&incident("ssh-brute-force", &["a"]), &all), Some(Estimate::default()));
    }
}
