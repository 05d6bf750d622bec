//! What the agent may take of its host, and how it slows its own reading before it takes more. Pure.
//!
//! Once a second a [`Sample`] of what the agent takes is held against its [`Ceilings`]. What comes of it is one level of slowing, by
//! which sources slow in the order of [`Rank`]: what can wait longest begins, security ends, and a rank slows only once the one before
//! it is as slow as it gets. No rank ever stands still. Heartbeats, probes, receivers that would lose what they do not take, and the
//! sending of what is spooled are not slowed at all: sending is what makes the agent smaller.
//!
//! CPU is steered by what was taken since the last sample, after a credit for bursts is used up. Memory is steered by how near it is to its
//! ceiling, from [`MEMORY_PART_BEGIN`] of it on. Open files bound how many logs are held open; the others are opened when they change.

use std::time::{Duration, Instant};

mod reading;
mod sample;

pub use reading::{Figures, Reading};
pub use sample::sample;

/// Steps from full speed of a rank to its slowest.
const STEPS: u32 = 20;

/// What one step leaves of a rank's share.
const STEP: f64 = 0.8;

/// The same for security, whose slowest is a quarter of a core: it is what the agent is there for.
const STEP_OF_SECURITY: f64 = 0.933;

/// Below this part of the ceiling slowing is taken back; between it and the ceiling it stays. Wider than a step, or it would swing.
const CPU_PART_CALM: f64 = 0.8;

/// Seconds for which the whole ceiling may be saved up: a burst of lines is read at full speed.
const CPU_BURST_SECONDS: f64 = 10.0;

/// Where slowing begins: before the ceiling is reached.
pub const MEMORY_PART_BEGIN: f64 = 0.9;

/// Where an episode of memory ends.
const MEMORY_PART_CALM: f64 = 0.85;

/// Each rank has this part of the ceiling to slow in.
const MEMORY_PART_OF_RANK: f64 = 0.1;

/// Logs that are held open in any case: fewer would be opened and closed for each line.
const LOG_FILES_MIN: u64 = 16;

/// An episode has ended when nothing was slowed for so long; one that begins anew sooner is the same.
const EPISODE_CALM: Duration = Duration::from_secs(60);

/// Samples further apart say nothing of a second: the host slept.
const SAMPLE_AGE_MAX: Duration = Duration::from_secs(30);

/// What the agent may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// Percent of one core.
    pub cpu_percent_max: u64,
    /// Resident bytes.
    pub memory_bytes_max: u64,
    /// Open files, sockets with them.
    pub open_files_max: u64,
}

/// In which order sources are slowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Access logs, what is long behind (back-fill and floods), and contents of watched files.
    Later,
    /// Other logs.
    Usual,
    /// Logs that tell of log-ins, accounts, processes.
    Security,
}

impl Rank {
    /// All of them, the first to be slowed first.
    pub const ALL: [Self; 3] = [Self::Later, Self::Usual, Self::Security];

    /// As metrics and the status name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Later => "later",
            Self::Usual => "usual",
            Self::Security => "security",
        }
    }
}

/// What a ceiling is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// CPU time.
    Cpu,
    /// Resident memory.
    Memory,
    /// Open files.
    OpenFiles,
}

impl Ceiling {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::OpenFiles];

    /// As metrics, the status and the heartbeat name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::OpenFiles => "open-files",
        }
    }
}

/// What the agent takes at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// CPU time since its start.
    pub cpu: Duration,
    /// Resident bytes.
    pub resident_bytes: u64,
    /// Open files, sockets with them.
    pub open_files: u64,
    /// Of these, logs.
    pub log_files: u64,
    /// Logs that had to be closed since its start.
    pub log_files_closed: u64,
}

/// How fast may be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paces {
    /// By the rank: the part of a core that each reading thread may take for it, from nearly 0 to 1; 1 is not slowed.
    pub shares: [f64; 3],
    /// Logs that may be held open.
    pub log_files_max: u64,
}

impl Paces {
    /// At full speed.
    #[must_use]
    pub const fn full(log_files_max: u64) -> Self {
        Self { shares: [1.0; 3], log_files_max }
    }
}

/// An episode begins or ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    /// The agent slows itself down.
    Began {
        /// For this.
        ceiling: Ceiling,
        /// What it takes: percent, bytes, files.
        taken: u64,
        /// What it may take.
        most: u64,
    },
    /// It has not done so for a while.
    Ended {
        /// For this.
        ceiling: Ceiling,
        /// Time in which it did.
        slowed: Duration,
    },
}

/// What follows of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    /// From now on.
    pub paces: Paces,
    /// Time since the last sample, by the rank, in which it was slowed.
    pub slowed_ranks: [Duration; 3],
    /// The same by the ceiling that it was slowed for.
    pub slowed_for: [Duration; 3],
    /// What begins or ends.
    pub turns: Vec<Turn>,
}

/// An episode: how long was slowed in it, and when last.
#[derive(Clone, Copy, Debug)]
struct Episode {
    slowed: Duration,
    last: Instant,
}

/// Keeps the agent within its ceilings.
#[derive(Debug)]
pub struct Governor {
    ceilings: Ceilings,
    last: Option<(Instant, Sample)>,
    /// CPU seconds that may be taken beyond the ceiling.
    credit: f64,
    cpu_level: u32,
    memory_level: u32,
    /// Memory was near its ceiling and is not far from it yet.
    memory_near: bool,
    files_short: bool,
    episodes: [Option<Episode>; 3],
}

impl Governor {
    /// With these ceilings, and a full credit: a start reads much.
    #[must_use]
    pub fn new(ceilings: Ceilings) -> Self {
        Self {
            ceilings,
            last: None,
            credit: credit_max(ceilings),
            cpu_level: 0,
            memory_level: 0,
            memory_near: false,
            files_short: false,
            episodes: [None; 3],
        }
    }

    /// Holds to other ceilings from now on.
    pub fn set_ceilings(&mut self, ceilings: Ceilings) {
        self.ceilings = ceilings;
        self.credit = self.credit.min(credit_max(ceilings));
    }

    /// Takes a sample, about once a second.
    pub fn apply(&mut self, sample: Sample, now: Instant) -> Ruling {
        let before = self.last.replace((now, sample));
        let mut passed = before.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(at));
        let shares = self.shares();
        let levels = [self.cpu_level > 0, self.memory_level > 0, self.files_short];
        let cpu_percent = match before {
            Some((_, before)) if !passed.is_zero() && passed <= SAMPLE_AGE_MAX => {
                self.steer_cpu(sample.cpu.saturating_sub(before.cpu), passed)
            }
            _ => {
                passed = Duration::ZERO;
                0
            }
        };
        self.steer_memory(sample.resident_bytes);
        let closed = before.map_or(0, |(_, before)| before.log_files_closed);
        self.files_short = sample.log_files_closed > closed;
        let taken = [cpu_percent, sample.resident_bytes, sample.open_files];
        let is = |is: bool| if is { passed } else { Duration::ZERO };
        let slowed_for = levels.map(is);
        Ruling {
            paces: Paces { shares: self.shares(), log_files_max: self.log_files_max(sample) },
            slowed_ranks: shares.map(|share| is(share < 1.0)),
            turns: self.turns(slowed_for, taken, now),
            slowed_for,
        }
    }

    /// Gives the percent of a core that was taken.
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    fn steer_cpu(&mut self, cpu: Duration, passed: Duration) -> u64 {
        let most = self.ceilings.cpu_percent_max as f64 / 100.0;
        let (used, seconds) = (cpu.as_secs_f64() / passed.as_secs_f64(), passed.as_secs_f64());
        self.credit = (self.credit + (most - used) * seconds).min(credit_max(self.ceilings));
        let part = used / most;
        if part > 1.0 && self.credit <= 0.0 {
            self.cpu_level = (self.cpu_level + steps_of(part)).min(STEPS * 3);
        } else if part < CPU_PART_CALM {
            // As many steps as bring it there, if all that was left out is caught up with.
            let up = if part <= 0.0 { STEPS } else { steps_of(CPU_PART_CALM / part) };
            self.cpu_level = self.cpu_level.saturating_sub(up);
        }
        // What was taken too much is not paid back: the ceiling holds from now on.
        self.credit = self.credit.max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a percentage that is not negative"
        )]
        let percent = (used * 100.0) as u64;
        percent
    }

    #[expect(clippy::cast_precision_loss, reason = "a part of a size")]
    fn steer_memory(&mut self, resident_bytes: u64) {
        let part = resident_bytes as f64 / self.ceilings.memory_bytes_max as f64;
        self.memory_near =
            part >= MEMORY_PART_BEGIN || self.memory_near && part >= MEMORY_PART_CALM;
        let beyond = (part - MEMORY_PART_BEGIN) / MEMORY_PART_OF_RANK * f64::from(STEPS);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between none and all steps"
        )]
        let level = beyond.ceil().clamp(0.0, f64::from(STEPS * 3)) as u32;
        self.memory_level = if self.memory_near { level.max(1) } else { 0 };
    }

    /// Of each rank, by the level.
    fn shares(&self) -> [f64; 3] {
        let level = self.cpu_level.max(self.memory_level);
        let steps = |rank: u32| level.saturating_sub(rank * STEPS).min(STEPS);
        [STEP, STEP, STEP_OF_SECURITY]
            .into_iter()
            .zip([0, 1, 2])
            .map(|(step, rank)| step.powi(i32::try_from(steps(rank)).unwrap_or(0)))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or([1.0; 3])
    }

    /// What others do not take of the open files.
    fn log_files_max(&self, sample: Sample) -> u64 {
        let others = sample.open_files.saturating_sub(sample.log_files);
        self.ceilings.open_files_max.saturating_sub(others).max(LOG_FILES_MIN)
    }

    fn turns(&mut self, slowed: [Duration; 3], taken: [u64; 3], now: Instant) -> Vec<Turn> {
        let is_slow = [self.cpu_level > 0, self.memory_level > 0, self.files_short];
        let most = [
            self.ceilings.cpu_percent_max,
            self.ceilings.memory_bytes_max,
            self.ceilings.open_files_max,
        ];
        let mut turns = Vec::new();
        for (index, ceiling) in Ceiling::ALL.into_iter().enumerate() {
            match &mut self.episodes[index] {
                None if is_slow[index] => {
                    self.episodes[index] = Some(Episode { slowed: Duration::ZERO, last: now });
                    turns.push(Turn::Began { ceiling, taken: taken[index], most: most[index] });
                }
                None => {}
                Some(episode) => {
                    episode.slowed += slowed[index];
                    if is_slow[index] {
                        episode.last = now;
                    } else if now.saturating_duration_since(episode.last) >= EPISODE_CALM {
                        turns.push(Turn::Ended { ceiling, slowed: episode.slowed });
                        self.episodes[index] = None;
                    }
                }
            }
        }
        turns
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn credit_max(ceilings: Ceilings) -> f64 {
    ceilings.cpu_percent_max as f64 / 100.0 * CPU_BURST_SECONDS
}

/// Steps that divide a load by this factor, at least one and at most as many as a second may change.
fn steps_of(factor: f64) -> u32 {
    let steps = factor.ln() / -STEP.ln();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between one and a rank's steps"
    )]
    let steps = steps.ceil().clamp(1.0, f64::from(STEPS)) as u32;
    steps
}

#[cfg(test)]
mod tests;
