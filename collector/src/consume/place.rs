//! Where a partition goes on when it is taken over. Pure.

use super::Extent;

/// Where a partition goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The next offset that is new.
    pub next: i64,
    /// What is added to Kafka's own offsets.
    pub base: i64,
    /// The first offset that Kafka has.
    pub low: i64,
    /// The topic was made anew.
    pub renewed: bool,
}

/// Where a partition goes on, from its progress and base in the store and what Kafka has of it.
#[must_use]
pub fn place(next: Option<i64>, base: i64, extent: Option<Extent>) -> Place {
    let stored = next.unwrap_or(0).max(base);
    let Some(Extent { low, high }) = extent else {
        return Place { next: stored, base, low: base, renewed: false };
    };
    if stored - base > high {
        // It ends before what is stored of it: all it has stands behind that. What an agent sent before is known by its numbers.
        let base = stored - low;
        return Place { next: stored, base, low: stored, renewed: true };
    }
    Place { next: stored.max(low + base), base, low: low + base, renewed: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(low: i64, high: i64) -> Option<Extent> {
        Some(Extent { low, high })
    }

    #[test]
    fn a_partition_goes_on_where_the_store_stands() {
        let there = Place { next: 50, base: 0, low: 10, renewed: false };
        assert_eq!(place(Some(50), 0, extent(10, 90)), there);
        assert_eq!(place(Some(50), 0, extent(10, 50)), Place { next: 50, ..there });
        assert_eq!(place(Some(50), 0, None), Place { low: 0, ..there });
        assert_eq!(
            place(None, 0, extent(0, 0)),
            Place { next: 0, base: 0, low: 0, renewed: false }
        );
    }

    #[test]
    fn what_retention_took_is_passed_over() {
        let there = Place { next: 70, base: 0, low: 70, renewed: false };
        assert_eq!(place(Some(50), 0, extent(70, 90)), there);
        assert_eq!(place(None, 0, extent(70, 90)), there);
    }

    #[test]
    fn a_topic_that_was_made_anew_stands_behind_what_was_stored_of_it() {
        let renewed = place(Some(50), 0, extent(0, 20));
        assert_eq!(renewed, Place { next: 50, base: 50, low: 50, renewed: true });
        // 20 records later, and with the base in the store, it goes on like any other.
        let later = Place { next: 70, base: 50, low: 50, renewed: false };
        assert_eq!(place(Some(70), 50, extent(0, 30)), later);
        assert_eq!(place(Some(50), 50, extent(0, 0)), Place { next: 50, ..later });
        assert_eq!(place(Some(70), 50, extent(40, 90)), Place { next: 90, low: 90, ..later });
        assert_eq!(place(Some(70), 50, extent(0, 5)).base, 70);
    }
}
