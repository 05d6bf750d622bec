//! What the governor lets reading threads do, and what came of it. Cloning shares it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Paces, Rank, Ruling, Turn};

/// What was slowed since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// The share that each rank has now.
    pub shares: [f64; 3],
    /// Time in which each rank was slowed.
    pub slowed_ranks: [Duration; 3],
    /// Time that was slowed for each ceiling.
    pub slowed_for: [Duration; 3],
    /// Episodes of each ceiling.
    pub episodes: [u64; 3],
    /// Whether an episode of it lasts.
    pub lasts: [bool; 3],
    /// Logs that are held open.
    pub log_files: u64,
    /// Logs that may be.
    pub log_files_max: u64,
    /// Times that a log was closed for another.
    pub log_files_closed: u64,
}

/// Shared by the governor and the threads that read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// As bits; a thread asks for them at each look.
    shares: [AtomicU64; 3],
    log_files_max: AtomicU64,
    log_files: AtomicU64,
    log_files_closed: AtomicU64,
    figures: Mutex<Figures>,
}

impl Default for Shared {
    fn default() -> Self {
        let full = || AtomicU64::new(1_f64.to_bits());
        Self {
            shares: [full(), full(), full()],
            log_files_max: AtomicU64::new(u64::MAX),
            log_files: AtomicU64::new(0),
            log_files_closed: AtomicU64::new(0),
            figures: Mutex::default(),
        }
    }
}

impl Reading {
    /// Has threads go by a ruling, and counts it.
    pub fn rule(&self, ruling: &Ruling) {
        self.set(ruling.paces);
        let mut figures = self.shared.figures.lock().unwrap_or_else(PoisonError::into_inner);
        for index in 0..3 {
            figures.slowed_ranks[index] += ruling.slowed_ranks[index];
            figures.slowed_for[index] += ruling.slowed_for[index];
        }
        for turn in &ruling.turns {
            match turn {
                Turn::Began { ceiling, .. } => {
                    figures.episodes[*ceiling as usize] += 1;
                    figures.lasts[*ceiling as usize] = true;
                }
                Turn::Ended { ceiling, .. } => figures.lasts[*ceiling as usize] = false,
            }
        }
    }

    /// Has threads go by these from now on.
    pub fn set(&self, paces: Paces) {
        for (share, fresh) in self.shared.shares.iter().zip(paces.shares) {
            share.store(fresh.to_bits(), Relaxed);
        }
        self.shared.log_files_max.store(paces.log_files_max, Relaxed);
    }

    /// The part of a core that a thread may take for a rank; 1: all of it.
    #[must_use]
    pub fn share(&self, rank: Rank) -> f64 {
        f64::from_bits(self.shared.shares[rank as usize].load(Relaxed))
    }

    /// Any rank is slowed.
    #[must_use]
    pub fn is_slowed(&self) -> bool {
        self.share(Rank::Later) < 1.0
    }

    /// A thread holds `now` logs open instead of `before`; gives those that are too many, of all threads together.
    pub fn hold(&self, before: u64, now: u64) -> u64 {
        let held = if now >= before {
            self.shared.log_files.fetch_add(now - before, Relaxed) + (now - before)
        } else {
            self.shared.log_files.fetch_sub(before - now, Relaxed) - (before - now)
        };
        held.saturating_sub(self.shared.log_files_max.load(Relaxed))
    }

    /// Logs that may be held open, of all threads together.
    #[must_use]
    pub fn log_files_max(&self) -> u64 {
        self.shared.log_files_max.load(Relaxed)
    }

    /// Logs were closed for others.
    pub fn closed(&self, count: u64) {
        self.shared.log_files_closed.fetch_add(count, Relaxed);
    }

    /// Logs that are open, and those that had to be closed since the start.
    #[must_use]
    pub fn log_files(&self) -> (u64, u64) {
        (self.shared.log_files.load(Relaxed), self.shared.log_files_closed.load(Relaxed))
    }

    /// What was slowed so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let figures = *self.shared.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let (log_files, log_files_closed) = self.log_files();
        let shares = Rank::ALL.map(|rank| self.share(rank));
        let log_files_max = self.log_files_max();
        Figures { shares, log_files, log_files_max, log_files_closed, ..figures }
    }
}
