//! Bounds what detection holds of entities: those that were not heard of for longest go.

use std::collections::HashMap;

/// Where there are more than `entries_max`, keeps those whose last sign is newer than the middle one's; tells how many went. Half at once,
/// so that a flood of new entities does not have all of them looked at for each.
pub(super) fn evict_older_half<K, V, T: Ord + Copy>(
    map: &mut HashMap<K, V>,
    entries_max: usize,
    last: impl Fn(&V) -> T,
) -> u64 {
    if map.len() <= entries_max {
        return 0;
    }
    let before = map.len();
    let mut lasts: Vec<T> = map.values().map(&last).collect();
    lasts.sort_unstable();
    let middle = lasts[lasts.len() / 2];
    map.retain(|_, value| last(value) > middle);
    (before - map.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unheard_half_goes_where_there_are_too_many() {
        let mut map: HashMap<u32, u32> = (0..10).map(|n| (n, n)).collect();
        assert_eq!(evict_older_half(&mut map, 10, |last| *last), 0);
        map.insert(10, 10);
        assert_eq!(evict_older_half(&mut map, 10, |last| *last), 6);
        let mut left: Vec<u32> = map.into_keys().collect();
        left.sort_unstable();
        assert_eq!(left, [6, 7, 8, 9, 10]);
    }
}
