//! Counts by minute over the last hour.

use std::collections::VecDeque;

use vonggac_wire::{
    Time,
    proto::{Cell, Estimate},
};

/// Minutes that are kept.
const MINUTES: i64 = 60;

/// Minutes of before that make a base.
const BASE_LEAST: usize = 3;

/// Counts by minute, the newest last.
#[derive(Debug, Default)]
pub(super) struct Minutes {
    counts: VecDeque<(i64, u64)>,
}

impl Minutes {
    /// One more at this time; times beyond the hour or in the future are left out.
    pub(super) fn add(&mut self, time: Time, now: Time) {
        let (minute, present) = (time.seconds() / 60, now.seconds() / 60);
        // Minutes ahead of a clock that was set back come again, and are not counted twice.
        while self.counts.back().is_some_and(|(minute, _)| *minute > present + 1) {
            self.counts.pop_back();
        }
        if minute <= present - MINUTES || minute > present + 1 {
            return;
        }
        match self.counts.binary_search_by_key(&minute, |(minute, _)| *minute) {
            Ok(at) => self.counts[at].1 += 1,
            Err(at) => self.counts.insert(at, (minute, 1)),
        }
        while self.counts.front().is_some_and(|(minute, _)| *minute <= present - MINUTES) {
            self.counts.pop_front();
        }
    }

    /// Sixty cells, the oldest first. Minutes before the first count have no value; quiet ones after it are a measured zero.
    pub(super) fn cells(&self, now: Time) -> Vec<Cell> {
        let present = now.seconds() / 60;
        let first = self.counts.front().map(|(minute, _)| *minute);
        ((present - MINUTES + 1)..=present)
            .map(|minute| {
                #[expect(clippy::cast_precision_loss, reason = "a cell of a sparkline")]
                let value = match self.counts.binary_search_by_key(&minute, |(minute, _)| *minute) {
                    Ok(at) => Some(self.counts[at].1 as f64),
                    Err(_) => first.filter(|first| minute >= *first).map(|_| 0.0),
                };
                Cell { value }
            })
            .collect()
    }

    /// What a minute lacks now against the median before `begun`, with the range that chance leaves; `None` without a base.
    pub(super) fn missing(&self, begun: Time, now: Time) -> Option<Estimate> {
        let (start, present) = (begun.seconds() / 60, now.seconds() / 60);
        #[expect(clippy::cast_precision_loss, reason = "dossiers in a minute")]
        let mut base: Vec<f64> = self
            .counts
            .iter()
            .skip(1)
            .filter(|(minute, _)| *minute < start)
            .map(|(_, count)| *count as f64)
            .collect();
        if base.len() < BASE_LEAST {
            return None;
        }
        base.sort_by(f64::total_cmp);
        let median = base[base.len() / 2];
        #[expect(clippy::cast_precision_loss, reason = "dossiers in a minute")]
        let actual = self
            .counts
            .iter()
            .rev()
            .find(|(minute, _)| *minute == present - 1)
            .map_or(0.0, |(_, count)| *count as f64);
        let value = (median - actual).max(0.0);
        let spread = 2.0 * median.sqrt();
        Some(Estimate { value, low: (value - spread).max(0.0), high: value + spread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_without_data_is_no_zero_and_a_quiet_one_is() {
        let mut minutes = Minutes::default();
        let now = Time::from_seconds(60 * 1_000);
        minutes.add(Time::from_seconds(60 * 998), now);
        let cells = minutes.cells(now);
        assert_eq!(cells.len(), 60);
        assert_eq!(
            (cells[0].value, cells[57].value, cells[59].value),
            (None, Some(1.0), Some(0.0))
        );
    }

    #[test]
    fn minutes_that_come_again_are_counted_once() {
        let mut minutes = Minutes::default();
        let at = |minute: i64| Time::from_seconds(60 * minute);
        minutes.add(at(1_000), at(1_000));
        minutes.add(at(995), at(995));
        minutes.add(at(1_000), at(1_000));
        assert_eq!(minutes.cells(at(1_000))[59].value, Some(1.0));
    }

    #[test]
    fn what_is_missing_is_the_median_of_before() {
        let mut minutes = Minutes::default();
        let now = Time::from_seconds(60 * 1_000);
        for minute in 990..995 {
            for _ in 0..18 {
                minutes.add(Time::from_seconds(60 * minute), now);
            }
        }
        let estimate = minutes.missing(Time::from_seconds(60 * 995), now).unwrap();
        assert!(
            (estimate.value - 18.0).abs() < 1e-9 && estimate.low < 18.0 && estimate.high > 18.0
        );
        assert!(minutes.missing(Time::from_seconds(60 * 991), now).is_none());
    }
}
