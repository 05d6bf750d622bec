//! Indicators as data: sums over usage events, and pairs of sums with a name. Every figure keeps numerator, denominator and doubt.

use vonggac_wire::proto::Indicator;

use crate::store::usage::UsageSums;

/// A sum over events: what is summed, and of which events.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    /// Its name.
    pub name: &'static str,
    /// A column of the [roll-ups](crate::store::rollup::SUMMED).
    pub column: &'static str,
    class: &'static str,
    /// Empty: any.
    step: &'static str,
    /// Empty: any.
    status: &'static [&'static str],
}

impl Sum {
    /// Whether events of this kind are in it.
    #[must_use]
    pub fn counts(&self, class: &str, step: &str, status: &str) -> bool {
        self.class == class
            && (self.step.is_empty() || self.step == step)
            && (self.status.is_empty() || self.status.contains(&status))
    }
}

const fn sum_of(
    name: &'static str,
    column: &'static str,
    class: &'static str,
    step: &'static str,
    status: &'static [&'static str],
) -> Sum {
    Sum { name, column, class, step, status }
}

/// Sums that the store is asked for. `told_...` are those of which a portal said yes or no.
pub const SUMS: &[Sum] = &[
    sum_of("received", "events", "dossier", "received", &[]),
    sum_of("received_online", "online", "dossier", "received", &[]),
    sum_of("received_full", "full_process", "dossier", "received", &[]),
    sum_of("received_digitised", "digitised", "dossier", "received", &[]),
    sum_of("started", "events", "dossier", "started", &[]),
    sum_of("closed", "events", "dossier", "closed", &[]),
    sum_of("told_online", "told_online", "dossier", "received", &[]),
    sum_of("told_full", "told_full_process", "dossier", "received", &[]),
    sum_of("told_digitised", "told_digitised", "dossier", "received", &[]),
    sum_of("told_on_time", "told_on_time", "dossier", "closed", &[]),
    sum_of("told_electronic", "told_electronic", "document", "", &[]),
    sum_of("told_payments", "told_online", "payment", "", &[]),
    sum_of("closed_on_time", "on_time", "dossier", "closed", &[]),
    sum_of("documents", "count", "document", "", &[]),
    sum_of("documents_electronic", "electronic", "document", "", &[]),
    sum_of("payments", "events", "payment", "", &[]),
    sum_of("payments_online", "online", "payment", "", &["success"]),
    sum_of("ratings", "events", "rating", "", &[]),
    sum_of("ratings_satisfied", "satisfied", "rating", "", &[]),
    sum_of("logins_started", "events", "session", "login-started", &[]),
    sum_of("logins_completed", "events", "session", "login-completed", &["success"]),
    sum_of("exchanges", "events", "exchange", "", &[]),
    sum_of("exchanges_succeeded", "events", "exchange", "", &["success"]),
    sum_of("requests", "events", "http_activity", "", &[]),
    sum_of("checks", "events", "check", "", &[]),
    sum_of("checks_up", "events", "check", "", &["up", "degraded"]),
];

/// Id, kind, names, sum of the numerator, sum of the denominator ("": a count), unit.
type Definition = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// The indicators of NATIONAL's section B that events can give.
const INDICATORS: &[Definition] = &[
    ("dossiers-received", "usage", "Hồ sơ tiếp nhận", "Dossiers received", "received", "", "count"),
    (
        "online-filing-rate",
        "usage",
        "Tỷ lệ hồ sơ nộp trực tuyến",
        "Dossiers filed online",
        "received_online",
        "told_online",
        "%",
    ),
    (
        "full-process-dossier-rate",
        "usage",
        "Tỷ lệ hồ sơ trực tuyến toàn trình",
        "Full-process dossiers",
        "received_full",
        "told_full",
        "%",
    ),
    (
        "completion-rate",
        "usage",
        "Tỷ lệ hoàn tất",
        "Submissions completed",
        "received_online",
        "started",
        "%",
    ),
    (
        "e-document-rate",
        "usage",
        "Tỷ lệ văn bản trao đổi điện tử",
        "Documents exchanged electronically",
        "documents_electronic",
        "told_electronic",
        "%",
    ),
    (
        "online-payment-rate",
        "usage",
        "Tỷ lệ thanh toán trực tuyến",
        "Payments made online",
        "payments_online",
        "told_payments",
        "%",
    ),
    ("requests", "usage", "Lượt truy cập", "Requests", "requests", "", "count"),
    (
        "on-time-rate",
        "quality",
        "Tỷ lệ giải quyết đúng hạn",
        "Dossiers closed on time",
        "closed_on_time",
        "told_on_time",
        "%",
    ),
    (
        "digitisation-rate",
        "quality",
        "Tỷ lệ số hóa hồ sơ",
        "Dossiers digitised",
        "received_digitised",
        "told_digitised",
        "%",
    ),
    (
        "satisfaction-score",
        "quality",
        "Mức độ hài lòng",
        "Satisfied ratings",
        "ratings_satisfied",
        "ratings",
        "%",
    ),
    (
        "login-success-rate",
        "quality",
        "Tỷ lệ đăng nhập thành công",
        "Log-ins completed",
        "logins_completed",
        "logins_started",
        "%",
    ),
    (
        "exchange-success-rate",
        "quality",
        "Tỷ lệ giao dịch thành công",
        "Exchange calls succeeded",
        "exchanges_succeeded",
        "exchanges",
        "%",
    ),
    (
        "service-availability",
        "quality",
        "Mức sẵn sàng của dịch vụ",
        "Checks answered",
        "checks_up",
        "checks",
        "%",
    ),
];

/// The whole of which a told sum is the part that is known: where they differ, the figure speaks of fewer cases than its name says.
fn whole(told: &str) -> Option<&'static str> {
    Some(match told {
        "told_online" | "told_full" | "told_digitised" => "received",
        "told_on_time" => "closed",
        "told_electronic" => "documents",
        "told_payments" => "payments",
        _ => return None,
    })
}

fn sum(sums: &[UsageSums], name: &str) -> u64 {
    let Some(place) = SUMS.iter().position(|known| known.name == name) else { return 0 };
    sums.iter().filter_map(|agency| agency.sums.get(place)).sum()
}

/// One indicator over these sums.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn indicator(definition: &Definition, sums: &[UsageSums], agency: &str) -> Indicator {
    let (id, kind, name_vi, name_en, numerator, denominator, unit) = *definition;
    let counted = sums
        .iter()
        .filter(|agency| {
            sum(std::slice::from_ref(agency), numerator)
                + sum(std::slice::from_ref(agency), denominator)
                > 0
        })
        .count();
    let (above, below) = (sum(sums, numerator), sum(sums, denominator));
    let measured = counted > 0;
    let untold = whole(denominator).is_some_and(|whole| sum(sums, whole) > below);
    let (doubt, verdict) = match verdict(above, below, denominator.is_empty(), measured) {
        ("", "consistent") if untold => ("note", "scope-differs"),
        found => found,
    };
    Indicator {
        id: id.into(),
        kind: kind.into(),
        name_vi: name_vi.into(),
        name_en: name_en.into(),
        agency: agency.into(),
        numerator: measured.then_some(above as f64),
        denominator: (measured && !denominator.is_empty()).then_some(below as f64),
        unit: unit.into(),
        doubt: doubt.into(),
        verdict: verdict.into(),
        newest_unix_nano: sums
            .iter()
            .filter_map(|agency| agency.newest)
            .max()
            .map(|time| time.0)
            .filter(|_| measured),
        cells: Vec::new(),
        agencies_missing: 0,
        agencies_counted: u32::try_from(counted).unwrap_or(u32::MAX),
    }
}

/// Mark and verdict of a figure, in the words of the KPI court. Nothing is repaired.
const fn verdict(
    above: u64,
    below: u64,
    count: bool,
    measured: bool,
) -> (&'static str, &'static str) {
    if !measured {
        return ("", "not-measured");
    }
    if count {
        return ("", "consistent");
    }
    if below == 0 {
        return ("disputed", "denominator-missing");
    }
    if above > below {
        return ("disputed", "numerator-exceeds-denominator");
    }
    ("", "consistent")
}

/// All indicators of the nation.
#[must_use]
pub fn national(sums: &[UsageSums]) -> Vec<Indicator> {
    INDICATORS.iter().map(|definition| indicator(definition, sums, "")).collect()
}

/// All indicators of each agency.
#[must_use]
pub fn by_agency(sums: &[UsageSums]) -> Vec<Indicator> {
    sums.iter()
        .flat_map(|agency| {
            let sums = std::slice::from_ref(agency);
            INDICATORS.iter().map(move |definition| indicator(definition, sums, &agency.agency))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(pairs: &[(&str, u64)]) -> Vec<UsageSums> {
        let sums = SUMS
            .iter()
            .map(|sum| pairs.iter().find(|(n, _)| *n == sum.name).map_or(0, |(_, v)| *v))
            .collect();
        vec![UsageSums { agency: "local".into(), sums, newest: None }]
    }

    fn find(all: &[Indicator], id: &str) -> Indicator {
        all.iter().find(|indicator| indicator.id == id).unwrap().clone()
    }

    #[test]
    fn every_sum_that_an_indicator_names_exists() {
        for (id, .., numerator, denominator, _) in INDICATORS {
            for name in [numerator, denominator].into_iter().filter(|name| !name.is_empty()) {
                assert!(SUMS.iter().any(|known| known.name == *name), "{id}: {name}");
            }
        }
    }

    #[test]
    fn every_sum_is_of_a_column_of_the_roll_ups() {
        for Sum { name, column, .. } in SUMS {
            let known = crate::store::rollup::SUMMED.iter().any(|(known, _)| known == column);
            assert!(known, "{name}: {column}");
        }
    }

    #[test]
    fn a_rate_keeps_both_numbers_and_what_was_not_measured_is_no_zero() {
        let all = national(&sums(&[
            ("received", 10_779),
            ("told_online", 10_779),
            ("received_online", 6_615),
        ]));
        let online = find(&all, "online-filing-rate");
        assert_eq!(
            (online.numerator, online.denominator, online.verdict.as_str()),
            (Some(6_615.0), Some(10_779.0), "consistent")
        );
        let rating = find(&all, "satisfaction-score");
        assert_eq!((rating.numerator, rating.verdict.as_str()), (None, "not-measured"));
    }

    #[test]
    fn what_a_portal_did_not_say_is_in_no_denominator_and_is_noted() {
        let all =
            national(&sums(&[("received", 100), ("told_online", 80), ("received_online", 40)]));
        let online = find(&all, "online-filing-rate");
        assert_eq!((online.numerator, online.denominator), (Some(40.0), Some(80.0)));
        assert_eq!((online.doubt.as_str(), online.verdict.as_str()), ("note", "scope-differs"));
        let full = find(&all, "full-process-dossier-rate");
        assert_eq!((full.numerator, full.verdict.as_str()), (None, "not-measured"));
    }

    #[test]
    fn a_numerator_above_its_denominator_is_disputed_and_not_repaired() {
        let full = find(
            &national(&sums(&[("received_online", 5_506), ("started", 5_367)])),
            "completion-rate",
        );
        assert_eq!(
            (full.doubt.as_str(), full.verdict.as_str(), full.numerator),
            ("disputed", "numerator-exceeds-denominator", Some(5_506.0))
        );
    }
}
