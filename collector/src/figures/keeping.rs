//! What retention tells of itself: rows that should have gone fill a disk in silence.

use prometheus::{Gauge, Registry};

/// The metric. Cloning shares it.
#[derive(Clone)]
pub struct Kept {
    failed: Gauge,
}

impl Kept {
    /// Makes and registers it.
    ///
    /// # Errors
    /// If a name is used twice, which a test would show.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let failed = Gauge::new(
            "vonggac_collector_retention_failed",
            "1: the last daily run of retention failed, and rows stay where they are; 0: it did what was due; NaN: this collector has not run it",
        )?;
        failed.set(f64::NAN);
        registry.register(Box::new(failed.clone()))?;
        Ok(Self { failed })
    }

    /// A run ended.
    pub fn ran(&self, failed: bool) {
        self.failed.set(if failed { 1.0 } else { 0.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_failed_is_told_until_one_did_its_work() {
        let kept = Kept::new(&Registry::new()).unwrap();
        assert!(kept.failed.get().is_nan());
        kept.ran(true);
        assert!(kept.failed.get() > 0.0);
        kept.ran(false);
        assert!(kept.failed.get().abs() < f64::EPSILON);
    }
}
