//! Numbers of one agent's lane: everything up to a mark, and ranges beyond it. Pure.

/// Which numbers of a lane are held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Everything up to here is held, or was told to be missing. `None`: nothing came in the lane's order yet, so nobody knows where it
    /// begins; its spool may be older than this store.
    pub mark: Option<u64>,
    /// What is held beyond the mark: first and last of each range, ascending, with something missing before each.
    pub ahead: Vec<(u64, u64)>,
}

impl Numbers {
    /// From what was stored; whatever stands there becomes ascending ranges beyond the mark. A mark of 0 is none.
    #[must_use]
    pub fn stored(mark: u64, ahead: Vec<(u64, u64)>) -> Self {
        let mut numbers = Self { mark: (mark > 0).then_some(mark), ahead };
        numbers.settle();
        numbers
    }

    /// What of `first` to `last` is held, ascending.
    pub(super) fn among(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let below = self.mark.map(|mark| (0, mark));
        below
            .into_iter()
            .chain(self.ahead.iter().copied())
            .map(|(from, to)| (from.max(first), to.min(last)))
            .filter(|(from, to)| from <= to)
            .collect()
    }

    /// What between the mark and `first` is not held; nothing, while it is not known where the lane begins.
    pub(super) fn missing_before(&self, first: u64) -> Vec<(u64, u64)> {
        let Some(mark) = self.mark else { return Vec::new() };
        let mut from = mark.saturating_add(1);
        let mut missing = Vec::new();
        for (next, to) in self.ahead.iter().copied().take_while(|(next, _)| *next < first) {
            missing.push((from, next - 1));
            from = to.saturating_add(1);
        }
        if from < first {
            missing.push((from, first - 1));
        }
        missing
    }

    /// Nothing up to `last` comes any more, or it is held.
    pub(super) fn pass(&mut self, last: u64) {
        self.mark = Some(self.mark.map_or(last, |mark| mark.max(last)));
        self.settle();
    }

    /// These are held.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        self.ahead.push((first, last));
        self.settle();
    }

    /// Ranges that touch one another are one, and those that touch the mark move it.
    fn settle(&mut self) {
        self.ahead.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(self.ahead.len());
        for (first, last) in self.ahead.drain(..) {
            if let Some(mark) = self.mark.as_mut().filter(|mark| first <= mark.saturating_add(1)) {
                *mark = last.max(*mark);
                continue;
            }
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        self.ahead = joined;
    }
}
