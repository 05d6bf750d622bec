//! Runs of numbers: first and last of each, ascending, none touching another. Pure.

/// Adds a run; what touches becomes one.
pub(super) fn join(all: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    all.push((first, last));
    all.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(all.len());
    for (first, last) in all.drain(..) {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    *all = joined;
}

/// What is left of `first` to `last` without these, which ascend by their first.
pub(super) fn without(
    first: u64,
    last: u64,
    these: impl IntoIterator<Item = (u64, u64)>,
) -> Vec<(u64, u64)> {
    let mut from = first;
    let mut left = Vec::new();
    for (taken_first, taken_last) in these {
        if from <= last && taken_first > from {
            left.push((from, last.min(taken_first - 1)));
        }
        if taken_last >= from {
            from = taken_last.saturating_add(1);
        }
    }
    if from <= last {
        left.push((from, last));
    }
    left
}

/// Takes a run out.
pub(super) fn take_out(all: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    *all = all.iter().flat_map(|(from, to)| without(*from, *to, [(first, last)])).collect();
}

/// How many numbers they are.
pub(super) fn count(all: impl IntoIterator<Item = (u64, u64)>) -> u64 {
    all.into_iter().map(|(first, last)| last - first + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_touch_are_one_and_what_is_taken_out_leaves_both_sides() {
        let mut all = vec![(1, 5)];
        join(&mut all, 10, 12);
        join(&mut all, 6, 7);
        assert_eq!(all, [(1, 7), (10, 12)]);
        take_out(&mut all, 3, 10);
        assert_eq!(all, [(1, 2), (11, 12)]);
        assert_eq!(count(all.iter().copied()), 4);
        assert_eq!(without(0, 20, all), [(0, 0), (3, 10), (13, 20)]);
        assert_eq!(without(5, 4, []), []);
    }
}
