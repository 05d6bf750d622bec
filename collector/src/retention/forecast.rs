//! What the store will hold, from what came on the last days and from what the policy will take away. Pure.
//!
//! The doubt is the spread of the days that were seen: "low" and "high" are what comes of a tenth of them below and above, going on for
//! ever. It is no promise: a new agency is not in the days before it.

use serde::Serialize;

/// Days that are told of.
pub const HORIZONS_DAYS: [u32; 3] = [30, 90, 365];

/// How far a full disk is looked for.
const LOOKED_AHEAD_DAYS: u32 = 3_650;

/// Fewer days say nothing about their spread.
pub const DAYS_LEAST: usize = 3;

/// The rows of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    /// The rule.
    pub name: String,
    /// Days in the engine.
    pub hot_days: u32,
    /// Days in all.
    pub keep_days: u32,
    /// Bytes in the engine by age in days.
    pub by_age: Vec<(u32, u64)>,
    /// Bytes in the cold tier by age in days.
    pub cold_by_age: Vec<(u32, u64)>,
    /// Bytes that came on each of the last days, any order; days without any are zeros.
    pub daily: Vec<u64>,
}

/// A figure with its doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Doubt {
    /// One day in ten is lower.
    pub low: f64,
    /// The mean.
    pub expected: f64,
    /// One day in ten is higher.
    pub high: f64,
}

impl Doubt {
    fn map(self, figure: impl Fn(f64) -> f64) -> Self {
        Self { low: figure(self.low), expected: figure(self.expected), high: figure(self.high) }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            expected: self.expected + other.expected,
            high: self.high + other.high,
        }
    }
}

/// A line of the forecast.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The rule.
    pub name: String,
    /// Bytes a day.
    pub daily: Doubt,
    /// Bytes now: engine, cold tier.
    pub now: (f64, f64),
    /// Bytes at each of [`HORIZONS_DAYS`]: engine, cold tier.
    pub then: Vec<(Doubt, Doubt)>,
}

/// The forecast.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// By rule.
    pub lines: Vec<Line>,
    /// Days until the disk is full, soonest by the high figure; `None`: not within ten years.
    pub full_in_days: (Option<u32>, Option<u32>, Option<u32>),
    /// Days that were seen.
    pub days_seen: usize,
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a forecast need no more")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

/// What a day brings.
#[must_use]
pub fn daily(days: &[u64]) -> Doubt {
    let mut sorted = days.to_vec();
    sorted.sort_unstable();
    let Some(last) = sorted.len().checked_sub(1) else { return Doubt::default() };
    let at = |tenths: usize| sorted.get((last * tenths + 5) / 10).copied().unwrap_or(0);
    let sum: f64 = sorted.iter().map(|bytes| float(*bytes)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a number of days")]
    let mean = sum / sorted.len() as f64;
    Doubt { low: float(at(1)).min(mean), expected: mean, high: float(at(9)).max(mean) }
}

/// Bytes of one rule in `days` days at one rate: engine, cold tier.
fn ahead(flow: &Flow, rate: f64, days: u32) -> (f64, f64) {
    let sum = |ages: &[(u32, u64)], from: u32, to: u32| -> f64 {
        ages.iter()
            .filter(|(age, _)| (from..to).contains(&age.saturating_add(days)))
            .map(|(_, bytes)| float(*bytes))
            .sum()
    };
    let new_hot = f64::from(days.min(flow.hot_days)) * rate;
    let new_cold = f64::from(days.min(flow.keep_days).saturating_sub(flow.hot_days)) * rate;
    (
        sum(&flow.by_age, 0, flow.hot_days) + new_hot,
        sum(&flow.by_age, flow.hot_days, flow.keep_days)
            + sum(&flow.cold_by_age, 0, flow.keep_days)
            + new_cold,
    )
}

/// The forecast; `free_bytes` of the disk that holds the engine, and the cold tier if `cold_beside`.
#[must_use]
pub fn forecast(flows: &[Flow], free_bytes: u64, cold_beside: bool) -> Forecast {
    let lines: Vec<Line> = flows.iter().map(line).collect();
    let total = |pick: fn(Doubt) -> f64, days: u32| -> f64 {
        flows
            .iter()
            .map(|flow| {
                let (hot, cold) = ahead(flow, pick(daily(&flow.daily)), days);
                if cold_beside { hot + cold } else { hot }
            })
            .sum()
    };
    let full = |pick: fn(Doubt) -> f64| {
        // What lies over its time is still on the disk now.
        let now: f64 = lines
            .iter()
            .map(|line| if cold_beside { line.now.0 + line.now.1 } else { line.now.0 })
            .sum();
        (1..=LOOKED_AHEAD_DAYS).find(|days| total(pick, *days) - now > float(free_bytes))
    };
    Forecast {
        full_in_days: (full(|rate| rate.high), full(|rate| rate.expected), full(|rate| rate.low)),
        days_seen: flows.iter().map(|flow| flow.daily.len()).max().unwrap_or(0),
        lines,
    }
}

fn line(flow: &Flow) -> Line {
    let rate = daily(&flow.daily);
    let held = |ages: &[(u32, u64)]| ages.iter().map(|(_, bytes)| float(*bytes)).sum();
    Line {
        name: flow.name.clone(),
        daily: rate,
        now: (held(&flow.by_age), held(&flow.cold_by_age)),
        then: HORIZONS_DAYS
            .iter()
            .map(|days| {
                (
                    rate.map(|rate| ahead(flow, rate, *days).0),
                    rate.map(|rate| ahead(flow, rate, *days).1),
                )
            })
            .collect(),
    }
}

/// All lines as one.
#[must_use]
pub fn total(lines: &[Line]) -> Line {
    let none = (Doubt::default(), Doubt::default());
    let mut all = Line {
        name: "total".into(),
        daily: Doubt::default(),
        now: (0.0, 0.0),
        then: vec![none; HORIZONS_DAYS.len()],
    };
    for line in lines {
        all.daily = all.daily.plus(line.daily);
        all.now = (all.now.0 + line.now.0, all.now.1 + line.now.1);
        for (sum, then) in all.then.iter_mut().zip(&line.then) {
            *sum = (sum.0.plus(then.0), sum.1.plus(then.1));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(days: u32) -> Flow {
        Flow {
            name: "usage".into(),
            hot_days: 100,
            keep_days: 300,
            by_age: (0..days).map(|age| (age, 1_000)).collect(),
            cold_by_age: Vec::new(),
            daily: vec![1_000; 14],
        }
    }

    #[test]
    fn a_store_grows_to_what_its_policy_keeps_and_no_further() {
        let line = line(&steady(50));
        assert_eq!(line.now, (50_000.0, 0.0));
        let engine: Vec<f64> = line.then.iter().map(|(hot, _)| hot.expected).collect();
        let cold: Vec<f64> = line.then.iter().map(|(_, cold)| cold.expected).collect();
        assert_eq!(engine, [80_000.0, 100_000.0, 100_000.0]);
        assert_eq!(cold, [0.0, 40_000.0, 200_000.0]);
    }

    #[test]
    fn the_disk_is_full_on_the_day_that_does_not_fit() {
        let told = forecast(&[steady(50)], 30_500, false);
        assert_eq!(told.full_in_days, (Some(31), Some(31), Some(31)));
        assert_eq!(forecast(&[steady(50)], 50_000, false).full_in_days.1, None);
        assert_eq!(forecast(&[steady(50)], 50_500, true).full_in_days.1, Some(51));
        assert_eq!(forecast(&[], 0, true).full_in_days, (None, None, None));
    }

    #[test]
    fn the_doubt_is_the_days_spread() {
        let rate = daily(&[10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]);
        assert_eq!((rate.low, rate.expected, rate.high), (20.0, 60.0, 100.0));
        assert_eq!(daily(&[]), Doubt::default());
        let one = daily(&[7]);
        assert_eq!((one.low, one.high), (7.0, 7.0));
    }
}
